/* Downloads as Windows keeps files: a part that nobody else opens, one that goes on, a target that is replaced, names
 * that are none. Run under tests/support/with-server with DEMO_URL. */
#include "../c/harness.h"

#include <windows.h>

#define SIZE 2000000

static const char CONFIG[] =
    "{\"base_url\": \"${DEMO_URL}\", \"timeout\": 20, \"retry_count\": 1, \"endpoints\": {\"file\": "
    "{\"path\": \"/v1/files/{name}\"}}}";
static const char FAST[] = "{\"name\": \"sample\", \"size\": 2000000}";
static const char SLOW[] = "{\"name\": \"sample\", \"size\": 2000000, \"rate\": 2000000}";

static apl_connector *api;
/* A folder of our own, whose name no code page holds. */
static wchar_t folder[MAX_PATH];

/* A file's full name; the next four calls leave it alone. */
static const wchar_t *named(const wchar_t *name) {
  static wchar_t full[4][2048];
  static int turn;
  wchar_t *out = full[turn++ % 4];

  _snwprintf(out, 2048, L"%ls\\%ls", folder, name);
  return out;
}

static const char *utf8(const wchar_t *name) {
  static char text[4][4096];
  static int turn;
  char *out = text[turn++ % 4];

  CHECK(WideCharToMultiByte(CP_UTF8, 0, name, -1, out, 4096, NULL, NULL) > 0);
  return out;
}

static int is_there(const wchar_t *name) { return GetFileAttributesW(name) != INVALID_FILE_ATTRIBUTES; }

static HANDLE open_file(const wchar_t *name, DWORD access, DWORD sharing, DWORD how) {
  return CreateFileW(name, access, sharing, NULL, how, FILE_ATTRIBUTE_NORMAL, NULL);
}

static void put(const wchar_t *name, const char *text) {
  DWORD written = 0;
  HANDLE file = open_file(name, GENERIC_WRITE, 0, CREATE_ALWAYS);

  CHECK(file != INVALID_HANDLE_VALUE && WriteFile(file, text, (DWORD)strlen(text), &written, NULL));
  CloseHandle(file);
}

/* Does the file hold this? NULL: what the server sends. */
static int holds(const wchar_t *name, const char *text) {
  static char got[SIZE + 1];
  DWORD length = 0, line;
  HANDLE file = open_file(name, GENERIC_READ, FILE_SHARE_READ, OPEN_EXISTING);
  char want[24];

  if (file == INVALID_HANDLE_VALUE || !ReadFile(file, got, sizeof got, &length, NULL)) length = 0;
  CloseHandle(file);
  if (text != NULL) return length == strlen(text) && memcmp(got, text, length) == 0;
  if (length != SIZE) return 0;
  for (line = 0; line < SIZE / 16; line++) {
    snprintf(want, sizeof want, "%015lu\n", (unsigned long)line);
    if (memcmp(got + line * 16, want, 16) != 0) return 0;
  }
  return 1;
}

/* What is done once something of a file is there. */
static void (*meanwhile)(void);
static apl_cancel *meanwhile_cancel;

static int32_t on_progress(const apl_progress *progress, void *user_data) {
  (void)user_data;
  if (apl_progress_bytes_processed(progress) > SIZE / 8) {
    void (*now)(void) = meanwhile;
    meanwhile = NULL;
    if (now != NULL) now();
  }
  return 0;
}

static void trigger(void) { apl_cancel_trigger(meanwhile_cancel); }

/* A download. What is said of it, by the answer or the error, has `word` in it. */
static void download(const wchar_t *to, const char *params, const char *options, apl_status want, const char *word) {
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_cancel *cancel = apl_cancel_new();
  apl_status status;

  meanwhile_cancel = cancel;
  status = apl_download(api, "file", utf8(to), params, options, meanwhile != NULL ? on_progress : NULL, NULL, cancel,
                        &response, &error);
  CHECK(meanwhile == NULL);
  if (!CHECK_STATUS(status, want, error)) fprintf(stderr, "  (%s)\n", utf8(to));
  if (word != NULL) CHECK_WITHIN(error != NULL ? apl_error_json(error) : (const char *)apl_response_body(response, NULL), word);
  apl_response_free(response);
  apl_error_free(error);
  apl_cancel_free(cancel);
}

