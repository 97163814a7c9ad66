//! `apl_response`: an answer, for C.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::{Arc, OnceLock};

use super::text::c_string;
use super::{guard, handle, text};
use crate::response::{Head, Response};

/// A finished answer: its body, its HTTP status and headers, and how it came.
///
/// It never changes: its getters are thread-safe, and what they return lives until apl_response_free.
///
/// @since 0.1.0
pub struct apl_response {
    response: Arc<Response>,
    meta: OnceLock<CString>,
    headers: OnceLock<Vec<(String, CString)>>,
}

impl apl_response {
    pub(super) fn new(response: Arc<Response>) -> apl_response {
        apl_response { response, meta: OnceLock::new(), headers: OnceLock::new() }
    }

    pub(super) fn into_raw(response: Response) -> *mut apl_response {
        Box::into_raw(Box::new(apl_response::new(Arc::new(response))))
    }
}

/// One C string per field name, in lower case: several values joined, of Set-Cookie the first.
fn joined(head: &Head) -> Vec<(String, CString)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in head.iter() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = String::from_utf8_lossy(value);
        match fields.iter_mut().find(|(n, _)| *n == name) {
            None => fields.push((name, value.into_owned())),
            Some(_) if name == "set-cookie" => {}
            Some((_, all)) => {
                all.push_str(", ");
                all.push_str(&value);
            }
        }
    }
    fields.into_iter().map(|(name, value)| (name, c_string(value))).collect()
}

/// The body of an answer: what it means depends on the call.
///
/// Thread-safe.
///
/// @param response  an answer, or NULL
/// @param len  receives the number of bytes; NULL: not wanted
/// @return borrowed from the answer; a NUL byte follows the body; NULL only if response is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_response_body(response: *const apl_response, len: *mut usize) -> *const u8 {
    // SAFETY: NULL or a live handle, by contract.
    let body = unsafe { response.as_ref() }.map(|r| r.response.body());
    // SAFETY: `len` is NULL or may be written to, by contract.
    unsafe { handle::set(len, body.map_or(0, <[u8]>::len)) };
    match body {
        None => ptr::null(),
        Some([]) => c"".as_ptr().cast(),
        Some(body) => body.as_ptr(),
    }
}

/// The HTTP status of an answer.
///
/// Thread-safe.
///
/// @param response  an answer, or NULL
/// @return 0 if the answer did not come over HTTP, or response is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_response_http_status(response: *const apl_response) -> i32 {
    // SAFETY: NULL or a live handle, by contract.
    unsafe { response.as_ref() }.map_or(0, |r| r.response.head.status.into())
}

/// The value of a header: several are joined by ", ", of Set-Cookie it is the first.
///
/// Bytes that are not UTF-8 are replaced. All headers in the order of the wire are in the meta. Of a fetch
/// of several pages it is the last answer's. Thread-safe.
///
/// @param response  an answer, or NULL
/// @param name  upper and lower case do not matter
/// @return borrowed from the answer; NULL if there is no such header, or an argument is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_response_header(
    response: *const apl_response,
    name: *const c_char,
) -> *const c_char {
    guard::or(ptr::null(), || {
        // SAFETY: NULL or a live handle and NULL or a C string, by contract.
        let (response, name) = unsafe { (response.as_ref(), text::optional(name, "name")) };
        let (Some(r), Ok(Some(name))) = (response, name) else { return ptr::null() };
        let fields = r.headers.get_or_init(|| joined(&r.response.head));
        let found = fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map_or(ptr::null(), |(_, value)| value.as_ptr())
    })
}

/// How the answer came, as a JSON object: url, status, headers, attempts, timings, warnings and the rest; of a listing
/// that was merged, its pages and a checkpoint where it can go on. `revalidated` is true where the server has confirmed
/// an answer of the endpoint's cache: the body is that one's.
///
/// It is made when first asked for. Thread-safe.
///
/// @param response  an answer, or NULL
/// @return borrowed from the answer; NULL if response is NULL
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_response_meta(response: *const apl_response) -> *const c_char {
    guard::or(ptr::null(), || {
        // SAFETY: NULL or a live handle, by contract.
        let Some(r) = (unsafe { response.as_ref() }) else { return ptr::null() };
        r.meta.get_or_init(|| c_string(r.response.meta_json())).as_ptr()
    })
}

