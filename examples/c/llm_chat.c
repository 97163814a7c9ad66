/* Asks a language model and prints its answer as it comes.
 *
 *   cc llm_chat.c -lapl && DEMO_URL=http://127.0.0.1:8080 ./a.out streams.yaml "What is an event?"
 *
 * The configuration says what ends an answer ("sentinel") and what makes it a failure ("error_path"). So an answer that
 * is cut, or breaks in the middle, is an error, and never taken for a whole one. */
#include <apl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A JSON string. A program that has a JSON library lets that write and read JSON. */
static char *quoted(const char *text) {
  char *out = malloc(6 * strlen(text) + 3);
  char *at = out;

  if (out == NULL) return NULL;
  *at++ = '"';
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    if (c < 0x20) {
      at += sprintf(at, "\\u%04x", c);
    } else {
      if (c == '"' || c == '\\') *at++ = '\\';
      *at++ = (char)c;
    }
  }
  *at++ = '"';
  *at = '\0';
  return out;
}

/* Prints choices[0].delta.content: its escapes are those that this demo needs. */
static void print_content(const char *chunk) {
  static const char KEY[] = "\"content\":\"";
  const char *at = strstr(chunk, KEY);

  if (at == NULL) return;
  for (at += sizeof KEY - 1; *at != '"' && *at != '\0'; at++) {
    if (*at == '\\' && at[1] != '\0') {
      at++;
      putchar(*at == 'n' ? '\n' : *at);
    } else {
      putchar(*at);
    }
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  const char *question = argc > 2 ? argv[2] : "What is a server-sent event?";
  static const char FORM[] = "{\"data\": {\"messages\": [{\"role\": \"user\", \"content\": %s}]}}";
  apl_connector *api = NULL;
  apl_stream *answer = NULL;
  apl_error *error = NULL;
  const uint8_t *chunk = NULL;
  char *content = quoted(question);
  char *options = content != NULL ? malloc(sizeof FORM + strlen(content)) : NULL;
  apl_status status = APL_STATUS_INTERNAL;

  if (options == NULL) goto done;
  sprintf(options, FORM, content);
  status = apl_connector_open(argc > 1 ? argv[1] : "streams.yaml", &api, &error);
  if (status == APL_STATUS_OK) status = apl_sse_open(api, "chat", NULL, options, NULL, &answer, &error);
  while (status == APL_STATUS_OK) {
    status = apl_stream_next(answer, &chunk, NULL, &error);
    if (status == APL_STATUS_OK) print_content((const char *)chunk);
  }
  printf("\n");
  if (status != APL_STATUS_END) {
    const apl_response *partial = apl_error_partial(error);
    size_t len = 0;

    fprintf(stderr, "%s: %s\n", apl_status_name(status), apl_error_message(error));
    if (partial != NULL) {
      apl_response_body(partial, &len);
      fprintf(stderr, "%lu bytes of the answer had come\n", (unsigned long)len);
    }
  }

done:
  free(content);
  free(options);
  apl_error_free(error);
  apl_stream_free(answer);
  apl_connector_free(api);
  return status == APL_STATUS_END ? 0 : 1;
}
