//! Writes that are made only if keys are as their caller believes them to be.
//!
//! The owner of a [`Db`] is the only one to write, so what a condition has read cannot change before its batch is
//! written. Conditions are looked at and forgotten: the log holds only what they have let pass.

use super::Db;
use crate::base::batch::{Batch, check_key};
use crate::base::error::Result;
use crate::base::options::Durability;
use crate::env::{Clock, Fs};

/// What must be so for a write to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<'a> {
    /// The key that is looked at.
    pub key: &'a [u8],
    /// What it must be.
    pub expected: Expected<'a>,
}

/// What a condition expects of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected<'a> {
    /// It has no value.
    Absent,
    /// It has this value.
    Equals(&'a [u8]),
    /// It has a value, and the write that made it has this sequence number or an earlier one. An absent key never
    /// fits: compaction forgets deletes, and with them when they were made.
    UnchangedSince(u64),
}

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionalWrite {
    /// All conditions held, and the batch is written; its last operation has this sequence number.
    Written(u64),
    /// The conditions at these places did not hold, in ascending order. Nothing was written.
    Failed(Vec<usize>),
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// Applies a batch if every condition holds in the latest state; all of it, or none.
    ///
    /// # Errors
    ///
    /// Those of [`Db::write`], and those of [`Db::get`] for the conditions' keys: nothing was changed then.
    pub fn write_if(
        &mut self,
        batch: &Batch,
        conditions: &[Condition<'_>],
        durability: Durability,
    ) -> Result<ConditionalWrite> {
        self.check_writable()?;
        batch.check()?;
        let failed = self.failed(conditions)?;
        if !failed.is_empty() {
            return Ok(ConditionalWrite::Failed(failed));
        }
        self.write(batch, durability).map(ConditionalWrite::Written)
    }

    /// The value of `key` in the latest state, and the sequence number of the write that made it.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn get_with_sequence(&self, key: &[u8]) -> Result<Option<(Vec<u8>, u64)>> {
        self.counters.gets.add(1);
        let mut value = Vec::new();
        let mut sequence = 0;
        let found = self.read_latest(key, &mut |written, bytes| {
            sequence = written;
            value.extend_from_slice(bytes);
        })?;
        Ok(found.then_some((value, sequence)))
    }

    /// The places of the conditions that do not hold.
    fn failed(&self, conditions: &[Condition<'_>]) -> Result<Vec<usize>> {
        let mut failed = Vec::new();
        for (place, condition) in conditions.iter().enumerate() {
            if !self.holds(condition)? {
                failed.push(place);
            }
        }
        Ok(failed)
    }

    fn holds(&self, condition: &Condition<'_>) -> Result<bool> {
        let mut fits = false;
        let found = self.read_latest(condition.key, &mut |sequence, value| {
            fits = match condition.expected {
                Expected::Absent => false,
                Expected::Equals(expected) => value == expected,
                Expected::UnchangedSince(seen) => sequence <= seen,
            };
        })?;
        Ok(if found { fits } else { condition.expected == Expected::Absent })
    }

    fn read_latest(&self, key: &[u8], read: &mut dyn FnMut(u64, &[u8])) -> Result<bool> {
        self.check_open()?;
        check_key(key)?;
        self.view.get(key, self.last_sequence, read).map_err(|error| self.explain(error))
    }
}
