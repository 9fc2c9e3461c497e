//! [`StdFs`]: the file system of a native process, by way of the standard library.
//!
//! Reads are positional and share no cursor, so several handles on a file do not disturb each other. It knows
//! nothing of locks: keeping a second process out of the directory is its owner's business.
#![expect(clippy::disallowed_methods, reason = "this is the one place where the engine meets std::fs")]

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Call, File, Fs};
use crate::base::error::{Error, ErrorKind, Result};

/// One existing directory of the machine's file system.
#[derive(Debug, Clone)]
pub struct StdFs {
    directory: PathBuf,
}

impl StdFs {
    /// The files of `directory`, which must exist when the first of them is asked for.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn directory_failure(&self, call: Call, cause: &io::Error) -> Error {
        failure(call, &self.directory.display().to_string(), cause)
    }
}

impl Fs for StdFs {
    type File = StdFile;

    fn create(&self, name: &str) -> Result<StdFile> {
        // Append mode, so that the end is where the file system says it is.
        let opened = OpenOptions::new().read(true).append(true).create_new(true).open(self.path(name));
        let file = opened.map_err(|cause| failure(Call::Create, name, &cause))?;
        Ok(StdFile { file, name: name.into() })
    }

    fn open(&self, name: &str) -> Result<StdFile> {
        let file = fs::File::open(self.path(name)).map_err(|cause| failure(Call::Open, name, &cause))?;
        Ok(StdFile { file, name: name.into() })
    }

    fn exists(&self, name: &str) -> Result<bool> {
        self.path(name).try_exists().map_err(|cause| failure(Call::Exists, name, &cause))
    }

    fn remove(&self, name: &str) -> Result<()> {
        fs::remove_file(self.path(name)).map_err(|cause| failure(Call::Remove, name, &cause))
    }

    fn list(&self) -> Result<Vec<String>> {
        file_names(&self.directory).map_err(|cause| self.directory_failure(Call::List, &cause))
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        link_or_copy(&self.path(from), &self.path(to))
            .map_err(|cause| failure(Call::Link, &format!("{from} as {to}"), &cause))
    }

    fn sync_dir(&self) -> Result<()> {
        sync_directory(&self.directory).map_err(|cause| self.directory_failure(Call::SyncDir, &cause))
    }
}

/// An open file of a [`StdFs`].
#[derive(Debug)]
pub struct StdFile {
    file: fs::File,
    name: Box<str>,
}

impl StdFile {
    fn failure(&self, call: Call, cause: &io::Error) -> Error {
        failure(call, &self.name, cause)
    }
}

impl File for StdFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|cause| self.failure(Call::Append, &cause))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        read_fully(&self.file, offset, buffer).map_err(|cause| self.failure(Call::Read, &cause))
    }

    fn len(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(|cause| self.failure(Call::Len, &cause))?;
        Ok(metadata.len())
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|cause| self.failure(Call::Sync, &cause))
    }
}

fn failure(call: Call, file: &str, cause: &io::Error) -> Error {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("{call} {file}: {cause}"))
}

/// Reads until the buffer is full or the file ends; a single call may stop before either.
fn read_fully(file: &fs::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_once(file, offset + filled as u64, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(filled)
}

#[cfg(unix)]
fn read_once(file: &fs::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

/// Moves the handle's cursor, which is harmless: appends do not look at it.
#[cfg(not(unix))]
fn read_once(mut file: &fs::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read(buffer)
}

fn file_names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            // A name that is not UTF-8 is none of ours, but it must show that the directory is not empty.
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// A hard link; a synced copy where the file system has no hard links.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(cause)
            if matches!(cause.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) =>
        {
            copy(from, to)
        }
        linked => linked,
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = fs::File::open(from)?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(to)?;
    let copied = io::copy(&mut source, &mut target).and_then(|_| target.sync_all());
    if copied.is_err() {
        // Best effort: half a copy must not pass for the file, and the first error is the one to report.
        let _ = fs::remove_file(to);
    }
    copied
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

/// Other systems cannot sync a directory; their file systems journal names themselves.
#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_whole_and_replaces_nothing() {
        let directory = std::env::temp_dir().join(format!("esker-copy-{}", std::process::id()));
        fs::create_dir(&directory).expect("no earlier process left this directory");
        let (from, to) = (directory.join("from"), directory.join("to"));
        fs::write(&from, vec![7; 100_000]).expect("write");

        copy(&from, &to).expect("copy");
        assert_eq!(fs::read(&to).expect("read"), vec![7; 100_000]);
        assert_eq!(copy(&from, &to).expect_err("it is there").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).expect("still there"), vec![7; 100_000]);

        fs::remove_dir_all(&directory).expect("remove");
    }

    #[test]
    fn a_full_disk_or_quota_is_no_space() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = failure(Call::Append, "000001.wal", &kind.into());
            assert_eq!(error.kind(), &ErrorKind::NoSpace);
            assert!(error.message().starts_with("append to 000001.wal: "), "{error}");
        }
    }
}
