//! A resource into a file, so that what stands under the file's name is always whole.
//!
//! The bytes go to a part beside the target, and a small file says which of them are on the disk and what they are
//! bytes of. Whatever ends a download, the next one goes on with the part where the server can tell that the resource
//! is still the same; the whole, once it is verified and on the disk, takes the target's place in one step.

mod answer;
mod digest;
mod folder;
mod name;
mod part;
mod pipe;
mod pulse;
mod ranges;
mod settings;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Attempt, Error, Kind, Result, Sent};
use crate::exchange::retry::{self, Next};
use crate::exchange::{Opened, Read};
use crate::response::{Head, Meta, Response};
use crate::transfer::{Ask, Opener, strong_validator};
use crate::transport::{Token, pause};
use crate::{log, random};

use answer::{Asked, Came, came};
use digest::{Digest, Pass};
use folder::{Existing, Folder};
use part::{Part, failed};
use pipe::{Fault, Pipe};
use pulse::{End, Pulse};

pub use pulse::OnProgress;
pub use settings::Settings;

/// What is to be downloaded.
pub struct Job<'j> {
    /// Asks for it.
    pub opener: Opener,
    /// How.
    pub settings: Settings,
    /// Where to; a folder where the server names the file.
    pub destination: &'j str,
    /// What is asked for, without secrets: a part of something else is not gone on with.
    pub source: &'j str,
    /// Has the request a meaning for ranges? Only a GET has.
    pub ranges: bool,
    /// Ends it.
    pub cancel: Option<&'j Arc<Token>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Downloaded {
    /// The summary, with the head of the last answer.
    pub response: Response,
    /// Did the progress callback stop it?
    pub stopped: bool,
}

/// Carries it out.
pub fn run(job: &Job<'_>, on_progress: Option<OnProgress<'_>>) -> Result<Downloaded> {
    let settings = &job.settings;
    let place = Place::of(job)?;
    let folder = Folder::open(place.folder).map_err(|e| {
        failed("open the folder", &place.folder.display().to_string(), &e)
    });
    let locate = |error: Error| located(error, &settings.endpoint);
    let folder = folder.map_err(locate)?;
    if let Some(name) = place.name {
        target(&folder, name, settings.overwrite).map_err(locate)?;
    }
    let source = digest::sha256(job.source.as_bytes());
    let part_name = match place.name {
        Some(name) => name::part(name),
        // Nobody knows yet what it will be called.
        None => name::part(&format!("download-{}", &source[..16])),
    };
    let part = Part::open(folder, part_name, source, settings.resume && job.ranges).map_err(locate)?;
    let mut pulse = Pulse::new(on_progress, &settings.endpoint, settings.chunk_size);
    pulse.begin(part.there().total(), part.state.length);
    let download = Download {
        job,
        name: place.name.map(str::to_owned),
        path: job.destination.to_owned(),
        digests: part.state.digests.iter().filter_map(|d| Digest::parse(d).ok()).collect(),
        resume_from: 0,
        part,
        pulse,
        tries: 0,
        history: Vec::new(),
        misfits: 0,
        sha256: None,
        spoiled: false,
        last: None,
    };
    download.run()
}

/// Where it goes.
struct Place<'p> {
    folder: &'p Path,
    /// None: the server says.
    name: Option<&'p str>,
}

