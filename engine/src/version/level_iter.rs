//! Iterates over tables that do not overlap as over one sorted run, opening each when it is reached.

use super::TableMeta;
use crate::base::error::Result;
use crate::base::key::compare;
use crate::env::Fs;
use crate::iter::InternalIterator;
use crate::sstable::{ReadMode, TableCache, TableIter};
use std::sync::Arc;

/// A position in a run of tables that do not overlap.
pub struct LevelIter<F: Fs> {
    // Fixed from the start.
    tables: Vec<Arc<TableMeta>>,
    cache: Arc<TableCache<F>>,
    mode: ReadMode,
    // Moved.
    at: usize,
    /// The iterator over table `at`.
    iter: Option<TableIter<F::File>>,
}

impl<F: Fs> LevelIter<F> {
    /// Over `tables`, which stand in the order of their keys.
    pub fn new(tables: Vec<Arc<TableMeta>>, cache: Arc<TableCache<F>>, mode: ReadMode) -> Self {
        Self { tables, cache, mode, at: usize::MAX, iter: None }
    }

    /// Opens table `at`; none where there is no such table.
    fn open(&mut self, at: usize) -> Result<Option<&mut TableIter<F::File>>> {
        if at == self.at && self.iter.is_some() {
            return Ok(self.iter.as_mut());
        }
        self.iter = None;
        self.at = at;
        if let Some(table) = self.tables.get(at) {
            let table = self.cache.table(table.number)?;
            self.iter = Some(table.iter(self.cache.blocks(), self.mode));
        }
        Ok(self.iter.as_mut())
    }

    /// While this table has no entry here, to the first of the next.
    fn settle_forward(&mut self) -> Result<()> {
        while self.iter.as_ref().is_some_and(|iter| !iter.valid()) {
            if let Some(iter) = self.open(self.at + 1)? {
                iter.seek_to_first()?;
            }
        }
        Ok(())
    }

    /// While this table has no entry here, to the last of the one before.
    fn settle_backward(&mut self) -> Result<()> {
        while self.iter.as_ref().is_some_and(|iter| !iter.valid()) {
            let Some(before) = self.at.checked_sub(1) else {
                self.iter = None;
                return Ok(());
            };
            if let Some(iter) = self.open(before)? {
                iter.seek_to_last()?;
            }
        }
        Ok(())
    }

    fn current(&self) -> &TableIter<F::File> {
        self.iter.as_ref().expect("the caller checked valid()")
    }
}

impl<F: Fs> InternalIterator for LevelIter<F> {
    fn valid(&self) -> bool {
        self.iter.as_ref().is_some_and(InternalIterator::valid)
    }

    fn key(&self) -> &[u8] {
        self.current().key()
    }

    fn value(&self) -> &[u8] {
        self.current().value()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        if let Some(iter) = self.open(0)? {
            iter.seek_to_first()?;
        }
        self.settle_forward()
    }

    fn seek_to_last(&mut self) -> Result<()> {
        let Some(last) = self.tables.len().checked_sub(1) else { return Ok(()) };
        if let Some(iter) = self.open(last)? {
            iter.seek_to_last()?;
        }
        self.settle_backward()
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        let at = self.tables.partition_point(|table| compare(&table.largest, target).is_lt());
        if let Some(iter) = self.open(at)? {
            iter.seek(target)?;
        }
        self.settle_forward()
    }

    fn seek_before(&mut self, target: &[u8]) -> Result<()> {
        let after = self.tables.partition_point(|table| compare(&table.smallest, target).is_lt());
        let Some(at) = after.checked_sub(1) else {
            self.iter = None;
            return Ok(());
        };
        if let Some(iter) = self.open(at)? {
            iter.seek_before(target)?;
        }
        self.settle_backward()
    }

    fn next(&mut self) -> Result<()> {
        if let Some(iter) = &mut self.iter {
            iter.next()?;
        }
        self.settle_forward()
    }

    fn prev(&mut self) -> Result<()> {
        if let Some(iter) = &mut self.iter {
            iter.prev()?;
        }
        self.settle_backward()
    }
}

impl<F: Fs> std::fmt::Debug for LevelIter<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LevelIter")
            .field("tables", &self.tables.len())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
