/* The C API as a C program meets it: what each call gives, what each mistake gives, and who owns what.
 * Run under tests/support/with-server with HOSTILE_URL; also under valgrind and AddressSanitizer, which see
 * what the checks cannot: leaks, and memory used after its handle is gone. */
#include "folders.h"

#include "harness.h"

static const char CONFIG[] =
    "type: rest\n"
    "base_url: ${HOSTILE_URL}\n"
    "auth: {type: bearer, token: canary-bearer-token}\n"
    "headers: {X-Fixed: always}\n"
    "retry_count: 1\n"
    "timeout: 10\n"
    "health: {path: /echo}\n"
    "endpoints:\n"
    "  echo: {path: /echo}\n"
    "  echo_path: {path: '/echo/{name}'}\n"
    "  post: {path: /echo, method: POST}\n"
    "  upload: {path: /echo, method: PUT, body: raw, content_type: application/octet-stream}\n"
    "  method: {path: /echo, response_path: method}\n"
    "  missing: {path: /echo, response_path: not.there}\n"
    "  numbers: {path: /numbers}\n"
    "  number: {path: /numbers, response_path: id}\n"
    "  gzip: {path: /gzip}\n"
    "  headers: {path: /headers}\n"
    "  nothing: {path: /status/204}\n"
    "  zero: {path: /zero}\n"
    "  text: {path: /text}\n"
    "  paged: {path: /text, pagination: {style: cursor}}\n"
    "  truncated: {path: /truncated}\n"
    "  garbage: {path: /garbage}\n"
    "  close: {path: /close, method: POST}\n"
    "  status: {path: '/status/{code}'}\n"
    "  wait: {path: /retry-after/7}\n"
    "  hang: {path: /hang-head}\n"
    "  big: {path: /big/1000000}\n";

static apl_connector *api;

/* A fetch that must work; its body must be exactly `want` (NULL: anything). The caller frees the response. */
static apl_response *fetch(const char *endpoint, const char *params, const char *options, const char *want) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status = apl_fetch(api, endpoint, params, options, NULL, &response, &error);

  if (CHECK_STATUS(status, APL_STATUS_OK, error)) {
    size_t len = 0;
    const char *body = (const char *)apl_response_body(response, &len);
    CHECK(error == NULL);
    CHECK(body != NULL && body[len] == '\0');
    if (want != NULL) CHECK_TEXT(body, want);
  } else {
    fprintf(stderr, "  (fetch %s)\n", endpoint);
  }
  apl_error_free(error);
  return response;
}

static void fetched(const char *endpoint, const char *params, const char *options, const char *want) {
  apl_response_free(fetch(endpoint, params, options, want));
}

/* A fetch that must fail. The caller frees the error. */
static apl_error *refused(const char *endpoint, const char *params, const char *options, apl_status want) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status = apl_fetch(api, endpoint, params, options, NULL, &response, &error);

  if (!CHECK_STATUS(status, want, error)) fprintf(stderr, "  (fetch %s)\n", endpoint);
  CHECK(response == NULL);
  CHECK(error != NULL);
  CHECK_NUMBER(apl_error_status(error), status);
  CHECK(apl_error_message(error) != NULL && apl_error_message(error)[0] != '\0');
  CHECK_WITHIN(apl_error_json(error), "\"message\"");
  CHECK(strstr(apl_error_json(error), "canary") == NULL);
  CHECK(strstr(apl_error_message(error), "canary") == NULL);
  apl_response_free(response);
  return error;
}

static void fails(const char *endpoint, const char *params, const char *options, apl_status want) {
  apl_error_free(refused(endpoint, params, options, want));
}

static void versions(void) {
  CHECK_NUMBER(apl_abi_version(), APL_ABI_VERSION);
  CHECK_NUMBER(apl_version_number(), APL_VERSION_NUMBER);
  CHECK(apl_version() != NULL && apl_version()[0] != '\0');
  CHECK(apl_status_name(APL_STATUS_UNKNOWN_ENDPOINT) != NULL);
  CHECK(apl_status_name(12345) != NULL);
}

