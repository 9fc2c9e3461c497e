//! The levelled strategy: level 0 holds flushed memtables, each deeper level one sorted run ten times as large as
//! the one above (O'Neil et al., *The Log-Structured Merge-Tree*, 1996; LevelDB's and RocksDB's levels).
//!
//! The levels are measured from below (RocksDB's dynamic level bytes, Pebble's base level): the deepest takes what
//! there is, each above it a tenth, and the first that would be smaller than level 1's size is the *base*, where
//! level 0 goes. So once nothing is due, all levels but the deepest have about a ninth of its bytes, or a few times the
//! base's where that is more, and no more than that can hide what lies below; and a store that was size-tiered, all of
//! it in the deepest level, already has the right shape.
//!
//! Every level has a score: how full it is. The fullest level of score 1 or more is compacted into the next; a
//! tombstone counts for what it hides, too, so that space comes back early. Of a level's tables the one that overlaps
//! the next level least, for its size, goes first (RocksDB's `kMinOverlappingRatio`). From level 0 the oldest tables
//! go, as many as one job should hold; while they are in a job, the newer ones can be merged with each other
//! (RocksDB's intra-L0 compaction). Jobs that share no table run side by side. Where no level is full, a table goes
//! that is full of tombstones.
//!
//! What it costs, with a ratio of T = 10 between L levels: an entry is written about T/2 times a level, a read looks
//! into each table of level 0 and one table a level, and space beyond the live data is about 1/(T - 1) (RocksDB's
//! tuning guide; measured in docs/compaction.md).

use super::{Busy, Plan, Reason, tombstones};
use crate::base::options::Options;
use crate::version::{LEVELS, TableMeta, Version};
use std::sync::Arc;

/// Each level is so many times as large as the one above.
const LEVEL_RATIO: u64 = 10;
/// One job takes no further tables of level 0 once it has so many times level 1's size of them: it must end some time.
/// Half as much would end sooner, and write the base level so much more often that a store which is written as fast
/// as it can be would be a fifth slower (docs/compaction.md).
const LEVEL0_PORTION: u64 = 4;
/// Tables of level 0 are merged with each other only where there are so many more than make it full.
const WITHIN_LEVEL0_BEYOND: usize = 2;
/// ... and only if so many can be.
const WITHIN_LEVEL0_MIN: usize = 4;
/// At rest, level 0 is merged with so many times its own bytes of the base level at most: what is written and rests,
/// again and again, is then written three times more at most.
const REST_OVERLAP: u64 = 2;
/// A tombstone counts for so many entries beside those that its table has for sure (RocksDB's
/// `kDeletionWeightOnCompaction`).
const TOMBSTONE_WEIGHT: u64 = 2;

/// The levelled picker's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levelled {
    /// Level 0 is full at this many tables.
    pub level0_trigger: u32,
    /// The base level is full at this many bytes, if the deepest is not so large that it should be larger.
    pub level1_bytes: u64,
    /// A table is full of tombstones at this share of its entries, in percent; 0 never.
    pub tombstone_percent: u32,
    /// Whether levels are measured from the deepest one. Else level 1 is the base, and each one below ten times as
    /// large as the one above: what LevelDB does, here for comparison.
    pub from_below: bool,
}

/// How large the levels should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    /// Where level 0 goes.
    base: usize,
    /// The size at which each level is full; of level 0 without meaning.
    bytes_max: [u64; LEVELS],
}

impl Levelled {
    /// From a store's options.
    pub fn new(options: &Options) -> Self {
        Self {
            level0_trigger: options.level0_trigger,
            level1_bytes: options.level1_bytes(),
            tombstone_percent: options.tombstone_percent,
            from_below: true,
        }
    }

    /// See [`Picker::pick`](super::Picker::pick).
    pub fn pick(&self, version: &Version, visible_to_all: u64, busy: &Busy) -> Option<Plan> {
        let shape = self.shape(version);
        let entry_bytes = entry_bytes(version);
        // The highest score first.
        let mut full: Vec<(f64, usize)> = Vec::new();
        for level in 0..LEVELS - 1 {
            let score = self.score(version, level, &shape, entry_bytes, busy);
            if score >= 1.0 {
                full.insert(full.partition_point(|&(higher, _)| higher >= score), (score, level));
            }
        }
        let plan = |level| match level {
            0 => self.level0_plan(version, shape.base, busy),
            level => least_overlapping(version, level, entry_bytes, busy),
        };
        let tombstones =
            || tombstones::pick(version, self.tombstone_percent, visible_to_all, busy, shape.base);
        full.into_iter().find_map(|(_, level)| plan(level)).or_else(tombstones)
    }

