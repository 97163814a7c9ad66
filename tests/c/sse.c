/* Server-sent events as a C program meets them: what each getter gives, who owns what, and for how long.
 * Run under tests/support/with-server with HOSTILE_URL; also under valgrind and AddressSanitizer. */
#include "harness.h"

static const char CONFIG[] =
    "type: sse\n"
    "base_url: ${HOSTILE_URL}\n"
    "auth: {type: bearer, token: canary-bearer-token}\n"
    "timeout: 10\n"
    "endpoints:\n"
    "  feed: {path: /events/10, sse: {reconnect_delay: 0.01, comments: true, lifecycle: true}}\n"
    "  quiet: {path: /events/10, sse: {reconnect_delay: 0.01}}\n"
    "  answer: {path: /answer/3, method: POST, sse: {sentinel: '[DONE]'}}\n"
    "  text: {path: /text}\n"
    "  missing: {path: /status/404}\n"
    "  hang: {path: /hang-head}\n";

static apl_connector *api;

static apl_stream *opened(const char *endpoint, const char *options) {
  apl_stream *stream = NULL;
  apl_error *error = NULL;
  apl_status status = apl_sse_open(api, endpoint, NULL, options, NULL, &stream, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_error_free(error);
  return stream;
}

/* Every event once, over four connections, and what the getters say of each kind. */
static void reading(void) {
  apl_stream *stream = opened("feed", NULL);
  apl_error *error = NULL;
  const uint8_t *data = NULL;
  size_t len = 0, json_len = 0;
  int events = 0, comments = 0, connects = 0, disconnects = 0;
  apl_status status;

  CHECK(apl_stream_event(stream) == NULL);
  CHECK(apl_stream_checkpoint(stream) == NULL);
  while ((status = apl_stream_next(stream, &data, &len, &error)) == APL_STATUS_OK) {
    const apl_event *event = apl_stream_event(stream);
    char id[16];

    CHECK(event != NULL && apl_stream_event(stream) == event);
    CHECK(data[len] == '\0');
    CHECK(apl_event_data(event, NULL) == data);
    switch (apl_event_kind(event)) {
      case APL_KIND_EVENT:
        events++;
        snprintf(id, sizeof id, "%d", events);
        CHECK_TEXT(apl_event_id(event), id);
        CHECK_TEXT(apl_event_type(event), "number");
        CHECK_WITHIN((const char *)data, "{\"n\": ");
        CHECK_WITHIN(apl_event_json(event, &json_len), "\"data\":{\"n\": ");
        CHECK_NUMBER(json_len, strlen(apl_event_json(event, NULL)));
        CHECK_NUMBER(apl_event_retry_ms(event), -1);
        CHECK_NUMBER(apl_response_http_status(apl_stream_response(stream)), 200);
        CHECK(apl_stream_checkpoint(stream) != NULL);
        break;
      case APL_KIND_COMMENT:
        comments++;
        CHECK_TEXT((const char *)data, "10 in all");
        break;
      case APL_KIND_CONNECTED:
        connects++;
        CHECK_NUMBER(len, 0);
        break;
      default:
        disconnects++;
        CHECK_NUMBER(apl_event_kind(event), APL_KIND_DISCONNECTED);
        CHECK(len > 0);
    }
  }
  CHECK_STATUS(status, APL_STATUS_PROTOCOL, error); /* the 204 behind the last */
  CHECK(data == NULL);
  apl_error_free(error);
  CHECK_NUMBER(events, 10);
  CHECK_NUMBER(comments, 4);
  CHECK_NUMBER(connects, 4);
  CHECK_NUMBER(disconnects, 5);
  CHECK(apl_stream_event(stream) == NULL);
  CHECK_WITHIN(apl_response_meta(apl_stream_response(stream)), "\"reconnects\":3");
  CHECK_NUMBER(apl_stream_next(stream, NULL, NULL, NULL), APL_STATUS_PROTOCOL);
  apl_stream_free(stream);
}

/* Freed wherever it is: with an event in hand, between two connections, before the first event. */
static void freeing(void) {
  static const char WAIT[] = "{\"wait\": 0, \"reconnect_delay\": 60}";
  apl_stream *stream = opened("quiet", NULL);
  int i;

  apl_stream_free(stream);
  stream = opened("quiet", NULL);
  CHECK_NUMBER(apl_stream_next(stream, NULL, NULL, NULL), APL_STATUS_OK);
  CHECK(apl_stream_event(stream) != NULL);
  apl_event_json(apl_stream_event(stream), NULL);
  apl_stream_free(stream);
  stream = opened("quiet", WAIT);
  for (i = 0; i < 3;) {
    apl_status status = apl_stream_next(stream, NULL, NULL, NULL);
    CHECK(status == APL_STATUS_OK || status == APL_STATUS_IDLE);
    i += status == APL_STATUS_OK;
  }
  CHECK_NUMBER(apl_stream_next(stream, NULL, NULL, NULL), APL_STATUS_IDLE);
  apl_stream_free(stream);
}

static void answers(void) {
  apl_stream *stream = opened("answer", NULL);
  apl_error *error = NULL;
  apl_status status;
  int words = 0;

  while ((status = apl_stream_next(stream, NULL, NULL, &error)) == APL_STATUS_OK) words++;
  CHECK_NUMBER(words, 3);
  CHECK_STATUS(status, APL_STATUS_TRUNCATED, error);
  apl_stream_free(stream);
  CHECK_TEXT((const char *)apl_response_body(apl_error_partial(error), NULL),
             "{\"word\": 0}\n{\"word\": 1}\n{\"word\": 2}");
  apl_error_free(error);
}

static void refusals(void) {
  apl_stream *stream = NULL;
  apl_error *error = NULL;
  apl_status status = apl_sse_open(api, "text", NULL, NULL, NULL, &stream, &error);

  CHECK_STATUS(status, APL_STATUS_PROTOCOL, error);
  CHECK(stream == NULL);
  CHECK_TEXT((const char *)apl_response_body(apl_error_response(error), NULL), "this is not JSON");
  apl_error_free(error);
  status = apl_sse_open(api, "missing", NULL, NULL, NULL, &stream, &error);
  CHECK_STATUS(status, APL_STATUS_HTTP_STATUS, error);
  apl_error_free(error);
  status = apl_sse_open(api, "feed", NULL, NULL, NULL, NULL, &error);
  CHECK_STATUS(status, APL_STATUS_NULL_ARGUMENT, error);
  apl_error_free(error);
}

/* What a callback has seen, and what it is to do. */
struct taken {
  int calls, events, stop_after;
  apl_cancel *cancel;
};

static int32_t take(const apl_event *const *events, size_t count, void *user_data) {
  struct taken *taken = user_data;
  size_t i;

  for (i = 0; i < count; i++) {
    taken->events++;
    CHECK_NUMBER(apl_event_kind(events[i]), APL_KIND_EVENT);
    CHECK_NUMBER(strtol(apl_event_id(events[i]), NULL, 10), taken->events);
    CHECK_WITHIN(apl_event_json(events[i], NULL), "\"event\":\"number\"");
    CHECK(apl_event_data(events[i], NULL) != NULL);
  }
  taken->calls++;
  apl_cancel_trigger(taken->cancel);
  return taken->calls == taken->stop_after ? 5 : 0;
}

static void consuming(void) {
  static const char *const OPTIONS[] = {
      "{\"max_events\": 10, \"chunk_size\": 4}",
      "{\"max_events\": 10, \"chunk_size\": 4, \"drop_policy\": \"drop_oldest\"}",
      "{\"max_events\": 10, \"chunk_size\": 4, \"drop_policy\": \"drop_newest\"}",
  };
  int i;

  for (i = 0; i < 3; i++) {
    struct taken taken = {0, 0, 0, NULL};
    apl_response *summary = NULL;
    apl_error *error = NULL;
    apl_status status = apl_consume_sse(api, "quiet", NULL, OPTIONS[i], take, &taken, NULL, &summary, &error);

    CHECK_STATUS(status, APL_STATUS_OK, error);
    CHECK_NUMBER(taken.calls, 3);
    CHECK_NUMBER(taken.events, 10);
    CHECK_WITHIN((const char *)apl_response_body(summary, NULL), "\"processed_events\":10,\"chunks_processed\":3");
    apl_response_free(summary);

    /* Nobody takes them: the summary has them. */
    status = apl_consume_sse(api, "quiet", NULL, OPTIONS[i], NULL, NULL, NULL, &summary, &error);
    CHECK_STATUS(status, APL_STATUS_OK, error);
    CHECK_WITHIN((const char *)apl_response_body(summary, NULL), "\"results\":[[{\"id\":\"1\"");
    apl_response_free(summary);

    taken.calls = taken.events = 0;
    taken.stop_after = 1;
    status = apl_consume_sse(api, "quiet", NULL, OPTIONS[i], take, &taken, NULL, &summary, &error);
    CHECK_STATUS(status, APL_STATUS_STOPPED, error);
    CHECK_NUMBER(taken.events, 4);
    CHECK_WITHIN((const char *)apl_response_body(summary, NULL), "\"success\":true,\"processed_events\":4");
    apl_response_free(summary);

    taken.calls = taken.events = taken.stop_after = 0;
    taken.cancel = apl_cancel_new();
    status = apl_consume_sse(api, "quiet", NULL, OPTIONS[i], take, &taken, taken.cancel, &summary, &error);
    CHECK_STATUS(status, APL_STATUS_CANCELLED, error);
    CHECK(summary == NULL);
    CHECK_WITHIN((const char *)apl_response_body(apl_error_partial(error), NULL), "\"success\":false");
    apl_error_free(error);
    apl_cancel_free(taken.cancel);
  }
}

static void *close_it(void *stream) {
  apl_stream_close(stream);
  return NULL;
}

static void closing(void) {
  apl_stream *stream = opened("quiet", "{\"reconnect_delay\": 60}");
  apl_error *error = NULL;
  pthread_t other;
  apl_status status;

  while (apl_stream_checkpoint(stream) == NULL || strcmp(apl_event_id(apl_stream_event(stream)), "3") != 0)
    CHECK_NUMBER(apl_stream_next(stream, NULL, NULL, NULL), APL_STATUS_OK);
  CHECK_NUMBER(pthread_create(&other, NULL, close_it, stream), 0);
  /* A minute away from the next connection. */
  status = apl_stream_next(stream, NULL, NULL, &error);
  CHECK_STATUS(status, APL_STATUS_CANCELLED, error);
  pthread_join(other, NULL);
  apl_error_free(error);
  apl_stream_free(stream);
}

int main(void) {
  apl_error *error = NULL;
  apl_status status;

  harness_server("HOSTILE_URL");
  status = apl_connector_new(CONFIG, &api, &error);
  if (!CHECK_STATUS(status, APL_STATUS_OK, error)) return harness_end();
  reading();
  freeing();
  answers();
  refusals();
  consuming();
  closing();
  apl_connector_free(api);
  return harness_end();
}
