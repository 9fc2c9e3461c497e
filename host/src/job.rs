//! A job that a store has given away, as its host sees it.

use std::fmt;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Writes a sealed memtable to a table, from the log segments that hold it.
    Flush,
    /// Merges tables.
    Compaction,
    /// Makes the manifest durable, and then removes files that it no longer needs.
    CleanUp,
}

/// A job that was given away ([`Instance::take_job`](crate::Instance::take_job)): what is known of it,
/// and the job itself as bytes that only the component can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Tells it from all others of its store, while that is open.
    pub id: u64,
    /// What it does.
    pub kind: JobKind,
    /// Why, in a word: `memtable` for a flush; `level0`, `size`, `tombstones` or `manual` for a compaction; `edit`
    /// for a clean-up.
    pub reason: String,
    /// The level that its tables go to.
    pub level: u32,
    /// The bytes of the tables and log segments that it reads.
    pub input_bytes: u64,
    /// The names of the files that it reads, or syncs.
    pub inputs: Vec<String>,
    /// The names of the files that it may make, and remove again.
    pub outputs: Vec<String>,
    /// The names of other files that it removes.
    pub removals: Vec<String>,
    /// The job itself.
    pub bytes: Vec<u8>,
}

impl JobKind {
    /// Its name in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Compaction => "compaction",
            Self::CleanUp => "clean-up",
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
