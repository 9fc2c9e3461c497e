//! What a picker wants done.

use crate::version::{LEVELS, TableMeta, Version, VersionEdit};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Why tables are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Level 0 has too many tables.
    Level0,
    /// A level is larger than it should be.
    Size,
    /// Too many of a table's entries are tombstones.
    Tombstones,
    /// Somebody asked for the whole store to be merged.
    Manual,
}

impl Reason {
    /// The reason with this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Level0, Self::Size, Self::Tombstones, Self::Manual]
            .into_iter()
            .find(|reason| *reason as u8 == byte)
    }

    /// Its name in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Level0 => "level0",
            Self::Size => "size",
            Self::Tombstones => "tombstones",
            Self::Manual => "manual",
        }
    }
}

/// Tables to merge, and the level that the result goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Why.
    pub reason: Reason,
    /// The tables with their levels. Those of level 0 stand newest first.
    pub inputs: Vec<(usize, Arc<TableMeta>)>,
    /// Where the result goes. No input lies deeper.
    pub output_level: usize,
}

impl Plan {
    /// The bytes of all inputs.
    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(|(_, table)| table.size).sum()
    }

    /// The least and the greatest user key of the inputs; empty where there are none.
    pub fn span(&self) -> (&[u8], &[u8]) {
        let first = self.inputs.iter().map(|(_, table)| table.first_key()).min().unwrap_or_default();
        let last = self.inputs.iter().map(|(_, table)| table.last_key()).max().unwrap_or_default();
        (first, last)
    }

    /// Whether no other job has one of the inputs.
    pub fn is_free(&self, busy: &BTreeSet<u64>) -> bool {
        self.inputs.iter().all(|(_, table)| !busy.contains(&table.number))
    }

    /// Whether the plan only moves one table a level down: nothing there overlaps it, and no tombstone wants
    /// to be dropped.
    pub fn is_trivial_move(&self) -> bool {
        let [(level, _)] = self.inputs.as_slice() else { return false };
        matches!(self.reason, Reason::Level0 | Reason::Size) && *level != self.output_level
    }

    /// The edit of a trivial move.
    pub fn move_edit(&self) -> VersionEdit {
        VersionEdit {
            removed: self.inputs.iter().map(|(level, table)| (*level, table.number)).collect(),
            added: self.inputs.iter().map(|(_, table)| (self.output_level, Arc::clone(table))).collect(),
            ..VersionEdit::default()
        }
    }

    /// The tables below the output level that the result overlaps, level by level: a tombstone is kept where one
    /// of them may have an older version of its key.
    pub fn deeper(&self, version: &Version) -> Vec<Vec<Arc<TableMeta>>> {
        let (first, last) = self.span();
        let overlapping = |level| version.overlapping(level, first, last);
        (self.output_level + 1..LEVELS).map(overlapping).filter(|tables| !tables.is_empty()).collect()
    }
}
