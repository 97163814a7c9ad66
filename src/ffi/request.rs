//! `apl_request`: a request on its way out, for the callback that signs it.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_void};
use std::ptr::{self, NonNull};

use super::error::apl_error;
use super::handle::Kept;
use super::status::apl_status;
use super::{guard, handle, text};
use crate::exchange::{Draft, OnRequest};

/// A request that is about to be sent.
///
/// It lives until the callback it was handed to returns, on the thread of that callback only.
///
/// @since 0.1.0
pub struct apl_request {
    draft: NonNull<Draft<'static>>,
    /// What was handed out, each with a NUL behind it: it stays until the callback returns.
    texts: RefCell<Vec<CString>>,
    body: RefCell<Option<Vec<u8>>>,
}

impl apl_request {
    fn draft(&self) -> &Draft<'_> {
        // SAFETY: it is the draft that `signer` borrows for as long as this handle is in the host's hands, on
        // this one thread.
        unsafe { self.draft.as_ref() }
    }

    fn hand_out(&self, text: &str) -> *const c_char {
        // A URL or a field with NUL in it is never made.
        let Ok(text) = CString::new(text) else { return ptr::null() };
        let mut texts = self.texts.borrow_mut();
        texts.push(text);
        texts.last().map_or(ptr::null(), |text| text.as_ptr())
    }
}

/// Signs a request, after its bytes are final and before each attempt.
///
/// Where auth is digest or sigv4, those sign after it, so that what it sets is signed too; they leave a request alone
/// in which it has set an Authorization.
///
/// It runs on the thread inside the call, on several threads at once where several calls run, and never
/// while a lock is held. It must not throw or unwind. Calls of other connectors, and of the same one, are
/// allowed in it.
///
/// @param request  valid until the callback returns
/// @param user_data  what was handed over with the callback
/// @return 0: send it; anything else makes the call fail with APL_STATUS_AUTH
/// @since 0.1.0
pub type apl_request_fn =
    Option<unsafe extern "C" fn(request: *mut apl_request, user_data: *mut c_void) -> i32>;

/// The host's callback as the pipeline calls it.
pub(super) fn signer(
    on_request: unsafe extern "C" fn(*mut apl_request, *mut c_void) -> i32,
    kept: Kept,
) -> OnRequest {
    Box::new(move |draft| {
        let mut request = apl_request {
            draft: NonNull::from(draft).cast(),
            texts: RefCell::default(),
            body: RefCell::default(),
        };
        let kept = &kept;
        // SAFETY: the host handed over the two together, to be called on any thread.
        guard::outside(|| unsafe { on_request(&mut request, kept.user_data) })
    })
}

/// The method of a request.
///
/// @param request  the callback's
/// @return borrowed until the callback returns; NULL if request is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_method(request: *const apl_request) -> *const c_char {
    // SAFETY: NULL or the handle of the running callback, by contract.
    let request = unsafe { request.as_ref() };
    guard::or(ptr::null(), || request.map_or(ptr::null(), |r| r.hand_out(r.draft().method())))
}

/// The URL of a request, with its query.
///
/// @param request  the callback's
/// @return borrowed until the callback returns; NULL if request is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_url(request: *const apl_request) -> *const c_char {
    // SAFETY: NULL or the handle of the running callback, by contract.
    let request = unsafe { request.as_ref() };
    guard::or(ptr::null(), || request.map_or(ptr::null(), |r| r.hand_out(r.draft().url())))
}

/// The value of a header of a request; also of Host, and of Content-Length where the body lies in memory.
///
/// @param request  the callback's
/// @param name  upper and lower case do not matter
/// @return borrowed until the callback returns; NULL if there is no such header, or an argument is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_header(
    request: *const apl_request,
    name: *const c_char,
) -> *const c_char {
    guard::or(ptr::null(), || {
        // SAFETY: NULL or the handle of the running callback, and NULL or a string, by contract.
        let (request, name) = unsafe { (request.as_ref(), text::required(name, "name")) };
        let (Some(request), Ok(name)) = (request, name) else { return ptr::null() };
        request.draft().header(name).map_or(ptr::null(), |value| request.hand_out(&value))
    })
}

/// The body of a request, copied for the callback when it first asks for it.
///
/// @param request  the callback's
/// @param len  receives the number of bytes; NULL: not wanted
/// @return borrowed until the callback returns; NULL if request is NULL, or the body is not in memory
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_request_body(request: *const apl_request, len: *mut usize) -> *const u8 {
    // SAFETY: `len` is NULL or may be written to, by contract.
    unsafe { handle::set(len, 0) };
    guard::or(ptr::null(), || {
        // SAFETY: NULL or the handle of the running callback, by contract.
        let Some(request) = (unsafe { request.as_ref() }) else { return ptr::null() };
        let Some(body) = request.draft().body() else { return ptr::null() };
        // SAFETY: as above.
        unsafe { handle::set(len, body.len()) };
        // With the NUL that every buffer has behind it; the body itself cannot change here.
        let mut copy = request.body.borrow_mut();
        copy.get_or_insert_with(|| [body, &[0]].concat()).as_ptr()
    })
}

/// Sets a header of a request; one of that name is replaced.
///
/// Its value is shown in no log. Those that frame the message, as Content-Length, cannot be set.
///
/// @param request  the callback's
/// @param name  the header's name
/// @param value  without line breaks
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK; INVALID_ARGUMENT for a name or a value that no header can have, or one that frames the message
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
            let (name, value) = (text::required(name, "name")?, text::required(value, "value")?);
            (*request).draft.as_mut().set_header(name, value)?;
            Ok(apl_status::Ok)
        })
    }
}

/// Sets a query parameter of a request; one of that name is replaced.
///
/// Its value is shown in no log.
///
/// @param request  the callback's
/// @param name  not encoded
/// @param value  not encoded
/// @param error  receives an error to free with apl_error_free; NULL: not wanted
/// @return OK, or a problem with an argument
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
            let (name, value) = (text::required(name, "name")?, text::required(value, "value")?);
            (*request).draft.as_mut().set_query(name, value)?;
            Ok(apl_status::Ok)
        })
    }
}
