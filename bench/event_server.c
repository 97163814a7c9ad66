/* Sends events as fast as they are taken: event_server. Prints its port; ends when its standard input does.
 * GET /BYTES/COUNT[/crlf] gives so many events with so many bytes of data, each in a chunk of its own. GET /quiet gives
 * none, and no end. */
#include "client.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* Events that are sent with one system call, at most. */
#define BLOCK 1000

static size_t event(char *out, long number, long bytes, const char *end) {
  char text[32768];
  int length = snprintf(text, sizeof text, "id: %ld%sdata: {\"n\": %6ld, \"text\": \"", number, end, number);
  while (bytes-- > 24) text[length++] = (char)('a' + bytes % 26);
  length += snprintf(text + length, sizeof text - (size_t)length, "\"}%s%s", end, end);
  return (size_t)sprintf(out, "%x\r\n%s\r\n", length, text);
}

static int all(int to, const char *data, size_t length) {
  while (length > 0) {
    ssize_t n = send(to, data, length, MSG_NOSIGNAL);
    if (n <= 0) return 0;
    data += n, length -= (size_t)n;
  }
  return 1;
}

/* 0: the connection stays open. */
static int serve(int client) {
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  static char block[BLOCK * 200 + 64 * 33000];
  char request[4096], style[8] = "";
  size_t have = 0, length = 0, ends[BLOCK];
  long bytes, count, n, in_block;
  while (have + 1 < sizeof request) {
    ssize_t got = recv(client, request + have, sizeof request - 1 - have, 0);
    if (got <= 0) return 1;
    request[have += (size_t)got] = 0;
    if (strstr(request, "\r\n\r\n") != NULL) break;
  }
  if (strncmp(request, "GET /quiet", 10) == 0) return !all(client, head, sizeof head - 1);
  if (sscanf(request, "GET /%ld/%ld/%7[a-z]", &bytes, &count, style) < 2 || bytes > 32000) return 1;
  in_block = bytes > 150 ? 64 : BLOCK;
  for (n = 0; n < in_block; n++) {
    length += event(block + length, n, bytes, strcmp(style, "crlf") == 0 ? "\r\n" : "\n");
    ends[n] = length;
  }
  if (!all(client, head, sizeof head - 1)) return 1;
  for (; count > in_block; count -= in_block)
    if (!all(client, block, length)) return 1;
  if (count > 0) all(client, block, ends[count - 1]);
  all(client, "0\r\n\r\n", 5);
  return 1;
}

int main(void) {
  struct sockaddr_in address = {0};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct pollfd wait[2];
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 256) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) != 0)
    bench_fail("event_server", "cannot listen");
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  wait[0].fd = listener, wait[1].fd = 0;
  wait[0].events = wait[1].events = POLLIN;
  while (poll(wait, 2, -1) > 0 && wait[1].revents == 0) {
    int client = accept(listener, NULL, NULL);
    if (client < 0) continue;
    if (serve(client)) close(client);
  }
  return 0;
}
