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
pub use running::{RunningJob, check_table, run};

use crate::base::checksum::message_checksum;
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::compaction::Plan;
use crate::sstable::TableOptions;
use crate::version::{TableMeta, VersionEdit};
use crate::wal::Seal;
use std::sync::Arc;

/// What to do, complete in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The epoch of the primary that has made it: with a later one its file numbers may be another's.
    pub epoch: u64,
    /// What to read, and what becomes of it.
    pub work: Work,
    /// The sequence numbers of snapshots, ascending: what they see is kept.
    pub snapshots: Vec<u64>,
    /// The numbers of buckets of which a merge leaves out all keys, ascending: they were dropped, and nobody sees them.
    pub dropped_buckets: Vec<u32>,
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
        segments: Vec<Seal>,
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
        /// The older tables that the result overlaps, in sorted runs, the nearest first.
        deeper: Vec<Vec<Arc<TableMeta>>>,
    },
    /// Make the manifest durable; or remove files that it, being durable, no longer refers to. Both can take long, and
    /// a primary that did it itself would let writers wait.
    CleanUp {
        /// The files to remove; none where the manifest is to be made durable.
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
    /// The job's digest.
    pub job: u64,
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

    /// What tells the job from all others of all stores, but for those that read the very same content.
    pub fn digest(&self) -> u64 {
        message_checksum(&self.encode())
    }

    /// What the job does, in a word.
    pub fn kind_name(&self) -> &'static str {
        match &self.work {
            Work::Flush { .. } => "flush",
            Work::Compact { .. } => "compaction",
            Work::CleanUp { .. } => "clean-up",
        }
    }

    /// The names of the files that the job reads, or syncs.
    pub fn input_names(&self) -> Vec<String> {
        match &self.work {
            Work::Flush { segments, .. } => {
                segments.iter().map(|seal| FileName::Wal(seal.number).to_string()).collect()
            }
            Work::Compact { plan, .. } => {
                plan.inputs.iter().map(|(_, table)| FileName::Table(table.number).to_string()).collect()
            }
            Work::CleanUp { .. } => vec![FileName::Manifest(self.epoch).to_string()],
        }
    }

    /// The names of the files that the job may make.
    pub fn output_names(&self) -> Vec<String> {
        match &self.work {
            Work::Flush { .. } | Work::Compact { .. } => {
                self.outputs.iter().map(|&number| FileName::Table(number).to_string()).collect()
            }
            Work::CleanUp { .. } => Vec::new(),
        }
    }

    /// The names of the files that the job removes, beside those that it has made itself.
    pub fn removal_names(&self) -> Vec<String> {
        match &self.work {
            Work::Flush { .. } | Work::Compact { .. } => Vec::new(),
            Work::CleanUp { remove } => remove.iter().map(ToString::to_string).collect(),
        }
    }

    /// The bytes of the tables and log segments that the job reads.
    pub fn input_bytes(&self) -> u64 {
        match &self.work {
            Work::Flush { segments, .. } => segments.iter().map(|seal| seal.bytes).sum(),
            Work::Compact { plan, .. } => plan.bytes(),
            Work::CleanUp { .. } => 0,
        }
    }

    /// The level that the job writes to.
    pub fn output_level(&self) -> usize {
        match &self.work {
            Work::Flush { .. } | Work::CleanUp { .. } => 0,
            Work::Compact { plan, .. } => plan.output_level,
        }
    }

    /// Why the job is done, in a word: `memtable` for a flush, `edit` for a clean-up, else the compaction's reason.
    pub fn reason(&self) -> &'static str {
        match &self.work {
            Work::Flush { .. } => "memtable",
            Work::Compact { plan, .. } => plan.reason.name(),
            Work::CleanUp { .. } => "edit",
        }
    }

    /// The bytes of the tables that the job reads.
    pub fn bytes(&self) -> u64 {
        match &self.work {
            Work::Flush { .. } | Work::CleanUp { .. } => 0,
            Work::Compact { plan, .. } => plan.bytes(),
        }
    }

    /// Checks that a result is one of this job.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where it is not.
    pub fn check_result(&self, result: &JobResult) -> Result<()> {
        let (id, digest) = (self.id(), self.digest());
        if (result.id, result.job) != (id, digest) {
            return Err(Error::invalid(format!(
                "the result is of job {} with digest {:#018x}, and this is job {id} with digest {digest:#018x}: \
                 nothing was installed",
                result.id, result.job
            )));
        }
        let makes_tables = !matches!(self.work, Work::CleanUp { .. });
        match result.tables.iter().find(|table| !(makes_tables && self.outputs.contains(&table.number))) {
            None => Ok(()),
            Some(stray) => Err(Error::invalid(format!(
                "the result has {}, which is not reserved for job {id}: nothing was installed",
                FileName::Table(stray.number)
            ))),
        }
    }

    /// The change that the result makes to the live tables.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where the result is not one of this job.
    pub fn edit(&self, result: &JobResult) -> Result<VersionEdit> {
        self.check_result(result)?;
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
