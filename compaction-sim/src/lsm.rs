//! The tables of a store as sorted integers, and what flushes and merges make of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use esker_engine::base::key::{Kind, internal_key, trailer};
use esker_engine::compaction::Plan;
use esker_engine::version::{LEVELS, TableMeta, Version, VersionEdit};

/// A key, and in the lowest bit whether it was deleted.
pub type Entry = u32;

/// The entry that sets a key.
pub fn put(key: u32) -> Entry {
    key << 1
}

/// The entry that deletes a key.
pub fn delete(key: u32) -> Entry {
    key << 1 | 1
}

/// The key of an entry.
pub fn key(entry: Entry) -> u32 {
    entry >> 1
}

/// Whether an entry deletes its key.
pub fn is_tombstone(entry: Entry) -> bool {
    entry & 1 == 1
}

/// How large things are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Of a key, in bytes; a tombstone has no more.
    pub key_bytes: u64,
    /// Of a value, in bytes.
    pub value_bytes: u64,
    /// A data block is cut at this size.
    pub block_bytes: u64,
    /// A merge cuts its tables at this size.
    pub table_bytes: u64,
}

impl Sizes {
    /// The size of an entry in bytes.
    pub fn of(&self, entry: Entry) -> u64 {
        if is_tombstone(entry) { self.key_bytes } else { self.key_bytes + self.value_bytes }
    }
}

/// A table: what the engine knows of it, and what is in it.
#[derive(Debug, Clone)]
pub struct Table {
    /// As in the manifest.
    pub meta: Arc<TableMeta>,
    /// Sorted, each key once.
    pub entries: Arc<[Entry]>,
}

/// A store without memtable, log and files.
#[derive(Debug, Clone)]
pub struct Lsm {
    /// How large things are.
    pub sizes: Sizes,
    /// The live tables.
    pub version: Version,
    contents: BTreeMap<u64, Arc<[Entry]>>,
    next_number: u64,
    sequence: u64,
}

/// A table is cut early where it would overlap so many tables' worth of the next level, as the engine's runner does.
const GRANDPARENT_TABLES: u64 = 10;

impl Lsm {
    /// An empty store.
    pub fn new(sizes: Sizes) -> Self {
        Self { sizes, version: Version::default(), contents: BTreeMap::new(), next_number: 1, sequence: 0 }
    }

    /// The table that a flush of these writes makes: the newest entry of each key.
    pub fn flush(&mut self, writes: &[Entry]) -> Table {
        let mut entries: Vec<(u32, u32)> = (0..).zip(writes).map(|(at, &entry)| (key(entry), at)).collect();
        entries.sort_unstable_by_key(|&(key, at)| (key, u32::MAX - at));
        entries.dedup_by_key(|(key, _)| *key);
        let entries = entries.into_iter().map(|(_, at)| writes[at as usize]).collect();
        let first = self.sequence + 1;
        self.sequence += writes.len() as u64;
        self.table(entries, (first, self.sequence))
    }

    /// The tables that carrying out a plan makes.
    pub fn merge(&mut self, plan: &Plan) -> Vec<Table> {
        let sequences = plan.inputs.iter().fold((u64::MAX, 0), |(min, max), (_, table)| {
            (min.min(table.sequence_min), max.max(table.sequence_max))
        });
        let deeper = plan.deeper(&self.version);
        let spans: Vec<Vec<(u32, u32)>> =
            deeper.iter().map(|run| run.iter().map(|table| self.span(table)).collect()).collect();
        let kept = self.merged(plan).into_iter().filter(|&entry| {
            let is_below = |run: &Vec<(u32, u32)>| {
                let at = run.partition_point(|&(_, last)| last < key(entry));
                run.get(at).is_some_and(|&(first, _)| first <= key(entry))
            };
            !is_tombstone(entry) || spans.iter().any(is_below)
        });
        let kept: Vec<Entry> = kept.collect();
        let cut = if plan.output_level == 0 { vec![kept] } else { self.cut(kept, deeper.first()) };
        cut.into_iter().filter(|table| !table.is_empty()).map(|table| self.table(table, sequences)).collect()
    }

    /// Makes the result of a plan part of the store.
    ///
    /// # Panics
    ///
    /// Where it does not fit: the picker has broken an invariant of [`Version`].
    pub fn install(&mut self, plan: &Plan, tables: &[Table]) {
        let removed = plan.inputs.iter().map(|(level, table)| (*level, table.number)).collect();
        let added = tables.iter().map(|table| (plan.output_level, Arc::clone(&table.meta))).collect();
        self.apply(&VersionEdit { removed, added, ..VersionEdit::default() });
        tables.iter().for_each(|table| self.keep(table));
        plan.inputs.iter().for_each(|(_, table)| drop(self.contents.remove(&table.number)));
    }

    /// Makes a flushed table part of the store.
    pub fn install_flush(&mut self, table: &Table) {
        self.apply(&VersionEdit { added: vec![(0, Arc::clone(&table.meta))], ..VersionEdit::default() });
        self.keep(table);
    }

