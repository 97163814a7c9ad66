//! The grammar of JSON (RFC 8259), checked in one pass that builds nothing.
//!
//! Written here because it is on the path of every answer: serde_json, told to ignore what it reads, knows no limit
//! of depth, and with a second pass for that takes more than three times the instructions (34 a byte against 9, on
//! a list of small objects). Strings, digits and indentation are read eight bytes at a time, and what most servers
//! write between two tokens is matched whole. Where the machine has wide instructions, [`wide`] passes what is JSON
//! sooner, and what it does not pass is judged here.

#[cfg(target_arch = "x86_64")]
mod wide;

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
    #[cfg(target_arch = "x86_64")]
    if wide::passes(text) {
        return Ok(());
    }
    whole(text).map_err(|fault| Wrong { what: fault.what, offset: text.len() - fault.rest.len() })
}

/// What is wrong with the beginning of a rest.
struct Fault<'t> {
    what: &'static str,
    rest: &'t [u8],
}

/// What is left of the text behind what was read.
type Rest<'t> = Result<&'t [u8], Fault<'t>>;

/// Where nothing is open, this stands for what would close it.
const TOP: u8 = 0;

fn whole(text: &[u8]) -> Result<(), Fault<'_>> {
    // What closes the innermost array or object, and each of those around it.
    let (mut close, mut outer, mut depth) = (TOP, [TOP; MAX_DEPTH], 0usize);
    let mut rest = spaces(text);
    'value: loop {
        rest = match rest {
            [b'"', rest @ ..] => string(rest)?,
            [b'-' | b'0'..=b'9', ..] => number(rest)?,
            [open @ (b'{' | b'['), inside @ ..] => {
                let Some(slot) = outer.get_mut(depth) else {
                    return fault("more than 128 arrays and objects within each other", rest);
                };
                *slot = close;
                depth += 1;
                // In ASCII, `}` comes two behind `{`, and `]` two behind `[`.
                close = open + 2;
                rest = space(inside);
                if rest.first() != Some(&close) {
                    if close == b'}' {
                        rest = member(rest)?;
                    }
                    continue 'value;
                }
                // It is empty; what closes it is read below.
                rest
            }
            [b't', ..] => literal(rest, b"true")?,
            [b'f', ..] => literal(rest, b"false")?,
            [b'n', ..] => literal(rest, b"null")?,
            [_, ..] => return fault("expected value", rest),
            [] => return fault("the text ends where a value is expected", rest),
        };
        // Behind a value.
        loop {
            match (close, rest) {
                (b'}', [b',', b' ', b'"', key @ ..] | [b',', b'"', key @ ..]) => {
                    rest = named(key)?;
                    continue 'value;
                }
                (b'}', [b',', behind @ ..]) => {
                    rest = member(spaces(behind))?;
                    continue 'value;
                }
                (b']', [b',', behind @ ..]) => {
                    rest = space(behind);
                    continue 'value;
                }
                (b'}' | b']', [byte, behind @ ..]) if *byte == close => {
                    rest = behind;
                    depth -= 1;
                    close = outer[depth % MAX_DEPTH];
                }
                (_, [b' ' | b'\n' | b'\r' | b'\t', ..]) => rest = spaces(rest),
                (TOP, []) => return Ok(()),
                (TOP, _) => return fault("trailing characters", rest),
                (_, []) => return fault("the text ends within an array or object", rest),
                (b'}', _) => return fault("expected `,` or `}`", rest),
                _ => return fault("expected `,` or `]`", rest),
            }
        }
    }
}

#[cold]
fn fault<'t, T>(what: &'static str, rest: &'t [u8]) -> Result<T, Fault<'t>> {
    Err(Fault { what, rest })
}

/// Behind white space, of which there is none or one in most places.
#[inline(always)]
fn space(rest: &[u8]) -> &[u8] {
    match rest {
        [b'!'..=0xff, ..] => rest,
        [b' ', b'!'..=0xff, ..] => &rest[1..],
        _ => spaces(rest),
    }
}

#[inline(never)]
fn spaces(mut rest: &[u8]) -> &[u8] {
    loop {
        // The indentation of a line.
        while let Some((word, behind)) = rest.split_first_chunk() {
            match before_mark(u64::from_le_bytes(*word) ^ all(b' ')) {
                None => rest = behind,
                Some(spaces) => {
                    rest = &rest[spaces..];
                    break;
                }
            }
        }
        match rest {
            [b' ' | b'\n' | b'\r' | b'\t', behind @ ..] => rest = behind,
            _ => return rest,
        }
    }
}

/// A key, its colon, and the space before its value.
#[inline(always)]
fn member(rest: &[u8]) -> Rest<'_> {
    match rest {
        [b'"', key @ ..] => named(key),
        [_, ..] => fault("expected a key in quotes", rest),
        [] => fault("the text ends where a key is expected", rest),
    }
}

/// The same, behind the key's first quote.
#[inline(always)]
fn named(key: &[u8]) -> Rest<'_> {
    match string(key)? {
        [b':', rest @ ..] => Ok(space(rest)),
        rest => match spaces(rest) {
            [b':', rest @ ..] => Ok(space(rest)),
            rest => fault("expected `:`", rest),
        },
    }
}

