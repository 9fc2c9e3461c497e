//! Reads: from the latest state, from snapshots, and by cursors that live across writes.

use std::collections::VecDeque;
use std::ops::Bound;
use std::rc::Rc;

use esker_engine::{KeyRange, Result, ScanOptions};

use super::{Driver, round};
use crate::journal::{State, Value, show};
use crate::platform::{Cursor, Platform, Store, read_to_end};

/// A cursor, and what it has yet to answer.
pub(super) struct OpenCursor<C> {
    cursor: C,
    ahead: VecDeque<Expected>,
}

type Expected = (Vec<u8>, Value);

impl<P: Platform> Driver<P> {
    pub(super) fn get(&mut self, key: usize, snapshot: Option<usize>) -> Result<()> {
        let bytes = self.keys[key].clone();
        let (found, expected) = match snapshot.and_then(|snapshot| round(snapshot, self.snapshots.len())) {
            Some(index) => {
                let store = self.store.as_mut().expect("the test goes on only with an open store");
                let (snapshot, state) = &self.snapshots[index];
                (store.get(&bytes, Some(snapshot))?, state.get(&bytes))
            }
            None => (self.store().get(&bytes, None)?, self.journal.live().get(&bytes)),
        };
        assert_value(&bytes, found.as_deref(), expected.map(AsRef::as_ref));
        Ok(())
    }

    pub(super) fn get_many(&mut self, keys: &[usize]) -> Result<()> {
        let keys: Vec<Vec<u8>> = keys.iter().map(|&key| self.keys[key].clone()).collect();
        let found = self.store().get_many(&keys)?;
        assert_eq!(found.len(), keys.len());
        for (key, found) in keys.iter().zip(found) {
            assert_value(key, found.as_deref(), self.journal.live().get(key).map(AsRef::as_ref));
        }
        Ok(())
    }

    pub(super) fn contains(&mut self, key: usize) -> Result<()> {
        let key = self.keys[key].clone();
        let found = self.store().contains(&key)?;
        assert_eq!(found, self.journal.live().contains_key(&key), "whether {} is there", show(&key));
        Ok(())
    }

    pub(super) fn scan(
        &mut self,
        range: &KeyRange,
        options: ScanOptions,
        snapshot: Option<usize>,
    ) -> Result<()> {
        let store = self.store.as_mut().expect("the test goes on only with an open store");
        let (cursor, state) = match snapshot.and_then(|snapshot| round(snapshot, self.snapshots.len())) {
            Some(index) => {
                let (snapshot, state) = &self.snapshots[index];
                (store.scan(range, options, Some(snapshot))?, state)
            }
            None => (store.scan(range, options, None)?, self.journal.live()),
        };
        let mut scan = OpenCursor { cursor, ahead: expected_entries(state, range, options) };
        scan.advance(usize::MAX)
    }

    pub(super) fn open_cursor(&mut self, range: &KeyRange, options: ScanOptions) -> Result<()> {
        let cursor = self.store().scan(range, options, None)?;
        self.cursors
            .push(OpenCursor { cursor, ahead: expected_entries(self.journal.live(), range, options) });
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

/// All that a store holds, by one scan.
pub fn read_all(store: &mut impl Store) -> Result<State> {
    let mut cursor = store.scan(&KeyRange::all(), ScanOptions::default(), None)?;
    read_state(&mut cursor)
}

/// All that a scan from the first key to the last gives.
pub(super) fn read_state(cursor: &mut impl Cursor) -> Result<State> {
    let mut state = State::new();
    for (key, value) in read_to_end(cursor)? {
        assert!(state.last_key_value().is_none_or(|(last, _)| *last < key), "a scan goes upward");
        state.insert(key, value.into());
    }
    Ok(state)
}

fn expected_entries(state: &State, range: &KeyRange, options: ScanOptions) -> VecDeque<Expected> {
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
    let forward = state.range::<[u8], _>((start, end));
    let limit = options.limit.map_or(usize::MAX, |limit| limit as usize);
    if options.reverse {
        forward.rev().take(limit).map(entry).collect()
    } else {
        forward.take(limit).map(entry).collect()
    }
}

pub(super) fn assert_value(key: &[u8], found: Option<&[u8]>, expected: Option<&[u8]>) {
    let text = |value: Option<&[u8]>| {
        value.map_or_else(|| "nothing".to_owned(), |bytes| format!("{:?}", show(bytes)))
    };
    assert!(found == expected, "{} is {}, and should be {}", show(key), text(found), text(expected));
}

fn show_entry(entry: Option<(&[u8], &[u8])>) -> String {
    entry.map_or_else(|| "the end".to_owned(), |(key, value)| format!("{} = {:?}", show(key), show(value)))
}
