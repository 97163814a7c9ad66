//! The same grammar, sixty-four bytes at a time: what is not passed here, the other one judges.
//!
//! Nothing is decided token by token. The kinds of bytes are bits of a word, and a rule of the grammar is a line of
//! arithmetic on such words: an addition carries a bit through a run of digits, or from a token to the next one. Only
//! brackets, words and escapes are taken one by one.
#![allow(unsafe_code)]
// Why: the wide instructions are for machines that have them, which is known only when it runs.

use super::super::block::{Block, prefix_xor};
use super::super::wide::escaped;

/// Is it JSON, without a doubt? Depth has a lower limit here, and numbers have one.
pub(super) fn passes(text: &[u8]) -> bool {
    let is_there = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("pclmulqdq");
    // SAFETY: the machine has them.
    is_there && unsafe { whole(text) }.is_some()
}

/// What closes and opens the top: no object, and nothing around it.
const TOP: u64 = 0b10;

/// None: it may be something else.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
fn whole(text: &[u8]) -> Option<()> {
    let (mut at, mut in_string, mut is_escaped) = (0, 0, false);
    // Where we are: a bit for each array (0) and object (1) that is open, the innermost one lowest, above them `TOP`.
    let mut open = TOP;
    // Does the next token follow one of these? The text begins as an array does: with a value.
    let (mut for_value, mut for_key, mut for_item, mut for_colon) = (1, 0, 0, 0);
    let mut last = [b' '; 64];
    while at < text.len() {
        let rest = &text[at..];
        let bytes = match rest.first_chunk() {
            Some(bytes) => bytes,
            None => {
                last[..rest.len()].copy_from_slice(rest);
                &last
            }
        };
        let block = Block::load(bytes);

        let (mut quotes, backslashes) = (block.is(b'"'), block.is(b'\\'));
        if backslashes != 0 || is_escaped {
            let escaped = escaped(backslashes, &mut is_escaped);
            if !are_escapes(text, at, escaped) {
                return None;
            }
            quotes &= !escaped;
        }
        // From the first quote of a string to its last one, without that.
        let inside = prefix_xor(quotes) ^ in_string;
        in_string = if inside >> 63 == 1 { u64::MAX } else { 0 };
        let mut wrong = block.at_most(0x1f) & inside;

        let (outside, strings) = (!(inside | quotes), quotes & inside);
        // In ASCII, braces are brackets with one bit more.
        let (either, objects) = (block.or(0x20), block.have_bit_5());
        let (opens, closes) = (either.is(b'{') & outside, either.is(b'}') & outside);
        let (colons, commas) = (block.is(b':') & outside, block.is(b',') & outside);
        let (brackets, separators) = (opens | closes, colons | commas);
        let mut plain = outside & !(block.spaces() | brackets | separators);
        let mut step = 64;
        // A number that may go on behind the block is read with the next one.
        if plain >> 63 == 1 && rest.len() > 64 {
            step = 64 - plain.leading_ones() as usize;
            if step == 0 {
                return None;
            }
            plain &= (1 << step) - 1;
        }
        let plain_starts = plain & !(plain << 1);
        if plain != 0 {
            wrong |= numbers(text, at, block, plain, plain_starts)?;
        }
        let values = opens | strings | plain_starts;
        let tokens = values | closes | separators;

        if open == TOP {
            // Of several values at the top, none but the first follows what a value may follow.
            wrong |= commas & (brackets & brackets.wrapping_neg()).wrapping_sub(1);
        }
        if open.leading_zeros() <= opens.count_ones() {
            return None;
        }
        // The tokens that stand in an object: what opens one does not yet, what closes it still does.
        let mut in_object = (open & 1).wrapping_neg();
        let mut left = brackets;
        while left != 0 {
            let place = left.trailing_zeros();
            let so_far = left ^ (left - 1);
            let deeper = open << 1 | objects >> place & 1;
            let now = if opens >> place & 1 == 1 { deeper } else { open >> 1 };
            in_object ^= ((open ^ now) & 1).wrapping_neg() & !so_far;
            open = now;
            left &= left - 1;
            if open <= TOP {
                if open != TOP {
                    return None;
                }
                wrong |= tokens & !so_far;
            }
        }

        let next_member = commas & in_object;
        let new_object = opens & objects;
        let before_value = colons | commas ^ next_member | opens ^ new_object;
        let may_be_value = following(before_value, tokens, &mut for_value);
        let may_be_key = following(next_member | new_object, tokens, &mut for_key);
        wrong |= may_be_value & !(values | closes) | may_be_key & !(strings | closes);
        wrong |= values & !(may_be_value | may_be_key);
        // What is closed is what is open, and it may be empty, but not end with a separator.
        wrong |= closes & (objects ^ in_object);
        wrong |= closes & following(separators, tokens, &mut for_item);
        wrong |= colons ^ following(strings & may_be_key, tokens, &mut for_colon);
        if wrong != 0 {
            return None;
        }
        at += step;
    }
    let is_whole = in_string == 0 && open == TOP && for_value | for_key | for_item | for_colon == 0;
    is_whole.then_some(())
}

