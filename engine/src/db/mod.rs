//! The store: one directory, opened by its primary.
//!
//! ```text
//! open       claim an epoch, read the manifest, replay the log
//! write      make room, append to the log, sync if asked, apply to the memtable, publish
//! condition  a write only if keys are as expected
//! view       what a read sees: memtables and tables, newest first
//! cursor     a scan that pins its view
//! maintain   flushes and compactions, in slices
//! install    what becomes of their results
//! pace       how maintenance keeps up with writes
//! reader     follows a primary by its files, in this process or another one
//! verify     every checksum, order and reference
//! ```
//!
//! A [`Db`] is driven by one owner at a time; it starts no thread, and what has to be done in the background is
//! done in slices, by the writes themselves and by [`Db::maintain`].

mod condition;
mod cursor;
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

pub use condition::{Condition, ConditionalWrite, Expected};
pub use cursor::Cursor;
pub use maintain::Progress;
pub use pace::{BackPressure, Pressure, WaitReason};
pub use reader::{ReadView, Reader};
pub use report::RecoveryReport;
pub use snapshot::Snapshot;
pub use stats::Stats;
pub use verify::Verification;

use crate::base::batch::{Batch, check_key};
use crate::base::error::{Error, Result};
use crate::base::options::Options;
use crate::base::range::{KeyRange, ScanOptions};
use crate::compaction::Picker;
use crate::env::{Clock, Fs};
use crate::sstable::{TableCache, TableOptions};
use crate::version::{Manifest, State};
use crate::wal::Writer;
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
    /// Why this handle does nothing more, if it does not.
    closed: Option<String>,
    /// Why this handle writes nothing more, if it does not. Reads go on.
    poisoned: Option<String>,
    scratch: Batch,

    // Changed by maintenance.
    manifest: Manifest<F>,
    state: State,
    maintenance: Maintenance<F>,
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
    /// `InvalidArgument` for a key beyond its limits, `Corrupt` where a block is damaged, `Reopen` after
    /// [`Db::close`], and those of the file system.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read_at(key, self.last_sequence)
    }

    /// The value of `key` in the state that `snapshot` pins.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn get_at(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.read_at(key, snapshot.sequence())
    }

    /// The values of `keys`, in their order, all from one state.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get(key.as_ref())).collect()
    }

    /// Whether `key` is there.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        self.check_open()?;
        check_key(key)?;
        self.view.get(key, self.last_sequence, &mut |_, _| {}).map_err(|error| self.explain(error))
    }

    fn read_at(&self, key: &[u8], sequence: u64) -> Result<Option<Vec<u8>>> {
        self.check_open()?;
        check_key(key)?;
        self.counters.gets.add(1);
        let mut value = Vec::new();
        let found = self.view.get(key, sequence, &mut |_, bytes| value.extend_from_slice(bytes));
        let found = found.map_err(|error| self.explain(error))?;
        Ok(found.then_some(value))
    }

    /// Reads a range of the latest state.
    ///
    /// # Errors
    ///
    /// `Reopen` after [`Db::close`]; the cursor's own errors come from its [`Cursor::next`].
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Cursor<F>> {
        self.scan_sequence(self.last_sequence, range, options)
    }

    /// Reads a range of the state that `snapshot` pins.
    ///
    /// # Errors
    ///
    /// As [`Db::scan`].
    pub fn scan_at(&self, snapshot: &Snapshot, range: KeyRange, options: ScanOptions) -> Result<Cursor<F>> {
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
