//! The ranges that are still missing, and which thread fetches which. No thread is known here but by its number.

use super::fetch::Answer;
use super::ranges::Gap;
use crate::error::{Error, Result};

/// A range that is worth a request of its own, bytes.
pub const SHORTEST: u64 = 1 << 20;

/// What is missing, and who fetches it.
pub struct Spans {
    /// Nobody fetches these.
    pub waiting: Vec<Gap>,
    /// By number of thread: the rest of what it fetches.
    pub under_way: Vec<Option<Gap>>,
    /// By number of thread: has its request no answer yet, or is it about to ask again?
    pub asking: Vec<bool>,
    /// Is a range that is under way cut in two?
    pub splits: bool,
    /// The first failure; nobody goes on.
    pub failure: Option<Error>,
    /// An answer that does not fit to what is there, or a refusal of the range.
    pub other: Option<Result<Answer>>,
}

impl Spans {
    /// A range for a thread that has none.
    pub fn take(&mut self, lane: usize) -> Option<Gap> {
        self.asking[lane] = false;
        if self.failure.is_some() || self.other.is_some() {
            return None;
        }
        let gap = if self.waiting.is_empty() { self.split()? } else { self.waiting.remove(0) };
        self.under_way[lane] = Some(gap);
        self.asking[lane] = true;
        Some(gap)
    }

    fn split(&mut self) -> Option<Gap> {
        if !self.splits {
            return None;
        }
        let longest = self.under_way.iter_mut().flatten().max_by_key(|gap| gap.length())?;
        let length = longest.length().filter(|length| *length >= 2 * SHORTEST)?;
        let middle = longest.from + length / 2;
        let gap = Gap { from: middle, to: longest.to };
        longest.to = Some(middle);
        Some(gap)
    }

    /// Promises a thread up to `most` of the bytes that follow in its range. None are left: 0.
    pub fn claim(&mut self, lane: usize, most: u64) -> u64 {
        let Some(gap) = self.under_way[lane].as_mut().filter(|_| self.failure.is_none()) else { return 0 };
        let claim = most.min(gap.length().unwrap_or(u64::MAX));
        gap.from += claim;
        claim
    }

    /// What a thread fetches is what its answer brings. A server may send less than it was asked for: the rest waits.
    pub fn narrow(&mut self, lane: usize, at: u64, end: u64, length: Option<u64>) {
        self.asking[lane] = false;
        let Some(gap) = &mut self.under_way[lane] else { return };
        let to = gap.to.or(length);
        (gap.from, gap.to) = (at, Some(to.map_or(end, |to| to.min(end))));
        if to.is_none_or(|to| end < to) {
            self.wait([Gap { from: end, to }]);
        }
    }

    /// A thread is at the end of its range: its body is read on where it goes on with what nobody fetches, or has
    /// asked for in vain so far.
    pub fn extend(&mut self, lane: usize, body_end: Option<u64>) -> bool {
        let Some(Gap { to: Some(at), .. }) = self.under_way[lane] else { return false };
        let Some(end) = body_end.filter(|end| at < *end) else { return false };
        let follows = |gap: &Gap| gap.from == at && gap.length() != Some(0);
        let next = match self.waiting.iter().position(follows) {
            Some(place) => Some(self.waiting.remove(place)),
            None => {
                let asking = self.under_way.iter_mut().zip(&self.asking).filter(|(_, asking)| **asking);
                asking
                    .map(|(gap, _)| gap)
                    .find(|gap| gap.as_ref().is_some_and(follows))
                    .and_then(Option::take)
            }
        };
        let Some(next) = next else { return false };
        self.under_way[lane] = Some(next);
        self.narrow(lane, at, end, None);
        true
    }

    /// It did not get all that it was promised.
    pub fn unclaim(&mut self, lane: usize, bytes: u64) {
        if let Some(gap) = &mut self.under_way[lane] {
            gap.from -= bytes;
        }
    }

    /// A thread has its range, or does not go on with it.
    pub fn leave(&mut self, lane: usize) {
        self.asking[lane] = false;
        let left = self.under_way[lane].take().filter(|gap| gap.length() != Some(0));
        self.wait(left);
    }

    fn wait(&mut self, gaps: impl IntoIterator<Item = Gap>) {
        self.waiting.extend(gaps);
        self.waiting.sort_by_key(|gap| gap.from);
    }

