//! The engine's file system over `wasi:filesystem`: one directory descriptor, positional reads and writes.
//!
//! Only `descriptor.read` and `descriptor.write` touch file contents: they carry their own offset, need no
//! stream, and in wasmtime run on the calling thread. A read returns at most what the host likes to give
//! (wasmtime: 64 KiB) and a write may be short, so both go in loops.

use crate::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags,
};
use esker_engine::env::{File, Fs};
use esker_engine::{Error, ErrorKind, Result};
use std::sync::{Arc, OnceLock};

/// How many bytes a copy moves at a time: as much as wasmtime gives in one read.
const COPY_BYTES: usize = 65_536;

/// A directory of the host, as the engine's [`Fs`].
#[derive(Debug, Clone)]
pub struct WasiFs {
    directory: Arc<Descriptor>,
    directory_sync: Arc<OnceLock<bool>>,
}

impl WasiFs {
    /// The file system whose files are the entries of `directory`.
    pub fn new(directory: Descriptor) -> Self {
        Self { directory: Arc::new(directory), directory_sync: Arc::default() }
    }

    /// Whether the host makes the names of files durable, which WASI does not promise. `None` before it was asked for
    /// the first time.
    pub fn directory_sync(&self) -> Option<bool> {
        self.directory_sync.get().copied()
    }

    fn copy(&self, from: &str, to: &str) -> Result<()> {
        let source = self.open(from)?;
        let mut target = self.create(to)?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut offset = 0;
        loop {
            let count = source.read_at(offset, &mut buffer)?;
            if count == 0 {
                return target.sync();
            }
            target.append(&buffer[..count])?;
            offset += count as u64;
        }
    }
}

impl Fs for WasiFs {
    type File = WasiFile;

    fn create(&self, name: &str) -> Result<WasiFile> {
        let descriptor = self
            .directory
            .open_at(
                PathFlags::empty(),
                name,
                OpenFlags::CREATE | OpenFlags::EXCLUSIVE,
                DescriptorFlags::READ | DescriptorFlags::WRITE,
            )
            .map_err(|code| file_error("create", name, code))?;
        Ok(WasiFile { descriptor, name: name.into(), appended: Some(0) })
    }

    fn open(&self, name: &str) -> Result<WasiFile> {
        let descriptor = self
            .directory
            .open_at(PathFlags::empty(), name, OpenFlags::empty(), DescriptorFlags::READ)
            .map_err(|code| file_error("open", name, code))?;
        Ok(WasiFile { descriptor, name: name.into(), appended: None })
    }

