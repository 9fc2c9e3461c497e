//! A sorted run of entries, whatever holds it.

use super::LevelIter;
use crate::base::error::Result;
use crate::env::Fs;
use crate::iter::InternalIterator;
use crate::memtable::MemtableIter;
use crate::sstable::TableIter;

/// A position in a memtable, in a table, or in a level.
#[derive(Debug)]
pub enum Run<F: Fs> {
    /// In a memtable.
    Memtable(MemtableIter),
    /// In one table.
    Table(TableIter<F::File>),
    /// In tables that do not overlap.
    Level(LevelIter<F>),
}

/// Calls the same method of whichever run it is.
macro_rules! each {
    ($self:ident, $run:ident => $call:expr) => {
        match $self {
            Run::Memtable($run) => $call,
            Run::Table($run) => $call,
            Run::Level($run) => $call,
        }
    };
}

impl<F: Fs> InternalIterator for Run<F> {
    #[inline]
    fn valid(&self) -> bool {
        each!(self, run => run.valid())
    }

    #[inline]
    fn key(&self) -> &[u8] {
        each!(self, run => run.key())
    }

    #[inline]
    fn value(&self) -> &[u8] {
        each!(self, run => run.value())
    }

    fn seek_to_first(&mut self) -> Result<()> {
        each!(self, run => run.seek_to_first())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        each!(self, run => run.seek_to_last())
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        each!(self, run => run.seek(target))
    }

    fn seek_before(&mut self, target: &[u8]) -> Result<()> {
        each!(self, run => run.seek_before(target))
    }

    #[inline]
    fn next(&mut self) -> Result<()> {
        each!(self, run => run.next())
    }

    fn prev(&mut self) -> Result<()> {
        each!(self, run => run.prev())
    }
}
