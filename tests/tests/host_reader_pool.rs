//! Readers behind a `KvStore`: reads of many threads at the same time, each of which sees what was acknowledged before.
#![cfg(feature = "component")]

use esker_host::{Batch, Bucket, Durability, Error, KeyRange, KvStore, Options, ScanOptions};
use esker_tests::host::runtime;
use esker_tests::temp_dir::TempDir;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const KEYS: u64 = 300;

fn key(i: u64) -> Vec<u8> {
    format!("key{:04}", i % KEYS).into_bytes()
}

/// Small memtables and tables, so that much happens while a test runs.
fn options() -> Options {
    Options {
        memtable_bytes: Some(32 << 10),
        table_bytes: Some(16 << 10),
        level1_bytes: Some(64 << 10),
        wal_segments_kept: Some(0),
        workers: Some(1),
        readers: Some(2),
        reader_cache_bytes: Some(1 << 20),
        ..Options::default()
    }
}

fn number(value: &[u8]) -> u64 {
    u64::from_be_bytes(value[..8].try_into().expect("eight bytes"))
}

/// Writers raise the numbers under their keys; whoever reads must find no lower one than what was acknowledged before,
/// and none lower than what any thread has read before.
#[test]
fn a_read_sees_what_was_acknowledged_and_never_goes_back() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), options()).expect("opens");
    let acknowledged: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let seen: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|thread| {
                let (store, acknowledged, seen, done) = (&store, &acknowledged, &seen, &done);
                scope.spawn(move || {
                    let mut reads = 0u64;
                    while !done.load(Ordering::Acquire) {
                        let at = ((reads * 7919 + thread) % KEYS) as usize;
                        let least =
                            acknowledged[at].load(Ordering::Acquire).max(seen[at].load(Ordering::Acquire));
                        let found = store.get(&key(at as u64)).expect("reads");
                        let found = found.map_or(0, |value| number(&value));
                        assert!(found >= least, "key {at}: {found} after {least}");
                        seen[at].fetch_max(found, Ordering::Release);
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        for round in 1..=40u64 {
            for i in 0..KEYS {
                let durability = match (round + i) % 5 {
                    0 => Durability::Deferred,
                    _ => Durability::Buffered,
                };
                let value = [round.to_be_bytes().to_vec(), vec![7; 60]].concat();
                store.put(&key(i), &value, durability).expect("writes");
                acknowledged[i as usize].store(round, Ordering::Release);
            }
        }
        done.store(true, Ordering::Release);
        let reads: u64 = readers.into_iter().map(|reader| reader.join().expect("every read is right")).sum();
        assert!(reads > 0);
    });
    store.close().expect("closes");
}

/// A batch sets all keys to one number: a scan that finds two has a hole.
#[test]
fn a_scan_sees_whole_batches_in_one_state() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), options()).expect("opens");
    let written = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let before = written.load(Ordering::Acquire);
                    let scan = store.scan(KeyRange::all(), ScanOptions::default()).expect("scans");
                    let numbers: Vec<u64> = scan.map(|entry| number(&entry.expect("reads").1)).collect();
                    let first = numbers.first().copied().unwrap_or(0);
                    assert!(first >= before, "{first} after {before}");
                    assert!(numbers.iter().all(|&number| number == first), "{numbers:?}");
                    assert!(numbers.is_empty() || numbers.len() as u64 == KEYS);
                    let keys: Vec<Vec<u8>> = (0..KEYS).map(key).collect();
                    let many = store.get_many(Bucket::DEFAULT, &keys).expect("reads");
                    let many: Vec<u64> = many.iter().flatten().map(|value| number(value)).collect();
                    assert!(many.iter().all(|&number| number == many[0] && number >= first), "{many:?}");
                }
            });
        }
        for round in 1..=150u64 {
            let mut batch = Batch::new();
            for i in 0..KEYS {
                batch.put(&key(i), &round.to_be_bytes()).expect("within limits");
            }
            store.write(&batch, Durability::Buffered).expect("writes");
            written.store(round, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
    store.close().expect("closes");
}

#[test]
fn deferred_writes_are_read_at_once_and_after_they_were_handed_over() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), options()).expect("opens");
    for i in 0..50u64 {
        store.put(b"k", &i.to_be_bytes(), Durability::Deferred).expect("writes");
        assert_eq!(store.get(b"k"), Ok(Some(i.to_be_bytes().to_vec())));
        if i % 7 == 0 {
            store.flush_deferred().expect("hands over");
            assert_eq!(store.get(b"k"), Ok(Some(i.to_be_bytes().to_vec())));
        }
        store.delete(b"k", Durability::Buffered).expect("writes");
        assert_eq!(store.contains(b"k"), Ok(false));
    }
    store.close().expect("closes");
    assert!(matches!(store.get(b"k"), Err(Error::Reopen(_))), "a closed store answers nothing");
}

