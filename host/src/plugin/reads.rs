//! What a plugin reads in more than one step: scans and snapshots.
//!
//! An answer has a limit, whatever the plugin asks for: it passes through the memory of the store and of the host.

use super::confined::{ANSWER_BYTES_MAX, Plugin, answer_too_large};
use crate::bucket::{Bucket, Key};
use crate::error::Result;
use crate::options::{KeyRange, ScanOptions};
use crate::scan::Scan;
use crate::snapshot::Snapshot;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A page of a scan has at most this many entries ...
const PAGE_ITEMS_MAX: u32 = 4096;
/// ... and no more after so many bytes.
const PAGE_BYTES_MAX: u32 = 1 << 20;

/// A position in a scan of a plugin. Clones share it.
#[derive(Clone)]
pub struct PluginCursor {
    plugin: Plugin,
    /// The bucket as the plugin knows it.
    bucket: Bucket,
    scan: Arc<Mutex<Scan>>,
}

/// A state of the store that later writes do not change, as a plugin may read it. Clones share it.
#[derive(Clone)]
pub struct PluginSnapshot {
    plugin: Plugin,
    snapshot: Arc<Snapshot>,
}

/// What reads more than one key.
impl Plugin {
    /// Reads a range of a bucket, in the state of this moment.
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<PluginCursor> {
        self.cursor(options, |options| self.store().scan(range, options))
    }

    /// The first `limit` entries from `start` (inclusive) to `end` (exclusive), in one call. `InvalidArgument` where they
    /// have more than 64 MiB together.
    pub fn read_key_range(
        &self,
        bucket: Bucket,
        start: &[u8],
        end: &[u8],
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let range = KeyRange::new(Some(start), Some(end));
        let options = ScanOptions { bucket, limit: Some(limit.into()), ..ScanOptions::default() };
        let cursor = self.scan(range, options)?;
        let mut entries = Vec::new();
        let mut left = ANSWER_BYTES_MAX;
        loop {
            let page = cursor.page(PAGE_ITEMS_MAX, PAGE_BYTES_MAX)?;
            if page.is_empty() {
                return Ok(entries);
            }
            self.settle(page.len() as u64);
            let bytes: usize = page.iter().map(|(key, value)| key.len() + value.len()).sum();
            left = left.checked_sub(bytes).ok_or_else(|| {
                self.refuse(answer_too_large(format_args!("the first {limit} entries of the range")))
            })?;
            entries.extend(page);
        }
    }

    /// Pins the latest state, to read from it later.
    pub fn snapshot(&self) -> Result<PluginSnapshot> {
        let snapshot = self.call(1, || self.store().snapshot())?;
        Ok(PluginSnapshot { plugin: self.clone(), snapshot: Arc::new(snapshot) })
    }

    fn cursor(
        &self,
        options: ScanOptions,
        scan: impl FnOnce(ScanOptions) -> Result<Scan>,
    ) -> Result<PluginCursor> {
        let scan = self.call(1, || {
            let bucket = self.granted(options.bucket)?.bucket();
            scan(ScanOptions { bucket, ..options })
        })?;
        Ok(PluginCursor { plugin: self.clone(), bucket: options.bucket, scan: Arc::new(Mutex::new(scan)) })
    }
}

impl PluginCursor {
    /// The next entries: at most `max_items` and at most 4,096, and no more after `max_bytes`, or 1 MiB, of keys and
    /// values; but at least one. None are the end.
    ///
    /// # Errors
    ///
    /// As those of [`Plugin`].
    pub fn next(&self, max_items: u32, max_bytes: u32) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let entries = self.plugin.call(1, || self.page(max_items, max_bytes))?;
        self.plugin.settle((entries.len() as u64).saturating_sub(1));
        Ok(entries)
    }

    fn page(&self, max_items: u32, max_bytes: u32) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let max_items = max_items.min(PAGE_ITEMS_MAX) as usize;
        let max_bytes = max_bytes.min(PAGE_BYTES_MAX) as usize;
        let traffic = &self.plugin.granted(self.bucket)?.traffic;
        let mut scan = self.scan.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Vec::new();
        let mut bytes = 0;
        while entries.len() < max_items && (entries.is_empty() || bytes < max_bytes) {
            let Some((key, value)) = scan.next_entry()? else { break };
            traffic.count_read(key, Some(value));
            bytes += key.len() + value.len();
            entries.push((key.to_vec(), value.to_vec()));
        }
        Ok(entries)
    }
}

impl PluginSnapshot {
    /// The sequence number of the last write that it sees.
    pub fn sequence(&self) -> u64 {
        self.snapshot.sequence()
    }

    /// The value of `key` in this state.
    ///
    /// # Errors
    ///
    /// As those of [`Plugin`].
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        let key = key.into();
        self.plugin.call(1, || {
            let granted = self.plugin.granted(key.bucket)?;
            let value = self.snapshot.get(granted.key(key.bytes))?;
            granted.traffic.count_read(key.bytes, value.as_deref());
            Ok(value)
        })
    }

    /// Reads a range of this state.
    ///
    /// # Errors
    ///
    /// As those of [`Plugin`].
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<PluginCursor> {
        self.plugin.cursor(options, |options| self.snapshot.scan(range, options))
    }
}

impl fmt::Debug for PluginCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginCursor").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}

impl fmt::Debug for PluginSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginSnapshot").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}
