//! A body's bytes from a socket into a file without a detour through this process: splice(2), by a pipe.

use std::fs::File;
use std::io;

use super::fail::Fail;
use super::socket::Socket;
use super::terms::{Patience, Terms};

pub use form::Splice;

/// What became of an attempt to move bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// There may be more.
    Some,
    /// The body is complete.
    End,
    /// Some bytes came already, and have to be read.
    NotNow,
    /// These have to be read, all of them.
    Never,
}

/// Why bytes were not moved.
#[derive(Debug)]
pub enum Unmoved {
    /// The body fails.
    Body(Fail),
    /// The file fails.
    File(io::Error),
}

#[cfg(target_os = "linux")]
mod form {
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::FileExt;

    use rustix::io::Errno;
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

    use super::*;

    /// What a pipe is to hold. Where a user has too many of them, the kernel leaves it smaller.
    const SIZE: usize = 1 << 20;

    /// The pipe. It is empty between two calls.
    #[derive(Debug)]
    pub struct Splice {
        read: OwnedFd,
        write: OwnedFd,
    }

    impl Splice {
        /// None where it is not to be had.
        pub fn new() -> Option<Splice> {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC).ok()?;
            let _ = fcntl_setpipe_size(&write, SIZE);
            Some(Splice { read, write })
        }

        /// Waits for bytes and takes up to `most`. `None`: not from this socket.
        pub(in crate::transport) fn fill(
            &mut self,
            socket: &mut Socket,
            terms: &Terms,
            patience: Patience,
            most: u64,
        ) -> Result<Option<usize>, Fail> {
            let most = most.min(SIZE as u64) as usize;
            let flags = SpliceFlags::MOVE | SpliceFlags::MORE;
            let outcome =
                socket.wait_for(terms, patience, |fd| splice(fd, None, &self.write, None, most, flags));
            match outcome {
                Ok(got) => Ok(Some(got)),
                Err(Fail::Socket(Errno::INVAL)) => Ok(None),
                Err(fail) => Err(fail),
            }
        }

        /// Writes what it holds at that place of a file. `false`: the file takes nothing in this way.
        pub(in crate::transport) fn drain(
            &mut self,
            file: &File,
            at: u64,
            amount: usize,
        ) -> io::Result<bool> {
            let mut written = 0;
            while written < amount {
                let mut offset = at + written as u64;
                let flags = SpliceFlags::MOVE;
                match splice(&self.read, None, file.as_fd(), Some(&mut offset), amount - written, flags) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => written += n,
                    Err(Errno::INTR) => {}
                    Err(Errno::INVAL) => {
                        let mut rest = vec![0; amount - written];
                        io::Read::read_exact(&mut &File::from(self.read.try_clone()?), &mut rest)?;
                        file.write_all_at(&rest, at + written as u64)?;
                        return Ok(false);
                    }
                    Err(e) => return Err(e.into()),
                }
            }
            Ok(true)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod form {
    use super::*;

    /// Nothing: only Linux has it.
    #[derive(Debug)]
    pub struct Splice;

    impl Splice {
        /// It is not to be had.
        pub fn new() -> Option<Splice> {
            None
        }

        pub(in crate::transport) fn fill(
            &mut self,
            _: &mut Socket,
            _: &Terms,
            _: Patience,
            _: u64,
        ) -> Result<Option<usize>, Fail> {
            Ok(None)
        }

        pub(in crate::transport) fn drain(&mut self, _: &File, _: u64, _: usize) -> io::Result<bool> {
            Ok(false)
        }
    }
}