    /// See [`Picker::pick_at_rest`](super::Picker::pick_at_rest): level 0 into the base level, before it is full.
    pub fn pick_at_rest(&self, version: &Version, busy: &Busy) -> Option<Plan> {
        if version.level(0).is_empty() {
            return None;
        }
        let plan = whole_level0(Reason::Rest, version, self.shape(version).base);
        let bytes = version.level_bytes(0);
        let pays = plan.bytes() - bytes <= REST_OVERLAP.saturating_mul(bytes);
        (pays && busy.allows(&plan)).then_some(plan)
    }

    /// See [`Picker::pick_all`](super::Picker::pick_all). The result goes to the deepest level, or, where levels are
    /// measured from above, to the first that is large enough.
    pub fn pick_all(&self, version: &Version) -> Option<Plan> {
        let bytes = version.tables().map(|(_, table)| table.size).sum::<u64>();
        let deepest = version.deepest().max(1);
        let shape = self.shape(version);
        let fits = |level: &usize| shape.bytes_max[*level] >= bytes;
        let output_level = match self.from_below {
            true => LEVELS - 1,
            false => (deepest..LEVELS - 1).find(fits).unwrap_or(LEVELS - 1),
        };
        Plan::of_all(version, output_level)
    }

    /// See [`Picker::pending_bytes`](super::Picker::pending_bytes): what each level has beyond its size, with what
    /// flows into it from above, and what it meets in the next (RocksDB's `EstimateCompactionBytesNeeded`). What has
    /// nothing below it only moves.
    pub fn pending_bytes(&self, version: &Version) -> u64 {
        let shape = self.shape(version);
        let (mut owed, mut coming) = (0, 0);
        if version.level(0).len() >= self.level0_trigger as usize {
            coming = version.level_bytes(0);
            let plan = whole_level0(Reason::Level0, version, shape.base);
            if !plan.is_trivial_move() {
                let portions = coming.div_ceil(LEVEL0_PORTION.saturating_mul(self.level1_bytes).max(1));
                owed = coming + portions.saturating_mul(plan.bytes() - coming);
            }
        }
        for level in shape.base..LEVELS - 1 {
            let (here, below) = (version.level_bytes(level) + coming, version.level_bytes(level + 1));
            let beyond = here.saturating_sub(shape.bytes_max[level]);
            if below > 0 {
                let met = u128::from(below) * u128::from(beyond) / u128::from(here.max(1));
                owed = owed.saturating_add(beyond).saturating_add(met as u64);
            }
            coming = beyond;
        }
        owed
    }

    /// See [`Picker::level_bytes_max`](super::Picker::level_bytes_max).
    pub fn level_bytes_max(&self, version: &Version) -> [Option<u64>; LEVELS] {
        let shape = self.shape(version);
        std::array::from_fn(|level| (shape.base..LEVELS - 1).contains(&level).then(|| shape.bytes_max[level]))
    }

    /// How large the levels of this version should be.
    fn shape(&self, version: &Version) -> Shape {
        let mut bytes_max = [u64::MAX; LEVELS];
        if !self.from_below {
            let mut bytes = self.level1_bytes;
            for level in &mut bytes_max[1..LEVELS - 1] {
                *level = bytes;
                bytes = bytes.saturating_mul(LEVEL_RATIO);
            }
            return Shape { base: 1, bytes_max };
        }
        let mut base = LEVELS - 1;
        let mut bytes = (1..LEVELS).map(|level| version.level_bytes(level)).max().unwrap_or(0);
        for level in (1..LEVELS - 1).rev() {
            if bytes > self.level1_bytes {
                base = level;
            }
            bytes /= LEVEL_RATIO;
            bytes_max[level] = bytes.max(self.level1_bytes);
        }
        // What lies above, from a time when the store had another shape, must stay above what level 0 brings.
        let highest = (1..LEVELS).find(|level| !version.level(*level).is_empty());
        Shape { base: base.min(highest.unwrap_or(base)), bytes_max }
    }

