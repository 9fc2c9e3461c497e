//! What a picker wants done.

use crate::version::{LEVELS, TableMeta, Version, VersionEdit};
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
    /// Level 0 has too many tables, and those that come next are in another job: the others are merged with each
    /// other.
    WithinLevel0,
    /// Runs that follow each other in age are of similar size.
    Similar,
    /// There are too many runs.
    Runs,
    /// The newer runs are too large beside the oldest, which they may hide.
    Space,
    /// A table has keys of a bucket that was dropped.
    Dropped,
    /// Nothing is written for now, and reads would rather look into one run than into each table of level 0.
    Rest,
}

impl Reason {
    const ALL: [Self; 10] = [
        Self::Level0,
        Self::Size,
        Self::Tombstones,
        Self::Manual,
        Self::WithinLevel0,
        Self::Similar,
        Self::Runs,
        Self::Space,
        Self::Dropped,
        Self::Rest,
    ];

    /// The reason with this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == byte)
    }

    /// Its name in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Level0 => "level0",
            Self::Size => "size",
            Self::Tombstones => "tombstones",
            Self::Manual => "manual",
            Self::WithinLevel0 => "within-level0",
            Self::Similar => "similar",
            Self::Runs => "runs",
            Self::Space => "space",
            Self::Dropped => "dropped",
            Self::Rest => "rest",
        }
    }
}

/// Tables to merge, and the level that the result goes to.
///
/// A plan takes every table that is older than its newest input, lies above its output level and shares keys with
/// it: what remains above the result is newer, what remains below is older.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Why.
    pub reason: Reason,
    /// The tables with their levels. Those of level 0 stand newest first.
    pub inputs: Vec<(usize, Arc<TableMeta>)>,
    /// Where the result goes. No input lies deeper. In level 0 the result is one table.
    pub output_level: usize,
}

impl Plan {
    /// The plan that merges `inputs` with what they overlap in `output_level`.
    pub fn into_level(
        reason: Reason,
        version: &Version,
        inputs: Vec<(usize, Arc<TableMeta>)>,
        output_level: usize,
    ) -> Self {
        let mut plan = Self { reason, inputs, output_level };
        let (first, last) = plan.span();
        let below = version.overlapping(output_level, first, last).into_iter();
        let below = below.map(|table| (output_level, table)).filter(|input| !plan.inputs.contains(input));
        let below: Vec<_> = below.collect();
        plan.inputs.extend(below);
        plan
    }

    /// The plan that merges the whole store into `output_level`, which no table lies below; `None` where it lies there
    /// already and holds nothing superfluous.
    pub fn of_all(version: &Version, output_level: usize) -> Option<Self> {
        let deepest = version.deepest();
        let merged = deepest > 0 && (0..deepest).all(|level| version.level(level).is_empty());
        // Old versions of keys are there for snapshots, which may have been released since.
        let more = |table: &TableMeta| table.tombstones > 0 || table.keys < table.entries;
        let superfluous = version.tables().any(|(_, table)| more(table));
        let inputs: Vec<_> = version.tables().map(|(level, table)| (level, Arc::clone(table))).collect();
        let plan = Self { reason: Reason::Manual, inputs, output_level };
        (!plan.inputs.is_empty() && (!merged || superfluous)).then_some(plan)
    }

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

    /// Whether the plan only moves tables down: they overlap neither each other nor what is there, and no tombstone
    /// wants to be dropped.
    pub fn is_trivial_move(&self) -> bool {
        let for_order = !matches!(self.reason, Reason::Tombstones | Reason::Manual | Reason::Dropped);
        let mut tables: Vec<&Arc<TableMeta>> = Vec::with_capacity(self.inputs.len());
        for (_, table) in &self.inputs {
            let at = tables.partition_point(|other| other.first_key() < table.first_key());
            tables.insert(at, table);
        }
        let apart = |pair: &[&Arc<TableMeta>]| pair[0].last_key() < pair[1].first_key();
        let moves = self.inputs.iter().any(|(level, _)| *level != self.output_level);
        for_order && moves && self.output_level > 0 && tables.windows(2).all(apart)
    }

    /// The edit of a trivial move.
    pub fn move_edit(&self) -> VersionEdit {
        let moved = || self.inputs.iter().filter(|(level, _)| *level != self.output_level);
        VersionEdit {
            removed: moved().map(|(level, table)| (*level, table.number)).collect(),
            added: moved().map(|(_, table)| (self.output_level, Arc::clone(table))).collect(),
            ..VersionEdit::default()
        }
    }

    /// The tables that the result overlaps and that are older, in sorted runs: what remains of level 0, table by
    /// table, where the result goes there, and the levels below the output, the nearest first. A tombstone is kept
    /// where one of them may have an older version of its key.
    pub fn deeper(&self, version: &Version) -> Vec<Vec<Arc<TableMeta>>> {
        let (first, last) = self.span();
        let newest = self.inputs.iter().map(|(_, table)| table.sequence_max).max().unwrap_or(0);
        let is_input = |table: &TableMeta| self.inputs.iter().any(|(_, input)| input.number == table.number);
        let older = |table: &&Arc<TableMeta>| {
            self.output_level == 0
                && table.sequence_max < newest
                && !is_input(table)
                && table.overlaps(first, last)
        };
        let within = version.level(0).iter().filter(older).map(|table| vec![Arc::clone(table)]);
        let below = (self.output_level + 1..LEVELS).map(|level| version.overlapping(level, first, last));
        within.chain(below).filter(|tables| !tables.is_empty()).collect()
    }
}
