//! `apl_stream`: what comes piece by piece.

use std::ffi::c_char;
use std::ptr;

use super::cancel::apl_cancel;
use super::connector::{Target, apl_connector};
use super::download::apl_progress;
use super::error::apl_error;
use super::response::apl_response;
use super::sse::apl_event;
use super::status::apl_status;
use super::{guard, handle};
use crate::error::Error;

/// Something that comes piece by piece: chunks, events, pages or records.
///
/// One thread at a time; apl_stream_close is for the others.
///
/// @since 0.1.0
pub struct apl_stream {
    _later: (),
}

/// Opens the body of an answer as a stream: apl_stream_next returns a chunk of it at a time.
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
pub unsafe extern "C" fn apl_stream_open(
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
            Err(Error::unsupported("apl_stream_open"))
        })
    }
}

/// Opens a listing page by page: apl_stream_next returns the items of one page, as a JSON array.
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
pub unsafe extern "C" fn apl_pages_open(
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
            Err(Error::unsupported("apl_pages_open"))
        })
    }
}

/// Opens a listing record by record: apl_stream_next returns one record, as JSON.
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
pub unsafe extern "C" fn apl_records_open(
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
            Err(Error::unsupported("apl_records_open"))
        })
    }
}

/// Waits for the next piece of a stream.
///
/// END, errors and a panic are final: from then on each call returns the same. Not built yet:
/// APL_STATUS_UNSUPPORTED. One thread at a time; from a second one: APL_STATUS_BUSY.
///
/// @param data  receives the piece, borrowed until the next apl_stream_next; a NUL byte follows; NULL: not
///   wanted
/// @param len  receives the number of bytes; NULL: not wanted
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK with a piece, END without one, IDLE if nothing came within the option "wait"
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_next(
    stream: *mut apl_stream,
    data: *mut *const u8,
    len: *mut usize,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        handle::set(data, ptr::null());
        handle::set(len, 0);
        guard::call(error, || {
            handle::required(stream, "stream")?;
            Err(Error::unsupported("apl_stream_next"))
        })
    }
}

/// The head of the current answer: its HTTP status, headers and meta.
///
/// It belongs to the thread that calls apl_stream_next.
///
/// @return borrowed until the next apl_stream_next, not to be freed; NULL if there is none, or stream is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_response(stream: *mut apl_stream) -> *const apl_response {
    let _ = stream;
    ptr::null()
}

/// The event that apl_stream_next returned.
///
/// It belongs to the thread that calls apl_stream_next.
///
/// @return borrowed until the next apl_stream_next; NULL if there is none, or stream is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_event(stream: *mut apl_stream) -> *const apl_event {
    let _ = stream;
    ptr::null()
}

/// How far a stream has come.
///
/// It belongs to the thread that calls apl_stream_next.
///
/// @return borrowed until the next apl_stream_next; NULL if stream is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_progress(stream: *mut apl_stream) -> *const apl_progress {
    let _ = stream;
    ptr::null()
}

/// The place after the item that was returned last, made of [A-Za-z0-9._~-] only.
///
/// It belongs to the thread that calls apl_stream_next.
///
/// @return borrowed until the next apl_stream_next; NULL if there is none, or stream is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_checkpoint(stream: *mut apl_stream) -> *const c_char {
    let _ = stream;
    ptr::null()
}

/// Ends a stream from another thread: an apl_stream_next that waits returns APL_STATUS_CANCELLED.
///
/// The stream is still to be freed. Thread-safe.
///
/// @param stream  NULL does nothing
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_close(stream: *const apl_stream) {
    let _ = stream;
}

/// Frees a stream, and with it everything borrowed from it.
///
/// @param stream  NULL does nothing
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_stream_free(stream: *mut apl_stream) {
    let _ = stream;
}
