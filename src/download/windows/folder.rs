//! A folder in which a download happens, as Windows has it. While it is open, neither it nor a folder above it can be
//! renamed or removed, so that its path leads nowhere else; and no link is followed.
#![allow(unsafe_code)]
// Why: std renames over a file or not at all, does not wait for the disk, and does not say which file a name stands for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_CANT_ACCESS_FILE, ERROR_DIRECTORY_NOT_SUPPORTED, ERROR_FILE_EXISTS,
    ERROR_FILE_NOT_FOUND, ERROR_FILE_TOO_LARGE, ERROR_INVALID_NAME, ERROR_LOCK_VIOLATION,
    ERROR_SHARING_VIOLATION, WIN32_ERROR,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
    FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, GetFileInformationByHandle,
    MOVEFILE_REPLACE_EXISTING, MOVEFILE_WRITE_THROUGH, MoveFileExW,
};

use super::name;

/// Names of files are tried again so often while others make and remove them.
const TRIES: usize = 100;
/// A virus scanner or an indexer has a new file for a moment: a rename waits for it so often.
const RENAMES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// A folder.
#[derive(Debug)]
pub struct Folder {
    folder: File,
    /// As it was named.
    path: PathBuf,
    /// Without links, and without what Windows makes of special names.
    real: PathBuf,
}

/// A file that is there.
#[derive(Clone, Copy, Debug)]
pub struct Existing {
    folder: bool,
}

impl Existing {
    /// Is it a folder?
    pub fn is_folder(&self) -> bool {
        self.folder
    }

    /// May another file take its place? Devices have no place in a folder here.
    pub fn is_replaceable(&self) -> bool {
        true
    }
}

fn failure(number: WIN32_ERROR) -> io::Error {
    io::Error::from_raw_os_error(number as i32)
}

fn is(error: &io::Error, numbers: &[WIN32_ERROR]) -> bool {
    error.raw_os_error().is_some_and(|e| numbers.contains(&(e as WIN32_ERROR)))
}

fn unless_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Opens a folder, so that nobody renames it or removes it.
fn pin(path: &Path) -> io::Result<File> {
    let open = |write: bool| {
        OpenOptions::new()
            .read(true)
            .write(write)
            .share_mode(FILE_SHARE_READ | FILE_SHARE_WRITE)
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)
    };
    // It takes the right to write to wait until its names are on the disk.
    open(true).or_else(|_| open(false))
}

