//! A job: maintenance as plain data in, plain data out.
//!
//! A [`Job`] names immutable inputs and the file numbers reserved for its outputs; a [`Runner`] is a job in motion,
//! one slice at a time; a [`JobResult`] is an edit for the manifest. A job knows no store: whoever has the files can
//! run it, and the same job makes the same bytes anywhere. One that is given up leaves files that nothing refers to.

mod runner;

pub use runner::{Runner, Step};

use crate::compaction::Plan;
use crate::sstable::TableOptions;
use crate::version::{TableMeta, VersionEdit};
use std::sync::Arc;

/// What to do, complete in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What to read, and what becomes of it.
    pub work: Work,
    /// The sequence numbers of snapshots, ascending: what they see is kept.
    pub snapshots: Vec<u64>,
    /// The numbers reserved for the tables that the job writes.
    pub outputs: Vec<u64>,
    /// A table is cut at this size in bytes.
    pub table_bytes: u64,
    /// How tables are written.
    pub options: TableOptions,
}

/// What a job reads, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Write a sealed memtable to a table of level 0.
    Flush {
        /// The last sequence number in the memtable.
        flushed: u64,
        /// The first log segment that the memtable does not cover.
        log: u64,
    },
    /// Merge tables.
    Compact {
        /// Which, and where to.
        plan: Plan,
        /// The tables below the output level that the result overlaps, level by level.
        deeper: Vec<Vec<Arc<TableMeta>>>,
    },
}

/// What a job has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobResult {
    /// The change to the live tables. The files that it adds are synced; their names are not, until whoever installs
    /// the edit has synced the directory.
    pub edit: VersionEdit,
    /// Bytes of the tables that were read.
    pub bytes_read: u64,
    /// Bytes of the tables that were written.
    pub bytes_written: u64,
    /// Entries that nobody can see any more.
    pub entries_dropped: u64,
}
