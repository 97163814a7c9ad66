//! The part: the file that grows beside the target, and what is known of it.
//!
//! What the state says is on the disk before the state is: a part is gone on with from there, whatever ended the
//! process, or the machine.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::folder::{self, Existing, Folder};
use super::ranges::Ranges;
use super::state::{self, State};
use crate::error::{Error, Kind, Result};
use crate::log;

/// So much of the work a killed process may lose, where the disk keeps up.
const CHECKPOINT: Duration = Duration::from_secs(1);
/// So many times longer than a wait for the disk is the time until the next one.
const PATIENCE: u32 = 10;
/// What a full disk gets back, so that what is there can be put down.
const SPARE: u64 = 64 * 1024;

/// A file that grows.
#[derive(Debug)]
pub struct Part {
    folder: Folder,
    name: String,
    file: Arc<File>,
    /// What the state file says, or will.
    pub state: State,
    /// What was written; it may not be on the disk yet.
    there: Ranges,
    /// Is there a state file?
    recorded: bool,
    /// When what was done is put down next.
    due: Instant,
    /// Did the disk lose what was written? It says so once (fsync(2)), and what came since the last success may be
    /// anything.
    lost: bool,
    /// Has it taken the target's place?
    placed: bool,
}

/// A failure of a file, with the system's number.
pub fn failed(what: &str, path: &str, error: &io::Error) -> Error {
    let mut failure = Error::new(Kind::File, format!("cannot {what} {path}: {error}"));
    failure.errno = error.raw_os_error();
    failure
}

fn state_name(part: &str) -> String {
    format!("{part}.state")
}

impl Drop for Part {
    fn drop(&mut self) {
        folder::release(&self.file);
    }
}