static void names(void) {
  static const wchar_t *const NONE[] = {L"NUL", L"com1.txt", L"a:b", L"a?b", L"ends with a dot.", L"ends with a space "};
  wchar_t deep[2048], slashes[2048], *c;
  size_t i;

  download(named(L"\x00fc \x65e5 \xd83d\xde00"), FAST, NULL, APL_STATUS_OK, "\"success\":true");
  CHECK(holds(named(L"\x00fc \x65e5 \xd83d\xde00"), NULL));
  CHECK(!is_there(named(L"\x00fc \x65e5 \xd83d\xde00.part")) && !is_there(named(L"\x00fc \x65e5 \xd83d\xde00.part.state")));
  wcscpy(slashes, named(L"made/on the way/file"));
  for (c = slashes; *c != L'\0'; c++)
    if (*c == L'\\') *c = L'/';
  download(slashes, FAST, "{\"segments\": 4}", APL_STATUS_OK, "\"success\":true");
  CHECK(holds(slashes, NULL));
  wcscpy(deep, folder);
  for (i = 0; i < 6; i++) wcscat(deep, L"\\a name of some fifty characters, which is not rare at all");
  wcscat(deep, L"\\deep");
  download(deep, FAST, NULL, APL_STATUS_OK, "\"success\":true");
  memmove(deep + 4, deep, (wcslen(deep) + 1) * sizeof *deep);
  memcpy(deep, L"\\\\?\\", 4 * sizeof *deep);
  CHECK(holds(deep, NULL));
  for (i = 0; i < sizeof NONE / sizeof *NONE; i++)
    download(named(NONE[i]), FAST, NULL, APL_STATUS_FILE, "\"errno\":123");
  download(folder, FAST, NULL, APL_STATUS_FILE, "\"errno\":336");
  /* The server names it; it may not name a device. */
  download(folder, "{\"name\": \"nul.txt\", \"size\": 5}", "{\"use_server_name\": true}", APL_STATUS_OK, "_nul.txt");
  CHECK(holds(named(L"_nul.txt"), "00000"));
  DeleteFileW(named(L"_nul.txt"));
}

static void second(void) {
  apl_error *error = NULL;
  apl_response *response = NULL;
  apl_status status =
      apl_download(api, "file", utf8(named(L"twice")), FAST, NULL, NULL, NULL, NULL, &response, &error);

  CHECK_STATUS(status, APL_STATUS_BUSY, error);
  apl_error_free(error);
  /* Nobody reads it, or puts another folder into the place of ours. */
  CHECK(open_file(named(L"twice.part"), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                  OPEN_EXISTING) == INVALID_HANDLE_VALUE);
  CHECK_NUMBER(GetLastError(), ERROR_SHARING_VIOLATION);
}

static void move_folder(void) {
  wchar_t other[MAX_PATH];

  _snwprintf(other, MAX_PATH, L"%ls moved", folder);
  CHECK(!MoveFileW(folder, other));
}

static void parts(void) {
  const wchar_t *part = L"goes on.part", *state = L"goes on.part.state";
  HANDLE held;

  meanwhile = trigger;
  download(named(L"goes on"), SLOW, NULL, APL_STATUS_CANCELLED, "cancelled");
  CHECK(!is_there(named(L"goes on")) && is_there(named(part)) && is_there(named(state)));
  download(named(L"goes on"), SLOW, NULL, APL_STATUS_OK, "\"resumed\":true");
  CHECK(holds(named(L"goes on"), NULL) && !is_there(named(part)) && !is_there(named(state)));

  meanwhile = second;
  download(named(L"twice"), SLOW, NULL, APL_STATUS_OK, "\"success\":true");
  CHECK(holds(named(L"twice"), NULL));
  meanwhile = move_folder;
  download(named(L"pinned"), SLOW, NULL, APL_STATUS_OK, "\"success\":true");
  CHECK(holds(named(L"pinned"), NULL));

  /* What is there is replaced, or left alone. */
  put(named(L"there"), "before");
  download(named(L"there"), FAST, "{\"overwrite\": false}", APL_STATUS_FILE, "\"errno\":80");
  CHECK(holds(named(L"there"), "before"));
  download(named(L"there"), FAST, NULL, APL_STATUS_OK, NULL);
  CHECK(holds(named(L"there"), NULL));

  /* Somebody reads it and lets nobody remove it: the whole waits beside it, and takes its place another time. */
  put(named(L"held"), "before");
  held = open_file(named(L"held"), GENERIC_READ, FILE_SHARE_READ, OPEN_EXISTING);
  download(named(L"held"), FAST, NULL, APL_STATUS_FILE, "held");
  CHECK(holds(named(L"held"), "before"));
  CloseHandle(held);
  download(named(L"held"), FAST, NULL, APL_STATUS_OK, "\"resumed\":true");
  CHECK(holds(named(L"held"), NULL));

  /* What lies where the part goes, and is another file too, is not written into. */
  put(named(L"victim"), "precious");
  CHECK(CreateHardLinkW(named(L"linked.part"), named(L"victim"), NULL));
  download(named(L"linked"), FAST, NULL, APL_STATUS_OK, NULL);
  CHECK(holds(named(L"victim"), "precious") && holds(named(L"linked"), NULL));
}

int main(void) {
  static const wchar_t *const MADE[] = {L"goes on", L"goes on.part", L"goes on.part.state", L"linked", L"linked.part"};
  wchar_t above[MAX_PATH];
  apl_error *error = NULL;
  apl_status status;
  size_t i;

  harness_server("DEMO_URL");
  CHECK(GetTempPathW(MAX_PATH, above) > 0);
  _snwprintf(folder, MAX_PATH, L"%lsapl \x00e9\x4e2d downloads", above);
  /* Of the last run. */
  for (i = 0; i < sizeof MADE / sizeof *MADE; i++) DeleteFileW(named(MADE[i]));
  status = apl_connector_new(CONFIG, &api, &error);
  if (CHECK_STATUS(status, APL_STATUS_OK, error)) {
    names();
    parts();
  }
  apl_error_free(error);
  apl_connector_free(api);
  return harness_end();
}
