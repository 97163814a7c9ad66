/* Generated from src/ffi: do not edit. SPDX-License-Identifier: MIT OR Apache-2.0 */

#ifndef APL_H
#define APL_H

#include <stddef.h>
#include <stdint.h>

/** The number of the binary interface this header describes. @since 0.1.0 */
#define APL_ABI_VERSION 1u
/** The version of this header: (major << 16) | (minor << 8) | patch. @since 0.1.0 */
#define APL_VERSION_NUMBER 0x000100u
/** The version of this header as text. @since 0.1.0 */
#define APL_VERSION "0.1.0"

/** Stands before every declaration. Define APL_STATIC to link the static library on Windows. @since 0.1.0 */
#ifndef APL_API
#  if defined(_WIN32) && !defined(APL_STATIC)
#    define APL_API __declspec(dllimport)
#  else
#    define APL_API
#  endif
#endif


/**
 * What a call came to; below 100 it is no error, from 100 on it is one.
 *
 * The numbers are pinned and never reused. New ones may appear in later versions: treat an unknown number
 * from 100 on as a failure.
 *
 * @since 0.1.0
 */
enum apl_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Done.
   */
  APL_STATUS_OK = 0,
  /**
   * The stream is at its end.
   */
  APL_STATUS_END = 1,
  /**
   * A callback stopped the call.
   */
  APL_STATUS_STOPPED = 2,
  /**
   * Nothing came within the wait.
   */
  APL_STATUS_IDLE = 3,
  /**
   * A required pointer was NULL.
   */
  APL_STATUS_NULL_ARGUMENT = 100,
  /**
   * An argument or a call option is not acceptable.
   */
  APL_STATUS_INVALID_ARGUMENT = 101,
  /**
   * The configuration is not acceptable.
   */
  APL_STATUS_INVALID_CONFIG = 102,
  /**
   * The handle is in use by another call.
   */
  APL_STATUS_BUSY = 103,
  /**
   * The configuration has no endpoint of that name.
   */
  APL_STATUS_UNKNOWN_ENDPOINT = 104,
  /**
   * Known, but not built or not possible here.
   */
  APL_STATUS_UNSUPPORTED = 105,
  /**
   * The name did not resolve.
   */
  APL_STATUS_DNS = 200,
  /**
   * No connection to any address.
   */
  APL_STATUS_CONNECT = 201,
  /**
   * The TLS handshake or a certificate failed.
   */
  APL_STATUS_TLS = 202,
  /**
   * A time limit ran out.
   */
  APL_STATUS_TIMEOUT = 203,
  /**
   * A socket failed.
   */
  APL_STATUS_IO = 204,
  /**
   * The peer broke the protocol.
   */
  APL_STATUS_PROTOCOL = 205,
  /**
   * More bytes than a limit allows.
   */
  APL_STATUS_TOO_LARGE = 206,
  /**
   * A redirect that may not be followed.
   */
  APL_STATUS_REDIRECT = 207,
  /**
   * The answer is a failure: by its status, or by errors in it (GraphQL).
   */
  APL_STATUS_HTTP_STATUS = 300,
  /**
   * 429, or a limiter's wait that is longer than allowed.
   */
  APL_STATUS_RATE_LIMITED = 301,
  /**
   * 401, 403, or no credentials to be had.
   */
  APL_STATUS_AUTH = 302,
  /**
   * The caller cancelled.
   */
  APL_STATUS_CANCELLED = 400,
  /**
   * The body is not what the endpoint says it is.
   */
  APL_STATUS_DECODE = 500,
  /**
   * The data does not fit its schema.
   */
  APL_STATUS_SCHEMA = 501,
  /**
   * The listing cannot go on.
   */
  APL_STATUS_PAGINATION = 502,
  /**
   * The body ended early.
   */
  APL_STATUS_TRUNCATED = 503,
  /**
   * The digest does not match.
   */
  APL_STATUS_CHECKSUM = 504,
  /**
   * The server's range is not the one asked for.
   */
  APL_STATUS_RANGE = 505,
  /**
   * A local file failed.
   */
  APL_STATUS_FILE = 600,
  /**
   * A panic was caught: a fault of this library.
   */
  APL_STATUS_PANIC = 900,
  /**
   * A fault of this library.
   */
  APL_STATUS_INTERNAL = 901,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum apl_status apl_status;
#else
typedef int32_t apl_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How much is logged; each level includes those before it.
 *
 * @since 0.1.0
 */
enum apl_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing.
   */
  APL_LOG_LEVEL_OFF = 0,
  /**
   * What failed.
   */
  APL_LOG_LEVEL_ERROR = 1,
  /**
   * What the caller should know although nothing failed.
   */
  APL_LOG_LEVEL_WARN = 2,
  /**
   * What went wrong and is made good: an attempt that is repeated, a stream or a download that goes on.
   */
  APL_LOG_LEVEL_INFO = 3,
  /**
   * Each request and its outcome.
   */
  APL_LOG_LEVEL_DEBUG = 4,
  /**
   * Everything: requests and answers as they are on the wire, bodies in part.
   */
  APL_LOG_LEVEL_TRACE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum apl_log_level apl_log_level;
#else
typedef int32_t apl_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an event of a stream is.
 *
 * @since 0.1.0
 */
enum apl_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * An event the server sent.
   */
  APL_KIND_EVENT = 0,
  /**
   * A comment; only where the options ask for comments.
   */
  APL_KIND_COMMENT = 1,
  /**
   * A connection was made; only where the options ask for the lifecycle.
   */
  APL_KIND_CONNECTED = 2,
  /**
   * A connection was lost; only where the options ask for the lifecycle.
   */
  APL_KIND_DISCONNECTED = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum apl_kind apl_kind;
#else
typedef int32_t apl_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A token that cancels every call it is handed to.
 *
 * One token may serve many calls, one after the other or at once. What is cancelled stays cancelled.
 *
 * @since 0.1.0
 */
typedef struct apl_cancel apl_cancel;

