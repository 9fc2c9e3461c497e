//! A job: maintenance as plain data in, plain data out.
//!
//! A [`Job`] names immutable inputs and the file numbers reserved for its outputs; a [`JobResult`] says which tables it
//! has written. A job knows no store: whoever has the files can run it, in this instance or another one, in this process
//! or another one, and the same job makes the same bytes anywhere. One that is given up leaves files that nothing refers
//! to.
//!
//! ```text
//! Runner       merges sorted runs to tables, one slice at a time: in the primary, from what it has in memory
//! RunningJob   a job in a worker, from the files alone: a Runner, or the cleaning up of files
//! ```

mod codec;
mod runner;
mod running;

pub use runner::{Runner, Step};
pub use running::{RunningJob, run};

use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
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
    /// The numbers reserved for the tables that the job writes; at least one.
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
        /// The log segments that hold what the memtable holds, ascending.
        segments: Vec<u64>,
        /// The last sequence number before the memtable.
        after: u64,
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
    /// Make the manifest durable, and then remove files that it no longer refers to. Both can take long, and a
    /// primary that did it itself would let writers wait.
    CleanUp {
        /// The manifest's epoch.
        epoch: u64,
        /// The files to remove.
        remove: Vec<FileName>,
    },
}

/// The kinds of jobs that somebody takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds {
    /// Flushes of sealed memtables.
    pub flush: bool,
    /// Compactions.
    pub compaction: bool,
    /// Cleaning up. Whoever runs it must be on the machine whose operating system has the primary's writes: its sync
    /// is the primary's.
    pub clean_up: bool,
}

impl Kinds {
    /// All of them.
    pub const ALL: Self = Self { flush: true, compaction: true, clean_up: true };
}

/// What a job has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobResult {
    /// The job's id.
    pub id: u64,
    /// The tables that were written, and synced.
    pub tables: Vec<Arc<TableMeta>>,
    /// Entries that nobody can see any more.
    pub entries_dropped: u64,
    /// Why the directory, or a clean-up's manifest, could not be synced, where that has failed: the system tells of a
    /// failed sync once, so whoever installs the result must know that something may be lost.
    pub unsynced: Option<String>,
}

impl Job {
    /// What tells the job from all others of its store: its first reserved number.
    pub fn id(&self) -> u64 {
        self.outputs.first().copied().unwrap_or(0)
    }

    /// Whether the job is a flush.
    pub fn is_flush(&self) -> bool {
        matches!(self.work, Work::Flush { .. })
    }

    /// The bytes of the tables that the job reads.
    pub fn bytes(&self) -> u64 {
        match &self.work {
            Work::Flush { .. } | Work::CleanUp { .. } => 0,
            Work::Compact { plan, .. } => plan.bytes(),
        }
    }

    /// The change that the result makes to the live tables.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where the result is not one of this job.
    pub fn edit(&self, result: &JobResult) -> Result<VersionEdit> {
        let makes_tables = !matches!(self.work, Work::CleanUp { .. });
        let stray =
            result.tables.iter().find(|table| !(makes_tables && self.outputs.contains(&table.number)));
        if result.id != self.id() || stray.is_some() {
            let stray = stray.map(|table| FileName::Table(table.number).to_string()).unwrap_or_default();
            let (id, found) = (self.id(), result.id);
            return Err(Error::invalid(format!("the result of job {found} is none of job {id} {stray}")));
        }
        let added = |level: usize| result.tables.iter().map(|table| (level, Arc::clone(table))).collect();
        Ok(match &self.work {
            Work::Flush { flushed, log, .. } => {
                let (flushed, log) = (Some(*flushed), Some(*log));
                VersionEdit { flushed, log, added: added(0), ..VersionEdit::default() }
            }
            Work::Compact { plan, .. } => {
                let removed = plan.inputs.iter().map(|(level, table)| (*level, table.number)).collect();
                VersionEdit { removed, added: added(plan.output_level), ..VersionEdit::default() }
            }
            Work::CleanUp { .. } => VersionEdit::default(),
        })
    }
}

impl JobResult {
    /// The bytes of the tables that were written.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.size).sum()
    }
}
