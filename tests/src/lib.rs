//! Shared pieces of the tests that cross crates.
//!
//! ```text
//! seed ──► options, history ──► driver ──► journal
//! ```
//!
//! A seed gives random options and a random history; the driver does its steps on a store and holds each answer
//! against the journal, which knows what the store must hold now and may hold after a crash.

pub mod driver;
#[cfg(feature = "component")]
pub mod fixture;
pub mod history;
#[cfg(feature = "component")]
pub mod host;
pub mod interrupted_fs;
pub mod journal;
pub mod load;
pub mod options;
pub mod platform;
pub mod program;
#[cfg(all(doctest, feature = "component"))]
mod readme;
pub mod rounds;
pub mod seed;
#[cfg(feature = "component")]
pub mod session;
#[cfg(feature = "component")]
pub mod sim;
pub mod temp_dir;
pub mod trace;
