/* The same through libcurl's easy interface: get_curl BASE PATH COUNT LENGTH [CA]. It checks no JSON. */
#include "client.h"
#include <curl/curl.h>

typedef struct body {
  char *data;
  size_t len, room;
} body;

static size_t take(char *data, size_t size, size_t count, void *user) {
  body *b = user;
  size_t n = size * count;
  if (b->len + n + 1 > b->room) {
    b->room = (b->len + n + 1) * 2;
    b->data = realloc(b->data, b->room);
    if (b->data == NULL) return 0;
  }
  memcpy(b->data + b->len, data, n);
  b->len += n;
  b->data[b->len] = 0;
  return n;
}

static void get(CURL *curl, size_t length) {
  body b = {NULL, 0, 0};
  CURLcode code;
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &b);
  code = curl_easy_perform(curl);
  if (code != CURLE_OK) bench_fail("curl_easy_perform", curl_easy_strerror(code));
  if (b.len != length) bench_fail("curl_easy_perform", "another body than expected");
  free(b.data);
}

int main(int argc, char **argv) {
  char url[2048];
  CURL *curl;
  bench_clock begun;
  struct curl_slist *headers = NULL;
  long i, count;
  size_t length;
  if (argc < 5) bench_fail("usage", "get_curl BASE PATH COUNT LENGTH [CA]");
  count = atol(argv[3]);
  length = (size_t)atol(argv[4]);
  snprintf(url, sizeof url, "%s%s", argv[1], argv[2]);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  curl = curl_easy_init();
  if (curl == NULL) bench_fail("curl_easy_init", "failed");
  headers = curl_slist_append(headers, "Accept: application/json");
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "bench/1.0");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 30000L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  if (argc > 5) curl_easy_setopt(curl, CURLOPT_CAINFO, argv[5]);
  get(curl, length);
  begun = bench_now();
  for (i = 0; i < count; i++) get(curl, length);
  bench_report(begun);
  curl_easy_cleanup(curl);
  curl_slist_free_all(headers);
  return 0;
}
