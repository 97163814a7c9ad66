//! Files that are read while a request is under way, as Windows opens and reads them.

use std::fs::{File, Metadata};
use std::io;
use std::os::windows::fs::FileExt;
use std::path::Path;

use rustix::io::Errno;
use windows_sys::Win32::Foundation::{
    ERROR_DIRECTORY_NOT_SUPPORTED, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY,
    ERROR_TOO_MANY_OPEN_FILES,
};

/// The system has no handle or no memory to spare just now.
pub(super) const LACKS: [Errno; 4] = [
    Errno::from_raw_os_error(ERROR_TOO_MANY_OPEN_FILES as i32),
    Errno::from_raw_os_error(ERROR_NOT_ENOUGH_MEMORY as i32),
    Errno::from_raw_os_error(ERROR_OUTOFMEMORY as i32),
    Errno::from_raw_os_error(ERROR_NO_SYSTEM_RESOURCES as i32),
];

/// Opens what is no directory.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|about| (file, about)));
    // Windows only says that access is denied.
    let directory = || io::Error::from_raw_os_error(ERROR_DIRECTORY_NOT_SUPPORTED as i32);
    opened.map_err(|e| if path.is_dir() { directory() } else { e })
}

/// Reads at a position: whatever was read before, by this call or another, plays no part.
pub(super) fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    file.seek_read(buf, offset)
}
