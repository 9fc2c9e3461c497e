//! What must be so for a write to be made.

use crate::bucket::Key;

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
    /// It has a value, and the write that made it has this sequence number or an earlier one. An absent key never fits.
    UnchangedSince(u64),
}

impl<'a> Condition<'a> {
    /// `key` must be as `expected`.
    pub fn new(key: impl Into<Key<'a>>, expected: Expected<'a>) -> Self {
        Self { key: key.into(), expected }
    }
}
