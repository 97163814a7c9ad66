/* Fetches over TLS from a server with a certificate of its own, by name, on a thread with little stack. Run
 * under tests/support/with-server with TLS_URL, and TLS_CA, the authority's file; also under valgrind, for which
 * ring's assembly needs words in valgrind.supp. STACK_KIB: what the thread gets. */
#include "harness.h"

/* What is enough for the library as it is shipped; a debug build needs more. */
#define STACK_KIB 128

static const char CONFIG[] =
    "base_url: ${TLS_URL}\n"
    "retry_count: 1\n"
    "timeout: 30\n"
    "tls: {ca_file: '${TLS_CA}'}\n"
    "endpoints:\n"
    "  numbers: {path: /numbers}\n"
    "  deep: {path: /deep}\n";

static const char NUMBERS[] = "{\"id\": 123456789012345678901234567890, \"x\": 0.1234567890123456789}";

/* A certificate of an authority that nobody knows. */
static void untrusted(void) {
  apl_connector *api = NULL;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status = apl_connector_new(
      "{\"base_url\": \"${TLS_URL}\", \"retry_count\": 1, \"endpoints\": {\"numbers\": {\"path\": \"/numbers\"}}}",
      &api, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  status = apl_fetch(api, "numbers", NULL, NULL, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_TLS, error);
  CHECK(response == NULL);
  CHECK_WITHIN(apl_error_json(error), "\"sent\":\"no\"");
  apl_error_free(error);
  apl_connector_free(api);
}

/* Into a file of the current folder, which is removed again. */
static void downloaded(const apl_connector *api) {
  static const char NAME[] = "apl-tls-test.json";
  apl_response *response = NULL;
  apl_error *error = NULL;
  char got[sizeof NUMBERS] = "";
  apl_status status = apl_download(api, "numbers", NAME, NULL, NULL, NULL, NULL, NULL, &response, &error);
  FILE *file = fopen(NAME, "rb");

  CHECK_STATUS(status, APL_STATUS_OK, error);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "\"success\":true");
  CHECK(file != NULL);
  if (file != NULL) {
    CHECK_NUMBER(fread(got, 1, sizeof got, file), sizeof got - 1);
    CHECK_TEXT(got, NUMBERS);
    fclose(file);
  }
  remove(NAME);
  apl_response_free(response);
  apl_error_free(error);
}

static void *fetches(void *unused) {
  apl_connector *api = NULL;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status;
  size_t len = 0;
  int i;

  (void)unused;
  /* First: OpenSSL's server serves one connection at a time, to its end. */
  untrusted();
  status = apl_connector_new(CONFIG, &api, &error);
  if (CHECK_STATUS(status, APL_STATUS_OK, error)) {
    for (i = 0; i < 3; i++) {
      status = apl_fetch(api, "numbers", NULL, NULL, NULL, &response, &error);
      CHECK_STATUS(status, APL_STATUS_OK, error);
      CHECK_TEXT((const char *)apl_response_body(response, NULL), NUMBERS);
      apl_response_free(response);
      apl_error_free(error);
    }
    status = apl_fetch(api, "deep", NULL, NULL, NULL, &response, &error);
    CHECK_STATUS(status, APL_STATUS_OK, error);
    CHECK(apl_response_body(response, &len) != NULL);
    CHECK_NUMBER(len, 256);
    CHECK_WITHIN(apl_response_meta(response), "/deep");
    apl_response_free(response);
    apl_error_free(error);
  }
  downloaded(api);
  apl_connector_free(api);
  return NULL;
}

int main(void) {
  const char *kib = getenv("STACK_KIB");
  size_t stack = (size_t)(kib != NULL ? atoi(kib) : STACK_KIB) * 1024;
  pthread_attr_t attributes;
  pthread_t thread;

  harness_server("TLS_URL");
  harness_server("TLS_CA");
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, stack) == 0);
  CHECK_NUMBER(pthread_create(&thread, &attributes, fetches, NULL), 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
  return harness_end();
}
