/* Pages fetched and merged by the library: merge_apl BASE PATH TIMES LENGTH. */
#include "client.h"
#include <apl.h>

int main(int argc, char **argv) {
  char config[2048];
  apl_connector *api = NULL;
  apl_error *error = NULL;
  bench_clock begun;
  long i, count;
  if (argc < 5) bench_fail("usage", "merge_apl BASE PATH TIMES LENGTH");
  count = atol(argv[3]);
  /* The arguments are the runner's own: nothing in them needs escaping. */
  snprintf(config, sizeof config,
           "{\"base_url\": \"%s\", \"accept_encoding\": \"identity\", \"endpoints\": {\"merge\": {\"path\": \"%s\","
           " \"pagination\": {\"data_path\": \"data\", \"next_url_path\": \"next\"}}}}",
           argv[1], argv[2]);
  if (apl_connector_new(config, &api, &error) != APL_STATUS_OK)
    bench_fail("apl_connector_new", apl_error_message(error));
  begun = bench_now();
  for (i = 0; i < count; i++) {
    apl_response *response = NULL;
    size_t len = 0;
    if (apl_fetch(api, "merge", NULL, NULL, NULL, &response, &error) != APL_STATUS_OK)
      bench_fail("apl_fetch", apl_error_message(error));
    apl_response_body(response, &len);
    if (len != (size_t)atol(argv[4])) bench_fail("apl_fetch", "another array than expected");
    apl_response_free(response);
  }
  bench_report(begun);
  apl_connector_free(api);
  return 0;
}
