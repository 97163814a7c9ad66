//! Asks for what is missing, until nothing is.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::answer::{self, Asked, Came, came};
use super::part::{Part, failed};
use super::pulse::Tally;
use super::ranges::Ranges;
use super::state::State;
use super::{Job, lanes, located, name, target};
use crate::digest;
use crate::error::{Attempt, Error, Kind, Result, Sent};
use crate::exchange::Opened;
use crate::exchange::retry::{self, Next};
use crate::response::{Head, Meta};
use crate::transfer::{Ask, strong_validator};
use crate::transport::{Token, pause};
use crate::{log, random};

/// A download on its way, as all its threads see it.
pub struct Download<'j> {
    pub job: &'j Job<'j>,
    /// The name of the file; None: the server says.
    pub name: Option<&'j str>,
    pub part: Mutex<Part>,
    pub file: Arc<File>,
    pub tally: Tally,
    /// Ends it.
    pub halt: Arc<Token>,
    /// Is what came not what was wanted?
    pub spoiled: AtomicBool,
    /// The last answer.
    pub last: Mutex<Option<(Head, Meta)>>,
    /// Of the whole call.
    pub history: Mutex<Vec<Attempt>>,
    /// Attempts that have failed.
    pub failures: AtomicU32,
}

/// An answer to what was asked for.
pub struct Answer {
    pub opened: Opened,
    pub came: Came,
    /// Where the history tells of it.
    pub attempt: usize,
}

