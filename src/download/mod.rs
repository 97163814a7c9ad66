//! A resource into a file, so that what stands under the file's name is always whole.
//!
//! The bytes go to a part beside the target, and a small file says which of them are on the disk and what they are
//! bytes of. Whatever ends a download, the next one goes on with the part where the server can tell that the resource
//! is still the same; the whole, once it is verified and on the disk, takes the target's place in one step.
//!
//! [`run`] → `fetch` (what is asked for, and what an answer means) → `lanes` and `spans` (who fetches which range) → `pipe` (from a
//! body into the file); `part` is the file and what is known of it.

mod answer;
mod fetch;
#[cfg_attr(windows, path = "windows/folder.rs")]
mod folder;
#[cfg(fuzzing)]
pub mod fuzz;
mod lanes;
mod name;
mod part;
mod pipe;
mod pulse;
mod ranges;
mod settings;
mod spans;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::digest::{self, Digest, Pass};
use crate::errand;
use crate::error::{Attempt, Error, Kind, Result, Sent};
use crate::response::Response;
use crate::transfer::{Opener, Progress};
use crate::transport::Token;

use fetch::Download;
use folder::{Existing, Folder};
use part::{Part, failed};
use pulse::{Pulse, Tally};

pub use pulse::OnProgress;
pub use settings::Settings;

/// What is read at once when the file is verified.
const BLOCK: usize = 256 * 1024;

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
    let locate = |error: Error| located(error, &settings.endpoint);
    let place = Place::of(job).map_err(locate)?;
    let folder = Folder::open(place.folder);
    let folder =
        folder.map_err(|e| locate(failed("open the folder", &place.folder.display().to_string(), &e)))?;
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
    let download = Download {
        job,
        name: place.name,
        file: part.file().clone(),
        tally: Tally::new(part.there().total(), part.state.length),
        part: Mutex::new(part),
        halt: Arc::new(Token::child(job.cancel.cloned())),
        spoiled: AtomicBool::new(false),
        last: Mutex::default(),
        history: Mutex::default(),
        failures: AtomicU32::new(0),
    };
    let mut pulse = Pulse::new(on_progress, &settings.endpoint, settings.chunk_size);
    let many = settings.segments.is_some_and(|n| n.get() > 1);
    let outcome = if pulse.is_wanted() || many {
        // The callbacks belong to this thread.
        let done = errand::employ(
            || download.complete(),
            || pulse.tick(&download.tally, &download.halt),
            &download.halt,
        );
        done.unwrap_or_else(|e| {
            let mut error = Error::new(Kind::Io, format!("cannot start a thread: {e}"));
            error.errno = e.raw_os_error();
            Err(locate(error))
        })
    } else {
        download.complete()
    };
    download.close(outcome, &mut pulse)
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
        let Some(name) = name.filter(|_| !path.ends_with(std::path::is_separator)) else {
            return Err(is_folder(path));
        };
        let folder = Path::new(path).parent().filter(|p| !p.as_os_str().is_empty());
        Ok(Place { folder: folder.unwrap_or(Path::new(".")), name: Some(name) })
    }
}

fn is_folder(path: &str) -> Error {
    failed("write", path, &folder::is_folder())
}

