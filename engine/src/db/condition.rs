//! Writes that are made only if keys are as their caller believes them to be.
//!
//! The owner of a [`Db`] is the only one to write, so what a condition has read cannot change before its batch is
//! written. Conditions are looked at and forgotten: the log holds only what they have let pass.

use super::Db;
use crate::base::batch::Batch;
use crate::base::bucket::Key;
use crate::base::error::{Error, Result};
use crate::base::options::Durability;
use crate::env::{Clock, Fs};

/// What must be so for a write to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<'a> {
    /// The key that is looked at.
    pub key: Key<'a>,
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

/// The number that a value spells.
fn number(value: &[u8]) -> Option<i64> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
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
        self.check_batch(batch)?;
        let failed = self.failed(conditions)?;
        if !failed.is_empty() {
            return Ok(ConditionalWrite::Failed(failed));
        }
        self.write(batch, durability).map(ConditionalWrite::Written)
    }

    /// Adds `delta` to the number that `key` holds in decimal digits, with a `-` before a negative one; an absent key
    /// counts as 0. Returns the sum, which the key then holds, and the write's sequence number.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where the value is no number or the sum is beyond 64 bits, and those of [`Db::get`] and
    /// [`Db::put`]: nothing was changed then, but for failures of the log.
    pub fn increment<'k>(
        &mut self,
        key: impl Into<Key<'k>>,
        delta: i64,
        durability: Durability,
    ) -> Result<(i64, u64)> {
        let key = key.into();
        let number = match self.get(key)? {
            None => 0,
            Some(value) => number(&value).ok_or_else(|| {
                let shown = value[..value.len().min(40)].escape_ascii();
                Error::invalid(format!(
                    "the value is no whole number of 64 bits in decimal digits, but \"{shown}\""
                ))
            })?,
        };
        let sum = number.checked_add(delta).ok_or_else(|| {
            Error::invalid(format!("{number} + {delta} does not fit 64 bits: the key keeps its value"))
        })?;
        Ok((sum, self.put(key, sum.to_string().as_bytes(), durability)?))
    }

    /// The value of `key` in the latest state, and the sequence number of the write that made it.
    ///
    /// # Errors
    ///
    /// As [`Db::get`].
    pub fn get_with_sequence<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<(Vec<u8>, u64)>> {
        self.counters.gets.add(1);
        let mut value = Vec::new();
        let mut sequence = 0;
        let found = self.read_latest(key.into(), &mut |written, bytes| {
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

    fn read_latest(&self, key: Key<'_>, read: &mut dyn FnMut(u64, &[u8])) -> Result<bool> {
        self.check_bucket(key.bucket)?;
        self.read(key, self.last_sequence, read)
    }
}