impl<'p> Place<'p> {
    fn of(job: &Job<'p>) -> Result<Place<'p>> {
        let path = job.destination;
        if path.is_empty() {
            return Err(Error::argument("destination_path is empty"));
        }
        if job.settings.use_server_name {
            return Ok(Place { folder: Path::new(path), name: None });
        }
        let name = Path::new(path).file_name().and_then(|name| name.to_str());
        let Some(name) = name.filter(|_| !path.ends_with(['/', std::path::MAIN_SEPARATOR])) else {
            return Err(located(is_folder(path), &job.settings.endpoint));
        };
        let folder = Path::new(path).parent().filter(|p| !p.as_os_str().is_empty());
        Ok(Place { folder: folder.unwrap_or(Path::new(".")), name: Some(name) })
    }
}

fn is_folder(path: &str) -> Error {
    failed("write", path, &rustix::io::Errno::ISDIR.into())
}

/// What the target replaces.
fn target(folder: &Folder, name: &str, overwrite: bool) -> Result<Option<Existing>> {
    let path = folder.path(name);
    let there = folder.look(name).map_err(|e| failed("look at", &path, &e))?;
    match there {
        Some(there) if there.is_folder() => Err(is_folder(&path)),
        Some(_) if !overwrite => {
            let mut error = failed("write", &path, &rustix::io::Errno::EXIST.into());
            error.message += " (`overwrite` is false)";
            Err(error)
        }
        there => Ok(there),
    }
}

/// Says where a failure that is no server's has happened.
fn located(mut error: Error, endpoint: &str) -> Error {
    error.message = format!("{endpoint}: {}", error.message);
    error.endpoint = Some(endpoint.to_owned());
    error
}

/// A download on its way.
struct Download<'j, 'p> {
    job: &'j Job<'j>,
    part: Part,
    pulse: Pulse<'p>,
    /// The name of the file, once it is known.
    name: Option<String>,
    /// The same, with its folder.
    path: String,
    /// What the server has said of the whole.
    digests: Vec<Digest>,
    /// Where the part was gone on with that an earlier call has left.
    resume_from: u64,
    /// Attempts so far.
    tries: u32,
    history: Vec<Attempt>,
    /// Answers to a Range that were of no use.
    misfits: u32,
    sha256: Option<String>,
    /// What is there is not what was wanted.
    spoiled: bool,
    last: Option<(Head, Meta)>,
}

impl Download<'_, '_> {
    fn run(mut self) -> Result<Downloaded> {
        let outcome = self.steps();
        match outcome {
            Ok(()) => {
                self.pulse.progress.done = true;
                // It is done, whatever the callback says now; but that it was stopped is what the caller expects.
                let stopped = self.pulse.tell().is_err();
                Ok(Downloaded { response: self.summary(true), stopped })
            }
            Err(end) => {
                if self.spoiled { self.part.discard() } else { self.part.keep() }
                match end {
                    End::Stopped => Ok(Downloaded { response: self.summary(false), stopped: true }),
                    End::Failed(error) => {
                        // The last word; there is nothing left to be stopped.
                        let _ = self.pulse.tell();
                        Err(self.failed(error))
                    }
                }
            }
        }
    }

    fn steps(&mut self) -> Result<(), End> {
        self.fetch()?;
        self.verify()?;
        let name = self.name.clone().unwrap_or_default();
        let overwrite = self.job.settings.overwrite;
        let finish = target(self.part.folder(), &name, overwrite)
            .and_then(|replaced| self.part.finish(&name, replaced, overwrite));
        Ok(finish.map_err(|e| located(e, &self.job.settings.endpoint))?)
    }