/// What the target replaces.
fn target(folder: &Folder, name: &str, overwrite: bool) -> Result<Option<Existing>> {
    let path = folder.path(name);
    let there = folder.look(name).map_err(|e| failed("look at", &path, &e))?;
    match there {
        Some(there) if there.is_folder() => Err(is_folder(&path)),
        Some(_) if !overwrite => {
            let mut error = failed("write", &path, &folder::exists());
            error.message += " (`overwrite` is false)";
            Err(error)
        }
        Some(there) if !there.is_replaceable() => {
            let mut error = failed("write", &path, &folder::is_no_file());
            error.message += " (a device, a pipe or a socket is not replaced)";
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

impl Download<'_> {
    /// All of it, verified, under its name.
    fn complete(&self) -> Result<Option<String>> {
        self.fetch()?;
        self.check_size()?;
        let sha256 = self.verify()?;
        let overwrite = self.job.settings.overwrite;
        let mut part = self.part.lock();
        let name = self.name.map(str::to_owned).or_else(|| part.state.name.clone()).unwrap_or_default();
        let replaced = target(part.folder(), &name, overwrite);
        let finished = replaced.and_then(|replaced| part.finish(&name, replaced, overwrite));
        finished.map_err(|e| located(e, &self.job.settings.endpoint))?;
        self.tally.finish();
        Ok(sha256)
    }

    /// Is it as long as the caller expects? An answer may have come without a length.
    fn check_size(&self) -> Result<()> {
        let (Some(length), Some(expected)) = (self.part.lock().state.length, self.job.settings.expected_size)
        else {
            return Ok(());
        };
        if length == expected {
            return Ok(());
        }
        self.spoiled.store(true, Relaxed);
        let what = format!("it has {length} bytes, and {expected} are expected (expected_size)");
        Err(located(Error::new(Kind::Checksum, what), &self.job.settings.endpoint))
    }

    /// Checks the whole, once it is there. Gives its SHA-256 where anything was to be checked.
    fn verify(&self) -> Result<Option<String>> {
        let locate = |error| located(error, &self.job.settings.endpoint);
        let wanted: Vec<Digest> = {
            let part = self.part.lock();
            self.job.settings.digest.iter().chain(&part.state.digests).cloned().collect()
        };
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut pass = Pass::new(&wanted);
        let mut block = vec![0; BLOCK];
        let mut at = 0;
        loop {
            if self.halt.is_cancelled() {
                return Err(locate(Error::new(Kind::Cancelled, "cancelled while the file was verified")));
            }
            match folder::read_at(&self.file, &mut block, at) {
                Ok(0) => break,
                Ok(got) => {
                    pass.update(&block[..got]);
                    at += got as u64;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(locate(failed("read", &self.part.lock().path(), &e))),
            }
        }
        pass.finish().map(Some).map_err(|what| {
            self.spoiled.store(true, Relaxed);
            let mut error =
                Error::new(Kind::Checksum, format!("the file is not the one it should be: {what}"));
            error.sent = Sent::Yes;
            locate(error)
        })
    }

    /// Whatever ended it: what is there is kept for the next call, and the caller hears of it.
    fn close(&self, outcome: Result<Option<String>>, pulse: &mut Pulse<'_>) -> Result<Downloaded> {
        let (sha256, error) = match outcome {
            Ok(sha256) => (sha256, None),
            Err(error) => {
                let mut part = self.part.lock();
                if self.spoiled.load(Relaxed) {
                    part.discard()
                } else {
                    part.keep()
                }
                self.tally.correct(part.there().total());
                (None, Some(error))
            }
        };
        // Of what has failed by itself, the last word is not the callback's.
        let was_stopped = pulse.is_stopped();
        let response = self.summary(pulse.tell(&self.tally), error.is_none(), sha256);
        match error {
            Some(mut error) if !was_stopped => {
                error.attempts = self.numbered();
                error.partial = Some(Arc::new(response));
                Err(error)
            }
            _ => Ok(Downloaded { response, stopped: pulse.is_stopped() }),
        }
    }

    fn summary(&self, progress: &Progress, success: bool, sha256: Option<String>) -> Response {
        let part = self.part.lock();
        let path = match (self.name, &part.state.name) {
            (None, Some(name)) => part.folder().path(name),
            _ => self.job.destination.to_owned(),
        };
        let from = self.tally.resumed_from();
        let json = serde_json::json!({
            "success": success,
            "path": path,
            "bytes_written": progress.streamed,
            "total_bytes": part.state.length.or(progress.total),
            "resumed": from > 0,
            "resume_from": from,
            "chunks_written": progress.chunks,
            "sha256": sha256,
            "verified": sha256.is_some(),
        });
        let (head, mut meta) = self.last.lock().clone().unwrap_or_default();
        meta.attempts = self.numbered();
        Response::new(head, meta, json.to_string().into_bytes())
    }

    /// The history of the whole call.
    fn numbered(&self) -> Vec<Attempt> {
        let attempts = self.history.lock();
        attempts.iter().cloned().zip(1..).map(|(attempt, n)| Attempt { n, ..attempt }).collect()
    }
}
