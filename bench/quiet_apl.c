/* Many streams on which nothing happens: quiet_apl BASE PATH COUNT SECONDS. Each is asked with `wait: 0`, all of them a
 * hundred times a second. Prints processor time in percent, bytes a stream, and nanoseconds a question. */
#include "client.h"
#include <apl.h>
#include <unistd.h>

static long resident(void) {
  long pages = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%ld %ld", &pages, &resident) != 2) bench_fail("/proc/self/statm", "cannot be read");
  fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv) {
  char config[1024];
  apl_connector *api = NULL;
  apl_stream **streams;
  apl_error *error = NULL;
  bench_clock begun, now;
  struct timespec pause = {0, 0};
  double seconds, asked = 0, next;
  long i, count, before;
  if (argc < 5) bench_fail("usage", "quiet_apl BASE PATH COUNT SECONDS");
  count = atol(argv[3]), seconds = atof(argv[4]);
  streams = calloc((size_t)count, sizeof *streams);
  snprintf(config, sizeof config,
           "{\"base_url\": \"%s\", \"pool\": {\"max_idle_per_host\": 0}, \"endpoints\": {\"get\": {\"path\": \"%s\"}}}",
           argv[1], argv[2]);
  if (streams == NULL || apl_connector_new(config, &api, &error) != APL_STATUS_OK) bench_fail("setup", "failed");
  before = 0;
  for (i = 0; i < count; i++) {
    if (i == 1) before = resident(); /* The first one pays for what they share. */
    if (apl_sse_open(api, "get", NULL, "{\"wait\": 0}", NULL, &streams[i], &error) != APL_STATUS_OK)
      bench_fail("apl_sse_open", apl_error_message(error));
  }
  for (i = 0; i < count; i++)
    if (apl_stream_next(streams[i], NULL, NULL, &error) != APL_STATUS_IDLE) bench_fail("quiet", "it is not");
  before = resident() - before;
  begun = now = bench_now();
  for (next = begun.wall; now.wall - begun.wall < seconds; now = bench_now()) {
    for (i = 0; i < count; i++, asked++)
      if (apl_stream_next(streams[i], NULL, NULL, &error) != APL_STATUS_IDLE) bench_fail("quiet", "it is not");
    next += 0.01;
    now = bench_now();
    if (next > now.wall) {
      pause.tv_nsec = (long)((next - now.wall) * 1e9);
      nanosleep(&pause, NULL);
    }
  }
  printf("%.2f %ld %.0f\n", 100 * (now.cpu - begun.cpu) / (now.wall - begun.wall), before / (count - 1),
         1e9 * (now.cpu - begun.cpu) / asked);
  for (i = 0; i < count; i++) apl_stream_free(streams[i]);
  apl_connector_free(api);
  return 0;
}
