/* A call that hangs comes back within a second of its cancel: from a signal handler (in the very thread that
 * is blocked, and in another) and from a second thread; before the head of the answer, and in the body.
 *
 * Nobody sleeps to be "sure it hangs": `/arrived/KEY` answers when the request with that key is there. */
#include "harness.h"

#include <signal.h>
#include <sys/time.h>

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

static apl_connector *api;
/* What the handler triggers. Set before the signal can come. */
static apl_cancel *volatile handler_cancel;
static volatile sig_atomic_t handler_ran;

static void on_signal(int number) {
  (void)number;
  handler_ran = 1;
  apl_cancel_trigger(handler_cancel);
}

/* How the canceller does it. */
enum how { BY_THREAD, BY_SIGNAL_TO_CALLER, BY_SIGNAL_TO_SELF };

struct canceller {
  enum how how;
  pthread_t caller;
  apl_cancel *cancel;
  char params[64];
  double at; /* when it cancelled */
};

/* Waits until the hanging request is at the server, then cancels it. */
static void *cancel_when_arrived(void *argument) {
  struct canceller *self = argument;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status = apl_fetch(api, "arrived", self->params, NULL, NULL, &response, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_response_free(response);
  apl_error_free(error);
  self->at = harness_ms();
  switch (self->how) {
  case BY_THREAD:
    apl_cancel_trigger(self->cancel);
    break;
  case BY_SIGNAL_TO_CALLER:
    CHECK_NUMBER(pthread_kill(self->caller, SIGUSR1), 0);
    break;
  case BY_SIGNAL_TO_SELF:
    CHECK_NUMBER(pthread_kill(pthread_self(), SIGUSR1), 0);
    break;
  }
  return NULL;
}

/* A call that hangs at `endpoint` and is cancelled; it must be back in time, and the connector still good. */
static void cancel_call(const char *endpoint, enum how how) {
  static int number;
  struct canceller canceller = {how, pthread_self(), apl_cancel_new(), "", 0.0};
  pthread_t thread;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status;
  double took;

  snprintf(canceller.params, sizeof canceller.params, "{\"key\": \"cancel-%d\"}", ++number);
  handler_cancel = canceller.cancel;
  handler_ran = 0;
  if (!CHECK_NUMBER(pthread_create(&thread, NULL, cancel_when_arrived, &canceller), 0)) exit(1);
  status = apl_fetch(api, endpoint, canceller.params, NULL, canceller.cancel, &response, &error);
  took = harness_ms();
  pthread_join(thread, NULL);
  took -= canceller.at;

  if (!CHECK_STATUS(status, APL_STATUS_CANCELLED, error)) fprintf(stderr, "  (fetch %s, way %d)\n", endpoint, how);
  CHECK(response == NULL);
  if (!CHECK(took < SLACK_MS)) fprintf(stderr, "  (fetch %s, way %d: %.0f ms)\n", endpoint, how, took);
  CHECK_NUMBER(handler_ran, how != BY_THREAD);
  CHECK(!apl_error_is_retryable(error));
  apl_response_free(response);
  apl_error_free(error);

  error = NULL;
  status = apl_fetch(api, "echo", NULL, NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_response_free(response);
  apl_error_free(error);
  handler_cancel = NULL;
  apl_cancel_free(canceller.cancel);
}

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

int main(void) {
  static const char *const WHERE[] = {"head", "body", "drip"};
  static const enum how HOW[] = {BY_THREAD, BY_SIGNAL_TO_CALLER, BY_SIGNAL_TO_SELF};
  struct sigaction action;
  apl_error *error = NULL;
  apl_status status;
  size_t i, k;

  harness_server("HOSTILE_URL");
  memset(&action, 0, sizeof action); /* no SA_RESTART: the harder case */
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, NULL);

  status = apl_connector_new(CONFIG, &api, &error);
  if (CHECK_STATUS(status, APL_STATUS_OK, error)) {
    for (i = 0; i < sizeof WHERE / sizeof *WHERE; i++)
      for (k = 0; k < sizeof HOW / sizeof *HOW; k++) cancel_call(WHERE[i], HOW[k]);
    interrupted();
  }
  apl_error_free(error);
  apl_connector_free(api);
  return harness_end();
}