/**
 * An API, described once: base URL, credentials, endpoints, and a pool of connections.
 *
 * It is shared: calls that take it as const are thread-safe.
 *
 * @since 0.1.0
 */
typedef struct apl_connector apl_connector;

/**
 * An error: what failed, where, and what is known about it.
 *
 * It never changes: its getters are thread-safe, and what they return lives until apl_error_free.
 *
 * @since 0.1.0
 */
typedef struct apl_error apl_error;

/**
 * An event of a stream of server-sent events.
 *
 * It is borrowed: in a callback until that returns, from a stream until the next apl_stream_next. Its
 * getters belong to the thread that received it.
 *
 * @since 0.1.0
 */
typedef struct apl_event apl_event;

/**
 * How far a transfer has come.
 *
 * It is borrowed: in a callback until that returns, from a stream until the next apl_stream_next. Its
 * getters belong to the thread that received it.
 *
 * @since 0.1.0
 */
typedef struct apl_progress apl_progress;

/**
 * A request that is about to be sent.
 *
 * It lives until the callback it was handed to returns, on the thread of that callback only.
 *
 * @since 0.1.0
 */
typedef struct apl_request apl_request;

/**
 * A finished answer: its body, its HTTP status and headers, and how it came.
 *
 * It never changes: its getters are thread-safe, and what they return lives until apl_response_free.
 *
 * @since 0.1.0
 */
typedef struct apl_response apl_response;

/**
 * Something that comes piece by piece: chunks, events, pages or records.
 *
 * One thread at a time; apl_stream_close is for the others.
 *
 * @since 0.1.0
 */
typedef struct apl_stream apl_stream;

/**
 * Receives a new token to store, before it is used.
 *
 * It runs on the thread whose call got the token, on several threads at once where several calls run, and
 * never while a lock is held. It must not throw or unwind.
 *
 * @param token_json  valid until the callback returns
 * @param user_data  what was handed over with the callback
 * @return 0: stored; anything else makes the call fail with APL_STATUS_AUTH
 * @since 0.1.0
 */
typedef int32_t (*apl_token_fn)(const char *token_json, void *user_data);

/**
 * Called once when a kept callback is not needed any more; NULL: nothing to do.
 *
 * It runs exactly once for every call it was handed to, whether that call succeeds or not, on the thread
 * that lets go of the callback last, and never while the callback runs.
 *
 * @param user_data  what was handed over with the callback
 * @since 0.1.0
 */
typedef void (*apl_drop_fn)(void *user_data);

/**
 * Signs a request, after its bytes are final and before each attempt.
 *
 * Where auth is digest or sigv4, those sign after it, so that what it sets is signed too; they leave a request alone
 * in which it has set an Authorization.
 *
 * It runs on the thread inside the call, on several threads at once where several calls run, and never
 * while a lock is held. It must not throw or unwind. Calls of other connectors, and of the same one, are
 * allowed in it.
 *
 * @param request  valid until the callback returns
 * @param user_data  what was handed over with the callback
 * @return 0: send it; anything else makes the call fail with APL_STATUS_AUTH
 * @since 0.1.0
 */
typedef int32_t (*apl_request_fn)(struct apl_request *request, void *user_data);

/**
 * Receives the progress of a call.
 *
 * It runs on the thread inside the call, at most 10 times a second, at least once a second also while
 * nothing arrives, and always first and last. It must not throw or unwind.
 *
 * @param progress  valid until the callback returns
 * @param user_data  what was handed to the call
 * @return 0: go on; anything else stops the call with APL_STATUS_STOPPED
 * @since 0.1.0
 */
typedef int32_t (*apl_progress_fn)(const struct apl_progress *progress, void *user_data);

/**
 * Receives a log message.
 *
 * It runs on the thread whose call logs, on several threads at once where several calls run, and never
 * while a lock is held. What it does inside apl is not logged to it again. It must not throw or unwind.
 *
 * @param level  one of apl_log_level
 * @param message  valid until the callback returns; secrets are redacted
 * @param user_data  what was handed over to apl_log_set
 * @since 0.1.0
 */
typedef void (*apl_log_fn)(int32_t level, const char *message, void *user_data);

/**
 * Receives events, a chunk at a time.
 *
 * It runs on the thread inside the call, never twice at once. It must not throw or unwind. Calls of the same
 * connector are allowed in it.
 *
 * @param events  count pointers, valid until the callback returns
 * @param count  how many they are, at least 1
 * @param user_data  what was handed to the call
 * @return 0: go on; anything else stops the call with APL_STATUS_STOPPED
 * @since 0.1.0
 */
typedef int32_t (*apl_events_fn)(const struct apl_event *const *events,
                                 size_t count,
                                 void *user_data);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Makes a cancel token.
 *
 * Thread-safe.
 *
 * @return a handle to free with apl_cancel_free, never NULL
 * @since 0.1.0
 */
APL_API struct apl_cancel *apl_cancel_new(void);

/**
 * Cancels every call that uses this token, now and later.
 *
 * It does not wait for them; they return APL_STATUS_CANCELLED. Thread-safe, and async-signal-safe on POSIX.
 *
 * @param cancel  NULL does nothing
 * @since 0.1.0
 */
APL_API
void apl_cancel_trigger(const struct apl_cancel *cancel);

/**
 * Tells whether a token was triggered.
 *
 * Thread-safe, and async-signal-safe on POSIX.
 *
 * @param cancel  a token, or NULL
 * @return 1 or 0; 0 if cancel is NULL
 * @since 0.1.0
 */
APL_API int32_t apl_cancel_is_triggered(const struct apl_cancel *cancel);

/**
 * Frees a cancel token.
 *
 * Calls that are already inside keep what they need of it, and finish.
 *
 * @param cancel  NULL does nothing
 * @since 0.1.0
 */
APL_API void apl_cancel_free(struct apl_cancel *cancel);