impl Download<'_> {
    /// Asks until all of it is there.
    pub fn fetch(&self) -> Result<()> {
        // What an earlier call has left behind complete is still to be confirmed.
        let mut unconfirmed = self.part.lock().is_complete();
        let (mut first, mut plain, mut misfits) = (true, false, 0);
        let mut other = None;
        // May several connections share the work?
        let mut shares = self.job.ranges;
        while unconfirmed || !self.part.lock().is_complete() {
            let ask = self.ask(std::mem::take(&mut plain));
            let ranged = ask.range().is_some();
            let outcome = match other.take() {
                Some(other) => other,
                None => self.open(&ask, &self.halt).inspect_err(|e| self.count(&e.attempts)),
            };
            let mut answer = match outcome {
                Ok(answer) => answer,
                Err(error) if ranged && self.confirms(&error) => {
                    if first {
                        self.tally.resume();
                    }
                    return Ok(());
                }
                // Is it the Range that is refused? Then all of it is asked for, once.
                Err(error) if ranged && misfits == 0 && is_about_the_range(&error) => {
                    (plain, misfits) = (true, 1);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (at, end) = match answer.came {
                Came::Misfit(what) => {
                    misfits += 1;
                    if misfits > 1 || !ranged {
                        let what = format!("the server broke HTTP: it answered with {what}");
                        return Err(answer.opened.failed(Error::new(Kind::Protocol, what)));
                    }
                    let path = self.part.lock().path();
                    log::info(format_args!("{path}: {what}; begun again"));
                    plain = true;
                    continue;
                }
                Came::Whole => {
                    let length = answer.opened.length();
                    self.expect(&mut answer.opened, length)?;
                    self.restart(&answer.opened, length)?;
                    (0, length)
                }
                Came::Part { at, end, length } => {
                    self.expect(&mut answer.opened, length)?;
                    if first {
                        self.tally.resume();
                    }
                    (at, Some(end))
                }
            };
            (unconfirmed, first) = (false, false);
            let splits = shares && self.may_split(&answer.opened);
            other = lanes::fetch(self, answer, at, end, splits)?;
            // Who answers a range with something else does not share: else it would be begun again and again.
            shares &= !matches!(other, Some(Ok(_)));
        }
        Ok(())
    }

    /// What is asked for next.
    fn ask(&self, plain: bool) -> Ask {
        let part = self.part.lock();
        let (left, tried) = (self.left(), self.tried());
        let validator = part.state.validator.as_ref().filter(|_| self.job.ranges && !plain);
        let (Some(validator), false) = (validator, part.there().is_empty()) else {
            return Ask { left, tried, ..Ask::default() };
        };
        let length = part.state.length;
        let gap = part.there().gaps(length).first().copied();
        let (from, to) = gap.map_or((part.there().end(), None), |gap| (gap.from, gap.to));
        let last = to.filter(|to| Some(*to) != length).map(|to| to - 1);
        Ask { from, last, if_range: Some(validator.clone()), left, tried }
    }

    /// Asks, and says what came. A failure is not counted yet.
    pub fn open(&self, ask: &Ask, halt: &Arc<Token>) -> Result<Answer> {
        let outcome = (self.job.opener)(ask, Some(halt));
        let attempts: &[Attempt] = match &outcome {
            Ok(opened) => &opened.meta.attempts,
            // What this call has ended itself, because it needs it no more, nobody has to hear of.
            Err(error) if halt.is_cancelled() && !self.halt.is_cancelled() => {
                error.attempts.split_last().map_or(&[], |(_, before)| before)
            }
            Err(error) => &error.attempts,
        };
        let attempt = {
            let mut history = self.history.lock();
            history.extend(attempts.iter().cloned());
            history.len().saturating_sub(1)
        };
        let mut opened = outcome?;
        if let Some((_, before)) = opened.meta.attempts.split_last() {
            self.count(before);
        }
        *self.last.lock() = Some((opened.head.clone(), opened.meta.clone()));
        if opened.is_decoded() {
            let what = "the file came with a Content-Encoding although it was asked for as it is; `accept_encoding: \
                        identity` keeps such bytes as they come";
            return Err(opened.failed(Error::new(Kind::Decode, what)));
        }
        let mut part = self.part.lock();
        let asked = Asked {
            from: ask.from,
            to: ask.last.map(|last| last + 1),
            validator: part.state.validator.as_deref(),
            coding: part.state.coding.as_deref(),
            length: part.state.length,
            ranged: ask.range().is_some(),
        };
        let came = came(asked, &opened.head, opened.length());
        if let Came::Part { length, .. } = came {
            part.state.length = length;
            self.tally.expect(length);
        }
        drop(part);
        Ok(Answer { opened, came, attempt })
    }

    /// Counts attempts that have failed: the call makes no more than it is allowed.
    pub fn count(&self, failed: &[Attempt]) {
        let is_redirect = |a: &&Attempt| a.status.is_some_and(|s| (300..400).contains(&s));
        let failed = failed.len() - failed.iter().filter(is_redirect).count();
        self.failures.fetch_add(u32::try_from(failed).unwrap_or(u32::MAX), Relaxed);
    }

    /// The time that is left.
    pub fn left(&self) -> Option<Duration> {
        self.job.settings.deadline.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Attempts that the next one follows on.
    pub fn tried(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    /// The first byte that is missing.
    pub fn first_missing(&self) -> u64 {
        let part = self.part.lock();
        part.there().gaps(part.state.length).first().map_or(part.there().end(), |gap| gap.from)
    }

    /// Does a failure say that everything is there already?
    fn confirms(&self, error: &Error) -> bool {
        let mut part = self.part.lock();
        let (Some(416), Some(answer)) = (error.http_status, &error.response) else { return false };
        let length = part.state.length.unwrap_or(part.there().end());
        let confirmed = part.there().gaps(Some(length)).is_empty()
            && answer::is_everything(&answer.head, length, part.state.validator.as_deref());
        if confirmed {
            part.state.length = Some(length);
            self.tally.expect(Some(length));
            *self.last.lock() = Some((answer.head.clone(), answer.meta.clone()));
        }
        confirmed
    }

    /// Is it worth to ask for ranges?
    fn may_split(&self, opened: &Opened) -> bool {
        let refuses = opened.head.get("accept-ranges").is_some_and(|v| v.eq_ignore_ascii_case(b"none"));
        !refuses && self.part.lock().state.validator.is_some()
    }

    /// Is an answer what the caller expects?
    fn expect(&self, opened: &mut Opened, total: Option<u64>) -> Result<()> {
        let settings = &self.job.settings;
        let fail = |opened: &mut Opened, kind, what: String| Err(opened.failed(Error::new(kind, what)));
        if let status @ (202 | 204 | 205) = opened.head.status {
            // Not there yet, or nothing to be had (RFC 9110 15.3): what is there is not replaced by it.
            return fail(
                opened,
                Kind::Protocol,
                format!("the server answered {status}, which brings no file"),
            );
        }
        if let Some(expected) = &settings.expected_type {
            let media = opened.head.get("content-type").map(String::from_utf8_lossy).unwrap_or_default();
            let essence = media.split(';').next().unwrap_or_default().trim().to_owned();
            if !essence.eq_ignore_ascii_case(expected) {
                let what = format!("its type is `{essence}`, and `{expected}` is expected (expected_type)");
                return fail(opened, Kind::Checksum, what);
            }
        }
        match (total, settings.expected_size) {
            (Some(total), Some(expected)) if total != expected => {
                let what = format!("it has {total} bytes, and {expected} are expected (expected_size)");
                fail(opened, Kind::Checksum, what)
            }
            (None, _) if settings.require_length => {
                let what = "the server does not say how long it is (require_length)";
                fail(opened, Kind::Protocol, what.into())
            }
            _ => Ok(()),
        }
    }

    /// All of it comes: what is there is of no use.
    fn restart(&self, opened: &Opened, length: Option<u64>) -> Result<()> {
        let mut part = self.part.lock();
        let name = match self.name {
            Some(_) => None,
            None => {
                let name = name::of_server(&opened.head, opened.meta.url.as_str());
                let found = target(part.folder(), &name, self.job.settings.overwrite);
                found.map_err(|e| located(e, &self.job.settings.endpoint))?;
                Some(name)
            }
        };
        let state = State {
            validator: strong_validator(&opened.head).filter(|_| self.job.ranges),
            coding: answer::coding(&opened.head),
            length,
            digests: digest::of_answer(&opened.head, true),
            name,
            ..State::default()
        };
        self.tally.restart(length);
        part.restart(state).map_err(|e| located(e, &self.job.settings.endpoint))
    }

    /// Puts down that these bytes are there, once they are on the disk.
    pub fn put_down(&self, there: Ranges) -> Result<()> {
        let begun = Instant::now();
        if let Err(e) = self.file.sync_data() {
            self.part.lock().lose();
            return Err(self.unwritten(&e));
        }
        let outcome = self.part.lock().put_down(there, begun.elapsed());
        outcome.map_err(|e| located(e, &self.job.settings.endpoint))
    }

    /// Notes the failure of an answer that was under way.
    pub fn note(&self, attempt: usize, error: &Error) {
        if let (Some(own), Some(last)) = (self.history.lock().get_mut(attempt), error.attempts.last()) {
            own.error.clone_from(&last.error);
        }
    }

    /// A failure of the part.
    pub fn unwritten(&self, error: &std::io::Error) -> Error {
        let path = self.part.lock().path();
        let mut failure = located(failed("write", &path, error), &self.job.settings.endpoint);
        failure.sent = Sent::Yes;
        failure
    }

    /// Waits for the next attempt; where there is none, the failure stands.
    pub fn wait(&self, mut error: Error, halt: &Arc<Token>) -> Result<()> {
        let tries = self.failures.fetch_add(1, Relaxed) + 1;
        let about = retry::Failed { error: &error, repeatable: error.repeatable, ruled: false };
        let wait = match retry::next(&self.job.settings.retry, tries, about, self.left(), random::fraction())
        {
            Next::Again(wait) => wait,
            Next::TooLong(_) | Next::Stop => return Err(error),
        };
        log::info(format_args!("{}; goes on in {} ms", error.message, wait.as_millis()));
        pause(Instant::now() + wait, Some(halt)).map_err(|fail| {
            error.kind = if halt.is_cancelled() { Kind::Cancelled } else { Kind::Io };
            error.message += &format!("; before the next attempt: {fail}");
            error
        })
    }
}

/// Is a failure one of the Range, and not of what was asked for?
pub fn is_about_the_range(error: &Error) -> bool {
    error.response.is_some() && error.http_status.is_some_and(answer::may_be_the_range)
}

/// More than was expected has come.
pub fn expected_size_passed(download: &Download<'_>, opened: &mut Opened, at: u64) -> Option<Error> {
    let expected = download.job.settings.expected_size.filter(|expected| at > *expected)?;
    download.spoiled.store(true, Relaxed);
    let what = format!("it has more than the {expected} bytes that are expected (expected_size)");
    Some(opened.failed(Error::new(Kind::Checksum, what)))
}
