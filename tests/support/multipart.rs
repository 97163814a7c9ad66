//! A strict reader of multipart/form-data (RFC 7578, RFC 2046): what a request carries is what this reads, byte
//! for byte, or the test fails.
#![allow(dead_code, missing_docs)] // each test file uses its own part of this
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::Request;

/// A part as it came: the names as they stand between their quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub filename: Option<String>,
    pub media: Option<String>,
    pub body: Vec<u8>,
}

/// The parts of a request.
pub fn parts(request: &Request) -> Vec<Part> {
    let media: Vec<_> = request.headers("Content-Type").collect();
    assert_eq!(media.len(), 1, "{media:?}");
    let boundary = media[0].strip_prefix("multipart/form-data; boundary=").expect("a multipart type");
    assert!((1..=70).contains(&boundary.len()), "{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    let first = format!("--{boundary}");
    let mut rest = request.body.strip_prefix(first.as_bytes()).expect("a body starts with its boundary");
    let mut parts = Vec::new();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let (part, after) = split(part, delimiter.as_bytes()).expect("a part is closed");
        parts.push(read(part));
        rest = after;
    }
    assert_eq!(rest, b"--\r\n", "what follows the last boundary");
    parts
}

fn read(part: &[u8]) -> Part {
    let (head, body) = split(part, b"\r\n\r\n").expect("a part has a head");
    let head = std::str::from_utf8(head).expect("heads are UTF-8");
    assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "a bare line end in {head:?}");
    let mut lines = head.split("\r\n");
    let disposition = lines.next().unwrap();
    let names = disposition.strip_prefix("Content-Disposition: form-data; name=\"").expect(disposition);
    let (name, rest) = names.split_once('"').expect(disposition);
    let filename = (!rest.is_empty()).then(|| {
        let quoted = rest.strip_prefix("; filename=\"").and_then(|r| r.strip_suffix('"')).expect(disposition);
        assert!(!quoted.contains('"'), "{disposition}");
        quoted.to_owned()
    });
    let media =
        lines.next().map(|line| line.strip_prefix("Content-Type: ").expect("a Content-Type").to_owned());
    assert_eq!(lines.next(), None, "a third line in {head:?}");
    Part { name: name.to_owned(), filename, media, body: body.to_vec() }
}

fn split<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let i = memchr::memmem::find(text, at)?;
    Some((&text[..i], &text[i + at.len()..]))
}

/// How a name has to look between its quotes.
pub fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