    /// How full a level is, without the tables that are on their way out of it.
    fn score(&self, version: &Version, level: usize, shape: &Shape, entry_bytes: u64, busy: &Busy) -> f64 {
        if level == 0 {
            return version.level(0).len() as f64 / f64::from(self.level0_trigger);
        }
        let staying = version.level(level).iter().filter(|table| !busy.has(table.number));
        staying.map(|table| weight(table, entry_bytes)).sum::<u64>() as f64 / shape.bytes_max[level] as f64
    }

    /// The oldest tables of level 0 into the base level, or, while that is not free, the newest with each other.
    fn level0_plan(&self, version: &Version, base: usize, busy: &Busy) -> Option<Plan> {
        let bytes_max = LEVEL0_PORTION.saturating_mul(self.level1_bytes);
        let mut bytes = 0;
        let tables = version.level(0);
        let oldest = tables.iter().rev().take_while(|table| {
            let goes = bytes < bytes_max;
            bytes += table.size;
            goes
        });
        let count = oldest.count();
        let oldest = tables.iter().skip(tables.len() - count).map(|table| (0, Arc::clone(table))).collect();
        let plan = Plan::into_level(Reason::Level0, version, oldest, base);
        Some(plan).filter(|plan| busy.allows(plan)).or_else(|| self.within_level0(version, busy))
    }

    /// Merges the newest tables of level 0 with each other, as many as make each table that goes cheaper than the one
    /// before.
    fn within_level0(&self, version: &Version, busy: &Busy) -> Option<Plan> {
        let tables = version.level(0);
        if tables.len() < self.level0_trigger as usize + WITHIN_LEVEL0_BEYOND {
            return None;
        }
        let free = tables.iter().take_while(|table| !busy.has(table.number));
        let (mut bytes, mut count, mut cost) = (0, 0, u64::MAX);
        for table in free {
            bytes += table.size;
            let with_it = bytes.checked_div(count).unwrap_or(u64::MAX);
            if with_it > cost {
                break;
            }
            (count, cost) = (count + 1, with_it);
        }
        let inputs: Vec<_> = tables.iter().take(count as usize).map(|table| (0, Arc::clone(table))).collect();
        let plan = Plan { reason: Reason::WithinLevel0, inputs, output_level: 0 };
        Some(plan).filter(|plan| plan.inputs.len() >= WITHIN_LEVEL0_MIN && busy.allows(plan))
    }
}

/// The plan that merges all of level 0 into the base level. REQUIRES: there is something in it.
fn whole_level0(reason: Reason, version: &Version, base: usize) -> Plan {
    let all = version.level(0).iter().map(|table| (0, Arc::clone(table))).collect();
    Plan::into_level(reason, version, all, base)
}

/// The plan for the table of a level that overlaps the next level least, in proportion to its weight; the first of
/// several.
fn least_overlapping(version: &Version, level: usize, entry_bytes: u64, busy: &Busy) -> Option<Plan> {
    let plans = version.level(level).iter().map(|table| {
        let plan = Plan::into_level(Reason::Size, version, vec![(level, Arc::clone(table))], level + 1);
        let overlap = plan.bytes() - table.size;
        (overlap.saturating_mul(1000) / weight(table, entry_bytes).max(1), plan)
    });
    let free = plans.filter(|(_, plan)| busy.allows(plan));
    free.min_by_key(|(overlap, _)| *overlap).map(|(_, plan)| plan)
}

/// The average size of an entry in bytes.
fn entry_bytes(version: &Version) -> u64 {
    let (bytes, entries) = version
        .tables()
        .fold((0, 0), |(bytes, entries), (_, table)| (bytes + table.size, entries + table.entries));
    bytes / entries.max(1)
}

/// A table's size for its level: its bytes, and what its tombstones hide below, where they are more than half of its
/// entries (RocksDB's compensated file size).
fn weight(table: &TableMeta, entry_bytes: u64) -> u64 {
    let beyond = (2 * table.tombstones).saturating_sub(table.entries);
    table.size + beyond.saturating_mul(entry_bytes).saturating_mul(TOMBSTONE_WEIGHT)
}