/**
 * Makes a connector from configuration text: JSON, or YAML if it does not begin with "{".
 *
 * Nothing is connected yet. Thread-safe.
 *
 * @param config_json  UTF-8, of 8 MiB at most
 * @param out  receives a handle to free with apl_connector_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK, INVALID_CONFIG, or a problem with an argument
 * @since 0.1.0
 */
APL_API
apl_status apl_connector_new(const char *config_json,
                             struct apl_connector **out,
                             struct apl_error **error);

/**
 * Makes a connector from a configuration file.
 *
 * Nothing is connected yet. Thread-safe.
 *
 * @param config_path  UTF-8; "file.yaml#source" picks one connector out of a whole apilinker file
 * @param out  receives a handle to free with apl_connector_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK, INVALID_CONFIG, FILE, or a problem with an argument
 * @since 0.1.0
 */
APL_API
apl_status apl_connector_open(const char *config_path,
                              struct apl_connector **out,
                              struct apl_error **error);

/**
 * Frees a connector.
 *
 * Calls that are already inside finish as if nothing had happened; streams keep what they need.
 *
 * @param connector  NULL does nothing
 * @since 0.1.0
 */
APL_API void apl_connector_free(struct apl_connector *connector);

/**
 * Sets who stores the tokens that calls of this connector receive.
 *
 * It is set before the first call; one that was set before is replaced. One thread at a time.
 *
 * It runs on the thread of the call that has asked for the token. A call that needs the token and comes from within it
 * is BUSY. From the other callbacks of that call it waits for the token, as those of other threads do.
 *
 * A request for a token has the settings of the connector, and of the call its cancel and its deadline alone. It is sent
 * again where it has failed, with its refresh token too: the answer that was lost may have held the next one. A server
 * that takes each refresh token once (RFC 9700 4.14.2) may then refuse it, and so it may where the call that was asking
 * is cancelled: somebody has to sign in again. A call that is to be cancelled often is given a token beforehand, by a
 * call that is not.
 *
 * @param connector  before its first call
 * @param on_token  gets each new token as JSON: storage_key, access_token, refresh_token, expires_at, token_type, scope
 * @param user_data  handed to on_token and drop
 * @param drop  runs exactly once, also if this call fails; NULL: nothing to do
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK, BUSY after the first call, or a problem with an argument
 * @since 0.1.0
 */
APL_API
apl_status apl_connector_on_token(struct apl_connector *connector,
                                  apl_token_fn on_token,
                                  void *user_data,
                                  apl_drop_fn drop,
                                  struct apl_error **error);

/**
 * Sets who signs the requests of this connector: each attempt, after its bytes are final.
 *
 * It is set before the first call, and never sees a request to another origin; one that was set before is
 * replaced. One thread at a time.
 *
 * @param connector  before its first call
 * @param on_request  may read the request and set headers and query parameters, which are shown nowhere
 * @param user_data  handed to on_request and drop
 * @param drop  runs exactly once, also if this call fails; NULL: nothing to do
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK, BUSY after the first call, or a problem with an argument
 * @since 0.1.0
 */
APL_API
apl_status apl_connector_on_request(struct apl_connector *connector,
                                    apl_request_fn on_request,
                                    void *user_data,
                                    apl_drop_fn drop,
                                    struct apl_error **error);

/**
 * Asks the API for its health; the verdict is the body, as JSON.
 *
 * Blocks until there is a verdict. Thread-safe.
 *
 * @param connector  whose API it is
 * @param cancel  cancels the call; NULL: nothing does
 * @param out  receives an answer to free with apl_response_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK whenever there is a verdict, also a bad one
 * @since 0.1.0
 */
APL_API
apl_status apl_check_health(const struct apl_connector *connector,
                            const struct apl_cancel *cancel,
                            struct apl_response **out,
                            struct apl_error **error);

/**
 * Fetches data from an endpoint; the body of the answer is the data, as JSON.
 *
 * A listing of several pages is one array. Where a page fails, or leads nowhere it may go, the error has what came
 * before as its partial, whose meta has a "checkpoint": as an option of a later call, it goes on from there. The
 * same is in the meta of an answer that ended at "max_pages" or "max_records". The option "prefetch" (0) asks for
 * so many pages ahead, where they are counted. Blocks until it is done. Thread-safe.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration
 * @param params_json  query and path parameters, or the variables of a GraphQL query, a JSON object; NULL: none
 * @param options_json  a JSON object; NULL: the defaults
 * @param cancel  cancels the call; NULL: nothing does
 * @param out  receives an answer to free with apl_response_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; UNKNOWN_ENDPOINT and INVALID_ARGUMENT, before anything is sent; what a request can fail with; DECODE
 *   and SCHEMA where the answer is not what the endpoint says; PAGINATION where a listing cannot go on; FILE for a
 *   body_file
 * @since 0.1.0
 */
APL_API
apl_status apl_fetch(const struct apl_connector *connector,
                     const char *endpoint,
                     const char *params_json,
                     const char *options_json,
                     const struct apl_cancel *cancel,
                     struct apl_response **out,
                     struct apl_error **error);

/**
 * Sends data to an endpoint, as JSON; the body of the answer tells what became of it, as JSON.
 *
 * Blocks until it is done. Thread-safe. The items of an array are sent one by one, or as the endpoint's `batch` says;
 * with the option `concurrency`, so many requests are under way at once. The answer is a ledger of all items. Where
 * one failed, the call is an error, and apl_error_partial is the ledger; given back as the option `resume` with the
 * same array, it has the call go on: what is done is not sent again. An item that may have been processed is sent
 * again only where that is harmless: by its method, or under the idempotency_key that it was sent with.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration
 * @param data_json  one item, or an array of items
 * @param options_json  a JSON object; NULL: the defaults
 * @param cancel  cancels the call; NULL: nothing does
 * @param out  receives an answer to free with apl_response_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK if all of it is; UNKNOWN_ENDPOINT, INVALID_ARGUMENT and, for request_schema, SCHEMA, before anything is
 *   sent; what a request can fail with; DECODE. Of a list, the first failure's
 * @since 0.1.0
 */
