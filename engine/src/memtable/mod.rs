//! The memtable: the newest writes in memory, sorted, until they are flushed to a table.
//!
//! Entries are only ever added. Readers and cursors share a memtable with the writer; a cursor copies a short run
//! of entries at a time and finds its place again by key, so that it never minds what is added meanwhile.

mod arena;
mod forest;
mod leaves;
mod tree;

use crate::base::batch::{Batch, Operation};
use crate::base::error::Result;
use crate::base::key::{self, Kind, put_internal_key, same_bytes, seek_trailer, trailer};
use crate::iter::InternalIterator;
use forest::{Forest, Place};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The newest writes, sorted, in memory.
#[derive(Debug, Default)]
pub struct Memtable {
    forest: RwLock<Forest>,
}

impl Memtable {
    /// An empty memtable.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. REQUIRES: `sequence` is greater than that of any entry with this key.
    pub fn insert(&self, user_key: &[u8], sequence: u64, kind: Kind, value: &[u8]) {
        let mut forest = self.forest.write().unwrap_or_else(PoisonError::into_inner);
        forest.insert(user_key, trailer(sequence, kind), value);
    }

    /// Adds a batch's operations, the first of them at `sequence`.
    pub fn apply(&self, mut sequence: u64, batch: &Batch) {
        let mut forest = self.forest.write().unwrap_or_else(PoisonError::into_inner);
        for operation in batch.operations() {
            match operation {
                Operation::Put { user_key, value } => {
                    forest.insert(user_key, trailer(sequence, Kind::Put), value);
                }
                Operation::Delete { user_key } => {
                    forest.insert(user_key, trailer(sequence, Kind::Delete), &[]);
                }
            }
            sequence += 1;
        }
    }

    /// The newest version of `user_key` that `sequence` sees: its kind; `read` is given the sequence number and the
    /// value of a put.
    pub fn get(&self, user_key: &[u8], sequence: u64, read: &mut dyn FnMut(u64, &[u8])) -> Option<Kind> {
        let forest = self.read();
        let entry = forest.entry(forest.lower_bound(user_key, seek_trailer(sequence)))?;
        if !same_bytes(entry.key, user_key) {
            return None;
        }
        let kind = key::kind_of(entry.trailer)?;
        if kind == Kind::Put {
            read(key::sequence_of(entry.trailer), entry.value);
        }
        Some(kind)
    }

    /// The number of entries.
    pub fn entries(&self) -> u64 {
        self.read().entries()
    }

    /// The number of entries whose user keys begin with `byte`.
    pub fn entries_of(&self, byte: u8) -> u64 {
        self.read().entries_of(byte)
    }

    /// The greatest user key.
    pub fn last_user_key(&self) -> Option<Vec<u8>> {
        let forest = self.read();
        forest.entry(forest.last()).map(|entry| entry.key.to_vec())
    }

    /// The memory in use, in bytes.
    pub fn bytes(&self) -> u64 {
        self.read().bytes()
    }

