//! Reads: from the latest state, from snapshots, and by cursors that live across writes.

use std::collections::VecDeque;
use std::ops::Bound;
use std::rc::Rc;

use esker_engine::{Bucket, Key, KeyRange, Result, ScanOptions};

use super::buckets::{expect_missing, name};
use super::{Driver, round};
use crate::history::Place;
use crate::journal::{Entries, State, Value, show};
use crate::platform::{Cursor, Platform, Store, read_to_end};

/// A cursor, and what it has yet to answer.
pub(super) struct OpenCursor<C> {
    cursor: C,
    ahead: VecDeque<Expected>,
}

type Expected = (Vec<u8>, Value);

impl<P: Platform> Driver<P> {
    pub(super) fn get(&mut self, place: Place, snapshot: Option<usize>) -> Result<()> {
        let snapshot = snapshot.and_then(|snapshot| round(snapshot, self.snapshots.len()));
        let buckets = self.buckets_of(place.slot, snapshot);
        buckets.into_iter().try_for_each(|bucket| self.get_in(bucket, place.key, snapshot))
    }

    pub(super) fn get_in(&mut self, bucket: Bucket, key: usize, snapshot: Option<usize>) -> Result<()> {
        let store = self.store.as_mut().expect("the test goes on only with an open store");
        let pinned = snapshot.map(|index| &self.snapshots[index]);
        let key = Key::from((bucket, &self.keys[key]));
        let found = store.get(key, pinned.map(|(snapshot, _)| snapshot));
        match entries_seen(pinned.map(|(_, state)| state), self.journal.live(), bucket) {
            Some(entries) => assert_value(key, found?.as_deref(), entries.get(key.bytes).map(AsRef::as_ref)),
            None => expect_missing(found)?,
        }
        Ok(())
    }

    /// The bucket of a slot; from a snapshot the one that it sees and the one that is there now.
    fn buckets_of(&self, slot: usize, snapshot: Option<usize>) -> Vec<Bucket> {
        let name = name(slot);
        let mut buckets = vec![self.bucket(slot)];
        if let Some(index) = snapshot {
            let (_, state) = &self.snapshots[index];
            buckets.extend(state.bucket(&name));
            buckets.dedup();
        }
        buckets
    }

    pub(super) fn get_many(&mut self, slot: usize, keys: &[usize]) -> Result<()> {
        let bucket = self.bucket(slot);
        let keys: Vec<Vec<u8>> = keys.iter().map(|&key| self.keys[key].clone()).collect();
        let found = self.store().get_many(bucket, &keys);
        let Some(entries) = self.journal.live().entries(bucket) else {
            // No question, no answer.
            return if keys.is_empty() { found.map(drop) } else { expect_missing(found) };
        };
        let found = found?;
        assert_eq!(found.len(), keys.len());
        for (key, found) in keys.iter().zip(found) {
            let expected = entries.get(key).map(AsRef::as_ref);
            assert_value(Key::from((bucket, key)), found.as_deref(), expected);
        }
        Ok(())
    }

    pub(super) fn contains(&mut self, place: Place) -> Result<()> {
        let bucket = self.bucket(place.slot);
        let bytes = self.keys[place.key].clone();
        let found = self.store().contains(Key::from((bucket, &bytes)));
        match self.journal.live().entries(bucket) {
            Some(entries) => {
                assert_eq!(found?, entries.contains_key(&bytes), "whether {} is there", show(&bytes));
            }
            None => expect_missing(found)?,
        }
        Ok(())
    }

    pub(super) fn get_with_sequence(&mut self, place: Place) -> Result<()> {
        let bucket = self.bucket(place.slot);
        let bytes = self.keys[place.key].clone();
        let key = Key::from((bucket, &bytes));
        let found = self.store().get_with_sequence(key);
        let Some(entries) = self.journal.live().entries(bucket) else { return expect_missing(found) };
        let (value, sequence) = found?.unzip();
        let expected = entries.get(&bytes);
        assert_value(key, value.as_deref(), expected.map(AsRef::as_ref));
        let written = expected.and_then(|_| self.journal.written(key));
        assert_eq!(sequence, written, "which write gave {} its value", show(&bytes));
        Ok(())
    }

    pub(super) fn scan(
        &mut self,
        slot: usize,
        range: &KeyRange,
        options: ScanOptions,
        snapshot: Option<usize>,
    ) -> Result<()> {
        let snapshot = snapshot.and_then(|snapshot| round(snapshot, self.snapshots.len()));
        for bucket in self.buckets_of(slot, snapshot) {
            self.scan_in(range, ScanOptions { bucket, ..options }, snapshot)?;
        }
        Ok(())
    }

    pub(super) fn scan_in(
        &mut self,
        range: &KeyRange,
        options: ScanOptions,
        snapshot: Option<usize>,
    ) -> Result<()> {
        let store = self.store.as_mut().expect("the test goes on only with an open store");
        let pinned = snapshot.map(|index| &self.snapshots[index]);
        let cursor = store.scan(range, options, pinned.map(|(snapshot, _)| snapshot));
        let state = pinned.map(|(_, state)| state);
        let Some(entries) = entries_seen(state, self.journal.live(), options.bucket) else {
            return expect_missing(cursor.map(drop));
        };
        OpenCursor { cursor: cursor?, ahead: expected_entries(entries, range, options) }.advance(usize::MAX)
    }

