//! Files that are read while a request is under way: Unix here, Windows in `windows/file.rs`.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// The system has no descriptor or no memory to spare just now.
pub(super) const LACKS: [Errno; 3] = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];

/// Opens what is no directory.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Without NONBLOCK, a pipe would hold the call until somebody writes to it, whatever its deadline.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if about.is_dir() { Err(Errno::ISDIR.into()) } else { Ok((file, about)) }
}

/// Reads at a position: whatever was read before, by this call or another, plays no part.
pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buf, offset)
}
