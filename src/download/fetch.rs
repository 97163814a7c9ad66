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

impl Download<'_> {
    /// Asks until all of it is there.
    pub fn fetch(&self) -> Result<()> {
        // What an earlier call has left behind complete is still to be confirmed.
        let mut unconfirmed = self.part.lock().is_complete();
        let (mut first, mut plain, mut misfits) = (true, false, 0);
        let mut other = None;
        while unconfirmed || !self.part.lock().is_complete() {
            let ask = self.ask(std::mem::take(&mut plain));
            let ranged = ask.range().is_some();
            let outcome = match other.take() {
                Some(other) => Ok(other),
                None => self.open(&ask, &self.halt),
            };
            let (mut opened, came) = match outcome {
                Ok(opened) => opened,
                Err(error) if unconfirmed && ranged && self.confirms(&error) => {
                    self.tally.resume();
                    return Ok(());
                }
                // Is it the Range that is refused? Then all of it is asked for, once.
                Err(error) if ranged && misfits == 0 && is_about_the_range(&error) => {
                    (plain, misfits) = (true, 1);
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.expect(&mut opened, came)?;
            let (at, end) = match came {
                Came::Whole => {
                    let length = opened.length();
                    self.restart(&opened, length)?;
                    (0, length)
                }
                Came::Part { at, end, length } => {
                    self.part.lock().state.length = length;
                    self.tally.expect(length);
                    if first {
                        self.tally.resume();
                    }
                    (at, Some(end))
                }
                Came::Misfit(what) => {
                    misfits += 1;
                    if misfits > 1 || !ranged {
                        let what = format!("the server broke HTTP: it answered with {what}");
                        return Err(opened.failed(Error::new(Kind::Protocol, what)));
                    }
                    log::debug(format_args!("{}: {what}; begun again", self.part.lock().path()));
                    plain = true;
                    continue;
                }
            };
            (unconfirmed, first) = (false, false);
            let splits = self.may_split(&opened);
            other = lanes::fetch(self, opened, at, end, splits)?;
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

    /// Asks, and says what came.
    pub fn open(&self, ask: &Ask, halt: &Arc<Token>) -> Result<(Opened, Came)> {
        let outcome = (self.job.opener)(ask, Some(halt));
        let (attempts, redirects) = match &outcome {
            Ok(opened) => (&opened.meta.attempts, opened.meta.redirects.len()),
            Err(error) => (&error.attempts, 0),
        };
        let failed = attempts.len().saturating_sub(redirects + usize::from(outcome.is_ok()));
        self.failures.fetch_add(u32::try_from(failed).unwrap_or(u32::MAX), Relaxed);
        self.history.lock().extend(attempts.iter().cloned());
        let opened = outcome?;
        *self.last.lock() = Some((opened.head.clone(), opened.meta.clone()));
        let part = self.part.lock();
        let asked = Asked {
            from: ask.from,
            to: ask.last.map(|last| last + 1),
            validator: part.state.validator.as_deref(),
            length: part.state.length,
            ranged: ask.range().is_some(),
        };
        let came = came(asked, &opened.head, opened.length());
        drop(part);
        Ok((opened, came))
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

    /// Does a failure say that everything was there already?
    fn confirms(&self, error: &Error) -> bool {
        let part = self.part.lock();
        let (Some(416), Some(answer), Some(length)) = (error.http_status, &error.response, part.state.length)
        else {
            return false;
        };
        let confirmed = answer::is_everything(&answer.head, length, part.state.validator.as_deref());
        if confirmed {
            *self.last.lock() = Some((answer.head.clone(), answer.meta.clone()));
        }
        confirmed
    }

    /// May several connections share the work?
    fn may_split(&self, opened: &Opened) -> bool {
        let refuses = opened.head.get("accept-ranges").is_some_and(|v| v.eq_ignore_ascii_case(b"none"));
        self.job.ranges && !refuses && self.part.lock().state.validator.is_some()
    }

    /// Is an answer what the caller expects?
    fn expect(&self, opened: &mut Opened, came: Came) -> Result<()> {
        let settings = &self.job.settings;
        let fail = |opened: &mut Opened, kind, what: String| Err(opened.failed(Error::new(kind, what)));
        if opened.is_decoded() {
            let what = "the file came with a Content-Encoding although it was asked for as it is; `accept_encoding: \
                        identity` keeps such bytes as they come";
            return fail(opened, Kind::Decode, what.into());
        }
        if let Some(expected) = &settings.expected_type {
            let media = opened.head.get("content-type").map(String::from_utf8_lossy).unwrap_or_default();
            let essence = media.split(';').next().unwrap_or_default().trim().to_owned();
            if !essence.eq_ignore_ascii_case(expected) {
                let what = format!("its type is `{essence}`, and `{expected}` is expected (expected_type)");
                return fail(opened, Kind::Checksum, what);
            }
        }
        let total = match came {
            Came::Whole => opened.length(),
            Came::Part { length, .. } => length,
            Came::Misfit(_) => return Ok(()),
        };
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
        self.file.sync_data().map_err(|e| self.unwritten(&e))?;
        let outcome = self.part.lock().put_down(there, begun.elapsed());
        outcome.map_err(|e| located(e, &self.job.settings.endpoint))
    }

    /// Notes a failure of an answer that was under way.
    pub fn cut(&self, error: Error) -> Error {
        if let (Some(own), Some(last)) = (self.history.lock().last_mut(), error.attempts.last()) {
            own.error.clone_from(&last.error);
        }
        error
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
        log::debug(format_args!("{}; goes on in {} ms", error.message, wait.as_millis()));
        pause(Instant::now() + wait, Some(halt)).map_err(|fail| {
            error.kind = if halt.is_cancelled() { Kind::Cancelled } else { Kind::Io };
            error.message += &format!("; before the next attempt: {fail}");
            error
        })
    }
}

/// Is a failure one of the Range, and not of what was asked for?
fn is_about_the_range(error: &Error) -> bool {
    error.response.is_some() && error.http_status.is_some_and(answer::may_be_the_range)
}

/// More than was expected has come.
pub fn expected_size_passed(download: &Download<'_>, opened: &mut Opened, at: u64) -> Option<Error> {
    let expected = download.job.settings.expected_size.filter(|expected| at > *expected)?;
    download.spoiled.store(true, Relaxed);
    let what = format!("it has more than the {expected} bytes that are expected (expected_size)");
    Some(opened.failed(Error::new(Kind::Checksum, what)))
}
