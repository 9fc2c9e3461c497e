//! The Esker storage engine: a log-structured merge-tree in one flat directory of write-once files.
//!
//! The engine knows no thread, no clock, no randomness and no path: it is driven through [`Db`] by whoever
//! owns it, reaches its files through [`env::Fs`] and the time through [`env::Clock`]. The same calls over
//! the same files give the same bytes on every platform. (LZ4 alone finds other repetitions where words have other sizes.)
//!
//! The modules have ranks, and a module uses only modules of lower rank:
//!
//! ```text
//! rank 8  db          open, write, get, scan, snapshot, maintain, stats
//! rank 7  job         plain data in, plain data out
//! rank 6  compaction  flush
//! rank 5  version     the set of live tables, its edits, the manifest
//! rank 4  memtable    sstable   wal
//! rank 3  record      checksummed framing, shared by wal and manifest
//! rank 2  iter        internal iterators and their merging
//! rank 1  env         trait Fs, trait Clock, and their implementations
//! rank 0  base        key, batch, range, coding, checksum, file names, errors, options
//! ```
#![forbid(unsafe_code)]

pub mod base;
pub mod compaction;
pub mod db;
pub mod env;
pub mod iter;
pub mod job;
pub mod memtable;
pub mod record;
pub mod sstable;
pub mod version;
pub mod wal;

pub use base::batch::Batch;
pub use base::bucket::{Bucket, Key};
pub use base::error::{Corruption, Error, ErrorKind, Result};
pub use base::options::{Compression, Durability, Options, RecoveryMode, Strategy};
pub use base::range::{KeyRange, ScanOptions};
pub use db::{
    BackPressure, Catalogue, Checkpoint, Condition, ConditionalWrite, Cursor, Db, Expected, Pressure,
    Progress, ReadView, Reader, RecoveryReport, Snapshot, Stats, Verification, WaitReason,
};
pub use job::{Job, JobResult, Kinds, RunningJob};
