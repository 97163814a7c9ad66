/* What idle things keep on the heap: idle_apl BASE PATH CONNECTIONS [CA].
 *
 * PATH has to answer slowly enough that all the requests are under way at once. Prints the bytes of one connector
 * and of one idle connection; the process-wide roots, which the first https call reads, are not in them. */
#include "client.h"
#include <apl.h>
#include <malloc.h>
#include <pthread.h>

static const apl_connector *shared;

static void *get(void *unused) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  (void)unused;
  if (apl_fetch(shared, "get", NULL, NULL, NULL, &response, &error) != APL_STATUS_OK)
    bench_fail("apl_fetch", apl_error_message(error));
  apl_response_free(response);
  return NULL;
}

static size_t in_use(void) {
  struct mallinfo2 m;
  malloc_trim(0);
  m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

static apl_connector *make(char **argv, int argc, int idle) {
  char config[2048];
  apl_connector *api = NULL;
  apl_error *error = NULL;
  snprintf(config, sizeof config,
           "{\"base_url\": \"%s\", \"pool\": {\"max_idle_per_host\": %d}, \"tls\": {%s%s%s},"
           " \"endpoints\": {\"get\": {\"path\": \"%s\"}}}",
           argv[1], idle, argc > 4 ? "\"ca_file\": \"" : "", argc > 4 ? argv[4] : "", argc > 4 ? "\"" : "", argv[2]);
  if (apl_connector_new(config, &api, &error) != APL_STATUS_OK)
    bench_fail("apl_connector_new", apl_error_message(error));
  return api;
}

int main(int argc, char **argv) {
  pthread_t threads[1024];
  apl_connector *warm, *measured, *idle;
  size_t before, connector, connections;
  int i, count;
  if (argc < 4) bench_fail("usage", "idle_apl BASE PATH CONNECTIONS [CA]");
  count = atoi(argv[3]);
  if (count < 1 || count > 1024) bench_fail("usage", "1 to 1024 connections");
  warm = make(argv, argc, 0);
  shared = warm;
  get(NULL);
  before = in_use();
  idle = make(argv, argc, 0);
  connector = in_use() - before;
  measured = make(argv, argc, count);
  shared = measured;
  get(NULL);
  before = in_use();
  for (i = 0; i < count; i++)
    if (pthread_create(&threads[i], NULL, get, NULL) != 0) bench_fail("pthread_create", "failed");
  for (i = 0; i < count; i++) pthread_join(threads[i], NULL);
  connections = in_use() - before;
  printf("%zu %zu\n", connector, connections / (size_t)(count - 1));
  apl_connector_free(measured);
  apl_connector_free(idle);
  apl_connector_free(warm);
  return 0;
}
