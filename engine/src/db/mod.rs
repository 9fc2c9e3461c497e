//! The store: one directory, opened by its primary.
//!
//! ```text
//! open       claim an epoch, read the manifest, replay the log
//! write      make room, append to the log, sync if asked, apply to the memtable, publish
//! condition  a write only if keys are as expected
//! catalogue  named key spaces
//! dropped    what becomes of those that were dropped
//! view       what a read sees: memtables and tables, newest first
//! cursor     a scan that pins its view
//! maintain   flushes and compactions, in slices
//! install    what becomes of their results
//! pace       how maintenance keeps up with writes
//! reader     follows a primary by its files, in this process or another one
//! checkpoint the files of what a reader sees
//! verify     every checksum, order and reference
//! ```
//!
//! A [`Db`] is driven by one owner at a time; it starts no thread, and what has to be done in the background is
//! done in slices, by the writes themselves and by [`Db::maintain`].

mod catalogue;
mod checkpoint;
mod condition;
mod cursor;
mod dropped;
mod install;
mod maintain;
mod open;
mod pace;
mod reader;
mod reader_stats;
mod report;
mod snapshot;
mod stats;
#[cfg(test)]
mod tests;
mod verify;
mod view;
mod write;

pub use catalogue::{BUCKET_NAME_BYTES_MAX, Catalogue, DEFAULT_BUCKET_NAME};
pub use checkpoint::Checkpoint;
pub use condition::{Condition, ConditionalWrite, Expected};
pub use cursor::Cursor;
pub use maintain::Progress;
pub use pace::{BackPressure, Pressure, WaitReason};
pub use reader::{ReadView, Reader};
pub use report::RecoveryReport;
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use verify::Verification;

use crate::base::batch::Batch;
use crate::base::bucket::{Bucket, Key};
use crate::base::error::{Error, Result};
use crate::base::options::Options;
use crate::base::range::{KeyRange, ScanOptions};
use crate::compaction::Picker;
use crate::env::{Clock, Fs};
use crate::sstable::{TableCache, TableOptions};
use crate::version::{Manifest, State};
use crate::wal::Writer;
use dropped::Drops;
use install::Unneeded;
use maintain::Maintenance;
use pace::MemtableSize;
use snapshot::Snapshots;
use stats::Counters;
use std::collections::VecDeque;
use std::sync::Arc;
use view::View;

/// An open store.
#[derive(Debug)]
pub struct Db<F: Fs, C: Clock> {
    // Fixed at open.
    fs: Arc<F>,
    clock: C,
    options: Options,
    table_options: TableOptions,
    picker: Picker,
    tables: Arc<TableCache<F>>,
    snapshots: Arc<Snapshots>,
    report: RecoveryReport,

    // Changed by writes.
    wal: Writer<F>,
    last_sequence: u64,
    durable_sequence: u64,
    /// The memtables and tables that reads see.
    view: Arc<View<F>>,
    catalogue: Catalogue,
    /// Why this handle does nothing more, if it does not.
    closed: Option<String>,
    /// Why this handle writes nothing more, if it does not. Reads go on.
    poisoned: Option<String>,
    scratch: Batch,

