//! Server-sent events: `apl_consume_sse`, `apl_sse_open` and `apl_event`.

use std::ffi::{c_char, c_void};
use std::ptr;

use super::cancel::apl_cancel;
use super::connector::{Target, apl_connector};
use super::error::apl_error;
use super::response::apl_response;
use super::status::apl_status;
use super::stream::apl_stream;
use super::{guard, handle};
use crate::error::Error;

/// An event of a stream of server-sent events.
///
/// It is borrowed: in a callback until that returns, from a stream until the next apl_stream_next. Its
/// getters belong to the thread that received it.
///
/// @since 0.1.0
pub struct apl_event {
    _later: (),
}

/// Receives events, a chunk at a time.
///
/// It runs on the thread inside the call. It must not throw or unwind.
///
/// @param events  count pointers, valid until the callback returns
/// @param user_data  what was handed to the call
/// @return 0: go on; anything else stops the call with APL_STATUS_STOPPED
/// @since 0.1.0
pub type apl_events_fn = Option<
    unsafe extern "C" fn(events: *const *const apl_event, count: usize, user_data: *mut c_void) -> i32,
>;

/// Consumes server-sent events; the body of the answer is a summary, as JSON.
///
/// Blocks until it is done. Not built yet: APL_STATUS_UNSUPPORTED. Thread-safe.
///
/// @param endpoint  its name in the configuration
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param on_events  NULL: the summary holds the chunks
/// @param user_data  handed to on_events
/// @param cancel  cancels the call; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK, or STOPPED with the summary so far if on_events stopped it
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_consume_sse(
    connector: *const apl_connector,
    endpoint: *const c_char,
    params_json: *const c_char,
    options_json: *const c_char,
    on_events: apl_events_fn,
    user_data: *mut c_void,
    cancel: *const apl_cancel,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    let _ = (on_events, user_data);
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            Target::new(connector, endpoint, params_json, options_json, cancel)?;
            Err(Error::unsupported("apl_consume_sse"))
        })
    }
}

/// Opens a stream of server-sent events: apl_stream_next returns the data of one at a time.
///
/// Not built yet: APL_STATUS_UNSUPPORTED. Thread-safe.
///
/// @param endpoint  its name in the configuration
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param cancel  cancels the stream, which keeps what it needs of it; NULL: nothing does
/// @param out  receives a stream to free with apl_stream_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_sse_open(
    connector: *const apl_connector,
    endpoint: *const c_char,
    params_json: *const c_char,
    options_json: *const c_char,
    cancel: *const apl_cancel,
    out: *mut *mut apl_stream,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            Target::new(connector, endpoint, params_json, options_json, cancel)?;
            Err(Error::unsupported("apl_sse_open"))
        })
    }
}

/// The kind of an event, one of apl_kind.
///
/// @return 0 if event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_kind(event: *const apl_event) -> i32 {
    let _ = event;
    0
}

/// The type of an event, "message" where the server gave none.
///
/// @return borrowed like the event; NULL if event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_type(event: *const apl_event) -> *const c_char {
    let _ = event;
    ptr::null()
}

/// The id of an event.
///
/// @return borrowed like the event; NULL if there is none, or event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_id(event: *const apl_event) -> *const c_char {
    let _ = event;
    ptr::null()
}

/// The data of an event, as the server sent it.
///
/// @param len  receives the number of bytes; NULL: not wanted
/// @return borrowed like the event; a NUL byte follows; NULL only if event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_data(event: *const apl_event, len: *mut usize) -> *const u8 {
    let _ = event;
    // SAFETY: `len` is NULL or may be written to, by contract.
    unsafe { handle::set(len, 0) };
    ptr::null()
}

/// An event as a JSON object: id, event, data, retry, raw_data.
///
/// @param len  receives the number of bytes; NULL: not wanted
/// @return borrowed like the event; a NUL byte follows; NULL if event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_json(event: *const apl_event, len: *mut usize) -> *const c_char {
    let _ = event;
    // SAFETY: `len` is NULL or may be written to, by contract.
    unsafe { handle::set(len, 0) };
    ptr::null()
}

/// The wait before the next reconnect that an event asked for, in milliseconds.
///
/// @return -1 if it did not, or event is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_event_retry_ms(event: *const apl_event) -> i64 {
    let _ = event;
    -1
}
