/* The contract: names, argument orders, types and numbers are fixed, since programs are written against
 * them. signatures.c puts its functions beside the generated header's, so that a compiler compares them. */
#ifndef APL_CONTRACT_H
#define APL_CONTRACT_H
#include <stddef.h>
#include <stdint.h>

#ifndef APL_CONTRACT_FUNCTIONS_ONLY
#define APL_ABI_VERSION 1u
#define APL_VERSION_NUMBER 0x000100u /* (major << 16) | (minor << 8) | patch */
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef APL_CONTRACT_FUNCTIONS_ONLY
enum apl_status
#ifdef __cplusplus
  : int32_t
#endif
{
  APL_STATUS_OK = 0, APL_STATUS_END = 1, APL_STATUS_STOPPED = 2, APL_STATUS_IDLE = 3,
  APL_STATUS_NULL_ARGUMENT = 100, APL_STATUS_INVALID_ARGUMENT = 101, APL_STATUS_INVALID_CONFIG = 102,
  APL_STATUS_BUSY = 103, APL_STATUS_UNKNOWN_ENDPOINT = 104, APL_STATUS_UNSUPPORTED = 105,
  APL_STATUS_DNS = 200, APL_STATUS_CONNECT = 201, APL_STATUS_TLS = 202, APL_STATUS_TIMEOUT = 203,
  APL_STATUS_IO = 204, APL_STATUS_PROTOCOL = 205, APL_STATUS_TOO_LARGE = 206, APL_STATUS_REDIRECT = 207,
  APL_STATUS_HTTP_STATUS = 300, APL_STATUS_RATE_LIMITED = 301, APL_STATUS_AUTH = 302,
  APL_STATUS_CANCELLED = 400,
  APL_STATUS_DECODE = 500, APL_STATUS_SCHEMA = 501, APL_STATUS_PAGINATION = 502, APL_STATUS_TRUNCATED = 503,
  APL_STATUS_CHECKSUM = 504, APL_STATUS_RANGE = 505,
  APL_STATUS_FILE = 600,
  APL_STATUS_PANIC = 900, APL_STATUS_INTERNAL = 901
};
#ifndef __cplusplus
typedef int32_t apl_status;
#endif

enum apl_log_level
#ifdef __cplusplus
  : int32_t
#endif
{ APL_LOG_LEVEL_OFF = 0, APL_LOG_LEVEL_ERROR = 1, APL_LOG_LEVEL_WARN = 2, APL_LOG_LEVEL_INFO = 3, APL_LOG_LEVEL_DEBUG = 4, APL_LOG_LEVEL_TRACE = 5 };
enum apl_kind
#ifdef __cplusplus
  : int32_t
#endif
{ APL_KIND_EVENT = 0, APL_KIND_COMMENT = 1, APL_KIND_CONNECTED = 2, APL_KIND_DISCONNECTED = 3 };

typedef struct apl_request apl_request;
typedef struct apl_connector apl_connector;
typedef struct apl_response apl_response;
typedef struct apl_stream apl_stream;
typedef struct apl_event apl_event;
typedef struct apl_progress apl_progress;
typedef struct apl_cancel apl_cancel;
typedef struct apl_error apl_error;
#endif

typedef int32_t (*apl_progress_fn)(const apl_progress *progress, void *user_data);
typedef int32_t (*apl_events_fn)(const apl_event *const *events, size_t count, void *user_data);
typedef void (*apl_log_fn)(int32_t level, const char *message, void *user_data);
typedef void (*apl_drop_fn)(void *user_data);
typedef int32_t (*apl_token_fn)(const char *token_json, void *user_data);
typedef int32_t (*apl_request_fn)(apl_request *request, void *user_data);

uint32_t apl_abi_version(void);
const char *apl_version(void);
uint32_t apl_version_number(void);
const char *apl_status_name(int32_t status);

apl_status apl_connector_new(const char *config_json, apl_connector **out, apl_error **error);
apl_status apl_connector_open(const char *config_path, apl_connector **out, apl_error **error);
void apl_connector_free(apl_connector *connector);
apl_status apl_connector_on_token(apl_connector *connector, apl_token_fn on_token, void *user_data,
                                  apl_drop_fn drop, apl_error **error);
apl_status apl_connector_on_request(apl_connector *connector, apl_request_fn on_request, void *user_data,
                                    apl_drop_fn drop, apl_error **error);
const char *apl_request_method(const apl_request *request);
const char *apl_request_url(const apl_request *request);
const char *apl_request_header(const apl_request *request, const char *name);
const uint8_t *apl_request_body(const apl_request *request, size_t *len);
apl_status apl_request_set_header(apl_request *request, const char *name, const char *value, apl_error **error);
apl_status apl_request_set_query(apl_request *request, const char *name, const char *value, apl_error **error);
apl_status apl_auth_begin(const apl_connector *connector, const char *options_json, const apl_cancel *cancel,
                          apl_response **out, apl_error **error);
