//! Where a body ends, and whether the connection lives on (RFC 9112 6.3, 9.3). Pure.

use super::fail::Fail;
use crate::response::Head;

/// How the end of a body is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// Reads the framing of an answer; the second value: may the connection serve another request?
pub(super) fn framing(head: &Head, to_head_request: bool) -> Result<(Framing, bool), Fail> {
    let mut reusable = keeps_alive(head);
    let length = content_length(head)?;
    if to_head_request || matches!(head.status, 204 | 304) {
        return Ok((Framing::Length(0), reusable));
    }
    if let Some(coding) = transfer_coding(head)? {
        if head.minor_version == 0 {
            return Err(Fail::protocol("a Transfer-Encoding in an HTTP/1.0 answer"));
        }
        // Chunked wins; but what the server meant by both, or by more, is not certain enough to go on with.
        reusable &= length.is_none() && coding == Coding::Chunked { plainly: true };
        if coding != Coding::Identity {
            return Ok((Framing::Chunked, reusable));
        }
    }
    match length {
        Some(length) => Ok((Framing::Length(length), reusable)),
        None => Ok((Framing::Close, false)),
    }
}

/// What Transfer-Encoding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Chunks. Plainly: it says nothing else, and says it once.
    Chunked { plainly: bool },
    /// Nothing: RFC 2616 had a name for that.
    Identity,
}

/// `chunked` said again is still one coding, as the chunks themselves show; `identity` before it adds none. All else
/// has another end, or one that nobody knows.
fn transfer_coding(head: &Head) -> Result<Option<Coding>, Fail> {
    let mut coding = None;
    for name in head.get_all("transfer-encoding").flat_map(|v| v.split(|b| *b == b',')) {
        coding = Some(match (name.trim_ascii().to_ascii_lowercase().as_slice(), coding) {
            (b"chunked", None) => Coding::Chunked { plainly: true },
            (b"chunked", Some(_)) => Coding::Chunked { plainly: false },
            (b"identity", None | Some(Coding::Identity)) => Coding::Identity,
            _ => return Err(Fail::protocol("a Transfer-Encoding other than `chunked`")),
        });
    }
    Ok(coding)
}

/// Does a `Connection` field name this option?
pub(super) fn connection_says<'a>(mut fields: impl Iterator<Item = &'a [u8]>, option: &str) -> bool {
    fields.any(|v| v.split(|b| *b == b',').any(|o| o.trim_ascii().eq_ignore_ascii_case(option.as_bytes())))
}

fn keeps_alive(head: &Head) -> bool {
    let fields = || head.get_all("connection");
    if connection_says(fields(), "close") {
        return false;
    }
    head.minor_version == 1 || connection_says(fields(), "keep-alive")
}

/// One length, however often it is said; digits only (RFC 9110 8.6).
fn content_length(head: &Head) -> Result<Option<u64>, Fail> {
    let mut length = None;
    for value in head.get_all("content-length").flat_map(|v| v.split(|b| *b == b',')) {
        let digits = value.trim_ascii();
        let number = std::str::from_utf8(digits)
            .ok()
            .filter(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|d| d.parse::<u64>().ok())
            .ok_or_else(|| match value.len() {
                ..=64 => Fail::protocol(format!("Content-Length `{}` is not a number", value.escape_ascii())),
                long => Fail::protocol(format!("a Content-Length of {long} bytes is not a number")),
            })?;
        match length {
            Some(other) if other != number => {
                return Err(Fail::protocol(format!("two Content-Lengths, {other} and {number}")));
            }
            _ => length = Some(number),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::transport::head::parse;

    fn of(fields: &str) -> Result<(Framing, bool), Fail> {
        framing(&parse(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes()).unwrap(), false)
    }

    #[test]
    fn the_end_of_a_body_is_told_by_length_chunks_or_close() {
        assert_eq!(of("content-length: 5\r\n").unwrap(), (Framing::Length(5), true));
        assert_eq!(of("transfer-encoding: Chunked\r\n").unwrap(), (Framing::Chunked, true));
        assert_eq!(of("").unwrap(), (Framing::Close, false));
    }

    #[test]
    fn answers_without_a_body_end_with_their_head() {
        for status in ["204", "304"] {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 9\r\n\r\n");
            assert_eq!(framing(&parse(head.as_bytes()).unwrap(), false).unwrap(), (Framing::Length(0), true));
        }
        let head = parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(framing(&head, true).unwrap(), (Framing::Length(0), true));
    }

    #[test]
    fn one_length_said_twice_is_one_length() {
        assert_eq!(of("content-length: 3, 3\r\ncontent-length: 3\r\n").unwrap().0, Framing::Length(3));
        for bad in
            ["3, 4", "3\r\ncontent-length: 4", "+5", "-1", "5, 6", "", "0x5", "99999999999999999999999"]
        {
            assert!(matches!(of(&format!("content-length: {bad}\r\n")), Err(Fail::Protocol(_))), "{bad}");
        }
    }

    #[test]
    fn length_and_chunked_is_chunked_and_the_end_of_the_connection() {
        let fields = "content-length: 5\r\ntransfer-encoding: chunked\r\n";
        assert_eq!(of(fields).unwrap(), (Framing::Chunked, false));
    }

    #[test]
    fn chunked_said_twice_is_one_coding_and_identity_is_none() {
        for twice in ["chunked, Chunked", "chunked\r\ntransfer-encoding: chunked", "identity, chunked"] {
            let fields = format!("transfer-encoding: {twice}\r\n");
            assert_eq!(of(&fields).unwrap(), (Framing::Chunked, false), "{twice}");
        }
        let fields = "transfer-encoding: identity, Identity\r\n";
        assert_eq!(of(fields).unwrap(), (Framing::Close, false));
        let length = format!("{fields}content-length: 5\r\n");
        assert_eq!(of(&length).unwrap(), (Framing::Length(5), false));
    }

    #[test]
    fn other_transfer_encodings_are_refused() {
        for bad in [
            "gzip, chunked",
            "chunked, identity",
            "chunked\r\ntransfer-encoding: gzip",
            "chunked, chunked, other",
            "identityx",
            "chunkedx",
            "",
            "chunked,",
        ] {
            assert!(matches!(of(&format!("transfer-encoding: {bad}\r\n")), Err(Fail::Protocol(_))), "{bad}");
        }
        let head = parse(b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        assert!(framing(&head, false).is_err());
    }

    #[test]
    fn the_connection_lives_on_as_both_versions_say() {
        let keeps = |head: &str| framing(&parse(head.as_bytes()).unwrap(), false).unwrap().1;
        assert!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x, Close\r\n\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(keeps("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: Keep-Alive\r\n\r\n"));
    }
}
