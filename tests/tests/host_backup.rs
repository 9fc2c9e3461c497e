//! Backups of a store that is written to meanwhile.
#![cfg(feature = "component")]

use esker_host::{Batch, Durability, Error, KvStore, Options, Reader};
use esker_tests::fixture::content;
use esker_tests::host::runtime;
use esker_tests::temp_dir::TempDir;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

fn busy_store(dir: &TempDir) -> KvStore {
    let options = Options {
        memory_bytes: Some(8 << 20),
        memtable_bytes: Some(32 << 10),
        table_bytes: Some(32 << 10),
        level1_bytes: Some(64 << 10),
        wal_segments_kept: Some(0),
        workers: Some(1),
        ..Options::default()
    };
    KvStore::open(runtime(), dir.path(), options).expect("opens")
}

/// The primary flushes and compacts all the while and keeps no log segment that it does not need, so that the backup's
/// files go under its hands.
#[test]
fn a_backup_is_one_moment_of_a_store_that_is_written_to() {
    let (dir, backups) = (TempDir::new(), TempDir::new());
    let store = busy_store(&dir);
    let users = store.create_bucket("users").expect("creates");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for i in 0u64.. {
                // The same number in both buckets, and in the count.
                let mut batch = Batch::new();
                batch
                    .put(format!("key {:04}", i % 500).as_bytes(), format!("{i:0100}").as_bytes())
                    .expect("fits");
                batch.put((users, format!("key {:04}", i % 500).as_bytes()), &i.to_be_bytes()).expect("fits");
                batch.put(b"count", &i.to_be_bytes()).expect("fits");
                store.write(&batch, Durability::Buffered).expect("writes");
                if over.load(Ordering::Acquire) {
                    return i;
                }
            }
            0
        });
        for number in 0..12 {
            let to = backups.path().join(number.to_string());
            let acknowledged = store.get(b"count").expect("reads");
            let backup = store.backup(&to, number % 2 == 0).expect("copies");
            assert!(number % 2 == 0 || backup.linked_bytes == 0);
            let reader = Reader::open(runtime(), &to, None).expect("opens");
            assert_eq!(reader.sequence(), backup.sequence);
            assert_eq!(reader.verify().expect("reads").problems, Vec::<String>::new());
            drop(reader);
            let copy = KvStore::open(runtime(), &to, Options::default()).expect("opens");
            let count = copy.get(b"count").expect("reads");
            assert!(count >= acknowledged, "what was acknowledged before is in it");
            // Of each number, both keys or neither.
            for (bucket, key, value) in content(&copy) {
                if bucket == "users" {
                    let plain = copy.get(&key).expect("reads").expect("its pair is there");
                    let number = u64::from_be_bytes(value.try_into().expect("eight bytes"));
                    assert_eq!(plain, format!("{number:0100}").into_bytes());
                }
            }
            copy.put(b"count", b"", Durability::Synced).expect("it is a store of its own");
            copy.close().expect("closes");
        }
        over.store(true, Ordering::Release);
        let last = writer.join().expect("the writer goes on");
        assert_eq!(
            store.get(b"count"),
            Ok(Some(last.to_be_bytes().to_vec())),
            "no backup has changed the store"
        );
    });
    assert_eq!(store.verify().expect("reads").problems, Vec::<String>::new());
    let left = fs::read_dir(backups.path()).expect("is there").count();
    assert_eq!(left, 12, "nothing half done is left");
}

#[test]
fn a_backup_takes_no_place_that_is_taken() {
    let (dir, other) = (TempDir::new(), TempDir::new());
    let store = busy_store(&dir);
    store.put(b"k", b"v", Durability::Deferred).expect("writes");
    fs::write(other.path().join("precious"), "file").expect("writes");
    let refused = |to: &std::path::Path| match store.backup(to, false) {
        Err(Error::Directory { message, .. }) => message,
        other => panic!("{other:?}"),
    };
    assert!(refused(other.path()).contains("something in it"));
    assert!(refused(&other.path().join("precious")).contains("no directory"));
    assert!(refused(dir.path()).contains("something in it"), "the store itself");
    let nowhere = store.backup(other.path().join("precious").join("below"), false);
    assert!(nowhere.is_err(), "{nowhere:?}");
    assert_eq!(fs::read_dir(other.path()).expect("is there").count(), 1);
    // An empty directory, and a missing one whose parent is missing, too.
    let empty = TempDir::new();
    store.backup(empty.path(), true).expect("copies");
    let deep = other.path().join("a").join("b");
    store.backup(&deep, true).expect("copies");
    for copy in [empty.path(), &deep] {
        let reader = Reader::open(runtime(), copy, None).expect("opens");
        assert_eq!(reader.get(b"k"), Ok(Some(b"v".to_vec())), "deferred writes are in it");
    }
}