/// A string, behind its first quote.
#[inline(always)]
fn string(mut rest: &[u8]) -> Rest<'_> {
    loop {
        while let Some((word, behind)) = rest.split_first_chunk() {
            match before_special(*word) {
                None => rest = behind,
                Some(ordinary) => {
                    rest = &rest[ordinary..];
                    break;
                }
            }
        }
        match rest {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind @ ..] => rest = behind,
            [b'\\', behind @ ..] => rest = code_unit(behind)?,
            [0..0x20, ..] => return fault("control character within a string", rest),
            [_, behind @ ..] => rest = behind,
            [] => return fault("the text ends within a string", rest),
        }
    }
}

/// `u` and four digits.
#[inline(never)]
fn code_unit(rest: &[u8]) -> Rest<'_> {
    let [b'u', rest @ ..] = rest else { return fault("invalid escape", rest) };
    let digits = rest.iter().take(4).take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 4 { Ok(&rest[4..]) } else { fault("invalid escape", &rest[digits..]) }
}

#[inline(always)]
fn number(rest: &[u8]) -> Rest<'_> {
    let whole = if let [b'-', whole @ ..] = rest { whole } else { rest };
    let mut rest = digits(whole)?;
    if let [b'0', b'0'..=b'9', ..] = whole {
        return fault("a number with a leading zero", &whole[1..]);
    }
    if let [b'.', fraction @ ..] = rest {
        rest = digits(fraction)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = if let [b'+' | b'-', exponent @ ..] = exponent { exponent } else { exponent };
        rest = digits(exponent)?;
    }
    Ok(rest)
}

/// One digit or more.
#[inline(always)]
fn digits(mut rest: &[u8]) -> Rest<'_> {
    let [b'0'..=b'9', ..] = rest else { return fault("invalid number", rest) };
    while let Some((word, behind)) = rest.split_first_chunk() {
        match before_other_than_digit(*word) {
            None => rest = behind,
            Some(digits) => return Ok(&rest[digits..]),
        }
    }
    while let [b'0'..=b'9', behind @ ..] = rest {
        rest = behind;
    }
    Ok(rest)
}

fn literal<'t>(mut rest: &'t [u8], literal: &[u8]) -> Rest<'t> {
    for byte in literal {
        match rest {
            [next, behind @ ..] if next == byte => rest = behind,
            _ => return fault("expected value", rest),
        }
    }
    Ok(rest)
}

/// A word of eight times the same byte.
const fn all(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// How many ordinary bytes of a string come before the first quote, backslash or control character.
#[inline(always)]
pub(super) fn before_special(word: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(word);
    // With this bit flipped, the quote is next to the control characters, and the space is where the quote was.
    let control_or_quote = (word ^ all(0x02)).wrapping_sub(all(0x21));
    let backslash = (word ^ all(b'\\')).wrapping_sub(all(1));
    before_mark((control_or_quote | backslash) & !word & all(0x80))
}

/// How many digits come before the first byte that is none.
#[inline(always)]
fn before_other_than_digit(word: [u8; 8]) -> Option<usize> {
    let value = u64::from_le_bytes(word) ^ all(b'0');
    // 10 and more have the high bit then.
    before_mark((value.wrapping_add(all(0x80 - 10)) | value) & all(0x80))
}

/// How many bytes come before the first one with a bit set. Those behind it may be wrong: a carry has gone through.
#[inline(always)]
fn before_mark(marks: u64) -> Option<usize> {
    std::num::NonZeroU64::new(marks).map(|marks| marks.trailing_zeros() as usize / 8)
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
        const BYTES: &[u8] = b"{}[]\",:\\u01-.eE+tn a\x1f\0";
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
    fn every_byte_is_seen_wherever_it_lies_in_a_word_of_eight() {
        for byte in (0..0x80u8).map(char::from).chain(['é', '€']) {
            for before in 0..17 {
                for behind in [0, 3, 8, 17] {
                    for [open, run, close] in
                        [["[\"", "x", "\"]"], ["[", "1", "]"], ["[", " ", "1]"], ["{\n", " ", "\"k\":1}"]]
                    {
                        agrees(&format!("{open}{}{byte}{}{close}", run.repeat(before), run.repeat(behind)));
                    }
                }
            }
        }
    }

    #[test]
    fn white_space_may_stand_between_any_two_tokens() {
        let tokens =
            ["{", "\"k\"", ":", "[", "1", ",", "\"s\"", ",", "[", "]", "]", ",", "\"l\"", ":", "{", "}", "}"];
        for space in ["", " ", "  ", "\n", "\r\n", "\t", "\n         ", "\x0b", "\u{a0}"] {
            agrees(&tokens.join(space));
            for place in 0..=tokens.len() {
                agrees(&format!("{}{space}{}", tokens[..place].concat(), tokens[place..].concat()));
                agrees(&format!("{}{space}{}", tokens[..place].join(" "), tokens[place..].join(" ")));
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
