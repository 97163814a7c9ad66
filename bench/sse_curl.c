/* The same through libcurl and a parser as a C programmer writes it: line by line, from a buffer that grows.
 * sse_curl BASE PATH COUNT BYTES */
#include "client.h"
#include <curl/curl.h>

typedef struct parser {
  char *buffer;
  size_t length, room, data_length, data_room, seen;
  char *data, id[64];
  long events;
} parser;

static void line(parser *p, const char *text, size_t length) {
  if (length == 0) {
    if (p->data_length > 0) {
      p->events += p->id[0] != '\0';
      p->seen += p->data_length - 1; /* without the last newline */
      p->data_length = 0;
    }
  } else if (length >= 5 && memcmp(text, "data:", 5) == 0) {
    size_t skip = length > 5 && text[5] == ' ' ? 6 : 5, n = length - skip;
    if (p->data_length + n + 1 > p->data_room) {
      p->data_room = (p->data_length + n + 1) * 2;
      if ((p->data = realloc(p->data, p->data_room)) == NULL) bench_fail("realloc", "no memory");
    }
    memcpy(p->data + p->data_length, text + skip, n);
    p->data[p->data_length + n] = '\n';
    p->data_length += n + 1;
  } else if (length >= 3 && memcmp(text, "id:", 3) == 0) {
    size_t skip = length > 3 && text[3] == ' ' ? 4 : 3, n = length - skip;
    if (n < sizeof p->id && memchr(text + skip, 0, n) == NULL) {
      memcpy(p->id, text + skip, n);
      p->id[n] = '\0';
    }
  }
}

static size_t take(char *bytes, size_t size, size_t count, void *user) {
  parser *p = user;
  size_t n = size * count, at = 0;
  if (p->length + n > p->room) {
    p->room = (p->length + n) * 2;
    if ((p->buffer = realloc(p->buffer, p->room)) == NULL) return 0;
  }
  memcpy(p->buffer + p->length, bytes, n);
  p->length += n;
  for (;;) {
    char *end = memchr(p->buffer + at, '\n', p->length - at);
    size_t length;
    if (end == NULL) break;
    length = (size_t)(end - p->buffer) - at;
    line(p, p->buffer + at, length > 0 && end[-1] == '\r' ? length - 1 : length);
    at += length + 1;
  }
  memmove(p->buffer, p->buffer + at, p->length - at);
  p->length -= at;
  return n;
}

int main(int argc, char **argv) {
  char url[1024];
  parser p;
  bench_clock begun;
  CURL *curl;
  CURLcode code;
  if (argc < 5) bench_fail("usage", "sse_curl BASE PATH COUNT BYTES");
  memset(&p, 0, sizeof p);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  snprintf(url, sizeof url, "%s%s", argv[1], argv[2]);
  curl = curl_easy_init();
  if (curl == NULL) bench_fail("curl_easy_init", "failed");
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &p);
  begun = bench_now();
  code = curl_easy_perform(curl);
  if (code != CURLE_OK) bench_fail("curl", curl_easy_strerror(code));
  bench_report(begun);
  if (p.events != atol(argv[3]) || p.seen < (size_t)p.events * (size_t)atol(argv[4]))
    bench_fail("sse", "other events than expected");
  curl_easy_cleanup(curl);
  curl_global_cleanup();
  return 0;
}
