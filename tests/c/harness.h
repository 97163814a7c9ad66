/* Checks for the C tests. A failed check says where and what, and the program goes on; the last line is
 * "N passed, N failed" and `harness_end` is the exit status. Checks may come from several threads. */
#ifndef APL_TEST_HARNESS_H
#define APL_TEST_HARNESS_H

#include <apl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t harness_lock = PTHREAD_MUTEX_INITIALIZER;
static int harness_passed;
static int harness_failed;

/* Counts one check. Returns whether it held. */
static inline int harness_count(int held) {
  pthread_mutex_lock(&harness_lock);
  if (held)
    harness_passed++;
  else
    harness_failed++;
  pthread_mutex_unlock(&harness_lock);
  return held;
}

static inline int harness_true(int held, const char *what, const char *file, int line) {
  if (!harness_count(held)) fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
  return held;
}

static inline int harness_text(const char *got, const char *want, const char *what, const char *file, int line) {
  int held = got != NULL && strcmp(got, want) == 0;
  if (!harness_count(held))
    fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", file, line, what, got != NULL ? got : "(null)", want);
  return held;
}

static inline int harness_within(const char *text, const char *part, const char *what, const char *file, int line) {
  int held = text != NULL && strstr(text, part) != NULL;
  if (!harness_count(held))
    fprintf(stderr, "%s:%d: %s is \"%s\", without \"%s\"\n", file, line, what, text != NULL ? text : "(null)", part);
  return held;
}

static inline int harness_number(long long got, long long want, const char *what, const char *file, int line) {
  int held = got == want;
  if (!harness_count(held)) fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, what, got, want);
  return held;
}

/* A status, and the error's message where it is another one. */
static inline int harness_status(apl_status got, apl_status want, const apl_error *error, const char *what,
                                 const char *file, int line) {
  int held = got == want;
  if (!harness_count(held)) {
    const char *message = apl_error_message(error);
    fprintf(stderr, "%s:%d: %s gave %s, not %s: %s\n", file, line, what, apl_status_name(got), apl_status_name(want),
            message != NULL ? message : "(no message)");
  }
  return held;
}

#define CHECK(condition) harness_true((condition) ? 1 : 0, #condition, __FILE__, __LINE__)
#define CHECK_TEXT(got, want) harness_text((got), (want), #got, __FILE__, __LINE__)
#define CHECK_WITHIN(text, part) harness_within((text), (part), #text, __FILE__, __LINE__)
#define CHECK_NUMBER(got, want) harness_number((long long)(got), (long long)(want), #got, __FILE__, __LINE__)
/* Not `CHECK_STATUS(apl_x(…, &e), …, e)`: that would read `e` before the call. Keep the status first. */
#define CHECK_STATUS(got, want, error) harness_status((got), (want), (error), #got, __FILE__, __LINE__)

/* Milliseconds of a clock that is never set. */
static inline double harness_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1000.0 + (double)now.tv_nsec / 1e6;
}

/* An address that with-server has put into the environment. */
static inline const char *harness_server(const char *variable) {
  const char *address = getenv(variable);
  if (address == NULL || address[0] == '\0') {
    fprintf(stderr, "%s is not set: run this under tests/support/with-server\n", variable);
    exit(2);
  }
  return address;
}

/* The last line, and the exit status. A program that has checked nothing has failed. */
static inline int harness_end(void) {
  fflush(stderr);
  printf("%d passed, %d failed\n", harness_passed, harness_failed);
  return harness_failed == 0 && harness_passed > 0 ? 0 : 1;
}

#endif
