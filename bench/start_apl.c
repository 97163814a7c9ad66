/* From nothing to the first answer, the library loaded at run time: start_apl LIBRARY BASE PATH. */
#include "client.h"
#include <apl.h>
#include <dlfcn.h>

int main(int argc, char **argv) {
  bench_clock begun = bench_now();
  apl_status (*new_)(const char *, apl_connector **, apl_error **);
  apl_status (*fetch)(const apl_connector *, const char *, const char *, const char *, const apl_cancel *,
                      apl_response **, apl_error **);
  void *library;
  char config[1024];
  apl_connector *api = NULL;
  apl_response *response = NULL;
  if (argc < 4) bench_fail("usage", "start_apl LIBRARY BASE PATH");
  library = dlopen(argv[1], RTLD_NOW);
  if (library == NULL) bench_fail("dlopen", dlerror());
  *(void **)&new_ = dlsym(library, "apl_connector_new");
  *(void **)&fetch = dlsym(library, "apl_fetch");
  snprintf(config, sizeof config, "{\"base_url\": \"%s\", \"endpoints\": {\"get\": {\"path\": \"%s\"}}}", argv[2], argv[3]);
  if (new_(config, &api, NULL) != APL_STATUS_OK) bench_fail("apl_connector_new", "failed");
  if (fetch(api, "get", NULL, NULL, NULL, &response, NULL) != APL_STATUS_OK) bench_fail("apl_fetch", "failed");
  bench_report(begun);
  return 0;
}
