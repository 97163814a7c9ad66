//! `apl_error`: what failed, for C.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::OnceLock;

use super::guard;
use super::response::apl_response;
use super::status::apl_status;
use super::text::c_string;
use crate::error::{Category, Error};

/// An error: what failed, where, and what is known about it.
///
/// It never changes: its getters are thread-safe, and what they return lives until apl_error_free.
///
/// @since 0.1.0
pub struct apl_error {
    error: Error,
    message: CString,
    json: OnceLock<CString>,
    response: Option<apl_response>,
    partial: Option<apl_response>,
}

impl apl_error {
    pub(super) fn into_raw(error: Error) -> *mut apl_error {
        Box::into_raw(Box::new(apl_error {
            message: c_string(error.message.as_str()),
            json: OnceLock::new(),
            response: error.response.clone().map(apl_response::new),
            partial: error.partial.clone().map(apl_response::new),
            error,
        }))
    }
}

/// The status of an error, the same that the call returned.
///
/// Thread-safe.
///
/// @param error  from a failed call, or NULL
/// @return APL_STATUS_OK if error is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_status(error: *const apl_error) -> apl_status {
    // SAFETY: NULL or a live handle, by contract.
    unsafe { error.as_ref() }.map_or(apl_status::Ok, |e| e.error.kind().into())
}

/// One sentence about what failed, where, and what to do; secrets are redacted.
///
/// Thread-safe.
///
/// @param error  from a failed call, or NULL
/// @return borrowed from the error; NULL if error is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_message(error: *const apl_error) -> *const c_char {
    // SAFETY: NULL or a live handle, by contract.
    unsafe { error.as_ref() }.map_or(ptr::null(), |e| e.message.as_ptr())
}

/// The category of an error: VALIDATION, NETWORK, TIMEOUT, AUTH, RATE_LIMIT, CLIENT, SERVER or UNKNOWN.
///
/// Thread-safe.
///
/// @param error  from a failed call, or NULL
/// @return a static string; NULL if error is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_category(error: *const apl_error) -> *const c_char {
    // SAFETY: NULL or a live handle, by contract.
    unsafe { error.as_ref() }.map_or(ptr::null(), |e| category(e.error.category()).as_ptr())
}

fn category(category: Category) -> &'static CStr {
    match category {
        Category::Validation => c"VALIDATION",
        Category::Network => c"NETWORK",
        Category::Timeout => c"TIMEOUT",
        Category::Auth => c"AUTH",
        Category::RateLimit => c"RATE_LIMIT",
        Category::Client => c"CLIENT",
        Category::Server => c"SERVER",
        Category::Unknown => c"UNKNOWN",
    }
}

/// The HTTP status of the answer that made the call fail.
///
/// Thread-safe.
///
/// @param error  from a failed call, or NULL
/// @return 0 if there was no answer, or error is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_http_status(error: *const apl_error) -> i32 {
    // SAFETY: NULL or a live handle, by contract.
    unsafe { error.as_ref() }.and_then(|e| e.error.http_status).map_or(0, i32::from)
}

/// Tells whether this very call may be repeated now.
///
/// It may where the failure passes by itself and the request was not processed, or may be processed twice
/// without harm. Thread-safe.
///
/// @param error  from a failed call, or NULL
/// @return 1 or 0; 0 if error is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_is_retryable(error: *const apl_error) -> i32 {
    // SAFETY: NULL or a live handle, by contract.
    unsafe { error.as_ref() }.map_or(0, |e| e.error.is_retryable().into())
}

/// How long the server asked to wait, in milliseconds.
///
/// Thread-safe.
///
/// @param error  from a failed call, or NULL
/// @return -1 if the server did not say, or error is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_retry_after_ms(error: *const apl_error) -> i64 {
    // SAFETY: NULL or a live handle, by contract.
    let after = unsafe { error.as_ref() }.and_then(|e| e.error.retry_after);
    after.map_or(-1, |t| i64::try_from(t.as_millis()).unwrap_or(i64::MAX))
}

