/* A hundred GETs by name over one connection, for tests/syscalls.sh to watch. A call to getppid, which neither
 * the library nor the C library makes, marks where the first GET begins, where the steady state begins, and
 * where it ends. */
#include "harness.h"

#ifdef _WIN32
/* Nobody watches there; what is seen is that it works, by the name localhost. */
static int getppid(void) { return 0; }
#else
#include <unistd.h>
#endif

#define WARM 3
#define CALLS 100

static void get(const apl_connector *api) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status = apl_fetch(api, "get", NULL, NULL, NULL, &response, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_response_free(response);
  apl_error_free(error);
}

int main(void) {
  const char *server = harness_server("HOSTILE_URL");
  const char *port = strrchr(server, ':');
  char config[256];
  apl_connector *api = NULL;
  apl_error *error = NULL;
  apl_status status;
  int i;

  snprintf(config, sizeof config, "{\"base_url\": \"http://localhost%s\", \"endpoints\": {\"get\": {\"path\": \"/numbers\"}}}",
           port != NULL ? port : "");
  status = apl_connector_new(config, &api, &error);
  if (CHECK_STATUS(status, APL_STATUS_OK, error)) {
    (void)getppid();
    for (i = 0; i < WARM; i++) get(api);
    (void)getppid();
    for (i = 0; i < CALLS; i++) get(api);
    (void)getppid();
  }
  apl_error_free(error);
  apl_connector_free(api);
  return harness_end();
}
