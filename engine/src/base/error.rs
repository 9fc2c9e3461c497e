//! Errors, sorted by what the caller should do about them.
//!
//! The kind is for programs, the message for people: it says what went wrong, where (file and offset) and
//! which numbers were compared. An absent key is not an error.

use std::fmt;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by what the caller should do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The call itself is wrong (a key too long, a malformed batch): fix the call. Nothing was changed.
    InvalidArgument,
    /// Not now: try again later. Nothing was changed.
    Busy,
    /// This handle can do nothing more: an earlier write or sync failed, another primary took over, or it
    /// was closed. Open the store anew.
    Reopen,
    /// The disk or quota is full.
    NoSpace,
    /// Stored data is damaged.
    Corrupt(Corruption),
    /// The directory cannot be opened as a store.
    CannotOpen,
    /// There is no such bucket: it was dropped, or never made.
    NoSuchBucket,
    /// A file that should be there is not.
    NotFound,
    /// A file that should not be there is.
    AlreadyExists,
    /// The file system answered with another error.
    Io,
    /// A broken invariant: a bug in the engine.
    Bug,
}

/// Where damage was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corruption {
    /// The file's name within the store's directory.
    pub file: String,
    /// The offset in bytes at which the damaged piece begins.
    pub offset: u64,
}

/// An error of the engine: a kind for programs, a message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// An error of this kind with this message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The call is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// The handle is of no more use.
    pub fn reopen(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Reopen, message)
    }

    /// The directory cannot be opened as a store.
    pub fn cannot_open(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::CannotOpen, message)
    }

    /// The file system's answer to an operation on `file`.
    pub fn io(operation: &str, file: &str, cause: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Io, format!("{operation} {file}: {cause}"))
    }

    /// Damage in `file` at `offset`.
    pub fn corrupt(file: impl Into<String>, offset: u64, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt(Corruption { file: file.into(), offset }), message)
    }

    /// A broken invariant.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    /// What the caller should do about it.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// What went wrong, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether stored data is damaged.
    pub fn is_corrupt(&self) -> bool {
        matches!(self.kind, ErrorKind::Corrupt(_))
    }

    /// Whether a file was not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// The same error with `context` before its message.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Corrupt(at) => {
                write!(f, "{} is damaged at offset {}: {}", at.file, at.offset, self.message)
            }
            ErrorKind::Bug => write!(f, "{} (a bug in Esker: please report it)", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}
