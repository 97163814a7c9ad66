//! Texts and their charsets (WHATWG Encoding).

use encoding_rs::{Encoding, UTF_8};

use crate::error::{Error, Kind, Result};
use crate::response::Head;

/// A body as UTF-8. A byte order mark decides, then the charset of Content-Type, else it is UTF-8; bytes that
/// the charset does not have become U+FFFD, and the second value says that there were some.
pub fn decode_text(head: &Head, body: Vec<u8>) -> Result<(Vec<u8>, bool)> {
    let encoding = match charset(head) {
        None => UTF_8,
        Some(label) => Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            Error::new(Kind::Decode, format!("the charset `{label}` of the answer is not known"))
        })?,
    };
    let (text, _, replaced) = encoding.decode(&body);
    match text {
        // All of it, as it came: no copy.
        std::borrow::Cow::Borrowed(same) if same.len() == body.len() => Ok((body, false)),
        other => Ok((other.into_owned().into_bytes(), replaced)),
    }
}

/// The `charset` parameter of Content-Type (RFC 9110 8.3.2).
fn charset(head: &Head) -> Option<String> {
    let media = String::from_utf8_lossy(head.get("content-type")?);
    media.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(media: &str, body: &[u8]) -> Result<(String, bool)> {
        let bytes = format!("Content-Type{media}");
        let end = bytes.len() as u32;
        let head = Head::new(200, 1, bytes.into_bytes().into(), [(0..12, 12..end)].into_iter());
        decode_text(&head, body.to_vec()).map(|(t, replaced)| (String::from_utf8(t).unwrap(), replaced))
    }

    #[test]
    fn the_charset_decides_and_a_byte_order_mark_before_it() {
        assert_eq!(of("text/plain", "caf\u{e9}".as_bytes()).unwrap(), ("caf\u{e9}".into(), false));
        assert_eq!(of("text/plain; charset=ISO-8859-1", b"caf\xe9").unwrap(), ("caf\u{e9}".into(), false));
        assert_eq!(of("text/plain; Charset=\"utf-16le\"", b"h\0i\0").unwrap(), ("hi".into(), false));
        assert_eq!(of("text/plain; charset=latin1", b"\xff\xfeh\0i\0").unwrap(), ("hi".into(), false));
        assert_eq!(of("text/plain", b"\xef\xbb\xbfhi").unwrap(), ("hi".into(), false));
        assert_eq!(of("text/plain; charset=shift_jis", b"\x93\xfa").unwrap(), ("\u{65e5}".into(), false));
    }

    #[test]
    fn foreign_bytes_are_replaced_and_reported() {
        assert_eq!(of("text/plain", b"a\xffb").unwrap(), ("a\u{fffd}b".into(), true));
    }

    #[test]
    fn an_unknown_charset_is_an_error() {
        assert!(of("text/plain; charset=klingon", b"x").unwrap_err().message.contains("klingon"));
    }
}
