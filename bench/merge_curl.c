/* Pages fetched with libcurl's easy interface and merged by the walker: merge_curl BASE PATH TIMES LENGTH. */
#include "client.h"
#include <curl/curl.h>

typedef struct Walker Walker;
extern Walker *walker_new(void);
extern const char *walker_add(Walker *walker, const unsigned char *page, size_t len);
extern size_t walker_finish(Walker *walker);

typedef struct body {
  char *data;
  size_t len, room;
} body;

static size_t take(char *data, size_t size, size_t count, void *user) {
  body *b = user;
  size_t n = size * count;
  if (b->len + n > b->room) {
    b->room = (b->len + n) * 2;
    b->data = realloc(b->data, b->room);
    if (b->data == NULL) return 0;
  }
  memcpy(b->data + b->len, data, n);
  b->len += n;
  return n;
}

static void merge(CURL *curl, const char *base, const char *path, body *b, size_t length) {
  char url[2048];
  Walker *walker = walker_new();
  while (path != NULL) {
    CURLcode code;
    snprintf(url, sizeof url, "%s%s", base, path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    b->len = 0; /* one buffer for all pages */
    code = curl_easy_perform(curl);
    if (code != CURLE_OK) bench_fail("curl_easy_perform", curl_easy_strerror(code));
    path = walker_add(walker, (const unsigned char *)b->data, b->len);
  }
  if (walker_finish(walker) != length) bench_fail("walker", "another array than expected");
}

int main(int argc, char **argv) {
  CURL *curl;
  bench_clock begun;
  body b = {NULL, 0, 0};
  long i, count;
  if (argc < 5) bench_fail("usage", "merge_curl BASE PATH TIMES LENGTH");
  count = atol(argv[3]);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  curl = curl_easy_init();
  if (curl == NULL) bench_fail("curl_easy_init", "failed");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 30000L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &b);
  begun = bench_now();
  for (i = 0; i < count; i++) merge(curl, argv[1], argv[2], &b, (size_t)atol(argv[4]));
  bench_report(begun);
  curl_easy_cleanup(curl);
  free(b.data);
  return 0;
}
