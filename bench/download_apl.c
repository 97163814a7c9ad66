/* A download through the library: download_apl BASE PATH FILE LENGTH [CA]. */
#include "client.h"
#include <apl.h>

int main(int argc, char **argv) {
  char config[2048], summary[64];
  apl_connector *api = NULL;
  apl_response *response = NULL;
  apl_error *error = NULL;
  bench_clock begun;
  if (argc < 5) bench_fail("usage", "download_apl BASE PATH FILE LENGTH [CA]");
  remove(argv[3]);
  /* The arguments are the runner's own: nothing in them needs escaping. */
  snprintf(config, sizeof config,
           "{\"base_url\": \"%s\", \"tls\": {%s%s%s}, \"endpoints\": {\"get\": {\"path\": \"%s\"}}}", argv[1],
           argc > 5 ? "\"ca_file\": \"" : "", argc > 5 ? argv[5] : "", argc > 5 ? "\"" : "", argv[2]);
  begun = bench_now();
  if (apl_connector_new(config, &api, &error) != APL_STATUS_OK)
    bench_fail("apl_connector_new", apl_error_message(error));
  if (apl_download(api, "get", argv[3], NULL, NULL, NULL, NULL, NULL, &response, &error) != APL_STATUS_OK)
    bench_fail("apl_download", apl_error_message(error));
  bench_report(begun);
  snprintf(summary, sizeof summary, "\"bytes_written\":%s,", argv[4]);
  if (strstr((const char *)apl_response_body(response, NULL), summary) == NULL)
    bench_fail("apl_download", (const char *)apl_response_body(response, NULL));
  apl_response_free(response);
  apl_connector_free(api);
  return 0;
}