APL_API
apl_status apl_send(const struct apl_connector *connector,
                    const char *endpoint,
                    const char *data_json,
                    const char *options_json,
                    const struct apl_cancel *cancel,
                    struct apl_response **out,
                    struct apl_error **error);

/**
 * Sends a body to an endpoint as it is, with the endpoint's method and Content-Type.
 *
 * Blocks until it is done. Thread-safe.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration
 * @param body  borrowed until the call returns; NULL with a body_len of 0 is an empty body
 * @param body_len  in bytes
 * @param options_json  a JSON object; NULL: the defaults
 * @param cancel  cancels the call; NULL: nothing does
 * @param out  receives an answer to free with apl_response_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; UNKNOWN_ENDPOINT and INVALID_ARGUMENT, before anything is sent; what a request can fail with; DECODE
 *   and SCHEMA where the answer is not what the endpoint says
 * @since 0.1.0
 */
APL_API
apl_status apl_send_bytes(const struct apl_connector *connector,
                          const char *endpoint,
                          const uint8_t *body,
                          size_t body_len,
                          const char *options_json,
                          const struct apl_cancel *cancel,
                          struct apl_response **out,
                          struct apl_error **error);

/**
 * Tells the request that would be sent, also as a curl command, secrets redacted; nothing is sent.
 *
 * It is the request of apl_fetch; the body of the answer is JSON: method, url, headers, body, curl and notes.
 * Thread-safe.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration; NULL: tell the resolved configuration
 * @param params_json  query and path parameters, a JSON object; NULL: none
 * @param options_json  a JSON object; NULL: the defaults
 * @param out  receives an answer to free with apl_response_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; UNKNOWN_ENDPOINT, or a problem with an argument
 * @since 0.1.0
 */
APL_API
apl_status apl_explain(const struct apl_connector *connector,
                       const char *endpoint,
                       const char *params_json,
                       const char *options_json,
                       struct apl_response **out,
                       struct apl_error **error);

/**
 * Downloads to a file; the body of the answer is a summary, as JSON.
 *
 * Blocks until it is done. The bytes go to a part beside the target ("NAME.part"), which takes its place once it
 * is whole, verified and on the disk; what was there before stays until then. After a failure, a stop or a kill
 * the part stays, and the next call goes on with it where the server can tell that the resource is the same.
 * One download at a time writes a target; another one: APL_STATUS_BUSY. Thread-safe.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration
 * @param destination_path  UTF-8; a missing parent folder is made; with the option use_server_name, a folder
 * @param params_json  query and path parameters, a JSON object; NULL: none
 * @param options_json  a JSON object; NULL: the defaults
 * @param on_progress  NULL: not wanted
 * @param user_data  handed to on_progress
 * @param cancel  cancels the call; NULL: nothing does
 * @param out  receives an answer to free with apl_response_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK, or STOPPED with the summary so far if on_progress stopped it; FILE, CHECKSUM, TRUNCATED and the
 *   failures of a request; from the first request on, each with the summary so far as apl_error_partial
 * @since 0.1.0
 */
APL_API
apl_status apl_download(const struct apl_connector *connector,
                        const char *endpoint,
                        const char *destination_path,
                        const char *params_json,
                        const char *options_json,
                        apl_progress_fn on_progress,
                        void *user_data,
                        const struct apl_cancel *cancel,
                        struct apl_response **out,
                        struct apl_error **error);

/**
 * The status of an error, the same that the call returned.
 *
 * Thread-safe.
 *
 * @param error  from a failed call, or NULL
 * @return APL_STATUS_OK if error is NULL
 * @since 0.1.0
 */
APL_API apl_status apl_error_status(const struct apl_error *error);

/**
 * One sentence about what failed, where, and what to do; secrets are redacted.
 *
 * Thread-safe.
 *
 * @param error  from a failed call, or NULL
 * @return borrowed from the error; NULL if error is NULL
 * @since 0.1.0
 */
APL_API const char *apl_error_message(const struct apl_error *error);

/**
 * The category of an error: VALIDATION, NETWORK, TIMEOUT, AUTH, RATE_LIMIT, CLIENT, SERVER or UNKNOWN.
 *
 * Thread-safe.
 *
 * @param error  from a failed call, or NULL
 * @return a static string; NULL if error is NULL
 * @since 0.1.0
 */
APL_API
const char *apl_error_category(const struct apl_error *error);

/**
 * The HTTP status of the answer that made the call fail.
 *
 * Thread-safe.
 *
 * @param error  from a failed call, or NULL
 * @return 0 if there was no answer, or error is NULL
 * @since 0.1.0
 */
APL_API int32_t apl_error_http_status(const struct apl_error *error);

/**
 * Tells whether this very call may be repeated now.
 *
 * It may where the failure passes by itself and the request was not processed, or may be processed twice
 * without harm. Thread-safe.
 *
 * @param error  from a failed call, or NULL
 * @return 1 or 0; 0 if error is NULL
 * @since 0.1.0
 */
APL_API
int32_t apl_error_is_retryable(const struct apl_error *error);

/**
 * How long the server asked to wait, in milliseconds.
 *
 * Thread-safe.
 *
 * @param error  from a failed call, or NULL
 * @return -1 if the server did not say, or error is NULL
 * @since 0.1.0
 */
APL_API int64_t apl_error_retry_after_ms(const struct apl_error *error);

/**
 * The answer that was refused: its status, headers, and as much of its body as max_error_body allows.
 *
 * Thread-safe.
 *
 * @param error  from a failed call, or NULL
 * @return borrowed from the error, not to be freed; NULL if there was no answer, or error is NULL
 * @since 0.1.0
 */
APL_API
const struct apl_response *apl_error_response(const struct apl_error *error);

/**
 * What came before the failure: pages, a ledger, a summary, the data beside GraphQL errors; a checkpoint is in its meta.
 *
 * Thread-safe.
 *
 * @param error  from a failed call, or NULL
 * @return borrowed from the error, not to be freed; NULL if nothing came, or error is NULL
 * @since 0.1.0
 */
