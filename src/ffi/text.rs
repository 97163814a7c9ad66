//! Strings and bytes, in both directions.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};

use super::handle::null;
use crate::error::{Error, Result};

/// A string that may be NULL.
///
/// # Safety
/// `text` is NULL or NUL-terminated and lives for `'a`.
pub(super) unsafe fn optional<'a>(text: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    match unsafe { CStr::from_ptr(text) }.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(e) => Err(Error::argument(format!("{name} is not UTF-8 (at byte {})", e.valid_up_to()))),
    }
}

/// A string that must be there.
///
/// # Safety
/// As for [`optional`].
pub(super) unsafe fn required<'a>(text: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    unsafe { optional(text, name) }?.ok_or_else(|| null(name))
}

/// Bytes; `(NULL, 0)` is an empty buffer.
///
/// # Safety
/// `data` is NULL, or `len` bytes there live for `'a`.
pub(super) unsafe fn bytes<'a>(data: *const u8, len: usize, name: &str) -> Result<&'a [u8]> {
    if len > isize::MAX as usize {
        return Err(Error::argument(format!("{name}_len is too large: {len}")));
    }
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(null(name)),
        // SAFETY: the caller's promise; the length was checked.
        (false, _) => Ok(unsafe { std::slice::from_raw_parts(data, len) }),
    }
}

/// A C string. A NUL inside, which C would take for the end, becomes U+FFFD.
pub(super) fn c_string<'a>(text: impl Into<Cow<'a, str>>) -> CString {
    let text = text.into().into_owned();
    let text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_no_buffer_has_is_refused() {
        let byte = 0_u8;
        // SAFETY: refused before anything is read.
        let of = |data, len| unsafe { bytes(data, len, "body") }.unwrap_err();
        for len in [usize::MAX, isize::MAX as usize + 1] {
            for data in [std::ptr::null(), &byte] {
                let error = of(data, len);
                assert_eq!(error.kind(), crate::error::Kind::InvalidArgument);
                assert!(error.message.contains("body_len"), "{error}");
            }
        }
        assert_eq!(of(std::ptr::null(), 1).kind(), crate::error::Kind::NullArgument);
    }

    #[test]
    fn an_empty_buffer_may_be_null() {
        // SAFETY: nothing is read.
        assert!(unsafe { bytes(std::ptr::null(), 0, "body") }.unwrap().is_empty());
    }

    #[test]
    fn a_nul_inside_is_shown_and_nothing_is_cut() {
        assert_eq!(c_string("a\0b").to_str().unwrap(), "a\u{fffd}b");
        assert_eq!(c_string("").to_str().unwrap(), "");
    }
}
