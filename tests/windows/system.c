/* What Windows has otherwise than the systems with descriptors: names of files, files that somebody holds, handles
 * that a child inherits, waits for a socket. Run under tests/support/with-server with HOSTILE_URL. */
#include <winsock2.h>

#include "../c/harness.h"

#include <windows.h>

/* A number that this header does not know yet. */
#ifndef ERROR_DIRECTORY_NOT_SUPPORTED
#define ERROR_DIRECTORY_NOT_SUPPORTED 336
#endif

static const char CONFIG[] =
    "# a comment\r\n"
    "other: {nothing: here}\r\n"
    "api:\r\n"
    "  base_url: ${HOSTILE_URL}\r\n"
    "  retry_count: 1\r\n"
    "  timeout: 10\r\n"
    "  endpoints:\r\n"
    "    numbers: {path: /numbers}\r\n"
    "    head: {path: /hang-head}\r\n"
    "    body: {path: /hang-body}\r\n"
    "    put: {path: /echo, method: PUT, body: raw, content_type: text/plain}\r\n"
    "    form: {path: /echo, method: POST, body: multipart}\r\n";

static apl_connector *api;
/* A folder of our own, the same each time. Its name has a space, and what no code page holds all of. */
static wchar_t folder[MAX_PATH];

/* A file's full name. */
static const wchar_t *named(const wchar_t *name) {
  static wchar_t full[1024];

  _snwprintf(full, 1024, L"%ls\\%ls", folder, name);
  return full;
}

static void made(const wchar_t *directory) {
  CHECK(CreateDirectoryW(directory, NULL) || GetLastError() == ERROR_ALREADY_EXISTS);
}

static HANDLE make(const wchar_t *name, const char *text, DWORD sharing) {
  DWORD written = 0;
  HANDLE file = CreateFileW(name, GENERIC_WRITE, sharing, NULL, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);

  CHECK(file != INVALID_HANDLE_VALUE);
  CHECK(WriteFile(file, text, (DWORD)strlen(text), &written, NULL) && written == strlen(text));
  return file;
}

static void put(const wchar_t *name, const char *text) { CloseHandle(make(name, text, 0)); }

/* The name as the library takes it, and as JSON does. */
static const char *utf8(const wchar_t *name) {
  static char text[4096];
  char plain[2048];
  const char *from = plain;
  char *to = text;

  CHECK(WideCharToMultiByte(CP_UTF8, 0, name, -1, plain, sizeof plain, NULL, NULL) > 0);
  for (; *from != '\0'; *to++ = *from++)
    if (*from == '\\') *to++ = '\\';
  *to = '\0';
  return text;
}

/* Sends a file. The caller frees the error. */
static apl_error *send_file(const wchar_t *name, apl_status want, const char *body) {
  char options[8192];
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status;

  snprintf(options, sizeof options, "{\"body_file\": \"%s\"}", utf8(name));
  status = apl_fetch(api, "put", NULL, options, NULL, &response, &error);
  if (!CHECK_STATUS(status, want, error)) fprintf(stderr, "  (%s)\n", options);
  if (body != NULL) CHECK_WITHIN((const char *)apl_response_body(response, NULL), body);
  apl_response_free(response);
  return error;
}

/* The file is refused, with the system's number. */
static void refused(const wchar_t *name, DWORD number, const char *word) {
  char want[32];
  apl_error *error = send_file(name, APL_STATUS_FILE, NULL);

  snprintf(want, sizeof want, "\"errno\":%lu", (unsigned long)number);
  if (number != 0) CHECK_WITHIN(apl_error_json(error), want);
  if (word != NULL) CHECK_WITHIN(apl_error_message(error), word);
  apl_error_free(error);
}

