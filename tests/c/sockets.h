/* Sockets as the tests need them, on POSIX and on Windows. Include it before anything else. */
#ifndef APL_TEST_SOCKETS_H
#define APL_TEST_SOCKETS_H

#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>

typedef SOCKET sock;
#define NO_SOCK INVALID_SOCKET
#define sock_poll WSAPoll

static inline void sock_begin(void) {
  WSADATA about;
  WSAStartup(MAKEWORD(2, 2), &about);
}

static inline void sock_close(sock s) { closesocket(s); }

/* Starts a connect. Does it go on by itself? */
static inline int sock_connect(sock s, const struct sockaddr_in *address) {
  u_long on = 1;
  ioctlsocket(s, FIONBIO, &on);
  return connect(s, (const struct sockaddr *)address, sizeof *address) != 0 && WSAGetLastError() == WSAEWOULDBLOCK;
}

#else
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int sock;
#define NO_SOCK (-1)
#define sock_poll poll

static inline void sock_begin(void) {}

static inline void sock_close(sock s) { close(s); }

static inline int sock_connect(sock s, const struct sockaddr_in *address) {
  fcntl(s, F_SETFL, O_NONBLOCK);
  return connect(s, (const struct sockaddr *)address, sizeof *address) != 0 && errno == EINPROGRESS;
}
#endif

#endif
