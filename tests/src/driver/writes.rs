//! Writes: what is acknowledged goes into the journal, what fails is in doubt.

use esker_engine::{Batch, Condition, ConditionalWrite, Durability, Error, ErrorKind, Expected, Key, Result};

use super::Driver;
use super::buckets::expect_missing;
use crate::history::{Belief, Op, Place, Refused};
use crate::journal::{OwnedKey, Value, Write};
use crate::platform::{Platform, Store};

/// What a condition expects of its key.
enum Believed {
    Absent,
    Equals(Value),
    UnchangedSince(u64),
}

impl Believed {
    fn as_expected(&self) -> Expected<'_> {
        match self {
            Self::Absent => Expected::Absent,
            Self::Equals(value) => Expected::Equals(value),
            Self::UnchangedSince(sequence) => Expected::UnchangedSince(*sequence),
        }
    }
}

impl<P: Platform> Driver<P> {
    pub(super) fn one(&mut self, op: &Op, durability: Durability) -> Result<()> {
        match op {
            Op::Put(place, value) => {
                let (key, value) = (self.key(*place), value.bytes());
                let write = Write::Batch(vec![(key.clone(), Some(value.clone().into()))]);
                self.write(write, durability, |store| store.put(as_key(&key), &value, durability))
            }
            Op::Delete(place) => {
                let key = self.key(*place);
                let write = Write::Batch(vec![(key.clone(), None)]);
                self.write(write, durability, |store| store.delete(as_key(&key), durability))
            }
        }
    }

    pub(super) fn batch(&mut self, ops: &[Op], durability: Durability) -> Result<()> {
        let write = self.to_write(ops);
        let batch = write.to_batch();
        self.write(write, durability, |store| store.write(&batch, durability))
    }

    fn key(&self, place: Place) -> OwnedKey {
        (self.bucket(place.slot), self.keys[place.key].clone())
    }

    fn to_write(&self, ops: &[Op]) -> Write {
        let pair = |op: &Op| match op {
            Op::Put(place, value) => (self.key(*place), Some(value.bytes().into())),
            Op::Delete(place) => (self.key(*place), None),
        };
        Write::Batch(ops.iter().map(pair).collect())
    }

    fn write(
        &mut self,
        write: Write,
        durability: Durability,
        call: impl Fn(&mut P::Store) -> Result<u64>,
    ) -> Result<()> {
        let answer = self.patiently(call);
        if !self.has_buckets_of(&write) {
            return expect_missing(answer);
        }
        match answer {
            Ok(sequence) => self.journal.acknowledge(write, durability, sequence),
            Err(error) => {
                self.doubt(write, &error);
                return Err(error);
            }
        }
        Ok(())
    }

    fn has_buckets_of(&self, write: &Write) -> bool {
        write.operations().iter().all(|(key, _)| self.has_bucket_of(key))
    }

    fn has_bucket_of(&self, (bucket, _): &OwnedKey) -> bool {
        self.journal.live().entries(*bucket).is_some()
    }

    /// A write has failed with this error, which may leave its fate open.
    pub(super) fn doubt(&mut self, write: Write, error: &Error) {
        if matches!(error.kind(), ErrorKind::Io | ErrorKind::NoSpace) {
            self.journal.doubt(write);
        }
    }

