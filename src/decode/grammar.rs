//! The grammar of JSON (RFC 8259), checked in one pass that builds nothing.
//!
//! Written here because it is on the path of every answer: serde_json, told to ignore what it reads, knows no limit
//! of depth, and with a second pass for that takes twice the instructions (34 a byte against 17, on a list of small
//! objects).

/// Arrays and objects within each other.
pub const MAX_DEPTH: usize = 128;

/// What is wrong, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub what: &'static str,
    pub offset: usize,
}

/// Checks that `text`, which is UTF-8, is one JSON value with nothing but white space around it.
pub(super) fn check(text: &[u8]) -> Result<(), Wrong> {
    let mut scan = Scan { text, at: 0 };
    // Which of the open containers are objects: one bit each, the innermost one lowest.
    let (mut objects, mut depth) = (0u128, 0usize);
    'value: loop {
        match scan.skip_space() {
            Some(open @ (b'{' | b'[')) => {
                if depth == MAX_DEPTH {
                    return Err(scan.wrong("more than 128 arrays and objects within each other"));
                }
                let object = open == b'{';
                objects = objects << 1 | u128::from(object);
                depth += 1;
                scan.at += 1;
                let close = if object { b'}' } else { b']' };
                if scan.skip_space() != Some(close) {
                    if object {
                        scan.key()?;
                    }
                    continue 'value;
                }
                // It is empty; what closes it is read below.
            }
            Some(b'"') => scan.string()?,
            Some(b'-' | b'0'..=b'9') => scan.number()?,
            Some(b't') => scan.literal(b"true")?,
            Some(b'f') => scan.literal(b"false")?,
            Some(b'n') => scan.literal(b"null")?,
            Some(_) => return Err(scan.wrong("expected value")),
            None => return Err(scan.wrong("the text ends where a value is expected")),
        }
        // Behind a value.
        loop {
            let object = objects & 1 == 1;
            match scan.skip_space() {
                None if depth == 0 => return Ok(()),
                Some(_) if depth == 0 => return Err(scan.wrong("trailing characters")),
                Some(b',') => {
                    scan.at += 1;
                    if object {
                        scan.skip_space();
                        scan.key()?;
                    }
                    continue 'value;
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                Some(_) if object => return Err(scan.wrong("expected `,` or `}`")),
                Some(_) => return Err(scan.wrong("expected `,` or `]`")),
                None => return Err(scan.wrong("the text ends within an array or object")),
            }
            scan.at += 1;
            objects >>= 1;
            depth -= 1;
        }
    }
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
}

impl Scan<'_> {
    fn wrong(&self, what: &'static str) -> Wrong {
        Wrong { what, offset: self.at }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is no white space.
    #[inline]
    fn skip_space(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other,
            }
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(), Wrong> {
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(_) => return Err(self.wrong("expected a key in quotes")),
            None => return Err(self.wrong("the text ends where a key is expected")),
        }
        if self.skip_space() != Some(b':') {
            return Err(self.wrong("expected `:`"));
        }
        self.at += 1;
        Ok(())
    }

    /// A string, from its quote on.
    fn string(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        loop {
            // Eight bytes at a time, as long as there is nothing special in them.
            while let Some(word) = self.text.get(self.at..self.at + 8) {
                let special = special_bytes(word);
                if special != 0 {
                    self.at += special.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return Err(self.wrong("control character within a string")),
                Some(_) => self.at += 1,
                None => return Err(self.wrong("the text ends within a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_some_and(|b| b.is_ascii_hexdigit()) {
                        return Err(self.wrong("invalid escape"));
                    }
                }
                self.at += 1;
            }
            _ => return Err(self.wrong("invalid escape")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Wrong> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => {
                self.at += 1;
                if self.peek().is_some_and(|b| b.is_ascii_digit()) {
                    return Err(self.wrong("a number with a leading zero"));
                }
            }
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.wrong("invalid number")) } else { Ok(()) }
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), Wrong> {
        for byte in literal {
            if self.peek() != Some(*byte) {
                return Err(self.wrong("expected value"));
            }
            self.at += 1;
        }
        Ok(())
    }
}

/// The high bit of each byte that ends a run of ordinary ones: a quote, a backslash, a control character. Bits
/// above the lowest that is set may be wrong; the lowest is right.
#[inline]
fn special_bytes(word: &[u8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = word.first_chunk().map_or(0, |w| u64::from_le_bytes(*w));
    let equals = |byte: u8| {
        let difference = word ^ (ONES * u64::from(byte));
        difference.wrapping_sub(ONES) & !difference
    };
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (equals(b'"') | equals(b'\\') | control) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn agrees(text: &str) {
        let theirs = serde_json::from_str::<IgnoredAny>(text).is_ok();
        assert_eq!(check(text.as_bytes()).is_ok(), theirs, "{text:?}: {:?}", check(text.as_bytes()));
    }

    #[test]
    fn every_short_text_of_these_bytes_is_judged_as_serde_json_judges_it() {
        const BYTES: &[u8] = b"{}[]\",:\\u01-.eE+tn a\x1f";
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer =
                |t: &String| BYTES.iter().map(move |b| format!("{t}{}", char::from(*b))).collect::<Vec<_>>();
            texts = texts.iter().flat_map(longer).collect();
            texts.iter().for_each(|t| agrees(t));
        }
    }

    #[test]
    fn a_string_is_looked_at_byte_by_byte_wherever_it_lies() {
        for length in 0..40 {
            for special in ["\"", "\\", "\\\"", "\\u12aF", "\\u12aG", "\n", "\u{7f}", "é", "\u{10ffff}"] {
                for before in 0..length {
                    let text = format!("\"{}{special}{}\"", "x".repeat(before), "y".repeat(length - before));
                    agrees(&text);
                    agrees(&format!("[{text}, {{{text}: 1}}]"));
                }
            }
        }
    }

    #[test]
    fn depth_has_a_limit() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
            assert_eq!(check(nested(MAX_DEPTH).as_bytes()), Ok(()));
            let wrong = check(nested(MAX_DEPTH + 1).as_bytes());
            assert!(wrong.is_err_and(|w| w.offset == MAX_DEPTH * open.len()));
        }
    }

    proptest! {
        #[test]
        fn texts_that_are_nearly_json_are_judged_alike(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("{"), Just("}"), Just("["), Just("]"), Just(","), Just(":"), Just("\"k\":"), Just("\"s\""),
                    Just("1"), Just("-0.5e+3"), Just("01"), Just("true"), Just("nul"), Just("null"), Just(" "),
                    Just("\"\\ud800\""), Just("\"a long string, longer than eight bytes\""), Just("\\"), Just("\""),
                ],
                0..14,
            ),
        ) {
            agrees(&pieces.concat());
        }
    }
}