static void opening(void) {
  apl_error *error = NULL;
  apl_connector *none = NULL;
  char path[2048];
  apl_status status;

  put(named(L"api \x00fc \x65e5.yaml"), CONFIG);
  WideCharToMultiByte(CP_UTF8, 0, named(L"api \x00fc \x65e5.yaml#api"), -1, path, sizeof path, NULL, NULL);
  status = apl_connector_open(path, &api, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_error_free(error);

  WideCharToMultiByte(CP_UTF8, 0, named(L"none.yaml"), -1, path, sizeof path, NULL, NULL);
  status = apl_connector_open(path, &none, &error);
  CHECK_STATUS(status, APL_STATUS_FILE, error);
  CHECK_WITHIN(apl_error_json(error), "\"errno\":2");
  CHECK_WITHIN(apl_error_message(error), "none.yaml");
  apl_error_free(error);
}

static void files(void) {
  wchar_t deep[1024], slashes[1024], *c;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status;
  char options[8192];
  HANDLE held;
  int i;

  put(named(L"\x00fc \x65e5 \xd83d\xde00.txt"), "by name");
  apl_error_free(send_file(named(L"\x00fc \x65e5 \xd83d\xde00.txt"), APL_STATUS_OK, "by name"));
  wcscpy(slashes, named(L"\x00fc \x65e5 \xd83d\xde00.txt"));
  for (c = slashes; *c != L'\0'; c++)
    if (*c == L'\\') *c = L'/';
  apl_error_free(send_file(slashes, APL_STATUS_OK, "by name"));

  /* Its part has the file's name alone. */
  snprintf(options, sizeof options, "{\"multipart\": [{\"name\": \"f\", \"file\": \"%s\"}]}", utf8(slashes));
  status = apl_fetch(api, "form", NULL, options, NULL, &response, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  CHECK_WITHIN((const char *)apl_response_body(response, NULL), "filename=\\\"\xc3\xbc \xe6\x97\xa5 \xf0\x9f\x98\x80.txt\\\"");
  apl_response_free(response);
  apl_error_free(error);

  /* Longer than MAX_PATH: it was made by the long form of the name, and is sent by the usual one. */
  _snwprintf(deep, 1024, L"\\\\?\\%ls", folder);
  for (i = 0; i < 6; i++) {
    wcscat(deep, L"\\a name of some fifty characters, which is not rare at all");
    made(deep);
  }
  wcscat(deep, L"\\deep.txt");
  put(deep, "from far down");
  CHECK(wcslen(deep + 4) > MAX_PATH);
  apl_error_free(send_file(deep + 4, APL_STATUS_OK, "from far down"));

  /* Others may write to it and rename it; somebody who shares it with nobody has it to himself. */
  held = make(named(L"held"), "shared", FILE_SHARE_READ);
  apl_error_free(send_file(named(L"held"), APL_STATUS_OK, "shared"));
  CloseHandle(held);
  held = make(named(L"held"), "mine", 0);
  refused(named(L"held"), ERROR_SHARING_VIOLATION, "held");
  CloseHandle(held);
  apl_error_free(send_file(named(L"held"), APL_STATUS_OK, "mine"));

  refused(named(L"none"), ERROR_FILE_NOT_FOUND, "none");
  refused(named(L"none\\none"), ERROR_PATH_NOT_FOUND, "none");
  refused(named(L"?"), 0, NULL);
  refused(folder, ERROR_DIRECTORY_NOT_SUPPORTED, NULL);
  /* Devices, and pipes to which nobody writes. */
  refused(L"NUL", 0, NULL);
  held = CreateNamedPipeW(L"\\\\.\\pipe\\apl-test", PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE, 1, 512, 512, 0, NULL);
  CHECK(held != INVALID_HANDLE_VALUE);
  refused(L"\\\\.\\pipe\\apl-test", 0, NULL);
  CloseHandle(held);
}

/* A child that inherits a connection would keep it open. */
static void handles(void) {
  UINT_PTR number;
  int sockets = 0;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status = apl_fetch(api, "numbers", NULL, NULL, NULL, &response, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  apl_response_free(response);
  apl_error_free(error);
  for (number = 4; number < 8192; number += 4) {
    struct sockaddr_in peer;
    int size = sizeof peer;
    DWORD how = 0;
    if (getpeername((SOCKET)number, (struct sockaddr *)&peer, &size) != 0) continue;
    sockets++;
    CHECK(GetHandleInformation((HANDLE)number, &how) && (how & HANDLE_FLAG_INHERIT) == 0);
  }
  CHECK(sockets > 0);
}

/* The connection is kept, and used again. */
static void kept(void) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status = apl_fetch(api, "numbers", NULL, NULL, NULL, &response, &error);

  CHECK_STATUS(status, APL_STATUS_OK, error);
  CHECK_WITHIN(apl_response_meta(response), "\"reused\":true");
  apl_response_free(response);
  apl_error_free(error);
}

/* It took as long as it should, and not much longer. */
static void took(double since, double wanted) {
  double ms = harness_ms() - since;
  if (!CHECK(ms >= wanted && ms < wanted + 1000)) fprintf(stderr, "  (%.0f ms, not %.0f)\n", ms, wanted);
}

static void late(const char *endpoint) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  double since = harness_ms();
  apl_status status = apl_fetch(api, endpoint, NULL, "{\"deadline\": 0.25}", NULL, &response, &error);

  CHECK_STATUS(status, APL_STATUS_TIMEOUT, error);
  took(since, 250);
  apl_error_free(error);
}

static DWORD WINAPI close_soon(void *stream) {
  Sleep(150);
  apl_stream_close(stream);
  return 0;
}

/* A stream on which nothing comes: its wait, a close by another thread, its deadline. */
static void silent(const char *options, double wait, apl_status want) {
  apl_stream *stream = NULL;
  apl_error *error = NULL;
  const uint8_t *data = NULL;
  size_t len = 0;
  HANDLE thread = NULL;
  double since = harness_ms();
  apl_status status = apl_stream_open(api, "body", NULL, options, NULL, &stream, &error);

  if (!CHECK_STATUS(status, APL_STATUS_OK, error)) {
    apl_error_free(error);
    return;
  }
  if (want == APL_STATUS_CANCELLED) thread = CreateThread(NULL, 0, close_soon, stream, 0, NULL);
  /* What came before is handed out before what became of the rest. */
  do {
    status = apl_stream_next(stream, &data, &len, &error);
  } while (status == APL_STATUS_OK);
  if (!CHECK_STATUS(status, want, error)) fprintf(stderr, "  (%s)\n", options);
  took(since, wait);
  if (thread != NULL) {
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
  }
  apl_error_free(error);
  apl_stream_free(stream);
}

static void waits(void) {
  late("head");
  late("body");
  silent("{\"wait\": 0.2}", 200, APL_STATUS_IDLE);
  silent("{\"deadline\": 0.3}", 300, APL_STATUS_TIMEOUT);
  silent("{}", 150, APL_STATUS_CANCELLED);
}

/* A proxy out of the environment, whose names have no case here; HTTP_PROXY may be a request's header. */
static void proxied(const char *method, apl_status want) {
  apl_connector *made = NULL;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status;

  SetEnvironmentVariableA("HTTP_PROXY", "http://127.0.0.1:1");
  SetEnvironmentVariableA("REQUEST_METHOD", method);
  status = apl_connector_new(
      "{\"base_url\": \"${HOSTILE_URL}\", \"proxy\": \"env\", \"retry_count\": 1, \"timeout\": 5, \"endpoints\": "
      "{\"numbers\": {\"path\": \"/numbers\"}}}",
      &made, &error);
  CHECK_STATUS(status, APL_STATUS_OK, error);
  status = apl_fetch(made, "numbers", NULL, NULL, NULL, &response, &error);
  CHECK_STATUS(status, want, error);
  apl_response_free(response);
  apl_error_free(error);
  apl_connector_free(made);
}

int main(void) {
  wchar_t above[MAX_PATH];

  harness_server("HOSTILE_URL");
  CHECK(GetTempPathW(MAX_PATH, above) > 0);
  _snwprintf(folder, MAX_PATH, L"%lsapl \x00e9\x4e2d", above);
  made(folder);
  opening();
  if (api != NULL) {
    files();
    kept();
    handles();
    waits();
  }
  apl_connector_free(api);
  proxied(NULL, APL_STATUS_CONNECT);
  proxied("GET", APL_STATUS_OK);
  return harness_end();
}
