//! The body on its way out: bytes, or pieces that are streamed from memory and files.
//!
//! A body's length is known before a byte of it is sent, and exactly that many bytes leave, or the connection
//! ends: a short body would be read on into the next request.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::call::Call;
use super::fail::Fail;
use super::file::{self, read_at};

/// What a request carries.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Nothing.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// What is read from here.
    Stream(&'a Source<'a>),
}

impl Payload<'_> {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Payload::None => 0,
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Stream(source) => source.length(),
        }
    }
}

/// A piece of a source.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// A whole file.
    File(&'a Path),
}

/// An opened source. It can be read any number of times: a request that met a dead connection goes out again.
#[derive(Debug)]
pub struct Source<'a> {
    parts: Vec<Opened<'a>>,
    length: u64,
}

#[derive(Debug)]
enum Opened<'a> {
    Bytes(&'a [u8]),
    File { file: File, length: u64, path: &'a Path },
}

impl Opened<'_> {
    fn length(&self) -> u64 {
        match self {
            Opened::Bytes(bytes) => bytes.len() as u64,
            Opened::File { length, .. } => *length,
        }
    }
}

impl<'a> Source<'a> {
    /// Opens every file; their lengths are what they are now.
    pub fn open(parts: impl IntoIterator<Item = Part<'a>>) -> Result<Source<'a>, Fail> {
        let open = |part| match part {
            Part::Bytes(bytes) => Ok(Opened::Bytes(bytes)),
            Part::File(path) => {
                let (file, length) = open(path).map_err(|e| unreadable(path, &e))?;
                Ok(Opened::File { file, length, path })
            }
        };
        let parts = parts.into_iter().map(open).collect::<Result<Vec<_>, Fail>>()?;
        let length = parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.length()));
        let too_long = || Fail::Source("it is longer than any number can say".into(), None);
        Ok(Source { length: length.ok_or_else(too_long)?, parts })
    }

    /// The length of the whole in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let (file, about) = file::open(path)?;
    if !about.is_file() {
        // A pipe or a device has no length that could be announced.
        return Err(Errno::INVAL.into());
    }
    Ok((file, about.len()))
}

fn unreadable(path: &Path, error: &io::Error) -> Fail {
    let why = match error.raw_os_error() {
        Some(n) if n == Errno::INVAL.raw_os_error() => "not a regular file".to_owned(),
        _ => error.to_string(),
    };
    Fail::Source(format!("cannot read {path:?}: {why}"), Errno::from_io_error(error))
}

/// One pass over a source, as ureq reads it.
pub(super) struct Upload<'a> {
    source: &'a Source<'a>,
    call: Arc<Call>,
    /// The part that is read, and how far.
    part: usize,
    offset: u64,
    /// What is still to be read of everything.
    left: u64,
}

impl<'a> Upload<'a> {
    pub fn new(source: &'a Source<'a>, call: Arc<Call>) -> Upload<'a> {
        Upload { source, call, part: 0, offset: 0, left: source.length }
    }

    /// Fills as much of the buffer as the source has: small parts leave together.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, Fail> {
        // A socket that always has room never waits, and never looks at the clock.
        self.call.terms.left(self.call.terms.idling())?;
        let mut filled = 0;
        while filled < buf.len()
            && let Some(part) = self.source.parts.get(self.part)
        {
            let left = part.length() - self.offset;
            if left == 0 {
                (self.part, self.offset) = (self.part + 1, 0);
                continue;
            }
            let room = &mut buf[filled..];
            // A file that grew is cut at the length that was announced.
            let room_for = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let room = &mut room[..room_for];
            let got = match part {
                Opened::Bytes(bytes) => {
                    let from = self.offset as usize;
                    room.copy_from_slice(&bytes[from..from + room.len()]);
                    room.len()
                }
                Opened::File { file, path, length } => match read_at(file, room, self.offset) {
                    Ok(0) => {
                        let at = self.offset;
                        let what = format!(
                            "{path:?} became shorter while it was sent: it ended after {at} of {length} bytes"
                        );
                        return Err(Fail::Source(what, None));
                    }
                    Ok(n) => n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    Err(e) => return Err(unreadable(path, &e)),
                },
            };
            filled += got;
            self.offset += got as u64;
        }
        Ok(filled)
    }
}

impl Read for Upload<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = if self.call.write_failed() {
            // Nobody reads the rest. ureq still asks for it before it looks at the answer: it gets lengths only.
            most
        } else {
            // ureq forgets what a reader says; the call keeps it.
            self.fill(&mut buf[..most]).map_err(|fail| io::Error::other(self.call.fail(fail)))?
        };
        self.left -= got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, Instant};

    use super::super::fail::Limit;
    use super::super::target::Target;
    use super::super::terms::{Limits, Terms};
    use super::super::token::Token;
    use super::*;
    use crate::config::Origin;

    /// A source of bytes; a socket that always has room would never look at its limits.
    fn read(
        limits: Limits,
        token: Option<Arc<Token>>,
        parts: &[Part<'_>],
    ) -> (io::Result<Vec<u8>>, Option<Fail>) {
        let source = Source::open(parts.iter().copied()).unwrap();
        let origin = Origin::of(&"http://nowhere.example".parse().unwrap()).unwrap();
        let target = Arc::new(Target::of(&origin).unwrap());
        let call = Arc::new(Call::new(target, Terms::new(limits, token), false, false, 0));
        let mut all = Vec::new();
        let outcome = Upload::new(&source, call.clone()).read_to_end(&mut all);
        (outcome.map(|_| all), call.take().fail)
    }

    #[test]
    fn parts_are_read_one_after_the_other() {
        let parts =
            [Part::Bytes(b"ab"), Part::Bytes(b""), Part::Bytes(b"c"), Part::File(Path::new("Cargo.toml"))];
        let (all, fail) = read(Limits::default(), None, &parts);
        let manifest = std::fs::read("Cargo.toml").unwrap();
        assert!(all.unwrap() == [b"abc", &manifest[..]].concat() && fail.is_none());
        assert_eq!(read(Limits::default(), None, &[]).0.unwrap(), b"");
    }

    #[test]
    fn a_source_is_not_read_on_after_a_deadline_or_a_cancel() {
        let over = Limits { deadline: Some(Instant::now() - Duration::from_secs(1)), ..Limits::default() };
        let (all, fail) = read(over, None, &[Part::Bytes(b"ab")]);
        assert_eq!((all.is_err(), fail), (true, Some(Fail::Timeout(Limit::Deadline))));
        let token = Arc::new(Token::new());
        token.cancel();
        let (all, fail) = read(Limits::default(), Some(token), &[Part::Bytes(b"ab")]);
        assert_eq!((all.is_err(), fail), (true, Some(Fail::Cancelled)));
    }
}
