//! The body of an answer, chunk by chunk, as it comes.

mod checkpoint;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Endpoint;
use crate::config::endpoint::Streaming;
use crate::config::settings::Retry;
use crate::error::{Error, Kind, Result};
use crate::exchange::retry::{self, Failed, Next};
use crate::exchange::{Opened, Read};
use crate::request::CallOptions;
use crate::response::Response;
use crate::transfer::{Ask, ContentRange, Opener, Progress, strong_validator};
use crate::transport::{Token, pause};
use crate::{log, random};

use checkpoint::Checkpoint;
pub(crate) use checkpoint::checksum;

/// Memory that is set aside for a chunk before any of it came.
const ALLOCATE: usize = 256 * 1024;

/// How a stream is read.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The endpoint's name.
    pub endpoint: String,
    /// Bytes in a chunk, but for the last one.
    pub chunk_size: usize,
    /// The first byte that is wanted.
    pub from: u64,
    /// Where an earlier stream has ended.
    pub checkpoint: Option<String>,
    /// How long a call waits for a chunk; None: as long as it takes.
    pub wait: Option<Duration>,
    /// Is a stream that is cut gone on with?
    pub reconnect: bool,
    /// How often, and when.
    pub retry: Retry,
    /// When all of it must be over.
    pub deadline: Option<Instant>,
    /// What its media type must be.
    pub expected_type: Option<String>,
    /// What its size must be.
    pub expected_size: Option<u64>,
    /// Must the server say how long it is?
    pub require_length: bool,
}

/// A larger chunk is a mistake, and would be memory that nobody has.
const MAX_CHUNK: u64 = 1 << 30;

impl Settings {
    /// What a call says over what its endpoint says.
    pub fn new(endpoint: &Endpoint, call: &CallOptions<'_>) -> Result<Settings> {
        let keys = &call.keys;
        let none = Streaming::default();
        let block = endpoint.keys.streaming.as_ref().unwrap_or(&none);
        let foreign = [
            (keys.segments.is_some(), "segments"),
            (keys.digest.is_some(), "digest"),
            (keys.overwrite.is_some(), "overwrite"),
            (keys.use_server_name.is_some(), "use_server_name"),
            (keys.resume.is_some() || call.ledger.is_some(), "resume"),
        ];
        if let Some((_, key)) = foreign.into_iter().find(|(there, _)| *there) {
            return Err(Error::argument(format!("options: /{key}: is for downloads")));
        }
        let chunk_size = keys.chunk_size.or(block.chunk_size).map_or(65_536, |s| s.0);
        if chunk_size > MAX_CHUNK {
            return Err(Error::argument("options: /chunk_size: must be at most 1 GiB"));
        }
        let settings = match call.overrides() {
            Some(overrides) => endpoint.settings.with(overrides),
            None => endpoint.settings.clone(),
        };
        Ok(Settings {
            endpoint: endpoint.name.clone(),
            chunk_size: chunk_size as usize,
            from: keys.resume_from.or(block.resume_from).unwrap_or(0),
            checkpoint: keys.checkpoint.clone(),
            wait: keys.wait.map(|d| d.0),
            reconnect: keys.reconnect.or(block.reconnect).unwrap_or(false),
            retry: settings.retry,
            deadline: call.deadline().and_then(|d| Instant::now().checked_add(d)),
            expected_type: keys.expected_type.clone().or_else(|| block.expected_type.clone()),
            expected_size: keys.expected_size.or(block.expected_size),
            require_length: keys.require_length.or(block.require_length).unwrap_or(false),
        })
    }
}

/// What the next step of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is a chunk.
    Item,
    /// There is no more.
    End,
    /// Nothing came within the time to wait.
    Idle,
}

