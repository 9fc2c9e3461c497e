//! What the engine needs from its surroundings: files and the time.
//!
//! A store's directory is flat, and each file in it is written once, front to back, by one writer, and then
//! only read. That is all that [`Fs`] offers: no rename, no truncation, no locks, no paths. It can therefore
//! be implemented on any platform, and one conformance suite holds every implementation to the same promises.

mod call;
mod clock;
pub mod conformance;
mod fault_fs;
mod mem_fs;
#[cfg(not(target_family = "wasm"))]
mod std_fs;

use crate::base::error::Result;

pub use call::Call;
pub use clock::ManualClock;
#[cfg(not(target_family = "wasm"))]
pub use clock::StdClock;
pub use fault_fs::{Effect, Fault, FaultFile, FaultFs};
pub use mem_fs::{LoggedCall, MemFile, MemFs};
#[cfg(not(target_family = "wasm"))]
pub use std_fs::{StdFile, StdFs};

/// A flat directory of files that are written once, front to back, and then only read.
///
/// # Durability
///
/// Appended bytes are durable after [`File::sync`] of that file returned, not before. A file's name (that it
/// was created, linked or removed) is durable after [`Fs::sync_dir`] returned. A crash may keep or lose each
/// change since then on its own, and may leave garbage where unsynced bytes were.
///
/// # Errors
///
/// [`NotFound`](crate::ErrorKind::NotFound) and [`AlreadyExists`](crate::ErrorKind::AlreadyExists) where the
/// methods say so, [`NoSpace`](crate::ErrorKind::NoSpace) when a disk or quota is full, and
/// [`Io`](crate::ErrorKind::Io) for everything else. Messages name the operation and the file.
pub trait Fs: std::fmt::Debug {
    /// An open file.
    type File: File;

    /// Creates the file `name`, empty and open for appending. Fails with `AlreadyExists` when it is there.
    fn create(&self, name: &str) -> Result<Self::File>;

    /// Opens the file `name` for reading. Fails with `NotFound` when it is not there.
    fn open(&self, name: &str) -> Result<Self::File>;

    /// Whether a file `name` is there.
    fn exists(&self, name: &str) -> Result<bool>;

    /// Removes the file `name`. Fails with `NotFound` when it is not there. A handle that is open on it goes
    /// on reading.
    fn remove(&self, name: &str) -> Result<()>;

    /// The names of all files, in no order; folders are left out.
    fn list(&self) -> Result<Vec<String>>;

    /// Makes the file `from` appear under the name `to` as well, by a hard link or as a copy that is synced.
    /// Fails with `NotFound` or `AlreadyExists`. The new name is durable after [`Fs::sync_dir`].
    fn link(&self, from: &str, to: &str) -> Result<()>;

    /// Makes all creations, links and removals so far durable. After an error nothing is known about any of them,
    /// and a later success says nothing about those before the error.
    fn sync_dir(&self) -> Result<()>;
}

/// An open file of an [`Fs`].
pub trait File: std::fmt::Debug {
    /// Appends `bytes` at the end. After an error, how much was written is unknown.
    ///
    /// REQUIRES: the file was opened by [`Fs::create`].
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Fills `buffer` from the bytes at `offset`. Returns how many bytes were read: fewer than asked only
    /// where the file ends.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;

    /// The `length` bytes at `offset`; fewer only where the file ends. For an implementation that has to allocate them
    /// anyway, and would copy them for [`File::read_at`].
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// The file's length in bytes.
    fn len(&self) -> Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes everything appended so far durable, by whichever handle it was appended. After an error nothing is known
    /// about any of it, and a later success says nothing about what came before the error: the system reports a failed
    /// write once.
    fn sync(&mut self) -> Result<()>;
}

/// The time, as the host tells it. It is used for statistics and the age of deferred writes only: no answer
/// and no byte on disk depends on it.
pub trait Clock {
    /// Microseconds since some moment; never less than before.
    fn now_micros(&self) -> u64;
}
