//! The head of an answer: where it ends, and what it says. Pure.

use std::ops::Range;

use super::fail::Fail;
use crate::response::Head;

/// More fields than this are an attack, not an answer.
const MAX_FIELDS: usize = 1000;

/// Finds the end of a head in a growing buffer; every byte is looked at once.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Where the next look begins.
    at: usize,
    /// Where the current line began.
    line: usize,
    /// Lines seen, the status line included.
    lines: usize,
}

impl Scanner {
    /// The length of the head that begins at the start of `buf`, once it is all there.
    ///
    /// Lines end with LF or CRLF (RFC 9112 2.2); empty lines before the status line are skipped.
    pub fn scan(&mut self, buf: &[u8]) -> Result<Option<usize>, Fail> {
        if self.lines == 0 {
            // Looks past every empty line, so the loop need not look again.
            check_start(&buf[self.line..])?;
        }
        while let Some(found) = memchr::memchr(b'\n', &buf[self.at..]) {
            let end = self.at + found;
            let empty = matches!(&buf[self.line..end], b"" | b"\r");
            self.at = end + 1;
            self.line = end + 1;
            if !empty {
                self.lines += 1;
                if self.lines > MAX_FIELDS {
                    return Err(Fail::TooLarge(format!("more than {MAX_FIELDS} header fields").into()));
                }
            } else if self.lines > 0 {
                return Ok(Some(end + 1));
            }
        }
        self.at = buf.len();
        Ok(None)
    }
}

/// What does not begin like HTTP/1.x never will: no need to wait for more of it.
fn check_start(buf: &[u8]) -> Result<(), Fail> {
    let start = buf.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(buf.len());
    let seen = &buf[start..];
    let seen = &seen[..seen.len().min(7)];
    if b"HTTP/1.".starts_with(seen) { Ok(()) } else { Err(Fail::protocol("the answer is not HTTP/1.x")) }
}

/// Reads a complete head.
///
/// A folded field line is replaced by spaces (RFC 9112 5.2). A status outside 100 to 599 and a 101 that nobody
/// asked for are refused.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, Fail> {
    let mut few = [httparse::EMPTY_HEADER; 48];
    match parse_into(bytes, &mut few) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut many = vec![httparse::EMPTY_HEADER; MAX_FIELDS];
            parse_into(bytes, &mut many)
        }
        result => result,
    }
    .map_err(|e| Fail::protocol(format!("the response head: {e}")))
    .and_then(|head| match head.status {
        101 => Err(Fail::protocol("a 101 (Switching Protocols) that was not asked for")),
        100..=599 => Ok(head),
        other => Err(Fail::protocol(format!("status {other} is outside 100 to 599"))),
    })
}

fn parse_into<'a>(bytes: &'a [u8], fields: &mut [httparse::Header<'a>]) -> Result<Head, httparse::Error> {
    let mut response = httparse::Response::new(fields);
    let parsed = httparse::ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .parse_response(&mut response, bytes)?;
    let (status, minor) = match (parsed, response.code, response.version) {
        (httparse::Status::Complete(_), Some(status), Some(minor)) => (status, minor),
        _ => return Err(httparse::Error::Status),
    };
    // The copy that stays holds names and values only, unfolded.
    let size = response.headers.iter().map(|h| h.name.len() + h.value.len()).sum();
    let mut kept = Vec::with_capacity(size);
    let mut keep = |text: &[u8]| -> Range<u32> {
        let start = kept.len() as u32;
        kept.extend_from_slice(text);
        start..kept.len() as u32
    };
    let ranges: Vec<_> =
        response.headers.iter().map(|h| (keep(h.name.as_bytes()), keep(h.value.trim_ascii()))).collect();
    // Few heads have a folded line.
    if memchr::memchr2(b'\r', b'\n', &kept).is_some() {
        kept.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
    }
    Ok(Head::new(status, minor, kept.into(), ranges.into_iter()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn whole(bytes: &[u8]) -> Result<Head, Fail> {
        let n = Scanner::default().scan(bytes)?.unwrap();
        parse(&bytes[..n])
    }

    #[test]
    fn a_head_is_found_at_every_split() {
        for head in [
            &b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n"[..],
            b"HTTP/1.0 200 OK\nA: b\nC: d\n\n",
            b"\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\n\td\r\n\r\n",
        ] {
            let mut buf = head.to_vec();
            buf.extend_from_slice(b" body\r\n\r\n");
            for split in 0..=head.len() {
                let mut scanner = Scanner::default();
                let early = scanner.scan(&buf[..split]).unwrap();
                assert_eq!(early, (split == head.len()).then_some(split), "{split}");
                if early.is_none() {
                    assert_eq!(scanner.scan(&buf).unwrap(), Some(head.len()), "{split}");
                }
            }
        }
    }

    #[test]
    fn fields_keep_order_case_and_bytes() {
        let head = whole(b"HTTP/1.1 200 OK\r\nB: 1\r\na: caf\xe9\r\nb:  2 \r\n\r\n").unwrap();
        let all: Vec<_> = head.iter().collect();
        assert_eq!(all, [(&b"B"[..], &b"1"[..]), (b"a", b"caf\xe9"), (b"b", b"2")]);
        assert_eq!(head.get_all("b").collect::<Vec<_>>(), [b"1", b"2"]);
    }

    #[test]
    fn a_folded_line_becomes_spaces() {
        let head = whole(b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\nD: e\r\n\r\n").unwrap();
        assert_eq!(head.get("a").unwrap(), b"b    c");
        assert_eq!(head.get("d").unwrap(), b"e");
    }

    #[test]
    fn what_is_not_http_is_refused_before_the_line_ends() {
        for start in [&b"<html>"[..], b"HTTP/2", b"\x16\x03\x01", b"ICY 200 OK", b"\r\nhello", b"HTTX"] {
            assert!(matches!(Scanner::default().scan(start), Err(Fail::Protocol(_))), "{start:?}");
        }
        assert_eq!(Scanner::default().scan(b"HTT").unwrap(), None);
    }

    #[test]
    fn broken_heads_are_refused() {
        for head in [
            &b"HTTP/1.1 999 X\r\n\r\n"[..],
            b"HTTP/1.1 099 X\r\n\r\n",
            b"HTTP/1.1 000 X\r\n\r\n",
            b"HTTP/1.1 101 Switching\r\n\r\n",
            b"HTTP/1.1 20x X\r\n\r\n",
            b"HTTP/1.1 2000 X\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nnocolon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            b"HTTP/1.9 200 OK\r\n\r\n",
        ] {
            assert!(matches!(whole(head), Err(Fail::Protocol(_))), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn hundreds_of_fields_are_read_and_thousands_refused() {
        let head = |n: usize| {
            let fields: String = (0..n).map(|i| format!("x{i}: {i}\r\n")).collect();
            format!("HTTP/1.1 200 OK\r\n{fields}\r\n")
        };
        assert_eq!(whole(head(900).as_bytes()).unwrap().get("x899").unwrap(), b"899");
        assert!(matches!(Scanner::default().scan(head(2000).as_bytes()), Err(Fail::TooLarge(_))));
    }
}