APL_API
const struct apl_response *apl_error_partial(const struct apl_error *error);

/**
 * The error as a JSON object: message, error_category, status_code, request_url, attempts and the rest.
 *
 * It is made when first asked for. Thread-safe.
 *
 * @param error  from a failed call, or NULL
 * @return borrowed from the error; NULL if error is NULL
 * @since 0.1.0
 */
APL_API
const char *apl_error_json(const struct apl_error *error);

/**
 * Frees an error, and with it everything borrowed from it.
 *
 * @param error  NULL does nothing
 * @since 0.1.0
 */
APL_API void apl_error_free(struct apl_error *error);

/**
 * Sets where log messages of the whole process go; nothing is logged before.
 *
 * Thread-safe. The callback that was set before is dropped as soon as no thread is inside it any more.
 *
 * @param max_level  one of apl_log_level; a number out of range counts as the nearest
 * @param log  NULL: log nothing
 * @param user_data  handed to log and drop
 * @param drop  runs exactly once, when log is replaced; at once if log is NULL; NULL: nothing to do
 * @since 0.1.0
 */
APL_API
void apl_log_set(int32_t max_level,
                 apl_log_fn log,
                 void *user_data,
                 apl_drop_fn drop);

/**
 * The endpoint that is transferred.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return borrowed like the progress; NULL if progress is NULL
 * @since 0.1.0
 */
APL_API const char *apl_progress_endpoint(const struct apl_progress *progress);

/**
 * The bytes that are there, those of an earlier part included.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return 0 if progress is NULL
 * @since 0.1.0
 */
APL_API int64_t apl_progress_bytes_processed(const struct apl_progress *progress);

/**
 * The bytes that came in this call.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return 0 if progress is NULL
 * @since 0.1.0
 */
APL_API int64_t apl_progress_bytes_streamed(const struct apl_progress *progress);

/**
 * The bytes there will be in all.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return -1 if unknown, or progress is NULL
 * @since 0.1.0
 */
APL_API int64_t apl_progress_total_bytes(const struct apl_progress *progress);

/**
 * How much is there, from 0 to 100.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return -1 if unknown, or progress is NULL
 * @since 0.1.0
 */
APL_API double apl_progress_percent(const struct apl_progress *progress);

/**
 * How many chunks have come; the number of the last one, from 1.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return 0 if progress is NULL
 * @since 0.1.0
 */
APL_API int64_t apl_progress_chunk_index(const struct apl_progress *progress);

/**
 * Tells whether the transfer goes on from an earlier part.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return 1 or 0; 0 if progress is NULL
 * @since 0.1.0
 */
APL_API int32_t apl_progress_resumed(const struct apl_progress *progress);

/**
 * Tells whether everything is there.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return 1 or 0; 0 if progress is NULL
 * @since 0.1.0
 */
APL_API int32_t apl_progress_done(const struct apl_progress *progress);

/**
 * The speed, in bytes per second.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return 0 if progress is NULL
 * @since 0.1.0
 */
APL_API double apl_progress_bytes_per_second(const struct apl_progress *progress);

/**
 * How long it will still take, in milliseconds.
 *
 * @param progress  from a callback or a stream, or NULL
 * @return -1 if unknown, or progress is NULL
 * @since 0.1.0
 */
APL_API int64_t apl_progress_eta_ms(const struct apl_progress *progress);

/**
 * The method of a request.
 *
 * @param request  the callback's
 * @return borrowed until the callback returns; NULL if request is NULL
 * @since 0.1.0
 */
APL_API const char *apl_request_method(const struct apl_request *request);

/**
 * The URL of a request, with its query.
 *
 * @param request  the callback's
 * @return borrowed until the callback returns; NULL if request is NULL
 * @since 0.1.0
 */
APL_API const char *apl_request_url(const struct apl_request *request);

/**
 * The value of a header of a request; also of Host, and of Content-Length where the body lies in memory.
 *
 * @param request  the callback's
 * @param name  upper and lower case do not matter
 * @return borrowed until the callback returns; NULL if there is no such header, or an argument is NULL
 * @since 0.1.0
 */
APL_API
const char *apl_request_header(const struct apl_request *request,
                               const char *name);

/**
 * The body of a request, copied for the callback when it first asks for it.
 *
 * @param request  the callback's
 * @param len  receives the number of bytes; NULL: not wanted
 * @return borrowed until the callback returns; NULL if request is NULL, or the body is not in memory
 * @since 0.1.0
 */
APL_API
const uint8_t *apl_request_body(const struct apl_request *request,
                                size_t *len);

/**
 * Sets a header of a request; one of that name is replaced.
 *
 * Its value is shown in no log. Those that frame the message, as Content-Length, cannot be set.
 *
 * @param request  the callback's
 * @param name  the header's name
 * @param value  without line breaks
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; INVALID_ARGUMENT for a name or a value that no header can have, or one that frames the message
 * @since 0.1.0
 */
APL_API
apl_status apl_request_set_header(struct apl_request *request,
                                  const char *name,
                                  const char *value,
                                  struct apl_error **error);

/**
 * Sets a query parameter of a request; one of that name is replaced.
 *
 * Its value is shown in no log.
 *
 * @param request  the callback's
 * @param name  not encoded
 * @param value  not encoded
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK, or a problem with an argument
 * @since 0.1.0
 */
APL_API
apl_status apl_request_set_query(struct apl_request *request,
                                 const char *name,
                                 const char *value,
                                 struct apl_error **error);

/**
 * The body of an answer: what it means depends on the call.
 *
 * Thread-safe.
 *
 * @param response  an answer, or NULL
 * @param len  receives the number of bytes; NULL: not wanted
 * @return borrowed from the answer; a NUL byte follows the body; NULL only if response is NULL
 * @since 0.1.0
 */
APL_API const uint8_t *apl_response_body(const struct apl_response *response, size_t *len);

/**
 * The HTTP status of an answer.
 *
 * Thread-safe.
 *
 * @param response  an answer, or NULL
 * @return 0 if the answer did not come over HTTP, or response is NULL
 * @since 0.1.0
 */
