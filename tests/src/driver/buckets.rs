//! Buckets: made, dropped and listed; and numbers by which there is none.

use std::fmt::Debug;

use esker_engine::{
    Batch, Bucket, Condition, Durability, ErrorKind, Expected, Key, KeyRange, Result, ScanOptions,
};

use super::{Driver, round};
use crate::history::{DEFAULT_SLOT, MissingAct};
use crate::journal::{State, Write};
use crate::platform::{Platform, Store};

/// No history has more slots.
const SLOTS: usize = 4;

impl<P: Platform> Driver<P> {
    /// The bucket in a slot; where there is none, a number by which there is none.
    pub(super) fn bucket(&self, slot: usize) -> Bucket {
        let there = self.journal.live().bucket(&name(slot));
        there.unwrap_or_else(|| self.missing_bucket(self.steps))
    }

    fn missing_bucket(&self, which: usize) -> Bucket {
        let missing = self.journal.missing_buckets();
        missing[which % missing.len()]
    }

    pub(super) fn create_bucket(&mut self, slot: usize) -> Result<()> {
        let name = name(slot);
        let there = self.journal.live().bucket(&name);
        let expected = there.unwrap_or_else(|| self.journal.next_bucket());
        let answer = self.patiently(|store| store.create_bucket(&name));
        if let Ok(number) = answer {
            assert_eq!(number, expected, "the number of {name:?}, there before: {}", there.is_some());
        }
        match there {
            Some(_) => answer.map(drop),
            None => self.wrote_to_catalogue(Write::CreateBucket(expected, name), answer.map(drop)),
        }
    }

    pub(super) fn drop_bucket(&mut self, slot: usize) -> Result<()> {
        let name = name(slot);
        let there = self.journal.live().bucket(&name);
        let answer = self.patiently(|store| store.drop_bucket(&name));
        if let Ok(dropped) = answer {
            assert_eq!(dropped, there.is_some(), "whether there was a bucket {name:?} to drop");
        }
        match there {
            Some(bucket) => self.wrote_to_catalogue(Write::DropBucket(bucket), answer.map(drop)),
            None => answer.map(drop),
        }
    }

    fn wrote_to_catalogue(&mut self, write: Write, answer: Result<()>) -> Result<()> {
        match &answer {
            Ok(()) => self.journal.acknowledge_in_catalogue(write),
            Err(error) => self.doubt(write, error),
        }
        answer
    }

    /// Holds the lists of buckets against the journal, and each name.
    pub(super) fn list_buckets(&mut self, snapshot: usize) -> Result<()> {
        let store = self.store.as_mut().expect("the test goes on only with an open store");
        let pinned = round(snapshot, self.snapshots.len()).map(|index| &self.snapshots[index]);
        let states = [Some((None, self.journal.live())), pinned.map(|(at, state)| (Some(at), state))];
        for (at, state) in states.into_iter().flatten() {
            assert_same_buckets(&store.buckets(at)?, state);
            for slot in 0..SLOTS {
                let found = store.bucket(&name(slot), at)?;
                assert_eq!(found, state.bucket(&name(slot)), "the bucket named {:?}", name(slot));
            }
        }
        Ok(())
    }

    /// Uses a number by which there is no bucket: each call says so, and changes nothing.
    pub(super) fn use_missing(&mut self, which: usize, act: MissingAct, key: usize) -> Result<()> {
        let bucket = self.missing_bucket(which);
        let bytes = self.keys[key].clone();
        let key = Key::from((bucket, &bytes));
        let durability = Durability::Synced;
        let mut elsewhere = Batch::new();
        elsewhere.put(&bytes, b"not to be seen");
        let store = self.store();
        match act {
            MissingAct::Put => expect_missing(store.put(key, b"value", durability)),
            MissingAct::Delete => expect_missing(store.delete(key, durability)),
            MissingAct::Batch => {
                elsewhere.put(key, b"value");
                expect_missing(store.write(&elsewhere, durability))
            }
            MissingAct::Condition => {
                let condition = Condition { key, expected: Expected::Absent };
                expect_missing(store.write_if(&elsewhere, &[condition], durability))
            }
            MissingAct::Increment => expect_missing(store.increment(key, 1, durability)),
            MissingAct::Get => expect_missing(store.get(key, None)),
            MissingAct::GetMany => expect_missing(store.get_many(bucket, &[bytes])),
            MissingAct::Contains => expect_missing(store.contains(key)),
            MissingAct::GetWithSequence => expect_missing(store.get_with_sequence(key)),
            MissingAct::Scan => {
                let options = ScanOptions { bucket, ..ScanOptions::default() };
                expect_missing(store.scan(&KeyRange::all(), options, None).map(drop))
            }
        }
    }

    /// Learns what the store has forgotten by itself. `well` says that no call has failed meanwhile: then the store's
    /// own count must agree.
    pub(super) fn see_forgotten(&mut self, well: bool) -> Result<()> {
        if self.journal.dropped_buckets() == 0 {
            return Ok(());
        }
        let (_, sequence) = self.store().snapshot()?;
        let known = self.journal.sequence();
        self.journal.see_sequence(sequence);
        if well && sequence > known {
            let counted = dropped_buckets(&self.store().stats()?);
            assert_eq!(counted, self.journal.dropped_buckets(), "dropped buckets that are not forgotten");
        }
        Ok(())
    }
}

/// The name of the bucket in a slot.
pub(super) fn name(slot: usize) -> String {
    if slot == DEFAULT_SLOT { "default".into() } else { format!("bucket {slot}") }
}

pub(super) fn assert_same_buckets(found: &[(Bucket, String)], state: &State) {
    let expected = state.buckets().map(|(bucket, name)| (bucket, name.to_owned())).collect::<Vec<_>>();
    assert_eq!(found, expected, "the buckets");
}

/// The answer of a call on a bucket that is not there.
pub(super) fn expect_missing<T: Debug>(answer: Result<T>) -> Result<()> {
    match answer {
        Err(error) if error.kind() == &ErrorKind::NoSuchBucket => Ok(()),
        Err(error) => Err(error),
        Ok(answer) => panic!("there is no such bucket, and the answer is {answer:?}"),
    }
}

/// How many buckets a store's statistics call dropped.
pub(super) fn dropped_buckets(stats: &str) -> u64 {
    let (_, after) = stats.split_once("\"dropped_buckets\":").expect("the statistics count dropped buckets");
    let digits = after.trim_start().split(|char: char| !char.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).expect("a count is a number")
}
