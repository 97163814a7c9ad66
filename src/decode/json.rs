//! Is it JSON (RFC 8259)? The text itself is handed on as it came.

use std::fmt;

use super::grammar;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Why a text is not JSON, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// What is wrong.
    pub what: String,
    /// The byte's offset in the body.
    pub offset: usize,
}

impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

/// Checks that `body` is one JSON text, and says where it starts: behind the BOM, if there is one.
pub fn check(body: &[u8]) -> Result<(usize, &str), Syntax> {
    let start = if body.starts_with(BOM) { BOM.len() } else { 0 };
    let text = &body[start..];
    let text = std::str::from_utf8(text)
        .map_err(|e| Syntax { what: "invalid UTF-8".into(), offset: start + e.valid_up_to() })?;
    // Numbers, escapes and duplicate keys are looked at but not converted.
    grammar::check(text.as_bytes())
        .map_err(|wrong| Syntax { what: wrong.what.into(), offset: start + wrong.offset })?;
    Ok((start, text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::decode::MAX_DEPTH;

    #[test]
    fn what_json_allows_passes() {
        for good in [
            &br#"{"id": 123456789012345678901234567890, "x": 0.1234567890123456789, "z": -0}"#[..],
            br#"[1e999, -1E400, "\ud800", "\u0000", {"a": 1, "a": 2}]"#,
            b" null \n",
            br#""text""#,
        ] {
            assert_eq!(check(good).unwrap().1.as_bytes(), good);
        }
        assert_eq!(check(b"\xef\xbb\xbf[1]").unwrap(), (3, "[1]"));
    }

    #[test]
    fn what_json_does_not_allow_is_refused_with_its_place() {
        for (bad, offset) in [
            (&b"[1,]"[..], 3),
            (b"{\"a\":1,}", 7),
            (b"NaN", 0),
            (b"[01]", 2),
            (b"[\"a\tb\"]", 3),
            (b"{} {}", 3),
            (b"[1] x", 4),
            (b"{\n\"a\": tru}", 10),
            (b"[\"\xff\"]", 2),
            (b"\xef\xbb\xbf[\xff]", 4),
            (b"", 0),
            (b"'a'", 0),
        ] {
            assert_eq!(check(bad).unwrap_err().offset, offset, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(check(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(check(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err().offset, MAX_DEPTH);
        assert!(check(format!("[\"\\\"{}\", 1]", "[".repeat(500)).as_bytes()).is_ok());
        let wide = format!("[{}1]", "[1],".repeat(1000));
        assert!(check(wide.as_bytes()).is_ok());
    }

    #[test]
    fn a_hostile_depth_neither_recurses_nor_passes() {
        assert!(check("[".repeat(200_000).as_bytes()).is_err());
        let closed = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(check(closed.as_bytes()).unwrap_err().what.contains("within each other"));
    }
}