APL_API int32_t apl_response_http_status(const struct apl_response *response);

/**
 * The value of a header: several are joined by ", ", of Set-Cookie it is the first.
 *
 * Bytes that are not UTF-8 are replaced. All headers in the order of the wire are in the meta. Of a fetch
 * of several pages it is the last answer's. Thread-safe.
 *
 * @param response  an answer, or NULL
 * @param name  upper and lower case do not matter
 * @return borrowed from the answer; NULL if there is no such header, or an argument is NULL
 * @since 0.1.0
 */
APL_API
const char *apl_response_header(const struct apl_response *response,
                                const char *name);

/**
 * How the answer came, as a JSON object: url, status, headers, attempts, timings, warnings and the rest; of a listing
 * that was merged, its pages and a checkpoint where it can go on. `revalidated` is true where the server has confirmed
 * an answer of the endpoint's cache: the body is that one's.
 *
 * It is made when first asked for. Thread-safe.
 *
 * @param response  an answer, or NULL
 * @return borrowed from the answer; NULL if response is NULL
 * @since 0.1.0
 */
APL_API
const char *apl_response_meta(const struct apl_response *response);

/**
 * Frees an answer, and with it everything borrowed from it.
 *
 * @param response  NULL does nothing; never one that is borrowed from an error or a stream
 * @since 0.1.0
 */
APL_API void apl_response_free(struct apl_response *response);

/**
 * Begins a sign-in that needs a person, for the auth types oauth2_pkce and oauth2_device_flow.
 *
 * The body of the answer is JSON, for the eyes of that person alone:
 *
 * - oauth2_pkce (RFC 6749 4.1, RFC 7636): {"authorization_url", "state"}. Nothing is sent. Open the address in the
 *   system's browser, and hand the one that the browser comes back to, at redirect_uri, to apl_auth_finish.
 * - oauth2_device_flow (RFC 8628): {"verification_uri", "verification_uri_complete", "user_code", "expires_in",
 *   "interval"}: the address to visit on any device, the same with the code in it or null, the code to type in there,
 *   and seconds: how long it can be used, and between two questions of apl_auth_finish. The device authorization
 *   endpoint is asked.
 *
 * A connector has one sign-in at a time: a new one takes the place of one that was not finished, and a call of
 * apl_auth_finish that works on that one ends with INVALID_ARGUMENT, at once where it waits for the person. A token
 * that is in use stays in use until the new one is there. Blocks; thread-safe.
 *
 * @param connector  whose API it is
 * @param options_json  a JSON object: deadline, timeout, retry_count, retry_delay, retry, limits; NULL: the defaults
 * @param cancel  cancels the call; NULL: nothing does
 * @param out  receives an answer to free with apl_response_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; INVALID_ARGUMENT for a connector that nobody signs in to, and for an option that says nothing here; AUTH
 *   where the endpoint refuses the client, or its answer is none; REDIRECT: it is never followed; and what a request
 *   can fail with
 * @since 0.1.0
 */
APL_API
apl_status apl_auth_begin(const struct apl_connector *connector,
                          const char *options_json,
                          const struct apl_cancel *cancel,
                          struct apl_response **out,
                          struct apl_error **error);

/**
 * Finishes the sign-in that apl_auth_begin began: gets its token, and has it stored.
 *
 * With oauth2_pkce, the address that the browser came back to is checked (its state, RFC 9207's iss), and its code
 * exchanged. With oauth2_device_flow, the call waits for the person: it asks the token endpoint again and again, as
 * RFC 8628 3.5 says, until the person is done or the codes have ended; give it a cancel. Between two questions it keeps
 * the server's interval, from one call to the next too, and leaves the server alone for as long as its Retry-After says.
 *
 * The token goes to the callback of apl_connector_on_token before it is used. Where that refuses, the call fails, and
 * the token is offered again before the next request. A cancel that comes when the token is there already does not undo
 * the sign-in: the call succeeds, and the next request has the token stored before it uses it. From here on, calls
 * carry it; it is replaced with its refresh token, early, and once where a server refuses it. Where that cannot be done
 * early, the token is used until it ends. Where there is no refresh token, or it is refused, calls fail with AUTH from
 * then on, until somebody signs in again.
 *
 * The body of the answer is JSON without the token: {"success": true, "token_type": "Bearer", "expires_at": seconds
 * since 1970 or null, "scope": what was granted or null, "storage_key": the configuration's or null}.
 *
 * A sign-in is used up when its token endpoint has decided. Before, after a failure of the network, a CANCELLED, or an address
 * that does not fit, the same sign-in can be finished with another call. The code of a browser is not sent again by
 * itself unless nothing of it was sent (RFC 6749 4.1.2: it is good for once, and a server that sees it twice may end
 * what it granted); another call sends it again. One that another process has begun is finished here where the
 * configuration has its code_verifier and state, or its device_code. Blocks; thread-safe; one call at a time finishes a
 * sign-in.
 *
 * @param connector  whose API it is
 * @param redirect_url  oauth2_pkce: the address that the browser came back to, all of it, its path and query, or its
 *   query ("?code=...&state=..."); oauth2_device_flow: NULL
 * @param cancel  cancels the call, and ends its waits at once; NULL: nothing does
 * @param out  receives an answer to free with apl_response_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; INVALID_ARGUMENT where no sign-in was begun, or another one meanwhile, for an address that is not
 *   redirect_uri's, and where redirect_url is NULL and should not be, or is not and should; AUTH for an address that is not the answer to what
 *   was begun, where the person or the server refuses (access_denied, invalid_grant and others), where the codes have ended
 *   (expired_token), and where the callback refuses; BUSY while another call finishes it, and from callbacks within
 *   one; CANCELLED; and what a request can fail with
 * @since 0.1.0
 */
APL_API
apl_status apl_auth_finish(const struct apl_connector *connector,
                           const char *redirect_url,
                           const struct apl_cancel *cancel,
                           struct apl_response **out,
                           struct apl_error **error);

