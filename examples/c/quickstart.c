/* Every call of a small program: health, a list, one item, a new item, and a failure.
 *
 *   cc quickstart.c -lapl && DEMO_URL=http://127.0.0.1:8080 ./a.out connector.yaml
 *
 * The pattern throughout: call, look at the status, and only then at the error or the response. */
#include <apl.h>
#include <stdio.h>

/* Says what failed and frees the error. */
static void report(const char *what, apl_error *error) {
  const apl_response *answer = apl_error_response(error);

  fprintf(stderr, "%s failed: %s\n", what, apl_error_message(error));
  fprintf(stderr, "  status     %s (%s)\n", apl_status_name(apl_error_status(error)), apl_error_category(error));
  fprintf(stderr, "  http       %d\n", (int)apl_error_http_status(error));
  fprintf(stderr, "  retryable  %s\n", apl_error_is_retryable(error) ? "yes" : "no");
  if (answer != NULL) /* what the server said; it lives as long as the error */
    fprintf(stderr, "  answer     %s\n", (const char *)apl_response_body(answer, NULL));
  apl_error_free(error);
}

/* Prints a body and frees the response. A body may hold any byte: its length counts, not its first NUL. */
static void show(const char *what, apl_response *response) {
  size_t len = 0;
  const uint8_t *body = apl_response_body(response, &len);

  printf("%s: ", what);
  fwrite(body, 1, len, stdout);
  printf("\n");
  apl_response_free(response);
}

int main(int argc, char **argv) {
  apl_connector *api = NULL;
  apl_response *response = NULL;
  apl_error *error = NULL;
  int result = 1;

  if (apl_connector_open(argc > 1 ? argv[1] : "connector.yaml", &api, &error) != APL_STATUS_OK) {
    report("opening the connector", error);
    return 1;
  }

  if (apl_check_health(api, NULL, &response, &error) != APL_STATUS_OK) {
    report("health", error);
    goto done;
  }
  show("health", response);

  /* The parameters are JSON. Where they hold anything that is not yours, let a JSON library write them. */
  if (apl_fetch(api, "list_users", "{\"team\": \"core\"}", NULL, NULL, &response, &error) != APL_STATUS_OK) {
    report("list_users", error);
    goto done;
  }
  show("users of team core", response);

  if (apl_fetch(api, "get_user", "{\"id\": 3}", NULL, NULL, &response, &error) != APL_STATUS_OK) {
    report("get_user", error);
    goto done;
  }
  show("user 3", response);

  if (apl_send(api, "create_user", "{\"name\": \"Grace\", \"team\": \"core\"}", NULL, NULL, &response, &error) !=
      APL_STATUS_OK) {
    report("create_user", error);
    goto done;
  }
  show("a new user", response);

  /* A user without a name: the server refuses, and the error tells everything about it. */
  if (apl_send(api, "create_user", "{\"team\": \"core\"}", NULL, NULL, &response, &error) == APL_STATUS_OK) {
    show("a user without a name was accepted", response);
    goto done;
  }
  report("a user without a name (as it should)", error);
  result = 0;

done:
  apl_connector_free(api);
  return result;
}