    fn exists(&self, name: &str) -> Result<bool> {
        match self.directory.stat_at(PathFlags::empty(), name) {
            Ok(_) => Ok(true),
            Err(ErrorCode::NoEntry) => Ok(false),
            Err(code) => Err(file_error("look for", name, code)),
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.directory.unlink_file_at(name).map_err(|code| file_error("remove", name, code))
    }

    fn list(&self) -> Result<Vec<String>> {
        let failed = |code| file_error("list", "the directory", code);
        let entries = self.directory.read_directory().map_err(failed)?;
        let mut names = Vec::new();
        loop {
            match entries.read_directory_entry() {
                Ok(Some(entry)) if entry.type_ == DescriptorType::Directory => {}
                Ok(Some(entry)) => names.push(entry.name),
                Ok(None) => return Ok(names),
                // Another instance has removed the file while the host was looking at it.
                Err(ErrorCode::NoEntry) => {}
                Err(code) => return Err(failed(code)),
            }
        }
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        match self.directory.link_at(PathFlags::empty(), from, &self.directory, to) {
            Ok(()) => Ok(()),
            Err(code) if lacks_hard_links(code) => self.copy(from, to),
            Err(code) => Err(file_error("link", &format!("{from} to {to}"), code)),
        }
    }

    fn sync_dir(&self) -> Result<()> {
        let works = match self.directory.sync() {
            Ok(()) => true,
            Err(code) if cannot_sync_directories(code) => false,
            Err(code) => return Err(file_error("sync", "the directory", code)),
        };
        self.directory_sync.get_or_init(|| works);
        Ok(())
    }
}

/// An open file of a [`WasiFs`].
#[derive(Debug)]
pub struct WasiFile {
    descriptor: Descriptor,
    name: Box<str>,
    /// The length so far of a file that this handle created; `None` for one that was opened to be read.
    appended: Option<u64>,
}

impl WasiFile {
    /// What one call gives: at most `length` bytes, and whether the file ends there.
    fn read_once(&self, offset: u64, length: usize) -> Result<(Vec<u8>, bool)> {
        let (bytes, at_end) = self
            .descriptor
            .read(length as u64, offset)
            .map_err(|code| file_error("read", &self.name, code))?;
        if bytes.len() > length {
            return Err(Error::io(
                "read",
                &self.name,
                format!("the host gave {} bytes where {length} were asked for", bytes.len()),
            ));
        }
        Ok((bytes, at_end))
    }
}

impl File for WasiFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(length) = &mut self.appended else {
            return Err(Error::bug(format!("append to {}, which was opened for reading", self.name)));
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let written =
                self.descriptor.write(rest, *length).map_err(|code| file_error("write", &self.name, code))?;
            if written == 0 || written > rest.len() as u64 {
                return Err(Error::io(
                    "write",
                    &self.name,
                    format!("the host says that it wrote {written} of {} bytes", rest.len()),
                ));
            }
            *length += written;
            rest = &rest[written as usize..];
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let (bytes, at_end) = self.read_once(offset + filled as u64, buffer.len() - filled)?;
            buffer[filled..filled + bytes.len()].copy_from_slice(&bytes);
            filled += bytes.len();
            if at_end || bytes.is_empty() {
                break;
            }
        }
        Ok(filled)
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let (mut bytes, at_end) = self.read_once(offset, length)?;
        if at_end || bytes.is_empty() || bytes.len() == length {
            return Ok(bytes);
        }
        let first = bytes.len();
        // Who keeps them counts the memory that they take.
        bytes.reserve_exact(length - first);
        bytes.resize(length, 0);
        let read = self.read_at(offset + first as u64, &mut bytes[first..])?;
        bytes.truncate(first + read);
        Ok(bytes)
    }

    fn len(&self) -> Result<u64> {
        match self.appended {
            Some(length) => Ok(length),
            None => Ok(self.descriptor.stat().map_err(|code| file_error("stat", &self.name, code))?.size),
        }
    }

    fn sync(&mut self) -> Result<()> {
        self.descriptor.sync_data().map_err(|code| file_error("sync", &self.name, code))
    }
}

/// Whether a file system that answers `code` to a link has no hard links here, so that a copy must do.
fn lacks_hard_links(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Unsupported | ErrorCode::NotPermitted | ErrorCode::CrossDevice | ErrorCode::TooManyLinks
    )
}

/// Whether a host that answers `code` to a sync of a directory has no such thing.
fn cannot_sync_directories(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Unsupported | ErrorCode::BadDescriptor | ErrorCode::IsDirectory | ErrorCode::Invalid
    )
}

/// The engine's error for what the host answered to `operation` on `file`.
pub fn file_error(operation: &str, file: &str, code: ErrorCode) -> Error {
    let (kind, cause) = match code {
        ErrorCode::NoEntry => (ErrorKind::NotFound, "no such file"),
        ErrorCode::Exist => (ErrorKind::AlreadyExists, "the file is there already"),
        ErrorCode::InsufficientSpace => (ErrorKind::NoSpace, "no space is left on the device"),
        ErrorCode::Quota => (ErrorKind::NoSpace, "the disk quota is used up"),
        ErrorCode::ReadOnly => (ErrorKind::Io, "the file system is mounted read-only"),
        ErrorCode::NotPermitted => {
            (ErrorKind::Io, "the host does not permit it; is the directory given read-only?")
        }
        ErrorCode::Access => {
            (ErrorKind::Io, "permission denied; the store's files must be readable and writable")
        }
        ErrorCode::FileTooLarge => (ErrorKind::Io, "the file would become larger than the host allows"),
        ErrorCode::InsufficientMemory => (ErrorKind::Io, "the host is out of memory"),
        code => return Error::io(operation, file, code.message()),
    };
    Error::new(kind, format!("{operation} {file}: {cause}"))
}
