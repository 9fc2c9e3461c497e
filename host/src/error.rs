//! What a call can answer instead of a result: the contract's errors, and those of the host itself.

use std::path::PathBuf;

/// The host's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller should do about it. An absent key is `None`, not an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call itself is wrong: a key too long, a malformed batch. Fix the call; nothing was changed.
    #[error("{0}")]
    InvalidArgument(String),

    /// The store cannot take this now: try again later. Nothing was changed.
    #[error("{0}")]
    Busy(String),

    /// This handle can do nothing more: an earlier write or sync failed, another primary took the store over, the
    /// component trapped, or the store was closed. Open it anew; recovery keeps what was acknowledged.
    #[error("{0}")]
    Reopen(String),

    /// The disk or quota is full. Reads go on; free some space, then open anew or try again.
    #[error("{0}")]
    NoSpace(String),

    /// Stored data is damaged. Nothing was overwritten.
    #[error("{0}")]
    Corrupt(Corruption),

    /// The directory cannot be opened as a store: it is none, it must not be created, or its format is newer.
    #[error("{0}")]
    CannotOpen(String),

    /// There is no such bucket.
    #[error("{0}")]
    NoSuchBucket(String),

    /// Whoever runs the store does not allow the call.
    #[error("{0}")]
    AccessDenied(String),

    /// Conditions of a write did not hold: their places, ascending. Nothing was written.
    #[error("the write's conditions number {0:?} did not hold: nothing was written")]
    ConditionFailed(Vec<usize>),

    /// The file system answered with another error.
    #[error("{0}")]
    Io(String),

    /// A broken invariant in the store.
    #[error("{0} (a bug in Esker: please report it)")]
    Bug(String),

    /// The directory itself is of no use: it is missing, no directory, or not readable and writable.
    #[error("{}: {message}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },

    /// Another process, or another handle of this one, has the store open.
    #[error("{} is open in {}: close it there first, or use another directory", dir.display(), holder_text(*.holder))]
    Locked {
        /// The store's directory.
        dir: PathBuf,
        /// The process that holds the lock, where it could be told.
        holder: Option<u32>,
    },

    /// There is no component to run, or what was given is none.
    #[error("{0}")]
    Component(String),

    /// The component stopped in the middle of a call, by a panic or for want of memory. What was acknowledged is
    /// safe; open the store anew.
    #[error("the store component trapped: {0}")]
    Trap(String),
}

/// Where damage was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at offset {offset}: {message}")]
pub struct Corruption {
    /// The file's name within the store's directory.
    pub file: String,
    /// The offset in bytes at which the damaged piece begins.
    pub offset: u64,
    /// What was expected there and what was found.
    pub message: String,
}

fn holder_text(holder: Option<u32>) -> String {
    match holder {
        Some(pid) if pid == std::process::id() => "this process already".into(),
        Some(pid) => format!("process {pid}"),
        None => "another process".into(),
    }
}
