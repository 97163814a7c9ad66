//! From an answer's body into a file, in large blocks.

use std::fs::File;
use std::io;
use std::time::Instant;

use super::folder;
use crate::error::Result;
use crate::exchange::{Opened, Read};

/// What is written at once. Blocks end at multiples of it: pages that are written whole cost half.
const BLOCK: usize = 256 * 1024;
const PAGE: usize = 4096;

/// A body on its way into a file.
pub struct Pipe {
    buf: Vec<u8>,
    /// Where in `buf` the block begins: at a page.
    start: usize,
    filled: usize,
    /// Where in the file it begins.
    at: u64,
}

/// Why it does not go on.
pub enum Fault {
    /// The body fails.
    Body(crate::error::Error),
    /// The file fails.
    File(io::Error),
}

impl Pipe {
    /// An empty one.
    pub fn new() -> Pipe {
        let buf = vec![0; BLOCK + PAGE];
        let start = buf.as_ptr().align_offset(PAGE).min(PAGE);
        Pipe { buf, start, filled: 0, at: 0 }
    }

    /// What comes next goes there.
    pub fn seek(&mut self, at: u64) {
        (self.at, self.filled) = (at, 0);
    }

    /// How far the file is written.
    pub fn written(&self) -> u64 {
        self.at
    }

    /// Where the next byte goes.
    pub fn position(&self) -> u64 {
        self.at + self.filled as u64
    }

    /// Takes what there is of a body, but not beyond `until`.
    pub fn step(&mut self, opened: &mut Opened, file: &File, until: Option<Instant>) -> Result<Read, Fault> {
        let room = BLOCK - (self.at % BLOCK as u64) as usize;
        let block = &mut self.buf[self.start..self.start + room];
        let read = opened.read(&mut block[self.filled..], until).map_err(Fault::Body)?;
        if let Read::Bytes(n) = read {
            self.filled += n;
            if self.filled == room {
                self.flush(file).map_err(Fault::File)?;
            }
        }
        Ok(read)
    }

    /// Writes what is still here.
    pub fn flush(&mut self, file: &File) -> io::Result<()> {
        if self.filled > 0 {
            let filled = std::mem::take(&mut self.filled);
            folder::write_at(file, &self.buf[self.start..self.start + filled], self.at)?;
            self.at += filled as u64;
        }
        Ok(())
    }
}
