//! The interface `wasi:keyvalue` in both its drafts, over the store in the preopened directory.
//!
//! ```text
//! draft, draft2      the types of each draft, and the few calls that only one of them has
//!      ▼
//!   Keyspace         one bucket as `wasi:keyvalue` sees it: keys are text
//!      ▼
//!   Provider         the store, opened at the first call and shared by everything after it
//! ```
//!
//! The interface has no call that opens or closes a store, so the environment says how (`settings`). What an
//! acknowledged call has written is on stable storage, unless the settings ask for less.

mod draft;
mod draft2;
mod keyspace;
mod provider;
mod settings;

use esker_engine::ErrorKind;
use keyspace::Keyspace;

/// What can go wrong, as both drafts have it.
pub enum Failure {
    /// There is no such bucket.
    NoSuchStore,
    /// The settings do not grant the bucket.
    AccessDenied,
    /// Anything else, in words.
    Other(String),
}

impl Failure {
    fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }
}

impl From<esker_engine::Error> for Failure {
    fn from(error: esker_engine::Error) -> Self {
        match error.kind() {
            ErrorKind::NoSuchBucket => Self::NoSuchStore,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// What the calls of both drafts come to.
pub type Result<T, E = Failure> = core::result::Result<T, E>;