    // Changed by maintenance.
    manifest: Manifest<F>,
    state: State,
    maintenance: Maintenance<F>,
    drops: Drops,
    /// Bytes of maintenance that writes owe.
    debt: u64,
    memtable_size: MemtableSize,
    /// Sealed log segments on disk, oldest first.
    segments: VecDeque<u64>,
    unneeded: Unneeded,
    counters: Counters,
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// The value of `key` in the latest state.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a key beyond its limits, `NoSuchBucket`, `Corrupt` where a block is damaged, `Reopen` after
    /// [`Db::close`], and those of the file system.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        Ok(self.get_into(key, &mut value)?.then_some(value))
    }

    /// As [`Db::get`], the value appended to `value`: whoever reads much needs one vector only. Returns whether there is
    /// one.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn get_into<'k>(&self, key: impl Into<Key<'k>>, value: &mut Vec<u8>) -> Result<bool> {
        let key = key.into();
        self.check_bucket(key.bucket)?;
        self.read_at(key, self.last_sequence, value)
    }

    /// The value of `key` in the state that `snapshot` pins.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn get_at<'k>(&self, snapshot: &Snapshot, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        Ok(self.get_at_into(snapshot, key, &mut value)?.then_some(value))
    }

    /// As [`Db::get_into`], in the state that `snapshot` pins.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn get_at_into<'k>(
        &self,
        snapshot: &Snapshot,
        key: impl Into<Key<'k>>,
        value: &mut Vec<u8>,
    ) -> Result<bool> {
        let key = key.into();
        self.check_bucket_at(snapshot, key.bucket)?;
        self.read_at(key, snapshot.sequence(), value)
    }

    /// The values of a bucket's `keys`, in their order, all from one state.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn get_many<K: AsRef<[u8]>>(&self, bucket: Bucket, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get((bucket, key))).collect()
    }

    /// Whether `key` is there.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn contains<'k>(&self, key: impl Into<Key<'k>>) -> Result<bool> {
        let key = key.into();
        self.check_bucket(key.bucket)?;
        self.read(key, self.last_sequence, &mut |_, _| {})
    }

    fn read_at(&self, key: Key<'_>, sequence: u64, value: &mut Vec<u8>) -> Result<bool> {
        self.counters.gets.add(1);
        self.read(key, sequence, &mut |_, bytes| value.extend_from_slice(bytes))
    }

    fn read(&self, key: Key<'_>, sequence: u64, read: &mut dyn FnMut(u64, &[u8])) -> Result<bool> {
        self.check_open()?;
        key.check()?;
        let found = key.with_user_key(|user_key| self.view.get(user_key, sequence, read));
        found.map_err(|error| self.explain(error))
    }

    /// Reads a range of the latest state.
    ///
    /// # Errors
    ///
    /// `NoSuchBucket`; `Reopen` after [`Db::close`]; the cursor's own errors come from its [`Cursor::next`].
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Cursor<F>> {
        self.check_bucket(options.bucket)?;
        self.scan_sequence(self.last_sequence, range, options)
    }

    /// Reads a range of the state that `snapshot` pins.
    ///
    /// # Errors
    ///
    /// As [`Db::scan`].
    pub fn scan_at(&self, snapshot: &Snapshot, range: KeyRange, options: ScanOptions) -> Result<Cursor<F>> {
        self.check_bucket_at(snapshot, options.bucket)?;
        self.scan_sequence(snapshot.sequence(), range, options)
    }

    fn scan_sequence(&self, sequence: u64, range: KeyRange, options: ScanOptions) -> Result<Cursor<F>> {
        self.check_open()?;
        self.counters.scans.add(1);
        let fence = self.manifest.fence();
        let cursor = Cursor::new(Arc::clone(&self.view), sequence, range, options);
        Ok(cursor.map_err(|error| self.explain(error))?.fenced_by(fence.clone()))
    }

    /// Pins the latest state. While the snapshot lives, compaction keeps what it sees.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(&self.snapshots, self.last_sequence)
    }

    /// What recovery found when the store was opened.
    pub fn recovery_report(&self) -> &RecoveryReport {
        &self.report
    }

    /// The sequence number of the last write.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Where a file is missing or damaged because another primary has taken the store over, says that instead.
    fn explain(&self, error: Error) -> Error {
        self.manifest.fence().explain(error)
    }

    #[inline]
    fn check_bucket(&self, bucket: Bucket) -> Result<()> {
        self.catalogue.check(bucket)
    }

    fn check_bucket_at(&self, snapshot: &Snapshot, bucket: Bucket) -> Result<()> {
        // A bucket that is there now, and was not yet, reads as empty.
        if self.catalogue.contains(bucket) { Ok(()) } else { self.buckets_at(snapshot)?.check(bucket) }
    }

    fn check_open(&self) -> Result<()> {
        match &self.closed {
            None => Ok(()),
            Some(why) => Err(Error::reopen(why.clone())),
        }
    }

    fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        match &self.poisoned {
            None => Ok(()),
            Some(why) => Err(Error::reopen(why.clone())),
        }
    }
}