/**
 * Consumes server-sent events; the body of the answer is a summary, as JSON.
 *
 * Blocks until the stream ends, which one that reconnects does by max_events, max_reconnect_attempts, a deadline,
 * on_events or cancel. on_events gets chunk_size events at a time, and at the end the rest. Under drop_policy
 * "block" it slows the server down; under "drop_oldest" and "drop_newest" the server is read on while it runs, and
 * what does not fit into backpressure_buffer_size, or into limits.max_body bytes, is dropped and counted. Thread-safe.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration
 * @param params_json  query and path parameters, a JSON object; NULL: none
 * @param options_json  a JSON object; NULL: the defaults
 * @param on_events  NULL: the summary holds the chunks
 * @param user_data  handed to on_events
 * @param cancel  cancels the call; NULL: nothing does
 * @param out  receives an answer to free with apl_response_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK, or STOPPED with the summary so far if on_events stopped it; a failure has the summary so far as
 *   apl_error_partial
 * @since 0.1.0
 */
APL_API
apl_status apl_consume_sse(const struct apl_connector *connector,
                           const char *endpoint,
                           const char *params_json,
                           const char *options_json,
                           apl_events_fn on_events,
                           void *user_data,
                           const struct apl_cancel *cancel,
                           struct apl_response **out,
                           struct apl_error **error);

/**
 * Opens a stream of server-sent events: apl_stream_next returns the data of one at a time, apl_stream_event the rest
 * of it.
 *
 * Blocks until the server has answered, or until a first attempt has failed in a way that may pass: then
 * apl_stream_next goes on. A GET reconnects by itself, after the time that the server or reconnect_delay says, and
 * tells the id of the last event; another method, and a stream with a sentinel, where "reconnect" is true. Events
 * that a server sends again are delivered again. Thread-safe.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration
 * @param params_json  query and path parameters, a JSON object; NULL: none
 * @param options_json  a JSON object; NULL: the defaults
 * @param cancel  cancels the stream, which keeps what it needs of it; NULL: nothing does
 * @param out  receives a stream to free with apl_stream_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; UNKNOWN_ENDPOINT, INVALID_ARGUMENT; what a request can fail with, where that does not pass by itself;
 *   PROTOCOL for an answer that is no event stream
 * @since 0.1.0
 */
APL_API
apl_status apl_sse_open(const struct apl_connector *connector,
                        const char *endpoint,
                        const char *params_json,
                        const char *options_json,
                        const struct apl_cancel *cancel,
                        struct apl_stream **out,
                        struct apl_error **error);

/**
 * The kind of an event, one of apl_kind: comments only with the option "comments", connects and disconnects only with
 * "lifecycle".
 *
 * @param event  from a callback or a stream, or NULL
 * @return 0 if event is NULL
 * @since 0.1.0
 */
APL_API
int32_t apl_event_kind(const struct apl_event *event);

/**
 * The type of an event, "message" where the server gave none; of the other kinds "comment", "connected" and
 * "disconnected".
 *
 * @param event  from a callback or a stream, or NULL
 * @return borrowed like the event; NULL if event is NULL
 * @since 0.1.0
 */
APL_API
const char *apl_event_type(const struct apl_event *event);

/**
 * The id of an event: its own, or that of the last event that had one.
 *
 * @param event  from a callback or a stream, or NULL
 * @return borrowed like the event; NULL if there is none, or event is NULL
 * @since 0.1.0
 */
APL_API const char *apl_event_id(const struct apl_event *event);

/**
 * The data of an event, as the server sent it: UTF-8, its lines joined by line feeds. Of a comment, its text; of a
 * disconnect, why.
 *
 * @param event  from a callback or a stream, or NULL
 * @param len  receives the number of bytes; NULL: not wanted
 * @return borrowed like the event; a NUL byte follows; NULL only if event is NULL
 * @since 0.1.0
 */
APL_API
const uint8_t *apl_event_data(const struct apl_event *event,
                              size_t *len);

/**
 * An event as a JSON object: id, event, data, retry, raw_data. data is JSON where it is some and the option
 * "decode_json" is not false, else the same text as raw_data.
 *
 * @param event  from a callback or a stream, or NULL
 * @param len  receives the number of bytes; NULL: not wanted
 * @return borrowed like the event; a NUL byte follows; NULL if event is NULL
 * @since 0.1.0
 */
APL_API
const char *apl_event_json(const struct apl_event *event,
                           size_t *len);

/**
 * The wait before the next reconnect that an event asked for, in milliseconds; of a disconnect, how long it will be.
 *
 * @param event  from a callback or a stream, or NULL
 * @return -1 if there is none, or event is NULL
 * @since 0.1.0
 */
APL_API
int64_t apl_event_retry_ms(const struct apl_event *event);

/**
 * The name of a status, such as "OK" or "INVALID_CONFIG".
 *
 * Thread-safe.
 *
 * @param status  any number
 * @return a static string, never NULL; "UNKNOWN" for a number that is no status of this version
 * @since 0.1.0
 */
APL_API const char *apl_status_name(int32_t status);

/**
 * Opens the body of an answer as a stream: apl_stream_next returns a chunk of it at a time.
 *
 * Blocks until the head of the answer is there. Chunks have the option "chunk_size" (65536 bytes), but for the
 * last one. Thread-safe.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration
 * @param params_json  query and path parameters, a JSON object; NULL: none
 * @param options_json  a JSON object; NULL: the defaults
 * @param cancel  cancels the stream, which keeps what it needs of it; NULL: nothing does
 * @param out  receives a stream to free with apl_stream_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; UNKNOWN_ENDPOINT, INVALID_ARGUMENT; what a request can fail with; RANGE for another part than the one
 *   that was asked for; CHECKSUM for another expected_size or expected_type
 * @since 0.1.0
 */
APL_API
apl_status apl_stream_open(const struct apl_connector *connector,
                           const char *endpoint,
                           const char *params_json,
                           const char *options_json,
                           const struct apl_cancel *cancel,
                           struct apl_stream **out,
                           struct apl_error **error);

