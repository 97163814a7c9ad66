//! Random text that nobody can guess.

use std::hash::{BuildHasher, RandomState};

/// From the system each time, so that a forked child makes others than its parent. A system without randomness
/// to give still has seeded this process's hash maps.
fn word() -> u64 {
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(0u8))
}

/// A boundary between the parts of a multipart body: 128 bits that no value can hold but by knowing them.
pub fn boundary() -> String {
    format!("apl-{:016x}{:016x}", word(), word())
}

/// What a client adds to the nonce of a server: 128 bits, in hexadecimal.
pub fn nonce() -> String {
    format!("{:016x}{:016x}", word(), word())
}

/// An Idempotency-Key: a random UUID (RFC 9562 5.4).
pub fn key() -> String {
    let (high, low) = (word() & !0xf000 | 0x4000, word() & !(3 << 62) | 1 << 63);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// A number from 0 up to 1, for the jitter of a backoff.
pub fn fraction() -> f64 {
    (word() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_boundaries_are_the_same_and_all_are_legal() {
        let all: std::collections::HashSet<String> = (0..1000).map(|_| boundary()).collect();
        assert_eq!(all.len(), 1000);
        // RFC 2046 5.1.1: at most 70 characters, of which these need no quotes.
        let legal = |b: &String| b.len() == 36 && b.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        assert!(all.iter().all(legal));
    }

    #[test]
    fn no_two_keys_are_the_same_and_all_are_uuids_of_version_4() {
        let all: std::collections::HashSet<String> = (0..1000).map(|_| key()).collect();
        assert_eq!(all.len(), 1000);
        for key in all {
            let lengths: Vec<usize> = key.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{key}");
            assert!(&key[14..15] == "4" && "89ab".contains(&key[19..20]), "{key}");
        }
    }

    #[test]
    fn fractions_fill_the_whole_range_and_stay_in_it() {
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let n = fraction();
            assert!((0.0..1.0).contains(&n));
            tenths[(n * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|n| (700..1300).contains(n)), "{tenths:?}");
    }
}
