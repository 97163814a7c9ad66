/* The library as a plug-in has it: found at run time, called from threads that Windows makes, and let go of, which it
 * survives. Run under tests/support/with-server with HOSTILE_URL. */
#include "../c/harness.h"

#include <windows.h>

#define THREADS 8

static const char CONFIG[] =
    "{\"base_url\": \"${HOSTILE_URL}\", \"timeout\": 10, \"endpoints\": {\"gzip\": {\"path\": \"/gzip\"}}}";

static struct {
  apl_status (*connector_new)(const char *, apl_connector **, apl_error **);
  void (*connector_free)(apl_connector *);
  apl_status (*fetch)(const apl_connector *, const char *, const char *, const char *, const apl_cancel *,
                      apl_response **, apl_error **);
  const uint8_t *(*response_body)(const apl_response *, size_t *);
  void (*response_free)(apl_response *);
  uint32_t (*abi_version)(void);
} apl;

static apl_connector *api;

/* A function of the library, whatever its type. */
static void find(HMODULE library, const char *name, void *slot) {
  FARPROC found = GetProcAddress(library, name);

  if (!CHECK(found != NULL)) exit(1);
  memcpy(slot, &found, sizeof found);
}

static DWORD WINAPI fetches(void *unused) {
  int i;

  (void)unused;
  for (i = 0; i < 4; i++) {
    apl_response *response = NULL;
    if (CHECK_NUMBER(apl.fetch(api, "gzip", NULL, NULL, NULL, &response, NULL), APL_STATUS_OK))
      CHECK_TEXT((const char *)apl.response_body(response, NULL), "{\"packed\": true}");
    apl.response_free(response);
  }
  return 0;
}

static void in_threads(void) {
  HANDLE threads[THREADS];
  int i;

  for (i = 0; i < THREADS; i++) CHECK((threads[i] = CreateThread(NULL, 0, fetches, NULL, 0, NULL)) != NULL);
  CHECK_NUMBER(WaitForMultipleObjects(THREADS, threads, TRUE, 60000), WAIT_OBJECT_0);
  for (i = 0; i < THREADS; i++) CloseHandle(threads[i]);
}

int main(void) {
  HMODULE library = LoadLibraryA("apl.dll");
  int i;

  harness_server("HOSTILE_URL");
  if (!CHECK(library != NULL)) return harness_end();
  find(library, "apl_connector_new", &apl.connector_new);
  find(library, "apl_connector_free", &apl.connector_free);
  find(library, "apl_fetch", &apl.fetch);
  find(library, "apl_response_body", &apl.response_body);
  find(library, "apl_response_free", &apl.response_free);
  find(library, "apl_abi_version", &apl.abi_version);
  CHECK_NUMBER(apl.abi_version(), APL_ABI_VERSION);
  CHECK(GetProcAddress(library, "apl_no_such_function") == NULL);
  if (CHECK_NUMBER(apl.connector_new(CONFIG, &api, NULL), APL_STATUS_OK)) {
    in_threads();
    for (i = 0; i < 3; i++) CHECK(FreeLibrary(library));
    CHECK(GetModuleHandleA("apl.dll") == library);
    in_threads();
  }
  apl.connector_free(api);
  return harness_end();
}