    /// An iterator over the entries, those added later included.
    pub fn iter(self: &Arc<Self>) -> MemtableIter {
        MemtableIter {
            memtable: Arc::clone(self),
            run: Run::default(),
            at: 0,
            run_entries: RUN_ENTRIES_MIN,
            forward: true,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Forest> {
        self.forest.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seek copies so many entries, and each refill twice as many as the one before, up to the maximum.
const RUN_ENTRIES_MIN: usize = 2;
const RUN_ENTRIES_MAX: usize = 64;
/// A run ends after the entry with which it reaches this size.
const RUN_BYTES_MAX: usize = 16 * 1024;

/// A position in a memtable.
#[derive(Debug)]
pub struct MemtableIter {
    memtable: Arc<Memtable>,
    run: Run,
    at: usize,
    run_entries: usize,
    forward: bool,
}

/// Entries copied out of a memtable.
#[derive(Debug, Default)]
struct Run {
    bytes: Vec<u8>,
    /// For each entry, where in `bytes` its key begins and ends; its value ends where the next one begins.
    entries: Vec<(usize, usize)>,
}

impl Run {
    fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    fn push(&mut self, entry: &tree::Entry<'_>) {
        let start = self.bytes.len();
        put_internal_key(&mut self.bytes, entry.key, entry.trailer);
        self.entries.push((start, self.bytes.len()));
        self.bytes.extend_from_slice(entry.value);
    }

    fn key(&self, at: usize) -> &[u8] {
        let (start, end) = self.entries[at];
        &self.bytes[start..end]
    }

    fn value(&self, at: usize) -> &[u8] {
        let (_, start) = self.entries[at];
        let end = self.entries.get(at + 1).map_or(self.bytes.len(), |next| next.0);
        &self.bytes[start..end]
    }
}

impl MemtableIter {
    /// Copies a run that begins at the place `find` gives.
    fn fill(&mut self, forward: bool, find: impl FnOnce(&Forest) -> Place) {
        self.run.clear();
        self.at = 0;
        self.forward = forward;
        let forest = self.memtable.read();
        let mut place = find(&forest);
        while let Some(entry) = forest.entry(place) {
            self.run.push(&entry);
            if self.run.entries.len() >= self.run_entries || self.run.bytes.len() >= RUN_BYTES_MAX {
                break;
            }
            place = if forward { forest.next(place) } else { forest.prev(place) };
        }
    }

    fn refill(&mut self) {
        let last = self.run.key(self.run.entries.len() - 1).to_vec();
        let (user, trailer) = key::split(&last);
        self.run_entries = (self.run_entries * 2).min(RUN_ENTRIES_MAX);
        match self.forward {
            true => self.fill(true, |forest| forest.next(forest.lower_bound(user, trailer))),
            false => self.fill(false, |forest| forest.prev(forest.lower_bound(user, trailer))),
        }
    }

    fn step(&mut self) {
        self.at += 1;
        if self.at == self.run.entries.len() {
            self.refill();
        }
    }
}

impl InternalIterator for MemtableIter {
    fn valid(&self) -> bool {
        self.at < self.run.entries.len()
    }

    fn key(&self) -> &[u8] {
        self.run.key(self.at)
    }

    fn value(&self) -> &[u8] {
        self.run.value(self.at)
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.run_entries = RUN_ENTRIES_MIN;
        self.fill(true, Forest::first);
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.run_entries = RUN_ENTRIES_MIN;
        self.fill(false, Forest::last);
        Ok(())
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        let (user, trailer) = key::split(target);
        self.run_entries = RUN_ENTRIES_MIN;
        self.fill(true, |forest| forest.lower_bound(user, trailer));
        Ok(())
    }

    fn seek_before(&mut self, target: &[u8]) -> Result<()> {
        let (user, trailer) = key::split(target);
        self.run_entries = RUN_ENTRIES_MIN;
        self.fill(false, |forest| forest.prev(forest.lower_bound(user, trailer)));
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.step();
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        self.step();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::{compare, internal_key};

    /// A fixed permutation of 0..n for a prime n.
    fn shuffled(n: u64) -> impl Iterator<Item = u64> {
        (0..n).map(move |i| (i * 7919 + 13) % n)
    }

    #[test]
    fn keeps_what_is_inserted_in_order() {
        let memtable = Arc::new(Memtable::new());
        let count = 10_007;
        for (sequence, i) in shuffled(count).enumerate() {
            memtable.insert(
                format!("key{i:08}").as_bytes(),
                sequence as u64 + 1,
                Kind::Put,
                &i.to_le_bytes(),
            );
        }
        assert_eq!(memtable.entries(), count);
        let mut iter = memtable.iter();
        iter.seek_to_first().expect("in memory");
        for i in 0..count {
            assert_eq!(key::user_key(iter.key()), format!("key{i:08}").as_bytes());
            assert_eq!(iter.value(), i.to_le_bytes());
            iter.next().expect("in memory");
        }
        assert!(!iter.valid());
        iter.seek_to_last().expect("in memory");
        for i in (0..count).rev() {
            assert_eq!(iter.value(), i.to_le_bytes());
            iter.prev().expect("in memory");
        }
        assert!(!iter.valid());
    }

    #[test]
    fn trees_of_several_first_bytes_are_one_order() {
        let memtable = Arc::new(Memtable::new());
        let user_key = |i: u64| [&[(i % 7 * 40) as u8], i.to_be_bytes().as_slice()].concat();
        let count = 1009;
        for (sequence, i) in shuffled(count).enumerate() {
            memtable.insert(&user_key(i), sequence as u64 + 1, Kind::Put, &i.to_le_bytes());
        }
        let mut keys: Vec<_> = (0..count).map(user_key).collect();
        keys.sort();
        assert_eq!(memtable.entries_of(40), (0..count).filter(|i| i % 7 == 1).count() as u64);
        assert_eq!(memtable.entries_of(41), 0);
        assert_eq!(memtable.last_user_key().as_ref(), keys.last());
        let mut iter = memtable.iter();
        let mut found = Vec::new();
        iter.seek_to_first().expect("in memory");
        while iter.valid() {
            found.push(key::user_key(iter.key()).to_vec());
            iter.next().expect("in memory");
        }
        assert_eq!(found, keys);
        found.clear();
        iter.seek_to_last().expect("in memory");
        while iter.valid() {
            found.push(key::user_key(iter.key()).to_vec());
            iter.prev().expect("in memory");
        }
        found.reverse();
        assert_eq!(found, keys);
        for byte in 0..=255u8 {
            let target = internal_key(&[byte], seek_trailer(key::SEQUENCE_MAX));
            let at = keys.partition_point(|key| key[0] < byte);
            iter.seek(&target).expect("in memory");
            assert_eq!(iter.valid().then(|| key::user_key(iter.key())), keys.get(at).map(Vec::as_slice));
            iter.seek_before(&target).expect("in memory");
            let before = at.checked_sub(1).map(|at| keys[at].as_slice());
            assert_eq!(iter.valid().then(|| key::user_key(iter.key())), before);
        }
    }

    #[test]
    fn versions_of_a_key_are_found_by_sequence() {
        let memtable = Memtable::new();
        for sequence in [2u64, 4, 6] {
            let kind = if sequence == 4 { Kind::Delete } else { Kind::Put };
            memtable.insert(b"k", sequence, kind, &[sequence as u8]);
            memtable.insert(b"k\0", sequence, Kind::Put, b"other");
        }
        let get = |sequence| {
            let mut value = Vec::new();
            memtable.get(b"k", sequence, &mut |_, bytes| value = bytes.to_vec()).map(|kind| (kind, value))
        };
        assert_eq!(get(1), None);
        assert_eq!(get(3), Some((Kind::Put, vec![2])));
        assert_eq!(get(4), Some((Kind::Delete, vec![])));
        assert_eq!(get(9), Some((Kind::Put, vec![6])));
    }

    #[test]
    fn an_iterator_lives_through_inserts() {
        let memtable = Arc::new(Memtable::new());
        for i in 0..100u64 {
            memtable.insert(format!("{i:03}").as_bytes(), i + 1, Kind::Put, b"");
        }
        let mut iter = memtable.iter();
        iter.seek(&internal_key(b"010", seek_trailer(key::SEQUENCE_MAX))).expect("in memory");
        let mut last = Vec::new();
        let mut seen = 0;
        while iter.valid() {
            assert!(last.is_empty() || compare(&last, iter.key()).is_lt());
            last = iter.key().to_vec();
            if iter.value().is_empty() {
                seen += 1;
            }
            memtable.insert(format!("{seen:03}x").as_bytes(), 1000 + seen, Kind::Put, b"new");
            iter.next().expect("in memory");
        }
        assert_eq!(seen, 90);
    }

    #[test]
    fn keys_of_all_lengths_and_large_values() {
        let memtable = Arc::new(Memtable::new());
        let mut keys: Vec<Vec<u8>> = (1..40).map(|length| vec![0u8; length]).collect();
        keys.push(vec![0xff; 65_536]);
        for (i, key) in keys.iter().enumerate().rev() {
            memtable.insert(key, i as u64 + 1, Kind::Put, &vec![7; i * 100_000]);
        }
        let mut iter = memtable.iter();
        iter.seek_to_first().expect("in memory");
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(key::user_key(iter.key()), key);
            assert_eq!(iter.value().len(), i * 100_000);
            iter.next().expect("in memory");
        }
        assert!(!iter.valid());
    }
}
