//! Writes with conditions.

use super::{MemDb, key, open};
use crate::base::options::Durability;
use crate::env::MemFs;
use crate::{Batch, Bucket, Condition, ConditionalWrite, ErrorKind, Expected};

fn put(key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value);
    batch
}

/// Writes `new` to the key if it is as expected. Returns whether it was.
fn put_if(db: &mut MemDb, key: &[u8], expected: Expected<'_>, new: &[u8]) -> bool {
    let before = (db.get(key), db.last_sequence());
    let condition = Condition { key: key.into(), expected };
    let outcome = db.write_if(&put(key, new), &[condition], Durability::Buffered).expect("writes");
    let after = (db.get(key), db.last_sequence());
    match outcome {
        ConditionalWrite::Written(sequence) => {
            assert_eq!(after, (Ok(Some(new.to_vec())), sequence));
            assert_eq!(sequence, before.1 + 1);
            true
        }
        ConditionalWrite::Failed(places) => {
            assert_eq!((places, after), (vec![0], before));
            false
        }
    }
}

#[test]
fn a_write_is_made_only_if_the_key_is_as_expected() {
    let mut db = open(&MemFs::new());
    assert!(!put_if(&mut db, b"k", Expected::Equals(b""), b"never"), "an absent key has no empty value");
    assert!(!put_if(&mut db, b"k", Expected::UnchangedSince(u64::MAX), b"never"));
    assert!(put_if(&mut db, b"k", Expected::Absent, b"one"));
    assert!(!put_if(&mut db, b"k", Expected::Absent, b"never"));
    assert!(!put_if(&mut db, b"k", Expected::Equals(b"on"), b"never"));
    assert!(put_if(&mut db, b"k", Expected::Equals(b"one"), b"two"));

    let (value, seen) = db.get_with_sequence(b"k").expect("reads").expect("is there");
    assert_eq!((&value[..], seen), (&b"two"[..], db.last_sequence()));
    db.put(b"another", b"", Durability::Buffered).expect("writes");
    assert!(!put_if(&mut db, b"k", Expected::UnchangedSince(seen - 1), b"never"));
    assert!(put_if(&mut db, b"k", Expected::UnchangedSince(seen), b"two"));
    assert!(
        !put_if(&mut db, b"k", Expected::UnchangedSince(seen), b"never"),
        "the same value, written again"
    );

    db.delete(b"k", Durability::Buffered).expect("writes");
    assert_eq!(db.get_with_sequence(b"k"), Ok(None));
    assert!(!put_if(&mut db, b"k", Expected::UnchangedSince(u64::MAX), b"never"));
    assert!(put_if(&mut db, b"k", Expected::Absent, b"three"));
}

#[test]
fn all_conditions_must_hold_and_all_that_do_not_are_named() {
    let mut db = open(&MemFs::new());
    db.put(b"a", b"1", Durability::Buffered).expect("writes");
    let mut batch = put(b"a", b"2");
    batch.put(b"b", b"2");
    let is = |key: &'static [u8], expected| Condition { key: key.into(), expected };
    let conditions = [
        is(b"a", Expected::Absent),
        is(b"a", Expected::Equals(b"1")),
        is(b"b", Expected::Equals(b"1")),
        is(b"b", Expected::Absent),
    ];
    let outcome = db.write_if(&batch, &conditions, Durability::Buffered);
    assert_eq!(outcome, Ok(ConditionalWrite::Failed(vec![0, 2])));
    assert_eq!((db.get(b"a"), db.get(b"b")), (Ok(Some(b"1".to_vec())), Ok(None)));
    let outcome = db.write_if(&batch, &[conditions[1], conditions[3]], Durability::Buffered);
    assert_eq!(outcome, Ok(ConditionalWrite::Written(3)));
    assert_eq!(db.get_many(Bucket::DEFAULT, &[b"a", b"b"]), Ok(vec![Some(b"2".to_vec()); 2]));
}

#[test]
fn a_wrong_call_writes_nothing_whatever_its_conditions_say() {
    let mut db = open(&MemFs::new());
    let nameless = Condition { key: b"".into(), expected: Expected::Absent };
    let error = db.write_if(&put(b"k", b""), &[nameless], Durability::Buffered).expect_err("no key");
    assert_eq!(*error.kind(), ErrorKind::InvalidArgument);
    let unmet = Condition { key: b"k".into(), expected: Expected::Equals(b"") };
    let error = db.write_if(&put(b"", b""), &[unmet], Durability::Buffered).expect_err("no key");
    assert_eq!(*error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(db.last_sequence(), 0);
    db.close().expect("closes");
    let error = db.write_if(&put(b"k", b""), &[unmet], Durability::Buffered).expect_err("closed");
    assert_eq!(*error.kind(), ErrorKind::Reopen);
}

#[test]
fn sequence_numbers_outlive_flushes_compactions_and_the_handle() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    for i in 0..5000u64 {
        db.put(&key(i), &i.to_le_bytes(), Durability::Buffered).expect("writes");
    }
    let check = |db: &MemDb| {
        for i in 0..5000u64 {
            let expected = (i.to_le_bytes().to_vec(), i + 1);
            assert_eq!(db.get_with_sequence(&key(i)), Ok(Some(expected)), "{i}");
        }
    };
    check(&db);
    while db.compact(100_000).expect("compacts").more {}
    check(&db);
    db.close().expect("closes");
    drop(db);
    let mut db = open(&fs);
    check(&db);
    assert!(!put_if(&mut db, &key(7), Expected::UnchangedSince(7), b"never"));
    assert!(put_if(&mut db, &key(7), Expected::UnchangedSince(8), b"new"));
    assert!(!put_if(&mut db, &key(8), Expected::Absent, b"never"));
}

#[test]
fn increments_count() {
    let mut db = open(&MemFs::new());
    let mut add = |key: &[u8], delta| {
        db.increment(key, delta, Durability::Buffered)
            .map(|(sum, _)| sum)
            .map_err(|error| error.message().to_owned())
    };
    assert_eq!(add(b"n", 5), Ok(5));
    assert_eq!(add(b"n", -7), Ok(-2));
    assert_eq!(add(b"n", i64::MAX), Ok(i64::MAX - 2));
    let overflow = add(b"n", 3).expect_err("too much");
    assert!(overflow.contains("9223372036854775805 + 3"), "{overflow}");
    assert_eq!(add(b"n", 0), Ok(i64::MAX - 2), "nothing was written");
    assert_eq!(db.get(b"n"), Ok(Some(b"9223372036854775805".to_vec())));
    for value in [&b""[..], b"-", b"+1", b" 1", b"1.0", b"--1", b"9223372036854775808", b"\xff"] {
        db.put(b"v", value, Durability::Buffered).expect("writes");
        let error = db.increment(b"v", 1, Durability::Buffered).expect_err("no number");
        assert_eq!(*error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(db.get(b"v"), Ok(Some(value.to_vec())));
    }
    db.put(b"v", b"-9223372036854775808", Durability::Buffered).expect("writes");
    let counted = db.increment(b"v", 1, Durability::Buffered);
    assert_eq!(counted, Ok((i64::MIN + 1, db.last_sequence())));
}
