/* The same download through libcurl, as its own example writes a file: download_curl BASE PATH FILE LENGTH [CA]. */
#include "client.h"
#include <curl/curl.h>

int main(int argc, char **argv) {
  char url[1024];
  curl_off_t length = 0;
  bench_clock begun;
  FILE *file;
  CURL *curl;
  CURLcode code;
  if (argc < 5) bench_fail("usage", "download_curl BASE PATH FILE LENGTH [CA]");
  remove(argv[3]);
  snprintf(url, sizeof url, "%s%s", argv[1], argv[2]);
  begun = bench_now();
  curl_global_init(CURL_GLOBAL_DEFAULT);
  curl = curl_easy_init();
  file = fopen(argv[3], "wb");
  if (curl == NULL || file == NULL) bench_fail("setup", argv[3]);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, file);
  if (argc > 5) curl_easy_setopt(curl, CURLOPT_CAINFO, argv[5]);
  code = curl_easy_perform(curl);
  if (code != CURLE_OK) bench_fail("curl", curl_easy_strerror(code));
  if (fclose(file) != 0) bench_fail("fclose", argv[3]);
  bench_report(begun);
  curl_easy_getinfo(curl, CURLINFO_SIZE_DOWNLOAD_T, &length);
  if (length != (curl_off_t)atoll(argv[4])) bench_fail("curl", "another length than expected");
  curl_easy_cleanup(curl);
  curl_global_cleanup();
  return 0;
}
