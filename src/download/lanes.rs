//! The ranges that are still missing, and the threads that fetch them.
//!
//! Each thread takes a range that nobody fetches; where there is none it takes over the further half of the longest
//! that is under way. What it fails to fetch it gives back. The last one alone fails for all: more than one connection
//! is an attempt to be faster, which a server may refuse.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use super::answer::{self, Came};
use super::fetch::{Download, expected_size_passed};
use super::pipe::Pipe;
use super::ranges::Gap;
use crate::errand;
use crate::error::{Error, Kind, Result};
use crate::exchange::{Opened, Unspliced};
use crate::transfer::Ask;
use crate::transport::Token;

/// A range that is worth a request of its own, bytes.
const SHORTEST: u64 = 1 << 20;

/// Why a body was not taken whole.
enum Cut {
    /// It failed; another attempt may go on.
    Body(Error),
    /// There is no use in another one.
    Final(Error),
}

/// What is missing, and who fetches it.
struct Spans {
    /// Nobody fetches these.
    waiting: Vec<Gap>,
    /// By number of thread: the rest of what it fetches.
    under_way: Vec<Option<Gap>>,
    /// Is a range that is under way cut in two?
    splits: bool,
    /// The first failure; nobody goes on.
    failure: Option<Error>,
    /// An answer that does not fit to what is there.
    other: Option<(Opened, Came)>,
}

impl Spans {
    /// A range for a thread that has none.
    fn take(&mut self, lane: usize) -> Option<Gap> {
        if self.failure.is_some() || self.other.is_some() {
            return None;
        }
        let gap = if self.waiting.is_empty() { self.split()? } else { self.waiting.remove(0) };
        self.under_way[lane] = Some(gap);
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
    fn claim(&mut self, lane: usize, most: u64) -> u64 {
        let Some(gap) = self.under_way[lane].as_mut().filter(|_| self.failure.is_none()) else { return 0 };
        let claim = most.min(gap.length().unwrap_or(u64::MAX));
        gap.from += claim;
        claim
    }

    /// It did not get all that it was promised.
    fn unclaim(&mut self, lane: usize, bytes: u64) {
        if let Some(gap) = &mut self.under_way[lane] {
            gap.from -= bytes;
        }
    }

    /// A thread has its range, or does not go on with it.
    fn leave(&mut self, lane: usize) {
        let left = self.under_way[lane].take().filter(|gap| gap.length() != Some(0));
        self.waiting.extend(left);
        self.waiting.sort_by_key(|gap| gap.from);
    }

    fn is_alone(&self, lane: usize) -> bool {
        !self.under_way.iter().enumerate().any(|(other, gap)| other != lane && gap.is_some())
    }
}

/// What the threads of one download share while they fetch under one validator.
struct Lanes<'d, 'j> {
    download: &'d Download<'j>,
    spans: Mutex<Spans>,
    /// Ends the others when one fails for all.
    halt: Arc<Token>,
}

/// Fetches what is missing, at first from an answer that begins `at` a byte. What remains missing without a failure has
/// to be asked for anew, or comes with the answer that is given.
pub fn fetch(
    download: &Download<'_>,
    opened: Opened,
    at: u64,
    end: Option<u64>,
    splits: bool,
) -> Result<Option<(Opened, Came)>> {
    let (mut waiting, alone) = {
        let part = download.part.lock();
        // Only what is known to be the same can be put together.
        (part.there().gaps(part.state.length), part.state.validator.is_none())
    };
    let count = if splits { download.job.settings.segments.map_or(1, NonZeroU32::get) as usize } else { 1 };
    if !waiting.is_empty() {
        waiting.remove(0);
    }
    if alone {
        waiting.clear();
    }
    let mut under_way = vec![None; count];
    under_way[0] = Some(Gap { from: at, to: end });
    let spans = Spans { waiting, under_way, splits: splits && end.is_some(), failure: None, other: None };
    let halt = Arc::new(Token::child(Some(download.halt.clone())));
    let lanes = Lanes { download, spans: Mutex::new(spans), halt };
    thread::scope(|scope| {
        for lane in 1..count {
            let lanes = &lanes;
            let work = errand::alike(move || lanes.work(lane, None));
            let started = thread::Builder::new().name("apl-segment".into()).spawn_scoped(scope, work);
            if started.is_err() {
                break;
            }
        }
        lanes.work(0, Some((opened, end)));
    });
    let spans = lanes.spans.into_inner();
    spans.failure.map_or(Ok(spans.other), Err)
}

impl Lanes<'_, '_> {
    /// What one thread does, at first with an answer and the end of its body.
    fn work(&self, lane: usize, mut opened: Option<(Opened, Option<u64>)>) {
        let mut pipe = Pipe::new();
        loop {
            let gap = match &opened {
                Some(_) => self.spans.lock().under_way[lane],
                None => self.spans.lock().take(lane),
            };
            let Some(gap) = gap else { return };
            let (answer, from) = match opened.take() {
                // The first answer may begin before what is missing.
                Some(answer) => (Some(answer), self.download.first_missing().max(gap.from)),
                None => (self.ask(lane, gap), gap.from),
            };
            let Some((mut answer, body_end)) = answer else { return };
            let outcome = self.receive(lane, &mut answer, body_end, &mut pipe, from);
            self.spans.lock().leave(lane);
            match outcome {
                Ok(()) => {}
                Err(Cut::Final(error)) => return self.fail(error),
                Err(Cut::Body(error)) => {
                    drop(answer);
                    if self.spans.lock().failure.is_some() {
                        return;
                    }
                    if let Err(error) = self.download.wait(error, &self.halt) {
                        return self.fail(error);
                    }
                    if self.download.part.lock().state.validator.is_none() {
                        return;
                    }
                }
            }
        }
    }

