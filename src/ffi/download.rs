//! `apl_download`: a resource into a file.

use std::ffi::{c_char, c_void};

use super::cancel::apl_cancel;
use super::connector::{Target, apl_connector};
use super::error::apl_error;
use super::progress::{apl_progress, apl_progress_fn};
use super::response::apl_response;
use super::status::apl_status;
use super::{guard, text};
use crate::transfer::Progress;

/// Downloads to a file; the body of the answer is a summary, as JSON.
///
/// Blocks until it is done. The bytes go to a part beside the target ("NAME.part"), which takes its place once it
/// is whole, verified and on the disk; what was there before stays until then. After a failure, a stop or a kill
/// the part stays, and the next call goes on with it where the server can tell that the resource is the same.
/// One download at a time writes a target; another one: APL_STATUS_BUSY. Thread-safe.
///
/// @param connector  whose API it is
/// @param endpoint  its name in the configuration
/// @param destination_path  UTF-8; a missing parent folder is made; with the option use_server_name, a folder
/// @param params_json  query and path parameters, a JSON object; NULL: none
/// @param options_json  a JSON object; NULL: the defaults
/// @param on_progress  NULL: not wanted
/// @param user_data  handed to on_progress
/// @param cancel  cancels the call; NULL: nothing does
/// @param out  receives an answer to free with apl_response_free; NULL on failure
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK, or STOPPED with the summary so far if on_progress stopped it; FILE, CHECKSUM, TRUNCATED and the
///   failures of a request; from the first request on, each with the summary so far as apl_error_partial
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
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::produce_with(out, error, || {
            let t = Target::new(connector, endpoint, params_json, options_json, cancel)?;
            let path = text::required(destination_path, "destination_path")?;
            let mut tell = on_progress.map(|on_progress| {
                move |progress: &Progress| {
                    let progress = apl_progress::new(progress);
                    guard::outside(|| on_progress(&raw const progress, user_data))
                }
            });
            let tell = tell.as_mut().map(|tell| tell as crate::download::OnProgress<'_>);
            let (params, options, cancel) = (t.params, t.options, t.cancel.as_ref());
            let done = t.connector().download(t.endpoint, path, params, options, tell, cancel)?;
            let status = if done.stopped { apl_status::Stopped } else { apl_status::Ok };
            Ok((apl_response::into_raw(done.response), status))
        })
    }
}