    pub(super) fn write_if(
        &mut self,
        conditions: &[(Place, Belief)],
        ops: &[Op],
        durability: Durability,
    ) -> Result<()> {
        let write = self.to_write(ops);
        let believed = conditions.iter().map(|(place, belief)| self.believed(*place, *belief));
        let believed: Vec<(OwnedKey, Believed)> = believed.collect();
        let condition =
            |(key, believed)| Condition { key: as_key(key), expected: Believed::as_expected(believed) };
        let conditions: Vec<_> = believed.iter().map(|(key, believed)| condition((key, believed))).collect();
        let failed = conditions.iter().enumerate().filter(|(_, condition)| !self.holds(condition));
        let failed: Vec<usize> = failed.map(|(place, _)| place).collect();

        let batch = write.to_batch();
        let answer = self.patiently(|store| store.write_if(&batch, &conditions, durability));
        if !self.has_buckets_of(&write) || !believed.iter().all(|(key, _)| self.has_bucket_of(key)) {
            return expect_missing(answer);
        }
        match answer {
            Ok(ConditionalWrite::Failed(places)) => {
                assert!(!places.is_empty(), "a write fails only because of a condition");
                assert_eq!(places, failed, "the conditions that do not hold");
            }
            Ok(ConditionalWrite::Written(sequence)) => {
                assert!(failed.is_empty(), "a write is made though {failed:?} do not hold");
                self.journal.acknowledge(write, durability, sequence);
            }
            Err(error) => {
                if failed.is_empty() {
                    self.doubt(write, &error);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn believed(&self, place: Place, belief: Belief) -> (OwnedKey, Believed) {
        let key = self.key(place);
        let value = self.journal.live().get(key.0, &key.1);
        let written = || self.journal.written(as_key(&key)).expect("a write gave the key its value");
        let believed = match (belief, value) {
            (Belief::Absent, _) | (Belief::Value | Belief::Unchanged, None) => Believed::Absent,
            (Belief::Value, Some(value)) => Believed::Equals(value.clone()),
            (Belief::Unchanged, Some(_)) => Believed::UnchangedSince(written()),
            (Belief::OtherValue, _) => Believed::Equals((*b"no history writes this").into()),
            (Belief::UnchangedTooLong, Some(_)) => Believed::UnchangedSince(written() - 1),
            (Belief::UnchangedTooLong, None) => Believed::UnchangedSince(u64::MAX),
        };
        (key, believed)
    }

    fn holds(&self, condition: &Condition<'_>) -> bool {
        let value = self.journal.live().get(condition.key.bucket, condition.key.bytes);
        match (condition.expected, value) {
            (Expected::Absent, value) => value.is_none(),
            (_, None) => false,
            (Expected::Equals(expected), Some(value)) => **value == *expected,
            (Expected::UnchangedSince(since), Some(_)) => {
                self.journal.written(condition.key).is_some_and(|written| written <= since)
            }
        }
    }

    pub(super) fn increment(&mut self, place: Place, delta: i64, durability: Durability) -> Result<()> {
        let key = self.key(place);
        let before = self.journal.live().get(key.0, &key.1).map_or(Some(0), |value| number(value));
        let expected = before.and_then(|before| before.checked_add(delta));
        let answer = self.patiently(|store| store.increment(as_key(&key), delta, durability));
        if !self.has_bucket_of(&key) {
            return expect_missing(answer);
        }
        match (answer, expected) {
            (Ok((sum, sequence)), _) => {
                assert_eq!(Some(sum), expected, "{before:?} + {delta}");
                let value = sum.to_string().into_bytes();
                self.journal.acknowledge(Write::Batch(vec![(key, Some(value.into()))]), durability, sequence);
                Ok(())
            }
            (Err(error), None) if error.kind() == &ErrorKind::InvalidArgument => Ok(()),
            (Err(error), None) => Err(error),
            (Err(error), Some(sum)) => {
                let value = sum.to_string().into_bytes();
                self.doubt(Write::Batch(vec![(key, Some(value.into()))]), &error);
                Err(error)
            }
        }
    }

    pub(super) fn refused(&mut self, what: Refused) -> Result<()> {
        let (_, before) = self.store().snapshot()?;
        let good = self.keys[0].clone();
        let durability = Durability::Synced;
        let store = self.store();
        let answer = match what {
            Refused::EmptyKey => store.put(b"".into(), b"value", durability).map(drop),
            Refused::LongKey => store.delete((&[b'x'; 65_537]).into(), durability).map(drop),
            Refused::Batch => {
                let mut batch = Batch::new();
                batch.put(&good, b"not to be seen");
                batch.delete(b"");
                store.write(&batch, durability).map(drop)
            }
            Refused::EmptyName => store.create_bucket("").map(drop),
            Refused::LongName => store.create_bucket(&"n".repeat(256)).map(drop),
            Refused::DropDefault => store.drop_bucket("default").map(drop),
        };
        let error = answer.expect_err("a call beyond the limits is refused");
        if error.kind() == &ErrorKind::InvalidArgument {
            let (_, after) = self.store().snapshot()?;
            assert_eq!(after, before, "a refused call changes nothing");
            return Ok(());
        }
        Err(error)
    }
}

fn as_key((bucket, bytes): &OwnedKey) -> Key<'_> {
    (*bucket, bytes).into()
}

/// The number that a value spells.
fn number(value: &[u8]) -> Option<i64> {
    let text = str::from_utf8(value).ok()?;
    if text.starts_with('+') { None } else { text.parse().ok() }
}
