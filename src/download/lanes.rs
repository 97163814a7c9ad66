//! The threads that fetch what is missing.
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
use super::spans::{SHORTEST, Spans};
use crate::error::{Error, Kind, Result};
use crate::exchange::{Opened, Unspliced};
use crate::transfer::Ask;
use crate::transport::Token;
use crate::{errand, log};

/// Why a body was not taken whole.
enum Cut {
    /// It failed; another attempt may go on.
    Body(Error),
    /// There is no use in another one.
    Final(Error),
}

/// A body that is being taken into the file.
struct Body {
    opened: Opened,
    /// The byte behind its last; None: nobody knows.
    end: Option<u64>,
    /// Where the history tells of it.
    attempt: usize,
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
    let missing = waiting.iter().chain([&gap]).filter_map(Gap::length).sum::<u64>();
    let useful = usize::try_from(missing / SHORTEST).unwrap_or(usize::MAX).max(1);
    let wanted = download.job.settings.segments.map_or(1, NonZeroU32::get) as usize;
    let count = if splits { wanted.min(useful) } else { 1 };
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
            match self.receive(lane, &mut body, &mut pipe, from) {
                Ok(()) => self.spans.lock().leave(lane),
                Err(Cut::Final(error)) => {
                    self.download.note(body.attempt, &error);
                    // Before the range is left: who finds nothing more to do must not take it for the end.
                    self.spans.lock().failure.get_or_insert(error);
                    return self.halt.cancel();
                }
                Err(Cut::Body(error)) => {
                    let attempt = body.attempt;
                    drop(body);
                    let alone = {
                        let mut spans = self.spans.lock();
                        spans.leave(lane);
                        if spans.failure.is_some() {
                            return;
                        }
                        let alone = spans.is_alone(lane);
                        spans.asking[lane] = alone;
                        alone
                    };
                    self.download.note(attempt, &error);
                    if !alone {
                        return log::info(format_args!("{}; left to the others", error.message));
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
            Err(error) if !alone => log::info(format_args!("{}; left to the others", error.message)),
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
