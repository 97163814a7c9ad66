//! An answer whose body is handed on as it comes.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::attempt::{Failed, Signed, repeatable};
use super::judge::{Accepted, is_bare, timings};
use super::limit::Permit;
use super::run::Run;
use super::{Exchange, classify};
use crate::decode::{self, Decoder};
use crate::error::{Error, Kind, Result, Sent};
use crate::response::{Attempt, Head, Meta};
use crate::transport::{Body, Fail, Failure, Got, Moved, Splice, Unmoved};

/// An answer whose body is still on the way. Dropped before its end, its connection is closed.
#[derive(Debug)]
pub struct Opened {
    /// Status and fields.
    pub head: Head,
    /// How it came.
    pub meta: Meta,
    source: Source,
    /// The piece that came last, where it does not lie in what it came from.
    piece: Vec<u8>,
    endpoint: String,
    method: String,
    repeatable: bool,
    /// Places under the limits, which it takes until it is read.
    permits: Vec<Permit>,
}

/// The longest piece of a body that is decoded.
const PIECE: usize = 16 * 1024;

/// What a read gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// The body is complete.
    End,
    /// Nothing came in time.
    Nothing,
}

/// Why bytes were not moved into a file.
#[derive(Debug)]
pub enum Unspliced {
    /// The body fails.
    Body(Error),
    /// The file fails.
    File(std::io::Error),
}

#[derive(Debug)]
enum Source {
    /// As it comes.
    Wire(Body),
    /// Through its content codings.
    Decoded(Decoder, Arc<Mutex<Option<Fail>>>),
    /// It was read already, in order to be judged.
    Whole(Vec<u8>, usize),
}

/// A body for a decoder, which knows no failures but those of input.
#[derive(Debug)]
struct Wire {
    body: Body,
    /// What has failed below the decoder.
    fail: Arc<Mutex<Option<Fail>>>,
}

impl std::io::Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        match self.body.read(buf, None) {
            Ok(Got::Bytes(n)) => Ok(n),
            Ok(Got::Nothing) => Err(std::io::ErrorKind::WouldBlock.into()),
            Err(fail) => {
                let told = std::io::Error::other(fail.to_string());
                *self.fail.lock() = Some(fail);
                Err(told)
            }
        }
    }
}

impl Exchange {
    /// An answer with its body still to come.
    pub(super) fn hand_on(
        &self,
        run: &mut Run<'_>,
        signed: &Signed<'_>,
        accepted: Accepted,
    ) -> Result<Opened, Failed> {
        let Accepted { answer, whole, permits } = accepted;
        let status = answer.head.status;
        let codings =
            if is_bare(&answer.head, signed) { Ok(Vec::new()) } else { decode::codings(&answer.head) };
        let codings = codings.map_err(|error| self.failed(run, signed, error, Some(status), false))?;
        self.log_answer(run, signed, &answer.head, None);
        run.note(&signed.shown_url, signed.begun, Some(status), Sent::Yes, None);
        let timings = timings(&answer.trace, Duration::ZERO, run);
        let meta = Meta { timings, ..self.meta(run, signed, &answer.trace, &answer.body) };
        let source = match whole {
            Some((whole, _)) => Source::Whole(whole, 0),
            None if codings.is_empty() => Source::Wire(answer.body),
            None => {
                let fail = Arc::default();
                let wire = Wire { body: answer.body, fail: Arc::clone(&fail) };
                Source::Decoded(Decoder::new(&codings, wire), fail)
            }
        };
        Ok(Opened {
            head: answer.head,
            meta,
            source,
            piece: Vec::new(),
            endpoint: run.policy.endpoint.clone(),
            method: signed.method.as_str().to_owned(),
            repeatable: repeatable(signed),
            permits,
        })
    }
}

impl Opened {
    /// With what became of the call before this answer.
    pub(super) fn with_history(mut self, run: Run<'_>) -> Opened {
        self.meta.attempts = run.attempts;
        self.meta.redirects = run.redirects;
        self
    }

    /// The bytes that are still to come on the wire, where the server has said so and they come as they are.
    pub fn length(&self) -> Option<u64> {
        match &self.source {
            Source::Wire(body) => body.length(),
            Source::Decoded(..) => None,
            Source::Whole(whole, at) => Some((whole.len() - at) as u64),
        }
    }

