//! The levelled strategy: level 0 holds flushed memtables, each deeper level one sorted run ten times as large as
//! the one above (O'Neil et al., *The Log-Structured Merge-Tree*, 1996; LevelDB's and RocksDB's levels).
//!
//! Every level has a score: how full it is. The fullest level of score 1 or more is compacted into the next.
//! Of its tables the one that overlaps the next level least, for its size, goes first (RocksDB's
//! `kMinOverlappingRatio`). Where no level is full, a table goes of which many entries are tombstones, or in which
//! many blocks are dense with them: a range that was deleted in a table of much else (Pebble's tombstone density).

use super::{Plan, Reason};
use crate::base::options::Options;
use crate::version::{LEVELS, TableMeta, Version};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Each level is so many times as large as the one above.
const LEVEL_RATIO: u64 = 10;
/// Tables with fewer tombstones are not compacted for their sake.
const TOMBSTONES_MIN: u64 = 16;

/// The levelled picker's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levelled {
    /// Level 0 is full at this many tables.
    pub level0_trigger: u32,
    /// Level 1 is full at this many bytes.
    pub level1_bytes: u64,
    /// A table is full of tombstones at this share of its entries, in percent; 0 never.
    pub tombstone_percent: u32,
}

impl Levelled {
    /// From a store's options.
    pub fn new(options: &Options) -> Self {
        Self {
            level0_trigger: options.level0_trigger,
            level1_bytes: options.level1_bytes(),
            tombstone_percent: options.tombstone_percent,
        }
    }

    /// What to compact next, if anything, beside the jobs that have the `busy` tables. Entries up to sequence number
    /// `visible_to_all` are seen alike by every reader: tombstones newer than that cannot be dropped yet.
    pub fn pick(&self, version: &Version, visible_to_all: u64, busy: &BTreeSet<u64>) -> Option<Plan> {
        let mut full: Vec<(f64, usize)> = (0..LEVELS - 1)
            .map(|level| (self.score(version, level, busy), level))
            .filter(|&(score, _)| score >= 1.0)
            .collect();
        full.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let plan = |level| match level {
            0 => Some(level0_plan(version, Reason::Level0)).filter(|plan| plan.is_free(busy)),
            level => self.least_overlapping(version, level, busy),
        };
        full.into_iter()
            .find_map(|(_, level)| plan(level))
            .or_else(|| self.pick_tombstones(version, visible_to_all, busy))
    }

    /// The plan that merges the whole store into its deepest level, or into a deeper one where it is too large for
    /// that; `None` where it is merged already.
    pub fn pick_all(&self, version: &Version) -> Option<Plan> {
        let deepest = version.deepest().max(1);
        let merged = (0..deepest).all(|level| version.level(level).is_empty());
        // Old versions of keys are there for snapshots, which may have been released since.
        let more = |table: &TableMeta| table.tombstones > 0 || table.keys < table.entries;
        let superfluous = version.tables().any(|(_, table)| more(table));
        if version.tables().next().is_none() || (merged && !superfluous) {
            return None;
        }
        let inputs: Vec<_> = version.tables().map(|(level, table)| (level, Arc::clone(table))).collect();
        let bytes = inputs.iter().map(|(_, table)| table.size).sum::<u64>();
        let fits = |level: &usize| self.level_bytes_max(*level) >= bytes;
        let output_level = (deepest..LEVELS - 1).find(fits).unwrap_or(LEVELS - 1);
        Some(Plan { reason: Reason::Manual, inputs, output_level })
    }

    /// How full a level is, without the tables that are on their way out of it.
    fn score(&self, version: &Version, level: usize, busy: &BTreeSet<u64>) -> f64 {
        if level == 0 {
            return version.level(0).len() as f64 / f64::from(self.level0_trigger);
        }
        let staying = version.level(level).iter().filter(|table| !busy.contains(&table.number));
        staying.map(|table| table.size).sum::<u64>() as f64 / self.level_bytes_max(level) as f64
    }

    /// The size at which a level is full.
    pub fn level_bytes_max(&self, level: usize) -> u64 {
        (1..level).fold(self.level1_bytes, |bytes, _| bytes.saturating_mul(LEVEL_RATIO))
    }

