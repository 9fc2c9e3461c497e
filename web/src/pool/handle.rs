//! What a slot needs of the platform: positional reads and writes on one file that is open for good.
//!
//! In the browser it is a `FileSystemSyncAccessHandle` (`opfs`); in the tests, a file in memory whose machine loses
//! power.

use esker_engine::{Error, ErrorKind};
use std::fmt;

/// An open file, as OPFS offers it to a dedicated worker.
pub trait Handle: fmt::Debug {
    /// The file's size in bytes.
    fn size(&self) -> Result<u64, Failure>;
    /// Fills `buffer` from the bytes at `at`. Returns how many there were.
    fn read(&self, at: u64, buffer: &mut [u8]) -> Result<usize, Failure>;
    /// Writes at `at`, where the file is made longer if it must be. Returns how many bytes were written.
    fn write(&self, at: u64, bytes: &[u8]) -> Result<usize, Failure>;
    /// Cuts the file or makes it longer, with zeros.
    fn truncate(&self, size: u64) -> Result<(), Failure>;
    /// Makes all of it durable.
    fn flush(&self) -> Result<(), Failure>;
}

/// What the platform answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whether the quota or the disk is full.
    pub full: bool,
    /// In its own words.
    pub message: String,
}

impl Failure {
    /// As the engine's error about `operation` on `file`.
    pub fn into_error(self, operation: &str, file: &str) -> Error {
        if self.full {
            let message = format!(
                "{operation} {file}: the browser's storage quota is used up ({}); remove what this site no longer needs, and try again",
                self.message
            );
            return Error::new(ErrorKind::NoSpace, message);
        }
        Error::io(operation, file, self.message)
    }
}
