/* The same through libcurl: start_curl LIBRARY BASE PATH. */
#include "client.h"
#include <curl/curl.h>
#include <dlfcn.h>

static size_t drop(char *data, size_t size, size_t count, void *user) {
  (void)data;
  (void)user;
  return size * count;
}

int main(int argc, char **argv) {
  bench_clock begun = bench_now();
  CURLcode (*init)(long);
  CURL *(*easy)(void);
  CURLcode (*setopt_)(CURL *, CURLoption, ...);
  CURLcode (*perform)(CURL *);
  void *library;
  char url[1024];
  CURL *curl;
  if (argc < 4) bench_fail("usage", "start_curl LIBRARY BASE PATH");
  library = dlopen(argv[1], RTLD_NOW);
  if (library == NULL) bench_fail("dlopen", dlerror());
  *(void **)&init = dlsym(library, "curl_global_init");
  *(void **)&easy = dlsym(library, "curl_easy_init");
  *(void **)&setopt_ = dlsym(library, "curl_easy_setopt");
  *(void **)&perform = dlsym(library, "curl_easy_perform");
  snprintf(url, sizeof url, "%s%s", argv[2], argv[3]);
  init(CURL_GLOBAL_DEFAULT);
  curl = easy();
  setopt_(curl, CURLOPT_URL, url);
  setopt_(curl, CURLOPT_WRITEFUNCTION, drop);
  if (perform(curl) != CURLE_OK) bench_fail("curl_easy_perform", "failed");
  bench_report(begun);
  return 0;
}