    /// Asks until all of it is there.
    fn fetch(&mut self) -> Result<(), End> {
        let mut pipe = Pipe::new();
        // What an earlier call has left behind complete is still to be confirmed.
        let mut unconfirmed = self.part.is_complete();
        let mut plain = false;
        let mut first = true;
        while unconfirmed || !self.part.is_complete() {
            let ask = self.ask(plain);
            plain = false;
            let mut opened = match self.open(&ask) {
                Ok(opened) => opened,
                Err(error) if unconfirmed && self.confirms(&ask, &error) => {
                    self.note(&ask, true);
                    return Ok(());
                }
                Err(error) if self.retreats(&ask, &error) => {
                    plain = true;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let asked = Asked {
                from: ask.from,
                to: ask.last.map(|last| last + 1),
                validator: self.part.state.validator.as_deref(),
                length: self.part.state.length,
                ranged: ask.range().is_some(),
            };
            let came = came(asked, &opened.head, opened.length());
            self.expect(&mut opened, came)?;
            let (at, end) = match came {
                Came::Whole => {
                    let length = opened.length();
                    self.restart(&opened, length)?;
                    (0, length)
                }
                Came::Part { at, end, length } => {
                    self.part.state.length = length;
                    self.note(&ask, first);
                    (at, Some(end))
                }
                Came::Misfit(what) => {
                    self.misfits += 1;
                    if self.misfits > 1 || !asked.ranged {
                        let what = format!("the server broke HTTP: it answered with {what}");
                        return Err(opened.failed(Error::new(Kind::Protocol, what)).into());
                    }
                    log::debug(format_args!("{}: {what}; begun again", self.part.path()));
                    plain = true;
                    continue;
                }
            };
            unconfirmed = false;
            if std::mem::take(&mut first) {
                self.pulse.progress.total = self.part.state.length;
                self.pulse.tell()?;
            }
            if let Err(error) = self.receive(&mut opened, &mut pipe, at, end)? {
                drop(opened);
                self.wait(error)?;
            }
        }
        Ok(())
    }

    /// What is asked for next.
    fn ask(&self, plain: bool) -> Ask {
        let left = self.job.settings.deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let validator = self.part.state.validator.as_ref().filter(|_| self.job.ranges && !plain);
        let (Some(validator), false) = (validator, self.part.there().is_empty()) else {
            return Ask { left, ..Ask::default() };
        };
        let length = self.part.state.length;
        let gap = self.part.there().gaps(length).first().copied();
        let (from, to) = gap.map_or((self.part.there().end(), None), |gap| (gap.from, gap.to));
        let last = to.filter(|to| Some(*to) != length).map(|to| to - 1);
        Ask { from, last, if_range: Some(validator.clone()), left }
    }

    fn open(&mut self, ask: &Ask) -> Result<Opened> {
        let outcome = (self.job.opener)(ask, self.job.cancel);
        let (attempts, redirects) = match &outcome {
            Ok(opened) => (&opened.meta.attempts, opened.meta.redirects.len()),
            Err(error) => (&error.attempts, 0),
        };
        self.tries += attempts.len().saturating_sub(redirects).max(1) as u32;
        self.history.extend(attempts.iter().cloned());
        let opened = outcome?;
        self.last = Some((opened.head.clone(), opened.meta.clone()));
        Ok(opened)
    }

    /// Does a failure say that everything was there already?
    fn confirms(&mut self, ask: &Ask, error: &Error) -> bool {
        let (Some(416), Some(answer), Some(length)) =
            (error.http_status, &error.response, self.part.state.length)
        else {
            return false;
        };
        let confirmed = ask.range().is_some()
            && answer::is_everything(&answer.head, length, self.part.state.validator.as_deref());
        if confirmed {
            self.last = Some((answer.head.clone(), answer.meta.clone()));
        }
        confirmed
    }

    /// Is a failure one of the Range, so that all of it is asked for, once?
    fn retreats(&mut self, ask: &Ask, error: &Error) -> bool {
        let retreats = ask.range().is_some()
            && self.misfits == 0
            && error.response.is_some()
            && error.http_status.is_some_and(answer::may_be_the_range);
        self.misfits += u32::from(retreats);
        retreats
    }

    /// The part that an earlier call has left is gone on with.
    fn note(&mut self, ask: &Ask, first: bool) {
        if first && ask.range().is_some() {
            self.resume_from = self.part.there().total();
        }
    }

    /// Is an answer what the caller expects?
    fn expect(&self, opened: &mut Opened, came: Came) -> Result<()> {
        let settings = &self.job.settings;
        let fail = |opened: &mut Opened, kind, what: String| Err(opened.failed(Error::new(kind, what)));
        if opened.is_decoded() {
            let what = "the file came with a Content-Encoding although it was asked for as it is (identity)";
            return fail(opened, Kind::Decode, what.into());
        }
        if let Some(expected) = &settings.expected_type {
            let media = opened.head.get("content-type").map(String::from_utf8_lossy).unwrap_or_default();
            let essence = media.split(';').next().unwrap_or_default().trim().to_owned();
            if !essence.eq_ignore_ascii_case(expected) {
                let what = format!("its type is {essence:?}, and {expected:?} is expected (expected_type)");
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
    fn restart(&mut self, opened: &Opened, length: Option<u64>) -> Result<()> {
        self.resume_from = 0;
        self.digests = digest::of_answer(&opened.head, true);
        let texts = self.digests.iter().map(Digest::text).collect();
        let validator = strong_validator(&opened.head).filter(|_| self.job.ranges);
        let restarted = self.part.restart(validator, length, texts);
        self.pulse.begin(0, length);
        if self.name.is_none() {
            let name = name::of_server(&opened.head, opened.meta.url.as_str());
            self.rename(name)?;
        }
        restarted.map_err(|e| located(e, &self.job.settings.endpoint))
    }

    /// The server has named the file.
    fn rename(&mut self, name: String) -> Result<()> {
        let found = target(self.part.folder(), &name, self.job.settings.overwrite);
        found.map_err(|e| located(e, &self.job.settings.endpoint))?;
        self.path = self.part.folder().path(&name);
        self.name = Some(name);
        Ok(())
    }

    /// Takes a body: the outer failure is the end, the inner one may be followed by another attempt.
    fn receive(
        &mut self,
        opened: &mut Opened,
        pipe: &mut Pipe,
        at: u64,
        end: Option<u64>,
    ) -> Result<Result<(), Error>, End> {
        pipe.seek(at);
        let before = self.part.there().end().max(at);
        let outcome = self.pump(opened, pipe, at, before, end);
        // Whatever came is worth being kept.
        let flushed = pipe.flush(self.part.file());
        self.part.wrote(at, pipe.written());
        let outcome = outcome?;
        if let Err(e) = flushed {
            return Err(self.unwritten(&e).into());
        }
        if outcome.is_ok() && end.is_none() {
            self.part.ends();
            self.pulse.progress.total = self.part.state.length;
        }
        Ok(outcome)
    }

    fn pump(
        &mut self,
        opened: &mut Opened,
        pipe: &mut Pipe,
        at: u64,
        mut counted: u64,
        end: Option<u64>,
    ) -> Result<Result<(), Error>, End> {
        let expected = self.job.settings.expected_size;
        loop {
            let read = match pipe.step(opened, self.part.file(), self.pulse.until()) {
                Ok(read) => read,
                Err(Fault::File(e)) => return Err(self.unwritten(&e).into()),
                Err(Fault::Body(error)) => return Ok(Err(self.cut(error))),
            };
            let here = pipe.position();
            if end.is_some_and(|end| here > end) {
                let what = "the server broke HTTP: a body that is longer than its Content-Range";
                return Err(opened.failed(Error::new(Kind::Protocol, what)).into());
            }
            if let Some(expected) = expected.filter(|expected| here > *expected) {
                self.spoiled = true;
                let what = format!("it has more than the {expected} bytes that are expected (expected_size)");
                return Err(opened.failed(Error::new(Kind::Checksum, what)).into());
            }
            if here > counted {
                self.pulse.add(here - counted);
                counted = here;
            }
            if read == Read::End {
                let short = end.or(expected).filter(|end| here < *end);
                return Ok(match short {
                    None => Ok(()),
                    Some(end) => {
                        let what = format!("the body ended at byte {here} of {end}");
                        let error = opened.failed(Error::new(Kind::Truncated, what));
                        Err(self.cut(error))
                    }
                });
            }
            if self.part.is_due() {
                pipe.flush(self.part.file()).map_err(|e| self.unwritten(&e))?;
                self.part.wrote(at, pipe.written());
                self.part.checkpoint().map_err(|e| located(e, &self.job.settings.endpoint))?;
            }
            self.pulse.beat()?;
        }
    }

    /// Notes a failure of the answer that was under way.
    fn cut(&mut self, error: Error) -> Error {
        if let (Some(own), Some(last)) = (self.history.last_mut(), error.attempts.last()) {
            own.error.clone_from(&last.error);
        }
        error
    }

    fn unwritten(&self, error: &std::io::Error) -> Error {
        let mut failure = located(failed("write", &self.part.path(), error), &self.job.settings.endpoint);
        failure.sent = Sent::Yes;
        failure
    }

    /// Waits for the next attempt; where there is none, the failure stands.
    fn wait(&mut self, mut error: Error) -> Result<(), End> {
        let settings = &self.job.settings;
        let left = settings.deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let about = retry::Failed { error: &error, repeatable: error.repeatable, ruled: false };
        let wait = match retry::next(&settings.retry, self.tries, about, left, random::fraction()) {
            Next::Again(wait) => wait,
            Next::TooLong(_) | Next::Stop => return Err(error.into()),
        };
        log::debug(format_args!("{}; goes on in {} ms", error.message, wait.as_millis()));
        let end = Instant::now() + wait;
        loop {
            let until = self.pulse.until().map_or(end, |until| until.min(end));
            if let Err(fail) = pause(until, self.job.cancel) {
                let cancelled = self.job.cancel.is_some_and(|token| token.is_cancelled());
                error.kind = if cancelled { Kind::Cancelled } else { Kind::Io };
                error.message += &format!("; before the next attempt: {fail}");
                return Err(error.into());
            }
            self.pulse.beat()?;
            if Instant::now() >= end {
                return Ok(());
            }
        }
    }

    /// Checks the whole, once it is there.
    fn verify(&mut self) -> Result<(), End> {
        let wanted: Vec<Digest> =
            self.job.settings.digest.iter().cloned().chain(self.digests.iter().cloned()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut pass = Pass::new(&wanted);
        let mut block = vec![0; 256 * 1024];
        let mut at = 0;
        loop {
            let got = match folder::read_at(self.part.file(), &mut block, at) {
                Ok(0) => break,
                Ok(got) => got,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    let error = failed("read", &self.part.path(), &e);
                    return Err(located(error, &self.job.settings.endpoint).into());
                }
            };
            pass.update(&block[..got]);
            at += got as u64;
            if self.job.cancel.is_some_and(|token| token.is_cancelled()) {
                let error = Error::new(Kind::Cancelled, "cancelled while the file was verified");
                return Err(located(error, &self.job.settings.endpoint).into());
            }
            self.pulse.beat()?;
        }
        match pass.finish() {
            Ok(sha256) => self.sha256 = Some(sha256),
            Err(what) => {
                self.spoiled = true;
                let mut error = Error::new(Kind::Checksum, format!("the file is not the one it should be: {what}"));
                error.sent = Sent::Yes;
                return Err(located(error, &self.job.settings.endpoint).into());
            }
        }
        Ok(())
    }

    fn summary(&self, success: bool) -> Response {
        let progress = &self.pulse.progress;
        let json = serde_json::json!({
            "success": success,
            "path": self.path,
            "bytes_written": progress.streamed,
            "total_bytes": self.part.state.length.or(progress.total),
            "resumed": self.resume_from > 0,
            "resume_from": self.resume_from,
            "chunks_written": progress.chunks,
            "sha256": self.sha256,
            "verified": self.sha256.is_some(),
        });
        let (head, mut meta) = self.last.clone().unwrap_or_default();
        meta.attempts = self.numbered();
        Response::new(head, meta, json.to_string().into_bytes())
    }

    /// The history of the whole call.
    fn numbered(&self) -> Vec<Attempt> {
        let attempts = self.history.iter().cloned().zip(1..);
        attempts.map(|(attempt, n)| Attempt { n, ..attempt }).collect()
    }

    fn failed(&self, mut error: Error) -> Error {
        error.attempts = self.numbered();
        error.partial = Some(Arc::new(self.summary(false)));
        error
    }
}
