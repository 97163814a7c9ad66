/* A feed of events that survives its connections: the server closes after every few events, and none is lost.
 *
 *   cc events.c -lapl && DEMO_URL=http://127.0.0.1:8080 ./a.out streams.yaml
 *
 * First one event after the other, then in chunks; in between, a place to go on from. */
#include <apl.h>
#include <stdio.h>

/* Says what failed and frees the error. */
static int report(const char *what, apl_error *error) {
  fprintf(stderr, "%s failed: %s\n", what, apl_error_message(error));
  apl_error_free(error);
  return 1;
}

static void show(const apl_event *event) {
  const char *id = apl_event_id(event); /* NULL: there is none */
  size_t len = 0;
  const uint8_t *data = apl_event_data(event, &len);

  printf("%-3s %-8s ", id != NULL ? id : "-", apl_event_type(event));
  fwrite(data, 1, len, stdout);
  printf("\n");
}

/* Receives a chunk. The events end with this function; 0 means: go on. */
static int32_t on_events(const apl_event *const *events, size_t count, void *user_data) {
  size_t *total = user_data;
  size_t i;

  for (i = 0; i < count; i++) show(events[i]);
  *total += count;
  return 0;
}

int main(int argc, char **argv) {
  apl_connector *api = NULL;
  apl_stream *stream = NULL;
  apl_response *summary = NULL;
  apl_error *error = NULL;
  apl_status status;
  const char *checkpoint;
  char options[512];
  size_t total = 0;
  int result = 1;

  if (apl_connector_open(argc > 1 ? argv[1] : "streams.yaml", &api, &error) != APL_STATUS_OK)
    return report("opening the connector", error);

  /* Reconnects are made inside apl_stream_next, behind the last event: six events are two connections. */
  status = apl_sse_open(api, "orders", NULL, "{\"max_events\": 6}", NULL, &stream, &error);
  if (status != APL_STATUS_OK) {
    report("opening the feed", error);
    goto done;
  }
  while ((status = apl_stream_next(stream, NULL, NULL, &error)) == APL_STATUS_OK) show(apl_stream_event(stream));
  if (status != APL_STATUS_END) {
    report("the feed", error);
    goto done;
  }

  /* The place behind the last event, for a file or a database: letters that need no quoting, and no secret. */
  checkpoint = apl_stream_checkpoint(stream);
  if (checkpoint == NULL || snprintf(options, sizeof options, "{\"max_events\": 5, \"chunk_size\": 2, \"checkpoint\": \"%s\"}",
                                     checkpoint) >= (int)sizeof options) {
    fprintf(stderr, "no event had an id, or a very long one: there is no place to go on from\n");
    goto done;
  }
  apl_stream_free(stream);
  stream = NULL;

  status = apl_consume_sse(api, "orders", NULL, options, on_events, &total, NULL, &summary, &error);
  if (status != APL_STATUS_OK) {
    report("consuming", error);
    goto done;
  }
  printf("%s\n", (const char *)apl_response_body(summary, NULL));
  result = total == 5 ? 0 : 1;

done:
  apl_response_free(summary);
  apl_stream_free(stream);
  apl_connector_free(api);
  return result;
}
