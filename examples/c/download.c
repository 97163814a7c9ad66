/* Downloads a file and shows how far it has come.
 *
 *   cc download.c -lapl && ./a.out http://127.0.0.1:8080/v1/files/sample
 *   ./a.out URL FILE [OPTIONS]      OPTIONS: JSON, as {"segments": 4}
 *
 * Ctrl-C stops it; the same command goes on where it was. Where standard error is no terminal, it is quiet. */
#include <apl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static apl_cancel *interrupt;

/* apl_cancel_trigger may be called in a signal handler. */
static void on_interrupt(int number) {
  (void)number;
  apl_cancel_trigger(interrupt);
}

/* "1.23M", in powers of 1024. */
static const char *amount(double bytes, char *text, size_t size) {
  static const char units[] = " KMGTP";
  size_t unit = 0;

  while (bytes >= 1000 && unit + 2 < sizeof units) bytes /= 1024, unit++;
  if (unit == 0)
    snprintf(text, size, "%.0f", bytes);
  else
    snprintf(text, size, "%.*f%c", bytes < 10 ? 2 : bytes < 100 ? 1 : 0, bytes, units[unit]);
  return text;
}

/* "1h02m", "3m04s", "5s"; as wide as the widest. */
static const char *duration(int64_t ms, char *text, size_t size) {
  int64_t s = (ms + 999) / 1000;

  if (ms < 0)
    snprintf(text, size, "?");
  else if (s >= 100 * 3600)
    snprintf(text, size, "%dd", (int)(s / 86400 > 9999 ? 9999 : s / 86400));
  else if (s >= 3600)
    snprintf(text, size, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
  else if (s >= 60)
    snprintf(text, size, "%dm%02ds", (int)(s / 60), (int)(s % 60));
  else
    snprintf(text, size, "%ds", (int)s);
  return text;
}

static int terminal_width(void) {
  struct winsize size;

  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

/* One line, drawn over itself: what is there in percent, a bar, bytes, speed and the time that is left. */
static int32_t on_progress(const apl_progress *progress, void *user_data) {
  int done = apl_progress_done(progress) != 0, known = apl_progress_total_bytes(progress) >= 0;
  int percent = known ? (int)apl_progress_percent(progress) : 0;
  int width = terminal_width() - 1; /* In the last column, some terminals begin a new line. */
  char there[16], speed[16], left[16], head[32], tail[64], bar[256], line[384];
  int room, filled;

  amount((double)apl_progress_bytes_processed(progress), there, sizeof there);
  amount(apl_progress_bytes_per_second(progress), speed, sizeof speed);
  duration(apl_progress_eta_ms(progress), left, sizeof left);
  snprintf(head, sizeof head, "%.20s %3d%%", (const char *)user_data, percent);
  snprintf(tail, sizeof tail, "%6s %6sB/s  %s%s", there, speed, done ? "" : "eta ", done ? "in all" : left);
  room = width - (int)strlen(head) - (int)strlen(tail) - 5; /* the brackets and the spaces */
  if (room > (int)sizeof bar - 1) room = (int)sizeof bar - 1;
  if (known && room >= 8) {
    filled = room * percent / 100;
    memset(bar, ' ', (size_t)room);
    memset(bar, '=', (size_t)filled);
    if (filled > 0 && filled < room) bar[filled - 1] = '>';
    bar[room] = '\0';
    snprintf(line, sizeof line, "%s [%s] %s", head, bar, tail);
  } else {
    snprintf(line, sizeof line, "%.20s  %s", (const char *)user_data, tail);
  }
  if (width > (int)sizeof line) width = (int)sizeof line;
  fprintf(stderr, "\r%-*.*s%s", width, width, line, done ? "\n" : "");
  return 0;
}

/* The URL's two halves: what the connector is for, and what is asked of it. */
static char *connector_json(const char *url, const char **path) {
  const char *host = strstr(url, "://");
  const char *slash = host == NULL ? NULL : strchr(host + 3, '/');
  const char *ca = getenv("CA_FILE");
  size_t size, i;
  char *json;

  if (host == NULL) return NULL;
  *path = slash == NULL ? "/" : slash;
  for (i = 0; url[i] != '\0'; i++) /* They would need escapes, in a URL as well as in JSON. */
    if (url[i] == '"' || url[i] == '\\' || (unsigned char)url[i] < ' ') return NULL;
  for (i = 0; ca != NULL && ca[i] != '\0'; i++)
    if (ca[i] == '"' || ca[i] == '\\' || (unsigned char)ca[i] < ' ') return NULL;
  size = 2 * strlen(url) + (ca == NULL ? 0 : strlen(ca)) + 128;
  if ((json = malloc(size)) == NULL) return NULL;
  snprintf(json, size, "{\"base_url\": \"%.*s\"%s%s%s, \"endpoints\": {\"file\": {\"path\": \"%s\"}}}",
           (int)(slash == NULL ? strlen(url) : (size_t)(slash - url)), url, ca == NULL ? "" : ", \"tls\": {\"ca_file\": \"",
           ca == NULL ? "" : ca, ca == NULL ? "" : "\"}", *path);
  return json;
}

int main(int argc, char **argv) {
  const char *path = NULL, *file;
  char *json = argc > 1 ? connector_json(argv[1], &path) : NULL;
  char name[256];
  struct sigaction action;
  apl_connector *api = NULL;
  apl_response *response = NULL;
  apl_error *error = NULL;
  apl_status status;
  int result = 1;

  if (json == NULL) {
    fprintf(stderr, "usage: download URL [FILE [OPTIONS]]\n");
    return 2;
  }
  /* Without a name for the file, the last segment of the URL's path is one. */
  snprintf(name, sizeof name, "%.*s", (int)strcspn(path, "?#"), path);
  file = argc > 2 ? argv[2] : strrchr(name, '/') + 1;
  if (*file == '\0') file = "index.html";

  interrupt = apl_cancel_new();
  memset(&action, 0, sizeof action);
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESETHAND; /* A second Ctrl-C ends the program at once: the next one goes on all the same. */
  sigaction(SIGINT, &action, NULL);

  status = apl_connector_new(json, &api, &error);
  if (status == APL_STATUS_OK)
    status = apl_download(api, "file", file, NULL, argc > 3 ? argv[3] : NULL,
                          isatty(STDERR_FILENO) ? on_progress : NULL, (void *)file, interrupt, &response, &error);
  if (status == APL_STATUS_OK) {
    printf("%s\n", (const char *)apl_response_body(response, NULL));
    result = 0;
  } else if (status == APL_STATUS_STOPPED) {
    fprintf(stderr, "stopped; the same command goes on\n");
  } else {
    fprintf(stderr, "%s%s: %s\n", isatty(STDERR_FILENO) ? "\n" : "", apl_status_name(apl_error_status(error)),
            apl_error_message(error));
    if (status == APL_STATUS_CANCELLED) {
      fprintf(stderr, "interrupted; the same command goes on\n");
      result = 130;
    }
  }
  apl_error_free(error);
  apl_response_free(response);
  apl_connector_free(api);
  signal(SIGINT, SIG_DFL); /* before what its handler uses goes */
  apl_cancel_free(interrupt);
  free(json);
  return result;
}
