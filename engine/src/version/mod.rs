//! Which tables are live, how that changes, and where it is written down.
//!
//! A [`Version`] is plain data and never changes; a [`VersionEdit`] makes the next one from it; the
//! [`Manifest`] is the log of edits. Whoever reads holds the version that it began with.

mod edit;
mod level_iter;
mod manifest;
mod run;
mod tables;

pub use edit::VersionEdit;
pub use level_iter::LevelIter;
pub use manifest::{Fence, Loaded, Manifest, misfit};
pub use run::Run;
pub use tables::{COUNT_MAX, LEVELS, TableMeta, Version};

use std::sync::Arc;

/// Everything that a manifest keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The live tables.
    pub version: Arc<Version>,
    /// The least number of a log segment whose data is not wholly in tables.
    pub log: u64,
    /// The greatest sequence number of which it and all before it are in tables.
    pub flushed: u64,
    /// No file has this number or a greater one.
    pub next_file: u64,
}
