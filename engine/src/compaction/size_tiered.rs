//! The size-tiered strategy: runs of similar size that follow each other in age are merged into one (Bigtable's and
//! Cassandra's tiers; the rules are those of RocksDB's universal compaction).
//!
//! A run is a table of level 0, or a whole deeper level. From the newest:
//!
//! ```text
//! L0:12  L0:11  L0:10 | L4 | L5                     | L6
//! ------ similar ----   the next older run: L4, so the result goes to level 3
//! ```
//!
//! When there are `runs_trigger` of them, the first rule that holds says which to merge:
//!
//! 1. *Space*: the newer runs are together larger than a share of the oldest, which they may all hide: everything.
//! 2. *Similar*: from some run on, each next one is no larger than all before it: these.
//! 3. *Runs*: there are more than `runs_trigger`: as many of the newest as brings them down to it.
//!
//! The result goes to the deepest level that is still above the next older run: the last one where there is none, level
//! 0 where that run is a table of level 0. So nothing on disk tells one strategy from the other.
//!
//! What it costs, with R runs of one size before they are merged (Dayan and Idreos, *Dostoevsky*, 2018, for tiering
//! with size ratio R; measured in docs/compaction.md): an entry is written about once for each time that the store grows
//! by the factor R, so log R (store / memtable) times, against R/2 times that under levelling. A read looks into every
//! run that can hold its key, of which there are about `runs_trigger`. The newer runs may hide up to `space_percent`
//! of the oldest, so the live data takes up to 1 + `space_percent` / 100 times its size; and while everything is
//! merged, old and new tables are on disk side by side.

use super::{Busy, Plan, Reason, tombstones};
use crate::base::options::Options;
use crate::version::{LEVELS, TableMeta, Version};
use std::ops::Range;
use std::sync::Arc;

/// The size-tiered picker's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeTiered {
    /// So many runs are left alone.
    pub runs_trigger: u32,
    /// A run is similar to the newer ones before it if it is at most by so much larger than all of them, in percent.
    pub ratio_percent: u64,
    /// Fewer similar runs are not merged; at least two.
    pub width_min: usize,
    /// More similar runs are not merged at once.
    pub width_max: usize,
    /// The newer runs may have so many bytes together, in percent of the oldest run's.
    pub space_percent: u64,
    /// A table is full of tombstones at this share of its entries, in percent; 0 never.
    pub tombstone_percent: u32,
}

/// Tables that follow each other in the order of their keys, all of one age.
#[derive(Debug)]
struct Run<'a> {
    level: usize,
    tables: &'a [Arc<TableMeta>],
    bytes: u64,
}

impl<'a> Run<'a> {
    fn new(level: usize, tables: &'a [Arc<TableMeta>]) -> Self {
        Self { level, tables, bytes: tables.iter().map(|table| table.size).sum() }
    }
}

impl SizeTiered {
    /// From a store's options.
    pub fn new(options: &Options) -> Self {
        Self {
            // All of them may be in level 0, where they must neither slow nor stop writes.
            runs_trigger: (2 * options.level0_trigger)
                .min(options.level0_slow())
                .min(options.level0_stop - 1),
            ratio_percent: 1,
            width_min: 2,
            width_max: usize::MAX,
            space_percent: 100,
            tombstone_percent: options.tombstone_percent,
        }
    }

    /// See [`Picker::pick`](super::Picker::pick).
    pub fn pick(&self, version: &Version, visible_to_all: u64, busy: &Busy) -> Option<Plan> {
        let bottom = if version.deepest() == 0 { LEVELS - 1 } else { version.deepest() };
        self.pick_runs(version, busy)
            .or_else(|| tombstones::pick(version, self.tombstone_percent, visible_to_all, busy, bottom))
    }

    /// See [`Picker::pick_all`](super::Picker::pick_all).
    pub fn pick_all(&self, version: &Version) -> Option<Plan> {
        Plan::of_all(version, LEVELS - 1)
    }

