//! The Esker engine in the browser: on the origin private file system (OPFS), in a dedicated worker.
//!
//! ```text
//! js/ ─► store ─► core ─► esker_engine::Db ─► pool (slots as an Fs) ─► opfs_fs ─► OPFS
//!                 frame: calls that travel together     archive: a store as one tar file
//! ```
//!
//! `pool`, `core`, `frame` and `archive` know nothing of the browser and are tested natively too, where the power can be
//! cut at every call; docs/browser.md describes what they write.

mod archive;
pub mod call_error;
pub mod clock;
pub mod core;
mod frame;
pub mod opfs_fs;
mod options;
mod panic_message;
pub mod pool;
mod store;