/// Frees an answer, and with it everything borrowed from it.
///
/// @param response  NULL does nothing; never one that is borrowed from an error or a stream
/// @since 0.1.0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn apl_response_free(response: *mut apl_response) {
    if !response.is_null() {
        // SAFETY: a handle made by `into_raw`, freed once, by contract.
        guard::or((), || drop(unsafe { Box::from_raw(response) }));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use std::ffi::CStr;

    use super::*;
    use crate::response::Meta;

    /// A head with these fields.
    fn head(status: u16, fields: &[(&str, &[u8])]) -> Head {
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        let mut put = |text: &[u8]| {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(text);
            start..bytes.len() as u32
        };
        for (name, value) in fields {
            ranges.push((put(name.as_bytes()), put(value)));
        }
        Head::new(status, 1, bytes.into(), ranges.into_iter())
    }

    pub(in super::super) fn answer(status: u16, fields: &[(&str, &[u8])], body: &[u8]) -> Response {
        Response::new(head(status, fields), Meta::default(), body.to_vec())
    }

    fn header(response: *const apl_response, name: &CStr) -> Option<String> {
        // SAFETY: a live handle, and a value that it lends.
        unsafe {
            let value = apl_response_header(response, name.as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value).to_str().unwrap().to_owned())
        }
    }

    #[test]
    fn headers_are_joined_and_set_cookie_is_the_first() {
        let fields: &[(&str, &[u8])] = &[
            ("Vary", b"a"),
            ("Set-Cookie", b"a=1"),
            ("VARY", b"b"),
            ("set-cookie", b"b=2"),
            ("X-Latin", b"caf\xe9"),
            ("X-Nul", b"a\0b"),
            ("X-Empty", b""),
        ];
        let response = apl_response::into_raw(answer(200, fields, b"x"));
        assert_eq!(header(response, c"vary").unwrap(), "a, b");
        assert_eq!(header(response, c"Set-Cookie").unwrap(), "a=1");
        assert_eq!(header(response, c"x-latin").unwrap(), "caf\u{fffd}");
        assert_eq!(header(response, c"x-nul").unwrap(), "a\u{fffd}b");
        assert_eq!(header(response, c"x-empty").unwrap(), "");
        assert_eq!(header(response, c"none"), None);
        assert_eq!(header(response, c"caf\xe9"), None);
        // SAFETY: a live handle, freed once.
        unsafe {
            let get = || apl_response_header(response, c"vary".as_ptr());
            assert_eq!(get(), get());
            apl_response_free(response);
        }
    }

    #[test]
    fn a_nul_follows_the_body() {
        for response in [answer(200, &[], b"a\0b"), answer(204, &[], b""), Response::default()] {
            let (len, status) = (response.body().len(), response.head.status);
            let response = apl_response::into_raw(response);
            // SAFETY: a live handle, freed once; the byte behind the body is promised.
            unsafe {
                let mut told = usize::MAX;
                let body = apl_response_body(response, &mut told);
                assert_eq!(told, len);
                assert_eq!(*body.add(len), 0);
                assert_eq!(apl_response_body(response, ptr::null_mut()), body);
                assert_eq!(apl_response_http_status(response), i32::from(status));
                apl_response_free(response);
            }
        }
    }

    #[test]
    fn the_meta_is_json_whatever_the_server_sent() {
        let response = apl_response::into_raw(answer(200, &[("X-Odd", b"a\0\xff\"")], b""));
        // SAFETY: a live handle, freed once.
        unsafe {
            let meta = apl_response_meta(response);
            let json: serde_json::Value = serde_json::from_slice(CStr::from_ptr(meta).to_bytes()).unwrap();
            assert_eq!(json["headers"][0][1], "a\0\u{fffd}\"");
            assert_eq!(apl_response_meta(response), meta);
            apl_response_free(response);
        }
    }
}
