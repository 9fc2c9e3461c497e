//! Writes with conditions.

use super::{MemDb, key, open};
use crate::base::options::Durability;
use crate::env::MemFs;
use crate::{Batch, Condition, ConditionalWrite, ErrorKind, Expected};

fn put(key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(key, value);
    batch
}

/// Writes `new` to the key if it is as expected. Returns whether it was.
fn put_if(db: &mut MemDb, key: &[u8], expected: Expected<'_>, new: &[u8]) -> bool {
    let before = (db.get(key), db.last_sequence());
    let condition = Condition { key, expected };
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
    let is = |key: &'static [u8], expected| Condition { key, expected };
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
    assert_eq!(db.get_many(&[b"a", b"b"]), Ok(vec![Some(b"2".to_vec()); 2]));
}

#[test]
fn a_wrong_call_writes_nothing_whatever_its_conditions_say() {
    let mut db = open(&MemFs::new());
    let nameless = Condition { key: b"", expected: Expected::Absent };
    let error = db.write_if(&put(b"k", b""), &[nameless], Durability::Buffered).expect_err("no key");
    assert_eq!(*error.kind(), ErrorKind::InvalidArgument);
    let unmet = Condition { key: b"k", expected: Expected::Equals(b"") };
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
