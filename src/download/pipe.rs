//! From an answer's body into a file: by the kernel alone where it can, else in large blocks.

use std::fs::File;
use std::time::{Duration, Instant};

use super::folder;
use crate::exchange::{Opened, Read, Unspliced as Fault};
use crate::transport::{Moved, Splice};

/// What is written at once. Blocks end at multiples of it: pages that are written whole cost half.
const BLOCK: u64 = 256 * 1024;
const PAGE: usize = 4096;
/// What is asked of the kernel at once.
const SPLICED: u64 = 1 << 20;
/// What comes slowly is written nevertheless: a killed process loses no more.
const SLOW: Duration = Duration::from_secs(1);

/// What a body goes through on its way into a file.
pub struct Pipe {
    splice: Option<Splice>,
    /// Made when it is needed.
    block: Vec<u8>,
}

impl Pipe {
    /// An empty one.
    pub fn new() -> Pipe {
        Pipe { splice: Splice::new(), block: Vec::new() }
    }

    /// How much is taken at once for this place.
    pub fn appetite(&self, at: u64) -> u64 {
        if self.splice.is_some() { SPLICED } else { BLOCK - at % BLOCK }
    }

    /// Moves up to `most` bytes of a body into the file, and tells of each piece. Gives how many are in the file, and
    /// whether the body is at its end.
    pub fn carry(
        &mut self,
        opened: &mut Opened,
        file: &File,
        at: u64,
        most: u64,
        mut came: impl FnMut(u64),
    ) -> (u64, Result<bool, Fault>) {
        let begun = Instant::now();
        let mut written = 0;
        // Near the limit of a file, only what has been read tells whether it fits.
        let fits = folder::fits(at + most).is_ok();
        while written < most {
            let Some(splice) = self.splice.as_mut().filter(|_| fits) else { break };
            let (moved, outcome) = opened.splice(splice, file, at + written, most - written);
            written += moved;
            came(moved);
            match outcome {
                Ok(Moved::Some) if begun.elapsed() < SLOW => {}
                Ok(Moved::Some) => return (written, Ok(false)),
                Ok(Moved::End) => return (written, Ok(true)),
                // Bytes that have to be looked at, or a file that takes them from nowhere but memory.
                Ok(Moved::Never) => self.splice = None,
                Ok(Moved::NotNow) => break,
                Err(fault) => return (written, Err(fault)),
            }
        }
        if written == most {
            return (written, Ok(false));
        }
        let (more, outcome) = self.copy(opened, file, at + written, most - written, begun, came);
        (written + more, outcome)
    }

    fn copy(
        &mut self,
        opened: &mut Opened,
        file: &File,
        at: u64,
        most: u64,
        begun: Instant,
        mut came: impl FnMut(u64),
    ) -> (u64, Result<bool, Fault>) {
        let room = most.min(BLOCK - at % BLOCK) as usize;
        if self.block.is_empty() {
            self.block = vec![0; BLOCK as usize + PAGE];
        }
        // Where in the buffer the block begins: at a page.
        let start = self.block.as_ptr().align_offset(PAGE).min(PAGE);
        let block = &mut self.block[start..start + room];
        let mut filled = 0;
        let outcome = loop {
            match opened.read(&mut block[filled..], None) {
                Ok(Read::Bytes(n)) => {
                    filled += n;
                    came(n as u64);
                    if filled == room || begun.elapsed() >= SLOW {
                        break Ok(false);
                    }
                }
                Ok(Read::End) => break Ok(true),
                Ok(Read::Nothing) => {}
                Err(error) => break Err(Fault::Body(error)),
            }
        };
        // Whatever came is worth being kept.
        match folder::write_at(file, &block[..filled], at) {
            Ok(()) => (filled as u64, outcome),
            Err(e) => (0, Err(Fault::File(e))),
        }
    }
}
