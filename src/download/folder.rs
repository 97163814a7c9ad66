//! A folder in which a download happens. Every file is reached through the folder as it was opened, so that nothing
//! that is done to its path meanwhile leads elsewhere; and no symbolic link is followed.

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat, fstat, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

/// Names of files are tried again so often while others make and remove them.
const TRIES: usize = 100;

/// A folder.
#[derive(Debug)]
pub struct Folder {
    folder: OwnedFd,
    path: PathBuf,
}

/// A file that is there.
#[derive(Clone, Copy, Debug)]
pub struct Existing(Stat);

impl Existing {
    /// Is it a folder?
    pub fn is_folder(&self) -> bool {
        FileType::from_raw_mode(self.0.st_mode) == FileType::Directory
    }

    /// May another file take its place? Not that of a device, a pipe or a socket.
    pub fn is_replaceable(&self) -> bool {
        self.is_file() || FileType::from_raw_mode(self.0.st_mode) == FileType::Symlink
    }

    fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.0.st_mode) == FileType::RegularFile
    }
}

impl Folder {
    /// Opens it; one that is not there is made.
    pub fn open(path: &Path) -> io::Result<Folder> {
        std::fs::create_dir_all(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Folder { folder, path: path.to_owned() })
    }

    /// The path of a file in it, for messages.
    pub fn path(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// What there is under a name.
    pub fn look(&self, name: &str) -> io::Result<Option<Existing>> {
        match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Existing(stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Is the file still the one of this name?
    pub fn has(&self, name: &str, file: &File) -> io::Result<bool> {
        let (own, there) = (fstat(file)?, self.look(name)?);
        Ok(there.is_some_and(|t| (t.0.st_dev, t.0.st_ino) == (own.st_dev, own.st_ino)))
    }

    /// Opens a file to write and read, for this process alone: [`io::ErrorKind::WouldBlock`] where another one has
    /// it. Nobody else may look into it.
    pub fn own(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        for _ in 0..TRIES {
            let mut is_new = false;
            let file = match openat(&self.folder, name, flags, Mode::empty()) {
                Ok(file) => File::from(file),
                Err(Errno::NOENT) => {
                    let new = flags | OFlags::CREATE | OFlags::EXCL;
                    match openat(&self.folder, name, new, Mode::RUSR | Mode::WUSR) {
                        Ok(file) => {
                            is_new = true;
                            File::from(file)
                        }
                        Err(Errno::EXIST) => continue,
                        Err(e) => return Err(e.into()),
                    }
                }
                Err(e) => return Err(e.into()),
            };
            lock(&file)?;
            // Whoever had it before may have renamed or removed it meanwhile.
            if !self.has(name, &file)? {
                continue;
            }
            let stat = fstat(&file)?;
            if !Existing(stat).is_file() {
                return Err(Errno::INVAL.into());
            }
            // Some file systems give every file to one user.
            let is_foreign = !is_new && stat.st_uid != rustix::process::geteuid().as_raw();
            if is_foreign || stat.st_nlink != 1 {
                // Somebody else has put it here: what is written into it would be theirs too.
                unlinkat(&self.folder, name, AtFlags::empty())?;
                continue;
            }
            if stat.st_mode & 0o077 != 0 {
                file.set_permissions(Permissions::from_mode(0o600))?;
            }
            return Ok(file);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// What a file holds, where it is one and not longer than that.
    pub fn read(&self, name: &str, longest: u64) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        if !Existing(fstat(&file)?).is_file() {
            return Ok(None);
        }
        let mut content = Vec::new();
        let length = file.take(longest + 1).read_to_end(&mut content)?;
        Ok((length as u64 <= longest).then_some(content))
    }

    /// Writes a file, all of it or nothing, and gives the permissions that a new file has here.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<u32> {
        let fresh = format!("{name}~");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let all = Mode::from_raw_mode(0o666);
        let mut file = match openat(&self.folder, &fresh, flags, all) {
            // Of a process that was killed.
            Err(Errno::EXIST) => {
                self.remove(&fresh)?;
                openat(&self.folder, &fresh, flags, all)
            }
            file => file,
        }
        .map(File::from)?;
        let written = file.write_all(content).and_then(|()| {
            let mode = fstat(&file)?.st_mode & 0o777;
            renameat(&self.folder, &fresh, &self.folder, name)?;
            Ok(mode)
        });
        if written.is_err() {
            let _ = self.remove(&fresh);
        }
        written
    }

    /// Removes a file; one that is not there is no failure.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Gives a file the permissions of the one that it will replace, else those of a new file. They are never wider
    /// than that.
    pub fn permit(&self, file: &File, replaced: Option<Existing>, new: u32) -> io::Result<()> {
        let Some(Existing(there)) = replaced.filter(Existing::is_file) else {
            return file.set_permissions(Permissions::from_mode(new));
        };
        let mut mode = there.st_mode & 0o777;
        let own = fstat(file)?;
        if own.st_gid != there.st_gid && std::os::unix::fs::fchown(file, None, Some(there.st_gid)).is_err() {
            // Another group would get what was meant for that one.
            mode &= !0o070 | (mode & 0o007) << 3;
        }
        file.set_permissions(Permissions::from_mode(mode))
    }

    /// Renames a file. Without `replace`, a file that is there stays, and is a failure.
    pub fn rename(&self, from: &str, to: &str, replace: bool) -> io::Result<()> {
        if replace {
            return Ok(renameat(&self.folder, from, &self.folder, to)?);
        }
        match renameat_with(&self.folder, from, &self.folder, to, RenameFlags::NOREPLACE) {
            // The file system does not know how.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(&self.folder, from, &self.folder, to, AtFlags::empty())?;
                self.remove(from)
            }
            outcome => Ok(outcome?),
        }
    }

    /// Waits until the names of its files are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.folder) {
            // Some file systems have nothing to do here, and say so.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

/// Lets others have it, also where a child process still has the same descriptor.
pub fn release(file: &File) {
    let _ = rustix::fs::flock(file, FlockOperation::Unlock);
}

fn lock(file: &File) -> io::Result<()> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        // Some file systems know no locks; better without one than not at all.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOLCK) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// What the system says of a folder that is to be a file.
pub fn is_folder() -> io::Error {
    Errno::ISDIR.into()
}

/// What the system says of something that is no file.
pub fn is_no_file() -> io::Error {
    Errno::INVAL.into()
}

/// What the system says of a name that is taken.
pub fn exists() -> io::Error {
    Errno::EXIST.into()
}

/// What the system says of a file that is not there.
pub fn gone() -> io::Error {
    Errno::NOENT.into()
}

/// May a file be so long?
pub fn fits(length: u64) -> io::Result<()> {
    // Beyond it, the kernel would end the process with SIGXFSZ.
    let most = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    let most = most.unwrap_or(u64::MAX).min(i64::MAX as u64);
    if length > most { Err(Errno::FBIG.into()) } else { Ok(()) }
}

/// Writes all of it at that place.
pub fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    fits(at.saturating_add(bytes.len() as u64))?;
    file.write_all_at(bytes, at)
}

/// Reads what there is at that place.
pub fn read_at(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    file.read_at(buf, at)
}