    fn fail(&self, error: Error) {
        self.spans.lock().failure.get_or_insert(error);
        self.halt.cancel();
    }

    /// Asks for a range. None: it is not to be had in this way. Meanwhile others may take a part of it over: where the
    /// body ends only the answer says.
    fn ask(&self, lane: usize, gap: Gap) -> Option<(Opened, Option<u64>)> {
        let download = self.download;
        let ask = download.ask_for(gap);
        let outcome = download.open(&ask, &self.halt);
        let mut spans = self.spans.lock();
        let alone = spans.is_alone(lane);
        let leave = |spans: &mut Spans| {
            spans.leave(lane);
            spans.splits = false;
        };
        match outcome {
            Ok((opened, Came::Part { at, end, .. })) => {
                if let Some(gap) = &mut spans.under_way[lane] {
                    gap.from = at;
                }
                return Some((opened, Some(end)));
            }
            // It has changed, or the server gives no ranges any more.
            Ok(other) => {
                leave(&mut spans);
                spans.other = Some(other).filter(|_| alone);
            }
            Err(error) if !alone || error.http_status.is_some_and(answer::may_be_the_range) => {
                leave(&mut spans);
                crate::log::debug(format_args!("{}; left to the others", error.message));
            }
            Err(error) => {
                leave(&mut spans);
                drop(spans);
                self.fail(error);
            }
        }
        None
    }

    /// Takes a body into the file. Bytes before `counted` were counted already.
    fn receive(
        &self,
        lane: usize,
        opened: &mut Opened,
        body_end: Option<u64>,
        pipe: &mut Pipe,
        counted: u64,
    ) -> Result<(), Cut> {
        let download = self.download;
        let Some(Gap { from: mut at, .. }) = self.spans.lock().under_way[lane] else { return Ok(()) };
        loop {
            let claim = self.spans.lock().claim(lane, pipe.appetite(at));
            if claim == 0 {
                return self.end(opened, at, body_end);
            }
            let mut here = at;
            let came = |n| {
                here += n;
                download.tally.add(here.saturating_sub(counted).min(n));
            };
            let (written, outcome) = pipe.carry(opened, &download.file, at, claim, came);
            let there = {
                let mut part = download.part.lock();
                part.wrote(at, at + written);
                part.is_due()
            };
            at += written;
            self.spans.lock().unclaim(lane, claim - written);
            if let Some(there) = there {
                download.put_down(there).map_err(Cut::Final)?;
            }
            if let Some(error) = expected_size_passed(download, opened, at) {
                return Err(Cut::Final(error));
            }
            match outcome {
                Ok(false) => {}
                Ok(true) => return self.ended(lane, opened, at, body_end),
                Err(Unspliced::Body(error)) => return Err(Cut::Body(download.cut(error))),
                Err(Unspliced::File(error)) => return Err(Cut::Final(download.unwritten(&error))),
            }
        }
    }

    /// All bytes of the range are there: so should be the end of the body, unless others fetch the rest of it.
    fn end(&self, opened: &mut Opened, at: u64, body_end: Option<u64>) -> Result<(), Cut> {
        use crate::exchange::Read;
        if body_end != Some(at) || self.halt.is_cancelled() {
            return Ok(());
        }
        match opened.read(&mut [0], None) {
            Ok(Read::End | Read::Nothing) => Ok(()),
            Ok(Read::Bytes(_)) => {
                let what = "the server broke HTTP: a body that is longer than its Content-Range";
                Err(Cut::Final(opened.failed(Error::new(Kind::Protocol, what))))
            }
            Err(error) => Err(Cut::Body(self.download.cut(error))),
        }
    }

    /// The body is at its end.
    fn ended(&self, lane: usize, opened: &mut Opened, at: u64, body_end: Option<u64>) -> Result<(), Cut> {
        let download = self.download;
        let expected = body_end.or(download.job.settings.expected_size);
        if let Some(end) = expected.filter(|end| at < *end) {
            let what = format!("the body ended at byte {at} of {end}");
            let error = opened.failed(Error::new(Kind::Truncated, what));
            return Err(Cut::Body(download.cut(error)));
        }
        if body_end.is_none() {
            self.spans.lock().under_way[lane] = None;
            let mut part = download.part.lock();
            part.ends();
            download.tally.expect(part.state.length);
        }
        Ok(())
    }
}

/// The request for a range of its own.
impl Download<'_> {
    fn ask_for(&self, gap: Gap) -> Ask {
        let part = self.part.lock();
        let last = gap.to.filter(|to| Some(*to) != part.state.length).map(|to| to - 1);
        Ask {
            from: gap.from,
            last,
            if_range: part.state.validator.clone(),
            left: self.left(),
            tried: self.tried(),
        }
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
        assert_eq!(spans.waiting, [gap(M, 2 * M), gap(5 * M, 8 * M), gap(9 * M, 10 * M)]);
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