/* A connector that must not come to be; the message must name the culprit. */
static void bad_config(const char *config, const char *culprit) {
  apl_connector *made = NULL;
  apl_error *error = NULL;
  apl_status status = apl_connector_new(config, &made, &error);

  CHECK_STATUS(status, APL_STATUS_INVALID_CONFIG, error);
  CHECK(made == NULL);
  CHECK_WITHIN(apl_error_message(error), culprit);
  apl_error_free(error);
  apl_connector_free(made);
}

static void connectors(void) {
  apl_connector *made = NULL;
  apl_error *error = NULL;
  apl_status status;

  bad_config("", "");
  bad_config("{", "");
  bad_config("{\"type\": \"rest\"}", "base_url");
  bad_config("{\"base_url\": \"http://127.0.0.1\", \"base_ulr\": 1}", "base_ulr");
  bad_config("{\"base_url\": \"http://127.0.0.1\", \"base_url\": \"http://127.0.0.1\"}", "base_url");
  bad_config("{\"base_url\": \"http://127.0.0.1\", \"auth\": {\"type\": \"telepathy\"}}", "telepathy");
  bad_config("{\"base_url\": \"http://127.0.0.1/${APL_TEST_NOT_SET}\"}", "APL_TEST_NOT_SET");

  status = apl_connector_new(NULL, &made, &error);
  CHECK_STATUS(status, APL_STATUS_NULL_ARGUMENT, error);
  CHECK(made == NULL && error != NULL);
  apl_error_free(error);

  error = NULL;
  status = apl_connector_new("{\"base_url\": \"http://127.0.0.1\"}", NULL, &error);
  CHECK_STATUS(status, APL_STATUS_NULL_ARGUMENT, error);
  apl_error_free(error);

  error = NULL;
  status = apl_connector_open("/no/such/file.yaml", &made, &error);
  CHECK(status >= 100);
  CHECK(made == NULL);
  CHECK_WITHIN(apl_error_message(error), "/no/such/file.yaml");
  apl_error_free(error);

  /* Nobody asked for the error: then there is none to free. */
  status = apl_connector_new("{", &made, NULL);
  CHECK_NUMBER(status, APL_STATUS_INVALID_CONFIG);
  CHECK(made == NULL);

  /* A value that may be secret does not show in the error about its key. */
  error = NULL;
  status = apl_connector_new("{\"base_url\": \"http://127.0.0.1\", \"headers\": {\"bad name\": \"canary-value\"}}",
                             &made, &error);
  CHECK_STATUS(status, APL_STATUS_INVALID_CONFIG, error);
  CHECK(strstr(apl_error_json(error), "canary") == NULL);
  apl_error_free(error);
}

static void fetching(void) {
  apl_response *response = fetch("echo", "{\"b\": \"x y&z\", \"n\": 12345678901234567890, \"yes\": true}", NULL, NULL);
  const char *body = (const char *)apl_response_body(response, NULL);

  CHECK_WITHIN(body, "\"method\": \"GET\"");
  CHECK_WITHIN(body, "b=x%20y%26z");
  CHECK_WITHIN(body, "n=12345678901234567890");
  CHECK_WITHIN(body, "yes=true");
  CHECK_WITHIN(body, "Bearer canary-bearer-token"); /* the server's own words: results are not redacted */
  CHECK_WITHIN(body, "always");
  CHECK_NUMBER(apl_response_http_status(response), 200);
  CHECK_TEXT(apl_response_header(response, "content-type"), "application/json");
  CHECK(apl_response_header(response, "x-absent") == NULL);
  CHECK_WITHIN(apl_response_meta(response), "\"status\"");
  CHECK(strstr(apl_response_meta(response), "canary") == NULL);
  apl_response_free(response);

  response = fetch("echo_path", "{\"name\": \"a/b c\"}", NULL, NULL);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "\"/echo/a%2Fb%20c\"");
  apl_response_free(response);

  response = fetch("echo", NULL, "{\"extra_headers\": {\"X-Extra\": \"only now\"}}", NULL);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "only now");
  apl_response_free(response);

  fetched("numbers", NULL, NULL, "{\"id\": 123456789012345678901234567890, \"x\": 0.1234567890123456789, \"z\": -0}");
  fetched("number", NULL, NULL, "123456789012345678901234567890");
  fetched("method", "{}", "{}", "\"GET\"");
  fetched("gzip", NULL, NULL, "{\"packed\": true}");
  fetched("nothing", NULL, NULL, "null");
  fetched("zero", NULL, NULL, "null");

  response = fetch("headers", NULL, NULL, "{}");
  CHECK_TEXT(apl_response_header(response, "X-MANY"), "one, two");
  CHECK_TEXT(apl_response_header(response, "set-cookie"), "a=1");
  CHECK_TEXT(apl_response_header(response, "x-latin"), "caf\xef\xbf\xbd");
  apl_response_free(response);

  response = fetch("big", NULL, NULL, NULL);
  if (response != NULL) {
    size_t len = 0;
    const uint8_t *big = apl_response_body(response, &len);
    CHECK_NUMBER(len, 1000002);
    CHECK(big[0] == '"' && big[len - 1] == '"');
  }
  apl_response_free(response);
}

