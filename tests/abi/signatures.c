/* The generated header and the contract in one file: a function or a callback whose type differs does not
 * compile, nor does a number that differs. For C11 and C++11 or later. */
#include "apl.h"
#define APL_CONTRACT_FUNCTIONS_ONLY
#include "contract.h"

#include <assert.h>

static_assert(APL_ABI_VERSION == 1u, "the ABI");

static_assert(APL_STATUS_OK == 0, "APL_STATUS_OK");
static_assert(APL_STATUS_END == 1, "APL_STATUS_END");
static_assert(APL_STATUS_STOPPED == 2, "APL_STATUS_STOPPED");
static_assert(APL_STATUS_IDLE == 3, "APL_STATUS_IDLE");
static_assert(APL_STATUS_NULL_ARGUMENT == 100, "APL_STATUS_NULL_ARGUMENT");
static_assert(APL_STATUS_INVALID_ARGUMENT == 101, "APL_STATUS_INVALID_ARGUMENT");
static_assert(APL_STATUS_INVALID_CONFIG == 102, "APL_STATUS_INVALID_CONFIG");
static_assert(APL_STATUS_BUSY == 103, "APL_STATUS_BUSY");
static_assert(APL_STATUS_UNKNOWN_ENDPOINT == 104, "APL_STATUS_UNKNOWN_ENDPOINT");
static_assert(APL_STATUS_UNSUPPORTED == 105, "APL_STATUS_UNSUPPORTED");
static_assert(APL_STATUS_DNS == 200, "APL_STATUS_DNS");
static_assert(APL_STATUS_CONNECT == 201, "APL_STATUS_CONNECT");
static_assert(APL_STATUS_TLS == 202, "APL_STATUS_TLS");
static_assert(APL_STATUS_TIMEOUT == 203, "APL_STATUS_TIMEOUT");
static_assert(APL_STATUS_IO == 204, "APL_STATUS_IO");
static_assert(APL_STATUS_PROTOCOL == 205, "APL_STATUS_PROTOCOL");
static_assert(APL_STATUS_TOO_LARGE == 206, "APL_STATUS_TOO_LARGE");
static_assert(APL_STATUS_REDIRECT == 207, "APL_STATUS_REDIRECT");
static_assert(APL_STATUS_HTTP_STATUS == 300, "APL_STATUS_HTTP_STATUS");
static_assert(APL_STATUS_RATE_LIMITED == 301, "APL_STATUS_RATE_LIMITED");
static_assert(APL_STATUS_AUTH == 302, "APL_STATUS_AUTH");
static_assert(APL_STATUS_CANCELLED == 400, "APL_STATUS_CANCELLED");
static_assert(APL_STATUS_DECODE == 500, "APL_STATUS_DECODE");
static_assert(APL_STATUS_SCHEMA == 501, "APL_STATUS_SCHEMA");
static_assert(APL_STATUS_PAGINATION == 502, "APL_STATUS_PAGINATION");
static_assert(APL_STATUS_TRUNCATED == 503, "APL_STATUS_TRUNCATED");
static_assert(APL_STATUS_CHECKSUM == 504, "APL_STATUS_CHECKSUM");
static_assert(APL_STATUS_RANGE == 505, "APL_STATUS_RANGE");
static_assert(APL_STATUS_FILE == 600, "APL_STATUS_FILE");
static_assert(APL_STATUS_PANIC == 900, "APL_STATUS_PANIC");
static_assert(APL_STATUS_INTERNAL == 901, "APL_STATUS_INTERNAL");
static_assert(APL_LOG_LEVEL_OFF == 0, "APL_LOG_LEVEL_OFF");
static_assert(APL_LOG_LEVEL_ERROR == 1, "APL_LOG_LEVEL_ERROR");
static_assert(APL_LOG_LEVEL_WARN == 2, "APL_LOG_LEVEL_WARN");
static_assert(APL_LOG_LEVEL_INFO == 3, "APL_LOG_LEVEL_INFO");
static_assert(APL_LOG_LEVEL_DEBUG == 4, "APL_LOG_LEVEL_DEBUG");
static_assert(APL_LOG_LEVEL_TRACE == 5, "APL_LOG_LEVEL_TRACE");
static_assert(APL_KIND_EVENT == 0, "APL_KIND_EVENT");
static_assert(APL_KIND_COMMENT == 1, "APL_KIND_COMMENT");
static_assert(APL_KIND_CONNECTED == 2, "APL_KIND_CONNECTED");
static_assert(APL_KIND_DISCONNECTED == 3, "APL_KIND_DISCONNECTED");

static_assert(sizeof(apl_status) == sizeof(int32_t), "a status is an int32_t");
