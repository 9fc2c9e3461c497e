//! The open tables of a store, and the memory that their blocks, indexes and filters share.

use super::cache::{BlockCache, CacheStats};
use super::table::Table;
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::env::Fs;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// At most so many tables are kept open, to stay within what an operating system allows a process.
const OPEN_MAX: usize = 256;

/// Opens tables by number and keeps them open while there is room. Index and filter of an open table and the
/// blocks in the cache share one limit; tables get at most half of it.
#[derive(Debug)]
pub struct TableCache<F: Fs> {
    fs: Arc<F>,
    blocks: Arc<BlockCache>,
    bytes_max: u64,
    /// Whether tables stay open until they are forgotten.
    pins: bool,
    open: Mutex<Open<F>>,
    filter_passes: AtomicU64,
    filter_rejects: AtomicU64,
}

#[derive(Debug)]
struct Open<F: Fs> {
    tables: BTreeMap<u64, Slot<F>>,
    bytes: u64,
    /// Counts uses: the slot with the least number was used longest ago.
    uses: u64,
}

#[derive(Debug)]
struct Slot<F: Fs> {
    table: Arc<Table<F::File>>,
    used: u64,
}

impl<F: Fs> TableCache<F> {
    /// A cache over the tables in `fs` that holds at most about so many bytes.
    pub fn new(fs: Arc<F>, bytes_max: u64) -> Self {
        let open = Open { tables: BTreeMap::new(), bytes: 0, uses: 0 };
        Self {
            fs,
            blocks: Arc::new(BlockCache::new(bytes_max)),
            bytes_max,
            pins: false,
            open: Mutex::new(open),
            filter_passes: AtomicU64::new(0),
            filter_rejects: AtomicU64::new(0),
        }
    }

    /// A cache that keeps every table open that it has opened, until it is forgotten: for whoever cannot open it again
    /// once its file is removed. The limit is for the blocks alone.
    pub fn pinning(fs: Arc<F>, bytes_max: u64) -> Self {
        Self { pins: true, ..Self::new(fs, bytes_max) }
    }

    /// The blocks in memory.
    pub fn blocks(&self) -> &Arc<BlockCache> {
        &self.blocks
    }

    /// The table `number`, opened if need be.
    ///
    /// # Errors
    ///
    /// `Corrupt` where it is missing or damaged, and those of the file system.
    pub fn table(&self, number: u64) -> Result<Arc<Table<F::File>>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let used = open.uses;
        if let Some(slot) = open.tables.get_mut(&number) {
            slot.used = used;
            return Ok(Arc::clone(&slot.table));
        }
        let table = Arc::new(self.open_table(number)?);
        open.bytes += table.memory_bytes();
        open.tables.insert(number, Slot { table: Arc::clone(&table), used });
        let too_many = |open: &Open<F>| open.tables.len() > OPEN_MAX || open.bytes > self.bytes_max / 2;
        while !self.pins && open.tables.len() > 1 && too_many(&open) {
            open.close_oldest();
        }
        self.share(&open);
        Ok(table)
    }

    /// Forgets the table `number`, which is about to be removed.
    pub fn forget(&self, number: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = open.tables.remove(&number) {
            open.bytes -= slot.table.memory_bytes();
            self.share(&open);
        }
    }

    /// Gives the blocks what the open tables leave of the limit. Pinned tables are beside it: they could take all.
    fn share(&self, open: &Open<F>) {
        if !self.pins {
            self.blocks.set_capacity(self.bytes_max.saturating_sub(open.bytes));
        }
    }

    /// The number of open tables, and the bytes that their indexes and filters take.
    pub fn open_tables(&self) -> (u64, u64) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        (open.tables.len() as u64, open.bytes)
    }

    /// What the block cache holds and has done.
    pub fn block_stats(&self) -> CacheStats {
        self.blocks.stats()
    }

    /// Counts the answer of a filter: whether it let a key pass.
    #[inline]
    pub fn count_filter(&self, passes: bool) {
        let counter = if passes { &self.filter_passes } else { &self.filter_rejects };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many keys filters have let pass, and how many they have kept from a table.
    pub fn filter_stats(&self) -> (u64, u64) {
        (self.filter_passes.load(Ordering::Relaxed), self.filter_rejects.load(Ordering::Relaxed))
    }

    fn open_table(&self, number: u64) -> Result<Table<F::File>> {
        let name = FileName::Table(number).to_string();
        match self.fs.open(&name) {
            Ok(file) => Table::open(file, number),
            Err(error) if error.is_not_found() => {
                Err(Error::corrupt(name, 0, "the table is missing though the manifest refers to it"))
            }
            Err(error) => Err(error),
        }
    }
}

impl<F: Fs> Open<F> {
    fn close_oldest(&mut self) {
        let oldest = self.tables.iter().min_by_key(|(_, slot)| slot.used).map(|(&number, _)| number);
        if let Some(slot) = oldest.and_then(|number| self.tables.remove(&number)) {
            self.bytes -= slot.table.memory_bytes();
        }
    }
}
