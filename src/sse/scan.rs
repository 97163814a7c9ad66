//! Looks for the end of a line, as many bytes at once as the machine can.
#![allow(unsafe_code)]
// Why: the wide instructions are for machines that have them, which is known only when it runs. A stream of
// events is mostly this.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_setr_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_testz_si256,
};

use memchr::memchr2;

/// How wide this machine looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Width {
    /// Made here only, and true only where the machine has AVX2 and BMI1.
    avx2: bool,
}

impl Width {
    /// What every machine can.
    #[cfg(any(test, not(target_arch = "x86_64")))]
    pub const PLAIN: Width = Width { avx2: false };

    /// As wide as this machine can.
    pub fn widest() -> Width {
        #[cfg(target_arch = "x86_64")]
        return Width { avx2: is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") };
        #[cfg(not(target_arch = "x86_64"))]
        Width::PLAIN
    }
}

/// Where the line ends that begins at `from`: at its CR or LF, or with the bytes. And is it ASCII alone?
#[inline]
pub(super) fn line_end(width: Width, bytes: &[u8], from: usize) -> (usize, bool) {
    #[cfg(target_arch = "x86_64")]
    if width.avx2 {
        // SAFETY: the machine has AVX2 and BMI1, else there were no such width.
        return unsafe { line_end_avx2(bytes, from) };
    }
    let _ = width;
    plain(bytes, from)
}

fn plain(bytes: &[u8], from: usize) -> (usize, bool) {
    let line = &bytes[from..];
    let length = memchr2(b'\n', b'\r', line).unwrap_or(line.len());
    (from + length, line[..length].is_ascii())
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1")]
fn line_end_avx2(bytes: &[u8], from: usize) -> (usize, bool) {
    let length = bytes.len();
    let mut at = from;
    // The next 64 bytes, which begin at the place and must be there.
    let load = |at: usize| -> (__m256i, __m256i) {
        debug_assert!(at + 64 <= length);
        let place = bytes.as_ptr().wrapping_add(at).cast::<__m256i>();
        // SAFETY: every caller has looked that 64 bytes from `at` on lie within `bytes`. The place needs no alignment.
        unsafe { (_mm256_loadu_si256(place), _mm256_loadu_si256(place.wrapping_add(1))) }
    };
    let mut high = 0;
    while at < length {
        // The last bytes together with some before them, which are shifted out.
        let (start, past) = if length - at >= 64 {
            (at, 0)
        } else if length >= 64 {
            (length - 64, at + 64 - length)
        } else {
            let (end, ascii) = plain(bytes, at);
            return (end, ascii && high == 0);
        };
        let (a, b) = load(start);
        let ends = mask(marked(a), marked(b)) >> past;
        let not_ascii = mask(a, b) >> past;
        if ends != 0 {
            // Those before the first end.
            let before = (ends & ends.wrapping_neg()).wrapping_sub(1);
            return (at + ends.trailing_zeros() as usize, (high | not_ascii & before) == 0);
        }
        high |= not_ascii;
        at = start + 64;
        // A long line.
        let mut seen = _mm256_setzero_si256();
        while length - at >= 128 {
            let ((a, b), (c, d)) = (load(at), load(at + 64));
            let ends =
                _mm256_or_si256(_mm256_or_si256(marked(a), marked(b)), _mm256_or_si256(marked(c), marked(d)));
            if _mm256_testz_si256(ends, ends) == 0 {
                break;
            }
            seen = _mm256_or_si256(_mm256_or_si256(seen, _mm256_or_si256(a, b)), _mm256_or_si256(c, d));
            at += 128;
        }
        high |= mask(seen, seen);
    }
    (length, high == 0)
}

/// Marks CR and LF. The lookup gives for each byte, by its lower half, the one end of a line that it may be.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn marked(bytes: __m256i) -> __m256i {
    // A byte whose lower half is 0 is never 1, another one never 0; and what is no ASCII becomes 0.
    let table = _mm256_setr_epi8(
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 13, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 13, 0, 0,
    );
    _mm256_cmpeq_epi8(bytes, _mm256_shuffle_epi8(table, bytes))
}

/// The highest bits of 64 bytes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn mask(first: __m256i, second: __m256i) -> u64 {
    let bits = |half| u64::from(_mm256_movemask_epi8(half) as u32);
    bits(first) | bits(second) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte of every kind at every place, in front of every length of what comes behind.
    #[test]
    fn every_width_finds_what_looking_at_each_byte_finds() {
        let filler = b"abcdefghijklmnopqrstuvwxyz0123456789";
        for length in (0..=200).chain([255, 256, 257, 320, 383, 384, 385]) {
            let text: Vec<u8> = filler.iter().cycle().take(length).copied().collect();
            for place in 0..=length {
                for byte in [b'\n', b'\r', b'\x0b', b'\x1a', 0x80, 0x8a, 0x8d, 0xff, 0, 1] {
                    let mut bytes = text.clone();
                    if let Some(at) = bytes.get_mut(place) {
                        *at = byte;
                    }
                    // What lies in front of the line counts for nothing.
                    for from in [0, 1, 31, 63, 64, 65, place, length] {
                        if from <= length {
                            let line = bytes[from..].split(|b| matches!(b, b'\r' | b'\n')).next();
                            let line = line.unwrap_or_default();
                            let expected = (from + line.len(), line.is_ascii());
                            for width in [Width::PLAIN, Width::widest()] {
                                let found = line_end(width, &bytes, from);
                                assert_eq!(
                                    found, expected,
                                    "{width:?}: {byte} at {place} of {length}, from {from}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_other_byte_is_the_end_of_a_line() {
        for byte in 0..=u8::MAX {
            for width in [Width::PLAIN, Width::widest()] {
                let expected = if matches!(byte, b'\r' | b'\n') { 0 } else { 80 };
                assert_eq!(
                    line_end(width, &[byte; 80], 0),
                    (expected, expected == 0 || byte < 128),
                    "{byte}"
                );
            }
        }
    }
}
