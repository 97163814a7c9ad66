//! Sixty-four bytes at a time, with the wide instructions of x86: a bit for each byte that is of some kind.
#![allow(unsafe_code)]
// Why: the wide instructions are for machines that have them, which is known only when it runs.

use std::arch::x86_64::{
    __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_sub_epi8,
};

/// The bytes.
#[derive(Clone, Copy)]
pub(super) struct Block(__m256i, __m256i);

impl Block {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn load(bytes: &[u8; 64]) -> Block {
        let place = bytes.as_ptr().cast();
        // SAFETY: 64 bytes are there, and the place needs no alignment.
        unsafe { Block(_mm256_loadu_si256(place), _mm256_loadu_si256(place.wrapping_add(1))) }
    }

    /// Those that are this byte.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn is(self, byte: u8) -> u64 {
        let all = _mm256_set1_epi8(byte as i8);
        mask(_mm256_cmpeq_epi8(self.0, all), _mm256_cmpeq_epi8(self.1, all))
    }

    /// Those that are this one or below.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn at_most(self, byte: u8) -> u64 {
        let all = _mm256_set1_epi8(byte as i8);
        let is = |bytes| _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, all), bytes);
        mask(is(self.0), is(self.1))
    }

    /// Those that have bit 5: of brackets, the curly ones.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn have_bit_5(self) -> u64 {
        mask(_mm256_slli_epi16::<2>(self.0), _mm256_slli_epi16::<2>(self.1))
    }

    /// The white space of JSON.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn spaces(self) -> u64 {
        // Each of the four stands where its low half says; elsewhere stands what has another low half.
        #[rustfmt::skip]
        let table = _mm256_setr_epi8(
            0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0x09, 0x0a, 0, 0, 0x0d, 0, 0,
            0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0x09, 0x0a, 0, 0, 0x0d, 0, 0,
        );
        let is = |bytes| _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, bytes), bytes);
        mask(is(self.0), is(self.1))
    }

    /// With these bits set in each.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn or(self, bits: u8) -> Block {
        let all = _mm256_set1_epi8(bits as i8);
        Block(_mm256_or_si256(self.0, all), _mm256_or_si256(self.1, all))
    }

    /// With so much taken from each.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn minus(self, byte: u8) -> Block {
        let all = _mm256_set1_epi8(byte as i8);
        Block(_mm256_sub_epi8(self.0, all), _mm256_sub_epi8(self.1, all))
    }
}

/// The highest bit of each byte.
#[target_feature(enable = "avx2")]
#[inline]
fn mask(a: __m256i, b: __m256i) -> u64 {
    u64::from(_mm256_movemask_epi8(a) as u32) | u64::from(_mm256_movemask_epi8(b) as u32) << 32
}

/// Each bit becomes the parity of itself and those below it.
#[target_feature(enable = "pclmulqdq")]
#[inline]
pub(super) fn prefix_xor(bits: u64) -> u64 {
    // Without carries, multiplied by ones.
    let product = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, bits as i64), _mm_set1_epi8(-1));
    _mm_cvtsi128_si64(product) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_of_its_byte() {
        if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("pclmulqdq") {
            return;
        }
        for byte in 0..=0xff {
            for at in 0..64 {
                let mut bytes = [b'x'; 64];
                bytes[at] = byte;
                let bit = |is: bool| u64::from(is) << at;
                // SAFETY: the machine has them.
                unsafe {
                    let block = Block::load(&bytes);
                    assert_eq!(
                        block.spaces(),
                        bit(matches!(byte, b' ' | b'\t' | b'\n' | b'\r')),
                        "{byte:#x}"
                    );
                    assert_eq!(block.at_most(0x1f), bit(byte < 0x20), "{byte:#x}");
                    assert_eq!(block.is(b'"'), bit(byte == b'"'), "{byte:#x}");
                    assert_eq!(block.minus(b'0').at_most(9), bit(byte.is_ascii_digit()), "{byte:#x}");
                    assert_eq!(block.or(0x20).is(b'{'), bit(byte | 0x20 == b'{'), "{byte:#x}");
                    assert_eq!(block.have_bit_5() & 1 << at, bit(byte & 0x20 != 0), "{byte:#x}");
                    assert_eq!(prefix_xor(1 << at), u64::MAX << at);
                }
            }
        }
    }
}