/// Those of the tokens that come next behind these. `carried`: does the first one? And then: the first one of the
/// block behind this one?
#[inline(always)]
fn following(these: u64, tokens: u64, carried: &mut u64) -> u64 {
    let next = these << 1 | *carried;
    let (moved, over) = (next & !tokens).overflowing_add(!tokens);
    *carried = u64::from(over) | these >> 63;
    (next | moved) & tokens
}

/// What is wrong with these bytes outside of strings, which are to be numbers, `true`, `false` and `null`; None: they
/// have other letters.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
#[inline]
fn numbers(text: &[u8], at: usize, block: Block, mut plain: u64, starts: u64) -> Option<u64> {
    let digits = block.minus(b'0').at_most(9);
    if plain & !digits == 0 {
        return Some((starts & block.is(b'0')) << 1 & plain);
    }
    let signs = block.is(b'-') & plain;
    let numbers = starts & (digits | signs);
    let mut words = starts ^ numbers;
    while words != 0 {
        let place = words.trailing_zeros();
        let length = match &text[at + place as usize..] {
            [b't', b'r', b'u', b'e', ..] | [b'n', b'u', b'l', b'l', ..] => 4,
            [b'f', b'a', b'l', b's', b'e', ..] => 5,
            _ => return None,
        };
        plain &= !(((1 << length) - 1) << place);
        words &= words - 1;
    }
    // What follows a word directly would be a number that does not start.
    let mut wrong = plain & !(plain << 1) ^ numbers;
    // From here on, what stands behind a run of digits is found by adding to its first one. What would have to follow
    // the last byte of the text is missing.
    let (digits, dots) = (digits & plain, block.is(b'.') & plain);
    wrong |= (numbers & signs | dots) & 1 << 63;
    let first = numbers & digits | (numbers & signs) << 1;
    wrong |= first & !digits | (first & block.is(b'0')) << 1 & digits;
    let behind_whole = digits.wrapping_add(first) & plain & !digits;
    let fraction = (behind_whole & dots) << 1;
    wrong |= fraction & !digits;
    let behind_fraction = digits.wrapping_add(fraction) & plain & !digits;
    let exponents = behind_whole & !dots | behind_fraction;
    if exponents != 0 {
        wrong |= exponents & !block.or(0x20).is(b'e');
        let signed = exponents << 1 & (signs | block.is(b'+'));
        wrong |= (exponents | signed) & 1 << 63;
        let exponent = exponents << 1 ^ signed | signed << 1;
        wrong |= exponent & !digits;
        wrong |= digits.wrapping_add(exponent) & plain & !digits;
    }
    Some(wrong)
}