    fn pick_tombstones(&self, version: &Version, visible_to_all: u64, busy: &BTreeSet<u64>) -> Option<Plan> {
        if self.tombstone_percent == 0 {
            return None;
        }
        let many = |table: &TableMeta| {
            let share = table.tombstones * 100 >= table.entries * u64::from(self.tombstone_percent);
            let dense = table.tombstone_blocks * 100 >= table.blocks * u64::from(self.tombstone_percent);
            table.tombstones >= TOMBSTONES_MIN && (share || dense) && table.sequence_max <= visible_to_all
        };
        let mut candidates: Vec<_> =
            version.tables().filter(|(level, table)| *level > 0 && many(table)).collect();
        candidates
            .sort_by_key(|(level, table)| Reverse((table.tombstones * 100 / table.entries.max(1), *level)));
        candidates.into_iter().find_map(|(level, table)| {
            let output_level = if level == version.deepest() { level } else { level + 1 };
            let plan = plan_for(version, level, Arc::clone(table), output_level, Reason::Tombstones);
            Some(plan).filter(|plan| plan.is_free(busy))
        })
    }

    /// The plan for the table of a level that overlaps the next level least, in proportion to its size; the first of
    /// several.
    fn least_overlapping(&self, version: &Version, level: usize, busy: &BTreeSet<u64>) -> Option<Plan> {
        let plans = version.level(level).iter().map(|table| {
            let plan = plan_for(version, level, Arc::clone(table), level + 1, Reason::Size);
            let overlap = plan.bytes() - table.size;
            (overlap.saturating_mul(1000) / table.size.max(1), plan)
        });
        let free = plans.filter(|(_, plan)| plan.is_free(busy));
        free.min_by_key(|(overlap, _)| *overlap).map(|(_, plan)| plan)
    }
}

/// About how many bytes compaction should move and has not: what each level has beyond its size, and what it
/// would be merged with.
pub fn pending_bytes(version: &Version, levelled: &Levelled) -> u64 {
    let level0 = match version.level(0).len() >= levelled.level0_trigger as usize {
        true => version.level_bytes(0) + version.level_bytes(1).min(levelled.level1_bytes),
        false => 0,
    };
    let deeper = (1..LEVELS - 1).map(|level| {
        let beyond = version.level_bytes(level).saturating_sub(levelled.level_bytes_max(level));
        let ratio = version.level_bytes(level + 1) / version.level_bytes(level).max(1);
        beyond.saturating_mul(ratio.min(LEVEL_RATIO) + 1)
    });
    level0 + deeper.sum::<u64>()
}

/// All of level 0 into level 1, with what it overlaps there.
fn level0_plan(version: &Version, reason: Reason) -> Plan {
    let inputs = version.level(0).iter().map(|table| (0, Arc::clone(table))).collect();
    let mut plan = Plan { reason, inputs, output_level: 1 };
    let (first, last) = plan.span();
    let below = version.overlapping(1, first, last);
    plan.inputs.extend(below.into_iter().map(|table| (1, table)));
    plan
}