/// A body on its way.
pub struct Stream {
    opener: Opener,
    settings: Settings,
    token: Arc<Token>,
    /// None: the end was reached.
    opened: Option<Opened>,
    /// Head and meta of the answer that is read, or was read last.
    response: Response,
    validator: Option<String>,
    /// The chunk that is handed out, or grows; a NUL is behind it.
    chunk: Vec<u8>,
    filled: usize,
    handed_out: bool,
    /// The failure behind the last bytes.
    failure: Option<Error>,
    progress: Progress,
    reconnects: u64,
    /// Attempts in a row at this place.
    tries: u32,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Stream {
    /// Asks for it, and waits for the head of the answer.
    pub fn open(opener: Opener, mut settings: Settings, token: Arc<Token>) -> Result<Stream> {
        let checkpoint =
            settings.checkpoint.as_deref().map(|text| Checkpoint::read(text, &settings.endpoint));
        let checkpoint = checkpoint.transpose()?;
        if let Some(checkpoint) = &checkpoint {
            settings.from = checkpoint.offset;
        }
        let validator = checkpoint.map(|c| c.validator);
        let mut stream = Stream {
            progress: Progress::new(&settings.endpoint, settings.from),
            opener,
            token,
            opened: None,
            response: Response::default(),
            validator,
            chunk: Vec::new(),
            filled: 0,
            handed_out: false,
            failure: None,
            reconnects: 0,
            tries: 1,
            settings,
        };
        stream.ask(stream.settings.from)?;
        Ok(stream)
    }

    /// The bytes that were received, handed out or not.
    fn position(&self) -> u64 {
        let waiting = if self.handed_out { 0 } else { self.filled as u64 };
        self.progress.processed + waiting
    }

    fn left(&self) -> Option<Duration> {
        self.settings.deadline.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Asks for all from a byte on, and holds the answer against it.
    fn ask(&mut self, from: u64) -> Result<()> {
        let ask = Ask { from, last: None, if_range: self.validator.clone(), left: self.left(), tried: 0 };
        let mut opened = match (self.opener)(&ask, Some(&self.token)) {
            Ok(opened) => opened,
            Err(error) => return self.refused(from, error),
        };
        let range = ContentRange::of(&opened.head);
        let total = match (opened.head.status, range.and_then(|r| r.bytes)) {
            (206, Some((first, _))) if first == from => range.and_then(|r| r.total),
            (206, Some((first, _))) => {
                let what = format!("the server sent the bytes from {first} on, and not from {from} on");
                return Err(opened.failed(Error::new(Kind::Range, what)));
            }
            (206, None) => {
                let what = "the server sent a part, and does not say which (Content-Range)";
                return Err(opened.failed(Error::new(Kind::Range, what)));
            }
            _ if from > 0 => {
                let what = match ask.if_range {
                    Some(_) => "it is not what it was: the server would begin again with the first byte",
                    None => "the server sends no parts: it would begin with the first byte",
                };
                return Err(
                    opened.failed(Error::new(Kind::Range, format!("{what}, and not with byte {from}")))
                );
            }
            _ => opened.length(),
        };
        let validator = strong_validator(&opened.head).filter(|_| !opened.is_decoded());
        if self.validator.is_some() && validator.is_some() && validator != self.validator {
            let what = "it is not what it was: the server sent a part of something else";
            return Err(opened.failed(Error::new(Kind::Range, what)));
        }
        self.expect(&mut opened, total)?;
        self.validator = validator;
        self.progress.total = total.or(self.progress.total);
        self.response = Response::new(opened.head.clone(), opened.meta.clone(), Vec::new());
        self.response.meta.reconnects = (self.reconnects > 0).then_some(self.reconnects);
        self.opened = Some(opened);
        Ok(())
    }

    /// A range that begins where the resource ends is the end of it.
    fn refused(&mut self, from: u64, mut error: Error) -> Result<()> {
        let total = match &error.response {
            Some(answer) if error.http_status == Some(416) && from > 0 => {
                ContentRange::of(&answer.head).and_then(|range| range.total)
            }
            _ => return Err(error),
        };
        if total == Some(from) {
            self.progress.total = total;
            self.progress.done = true;
            if let Some(answer) = &error.response {
                self.response = Response::new(answer.head.clone(), answer.meta.clone(), Vec::new());
            }
            return Ok(());
        }
        error.kind = Kind::Range;
        error.message += &match total {
            Some(total) => format!("; byte {from} was asked for, and there are {total} bytes"),
            None => {
                format!("; byte {from} was asked for, and it does not say how many there are (Content-Range)")
            }
        };
        Err(error)
    }

    /// What the caller expects of the answer.
    fn expect(&self, opened: &mut Opened, total: Option<u64>) -> Result<()> {
        let Settings { expected_type, expected_size, require_length, .. } = &self.settings;
        if let Some(expected) = expected_type {
            let media = opened.head.get("content-type").map(String::from_utf8_lossy).unwrap_or_default();
            let essence = media.split(';').next().unwrap_or_default().trim().to_owned();
            if !essence.eq_ignore_ascii_case(expected) {
                let what = format!("its type is `{essence}`, and `{expected}` is expected (expected_type)");
                return Err(opened.failed(Error::new(Kind::Decode, what)));
            }
        }
        match (total, expected_size) {
            (Some(total), Some(expected)) if total != *expected => {
                let what = format!("it has {total} bytes, and {expected} are expected (expected_size)");
                Err(opened.failed(Error::new(Kind::Decode, what)))
            }
            (None, _) if *require_length => {
                let what = "the server does not say how long it is (require_length)";
                Err(opened.failed(Error::new(Kind::Protocol, what)))
            }
            _ => Ok(()),
        }
    }

    /// Waits for the next chunk.
    pub fn advance(&mut self) -> Result<Step> {
        if self.handed_out {
            self.handed_out = false;
            self.filled = 0;
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let until = self.settings.wait.and_then(|wait| Instant::now().checked_add(wait));
        loop {
            if self.filled == self.settings.chunk_size {
                return Ok(self.hand_out());
            }
            self.make_room();
            let Some(opened) = &mut self.opened else { return self.end() };
            let end = self.chunk.len().min(self.settings.chunk_size);
            match opened.read(&mut self.chunk[self.filled..end], until) {
                Ok(Read::Bytes(n)) => {
                    self.filled += n;
                    self.tries = 1;
                }
                Ok(Read::Nothing) => return Ok(Step::Idle),
                Ok(Read::End) => self.opened = None,
                Err(error) => {
                    self.opened = None;
                    if let Err(failure) = self.go_on(error) {
                        if self.filled == 0 {
                            return Err(failure);
                        }
                        // What came before it is the caller's.
                        self.failure = Some(failure);
                        return Ok(self.hand_out());
                    }
                }
            }
        }
    }

    /// Room for some more of the chunk: not all of it before any of it came.
    fn make_room(&mut self) {
        if self.filled == self.chunk.len() || self.chunk.is_empty() {
            let room = (self.chunk.len() * 2).max(ALLOCATE).min(self.settings.chunk_size);
            self.chunk.resize(room, 0);
        }
    }

    fn hand_out(&mut self) -> Step {
        self.progress.add(self.filled as u64);
        self.progress.chunks += 1;
        self.handed_out = true;
        // The NUL that C callers are promised.
        if self.chunk.len() == self.filled {
            self.chunk.push(0);
        } else {
            self.chunk[self.filled] = 0;
        }
        Step::Item
    }

    fn end(&mut self) -> Result<Step> {
        if self.filled > 0 {
            return Ok(self.hand_out());
        }
        let got = self.progress.processed;
        if let Some(expected) = self.settings.expected_size.filter(|expected| *expected != got) {
            let what = format!(
                "{}: {got} bytes came, and {expected} are expected (expected_size)",
                self.settings.endpoint
            );
            return Err(Error::new(Kind::Truncated, what));
        }
        self.progress.total = Some(got);
        self.progress.done = true;
        Ok(Step::End)
    }

    /// Goes on behind the last byte that came, where that is asked for and cannot give other bytes.
    fn go_on(&mut self, mut error: Error) -> Result<()> {
        if !self.settings.reconnect || self.validator.is_none() {
            return Err(error);
        }
        loop {
            let failed = Failed { error: &error, repeatable: error.repeatable, ruled: false };
            let wait = match retry::next(
                &self.settings.retry,
                self.tries,
                failed,
                self.left(),
                random::fraction(),
            ) {
                Next::Again(wait) => wait,
                Next::Stop | Next::TooLong(_) => return Err(error),
            };
            log::info(format_args!(
                "{}; goes on with byte {} in {} ms",
                error.message,
                self.position(),
                wait.as_millis()
            ));
            self.tries += 1;
            pause(Instant::now() + wait, Some(&self.token)).map_err(|fail| {
                error.kind = if self.token.is_cancelled() { Kind::Cancelled } else { Kind::Io };
                Error::new(error.kind, format!("{}; before it was gone on with: {fail}", error.message))
            })?;
            self.reconnects += 1;
            match self.ask(self.position()) {
                Ok(()) => return Ok(()),
                Err(other) => error = other,
            }
        }
    }

    /// The chunk. The byte behind it is NUL.
    pub fn chunk(&self) -> &[u8] {
        if self.handed_out { &self.chunk[..self.filled] } else { &[] }
    }

    /// Head and meta of the answer that is read.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The place after the last chunk, for another stream; None where the server says nothing by which that one
    /// could know that it reads the same.
    pub fn checkpoint(&self) -> Option<String> {
        let validator = self.validator.clone()?;
        Some(Checkpoint { offset: self.progress.processed, validator }.write(&self.settings.endpoint))
    }
}
