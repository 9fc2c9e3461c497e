//! Tables that are worth merging for what their tombstones hide, whatever the strategy.
//!
//! A table is full of tombstones when they are a given share of its entries, or when that share of its blocks is dense
//! with them: a range that was deleted in a table of much else (Pebble's tombstone density). It is merged with the
//! nearest tables below that it overlaps, or, where there are none, rewritten, so that each merge drops tombstones or
//! brings them nearer to what they hide; the last one drops both.

use super::{Busy, Plan, Reason};
use crate::version::{LEVELS, TableMeta, Version};
use std::cmp::Reverse;
use std::sync::Arc;

/// Tables with fewer tombstones are not compacted for their sake.
const TOMBSTONES_MIN: u64 = 16;

/// The plan for the table with the largest share of tombstones, if it is `percent` or more (0: never) and every
/// reader sees what the table hides as gone. A table of level 0 that overlaps nothing goes to level `bottom`.
pub fn pick(
    version: &Version,
    percent: u32,
    visible_to_all: u64,
    busy: &Busy,
    bottom: usize,
) -> Option<Plan> {
    if percent == 0 {
        return None;
    }
    let full = |table: &TableMeta| {
        let share = table.tombstones * 100 >= table.entries * u64::from(percent);
        let dense = table.tombstone_blocks * 100 >= table.blocks * u64::from(percent);
        table.tombstones >= TOMBSTONES_MIN && (share || dense) && table.sequence_max <= visible_to_all
    };
    let mut candidates: Vec<_> = version.tables().filter(|(_, table)| full(table)).collect();
    let worst_first = |(level, table): &(usize, &Arc<TableMeta>)| {
        Reverse((table.tombstones * 100 / table.entries.max(1), *level))
    };
    // Nearly always the first may go, so that it does not pay to sort them.
    while let Some(at) = (0..candidates.len()).min_by_key(|&at| worst_first(&candidates[at])) {
        let (level, table) = candidates.remove(at);
        let plan = plan(version, level, table, bottom);
        if busy.allows(&plan) {
            return Some(plan);
        }
    }
    None
}

fn plan(version: &Version, level: usize, table: &Arc<TableMeta>, bottom: usize) -> Plan {
    let inputs: Vec<_> = match level {
        // What is older in level 0 would else come to lie above.
        0 => version.level(0).iter().skip_while(|newer| newer.number != table.number).collect(),
        _ => vec![table],
    };
    let inputs = inputs.into_iter().map(|table| (level, Arc::clone(table))).collect();
    let alone = Plan { reason: Reason::Tombstones, inputs, output_level: level };
    let (first, last) = alone.span();
    let overlapped = (level + 1..LEVELS).find(|below| !version.overlapping(*below, first, last).is_empty());
    let output_level = overlapped.unwrap_or(if level == 0 { bottom } else { level });
    Plan::into_level(Reason::Tombstones, version, alone.inputs, output_level)
}
