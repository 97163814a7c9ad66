//! What an answer to a request for a file is. Pure.

use crate::response::Head;
use crate::transfer::ContentRange;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The first byte.
    pub from: u64,
    /// The byte behind the last; None: to the end.
    pub to: Option<u64>,
    /// What has identified the part so far.
    pub validator: Option<&'a str>,
    /// The Content-Encoding of what is there.
    pub coding: Option<&'a str>,
    /// The length that is known.
    pub length: Option<u64>,
    /// Was a Range sent at all?
    pub ranged: bool,
}

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// All of it: what is there is of no use.
    Whole,
    /// A part that fits to what is there.
    Part {
        /// Its first byte: at most the one that was asked for.
        at: u64,
        /// The byte behind its last.
        end: u64,
        /// The length of the whole.
        length: Option<u64>,
    },
    /// Something that does not fit, and why.
    Misfit(&'static str),
}

/// `body`: the length of the answer's body, where it is known.
pub fn came(asked: Asked<'_>, head: &Head, body: Option<u64>) -> Came {
    if head.status != 206 {
        return Came::Whole;
    }
    if !asked.ranged {
        return Came::Misfit("a part (206) although all of it was asked for");
    }
    let Some(ContentRange { bytes: Some((first, last)), total }) = ContentRange::of(head) else {
        return Came::Misfit("206 without a Content-Range that can be read");
    };
    let Some(end) = last.checked_add(1) else { return Came::Misfit("a range that no file has") };
    if first > asked.from || end <= asked.from {
        return Came::Misfit("another range than the one asked for");
    }
    if asked.to.is_some_and(|to| end > to) {
        return Came::Misfit("a longer range than the one asked for");
    }
    if let Some(known) = asked.length
        && (total.is_some_and(|total| known != total) || end > known)
    {
        return Came::Misfit("another length than before");
    }
    if body.is_some_and(|body| body != end - first) {
        return Came::Misfit("a body that is not as long as its Content-Range");
    }
    if !is_part_of(head, asked.validator) {
        return Came::Misfit("a part of another version");
    }
    // A server that knows what was asked for may leave it out (RFC 9110 15.3.7).
    if coding(head).is_some_and(|coding| !coding.eq_ignore_ascii_case(asked.coding.unwrap_or("identity"))) {
        return Came::Misfit("a part in another Content-Encoding");
    }
    Came::Part { at: first, end, length: asked.length.or(total) }
}

/// The Content-Encoding of an answer.
pub fn coding(head: &Head) -> Option<String> {
    head.get("content-encoding").map(|coding| String::from_utf8_lossy(coding).trim().to_owned())
}

/// Does a 416 say that there is nothing behind what is there, because it is everything?
pub fn is_everything(head: &Head, length: u64, validator: Option<&str>) -> bool {
    match ContentRange::of(head) {
        Some(ContentRange { bytes: None, total: Some(total) }) => total == length && is_same(head, validator),
        Some(_) => false,
        // Without a length, only the validator can say it.
        None => head.get("etag").is_some() && is_same(head, validator),
    }
}

/// Is a part of the same version? It has the tag that the whole has (RFC 9110 15.3.7).
fn is_part_of(head: &Head, validator: Option<&str>) -> bool {
    let is_tag = validator.is_some_and(|validator| validator.starts_with('"'));
    is_same(head, validator) && (!is_tag || head.get("etag").is_some())
}

/// Does the answer not say that it is of another version?
fn is_same(head: &Head, validator: Option<&str>) -> bool {
    let Some(validator) = validator else { return false };
    let name = if validator.starts_with('"') { "etag" } else { "last-modified" };
    head.get(name).is_none_or(|value| value.trim_ascii() == validator.as_bytes())
}

