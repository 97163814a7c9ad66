/* A person signs in on another device, and the program acts for that person.
 *
 *   cc sign_in.c -lapl && DEMO_URL=http://127.0.0.1:8080 ./a.out sign_in.yaml
 *
 * Ctrl-C ends the wait. Tokens are handed to store_token before they are used: a program that keeps them in a place
 * that only its user can read, and puts them into the configuration ("token", "refresh_token", "expires_at") next time,
 * asks its user once. */
#include <apl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static apl_cancel *cancel;

/* apl_cancel_trigger may be called here. */
static void on_interrupt(int signal_number) {
  (void)signal_number;
  apl_cancel_trigger(cancel);
}

/* Says what failed and frees the error. */
static int report(const char *what, apl_error *error) {
  fprintf(stderr, "%s failed (%s): %s\n", what, apl_status_name(apl_error_status(error)), apl_error_message(error));
  apl_error_free(error);
  return 1;
}

/* Prints a body and frees the response. */
static void show(const char *what, apl_response *response) {
  size_t len = 0;
  const uint8_t *body = apl_response_body(response, &len);

  printf("%s: ", what);
  fwrite(body, 1, len, stdout);
  printf("\n");
  fflush(stdout);
  apl_response_free(response);
}

/* Receives every new token, the refreshed ones too, as JSON. Anything but 0 says that it is not stored; then it is not
 * used, and offered again before the next request. */
static int32_t store_token(const char *token_json, void *user_data) {
  int *stored = user_data;

  ++*stored;
  printf("a token to store: %s\n", strstr(token_json, "\"refresh_token\":\"") != NULL ? "with a refresh token" : "alone");
  return 0;
}

int main(int argc, char **argv) {
  apl_connector *api = NULL;
  apl_response *response = NULL;
  apl_error *error = NULL;
  int stored = 0;
  int result = 1;

  cancel = apl_cancel_new();
  signal(SIGINT, on_interrupt);
  if (apl_connector_open(argc > 1 ? argv[1] : "sign_in.yaml", &api, &error) != APL_STATUS_OK) {
    report("opening the connector", error);
    goto done;
  }
  if (apl_connector_on_token(api, store_token, &stored, NULL, &error) != APL_STATUS_OK) {
    report("setting the callback", error);
    goto done;
  }

  /* Before that nothing is sent: the call says what to do. */
  if (apl_fetch(api, "me", NULL, NULL, cancel, &response, &error) != APL_STATUS_AUTH) {
    fprintf(stderr, "nobody has signed in, and yet the API was asked\n");
    apl_response_free(response);
    apl_error_free(error);
    goto done;
  }
  report("asking too early (as it should)", error);

  /* Show verification_uri and user_code to the person, or verification_uri_complete as a QR code. */
  if (apl_auth_begin(api, NULL, cancel, &response, &error) != APL_STATUS_OK) {
    report("beginning the sign-in", error);
    goto done;
  }
  show("visit the address, and type in the code", response);

  /* Waits for the person, for as long as the code can be used. */
  if (apl_auth_finish(api, NULL, cancel, &response, &error) != APL_STATUS_OK) {
    report("signing in", error);
    goto done;
  }
  show("signed in", response);

  if (apl_fetch(api, "me", NULL, NULL, cancel, &response, &error) != APL_STATUS_OK) {
    report("asking who it is", error);
    goto done;
  }
  show("me", response);
  result = stored == 1 ? 0 : 1;

done:
  apl_connector_free(api);
  apl_cancel_free(cancel);
  return result;
}