/// One table of a level below 0 into `output_level`, with what it overlaps there.
fn plan_for(
    version: &Version,
    level: usize,
    table: Arc<TableMeta>,
    output_level: usize,
    reason: Reason,
) -> Plan {
    let below = match output_level == level {
        true => Vec::new(),
        false => version.overlapping(output_level, table.first_key(), table.last_key()),
    };
    let mut inputs = vec![(level, table)];
    inputs.extend(below.into_iter().map(|table| (output_level, table)));
    Plan { reason, inputs, output_level }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::{Kind, internal_key, trailer};
    use crate::version::VersionEdit;
    use std::fmt::Write;
    use std::path::Path;

    /// A case is a drawing of the levels and the plan that is expected:
    ///
    /// ```text
    /// options level0-trigger=4 level1-bytes=100 tombstone-percent=30
    /// L0 12 a..f 50
    /// L1 7 a..c 60 tombstones=20/40 sequences=5..9
    /// pick
    /// ----
    /// level0: L0:12 L1:7 -> L1
    /// ```
    fn run_case(text: &str) -> String {
        let mut levelled = Levelled { level0_trigger: 4, level1_bytes: 100, tombstone_percent: 30 };
        let mut edit = VersionEdit::default();
        let mut visible_to_all = u64::MAX;
        let mut busy = BTreeSet::new();
        let mut output = String::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [comment, ..] if comment.starts_with('#') => {}
                ["options", settings @ ..] => {
                    for setting in settings {
                        let (name, value) = setting.split_once('=').expect("name=value");
                        let value: u64 = value.parse().expect("a number");
                        match name {
                            "level0-trigger" => levelled.level0_trigger = value as u32,
                            "level1-bytes" => levelled.level1_bytes = value,
                            "tombstone-percent" => levelled.tombstone_percent = value as u32,
                            "visible-to-all" => visible_to_all = value,
                            other => panic!("unknown option {other}"),
                        }
                    }
                }
                ["busy", numbers @ ..] => {
                    busy.extend(numbers.iter().map(|number| number.parse::<u64>().expect("a number")))
                }
                [level, number, span, size, more @ ..] if level.starts_with('L') => {
                    let level = level[1..].parse().expect("a level");
                    edit.added.push((level, Arc::new(parse_table(number, span, size, more))));
                }
                [command] => {
                    let version = Version::default().apply(&edit).expect("the drawing is sound");
                    let plan = match *command {
                        "pick" => levelled.pick(&version, visible_to_all, &busy),
                        "pick-all" => levelled.pick_all(&version),
                        other => panic!("unknown command {other}"),
                    };
                    writeln!(output, "{}", describe(plan)).expect("a string");
                }
                other => panic!("cannot read {other:?}"),
            }
        }
        output
    }

    fn parse_table(number: &str, span: &str, size: &str, more: &[&str]) -> TableMeta {
        let (first, last) = span.split_once("..").expect("first..last");
        let number: u64 = number.parse().expect("a number");
        let mut table = TableMeta {
            number,
            size: size.parse().expect("a size"),
            entries: 100,
            keys: 100,
            blocks: 10,
            sequence_min: number * 100,
            sequence_max: number * 100 + 99,
            smallest: internal_key(first.as_bytes(), trailer(number * 100, Kind::Put)),
            largest: internal_key(last.as_bytes(), trailer(number * 100, Kind::Put)),
            ..TableMeta::default()
        };
        for setting in more {
            let (name, value) = setting.split_once('=').expect("name=value");
            match name {
                "tombstones" => {
                    let (tombstones, entries) = value.split_once('/').expect("tombstones/entries");
                    table.tombstones = tombstones.parse().expect("a number");
                    table.entries = entries.parse().expect("a number");
                    table.keys = table.entries;
                }
                "keys" => table.keys = value.parse().expect("a number"),
                "blocks" => table.tombstone_blocks = value.parse().expect("a number"),
                other => panic!("unknown setting {other}"),
            }
        }
        table
    }

    fn describe(plan: Option<Plan>) -> String {
        let Some(plan) = plan else { return "nothing".into() };
        let inputs: Vec<_> =
            plan.inputs.iter().map(|(level, table)| format!("L{level}:{}", table.number)).collect();
        let verb = if plan.is_trivial_move() { "moves to" } else { "->" };
        format!("{}: {} {verb} L{}", plan.reason.name(), inputs.join(" "), plan.output_level)
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the cases are files, and UPDATE=1 rewrites them")]
    fn picks_what_the_text_cases_expect() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/compaction");
        let mut cases = 0;
        for entry in std::fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("readable").path();
            let text = std::fs::read_to_string(&path).expect("readable");
            let (case, expected) = text.split_once("----\n").expect("a case has a line of dashes");
            let found = run_case(case);
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&path, format!("{case}----\n{found}")).expect("writable");
            } else {
                assert_eq!(found, expected, "{} (UPDATE=1 rewrites it)", path.display());
            }
            cases += 1;
        }
        assert!(cases >= 8, "only {cases} cases were found");
    }
}
