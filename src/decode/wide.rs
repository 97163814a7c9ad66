//! The end of an object or array in a text that was checked, found sixty-four bytes at a time.
#![allow(unsafe_code)]
// Why: the wide instructions are for machines that have them, which is known only when it runs. A listing is mostly
// this.

#[cfg(target_arch = "x86_64")]
use super::block::Block;

/// What stands where in a block: a bit for each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    quotes: u64,
    backslashes: u64,
    /// Braces and brackets that open, and that close.
    opens: u64,
    closes: u64,
}

/// Where the object or array ends that begins there; with the text, where it does not.
pub(super) fn nested(text: &[u8], at: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("popcnt")
    {
        // SAFETY: the machine has them.
        return unsafe { nested_avx2(text, at) };
    }
    nested_by(text, at, marks)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,popcnt")]
fn nested_avx2(text: &[u8], at: usize) -> usize {
    nested_by(text, at, |block| marks_avx2(block))
}

#[inline(always)]
fn nested_by(text: &[u8], mut at: usize, marks: impl Fn(&[u8; 64]) -> Marks) -> usize {
    let (mut depth, mut in_string, mut is_escaped) = (0u32, 0u64, false);
    let mut last = [b' '; 64];
    while at < text.len() {
        let rest = &text[at..];
        let block = match rest.first_chunk() {
            Some(block) => block,
            None => {
                last[..rest.len()].copy_from_slice(rest);
                &last
            }
        };
        let Marks { quotes, backslashes, opens, closes } = marks(block);
        let escaped = if backslashes == 0 && !is_escaped { 0 } else { escaped(backslashes, &mut is_escaped) };
        // From a quote up to the next one all bits are set.
        let inside = prefix_xor(quotes & !escaped) ^ in_string;
        in_string = if inside >> 63 == 1 { u64::MAX } else { 0 };
        let (opens, mut closes) = (opens & !inside, closes & !inside);
        if depth > closes.count_ones() {
            depth = depth + opens.count_ones() - closes.count_ones();
        } else {
            let mut closed = 0;
            while closes != 0 {
                let below = (closes & closes.wrapping_neg()) - 1;
                closed += 1;
                if depth + (opens & below).count_ones() <= closed {
                    return (at + closes.trailing_zeros() as usize + 1).min(text.len());
                }
                closes &= closes - 1;
            }
            depth = depth + opens.count_ones() - closed;
        }
        at += 64;
    }
    text.len()
}

/// The bytes that stand behind a backslash that is not escaped itself. `carried`: the first one does.
#[cold]
pub(super) fn escaped(mut backslashes: u64, carried: &mut bool) -> u64 {
    let mut escaped = u64::from(std::mem::take(carried));
    backslashes &= !escaped;
    while backslashes != 0 {
        let place = backslashes.trailing_zeros();
        if place == 63 {
            *carried = true;
            break;
        }
        escaped |= 2 << place;
        backslashes &= !(3 << place);
    }
    escaped
}

/// Each bit becomes the parity of itself and those below it.
#[inline(always)]
fn prefix_xor(mut bits: u64) -> u64 {
    for by in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << by;
    }
    bits
}

// In ASCII, braces are brackets with one bit more. Two letters look like brackets then; they stand in strings only.
const CASE: u8 = 0x20;

fn marks(block: &[u8; 64]) -> Marks {
    let mut marks = Marks { quotes: 0, backslashes: 0, opens: 0, closes: 0 };
    for (at, byte) in block.iter().enumerate() {
        let bit = |is: bool| u64::from(is) << at;
        marks.quotes |= bit(*byte == b'"');
        marks.backslashes |= bit(*byte == b'\\');
        marks.opens |= bit(byte | CASE == b'{');
        marks.closes |= bit(byte | CASE == b'}');
    }
    marks
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn marks_avx2(bytes: &[u8; 64]) -> Marks {
    let block = Block::load(bytes);
    let lower = block.or(CASE);
    Marks {
        quotes: block.is(b'"'),
        backslashes: block.is(b'\\'),
        opens: lower.is(b'{'),
        closes: lower.is(b'}'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte for byte.
    fn plain(text: &[u8], from: usize) -> usize {
        let (mut depth, mut in_string, mut at) = (0u32, false, from);
        while at < text.len() {
            match text[at] {
                b'\\' if in_string => at += 1,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => {
                    depth -= 1;
                    if depth == 0 {
                        return at + 1;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        text.len()
    }

    #[test]
    fn every_width_marks_what_looking_at_each_byte_marks() {
        for byte in 0..=0xff {
            for at in 0..64 {
                let mut block = [b'x'; 64];
                block[at] = byte;
                let found = marks(&block);
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the machine has it.
                    assert_eq!(unsafe { marks_avx2(&block) }, found, "{byte:#x}");
                }
                assert_eq!(found.quotes.count_ones(), u32::from(byte == b'"'));
            }
        }
    }

    proptest! {
        #[test]
        fn the_end_is_where_looking_at_each_byte_finds_it(
            pieces in proptest::collection::vec(
                prop_oneof![
                    "[a-z é]{0,70}".prop_map(|text| format!("\"{text}\"")),
                    "(\\\\\\\\|\\\\\"|[{}\\[\\]]){0,70}".prop_map(|text| format!("\"{text}\"")),
                    Just("[".to_owned()), Just("{".to_owned()), Just("]".to_owned()), Just("}".to_owned()),
                    Just("123,".to_owned()), Just(" ".repeat(61)),
                ],
                0..40,
            ),
            from in 0..3usize,
        ) {
            let text = format!("{}[{}", " ".repeat(from), pieces.concat());
            let balanced = text + &"]".repeat(50);
            let bytes = balanced.as_bytes();
            let expected = plain(bytes, from);
            prop_assert_eq!(nested(bytes, from), expected);
            prop_assert_eq!(nested_by(bytes, from, marks), expected);
            // Wherever the text is cut, it ends there at the latest.
            for cut in from..bytes.len() {
                let end = nested(&bytes[..cut], from);
                prop_assert_eq!(end, expected.min(cut));
            }
        }
    }
}
