//! Readers: other instances of the component that follow a store by its files while a primary writes.
#![cfg(feature = "component")]

use esker_host::{Bucket, Durability, Error, KeyRange, Options, Reader, ScanOptions};
use esker_host::{KvStore, Runtime};
use esker_tests::host::{open, runtime, small};
use esker_tests::temp_dir::TempDir;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn key(i: u64) -> Vec<u8> {
    format!("key{:06}", i % 500).into_bytes()
}

/// Writes `count` values, each the number of its write, and tells how far it has come.
fn write(store: &KvStore, count: u64, written: &AtomicU64) {
    for i in 1..=count {
        assert_eq!(store.put(&key(i), &i.to_be_bytes(), Durability::Buffered), Ok(i));
        written.store(i, Ordering::Release);
    }
}

/// Checks that what a reader sees is the state after its last write: every value is the newest of its key.
fn check(reader: &Reader, sequence: u64) {
    let mut expected = std::collections::BTreeMap::new();
    for i in 1..=sequence {
        expected.insert(key(i), i.to_be_bytes().to_vec());
    }
    let scan = reader.scan(KeyRange::all(), ScanOptions::default()).expect("scans");
    let found: std::collections::BTreeMap<_, _> = scan.collect::<Result<_, _>>().expect("reads");
    assert!(found == expected, "at {sequence}: {} entries, {} expected", found.len(), expected.len());
}

/// Among what it has found: a reader failed to list the directory while the primary removed a file in it.
#[test]
fn readers_see_whole_states_while_the_primary_writes_and_compacts() {
    let dir = TempDir::new();
    let options = Options {
        memtable_bytes: Some(16 << 10),
        table_bytes: Some(16 << 10),
        level1_bytes: Some(64 << 10),
        workers: Some(1),
        wal_segments_kept: Some(0),
        ..Options::default()
    };
    let store = KvStore::open(runtime(), dir.path(), options).expect("opens");
    let (written, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let reader = Reader::open(runtime(), dir.path(), Some(1 << 20)).expect("there is a store");
                let mut seen = 0;
                while !done.load(Ordering::Acquire) {
                    let before = written.load(Ordering::Acquire);
                    let sequence = reader.catch_up().expect("follows");
                    assert!(sequence >= before.max(seen), "{sequence} is behind {before} or {seen}");
                    seen = sequence;
                    check(&reader, sequence);
                }
            });
        }
        write(&store, 20_000, &written);
        done.store(true, Ordering::Release);
    });
    let reader = Reader::open(runtime(), dir.path(), None).expect("there is a store");
    assert_eq!(reader.catch_up(), Ok(20_000));
    store.close().expect("closes");
    check(&reader, 20_000);
}

#[test]
fn a_scan_and_a_value_stay_as_they_were_until_the_reader_catches_up() {
    let dir = TempDir::new();
    let store = open(dir.path());
    let written = AtomicU64::new(0);
    write(&store, 1000, &written);
    let reader = Reader::open(runtime(), dir.path(), None).expect("there is a store");
    let scan = reader.scan(KeyRange::all(), ScanOptions::default()).expect("scans");
    store.put(&key(1), b"new", Durability::Buffered).expect("writes");
    store.flush().expect("flushes");
    while store.compact(1 << 20).expect("compacts").more {}
    assert_eq!(reader.get(&key(1)), Ok(Some(501u64.to_be_bytes().to_vec())));
    assert_eq!(reader.catch_up(), Ok(1001));
    assert_eq!(reader.get(&key(1)), Ok(Some(b"new".to_vec())));
    let values: Vec<_> = scan.map(|entry| entry.expect("pinned").1).collect();
    assert_eq!(values.len(), 500);
    assert!(values.contains(&501u64.to_be_bytes().to_vec()), "the scan began before the last write");
}

#[test]
fn a_reader_sees_as_far_as_it_is_told_and_answers_every_kind_of_read() {
    let dir = TempDir::new();
    // Nobody hands deferred writes over in the background.
    let options = Options { background_maintenance: Some(false), deferred_millis: Some(u32::MAX), ..small() };
    let store = KvStore::open(runtime(), dir.path(), options).expect("opens");
    let reader = Reader::open(runtime(), dir.path(), None).expect("there is a store");
    let written = AtomicU64::new(0);
    write(&store, 100, &written);
    assert_eq!(reader.sequence(), 0);
    assert_eq!(reader.catch_up_to(60), Ok(60));
    check(&reader, 60);
    assert_eq!(
        reader.get_many(Bucket::DEFAULT, &[key(60), key(61)]),
        Ok(vec![Some(60u64.to_be_bytes().to_vec()), None])
    );
    assert_eq!((reader.contains(&key(60)), reader.contains(&key(61))), (Ok(true), Ok(false)));
    let range = reader.read_key_range(Bucket::DEFAULT, &key(1), &key(50), 2).expect("reads");
    assert_eq!(range.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), [key(1), key(2)]);
    assert_eq!(reader.catch_up_to(30), Ok(60), "it does not go back");

    store.put(&key(101), b"deferred", Durability::Deferred).expect("writes");
    assert_eq!(reader.catch_up_to(101), Ok(100), "what is deferred is not seen");
    store.flush().expect("flushes");
    assert_eq!(reader.catch_up_to(101), Ok(101));
    assert!(reader.stats().expect("stats").contains("\"last_sequence\":101"));
    assert_eq!(reader.verify().expect("verifies").problems, Vec::<String>::new());
}

#[test]
fn a_directory_without_a_store_is_refused_and_left_alone() {
    let dir = TempDir::new();
    let refused = |runtime: &Runtime| Reader::open(runtime, dir.path(), None);
    assert!(matches!(refused(runtime()), Err(Error::CannotOpen(_))));
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
    let missing = Reader::open(runtime(), dir.path().join("missing"), None);
    assert!(matches!(missing, Err(Error::Directory { .. })), "{missing:?}");
}
