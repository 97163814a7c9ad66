/* A long listing, record by record, in constant memory. Ended at any record, and by whatever, it goes on behind it.
 *
 *   cc records.c -lapl && DEMO_URL=http://127.0.0.1:8080 ./a.out pages.yaml place
 *
 * The file `place` has the checkpoint of the last record that was printed. A third argument ends it after so many. */
#include <apl.h>
#include <stdio.h>
#include <stdlib.h>

enum { LONGEST = 4096 };

/* Says what failed and frees the error. */
static int report(const char *what, apl_error *error) {
  fprintf(stderr, "%s failed: %s\n", what, apl_error_message(error));
  apl_error_free(error);
  return 1;
}

/* The options of the call: a checkpoint needs no escapes in JSON. Without a place to go on from, there are none. */
static const char *read_place(const char *path, char options[LONGEST + 32]) {
  char place[LONGEST];
  FILE *file = fopen(path, "r");
  size_t len;

  if (file == NULL) return NULL;
  len = fread(place, 1, sizeof place - 1, file);
  fclose(file);
  place[len] = '\0';
  if (len == 0) return NULL;
  snprintf(options, LONGEST + 32, "{\"checkpoint\": \"%s\"}", place);
  return options;
}

/* Whole or not at all, so that the file always has a place. */
static int write_place(const char *path, const char *place) {
  char next[LONGEST];
  FILE *file;
  int good;

  if (place == NULL) return 0; /* it would show a secret */
  snprintf(next, sizeof next, "%s.next", path);
  if ((file = fopen(next, "w")) == NULL) return -1;
  good = fputs(place, file) >= 0;
  good = fclose(file) == 0 && good;
  return good && rename(next, path) == 0 ? 0 : -1;
}

int main(int argc, char **argv) {
  const char *config = argc > 1 ? argv[1] : "pages.yaml", *path = argc > 2 ? argv[2] : "place";
  long left = argc > 3 ? strtol(argv[3], NULL, 10) : -1;
  char options[LONGEST + 32];
  apl_connector *api = NULL;
  apl_stream *records = NULL;
  apl_error *error = NULL;
  apl_status status;
  const uint8_t *record;
  size_t len;
  int result = 1;

  if (apl_connector_open(config, &api, &error) != APL_STATUS_OK) return report("opening the connector", error);
  status = apl_records_open(api, "journal", NULL, read_place(path, options), NULL, &records, &error);
  if (status != APL_STATUS_OK) {
    report("opening the journal", error);
    goto done;
  }
  while (left != 0 && (status = apl_stream_next(records, &record, &len, &error)) == APL_STATUS_OK) {
    fwrite(record, 1, len, stdout);
    printf("\n");
    if (fflush(stdout) != 0 || write_place(path, apl_stream_checkpoint(records)) != 0) {
      perror(path);
      goto done;
    }
    left -= left > 0;
  }
  if (status >= APL_STATUS_NULL_ARGUMENT) {
    report("the journal", error);
    goto done;
  }
  result = 0;

done:
  apl_stream_free(records); /* NULL is harmless */
  apl_connector_free(api);
  return result;
}
