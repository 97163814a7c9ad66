/* A call that hangs comes back within a second of its cancel: from a signal handler (in the very thread that
 * is blocked, and in another) and from a second thread; in the connect, in the TLS handshake, before the head
 * of the answer, and in the body. What a cancel really takes is printed.
 *
 * Nobody sleeps to be "sure it hangs": `/arrived/KEY` answers when the request with that key is there, and the
 * listener of the handshake has the connection. A connect is what nobody can tell us of: that one is given time.
 *
 * Windows has no such signals: there it is the second thread alone. */
#include "sockets.h"

#include "harness.h"

#include <signal.h>
#ifndef _WIN32
#include <sys/time.h>
#endif

static const char CONFIG[] =
    "base_url: ${HOSTILE_URL}\n"
    "retry_count: 1\n"
    "timeout: 30\n"
    "endpoints:\n"
    "  head: {path: /hang-head}\n"
    "  body: {path: /hang-body}\n"
    "  drip: {path: /drip}\n"
    "  arrived: {path: '/arrived/{key}'}\n"
    "  echo: {path: /echo}\n";

#define SLACK_MS 1000.0
#define ROUNDS 5

/* The hostile server, and two addresses of our own: one where a connect hangs, one where a handshake does. */
static apl_connector *api, *unconnected, *silent;
/* Who accepts, and says nothing. */
static sock listener;
/* What the handler triggers. Set before the signal can come. */
static apl_cancel *volatile handler_cancel;
static volatile sig_atomic_t handler_ran;

static void pause_ms(long ms) {
  struct timespec time = {0, ms * 1000000};
  nanosleep(&time, NULL);
}

/* Where a call hangs. */
enum where { IN_CONNECT, IN_HANDSHAKE, IN_HEAD, IN_BODY, IN_DRIP, PLACES };
static const char *const NAMES[] = {"connect", "TLS handshake", "head", "body", "dripping body"};
static const char *const ENDPOINTS[] = {"echo", "echo", "head", "body", "drip"};

/* How the canceller does it. */
enum how { BY_THREAD, BY_SIGNAL_TO_CALLER, BY_SIGNAL_TO_SELF };

#ifdef _WIN32
#define WAYS 1
static void handle_signals(void) {}
static int signal_to(pthread_t thread) { return (int)sizeof thread; }
static void interrupted(void) {}
#else
#define WAYS 3
static void on_signal(int number) {
  (void)number;
  handler_ran = 1;
  apl_cancel_trigger(handler_cancel);
}

static void handle_signals(void) {
  struct sigaction action;

  memset(&action, 0, sizeof action); /* no SA_RESTART: the harder case */
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, NULL);
}

static int signal_to(pthread_t thread) { return pthread_kill(thread, SIGUSR1); }

/* A timer of 1 kHz interrupts every system call there is; nobody notices. */
static void interrupted(void) {
  struct itimerval storm = {{0, 1000}, {0, 1000}}, calm = {{0, 0}, {0, 0}};
  struct sigaction ignore;
  int i;

  memset(&ignore, 0, sizeof ignore);
  ignore.sa_handler = on_signal; /* triggers NULL: nothing */
  sigaction(SIGALRM, &ignore, NULL);
  handler_cancel = NULL;
  setitimer(ITIMER_REAL, &storm, NULL);
  for (i = 0; i < 50; i++) {
    apl_response *response = NULL;
    apl_error *error = NULL;
    apl_status status = apl_fetch(api, "echo", NULL, NULL, NULL, &response, &error);
    CHECK_STATUS(status, APL_STATUS_OK, error);
    apl_response_free(response);
    apl_error_free(error);
  }
  setitimer(ITIMER_REAL, &calm, NULL);
}
#endif

struct canceller {
  enum where where;
  enum how how;
  pthread_t caller;
  apl_cancel *cancel;
  char params[64];
  sock accepted; /* the connection of a handshake */
  double at;     /* when it cancelled */
};

/* Waits until the call hangs. */
static void wait_until_it_hangs(struct canceller *self) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status;

  switch (self->where) {
  case IN_CONNECT:
    pause_ms(20);
    break;
  case IN_HANDSHAKE:
    self->accepted = accept(listener, NULL, NULL);
    CHECK(self->accepted != NO_SOCK);
    pause_ms(5);
    break;
  default:
    status = apl_fetch(api, "arrived", self->params, NULL, NULL, &response, &error);
    CHECK_STATUS(status, APL_STATUS_OK, error);
    apl_response_free(response);
    apl_error_free(error);
  }
}

static void *cancel_when_it_hangs(void *argument) {
  struct canceller *self = argument;

  wait_until_it_hangs(self);
  self->at = harness_ms();
  switch (self->how) {
  case BY_THREAD:
    apl_cancel_trigger(self->cancel);
    break;
  case BY_SIGNAL_TO_CALLER:
    CHECK_NUMBER(signal_to(self->caller), 0);
    break;
  default:
    CHECK_NUMBER(signal_to(pthread_self()), 0);
    break;
  }
  return NULL;
}

