/* What both clients of a benchmark share: the clock, and the line that they print. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct bench_clock {
  double wall, cpu;
} bench_clock;

static inline bench_clock bench_now(void) {
  struct timespec t;
  struct rusage u;
  bench_clock now;
  clock_gettime(CLOCK_MONOTONIC, &t);
  getrusage(RUSAGE_SELF, &u);
  now.wall = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
  now.cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
  return now;
}

/* Seconds of wall time and of processor time since `begun`, for the runner. */
static inline void bench_report(bench_clock begun) {
  bench_clock now = bench_now();
  printf("%.9f %.9f\n", now.wall - begun.wall, now.cpu - begun.cpu);
}

static inline void bench_fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}
#endif
