/* Reads a listing, and says how many bytes of records came and the most memory that it took, KiB.
 *
 *   listing URL fetch|pages|records|nothing */
#include <apl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what, apl_error *error) {
  fprintf(stderr, "%s: %s\n", what, apl_error_message(error));
  return 1;
}

static long peak_kib(void) {
  char line[256];
  long kib = -1;
  FILE *file = fopen("/proc/self/status", "r");

  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    if (strncmp(line, "VmHWM:", 6) == 0) kib = strtol(line + 6, NULL, 10);
  if (file != NULL) fclose(file);
  return kib;
}

int main(int argc, char **argv) {
  char config[1024];
  apl_connector *api = NULL;
  apl_stream *stream = NULL;
  apl_response *whole = NULL;
  apl_error *error = NULL;
  apl_status status = APL_STATUS_OK;
  size_t len = 0, bytes = 0;
  const char *how = argc > 2 ? argv[2] : "";

  if (argc < 3) return 2;
  snprintf(config, sizeof config,
           "base_url: %s\nendpoints: {it: {path: '', pagination: {data_path: entries, cursor_path: next, cursor_param: after}}}\n",
           argv[1]);
  if (apl_connector_new(config, &api, &error) != APL_STATUS_OK) return fail("connector", error);
  if (strcmp(how, "fetch") == 0) {
    status = apl_fetch(api, "it", NULL, NULL, NULL, &whole, &error);
    apl_response_body(whole, &bytes);
  } else if (strcmp(how, "nothing") != 0) {
    status = how[0] == 'p' ? apl_pages_open(api, "it", NULL, NULL, NULL, &stream, &error)
                           : apl_records_open(api, "it", NULL, NULL, NULL, &stream, &error);
    while (status == APL_STATUS_OK && (status = apl_stream_next(stream, NULL, &len, &error)) == APL_STATUS_OK) bytes += len;
  }
  if (status >= APL_STATUS_NULL_ARGUMENT) return fail(how, error);
  printf("%zu %ld\n", bytes, peak_kib());
  apl_stream_free(stream);
  apl_response_free(whole);
  apl_connector_free(api);
  return 0;
}
