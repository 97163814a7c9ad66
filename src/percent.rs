//! Percent-encoding of one component of a URL.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes all but unreserved characters onto `out`.
pub fn encode_component(text: &str, out: &mut String) {
    out.extend(utf8_percent_encode(text, COMPONENT));
}

/// The same for bytes.
pub fn encode_bytes(bytes: &[u8], out: &mut String) {
    out.extend(percent_encode(bytes, COMPONENT));
}