apl_status apl_auth_finish(const apl_connector *connector, const char *redirect_url, const apl_cancel *cancel,
                           apl_response **out, apl_error **error);

apl_status apl_check_health(const apl_connector *connector, const apl_cancel *cancel,
                            apl_response **out, apl_error **error);
apl_status apl_fetch(const apl_connector *connector, const char *endpoint, const char *params_json,
                     const char *options_json, const apl_cancel *cancel, apl_response **out, apl_error **error);
apl_status apl_send(const apl_connector *connector, const char *endpoint, const char *data_json,
                    const char *options_json, const apl_cancel *cancel, apl_response **out,
                    apl_error **error);
apl_status apl_download(const apl_connector *connector, const char *endpoint, const char *destination_path,
                        const char *params_json, const char *options_json, apl_progress_fn on_progress,
                        void *user_data, const apl_cancel *cancel, apl_response **out, apl_error **error);
apl_status apl_consume_sse(const apl_connector *connector, const char *endpoint, const char *params_json,
                           const char *options_json, apl_events_fn on_events, void *user_data,
                           const apl_cancel *cancel, apl_response **out, apl_error **error);
apl_status apl_send_bytes(const apl_connector *connector, const char *endpoint, const uint8_t *body, size_t body_len,
                          const char *options_json, const apl_cancel *cancel, apl_response **out, apl_error **error);
apl_status apl_explain(const apl_connector *connector, const char *endpoint, const char *params_json,
                       const char *options_json, apl_response **out, apl_error **error);

const uint8_t *apl_response_body(const apl_response *response, size_t *len);
int32_t apl_response_http_status(const apl_response *response);
const char *apl_response_header(const apl_response *response, const char *name);
const char *apl_response_meta(const apl_response *response);
void apl_response_free(apl_response *response);

apl_status apl_stream_open(const apl_connector *connector, const char *endpoint, const char *params_json,
                           const char *options_json, const apl_cancel *cancel, apl_stream **out,
                           apl_error **error);
apl_status apl_sse_open(const apl_connector *connector, const char *endpoint, const char *params_json,
                        const char *options_json, const apl_cancel *cancel, apl_stream **out,
                        apl_error **error);
apl_status apl_pages_open(const apl_connector *connector, const char *endpoint, const char *params_json,
                          const char *options_json, const apl_cancel *cancel, apl_stream **out,
                          apl_error **error);
apl_status apl_records_open(const apl_connector *connector, const char *endpoint, const char *params_json,
                            const char *options_json, const apl_cancel *cancel, apl_stream **out,
                            apl_error **error);
apl_status apl_stream_next(apl_stream *stream, const uint8_t **data, size_t *len, apl_error **error);
const apl_response *apl_stream_response(apl_stream *stream);
const apl_event *apl_stream_event(apl_stream *stream);
const apl_progress *apl_stream_progress(apl_stream *stream);
const char *apl_stream_checkpoint(apl_stream *stream);
void apl_stream_close(const apl_stream *stream);
void apl_stream_free(apl_stream *stream);

int32_t apl_event_kind(const apl_event *event);
const char *apl_event_type(const apl_event *event);
const char *apl_event_id(const apl_event *event);
const uint8_t *apl_event_data(const apl_event *event, size_t *len);
const char *apl_event_json(const apl_event *event, size_t *len);
int64_t apl_event_retry_ms(const apl_event *event);

const char *apl_progress_endpoint(const apl_progress *progress);
int64_t apl_progress_bytes_processed(const apl_progress *progress);
int64_t apl_progress_bytes_streamed(const apl_progress *progress);
int64_t apl_progress_total_bytes(const apl_progress *progress);
double apl_progress_percent(const apl_progress *progress);
int64_t apl_progress_chunk_index(const apl_progress *progress);
int32_t apl_progress_resumed(const apl_progress *progress);
int32_t apl_progress_done(const apl_progress *progress);
double apl_progress_bytes_per_second(const apl_progress *progress);
int64_t apl_progress_eta_ms(const apl_progress *progress);

apl_cancel *apl_cancel_new(void);
void apl_cancel_trigger(const apl_cancel *cancel);
int32_t apl_cancel_is_triggered(const apl_cancel *cancel);
void apl_cancel_free(apl_cancel *cancel);

apl_status apl_error_status(const apl_error *error);
const char *apl_error_message(const apl_error *error);
const char *apl_error_category(const apl_error *error);
int32_t apl_error_http_status(const apl_error *error);
int32_t apl_error_is_retryable(const apl_error *error);
int64_t apl_error_retry_after_ms(const apl_error *error);
const apl_response *apl_error_response(const apl_error *error);
const apl_response *apl_error_partial(const apl_error *error);
const char *apl_error_json(const apl_error *error);
void apl_error_free(apl_error *error);

void apl_log_set(int32_t max_level, apl_log_fn log, void *user_data, apl_drop_fn drop);

#ifdef __cplusplus
}
#endif
#endif
