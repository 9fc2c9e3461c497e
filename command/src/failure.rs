//! Why a command did not do what it should.

use crate::bindings::esker::kv::types::Error;
use std::fmt;
use std::io;

/// What a command ends with.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not do what it should.
pub enum Failure {
    /// The key is not in the store. Nothing is printed: scripts ask this way.
    Absent,
    /// Whoever read our output has gone: nobody is left to tell, and nothing is wrong.
    ReaderGone,
    /// Anything else: what went wrong and what to do about it.
    Other(String),
}

impl Failure {
    /// Any other failure.
    pub fn other(message: impl fmt::Display) -> Self {
        Self::Other(message.to_string())
    }

    /// Writing to standard output failed.
    pub fn stdout(cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::WriteZero | io::ErrorKind::UnexpectedEof => Self::ReaderGone,
            _ => Self::Other(format!("cannot write to standard output: {cause}")),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(match error {
            Error::Corrupt(at) => format!(
                "{}, offset {}: {}\nNothing was overwritten. Copy the directory before anything else; `verify` lists \
                 all damage.",
                at.file, at.offset, at.message
            ),
            Error::NoSpace(message) => {
                format!(
                    "{message}\nWhat was acknowledged is safe. Free some space, then run the command again."
                )
            }
            Error::Reopen(message) => {
                format!("{message}\nWhat was acknowledged is safe; run the command again.")
            }
            Error::InvalidArgument(message)
            | Error::Busy(message)
            | Error::CannotOpen(message)
            | Error::Io(message)
            | Error::NoSuchBucket(message)
            | Error::AccessDenied(message)
            | Error::Bug(message) => message,
            Error::ConditionFailed(places) => {
                format!("conditions {places:?} do not hold: nothing was written")
            }
        })
    }
}