static void sending(void) {
  static const uint8_t BYTES[] = {'a', 0, 'b', '\n'};
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status = apl_send(api, "post", "{\"name\":\"Ada\",\"n\":1.10}", NULL, NULL, &response, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "\"success\"");
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "{\\\"name\\\":\\\"Ada\\\",\\\"n\\\":1.10}");
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "\"POST\"");
  apl_response_free(response);
  apl_error_free(error);

  status = apl_send(api, "post", "{not json", NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_INVALID_ARGUMENT, error);
  CHECK(response == NULL);
  apl_error_free(error);

  status = apl_send_bytes(api, "upload", BYTES, sizeof BYTES, NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "\"PUT\"");
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "application/octet-stream");
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "a\\u0000b\\u000a");
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "\"body_length\": 4");
  apl_response_free(response);
  apl_error_free(error);

  /* (NULL, 0) is an empty body; (NULL, more) is a mistake. */
  status = apl_send_bytes(api, "upload", NULL, 0, NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "\"body_length\": 0");
  apl_response_free(response);
  apl_error_free(error);

  status = apl_send_bytes(api, "upload", NULL, 1, NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_NULL_ARGUMENT, error);
  CHECK(response == NULL);
  apl_error_free(error);
}

static void health(void) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_connector *nobody = NULL;
  apl_status status = apl_check_health(api, NULL, &response, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "\"healthy\"");
  apl_response_free(response);
  apl_error_free(error);

  /* No answer is a verdict too. Port 1 of the loopback address listens nowhere. */
  error = NULL;
  status = apl_connector_new("{\"base_url\": \"http://127.0.0.1:1\"}", &nobody, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_error_free(error);
  status = apl_check_health(nobody, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "\"unhealthy\"");
  apl_response_free(response);
  apl_error_free(error);
  apl_connector_free(nobody);
}

static void sign_ins(void) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_connector *with_browser = NULL;
  apl_status status = apl_auth_begin(api, NULL, NULL, &response, &error);

  /* A connector that nobody signs in to. */
  CHECK_STATUS(status, APL_STATUS_INVALID_ARGUMENT, error);
  CHECK_WITHIN(apl_error_message(error), "oauth2_pkce and oauth2_device_flow");
  CHECK(response == NULL);
  apl_error_free(error);
  status = apl_auth_finish(api, "http://127.0.0.1/cb?code=canary-code", NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_INVALID_ARGUMENT, error);
  CHECK(response == NULL && strstr(apl_error_json(error), "canary") == NULL);
  apl_error_free(error);

  /* Nobody listens there: a sign-in in a browser begins without a request. */
  error = NULL;
  status = apl_connector_new(
      "{\"base_url\": \"http://127.0.0.1:1\", \"auth\": {\"type\": \"oauth2_pkce\", \"client_id\": \"c\", \"redirect_uri\":"
      "\"http://127.0.0.1/cb\", \"authorization_url\": \"http://127.0.0.1:1/a\", \"token_url\": \"http://127.0.0.1:1/t\"}}",
      &with_browser, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_error_free(error);
  status = apl_auth_finish(with_browser, "?code=canary-code&state=s", NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_INVALID_ARGUMENT, error);
  CHECK_WITHIN(apl_error_message(error), "apl_auth_begin");
  apl_error_free(error);
  error = NULL;
  status = apl_auth_begin(with_browser, NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "{\"authorization_url\":\"http://127.0.0.1:1/a?");
  apl_response_free(response);
  apl_error_free(error);
  status = apl_auth_finish(with_browser, "?code=canary-code&state=another", NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_AUTH, error);
  CHECK(response == NULL && strstr(apl_error_json(error), "canary") == NULL);
  apl_error_free(error);
  apl_connector_free(with_browser);
}

