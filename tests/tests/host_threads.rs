//! One store, many threads: every thread finds its own writes, and what goes together stays together.
#![cfg(feature = "component")]

use esker_host::{Batch, Bucket, Durability, Error, KeyRange, KvStore, Options, ScanOptions};
use esker_tests::host::{open, runtime, small};
use esker_tests::temp_dir::TempDir;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const THREADS: u32 = 8;
const WRITES: u32 = 300;

fn key(thread: u32, write: u32) -> Vec<u8> {
    format!("{thread:02}/{write:06}").into_bytes()
}

/// One thread's share: puts, batches and deletes of every durability, each read back at once. Returns the sequence
/// numbers that it got.
fn share(store: &KvStore, thread: u32) -> Vec<u64> {
    let mut sequences = Vec::new();
    for write in 0..WRITES {
        let durability = match write % 50 {
            0 => Durability::Synced,
            1..25 => Durability::Buffered,
            _ => Durability::Deferred,
        };
        let mut batch = Batch::new();
        batch.put(&key(thread, write), &write.to_be_bytes()).expect("within the limits");
        batch.put(b"last", &thread.to_be_bytes()).expect("within the limits");
        sequences.push(match write % 3 {
            0 => store.write(&batch, durability).expect("write"),
            _ => store.put(&key(thread, write), &write.to_be_bytes(), durability).expect("put"),
        });
        assert_eq!(store.get(&key(thread, write)), Ok(Some(write.to_be_bytes().to_vec())), "its own write");
        if write % 7 == 0 {
            sequences.push(store.delete(&key(thread, write), durability).expect("delete"));
            assert_eq!(store.get(&key(thread, write)), Ok(None), "its own delete");
        }
    }
    sequences
}

#[test]
fn every_thread_finds_its_own_writes_and_gets_their_numbers() {
    let dir = TempDir::new();
    let store = open(dir.path());
    let shares: Vec<Vec<u64>> = thread::scope(|scope| {
        let store = &store;
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || share(store, thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread fails")).collect()
    });
    for sequences in &shares {
        assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "a thread's writes stand in its order");
    }
    let all: BTreeSet<u64> = shares.iter().flatten().copied().collect();
    assert_eq!(all.len(), shares.iter().map(Vec::len).sum::<usize>(), "no two writes have one number");

    store.close().expect("close");
    let store = open(dir.path());
    for thread in 0..THREADS {
        let expected: Vec<_> =
            (0..WRITES).filter(|write| write % 7 != 0).map(|write| key(thread, write)).collect();
        let prefix = KeyRange::prefix(format!("{thread:02}/").as_bytes());
        let scan = store.scan(prefix, ScanOptions::default()).expect("scan");
        let found: Result<Vec<_>, _> = scan.map(|entry| entry.map(|(key, _)| key)).collect();
        assert_eq!(found, Ok(expected));
    }
}

#[test]
fn a_batch_is_seen_whole_or_not_at_all() {
    let dir = TempDir::new();
    let store = open(dir.path());
    let done = AtomicBool::new(false);
    let pair = |number: u32| {
        let mut batch = Batch::new();
        batch.put(b"left", &number.to_be_bytes()).expect("within the limits");
        batch.put(b"right", &number.to_be_bytes()).expect("within the limits");
        batch
    };
    store.write(&pair(0), Durability::Deferred).expect("write");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let both = store.get_many(Bucket::DEFAULT, &["left", "right"]).expect("get");
                    assert_eq!(both[0], both[1]);
                }
            });
        }
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (store, pair) = (&store, &pair);
                scope.spawn(move || {
                    for number in 0..500 {
                        store.write(&pair(writer * 1_000 + number), Durability::Buffered).expect("write");
                    }
                })
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
}

#[test]
fn synced_writes_of_many_threads_survive_the_end_of_the_instance() {
    let dir = TempDir::new();
    // Nobody hands anything over in the background.
    let options = Options { background_maintenance: Some(false), deferred_millis: Some(u32::MAX), ..small() };
    let store = KvStore::open(runtime(), dir.path(), options).expect("open");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for write in 0..20 {
                    store.put(&key(thread, write), b"", Durability::Synced).expect("put");
                }
            });
        }
    });
    store.put(b"deferred", b"", Durability::Deferred).expect("put");
    // As a crash: nothing is dropped, so nothing is handed over. The copy is what the disk holds at this moment.
    let copy = TempDir::new();
    for entry in std::fs::read_dir(dir.path()).expect("a store is a directory") {
        let entry = entry.expect("readable");
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copy");
    }
    let recovered = open(copy.path());
    for thread in 0..THREADS {
        for write in 0..20 {
            assert_eq!(recovered.contains(&key(thread, write)), Ok(true), "thread {thread}, write {write}");
        }
    }
    assert_eq!(recovered.contains(b"deferred"), Ok(false), "it was still in the store's buffer");
}

#[test]
fn a_thread_that_runs_an_executor_may_call_the_store() {
    // WASI for wasmtime is built on tokio, and tokio panics where a thread that drives tasks is made to wait for
    // one. Whoever calls from async code blocks the executor for the length of the call, but that is all.
    let dir = TempDir::new();
    let executor = tokio::runtime::Builder::new_current_thread().build().expect("an executor");
    executor.block_on(async {
        let store = open(dir.path());
        for number in 0..2_000u32 {
            store.put(&number.to_be_bytes(), &[7; 100], Durability::Buffered).expect("put");
        }
        store.flush().expect("flush");
        assert_eq!(store.verify().expect("verify").problems, Vec::<String>::new());
        store.close().expect("close");
        assert_eq!(open(dir.path()).get(&7u32.to_be_bytes()), Ok(Some(vec![7; 100])));
    });
}

#[test]
fn a_close_in_the_middle_ends_every_thread_with_reopen() {
    let dir = TempDir::new();
    let store = open(dir.path());
    let acknowledged: Vec<u32> = thread::scope(|scope| {
        let store = &store;
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                scope.spawn(move || {
                    for write in 0.. {
                        match store.put(&key(thread, write), b"", Durability::Buffered) {
                            Ok(_) => {}
                            Err(Error::Reopen(_)) => return write,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    unreachable!("the store is closed before the numbers end")
                })
            })
            .collect();
        while store.get(&key(0, 100)).expect("get").is_none() {}
        store.close().expect("close");
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let store = open(dir.path());
    for (thread, &count) in acknowledged.iter().enumerate() {
        for write in 0..count {
            assert_eq!(
                store.contains(&key(thread as u32, write)),
                Ok(true),
                "thread {thread}, write {write}"
            );
        }
        assert_eq!(store.contains(&key(thread as u32, count)), Ok(false), "what was refused is not there");
    }
}

#[test]
fn background_maintenance_brings_the_store_to_rest() {
    let dir = TempDir::new();
    let store = open(dir.path());
    for number in 0..20_000u32 {
        store.put(&(number % 5_000).to_be_bytes(), &[0; 100], Durability::Deferred).expect("put");
    }
    // No sleep and no clock: the loop ends when the thread has done its work, or the test hangs.
    loop {
        let pressure = store.pressure().expect("pressure");
        if pressure.sealed_memtables == 0 && pressure.level0_tables < 4 {
            break;
        }
        thread::yield_now();
    }
    assert_eq!(store.verify().expect("verify").problems, Vec::<String>::new());
}
