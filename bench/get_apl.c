/* Keep-alive GETs through the library: get_apl BASE PATH COUNT LENGTH [CA]. The JSON of each answer is checked. */
#include "client.h"
#include <apl.h>

static void get(const apl_connector *api, size_t length) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  size_t len = 0;
  if (apl_fetch(api, "get", NULL, "{\"deadline\": 30}", NULL, &response, &error) != APL_STATUS_OK)
    bench_fail("apl_fetch", apl_error_message(error));
  apl_response_body(response, &len);
  if (len != length) bench_fail("apl_fetch", "another body than expected");
  apl_response_free(response);
}

int main(int argc, char **argv) {
  char config[2048];
  apl_connector *api = NULL;
  apl_error *error = NULL;
  bench_clock begun;
  long i, count;
  size_t length;
  if (argc < 5) bench_fail("usage", "get_apl BASE PATH COUNT LENGTH [CA]");
  count = atol(argv[3]);
  length = (size_t)atol(argv[4]);
  /* The arguments are the runner's own: nothing in them needs escaping. */
  snprintf(config, sizeof config,
           "{\"base_url\": \"%s\", \"accept_encoding\": \"identity\", \"tls\": {%s%s%s},"
           " \"endpoints\": {\"get\": {\"path\": \"%s\"}}}",
           argv[1], argc > 5 ? "\"ca_file\": \"" : "", argc > 5 ? argv[5] : "", argc > 5 ? "\"" : "", argv[2]);
  if (apl_connector_new(config, &api, &error) != APL_STATUS_OK)
    bench_fail("apl_connector_new", apl_error_message(error));
  get(api, length);
  begun = bench_now();
  for (i = 0; i < count; i++) get(api, length);
  bench_report(begun);
  apl_connector_free(api);
  return 0;
}
