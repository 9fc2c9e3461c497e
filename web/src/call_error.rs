//! What a call is refused with: a code for programs and a message for people, as `index.d.ts` describes them.

use esker_engine::{Error, ErrorKind};

/// The result of a call.
pub type Result<T> = std::result::Result<T, CallError>;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The type `ErrorCode` of `index.d.ts`.
    pub code: &'static str,
    /// What went wrong, and what to do about it.
    pub message: String,
    /// The damaged file and the offset in it.
    pub place: Option<(String, u64)>,
    /// The places of the conditions that did not hold.
    pub failed: Vec<usize>,
}

impl CallError {
    /// An error without a place.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place: None, failed: Vec::new() }
    }

    /// The handle was closed.
    pub fn closed() -> Self {
        Self::new("closed", "the store was closed: open it anew")
    }

    /// Conditions did not hold: those at these places.
    pub fn condition_failed(failed: Vec<usize>) -> Self {
        let places: Vec<_> = failed.iter().map(usize::to_string).collect();
        let message = format!("these conditions did not hold: {}; nothing was written", places.join(", "));
        Self { failed, ..Self::new("condition-failed", message) }
    }

    /// The file is no archive of a store.
    pub fn foreign_archive(why: &str) -> Self {
        let message = format!("this is no archive of an Esker store: {why}; nothing was changed");
        Self::new("foreign-archive", message)
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::InvalidArgument => "invalid-argument",
            ErrorKind::Busy => "busy",
            ErrorKind::Reopen => "reopen",
            ErrorKind::NoSpace => "no-space",
            ErrorKind::Corrupt(_) => "corrupt",
            ErrorKind::CannotOpen => "cannot-open",
            ErrorKind::NoSuchBucket => "no-such-bucket",
            ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Io => "io",
            ErrorKind::Bug => "bug",
        };
        let place = match error.kind() {
            ErrorKind::Corrupt(at) => Some((at.file.clone(), at.offset)),
            _ => None,
        };
        Self { place, ..Self::new(code, error.to_string()) }
    }
}
