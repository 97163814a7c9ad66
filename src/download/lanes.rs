//! The ranges that are still missing, and the threads that fetch them.
//!
//! Each thread takes a range that nobody fetches; where there is none it takes over the further half of the longest
//! that is under way. What it fails to fetch it gives back. The last one alone fails for all: more than one connection
//! is an attempt to be faster, which a server may refuse.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use super::answer::Came;
use super::fetch::{Answer, Download, expected_size_passed, is_about_the_range};
use super::pipe::Pipe;
use super::ranges::Gap;
use crate::error::{Error, Kind, Result};
use crate::exchange::{Opened, Unspliced};
use crate::transfer::Ask;
use crate::transport::Token;
use crate::{errand, log};

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
    /// By number of thread: has its request no answer yet?
    asking: Vec<bool>,
    /// Is a range that is under way cut in two?
    splits: bool,
    /// The first failure; nobody goes on.
    failure: Option<Error>,
    /// An answer that does not fit to what is there, or a refusal of the range.
    other: Option<Result<Answer>>,
}

/// A body that is being taken into the file.
struct Body {
    opened: Opened,
    /// The byte behind its last; None: nobody knows.
    end: Option<u64>,
    /// Where the history tells of it.
    attempt: usize,
}

impl Spans {
    /// A range for a thread that has none.
    fn take(&mut self, lane: usize) -> Option<Gap> {
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
    fn claim(&mut self, lane: usize, most: u64) -> u64 {
        let Some(gap) = self.under_way[lane].as_mut().filter(|_| self.failure.is_none()) else { return 0 };
        let claim = most.min(gap.length().unwrap_or(u64::MAX));
        gap.from += claim;
        claim
    }

    /// What a thread fetches is what its answer brings. A server may send less than it was asked for: the rest waits.
    fn narrow(&mut self, lane: usize, at: u64, end: u64, length: Option<u64>) {
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
    fn extend(&mut self, lane: usize, body_end: Option<u64>) -> bool {
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
    fn unclaim(&mut self, lane: usize, bytes: u64) {
        if let Some(gap) = &mut self.under_way[lane] {
            gap.from -= bytes;
        }
    }

    /// A thread has its range, or does not go on with it.
    fn leave(&mut self, lane: usize) {
        self.asking[lane] = false;
        let left = self.under_way[lane].take().filter(|gap| gap.length() != Some(0));
        self.wait(left);
    }

    fn wait(&mut self, gaps: impl IntoIterator<Item = Gap>) {
        self.waiting.extend(gaps);
        self.waiting.sort_by_key(|gap| gap.from);
    }

    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.under_way.iter().all(Option::is_none)
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

/// Fetches what is missing, at first from an answer that brings the bytes from `at` to `end`. What remains missing
/// without a failure has to be asked for anew, or comes with the answer that is given.
pub fn fetch(
    download: &Download<'_>,
    first: Answer,
    at: u64,
    end: Option<u64>,
    splits: bool,
) -> Result<Option<Result<Answer>>> {
    let (mut waiting, length, alone) = {
        let part = download.part.lock();
        let length = part.state.length;
        // Only what is known to be the same can be put together.
        (part.there().gaps(length), length, part.state.validator.is_none())
    };
    let gap = if waiting.is_empty() { Gap { from: at, to: end } } else { waiting.remove(0) };
    if alone {
        waiting.clear();
    }
    let count = if splits { download.job.settings.segments.map_or(1, NonZeroU32::get) as usize } else { 1 };
    let mut under_way = vec![None; count];
    under_way[0] = Some(gap);
    let mut spans = Spans {
        waiting,
        under_way,
        asking: vec![false; count],
        splits: splits && end.is_some(),
        failure: None,
        other: None,
    };
    if let Some(end) = end {
        spans.narrow(0, at, end, length);
    }
    let halt = Arc::new(Token::child(Some(download.halt.clone())));
    let lanes = Lanes { download, spans: Mutex::new(spans), halt };
    let body = Body { opened: first.opened, end, attempt: first.attempt };
    thread::scope(|scope| {
        for lane in 1..count {
            let lanes = &lanes;
            let work = errand::alike(move || lanes.work(lane, None));
            let started = thread::Builder::new().name("apl-segment".into()).spawn_scoped(scope, work);
            if started.is_err() {
                break;
            }
        }
        lanes.work(0, Some(body));
    });
    let spans = lanes.spans.into_inner();
    spans.failure.map_or(Ok(spans.other), Err)
}

impl Lanes<'_, '_> {
    /// What one thread does.
    fn work(&self, lane: usize, mut body: Option<Body>) {
        let mut pipe = Pipe::new();
        loop {
            let gap = match &body {
                Some(_) => self.spans.lock().under_way[lane],
                None => self.spans.lock().take(lane),
            };
            let Some(gap) = gap else {
                // Nobody has to wait for an answer that is not needed any more.
                if self.spans.lock().is_over() {
                    self.halt.cancel();
                }
                return;
            };
            let (body, from) = match body.take() {
                // The first answer may begin before what is missing.
                Some(body) => (Some(body), self.download.first_missing().max(gap.from)),
                None => (self.ask(lane, gap), gap.from),
            };
            let Some(mut body) = body else { return };
            let outcome = self.receive(lane, &mut body, &mut pipe, from);
            self.spans.lock().leave(lane);
            match outcome {
                Ok(()) => {}
                Err(Cut::Final(error)) => {
                    self.download.note(body.attempt, &error);
                    return self.fail(error);
                }
                Err(Cut::Body(error)) => {
                    let attempt = body.attempt;
                    drop(body);
                    if self.spans.lock().failure.is_some() {
                        return;
                    }
                    self.download.note(attempt, &error);
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
        // What one had still to wait for may have been done by the others.
        if self.halt.is_cancelled() && !self.download.halt.is_cancelled() {
            return;
        }
        self.spans.lock().failure.get_or_insert(error);
        self.halt.cancel();
    }

    /// Asks for a range. None: it is not to be had in this way.
    fn ask(&self, lane: usize, gap: Gap) -> Option<Body> {
        let download = self.download;
        let outcome = download.open(&download.ask_for(gap), &self.halt);
        let mut spans = self.spans.lock();
        if let Ok(Answer { opened, came: Came::Part { at, end, length }, attempt }) = outcome {
            spans.narrow(lane, at, end, length);
            return Some(Body { opened, end: Some(end), attempt });
        }
        // One whose range was taken over meanwhile has nothing to say.
        let alone = spans.under_way[lane].is_some() && spans.is_alone(lane);
        spans.leave(lane);
        spans.splits = false;
        match outcome {
            // It has changed, or the server gives no ranges any more.
            Ok(other) => spans.other = Some(Ok(other)).filter(|_| alone),
            Err(error) if !alone => log::debug(format_args!("{}; left to the others", error.message)),
            Err(error) => {
                download.count(&error.attempts);
                if is_about_the_range(&error) {
                    spans.other = Some(Err(error));
                } else {
                    drop(spans);
                    self.fail(error);
                }
            }
        }
        None
    }

    /// Takes a body into the file. Bytes before `counted` were counted already.
    fn receive(&self, lane: usize, body: &mut Body, pipe: &mut Pipe, counted: u64) -> Result<(), Cut> {
        let download = self.download;
        let Some(mut at) = self.spans.lock().under_way[lane].map(|gap| gap.from) else { return Ok(()) };
        loop {
            let claim = {
                let mut spans = self.spans.lock();
                match spans.claim(lane, pipe.appetite(at)) {
                    0 if spans.extend(lane, body.end) => continue,
                    claim => claim,
                }
            };
            if claim == 0 {
                return self.end(body, at);
            }
            let mut here = at;
            let came = |n| {
                here += n;
                download.tally.add(here.saturating_sub(counted).min(n));
            };
            let (written, outcome) = pipe.carry(&mut body.opened, &download.file, at, claim, came);
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
            if let Some(error) = expected_size_passed(download, &mut body.opened, at) {
                return Err(Cut::Final(error));
            }
            match outcome {
                Ok(false) => {}
                Ok(true) => return self.ended(lane, body, at),
                Err(Unspliced::Body(error)) => return Err(Cut::Body(error)),
                Err(Unspliced::File(error)) => return Err(Cut::Final(download.unwritten(&error))),
            }
        }
    }

    /// All bytes of the range are there. Where they are the answer's last ones, its body has to end here.
    fn end(&self, body: &mut Body, at: u64) -> Result<(), Cut> {
        use crate::exchange::Read;
        if body.end != Some(at) || self.halt.is_cancelled() {
            return Ok(());
        }
        match body.opened.read(&mut [0], None) {
            Ok(Read::End | Read::Nothing) => Ok(()),
            Ok(Read::Bytes(_)) => {
                let what = "the server broke HTTP: a body that is longer than its Content-Range";
                Err(Cut::Final(body.opened.failed(Error::new(Kind::Protocol, what))))
            }
            Err(error) => Err(Cut::Body(error)),
        }
    }

    /// The body is at its end.
    fn ended(&self, lane: usize, body: &mut Body, at: u64) -> Result<(), Cut> {
        let download = self.download;
        let expected = body.end.or(download.job.settings.expected_size);
        if let Some(end) = expected.filter(|end| at < *end) {
            let what = format!("the body ended at byte {at} of {end}");
            return Err(Cut::Body(body.opened.failed(Error::new(Kind::Truncated, what))));
        }
        if body.end.is_none() {
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
