//! A snapshot: a state of the store that later writes do not change.

use crate::bucket::{BucketInfo, Key};
use crate::error::Result;
use crate::instance::SnapshotHandle;
use crate::kv_store::KvStore;
use crate::options::{KeyRange, ScanOptions};
use crate::scan::Scan;

/// A state of the store that later writes do not change. Cheap. It holds the store open, and makes compaction keep
/// what it can see, until it is dropped.
#[derive(Debug)]
pub struct Snapshot {
    store: KvStore,
    /// `None` only while it is dropped.
    handle: Option<SnapshotHandle>,
    sequence: u64,
}

impl Snapshot {
    pub(crate) fn new(store: KvStore, handle: SnapshotHandle, sequence: u64) -> Self {
        Self { store, handle: Some(handle), sequence }
    }

    /// The sequence number of the last write that it sees.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The value of `key` in this state.
    ///
    /// # Errors
    ///
    /// What the store answers.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        let key = key.into();
        self.store.read(|instance| instance.snapshot_get(self.handle(), key))
    }

    /// The buckets of this state, in the order of their numbers: the default one first.
    ///
    /// # Errors
    ///
    /// What the store answers.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>> {
        self.store.read(|instance| instance.snapshot_buckets(self.handle()))
    }

    /// Reads a range of this state.
    ///
    /// # Errors
    ///
    /// What the store answers.
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Scan> {
        let cursor = self.store.read(|instance| instance.snapshot_scan(self.handle(), range, options))?;
        Ok(Scan::new(self.store.clone(), cursor, options.keys_only))
    }

    fn handle(&self) -> &SnapshotHandle {
        self.handle.as_ref().expect("only drop takes the handle")
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.store.drop_snapshot(handle);
        }
    }
}
