//! Which bytes of a file are there.

use serde::{Deserialize, Serialize};

/// Ranges of bytes, sorted and apart: the first byte, and the one behind the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges(Vec<(u64, u64)>);

/// Bytes that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub from: u64,
    /// The byte behind the last; None: nobody knows.
    pub to: Option<u64>,
}

impl Gap {
    /// How many; None: nobody knows.
    pub fn length(&self) -> Option<u64> {
        Some(self.to?.saturating_sub(self.from))
    }
}

impl Ranges {
    /// Sorted, apart, none empty, and within the length?
    pub fn is_sound(&self, length: Option<u64>) -> bool {
        let mut behind = None;
        for &(from, to) in &self.0 {
            if from >= to || behind.is_some_and(|end| from <= end) {
                return false;
            }
            behind = Some(to);
        }
        length.is_none_or(|length| self.end() <= length)
    }

    /// Is nothing there?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The byte behind the last that is there.
    pub fn end(&self) -> u64 {
        self.0.last().map_or(0, |(_, to)| *to)
    }

    /// How many bytes are there.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// These are there too.
    pub fn insert(&mut self, mut from: u64, mut to: u64) {
        if from >= to {
            return;
        }
        self.0.retain(|&(f, t)| {
            let apart = t < from || to < f;
            if !apart {
                (from, to) = (from.min(f), to.max(t));
            }
            apart
        });
        let at = self.0.partition_point(|(f, _)| *f < from);
        self.0.insert(at, (from, to));
    }

    /// Nothing behind this byte is there.
    pub fn cut(&mut self, end: u64) {
        self.0.retain_mut(|(from, to)| {
            *to = end.min(*to);
            from < to
        });
    }

    /// What is missing of a file of this length.
    pub fn gaps(&self, length: Option<u64>) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for &(from, to) in &self.0 {
            if at < from {
                gaps.push(Gap { from: at, to: Some(from) });
            }
            at = to;
        }
        if length.is_none_or(|length| at < length) {
            gaps.push(Gap { from: at, to: length });
        }
        gaps
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(list: &[(u64, u64)]) -> Ranges {
        Ranges(list.to_vec())
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let mut there = Ranges::default();
        for (from, to) in [(10, 20), (30, 40), (5, 5), (20, 25), (0, 1)] {
            there.insert(from, to);
        }
        assert_eq!(there, ranges(&[(0, 1), (10, 25), (30, 40)]));
        there.insert(1, 30);
        assert_eq!(there, ranges(&[(0, 40)]));
        assert_eq!((there.total(), there.end()), (40, 40));
    }

    #[test]
    fn what_is_cut_off_is_missing() {
        let mut there = ranges(&[(0, 10), (20, 30), (40, 50)]);
        there.cut(25);
        assert_eq!(there, ranges(&[(0, 10), (20, 25)]));
        there.cut(20);
        assert_eq!(there, ranges(&[(0, 10)]));
    }

    #[test]
    fn what_is_missing_lies_between_and_behind() {
        let gap = |from, to| Gap { from, to };
        assert_eq!(Ranges::default().gaps(None), [gap(0, None)]);
        assert_eq!(Ranges::default().gaps(Some(0)), []);
        let there = ranges(&[(5, 10), (20, 30)]);
        assert_eq!(there.gaps(Some(40)), [gap(0, Some(5)), gap(10, Some(20)), gap(30, Some(40))]);
        assert_eq!(there.gaps(Some(30)), [gap(0, Some(5)), gap(10, Some(20))]);
        assert_eq!(ranges(&[(0, 10)]).gaps(None), [gap(10, None)]);
    }

    #[test]
    fn ranges_that_a_file_claims_are_looked_at() {
        for (list, sound) in [
            (&[(0, 5), (6, 9)][..], true),
            (&[], true),
            (&[(0, 5), (5, 9)], false),
            (&[(6, 9), (0, 5)], false),
            (&[(5, 5)], false),
            (&[(0, 11)], false),
        ] {
            assert_eq!(ranges(list).is_sound(Some(10)), sound, "{list:?}");
        }
    }

    proptest! {
        #[test]
        fn a_byte_is_there_or_missing(parts in proptest::collection::vec((0u64..60, 0u64..60), 0..12)) {
            let mut there = Ranges::default();
            for (from, to) in &parts {
                there.insert(*from, *to);
            }
            prop_assert!(there.is_sound(Some(60)));
            let gaps = there.gaps(Some(60));
            for byte in 0..60 {
                let expected = parts.iter().any(|(f, t)| (*f..*t).contains(&byte));
                let missing = gaps.iter().any(|g| (g.from..g.to.unwrap()).contains(&byte));
                prop_assert_eq!(expected, !missing);
            }
        }
    }
}
