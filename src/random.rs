//! Random text that nobody can guess.

use std::hash::{BuildHasher, RandomState};

/// A boundary between the parts of a multipart body: 128 bits that no value can hold but by knowing them.
pub fn boundary() -> String {
    // The system's randomness is the key of a keyed hash (SipHash).
    let word = || RandomState::new().hash_one(0u8);
    format!("apl-{:016x}{:016x}", word(), word())
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
}