    pub(super) fn open_cursor(&mut self, slot: usize, range: &KeyRange, options: ScanOptions) -> Result<()> {
        let options = ScanOptions { bucket: self.bucket(slot), ..options };
        let cursor = self.store().scan(range, options, None);
        let Some(entries) = self.journal.live().entries(options.bucket) else {
            return expect_missing(cursor.map(drop));
        };
        self.cursors.push(OpenCursor { cursor: cursor?, ahead: expected_entries(entries, range, options) });
        if self.cursors.len() > 5 {
            self.cursors.remove(0);
        }
        Ok(())
    }

    pub(super) fn advance(&mut self, cursor: usize, entries: usize) -> Result<()> {
        let Some(index) = round(cursor, self.cursors.len()) else { return Ok(()) };
        let advanced = self.cursors[index].advance(entries);
        if advanced.is_err() {
            // Where it stands after an error is not promised.
            self.cursors.remove(index);
        }
        advanced
    }

    pub(super) fn take_snapshot(&mut self) -> Result<()> {
        let (snapshot, sequence) = self.store().snapshot()?;
        assert_eq!(sequence, self.journal.sequence(), "a snapshot sees all that was acknowledged");
        self.snapshots.push((snapshot, self.journal.live().clone()));
        if self.snapshots.len() > 5 {
            self.snapshots.remove(0);
        }
        Ok(())
    }
}

impl<C: Cursor> OpenCursor<C> {
    /// Reads so many entries, or to the end and once more.
    fn advance(&mut self, entries: usize) -> Result<()> {
        let found = match entries {
            usize::MAX => read_to_end(&mut self.cursor)?,
            count => self.cursor.next_entries(count)?,
        };
        let mut found = found.into_iter();
        for _ in 0..entries {
            let (found, expected) = (found.next(), self.ahead.pop_front());
            let found = found.as_ref().map(|(key, value)| (key.as_slice(), value.as_slice()));
            let expected = expected.as_ref().map(|(key, value)| (key.as_slice(), value.as_ref()));
            assert!(
                found == expected,
                "the cursor is at {}, and should be at {}",
                show_entry(found),
                show_entry(expected)
            );
            if expected.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// All that a store holds, by a scan of each bucket.
pub fn read_all(store: &mut impl Store) -> Result<State> {
    let buckets = store.buckets(None)?;
    read_buckets(buckets, |options| store.scan(&KeyRange::all(), options, None))
}

/// All that scans of buckets from the first key to the last give.
pub(super) fn read_buckets<C: Cursor>(
    buckets: Vec<(Bucket, String)>,
    mut scan: impl FnMut(ScanOptions) -> Result<C>,
) -> Result<State> {
    let mut state = State::default();
    for (bucket, name) in buckets {
        state.create(bucket, &name);
        let mut last = None;
        for (key, value) in read_to_end(&mut scan(ScanOptions { bucket, ..ScanOptions::default() })?)? {
            assert!(last.is_none_or(|last| last < key), "a scan goes upward");
            state.set(bucket, key.clone(), Some(value.into()));
            last = Some(key);
        }
    }
    Ok(state)
}

/// Empty, as a bucket is to a snapshot that is older.
const NOTHING: &Entries = &Entries::new();

/// What is seen of a bucket, in the pinned state or else in the one of now; `None` where it is not there.
fn entries_seen<'a>(pinned: Option<&'a State>, live: &'a State, bucket: Bucket) -> Option<&'a Entries> {
    match pinned {
        Some(pinned) => pinned.entries(bucket).or_else(|| live.entries(bucket).map(|_| NOTHING)),
        None => live.entries(bucket),
    }
}

fn expected_entries(entries: &Entries, range: &KeyRange, options: ScanOptions) -> VecDeque<Expected> {
    let start = range.start.as_deref().map_or(Bound::Unbounded, Bound::Included);
    let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    if let (Bound::Included(start), Bound::Excluded(end)) = (start, end)
        && start >= end
    {
        return VecDeque::new();
    }
    let empty: Rc<[u8]> = Rc::from([]);
    let entry = |(key, value): (&Vec<u8>, &Rc<[u8]>)| {
        (key.clone(), if options.keys_only { Rc::clone(&empty) } else { Rc::clone(value) })
    };
    let forward = entries.range::<[u8], _>((start, end));
    let limit = options.limit.map_or(usize::MAX, |limit| limit as usize);
    if options.reverse {
        forward.rev().take(limit).map(entry).collect()
    } else {
        forward.take(limit).map(entry).collect()
    }
}

pub(super) fn assert_value(key: Key<'_>, found: Option<&[u8]>, expected: Option<&[u8]>) {
    let text = |value: Option<&[u8]>| {
        value.map_or_else(|| "nothing".to_owned(), |bytes| format!("{:?}", show(bytes)))
    };
    assert!(
        found == expected,
        "{} of bucket {} is {}, and should be {}",
        show(key.bytes),
        key.bucket,
        text(found),
        text(expected)
    );
}

fn show_entry(entry: Option<(&[u8], &[u8])>) -> String {
    entry.map_or_else(|| "the end".to_owned(), |(key, value)| format!("{} = {:?}", show(key), show(value)))
}