    /// Is nothing left to do?
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.under_way.iter().all(Option::is_none)
    }

    /// Does no other thread fetch anything, or is about to?
    pub fn is_alone(&self, lane: usize) -> bool {
        let mut others = (0..self.under_way.len()).filter(|other| *other != lane);
        !others.any(|other| self.under_way[other].is_some() || self.asking[other])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn gap(from: u64, to: u64) -> Gap {
        Gap { from, to: Some(to) }
    }

    fn spans(waiting: &[Gap], lanes: usize) -> Spans {
        Spans {
            waiting: waiting.to_vec(),
            under_way: vec![None; lanes],
            asking: vec![false; lanes],
            splits: true,
            failure: None,
            other: None,
        }
    }

    #[test]
    fn who_has_nothing_takes_what_waits_and_then_half_of_the_longest() {
        const M: u64 = SHORTEST;
        let mut spans = spans(&[gap(0, 8 * M), gap(9 * M, 10 * M)], 4);
        assert_eq!(spans.take(0), Some(gap(0, 8 * M)));
        assert_eq!(spans.take(1), Some(gap(9 * M, 10 * M)));
        assert_eq!(spans.take(2), Some(gap(4 * M, 8 * M)));
        assert_eq!(spans.claim(2, M), M);
        assert_eq!(spans.take(3), Some(gap(2 * M, 4 * M)));
        assert_eq!(spans.claim(0, u64::MAX), 2 * M);
        assert_eq!(spans.claim(0, u64::MAX), 0);
        // What is not fetched waits for the next.
        spans.unclaim(0, M);
        spans.leave(0);
        assert_eq!(spans.waiting, [gap(M, 2 * M)]);
        spans.leave(1);
        assert_eq!(spans.take(1), Some(gap(M, 2 * M)));
        assert!(!spans.is_alone(1));
        spans.leave(1);
        spans.leave(2);
        assert!(spans.is_alone(3));
        spans.asking[2] = true;
        assert!(!spans.is_alone(3));
        assert_eq!(spans.waiting, [gap(M, 2 * M), gap(5 * M, 8 * M), gap(9 * M, 10 * M)]);
    }

    #[test]
    fn an_answer_that_brings_less_leaves_the_rest_to_whoever_comes() {
        let mut spans = spans(&[], 2);
        spans.under_way[0] = Some(gap(10, 50));
        spans.narrow(0, 5, 30, Some(60));
        assert_eq!((spans.under_way[0], &spans.waiting[..]), (Some(gap(5, 30)), &[gap(30, 50)][..]));
        // Somebody has taken the end of it while it was asked for.
        spans.under_way[1] = Some(gap(60, 70));
        spans.narrow(1, 60, 100, Some(100));
        assert_eq!((spans.under_way[1], spans.waiting.len()), (Some(gap(60, 70)), 1));
        // Its end was not known.
        spans.under_way[1] = Some(Gap { from: 60, to: None });
        spans.narrow(1, 60, 100, None);
        assert_eq!((spans.under_way[1], spans.waiting[1]), (Some(gap(60, 100)), Gap { from: 100, to: None }));
    }

    #[test]
    fn a_body_is_read_on_where_nobody_fetches_what_follows() {
        let mut spans = spans(&[gap(20, 40), gap(60, 80)], 1);
        spans.under_way[0] = Some(gap(20, 20));
        assert!(!spans.extend(0, Some(20)) && !spans.extend(0, None));
        assert!(spans.extend(0, Some(30)));
        assert_eq!((spans.under_way[0], spans.waiting[0]), (Some(gap(20, 30)), gap(30, 40)));
        spans.under_way[0] = Some(gap(50, 50));
        assert!(!spans.extend(0, Some(100)));
        // Somebody fetches it, or has no answer yet.
        let mut spans = self::spans(&[], 2);
        spans.under_way = vec![Some(gap(20, 20)), Some(gap(20, 40))];
        assert!(!spans.extend(0, Some(100)));
        spans.asking[1] = true;
        assert!(spans.extend(0, Some(100)));
        assert_eq!(spans.under_way, [Some(gap(20, 40)), None]);
    }

    #[test]
    fn what_is_short_or_has_no_end_is_not_cut_in_two() {
        let mut spans = spans(&[gap(0, 2 * SHORTEST - 1), Gap { from: 0, to: None }], 3);
        spans.take(0);
        assert_eq!(spans.take(1), Some(Gap { from: 0, to: None }));
        assert_eq!(spans.take(2), None);
        spans.splits = false;
        spans.under_way[0] = Some(gap(0, 100 * SHORTEST));
        assert_eq!(spans.take(2), None);
    }
}