/// The answer that was refused: its status, headers, and as much of its body as max_error_body allows.
///
/// Thread-safe.
///
/// @param error  from a failed call, or NULL
/// @return borrowed from the error, not to be freed; NULL if there was no answer, or error is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_response(error: *const apl_error) -> *const apl_response {
    // SAFETY: NULL or a live handle, by contract.
    unsafe { error.as_ref() }.and_then(|e| e.response.as_ref()).map_or(ptr::null(), ptr::from_ref)
}

/// What came before the failure: pages, a ledger, a summary, the data beside GraphQL errors; a checkpoint is in its meta.
///
/// Thread-safe.
///
/// @param error  from a failed call, or NULL
/// @return borrowed from the error, not to be freed; NULL if nothing came, or error is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_partial(error: *const apl_error) -> *const apl_response {
    // SAFETY: NULL or a live handle, by contract.
    unsafe { error.as_ref() }.and_then(|e| e.partial.as_ref()).map_or(ptr::null(), ptr::from_ref)
}

/// The error as a JSON object: message, error_category, status_code, request_url, attempts and the rest.
///
/// It is made when first asked for. Thread-safe.
///
/// @param error  from a failed call, or NULL
/// @return borrowed from the error; NULL if error is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_json(error: *const apl_error) -> *const c_char {
    guard::or(ptr::null(), || {
        // SAFETY: NULL or a live handle, by contract.
        let Some(e) = (unsafe { error.as_ref() }) else { return ptr::null() };
        e.json.get_or_init(|| c_string(e.error.to_json())).as_ptr()
    })
}

/// Frees an error, and with it everything borrowed from it.
///
/// @param error  NULL does nothing
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_error_free(error: *mut apl_error) {
    if !error.is_null() {
        // SAFETY: a handle made by `into_raw`, freed once, by contract.
        guard::or((), || drop(unsafe { Box::from_raw(error) }));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::response::{apl_response_body, apl_response_http_status, tests::answer};
    use super::*;
    use crate::error::Kind;

    #[test]
    fn an_error_lends_its_answer_and_what_came_before() {
        let mut error = Error::new(Kind::HttpStatus, "GET items: 503\0");
        error.http_status = Some(503);
        error.retry_after = Some(Duration::from_millis(1500));
        let refused = Arc::new(answer(503, &[], b"busy"));
        error.response = Some(refused.clone());
        error.partial = Some(Arc::new(answer(0, &[], b"[1]")));
        let error = apl_error::into_raw(error);
        // SAFETY: a live handle, freed once.
        unsafe {
            assert_eq!(apl_error_status(error), apl_status::HttpStatus);
            assert_eq!(CStr::from_ptr(apl_error_message(error)).to_str().unwrap(), "GET items: 503\u{fffd}");
            assert_eq!(CStr::from_ptr(apl_error_category(error)), c"SERVER");
            assert_eq!(apl_error_http_status(error), 503);
            assert_eq!(apl_error_is_retryable(error), 1);
            assert_eq!(apl_error_retry_after_ms(error), 1500);
            assert_eq!(apl_response_http_status(apl_error_response(error)), 503);
            assert_eq!(apl_response_http_status(apl_error_partial(error)), 0);
            assert_eq!(apl_error_partial(error), apl_error_partial(error));
            let mut len = 0;
            apl_response_body(apl_error_partial(error), &mut len);
            assert_eq!(len, 3);
            let json = CStr::from_ptr(apl_error_json(error)).to_str().unwrap();
            assert!(json.contains(r#""response_body":"busy""#), "{json}");
            apl_error_free(error);
        }
        assert_eq!(refused.body(), b"busy");
    }

    #[test]
    fn every_category_has_the_name_of_the_json() {
        use Category::*;
        for each in [Validation, Network, Timeout, Auth, RateLimit, Client, Server, Unknown] {
            assert_eq!(category(each).to_str().unwrap(), each.name());
        }
    }
}