/* A call that hangs and is cancelled; it must be back in time, and the connector still good. Gives the time. */
static double cancel_call(enum where where, enum how how) {
  static int number;
  apl_connector *const connectors[] = {unconnected, silent, api, api, api};
  struct canceller canceller = {where, how, pthread_self(), apl_cancel_new(), "", NO_SOCK, 0.0};
  pthread_t thread;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status;
  double took;

  snprintf(canceller.params, sizeof canceller.params, "{\"key\": \"cancel-%d\"}", ++number);
  handler_cancel = canceller.cancel;
  handler_ran = 0;
  if (!CHECK_NUMBER(pthread_create(&thread, NULL, cancel_when_it_hangs, &canceller), 0)) exit(1);
  status = apl_fetch(connectors[where], ENDPOINTS[where], canceller.params, NULL, canceller.cancel, &response, &error);
  took = harness_ms();
  pthread_join(thread, NULL);
  took -= canceller.at;

  if (!CHECK_STATUS(status, APL_STATUS_CANCELLED, error)) fprintf(stderr, "  (%s, way %d)\n", NAMES[where], how);
  CHECK(response == NULL);
  if (!CHECK(took < SLACK_MS)) fprintf(stderr, "  (%s, way %d: %.0f ms)\n", NAMES[where], how, took);
  CHECK_NUMBER(handler_ran, how != BY_THREAD);
  CHECK_TEXT(apl_error_category(error), "UNKNOWN");
  CHECK(!apl_error_is_retryable(error));
  CHECK_WITHIN(apl_error_json(error), where < IN_HEAD ? "\"sent\":\"no\"" : "\"sent\":\"");
  apl_response_free(response);
  apl_error_free(error);

  error = NULL;
  status = apl_fetch(api, "echo", NULL, NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_response_free(response);
  apl_error_free(error);
  handler_cancel = NULL;
  apl_cancel_free(canceller.cancel);
  if (canceller.accepted != NO_SOCK) sock_close(canceller.accepted);
  return took;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void cancel_calls(enum where where) {
  double took[ROUNDS * WAYS];
  size_t i, count = sizeof took / sizeof *took;

  for (i = 0; i < count; i++) took[i] = cancel_call(where, (enum how)(i % WAYS));
  qsort(took, count, sizeof *took, by_size);
  printf("cancel in the %s: median %.2f ms, at most %.2f ms of %d\n", NAMES[where], took[count / 2], took[count - 1],
         (int)count);
}

/* A socket that listens on the loopback address. */
static sock listen_on(struct sockaddr_in *address, int backlog) {
  socklen_t size = sizeof *address;
  sock fd = socket(AF_INET, SOCK_STREAM, 0);

  memset(address, 0, sizeof *address);
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *)address, size) == 0 && listen(fd, backlog) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)address, &size) == 0);
  return fd;
}

/* Connects until a connect hangs: the queue is full then, and the next one hangs too. */
static void fill_backlog(const struct sockaddr_in *address) {
  int i;

  for (i = 0; i < 16; i++) {
    struct pollfd connecting = {0, POLLOUT, 0};
    /* They stay open until the end of the program. */
    connecting.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (sock_connect(connecting.fd, address) && sock_poll(&connecting, 1, 200) == 0) return;
  }
  CHECK(!"the queue does not fill up");
}

static apl_connector *connector_for(const char *scheme, const struct sockaddr_in *address) {
  char config[256];
  apl_connector *made = NULL;
  apl_error *error = NULL;
  apl_status status;

  /* No certificate is ever looked at, so the platform's need not be read either. */
  snprintf(config, sizeof config,
           "{\"base_url\": \"%s://127.0.0.1:%d\", \"retry_count\": 1, \"timeout\": 30, \"endpoints\": {\"echo\": "
           "{\"path\": \"/\"}}, \"tls\": {\"danger_accept_invalid_certs\": true}}",
           scheme, (int)ntohs(address->sin_port));
  status = apl_connector_new(config, &made, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_error_free(error);
  return made;
}

int main(void) {
  struct sockaddr_in full, quiet;
  apl_error *error = NULL;
  apl_status status;
  int where;

  harness_server("HOSTILE_URL");
  handle_signals();
  sock_begin();

  listen_on(&full, 0);
  fill_backlog(&full);
  listener = listen_on(&quiet, 16);
  unconnected = connector_for("http", &full);
  silent = connector_for("https", &quiet);
  status = apl_connector_new(CONFIG, &api, &error);
  if (CHECK_STATUS(status, APL_STATUS_OK, error) && unconnected != NULL && silent != NULL) {
    for (where = 0; where < PLACES; where++) cancel_calls((enum where)where);
    interrupted();
  }
  apl_error_free(error);
  apl_connector_free(api);
  apl_connector_free(unconnected);
  apl_connector_free(silent);
  return harness_end();
}
