//! `apl_download`, and the progress that it and streams report.

use std::ffi::{c_char, c_void};
use std::ptr;

use super::cancel::apl_cancel;
use super::connector::{Target, apl_connector};
use super::error::apl_error;
use super::response::apl_response;
use super::status::apl_status;
use super::{guard, text};
use crate::error::Error;

/// How far a transfer has come.
///
/// It is borrowed: in a callback until that returns, from a stream until the next apl_stream_next. Its
/// getters belong to the thread that received it.
///
/// @since 0.1.0
pub struct apl_progress {
    _later: (),
}

/// Receives the progress of a call.
///
/// It runs on the thread inside the call, at most 10 times a second, at least once a second also while
/// nothing arrives, and always first and last. It must not throw or unwind.
///
/// @param progress  valid until the callback returns
/// @param user_data  what was handed to the call
/// @return 0: go on; anything else stops the call with APL_STATUS_STOPPED
/// @since 0.1.0
pub type apl_progress_fn =
    Option<unsafe extern "C" fn(progress: *const apl_progress, user_data: *mut c_void) -> i32>;

/// Downloads to a file; the body of the answer is a summary, as JSON.
///
/// Blocks until it is done. Not built yet: APL_STATUS_UNSUPPORTED. Thread-safe.
///
/// @param endpoint  its name in the configuration
/// @param destination_path  UTF-8
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param on_progress  NULL: not wanted
/// @param user_data  handed to on_progress
/// @param cancel  cancels the call; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK, or STOPPED with the summary so far if on_progress stopped it
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_download(
    connector: *const apl_connector,
    endpoint: *const c_char,
    destination_path: *const c_char,
    params_json: *const c_char,
    options_json: *const c_char,
    on_progress: apl_progress_fn,
    user_data: *mut c_void,
    cancel: *const apl_cancel,
    out: *mut *mut apl_response,
    error: *mut *mut apl_error,
) -> apl_status {
    let _ = (on_progress, user_data);
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce(out, error, || {
            Target::new(connector, endpoint, params_json, options_json, cancel)?;
            text::required(destination_path, "destination_path")?;
            Err(Error::unsupported("apl_download"))
        })
    }
}

/// The endpoint that is transferred.
///
/// @return borrowed like the progress; NULL if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_endpoint(progress: *const apl_progress) -> *const c_char {
    let _ = progress;
    ptr::null()
}

/// The bytes that are there, those of an earlier part included.
///
/// @return 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_bytes_processed(progress: *const apl_progress) -> i64 {
    let _ = progress;
    0
}

/// The bytes that came in this call.
///
/// @return 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_bytes_streamed(progress: *const apl_progress) -> i64 {
    let _ = progress;
    0
}

/// The bytes there will be in all.
///
/// @return -1 if unknown, or progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_total_bytes(progress: *const apl_progress) -> i64 {
    let _ = progress;
    -1
}

/// How much is there, from 0 to 100.
///
/// @return -1 if unknown, or progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_percent(progress: *const apl_progress) -> f64 {
    let _ = progress;
    -1.0
}

/// The number of the chunk that came last, from 0.
///
/// @return 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_chunk_index(progress: *const apl_progress) -> i64 {
    let _ = progress;
    0
}

/// Tells whether the transfer goes on from an earlier part.
///
/// @return 1 or 0; 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_resumed(progress: *const apl_progress) -> i32 {
    let _ = progress;
    0
}

/// Tells whether everything is there.
///
/// @return 1 or 0; 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_done(progress: *const apl_progress) -> i32 {
    let _ = progress;
    0
}

/// The speed, in bytes per second.
///
/// @return 0 if progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_bytes_per_second(progress: *const apl_progress) -> f64 {
    let _ = progress;
    0.0
}

/// How long it will still take, in milliseconds.
///
/// @return -1 if unknown, or progress is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_progress_eta_ms(progress: *const apl_progress) -> i64 {
    let _ = progress;
    -1
}
