//! The lock on a store's directory: WASI has none, so the host keeps it.
//!
//! An advisory lock (`flock`) on the file `LOCK`, which holds the process's number for whoever is refused, and what the
//! process tells about its store (`published`). The
//! operating system drops the lock with the process, however it ends; the file stays, since removing it would let
//! two processes lock two files of the same name.

use crate::error::{Error, Result};
use crate::published;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The name of the lock file. The store ignores it.
pub(crate) const LOCK_NAME: &str = "LOCK";

/// A directory that this handle alone may open as a store. Unlocked when dropped.
#[derive(Debug)]
pub struct DirLock {
    dir: PathBuf,
    file: File,
    /// Whether `acquire` made the file.
    created: bool,
}

impl DirLock {
    /// Locks the directory `dir`, making it first if it is missing and `create` says so (its parent must be there).
    ///
    /// # Errors
    ///
    /// `Locked` when somebody has it; `Directory` when it is missing, no directory, or not writable.
    pub fn acquire(dir: impl AsRef<Path>, create: bool) -> Result<Self> {
        let dir = dir.as_ref();
        ensure_directory(dir, create)?;
        loop {
            if let Some(lock) = Self::try_acquire(dir)? {
                return Ok(lock);
            }
        }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Tells other processes the store's figures, as far as that works: see `published`.
    pub(crate) fn publish(&self, stats: &str) {
        // Whoever looks sees older ones, or none: nothing depends on them.
        let _not_told = published::write(&self.file, std::process::id(), stats);
    }

    /// Unlocks, and removes the lock file if this lock made it: for a directory that turned out to be no store.
    pub fn discard(self) {
        if self.created {
            // The name still leads to the locked file, so nobody else can hold a lock by it.
            let _ = fs::remove_file(self.dir.join(LOCK_NAME));
        }
    }

    /// `None` when the lock file was removed between opening and locking it (the lock would be on a file that nobody else
    /// finds), or when somebody was looking.
    fn try_acquire(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(LOCK_NAME);
        let (mut file, created) = open_lock_file(&path).map_err(|error| unusable(dir, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            // Somebody is only looking whether the store is open, and has gone by now or will be at once.
            Err(TryLockError::WouldBlock) if !is_locked(&file) => return Ok(None),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { dir: dir.to_path_buf(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => {
                return Err(directory_error(
                    dir,
                    format!("its file system cannot lock the file LOCK in it: {error}"),
                ));
            }
        }
        if !is_at(&file, &path) {
            return Ok(None);
        }
        write_holder(&mut file).map_err(|error| unusable(dir, &error))?;
        Ok(Some(Self { dir: dir.to_path_buf(), file, created }))
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing the file unlocks it, too; only a child that inherited it in a fork would keep the lock.
        let _ = self.file.unlock();
    }
}

fn open_lock_file(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().create_new(true).open(path) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((options.open(path)?, false)),
        Err(error) => Err(error),
    }
}

/// Whether somebody has the store of this lock file open. Looking takes a shared lock for a moment, which an opener that
/// meets it tells from a store that is open by looking as well.
pub(crate) fn is_locked(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            // Closing the file would do.
            let _ = file.unlock();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        // A file system without locks: no store is open on it.
        Err(TryLockError::Error(_)) => false,
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => (held.dev(), held.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    // Only digits and ASCII stand there, so 32 bytes are never half a character.
    file.take(32).read_to_string(&mut text).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn ensure_directory(dir: &Path, create: bool) -> Result<()> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(directory_error(dir, "it is not a directory: a store is a directory".into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && create => make_directory(dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(directory_error(dir, "there is no such directory, and no store is to be made".into()))
        }
        Err(error) => Err(unusable(dir, &error)),
    }
}

fn make_directory(dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => {}
        // Another process was faster; the lock will tell who has it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(directory_error(
                dir,
                "it cannot be made, since the directory above it is missing: make that first".into(),
            ));
        }
        Err(error) => return Err(directory_error(dir, format!("it cannot be made: {error}"))),
    }
    // Or a power cut could take the new directory away, and the acknowledged writes in it.
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(|error| unusable(parent, &error))
}

fn unusable(dir: &Path, error: &io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("a store's directory must be readable and writable by this user: {error}")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "it is on a read-only file system, and a store writes when it is opened: copy it elsewhere".into()
        }
        io::ErrorKind::StorageFull => return Error::NoSpace(format!("{}: {error}", dir.display())),
        _ => format!("it cannot be used: {error}"),
    };
    directory_error(dir, message)
}

fn directory_error(dir: &Path, message: String) -> Error {
    Error::Directory { path: dir.to_path_buf(), message }
}