/// Is it a failure that may be the Range's, or the If-Range's, and not that of what was asked for?
pub fn may_be_the_range(status: u16) -> bool {
    match status {
        401 | 403 | 404 | 407 | 408 | 410 | 425 | 429 | 451 => false,
        400..=499 | 501 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::head;

    const ASKED: Asked<'_> =
        Asked { from: 10, to: None, validator: Some("\"a\""), coding: None, length: Some(100), ranged: true };

    #[test]
    fn only_a_part_that_fits_is_gone_on_with() {
        let of = |range: &str, tag: &str, body| {
            came(ASKED, &head(206, &[("Content-Range", range), ("ETag", tag)]), body)
        };
        let part = |at, end| Came::Part { at, end, length: Some(100) };
        assert_eq!(of("bytes 10-99/100", "\"a\"", Some(90)), part(10, 100));
        assert_eq!(of("bytes 10-99/*", "\"a\"", None), part(10, 100));
        assert_eq!(of("bytes 10-49/100", "\"a\"", Some(40)), part(10, 50));
        // It begins earlier: what is there is written once more.
        assert_eq!(of("bytes 0-99/100", "\"a\"", Some(100)), part(0, 100));
        for (range, tag, body) in [
            ("bytes 11-99/100", "\"a\"", Some(89)),
            ("bytes 0-9/100", "\"a\"", Some(10)),
            ("bytes 10-99/101", "\"a\"", Some(90)),
            ("bytes 10-100/*", "\"a\"", Some(91)),
            ("bytes 10-99/100", "\"a\"", Some(91)),
            ("bytes 10-99/100", "\"b\"", Some(90)),
            ("bytes 10-99/100", "W/\"a\"", Some(90)),
            ("bytes */100", "\"a\"", None),
            ("bytes 10-18446744073709551615/*", "\"a\"", None),
            ("lines 10-99/100", "\"a\"", None),
        ] {
            assert!(matches!(of(range, tag, body), Came::Misfit(_)), "{range} {tag} {body:?}");
        }
        // It does not say of what it is a part.
        assert!(matches!(
            came(ASKED, &head(206, &[("Content-Range", "bytes 10-99/100")]), None),
            Came::Misfit(_)
        ));
        let multipart = [("Content-Type", "multipart/byteranges; boundary=x"), ("ETag", "\"a\"")];
        assert!(matches!(came(ASKED, &head(206, &multipart), None), Came::Misfit(_)));
    }

    #[test]
    fn a_part_has_the_coding_of_what_is_there() {
        let of = |coding: Option<&str>, value: &str| {
            let fields =
                [("Content-Range", "bytes 10-99/100"), ("ETag", "\"a\""), ("Content-Encoding", value)];
            matches!(came(Asked { coding, ..ASKED }, &head(206, &fields), None), Came::Part { .. })
        };
        assert!(of(None, "Identity") && of(Some("gzip"), "GZIP"));
        assert!(!of(None, "gzip") && !of(Some("gzip"), "br") && !of(Some("gzip"), "identity"));
        let silent = head(206, &[("Content-Range", "bytes 10-99/100"), ("ETag", "\"a\"")]);
        assert!(matches!(came(Asked { coding: Some("gzip"), ..ASKED }, &silent, None), Came::Part { .. }));
    }

    #[test]
    fn a_segment_is_no_longer_than_it_was_asked_for() {
        let asked = Asked { to: Some(50), ..ASKED };
        let of = |range: &str| came(asked, &head(206, &[("Content-Range", range), ("ETag", "\"a\"")]), None);
        assert_eq!(of("bytes 10-49/100"), Came::Part { at: 10, end: 50, length: Some(100) });
        assert!(matches!(of("bytes 10-99/100"), Came::Misfit(_)));
    }

    #[test]
    fn all_of_it_is_all_of_it_and_a_part_that_nobody_wanted_is_none() {
        assert_eq!(came(ASKED, &head(200, &[]), Some(100)), Came::Whole);
        let plain = Asked { from: 0, ranged: false, ..ASKED };
        let range = [("Content-Range", "bytes 0-99/100")];
        assert!(matches!(came(plain, &head(206, &range), None), Came::Misfit(_)));
    }

    #[test]
    fn a_range_that_is_not_there_may_mean_that_all_of_it_is() {
        let of = |fields: &[(&str, &str)]| is_everything(&head(416, fields), 100, Some("\"a\""));
        assert!(of(&[("Content-Range", "bytes */100")]));
        assert!(of(&[("Content-Range", "bytes */100"), ("ETag", "\"a\"")]));
        assert!(of(&[("ETag", "\"a\"")]));
        assert!(!of(&[("Content-Range", "bytes */100"), ("ETag", "\"b\"")]));
        assert!(!of(&[("Content-Range", "bytes */99")]));
        assert!(!of(&[("Content-Range", "bytes */*")]));
        assert!(!of(&[]));
    }
}