    /// Are content codings taken off it?
    pub fn is_decoded(&self) -> bool {
        matches!(self.source, Source::Decoded(..))
    }

    /// Reads what there is into `buf`, which is not empty. `until`: no longer than that; a body that is decoded does
    /// not know it.
    pub fn read(&mut self, buf: &mut [u8], until: Option<Instant>) -> Result<Read> {
        let outcome = match &mut self.source {
            Source::Wire(body) => body.read(buf, until).map_err(of),
            Source::Decoded(decoder, fail) => match std::io::Read::read(decoder, buf) {
                Ok(n) => Ok(Got::Bytes(n)),
                Err(e) => Err(match fail.lock().take() {
                    Some(fail) => of(fail),
                    None => Error::new(Kind::Decode, e.to_string()),
                }),
            },
            Source::Whole(whole, at) => {
                let n = buf.len().min(whole.len() - *at);
                buf[..n].copy_from_slice(&whole[*at..*at + n]);
                *at += n;
                Ok(Got::Bytes(n))
            }
        };
        self.told(outcome)
    }

    /// Waits as [`Opened::read`] does for what comes next, and leaves it where it lies: see [`Opened::piece`].
    pub fn next_piece(&mut self, until: Option<Instant>) -> Result<Read> {
        if let Source::Wire(body) = &mut self.source {
            let outcome = body.next_piece(until).map_err(of);
            return self.told(outcome);
        }
        let mut piece = std::mem::take(&mut self.piece);
        piece.resize(PIECE, 0);
        let read = self.read(&mut piece, until);
        piece.truncate(if let Ok(Read::Bytes(n)) = read { n } else { 0 });
        self.piece = piece;
        read
    }

    /// The piece that came last, until the next one does; empty where none came.
    pub fn piece(&self) -> &[u8] {
        match &self.source {
            Source::Wire(body) => body.piece(),
            _ => &self.piece,
        }
    }

    /// The same, to be changed: nobody else looks at it.
    pub fn piece_mut(&mut self) -> &mut [u8] {
        match &mut self.source {
            Source::Wire(body) => body.piece_mut(),
            _ => &mut self.piece,
        }
    }

    fn told(&mut self, outcome: Result<Got>) -> Result<Read> {
        match outcome {
            Ok(Got::Bytes(0)) => {
                self.permits.clear();
                Ok(Read::End)
            }
            Ok(Got::Bytes(n)) => Ok(Read::Bytes(n)),
            Ok(Got::Nothing) => Ok(Read::Nothing),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Moves up to `most` bytes to that place of a file, past this process. Gives how many are there.
    pub fn splice(
        &mut self,
        splice: &mut Splice,
        file: &File,
        at: u64,
        most: u64,
    ) -> (u64, Result<Moved, Unspliced>) {
        let Source::Wire(body) = &mut self.source else { return (0, Ok(Moved::Never)) };
        let (moved, outcome) = body.splice(splice, file, at, most);
        let outcome = match outcome {
            Ok(moved) => {
                if moved == Moved::End {
                    self.permits.clear();
                }
                Ok(moved)
            }
            Err(Unmoved::Body(fail)) => Err(Unspliced::Body(self.failed(of(fail)))),
            Err(Unmoved::File(error)) => Err(Unspliced::File(error)),
        };
        (moved, outcome)
    }

    /// Says where a failure happened, and takes the secrets out of it.
    pub fn failed(&mut self, mut error: Error) -> Error {
        self.permits.clear();
        let what = self.meta.redactor.redact(&error.message).into_owned();
        error.message = format!("{}: {} {}: {what}", self.endpoint, self.method, self.meta.url);
        error.sent = Sent::Yes;
        error.http_status = Some(self.head.status);
        error.endpoint = Some(self.endpoint.clone());
        error.method = Some(self.method.clone());
        error.url = Some(self.meta.url.clone());
        error.repeatable = self.repeatable;
        error.attempts = self.attempts(what);
        error
    }

    /// The history, with the failure of the answer that was under way.
    fn attempts(&self, what: String) -> Vec<Attempt> {
        let mut attempts = self.meta.attempts.clone();
        if let Some(last) = attempts.last_mut() {
            last.error = Some(what);
        }
        attempts
    }
}

fn of(fail: Fail) -> Error {
    classify::transport_failure(&Failure { fail, sent: Sent::Yes, stale: false })
}
