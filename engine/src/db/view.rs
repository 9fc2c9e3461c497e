//! What a read sees: the memtables and the live tables of one moment.

use crate::base::checksum::key_hash;
use crate::base::error::Result;
use crate::base::key::Kind;
use crate::env::Fs;
use crate::iter::Merging;
use crate::memtable::Memtable;
use crate::sstable::{ReadMode, TableCache};
use crate::version::{LEVELS, LevelIter, Run, TableMeta, Version};
use std::sync::Arc;

/// Memtables and tables, newest first. A view never changes, but for what is added to its active memtable.
#[derive(Debug)]
pub struct View<F: Fs> {
    /// Takes the writes.
    pub active: Arc<Memtable>,
    /// Sealed memtables that wait to be flushed, newest first.
    pub sealed: Vec<Arc<Memtable>>,
    /// The live tables.
    pub version: Arc<Version>,
    /// Opens them.
    pub tables: Arc<TableCache<F>>,
}

impl<F: Fs> View<F> {
    /// Whether `sequence` sees a value of `key`, which `read` is given, after the sequence number of its write. The
    /// first place that knows the key holds.
    pub fn get(&self, key: &[u8], sequence: u64, read: &mut dyn FnMut(u64, &[u8])) -> Result<bool> {
        for memtable in self.memtables() {
            if let Some(kind) = memtable.get(key, sequence, read) {
                return Ok(kind == Kind::Put);
            }
        }
        let hash = key_hash(key);
        for table in self.version.level(0) {
            if table.overlaps(key, key)
                && let Some(kind) = self.get_in(table, key, hash, sequence, read)?
            {
                return Ok(kind == Kind::Put);
            }
        }
        for level in 1..LEVELS {
            if let Some(table) = self.version.table_for(level, key)
                && let Some(kind) = self.get_in(table, key, hash, sequence, read)?
            {
                return Ok(kind == Kind::Put);
            }
        }
        Ok(false)
    }

    /// The memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }

    fn get_in(
        &self,
        table: &TableMeta,
        key: &[u8],
        hash: u64,
        sequence: u64,
        read: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<Option<Kind>> {
        if table.sequence_min > sequence {
            return Ok(None);
        }
        let table = self.tables.table(table.number)?;
        let may_contain = table.may_contain(hash);
        self.tables.count_filter(may_contain);
        if !may_contain {
            return Ok(None);
        }
        table.get(self.tables.blocks(), key, sequence, read)
    }

    /// All entries, merged.
    pub fn iter(&self) -> Result<Merging<Run<F>>> {
        let mut runs: Vec<Run<F>> = vec![Run::Memtable(self.active.iter())];
        runs.extend(self.sealed.iter().map(|memtable| Run::Memtable(memtable.iter())));
        for table in self.version.level(0) {
            let table = self.tables.table(table.number)?;
            runs.push(Run::Table(table.iter(self.tables.blocks(), ReadMode::Cached)));
        }
        for level in 1..LEVELS {
            let tables = self.version.level(level);
            if !tables.is_empty() {
                let iter = LevelIter::new(tables.to_vec(), Arc::clone(&self.tables), ReadMode::Cached);
                runs.push(Run::Level(iter));
            }
        }
        Ok(Merging::new(runs))
    }
}