static void mistakes(void) {
  apl_response *response = NULL;
  apl_error *error = refused("ecko", NULL, NULL, APL_STATUS_UNKNOWN_ENDPOINT);
  apl_status status;

  CHECK_WITHIN(apl_error_message(error), "echo"); /* the nearest name */
  CHECK_TEXT(apl_error_category(error), "VALIDATION");
  CHECK_NUMBER(apl_error_http_status(error), 0);
  CHECK(!apl_error_is_retryable(error));
  CHECK(apl_error_response(error) == NULL);
  apl_error_free(error);

  error = refused("echo", NULL, "{\"dead_line\": 1}", APL_STATUS_INVALID_ARGUMENT);
  CHECK_WITHIN(apl_error_message(error), "deadline");
  apl_error_free(error);

  fails("echo", NULL, "{\"deadline\": \"soon\"}", APL_STATUS_INVALID_ARGUMENT);
  fails("echo", NULL, "{\"deadline\": -1}", APL_STATUS_INVALID_ARGUMENT);
  fails("echo", NULL, "{\"deadline\": 1, \"deadline\": 2}", APL_STATUS_INVALID_ARGUMENT);
  fails("echo", NULL, "[]", APL_STATUS_INVALID_ARGUMENT);
  fails("echo", NULL, "{", APL_STATUS_INVALID_ARGUMENT);
  fails("echo", "[1]", NULL, APL_STATUS_INVALID_ARGUMENT);
  fails("echo", "{\"a\": \"\xff\"}", NULL, APL_STATUS_INVALID_ARGUMENT);
  fails("echo", NULL, "{\"extra_headers\": {\"X-A\": \"b\\r\\nX-C: d\"}}", APL_STATUS_INVALID_ARGUMENT);
  fails("paged", NULL, NULL, APL_STATUS_DECODE); /* a page that is no JSON */
  fails("echo_path", NULL, NULL, APL_STATUS_INVALID_ARGUMENT);
  fails("echo_path", "{\"name\": \"..\"}", NULL, APL_STATUS_INVALID_ARGUMENT);

  status = apl_fetch(NULL, "echo", NULL, NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_NULL_ARGUMENT, error);
  apl_error_free(error);
  status = apl_fetch(api, NULL, NULL, NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_NULL_ARGUMENT, error);
  apl_error_free(error);
  status = apl_fetch(api, "echo", NULL, NULL, NULL, NULL, &error);
  CHECK_STATUS(status, APL_STATUS_NULL_ARGUMENT, error);
  apl_error_free(error);
}

static void failures(void) {
  apl_error *error = refused("status", "{\"code\": 418}", NULL, APL_STATUS_HTTP_STATUS);
  const apl_response *answer = apl_error_response(error);

  CHECK_NUMBER(apl_error_http_status(error), 418);
  CHECK_TEXT(apl_error_category(error), "CLIENT");
  CHECK(!apl_error_is_retryable(error));
  CHECK(answer != NULL);
  CHECK_NUMBER(apl_response_http_status(answer), 418);
  CHECK_WITHIN((const char *)apl_response_body(answer, NULL), "as asked");
  CHECK_TEXT(apl_response_header(answer, "content-type"), "application/problem+json");
  apl_error_free(error);

  error = refused("status", "{\"code\": 503}", NULL, APL_STATUS_HTTP_STATUS);
  CHECK_TEXT(apl_error_category(error), "SERVER");
  CHECK(apl_error_is_retryable(error));
  apl_error_free(error);

  error = refused("status", "{\"code\": 401}", NULL, APL_STATUS_AUTH);
  CHECK_TEXT(apl_error_category(error), "AUTH");
  apl_error_free(error);

  error = refused("wait", NULL, NULL, APL_STATUS_RATE_LIMITED);
  CHECK_TEXT(apl_error_category(error), "RATE_LIMIT");
  CHECK_NUMBER(apl_error_retry_after_ms(error), 7000);
  apl_error_free(error);

  error = refused("hang", NULL, "{\"deadline\": 0.2}", APL_STATUS_TIMEOUT);
  CHECK_TEXT(apl_error_category(error), "TIMEOUT");
  apl_error_free(error);

  fails("text", NULL, NULL, APL_STATUS_DECODE);
  fails("missing", NULL, NULL, APL_STATUS_DECODE);
  fails("truncated", NULL, NULL, APL_STATUS_TRUNCATED);
  fails("garbage", NULL, NULL, APL_STATUS_PROTOCOL);
  error = refused("close", NULL, "{\"data\": {}}", APL_STATUS_IO);
  CHECK(!apl_error_is_retryable(error)); /* a POST that the server may have seen */
  apl_error_free(error);

  /* A status that the caller calls fine. */
  fetched("status", "{\"code\": 404}", "{\"ok_status\": [404]}", NULL);
  /* And after all this the connector is as good as new. */
  fetched("gzip", NULL, NULL, "{\"packed\": true}");
}