impl Part {
    /// Opens it for this call alone. `source`: what is asked for; `resume`: may what is there be gone on with?
    pub fn open(folder: Folder, name: String, source: String, resume: bool) -> Result<Part> {
        let path = folder.path(&name);
        let file = folder.own(&name).map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => {
                Error::new(Kind::Busy, format!("another download writes {path}; wait for its end"))
            }
            _ => failed("open", &path, &e),
        })?;
        let mut part = Part {
            name,
            file: Arc::new(file),
            state: State { source, ..State::default() },
            there: Ranges::default(),
            recorded: true,
            due: Instant::now() + CHECKPOINT,
            lost: false,
            placed: false,
            folder,
        };
        let text = part.io("read", |p| p.folder.read(&state_name(&p.name), state::LONGEST))?;
        let length = part.io("look at", |p| Ok(p.file.metadata()?.len()))?;
        part.recorded = text.is_some();
        let known = text.and_then(|text| State::read(&text, &part.state.source));
        match known.filter(|known| resume && known.there.end() <= length) {
            Some(known) => {
                part.there = known.there.clone();
                part.state = known;
                // What was written behind it may not be on the disk.
                part.io("cut", |p| p.file.set_len(p.there.end()))?;
            }
            None => log::debug(format_args!("{path}: begun from the first byte")),
        }
        Ok(part)
    }

    fn io<T>(&self, what: &str, f: impl FnOnce(&Part) -> io::Result<T>) -> Result<T> {
        f(self).map_err(|e| failed(what, &self.path(), &e))
    }

    /// For messages.
    pub fn path(&self) -> String {
        self.folder.path(&self.name)
    }

    /// The file itself.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Its folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What was written of it.
    pub fn there(&self) -> &Ranges {
        &self.there
    }

    /// Is all of it there?
    pub fn is_complete(&self) -> bool {
        self.state.length.is_some() && self.there.gaps(self.state.length).is_empty()
    }

    /// Begins it from the first byte, as this says: nothing is there.
    pub fn restart(&mut self, state: State) -> Result<()> {
        if self.recorded {
            // Before the bytes that it speaks of: else it would speak of others after a loss of power.
            self.io("remove the state of", |p| {
                p.folder.remove(&state_name(&p.name))?;
                p.folder.sync()
            })?;
            self.recorded = false;
        }
        self.there = Ranges::default();
        self.state = State { source: std::mem::take(&mut self.state.source), ..state };
        self.io("cut", |p| p.file.set_len(0))
    }

    /// These bytes were written.
    pub fn wrote(&mut self, from: u64, to: u64) {
        self.there.insert(from, to);
    }

    /// All of it was written: so long it is.
    pub fn ends(&mut self) {
        self.state.length = Some(self.there.end());
    }

    /// Is it time to put down what was done? Then it is this caller who does it: what [`Part::put_down`] says.
    pub fn is_due(&mut self) -> Option<Ranges> {
        let now = Instant::now();
        if self.state.validator.is_none() || now < self.due {
            return None;
        }
        // For nobody else meanwhile.
        self.due = now + CHECKPOINT * 60;
        Some(self.there.clone())
    }

    /// These are on the disk, since a wait of so long for it.
    pub fn put_down(&mut self, there: Ranges, waited: Duration) -> Result<()> {
        self.state.there = there;
        self.record()?;
        self.due = Instant::now() + CHECKPOINT.max(waited * PATIENCE);
        Ok(())
    }

    /// The disk could not keep what was written.
    pub fn lose(&mut self) {
        self.lost = true;
    }

    /// Puts down what was done, once it is on the disk.
    fn checkpoint(&mut self) -> Result<()> {
        if let Err(error) = self.io("write", |p| p.file.sync_data()) {
            self.lose();
            return Err(error);
        }
        self.put_down(self.there.clone(), Duration::ZERO)
    }

    /// Writes the state file, and gives the permissions of a new file here.
    fn record(&mut self) -> Result<u32> {
        let mode = self.io("write the state of", |p| {
            // Of another's part it would say what is not so.
            if !p.folder.has(&p.name, &p.file)? {
                return Err(folder::gone());
            }
            p.folder.write(&state_name(&p.name), p.state.write().as_bytes())
        })?;
        self.recorded = true;
        Ok(mode)
    }

    /// The call ends without the whole: what there is stays for the next one, where there is something.
    pub fn keep(&mut self) {
        if self.there.is_empty() && self.state.there.is_empty() {
            // What was left for something else stays until there is an answer that takes its place.
            if !self.recorded {
                self.discard();
            }
            return;
        }
        match self.folder.has(&self.name, &self.file) {
            Ok(true) if !self.placed => {}
            // The file has its place, or was removed: what is done to it now would be done to the target.
            Ok(_) => return drop(self.folder.remove(&state_name(&self.name))),
            Err(_) => return,
        }
        let kept = if self.state.validator.is_none() {
            Ok(())
        } else if self.lost {
            self.fall_back()
        } else {
            self.checkpoint().or_else(|first| match self.lost {
                true => self.fall_back(),
                // The disk may be full: some room, for the state.
                false => {
                    self.there.cut(self.there.end().saturating_sub(SPARE));
                    let cut = self.io("cut", |p| p.file.set_len(p.there.end()));
                    cut.and_then(|()| self.checkpoint()).map_err(|_| first)
                }
            })
        };
        if let Err(error) = kept {
            let path = self.path();
            log::warn(format_args!("{path}: a part stays without what was done last: {}", error.message));
        }
    }

    /// Only what was on the disk before stays.
    fn fall_back(&mut self) -> Result<()> {
        self.there = self.state.there.clone();
        if self.there.is_empty() {
            self.discard();
            return Ok(());
        }
        self.io("cut", |p| p.file.set_len(p.there.end()))
    }

    /// Nothing of it is to stay.
    pub fn discard(&mut self) {
        let mine = self.folder.has(&self.name, &self.file).unwrap_or(false);
        let part = if mine { self.folder.remove(&self.name) } else { Ok(()) };
        let state = self.folder.remove(&state_name(&self.name));
        if let Err(e) = part.and(state) {
            log::warn(format_args!("{}: a part cannot be removed: {e}", self.path()));
        }
    }

    /// The whole takes the target's place: on the disk first, then under its name.
    pub fn finish(&mut self, target: &str, replaced: Option<Existing>, replace: bool) -> Result<()> {
        let new = self.record()?;
        self.io("set the permissions of", |p| p.folder.permit(&p.file, replaced, new))?;
        if let Err(error) = self.io("write", |p| p.file.sync_all()) {
            self.lose();
            return Err(error);
        }
        self.state.there = self.there.clone();
        self.record()?;
        let path = self.folder.path(target);
        let renamed = match self.folder.has(&self.name, &self.file) {
            Ok(true) => self.folder.rename(&self.name, target, replace),
            Ok(false) => Err(folder::gone()),
            Err(e) => Err(e),
        };
        renamed.map_err(|e| failed(&format!("rename {} to", self.path()), &path, &e))?;
        self.placed = true;
        self.folder.sync().map_err(|e| failed("make sure of", &path, &e))?;
        if let Err(e) = self.folder.remove(&state_name(&self.name)) {
            log::warn(format_args!("{path}: the state of its part cannot be removed: {e}"));
        }
        Ok(())
    }
}
