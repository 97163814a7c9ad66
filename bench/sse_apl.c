/* Events through the library: sse_apl BASE PATH COUNT BYTES. Each is looked at: id, and the length of its data. */
#include "client.h"
#include <apl.h>

int main(int argc, char **argv) {
  char config[1024];
  apl_connector *api = NULL;
  apl_stream *stream = NULL;
  apl_error *error = NULL;
  apl_status status;
  bench_clock begun;
  const uint8_t *data;
  size_t len, seen = 0;
  long events = 0;
  if (argc < 5) bench_fail("usage", "sse_apl BASE PATH COUNT BYTES");
  snprintf(config, sizeof config,
           "{\"base_url\": \"%s\", \"endpoints\": {\"get\": {\"path\": \"%s\", \"sse\": {\"reconnect\": false}}}}", argv[1],
           argv[2]);
  if (apl_connector_new(config, &api, &error) != APL_STATUS_OK)
    bench_fail("apl_connector_new", apl_error_message(error));
  begun = bench_now();
  if (apl_sse_open(api, "get", NULL, NULL, NULL, &stream, &error) != APL_STATUS_OK)
    bench_fail("apl_sse_open", apl_error_message(error));
  while ((status = apl_stream_next(stream, &data, &len, &error)) == APL_STATUS_OK) {
    events += apl_event_id(apl_stream_event(stream))[0] != '\0';
    seen += len;
  }
  if (status != APL_STATUS_END) bench_fail("apl_stream_next", apl_error_message(error));
  bench_report(begun);
  if (events != atol(argv[3]) || seen < (size_t)events * (size_t)atol(argv[4])) bench_fail("sse", "other events than expected");
  apl_stream_free(stream);
  apl_connector_free(api);
  return 0;
}