/// May each of these bytes stand behind a backslash?
#[cold]
#[inline(never)]
fn are_escapes(text: &[u8], at: usize, mut escaped: u64) -> bool {
    while escaped != 0 {
        match text.get(at + escaped.trailing_zeros() as usize..) {
            Some([b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => {}
            Some([b'u', a, b, c, d, ..]) if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {}
            _ => return false,
        }
        escaped &= escaped - 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::grammar::{Fault, whole as slowly};

    fn is_wide() -> bool {
        passes(b"1")
    }

    /// Nothing is passed that is not JSON; and what is, is, but for what is deep or a long number.
    fn judged_alike(text: &[u8]) {
        let theirs = slowly(text).map_err(|Fault { what, .. }| what);
        if is_wide() {
            assert_eq!(passes(text), theirs.is_ok(), "{:?}: {theirs:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_deep_text_and_a_long_number_are_left_to_the_other_one() {
        let (deep, long) = (format!("{}{}", "[".repeat(100), "]".repeat(100)), "1".repeat(100));
        for text in [&deep, &long] {
            assert!(!passes(text.as_bytes()) && slowly(text.as_bytes()).is_ok(), "{text}");
        }
        judged_alike(format!("{}{}", "[".repeat(60), "]".repeat(60)).as_bytes());
    }

    #[test]
    fn what_is_open_is_not_forgotten_however_deep_it_gets() {
        for deep in 40..100 {
            // Without what is open around it, the inner object would stand for the top.
            let text = format!("[[[[{{\"k\":[{}1{}", "[".repeat(deep), "]".repeat(deep));
            assert!(!passes(text.as_bytes()), "{deep}");
        }
    }

    #[test]
    fn every_token_is_seen_across_the_edge_of_a_block() {
        for token in [
            "-12.5e+30",
            "0",
            "-0.0E-1",
            "1e5",
            "true",
            "false",
            "null",
            r#""a\\\"b""#,
            r#""\u12aF""#,
            "[]",
            "{}",
            r#"{"k":1}"#,
            r#"{"k" : "v" , "l":[ ]}"#,
            "[1,2]",
            "",
            "01",
            "1.",
            "-",
            "1e",
            "1e+",
            ".5",
            "tru",
            "truex",
            "1true",
            r#""\u12""#,
            r#""\x""#,
            "\"\u{1}\"",
            "[1,]",
            "[,1]",
            r#"{"k"}"#,
            r#"{"k":}"#,
            r#"{"k":1,}"#,
            r#"{1:2}"#,
            "[1}",
            "{]",
            r#"{"k"1}"#,
            r#"["k":1]"#,
            "1 2",
            r#""a"1"#,
            r#"1"a""#,
            "[1]2",
            "[1],",
            "]",
            "\\",
            "é",
            "\x0c1",
            "1\x0b",
            r#""a" "b""#,
            r#"{"a":1:2}"#,
            r#"{"a" "b"}"#,
            r#"{,"a":1}"#,
            ",1",
            "1,",
            ":1",
        ] {
            for before in 0..70 {
                let spaces = " ".repeat(before);
                judged_alike(format!("{spaces}{token}").as_bytes());
                judged_alike(format!("{spaces}{token}\n").as_bytes());
                judged_alike(format!("[{spaces}{token}]").as_bytes());
                judged_alike(format!("[0,{spaces}{token},{{\"k\":{token}}} ]").as_bytes());
                judged_alike(format!("{{\"{}\":{token}}}", "x".repeat(before)).as_bytes());
            }
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
            Just("true".to_owned()),
            Just("false".to_owned()),
            Just("null".to_owned()),
            "\"([a-zé{}:,\\[\\]]|\\\\[\\\\\"/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,40}\"",
        ];
        leaf.prop_recursive(6, 120, 8, |inner| {
            let spaced = ("[ \n\t\r]{0,3}", inner, "[ \n\t\r]{0,3}").prop_map(|(a, b, c)| a + &b + &c);
            let member =
                ("\"[a-z\\\\\\\\]{0,9}\"[ ]{0,2}:", spaced.clone()).prop_map(|(key, value)| key + &value);
            prop_oneof![
                proptest::collection::vec(spaced, 0..8).prop_map(|all| format!("[{}]", all.join(","))),
                proptest::collection::vec(member, 0..8).prop_map(|all| format!("{{{}}}", all.join(", "))),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_passes_and_what_was_changed_is_judged_as_it_is_slowly(
            text in json(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0..3u8, any::<proptest::sample::Index>()), 0..4),
        ) {
            judged_alike(text.as_bytes());
            let mut bytes = text.into_bytes();
            for (place, how, what) in changes {
                let place = place.index(bytes.len());
                let other = what.get(b" \n{}[]:,\"\\0123456789.eE+-tfnx\x01\xe9");
                match how {
                    0 => bytes.insert(place, *other),
                    1 => bytes[place] = *other,
                    _ if bytes.len() > 1 => drop(bytes.remove(place)),
                    _ => {}
                }
            }
            judged_alike(&bytes);
        }
    }
}