/**
 * Opens a listing page by page: apl_stream_next returns the items of one page, as a JSON array.
 *
 * Nothing is asked for before the first apl_stream_next. Pages without items are passed over. A failure names the page;
 * what came before it was returned, and apl_stream_checkpoint, as the option "checkpoint" of a later call, goes on
 * from there. An endpoint without "pagination" is a listing of one page. Thread-safe.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration
 * @param params_json  query and path parameters, a JSON object; NULL: none
 * @param options_json  a JSON object; NULL: the defaults
 * @param cancel  cancels the stream, which keeps what it needs of it; NULL: nothing does
 * @param out  receives a stream to free with apl_stream_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; UNKNOWN_ENDPOINT, INVALID_ARGUMENT, also for a checkpoint of another listing; all else comes from
 *   apl_stream_next
 * @since 0.1.0
 */
APL_API
apl_status apl_pages_open(const struct apl_connector *connector,
                          const char *endpoint,
                          const char *params_json,
                          const char *options_json,
                          const struct apl_cancel *cancel,
                          struct apl_stream **out,
                          struct apl_error **error);

/**
 * Opens a listing record by record: apl_stream_next returns one record, as JSON.
 *
 * As apl_pages_open, of which a page at a time is held; apl_stream_checkpoint names the place behind the record.
 * Thread-safe.
 *
 * @param connector  whose API it is
 * @param endpoint  its name in the configuration
 * @param params_json  query and path parameters, a JSON object; NULL: none
 * @param options_json  a JSON object; NULL: the defaults
 * @param cancel  cancels the stream, which keeps what it needs of it; NULL: nothing does
 * @param out  receives a stream to free with apl_stream_free; NULL on failure
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK; UNKNOWN_ENDPOINT, INVALID_ARGUMENT, also for a checkpoint of another listing; all else comes from
 *   apl_stream_next
 * @since 0.1.0
 */
APL_API
apl_status apl_records_open(const struct apl_connector *connector,
                            const char *endpoint,
                            const char *params_json,
                            const char *options_json,
                            const struct apl_cancel *cancel,
                            struct apl_stream **out,
                            struct apl_error **error);

/**
 * Waits for the next piece of a stream.
 *
 * What came before a failure is returned first. END, errors and a panic are final: from then on each call returns
 * the same. One thread at a time; from a second one: APL_STATUS_BUSY.
 *
 * @param stream  from a function that opens one, or NULL
 * @param data  receives the piece, borrowed until the next apl_stream_next; a NUL byte follows; NULL: not
 *   wanted
 * @param len  receives the number of bytes; NULL: not wanted
 * @param error  receives an error to free with apl_error_free; NULL: not wanted
 * @return OK with a piece, END without one, IDLE if nothing came within the option "wait"
 * @since 0.1.0
 */
APL_API
apl_status apl_stream_next(struct apl_stream *stream,
                           const uint8_t **data,
                           size_t *len,
                           struct apl_error **error);

/**
 * The head of the current answer: its HTTP status, headers and meta.
 *
 * It belongs to the thread that calls apl_stream_next.
 *
 * @param stream  from a function that opens one, or NULL
 * @return borrowed until the next apl_stream_next, not to be freed; NULL if there is none, or stream is NULL
 * @since 0.1.0
 */
APL_API
const struct apl_response *apl_stream_response(struct apl_stream *stream);

/**
 * The event that apl_stream_next returned, of a stream that apl_sse_open has opened.
 *
 * It belongs to the thread that calls apl_stream_next.
 *
 * @param stream  from a function that opens one, or NULL
 * @return borrowed until the next apl_stream_next; NULL if there is none, or stream is NULL
 * @since 0.1.0
 */
APL_API const struct apl_event *apl_stream_event(struct apl_stream *stream);

/**
 * How far a stream has come.
 *
 * It belongs to the thread that calls apl_stream_next.
 *
 * @param stream  from a function that opens one, or NULL
 * @return borrowed until the next apl_stream_next; NULL if stream is NULL
 * @since 0.1.0
 */
APL_API const struct apl_progress *apl_stream_progress(struct apl_stream *stream);

/**
 * The place after the item that was returned last, made of [A-Za-z0-9._~-] only.
 *
 * It belongs to the thread that calls apl_stream_next.
 *
 * @param stream  from a function that opens one, or NULL
 * @return borrowed until the next apl_stream_next; NULL if there is none, or stream is NULL
 * @since 0.1.0
 */
APL_API const char *apl_stream_checkpoint(struct apl_stream *stream);

/**
 * Ends a stream from another thread: an apl_stream_next that waits returns APL_STATUS_CANCELLED.
 *
 * The stream is still to be freed. Thread-safe.
 *
 * @param stream  NULL does nothing
 * @since 0.1.0
 */
APL_API void apl_stream_close(const struct apl_stream *stream);

/**
 * Frees a stream, and with it everything borrowed from it.
 *
 * @param stream  NULL does nothing
 * @since 0.1.0
 */
APL_API void apl_stream_free(struct apl_stream *stream);

/**
 * The number of the binary interface of the loaded library.
 *
 * Compare it with APL_ABI_VERSION, which is the header's. Thread-safe.
 *
 * @return APL_ABI_VERSION, where library and header belong together
 * @since 0.1.0
 */
APL_API uint32_t apl_abi_version(void);

/**
 * The version of the loaded library, as "major.minor.patch".
 *
 * Thread-safe.
 *
 * @return a static string, never NULL
 * @since 0.1.0
 */
APL_API const char *apl_version(void);

/**
 * The version of the loaded library as a number: (major << 16) | (minor << 8) | patch.
 *
 * Compare it with APL_VERSION_NUMBER, which is the header's. Thread-safe.
 *
 * @return APL_VERSION_NUMBER, where library and header are of one version
 * @since 0.1.0
 */
APL_API uint32_t apl_version_number(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* APL_H */
