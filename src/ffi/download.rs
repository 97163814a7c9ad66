//! `apl_download`: a resource into a file.

use std::ffi::{c_char, c_void};

use super::cancel::apl_cancel;
use super::connector::{Target, apl_connector};
use super::error::apl_error;
use super::progress::apl_progress_fn;
use super::response::apl_response;
use super::status::apl_status;
use super::{guard, text};
use crate::error::Error;

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