impl Folder {
    /// Opens it; one that is not there is made.
    pub fn open(path: &Path) -> io::Result<Folder> {
        fs::create_dir_all(path)?;
        // Some file systems cannot say it.
        let resolve = || fs::canonicalize(path).or_else(|_| std::path::absolute(path));
        for _ in 0..TRIES {
            let real = resolve()?;
            let folder = pin(&real)?;
            if !folder.metadata()?.is_dir() {
                return Err(is_folder());
            }
            // Nothing was put in its place, or in that of a folder above it, until it was open.
            if resolve()? == real {
                return Ok(Folder { folder, path: path.to_owned(), real });
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The path of a file in it, for messages.
    pub fn path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// Where a file in it is. What is no name of a file (a device, a stream of a file, one that Windows would change)
    /// is refused.
    fn full(&self, name: &str) -> io::Result<PathBuf> {
        let wrong = |c: char| c.is_ascii_control() || r#"<>:"/\|?*"#.contains(c);
        if name.is_empty() || name.contains(wrong) || name.ends_with(['.', ' ']) || name::is_device(name) {
            return Err(failure(ERROR_INVALID_NAME));
        }
        Ok(self.real.join(name))
    }

    /// What there is under a name.
    pub fn look(&self, name: &str) -> io::Result<Option<Existing>> {
        let there = unless_gone(fs::symlink_metadata(self.full(name)?))?;
        Ok(there.map(|about| Existing { folder: about.is_dir() }))
    }

    /// Is the file still the one of this name?
    pub fn has(&self, name: &str, file: &File) -> io::Result<bool> {
        // To look at it is not to open it: whoever has it, this is granted.
        let there = OpenOptions::new()
            .access_mode(FILE_READ_ATTRIBUTES)
            .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS)
            .open(self.full(name)?);
        let Some(there) = unless_gone(there)? else { return Ok(false) };
        Ok(Identity::of(&there)? == Identity::of(file)?)
    }

    /// Opens a file to write and read, for this process alone: [`io::ErrorKind::WouldBlock`] where another one has
    /// it. Nobody else may look into it meanwhile; afterwards it is for those for whom the folder's files are.
    pub fn own(&self, name: &str) -> io::Result<File> {
        let path = self.full(name)?;
        for _ in 0..TRIES {
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                // It is renamed while it is open; [`Folder::has`] tells whether by somebody else.
                .share_mode(FILE_SHARE_DELETE)
                .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
                .open(&path);
            let file = match opened {
                Ok(file) => file,
                Err(e) if is(&e, &[ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION]) => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(e) if is(&e, &[ERROR_ACCESS_DENIED]) && path.is_dir() => return Err(is_folder()),
                Err(e) => return Err(e),
            };
            if !file.metadata()?.is_file() {
                return Err(failure(ERROR_CANT_ACCESS_FILE));
            }
            let own = Identity::of(&file)?;
            if own.names != 1 {
                // Somebody has put it here: what is written into it would be written elsewhere too.
                fs::remove_file(&path)?;
            } else if self.has(name, &file)? {
                return Ok(file);
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// What a file holds, where it is one and not longer than that.
    pub fn read(&self, name: &str, longest: u64) -> io::Result<Option<Vec<u8>>> {
        let opened =
            OpenOptions::new().read(true).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(self.full(name)?);
        let Some(file) = unless_gone(opened)? else { return Ok(None) };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut content = Vec::new();
        let length = file.take(longest + 1).read_to_end(&mut content)?;
        Ok((length as u64 <= longest).then_some(content))
    }

    /// Writes a file, all of it or nothing. A new file has the permissions that its folder gives it: no number says
    /// them.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<u32> {
        let fresh = format!("{name}~");
        let path = self.full(&fresh)?;
        let make = || {
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .share_mode(0)
                .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
                .open(&path)
        };
        let file = match make() {
            // Of a process that was killed.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(&fresh)?;
                make()
            }
            file => file,
        };
        let mut file = file?;
        let written = file.write_all(content);
        // A file that nobody shares is not renamed either.
        drop(file);
        let written = written.and_then(|()| self.rename(&fresh, name, true));
        if written.is_err() {
            let _ = self.remove(&fresh);
        }
        written.map(|()| 0)
    }

    /// Removes a file; one that is not there is no failure.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        unless_gone(fs::remove_file(self.full(name)?)).map(drop)
    }

    /// The folder has given it its permissions, as it gives them to every new file in it.
    pub fn permit(&self, _: &File, _: Option<Existing>, _: u32) -> io::Result<()> {
        Ok(())
    }

    /// Renames a file, and waits until its new name is on the disk. Without `replace`, a file that is there stays, and
    /// is a failure.
    pub fn rename(&self, from: &str, to: &str, replace: bool) -> io::Result<()> {
        let (from, to) = (wide(&self.full(from)?), wide(&self.full(to)?));
        let how = MOVEFILE_WRITE_THROUGH | if replace { MOVEFILE_REPLACE_EXISTING } else { 0 };
        let mut tries = 1..=RENAMES;
        loop {
            // SAFETY: both end with a NUL, and live until it returns.
            if unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), how) } != 0 {
                return Ok(());
            }
            let e = io::Error::last_os_error();
            if !is(&e, &[ERROR_SHARING_VIOLATION, ERROR_ACCESS_DENIED]) || tries.next().is_none() {
                return Err(e);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits until the names of its files are on the disk, where the file system lets us. A rename has waited already.
    pub fn sync(&self) -> io::Result<()> {
        let _ = self.folder.sync_all();
        Ok(())
    }
}

/// A path for Windows.
fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// Which file it is, by whatever name.
#[derive(PartialEq, Eq)]
struct Identity {
    volume: u32,
    index: (u32, u32),
    /// How many names it has.
    names: u32,
}

impl Identity {
    fn of(file: &File) -> io::Result<Identity> {
        let mut about = MaybeUninit::<BY_HANDLE_FILE_INFORMATION>::uninit();
        // SAFETY: the handle is open as long as `file` is, and there is room for what is written.
        if unsafe { GetFileInformationByHandle(file.as_raw_handle(), about.as_mut_ptr()) } == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has written all of it.
        let about = unsafe { about.assume_init() };
        Ok(Identity {
            volume: about.dwVolumeSerialNumber,
            index: (about.nFileIndexHigh, about.nFileIndexLow),
            names: about.nNumberOfLinks,
        })
    }
}

/// Lets others have it: closing does that here.
pub fn release(_: &File) {}

/// What the system says of something that is no file.
pub fn is_no_file() -> io::Error {
    failure(ERROR_CANT_ACCESS_FILE)
}

/// What the system says of a folder that is to be a file.
pub fn is_folder() -> io::Error {
    failure(ERROR_DIRECTORY_NOT_SUPPORTED)
}

/// What the system says of a name that is taken.
pub fn exists() -> io::Error {
    failure(ERROR_FILE_EXISTS)
}

/// What the system says of a file that is not there.
pub fn gone() -> io::Error {
    failure(ERROR_FILE_NOT_FOUND)
}

/// May a file be so long?
pub fn fits(length: u64) -> io::Result<()> {
    if length > i64::MAX as u64 { Err(failure(ERROR_FILE_TOO_LARGE)) } else { Ok(()) }
}

/// Writes all of it at that place.
pub fn write_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    fits(at.saturating_add(bytes.len() as u64))?;
    while !bytes.is_empty() {
        match file.seek_write(bytes, at)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => (bytes, at) = (&bytes[n..], at + n as u64),
        }
    }
    Ok(())
}

/// Reads what there is at that place.
pub fn read_at(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    file.seek_read(buf, at)
}
