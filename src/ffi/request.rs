//! `apl_request`: a request on its way out, for the callback that signs it.

use std::ffi::{c_char, c_void};
use std::ptr;

use super::error::apl_error;
use super::status::apl_status;
use super::{guard, handle, text};
use crate::error::Error;

/// A request that is about to be sent.
///
/// It lives until the callback it was handed to returns, on the thread of that callback only.
///
/// @since 0.1.0
pub struct apl_request {
    _later: (),
}

/// Signs a request, after its bytes are final and before each attempt.
///
/// It runs on the thread inside the call, on several threads at once where several calls run, and never
/// while a lock is held. It must not throw or unwind.
///
/// @param request  valid until the callback returns
/// @param user_data  what was handed over with the callback
/// @return 0: send it; anything else makes the call fail with APL_STATUS_AUTH
/// @since 0.1.0
pub type apl_request_fn =
    Option<unsafe extern "C" fn(request: *mut apl_request, user_data: *mut c_void) -> i32>;

/// The method of a request.
///
/// @return borrowed until the callback returns; NULL if request is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_method(request: *const apl_request) -> *const c_char {
    let _ = request;
    ptr::null()
}

/// The URL of a request, with its query.
///
/// @return borrowed until the callback returns; NULL if request is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_url(request: *const apl_request) -> *const c_char {
    let _ = request;
    ptr::null()
}

/// The value of a header of a request.
///
/// @param name  upper and lower case do not matter
/// @return borrowed until the callback returns; NULL if there is no such header, or an argument is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_header(
    request: *const apl_request,
    name: *const c_char,
) -> *const c_char {
    let _ = (request, name);
    ptr::null()
}

/// The body of a request.
///
/// @param len  receives the number of bytes; NULL: not wanted
/// @return borrowed until the callback returns; NULL if request is NULL, or the body is not in memory
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_body(request: *const apl_request, len: *mut usize) -> *const u8 {
    let _ = request;
    // SAFETY: `len` is NULL or may be written to, by contract.
    unsafe { handle::set(len, 0) };
    ptr::null()
}

/// Sets a header of a request; one of that name is replaced.
///
/// Not built yet: APL_STATUS_UNSUPPORTED.
///
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_set_header(
    request: *mut apl_request,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::call(error, || {
            handle::required(request, "request")?;
            text::required(name, "name")?;
            text::required(value, "value")?;
            Err(Error::unsupported("apl_request_set_header"))
        })
    }
}

/// Sets a query parameter of a request; one of that name is replaced.
///
/// Not built yet: APL_STATUS_UNSUPPORTED.
///
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_set_query(
    request: *mut apl_request,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut apl_error,
) -> apl_status {
    // SAFETY: each pointer is NULL or what its type says, by contract.
    unsafe {
        guard::call(error, || {
            handle::required(request, "request")?;
            text::required(name, "name")?;
            text::required(value, "value")?;
            Err(Error::unsupported("apl_request_set_query"))
        })
    }
}