/* Handles go in any order: each keeps alive what it needs. */
static void ownership(void) {
  apl_connector *made = NULL;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_cancel *cancel = apl_cancel_new();
  apl_status status = apl_connector_new(CONFIG, &made, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  status = apl_fetch(made, "numbers", NULL, NULL, cancel, &response, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_cancel_free(cancel);
  apl_connector_free(made);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "123456789012345678901234567890");
  CHECK_WITHIN(apl_response_meta(response), "/numbers");
  apl_response_free(response);

  status = apl_connector_new(CONFIG, &made, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  status = apl_fetch(made, "status", "{\"code\": 500}", NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_HTTP_STATUS, error);
  apl_connector_free(made);
  CHECK_NUMBER(apl_response_http_status(apl_error_response(error)), 500);
  CHECK_WITHIN(apl_error_json(error), "500");
  apl_error_free(error);
}

/* Freeing nothing is fine, and every getter has an answer for nothing. */
static void nothing(void) {
  size_t len = 7;

  apl_connector_free(NULL);
  apl_response_free(NULL);
  apl_stream_free(NULL);
  apl_cancel_free(NULL);
  apl_error_free(NULL);
  apl_stream_close(NULL);
  apl_cancel_trigger(NULL);
  CHECK_NUMBER(apl_cancel_is_triggered(NULL), 0);
  CHECK(apl_response_body(NULL, &len) == NULL);
  CHECK_NUMBER(len, 0);
  CHECK_NUMBER(apl_response_http_status(NULL), 0);
  CHECK(apl_response_header(NULL, "a") == NULL);
  CHECK(apl_response_meta(NULL) == NULL);
  CHECK_NUMBER(apl_error_status(NULL), 0);
  CHECK(apl_error_message(NULL) == NULL);
  CHECK(apl_error_response(NULL) == NULL);
  CHECK(apl_error_partial(NULL) == NULL);
}

static void cancelled(void) {
  apl_cancel *cancel = apl_cancel_new();
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status;

  CHECK_NUMBER(apl_cancel_is_triggered(cancel), 0);
  apl_cancel_trigger(cancel);
  apl_cancel_trigger(cancel);
  CHECK(apl_cancel_is_triggered(cancel) != 0);
  status = apl_fetch(api, "echo", "{\"key\": \"never\"}", NULL, cancel, &response, &error);
  CHECK_STATUS(status, APL_STATUS_CANCELLED, error);
  CHECK(response == NULL);
  apl_error_free(error);
  apl_cancel_free(cancel);
}

/* What the log has said, and whether it was given back. */
struct log_seen {
  int lines, secrets, dropped;
};

static void on_log(int32_t level, const char *message, void *user_data) {
  struct log_seen *seen = user_data;
  seen->lines += level > APL_LOG_LEVEL_OFF;
  seen->secrets += strstr(message, "canary") != NULL;
}

static void on_log_dropped(void *user_data) { ((struct log_seen *)user_data)->dropped++; }

static void logging(void) {
  struct log_seen seen = {0, 0, 0};

  apl_log_set(APL_LOG_LEVEL_TRACE, on_log, &seen, on_log_dropped);
  fetched("gzip", NULL, NULL, "{\"packed\": true}");
  apl_log_set(APL_LOG_LEVEL_OFF, NULL, NULL, NULL);
  CHECK(seen.lines > 0);
  CHECK_NUMBER(seen.secrets, 0);
  CHECK_NUMBER(seen.dropped, 1);
}

/* Counts its calls, and sees the last; stops it where the number says so. */
struct seen {
  int calls, stop_at, done;
  int64_t bytes;
};

static int32_t on_progress(const apl_progress *progress, void *user_data) {
  struct seen *seen = user_data;

  CHECK_TEXT(apl_progress_endpoint(progress), "big");
  seen->bytes = apl_progress_bytes_processed(progress);
  seen->done = apl_progress_done(progress);
  return ++seen->calls == seen->stop_at;
}

/* A download to its end, one that is stopped, and one that has nowhere to go. */
static void downloading(void) {
  char folder[] = "/tmp/apl-basic-XXXXXX", path[64];
  struct seen seen = {0, 0, 0, 0}, stopping = {0, 1, 0, 0};
  apl_response *summary = NULL;
  apl_error *error = NULL;
  apl_status status;
  FILE *file;

  CHECK(folder_new(folder) != NULL);
  snprintf(path, sizeof path, "%s/sub/big", folder);
  status = apl_download(api, "big", path, NULL, NULL, on_progress, &seen, NULL, &summary, &error);
  if (CHECK_STATUS(status, APL_STATUS_OK, error)) {
    CHECK_WITHIN((const char *)apl_response_body(summary, NULL), "\"success\":true");
    CHECK_WITHIN((const char *)apl_response_body(summary, NULL), "\"bytes_written\":1000002,");
    CHECK(seen.calls >= 2 && seen.done && seen.bytes == 1000002);
    CHECK((file = fopen(path, "rb")) != NULL && fseek(file, 0, SEEK_END) == 0 && ftell(file) == 1000002);
    if (file != NULL) fclose(file);
  }
  apl_response_free(summary);

  status = apl_download(api, "big", path, NULL, NULL, on_progress, &stopping, NULL, &summary, &error);
  CHECK_STATUS(status, APL_STATUS_STOPPED, error);
  CHECK(error == NULL && stopping.calls == 1);
  CHECK_NUMBER(apl_response_http_status(summary), 0);
  CHECK_WITHIN((const char *)apl_response_body(summary, NULL), "\"success\":false");
  apl_response_free(summary);

  status = apl_download(api, "big", folder, NULL, NULL, NULL, NULL, NULL, &summary, &error);
  CHECK_STATUS(status, APL_STATUS_FILE, error);
  CHECK(summary == NULL);
  CHECK_WITHIN(apl_error_message(error), strrchr(folder, '/') + 1); /* the separator is the system's */
  apl_error_free(error);

  CHECK(remove(path) == 0);
  *strrchr(path, '/') = '\0';
  CHECK(folder_remove(path) == 0 && folder_remove(folder) == 0);
}

/* A body chunk by chunk, to its end; one that is cut; one that is closed. */
static void streaming(void) {
  apl_stream *stream = NULL;
  apl_error *error = NULL;
  const uint8_t *data = NULL;
  size_t len = 0, total = 0;
  apl_status status = apl_stream_open(api, "big", NULL, "{\"chunk_size\": 65536}", NULL, &stream, &error);

  if (!CHECK_STATUS(status, APL_STATUS_OK, error)) {
    apl_error_free(error);
    return;
  }
  CHECK_NUMBER(apl_response_http_status(apl_stream_response(stream)), 200);
  CHECK(apl_stream_event(stream) == NULL);
  while ((status = apl_stream_next(stream, &data, &len, &error)) == APL_STATUS_OK) {
    CHECK(len <= 65536 && data[len] == '\0');
    total += len;
    CHECK_NUMBER(apl_progress_bytes_processed(apl_stream_progress(stream)), total);
  }
  CHECK_STATUS(status, APL_STATUS_END, error);
  CHECK(data == NULL && len == 0);
  CHECK_NUMBER(total, 1000002);
  CHECK_NUMBER(apl_progress_done(apl_stream_progress(stream)), 1);
  CHECK_NUMBER(apl_stream_next(stream, NULL, NULL, NULL), APL_STATUS_END);
  apl_stream_free(stream);

  status = apl_stream_open(api, "truncated", NULL, NULL, NULL, &stream, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  while ((status = apl_stream_next(stream, &data, &len, &error)) == APL_STATUS_OK) {
  }
  CHECK_STATUS(status, APL_STATUS_TRUNCATED, error);
  apl_error_free(error);
  status = apl_stream_next(stream, &data, &len, &error);
  CHECK_STATUS(status, APL_STATUS_TRUNCATED, error);
  apl_error_free(error);
  apl_stream_free(stream);

  status = apl_stream_open(api, "big", NULL, NULL, NULL, &stream, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_stream_close(stream);
  status = apl_stream_next(stream, &data, &len, &error);
  CHECK_STATUS(status, APL_STATUS_CANCELLED, error);
  apl_error_free(error);
  apl_stream_free(stream);

  status = apl_stream_open(api, "status", "{\"code\": 404}", NULL, NULL, &stream, &error);
  CHECK_STATUS(status, APL_STATUS_HTTP_STATUS, error);
  CHECK(stream == NULL);
  apl_error_free(error);
}

struct signer {
  int calls, dropped;
};

static int32_t sign(apl_request *request, void *user_data) {
  struct signer *signer = user_data;
  size_t len = 7;

  CHECK_TEXT(apl_request_method(request), "POST");
  CHECK_WITHIN(apl_request_url(request), "/echo");
  CHECK_WITHIN(apl_request_header(request, "AUTHORIZATION"), "canary");
  CHECK(apl_request_header(request, "X-None") == NULL);
  CHECK_TEXT((const char *)apl_request_body(request, &len), "{\"n\": 1}");
  CHECK_NUMBER(len, 8);
  CHECK_NUMBER(apl_request_set_header(request, "X-Signed", "by me", NULL), APL_STATUS_OK);
  CHECK_NUMBER(apl_request_set_query(request, "q", "a b", NULL), APL_STATUS_OK);
  CHECK_NUMBER(apl_request_set_header(request, "Content-Length", "1", NULL), APL_STATUS_INVALID_ARGUMENT);
  return signer->calls++ == 0 ? 0 : 42;
}

static void sign_dropped(void *user_data) { ((struct signer *)user_data)->dropped++; }

/* A callback signs; its refusal is the call's failure; it is given back once. */
static void signing(void) {
  struct signer signer = {0, 0};
  apl_connector *made = NULL;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status = apl_connector_new(CONFIG, &made, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  status = apl_connector_on_request(made, sign, &signer, sign_dropped, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  status = apl_send(made, "post", "{\"n\": 1}", NULL, NULL, &response, &error);
  if (CHECK_STATUS(status, APL_STATUS_OK, error)) {
    CHECK_WITHIN((const char *)apl_response_body(response, NULL), "by me");
    CHECK_WITHIN((const char *)apl_response_body(response, NULL), "q=a%20b");
  }
  apl_response_free(response);
  status = apl_send(made, "post", "{\"n\": 1}", NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_AUTH, error);
  CHECK_WITHIN(apl_error_message(error), "42");
  apl_error_free(error);
  status = apl_connector_on_request(made, sign, &signer, NULL, &error);
  CHECK_STATUS(status, APL_STATUS_BUSY, error);
  apl_error_free(error);
  apl_connector_free(made);
  CHECK_NUMBER(signer.dropped, 1);
}

int main(void) {
  apl_error *error = NULL;
  apl_status status;

  harness_server("HOSTILE_URL");
  versions();
  connectors();
  status = apl_connector_new(CONFIG, &api, &error);
  if (CHECK_STATUS(status, APL_STATUS_OK, error)) {
    fetching();
    sending();
    health();
    sign_ins();
    mistakes();
    failures();
    ownership();
    cancelled();
    streaming();
    downloading();
    signing();
    logging();
  }
  nothing();
  apl_error_free(error);
  apl_connector_free(api);
  return harness_end();
}