#[test]
fn a_caller_s_mistake_is_told_as_without_readers() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), options()).expect("opens");
    store.put(b"k", b"v", Durability::Buffered).expect("writes");
    assert!(matches!(store.get(&vec![0; 1 << 20]), Err(Error::InvalidArgument(_))));
    assert_eq!(store.get(b"k"), Ok(Some(b"v".to_vec())), "the readers are still there");
    store.close().expect("closes");
}

/// A reader's files are damaged behind its back: the primary answers in its place, with the store's own error.
#[test]
fn a_store_whose_readers_cannot_be_opened_answers_itself() {
    let dir = TempDir::new();
    // A cache limit is no reason, a directory without a manifest is: the primary has its own open.
    let store = KvStore::open(runtime(), dir.path(), options()).expect("opens");
    store.put(b"k", b"v", Durability::Buffered).expect("writes");
    let manifests: Vec<_> = std::fs::read_dir(dir.path())
        .expect("there")
        .map(|entry| entry.expect("there").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "manifest"))
        .collect();
    for path in &manifests {
        std::fs::rename(path, path.with_extension("away")).expect("moves");
    }
    assert_eq!(store.get(b"k"), Ok(Some(b"v".to_vec())));
    for path in &manifests {
        std::fs::rename(path.with_extension("away"), path).expect("moves back");
    }
    assert_eq!(store.get(b"k"), Ok(Some(b"v".to_vec())));
    store.close().expect("closes");
}

/// Readers were not held to the store's limit of memory, which says of each instance that it is.
#[test]
fn a_reader_that_traps_costs_no_answer() {
    const VALUES: u64 = 400;
    const VALUE_BYTES: usize = 100_000;
    let dir = TempDir::new();
    let options = Options {
        memory_bytes: Some(8 << 20),
        memory_limit_bytes: Some(24 << 20),
        readers: Some(2),
        reader_cache_bytes: Some(64 << 20),
        ..Options::default()
    };
    let store = KvStore::open(runtime(), dir.path(), options).expect("opens");
    let value = |i: u64| i.to_le_bytes().repeat(VALUE_BYTES / 8);
    for i in 0..VALUES {
        store.put(&i.to_be_bytes(), &value(i), Durability::Buffered).expect("writes");
    }
    store.flush().expect("flushes");

    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (store, value) = (&store, &value);
            scope.spawn(move || {
                for i in (0..2 * VALUES).map(|i| (i * 7 + thread) % VALUES) {
                    let found = store.get(&i.to_be_bytes()).expect("somebody answers");
                    assert!(found.is_some_and(|found| found == value(i)), "the value of {i}");
                }
            });
        }
    });
    let stats: serde_json::Value = serde_json::from_str(&store.stats().expect("answers")).expect("JSON");
    assert!(
        stats["readers"]["given_up"].as_u64() > Some(0),
        "a reader has met its limit: {}",
        stats["readers"]
    );
    store.close().expect("closes");
}