    /// See [`Picker::pending_bytes`](super::Picker::pending_bytes): the merges that the rules ask for one after the
    /// other, as if no entry hid another one.
    pub fn pending_bytes(&self, version: &Version) -> u64 {
        let mut sizes: Vec<u64> = runs(version).iter().map(|run| run.bytes).collect();
        let mut owed = 0;
        while self.is_due(sizes.len())
            && let Some((_, merged)) = self.choose(&sizes, true)
        {
            let bytes = sizes[merged.clone()].iter().sum::<u64>();
            owed += bytes;
            sizes.splice(merged, [bytes]);
        }
        owed
    }

    /// A merge of runs of which none is in another job, the oldest such runs first.
    fn pick_runs(&self, version: &Version, busy: &Busy) -> Option<Plan> {
        let runs = runs(version);
        if !self.is_due(runs.len()) {
            return None;
        }
        let mut end = runs.len();
        while end > 0 {
            let is_free = |run: &Run<'_>| !run.tables.iter().any(|table| busy.has(table.number));
            let free = runs[..end].iter().rev().take_while(|run| is_free(run)).count();
            let start = end - free;
            let sizes: Vec<u64> = runs[start..end].iter().map(|run| run.bytes).collect();
            if let Some((reason, chosen)) = self.choose(&sizes, end == runs.len()) {
                let plan = plan(reason, &runs, chosen.start + start..chosen.end + start);
                if busy.allows(&plan) {
                    return Some(plan);
                }
            }
            end = start.saturating_sub(1);
        }
        None
    }

    fn is_due(&self, runs: usize) -> bool {
        runs >= self.runs_trigger.max(2) as usize
    }

    /// Which of the runs with these sizes, newest first, to merge. `with_oldest` says whether the last of them is the
    /// oldest of all.
    fn choose(&self, sizes: &[u64], with_oldest: bool) -> Option<(Reason, Range<usize>)> {
        let (oldest, newer) = sizes.split_last()?;
        let newer_bytes = newer.iter().sum::<u64>();
        if with_oldest
            && !newer.is_empty()
            && newer_bytes.saturating_mul(100) > oldest.saturating_mul(self.space_percent)
        {
            return Some((Reason::Space, 0..sizes.len()));
        }
        let similar = (0..sizes.len()).map(|start| self.similar_from(sizes, start));
        if let Some(range) = similar.into_iter().find(|range| range.len() >= self.width_min.max(2)) {
            return Some((Reason::Similar, range));
        }
        let superfluous = sizes.len().saturating_sub(self.runs_trigger.max(1) as usize);
        (superfluous > 0).then(|| (Reason::Runs, 0..superfluous + 1))
    }

    /// The runs from `start` on of which each is similar to all before it.
    fn similar_from(&self, sizes: &[u64], start: usize) -> Range<usize> {
        let mut bytes = 0u64;
        let similar = sizes[start..].iter().take(self.width_max).take_while(|&&size| {
            let is_similar =
                bytes == 0 || size.saturating_mul(100) <= bytes.saturating_mul(100 + self.ratio_percent);
            bytes += size;
            is_similar
        });
        start..start + similar.count()
    }
}

/// The runs of a version, newest first.
fn runs(version: &Version) -> Vec<Run<'_>> {
    let newest = version.level(0).chunks(1).map(|table| Run::new(0, table));
    let deeper = (1..LEVELS).map(|level| Run::new(level, version.level(level)));
    newest.chain(deeper.filter(|run| !run.tables.is_empty())).collect()
}

/// The plan that merges these of the runs.
fn plan(reason: Reason, runs: &[Run<'_>], merged: Range<usize>) -> Plan {
    let output_level = match runs.get(merged.end) {
        None => LEVELS - 1,
        Some(older) => older.level.saturating_sub(1),
    };
    let tables = |run: &Run<'_>| run.tables.iter().map(|table| (run.level, Arc::clone(table))).collect();
    let inputs = runs[merged].iter().flat_map(|run| -> Vec<_> { tables(run) }).collect();
    Plan { reason, inputs, output_level }
}