    /// Applies an edit to the version; see [`Lsm::install`].
    pub fn apply(&mut self, edit: &VersionEdit) {
        self.version = self.version.apply(edit).expect("a plan fits the version that it was made for");
    }

    /// The bytes of all tables.
    pub fn bytes(&self) -> u64 {
        self.version.tables().map(|(_, table)| table.size).sum()
    }

    /// How many sorted runs a read has to look into: the tables of level 0, and each deeper level that has any.
    pub fn runs(&self) -> usize {
        let deeper = (1..LEVELS).filter(|level| !self.version.level(*level).is_empty());
        self.version.level(0).len() + deeper.count()
    }

    /// What reading every key finds, newest first as a read looks: the keys that are there.
    pub fn live_keys(&self) -> Vec<u32> {
        let mut all: Vec<u64> = Vec::new();
        for (at, (level, table)) in self.version.tables().enumerate() {
            // Tables of one deeper level do not overlap: their order among each other is without meaning.
            let rank = if level == 0 { at as u64 } else { 1 << 20 | level as u64 };
            all.extend(self.entries(table).iter().map(|&entry| ranked(entry, rank)));
        }
        newest(all).into_iter().filter(|&entry| !is_tombstone(entry)).map(key).collect()
    }

    fn entries(&self, table: &TableMeta) -> &[Entry] {
        &self.contents[&table.number]
    }

    fn keep(&mut self, table: &Table) {
        self.contents.insert(table.meta.number, Arc::clone(&table.entries));
    }

    fn span(&self, table: &TableMeta) -> (u32, u32) {
        let entries = self.entries(table);
        (key(entries[0]), key(entries[entries.len() - 1]))
    }

    /// The newest entry of each key in the plan's inputs, which stand newest first.
    fn merged(&self, plan: &Plan) -> Vec<Entry> {
        let mut all = Vec::new();
        for (rank, (_, table)) in plan.inputs.iter().enumerate() {
            all.extend(self.entries(table).iter().map(|&entry| ranked(entry, rank as u64)));
        }
        newest(all)
    }

    /// Cuts a sorted run into tables, by size and by what they overlap of `next`.
    fn cut(&self, run: Vec<Entry>, next: Option<&Vec<Arc<TableMeta>>>) -> Vec<Vec<Entry>> {
        let next: Vec<(u32, u64)> =
            next.into_iter().flatten().map(|table| (self.span(table).1, table.size)).collect();
        let (mut tables, mut table, mut bytes, mut overlapped, mut at) = (Vec::new(), Vec::new(), 0, 0, 0);
        for entry in run {
            let too_wide = overlapped > GRANDPARENT_TABLES * self.sizes.table_bytes;
            if bytes >= self.sizes.table_bytes || (too_wide && bytes > 0) {
                tables.push(std::mem::take(&mut table));
                (bytes, overlapped) = (0, 0);
            }
            while let Some(&(last, size)) = next.get(at).filter(|(last, _)| *last < key(entry)) {
                debug_assert!(last < key(entry));
                overlapped += size;
                at += 1;
            }
            bytes += self.sizes.of(entry);
            table.push(entry);
        }
        tables.push(table);
        tables
    }

    fn table(&mut self, entries: Vec<Entry>, (sequence_min, sequence_max): (u64, u64)) -> Table {
        let number = self.next_number;
        self.next_number += 1;
        let (mut size, mut blocks, mut tombstone_blocks) = (0, 0, 0);
        let mut block = (0, 0, 0);
        for (at, &entry) in entries.iter().enumerate() {
            size += self.sizes.of(entry);
            block.0 += self.sizes.of(entry);
            block.1 += 1;
            block.2 += u64::from(is_tombstone(entry));
            if block.0 >= self.sizes.block_bytes || at + 1 == entries.len() {
                blocks += 1;
                tombstone_blocks += u64::from(block.2 * 2 >= block.1);
                block = (0, 0, 0);
            }
        }
        let bytes = |entry: Option<&Entry>| {
            let key = key(*entry.expect("a table has an entry"));
            internal_key(&key.to_be_bytes(), trailer(sequence_max, Kind::Put))
        };
        let meta = Arc::new(TableMeta {
            number,
            size,
            entries: entries.len() as u64,
            tombstones: entries.iter().filter(|&&entry| is_tombstone(entry)).count() as u64,
            keys: entries.len() as u64,
            blocks,
            tombstone_blocks,
            sequence_min,
            sequence_max,
            smallest: bytes(entries.first()),
            largest: bytes(entries.last()),
            ..TableMeta::default()
        });
        Table { meta, entries: entries.into() }
    }
}

/// An entry with the age of what it stands in, in an order that puts the newest entry of a key first.
fn ranked(entry: Entry, rank: u64) -> u64 {
    u64::from(key(entry)) << 32 | rank << 1 | u64::from(entry & 1)
}

/// The newest entry of each key.
fn newest(mut all: Vec<u64>) -> Vec<Entry> {
    // The stable sort finds the sorted runs, and merges them.
    all.sort();
    all.dedup_by_key(|ranked| *ranked >> 32);
    all.into_iter().map(|ranked| ((ranked >> 32) as u32) << 1 | (ranked & 1) as u32).collect()
}
