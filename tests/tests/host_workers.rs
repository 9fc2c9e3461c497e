//! Workers: other instances of the component that run a store's flushes and compactions over the same files.
#![cfg(feature = "component")]

use esker_host::{
    Durability, Error, Instance, Job, JobKinds, KeyRange, KvStore, Options, Sandbox, ScanOptions, Worker,
};
use esker_tests::host::runtime;
use esker_tests::temp_dir::TempDir;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

fn small() -> Options {
    Options {
        memtable_bytes: Some(64 << 10),
        table_bytes: Some(64 << 10),
        level1_bytes: Some(256 << 10),
        level0_stop: Some(8),
        ..Options::default()
    }
}

fn key(i: u64) -> Vec<u8> {
    format!("key{:06}", i * 7919 % 10_007).into_bytes()
}

#[test]
fn workers_do_the_maintenance_while_threads_write() {
    let dir = TempDir::new();
    let options = Options { workers: Some(2), ..small() };
    let store = KvStore::open(runtime(), dir.path(), options).expect("opens");
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..10_000u64 {
                    let value = (thread * 10_000 + i).to_le_bytes();
                    store
                        .put(&[&[thread as u8][..], &key(i)].concat(), &value, Durability::Buffered)
                        .expect("writes");
                }
            });
        }
    });
    while store.compact(1 << 20).expect("waits for what workers have").more {}
    store.flush().expect("flushes");
    let stats = store.stats().expect("answers");
    assert!(!stats.contains("\"flush\":{\"jobs\":0,"), "{stats}");
    assert!(!stats.contains("\"compaction\":{\"jobs\":0,"), "{stats}");
    assert!(stats.contains("\"maintenance_failure\":null"), "{stats}");
    assert_eq!(store.verify().expect("reads").problems, Vec::<String>::new());
    store.close().expect("closes");

    let store = KvStore::open(runtime(), dir.path(), small()).expect("opens without workers");
    for thread in 0..4u8 {
        let mut expected = BTreeMap::new();
        for i in 0..10_000u64 {
            let value = (u64::from(thread) * 10_000 + i).to_le_bytes().to_vec();
            expected.insert([&[thread][..], &key(i)].concat(), value);
        }
        let scan = store.scan(KeyRange::prefix(&[thread]), ScanOptions::default()).expect("scans");
        let found: BTreeMap<_, _> = scan.collect::<Result<_, _>>().expect("reads");
        assert!(found == expected, "thread {thread}: {} entries, {} expected", found.len(), expected.len());
    }
}

/// Fills a store until it gives a job away.
fn with_a_job(instance: &mut Instance) -> Job {
    fill(instance, 7)
}

fn fill(instance: &mut Instance, byte: u8) -> Job {
    instance.set_helped(true).expect("answers");
    for i in 0.. {
        instance.put(&key(i), &[byte; 100], Durability::Buffered).expect("writes");
        if let Some(job) = instance.take_job(JobKinds::ALL).expect("answers") {
            return job;
        }
    }
    unreachable!("a memtable fills up")
}

#[test]
fn a_job_makes_the_same_bytes_in_a_worker_and_in_the_primary() {
    let dir = TempDir::new();
    let mut instance = Instance::open(runtime(), dir.path(), &small()).expect("opens");
    let job = with_a_job(&mut instance);
    let tables = || -> Vec<Vec<u8>> {
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .expect("readable")
            .map(|entry| entry.expect("entry").path())
            .collect();
        names.retain(|name| name.extension().is_some_and(|ending| ending == "sst"));
        names.sort();
        names.iter().map(|name| std::fs::read(name).expect("readable")).collect()
    };
    Worker::new(runtime(), Sandbox::new(dir.path())).run(&job).expect("runs");
    let by_worker = tables();
    assert_eq!(by_worker.len(), 1);
    instance.abandon_job(job.id, None).expect("it was out");
    assert!(tables().is_empty(), "what an abandoned job has left is removed");
    instance.maintain(u64::MAX).expect("does it itself");
    assert!(tables() == by_worker, "the primary flushes its memtable, the worker replays the log");
}

#[test]
fn a_worker_that_fails_costs_a_retry_and_nothing_else() {
    let dir = TempDir::new();
    let mut instance = Instance::open(runtime(), dir.path(), &small()).expect("opens");
    let job = with_a_job(&mut instance);
    // Too little memory to run anything: the worker traps.
    let sandbox = Sandbox::new(dir.path()).memory_limit_bytes(1);
    let error = Worker::new(runtime(), sandbox).run(&job).expect_err("traps");
    instance.abandon_job(job.id, Some(&error.to_string())).expect("it was out");
    assert!(instance.stats().expect("answers").contains("\"maintenance_failure\":\""));
    instance.flush().expect("the primary does it itself");
    assert!(instance.finish_job(&job.bytes).is_err(), "a job is no outcome");
    assert_eq!(instance.verify().expect("reads").problems, Vec::<String>::new());
    // A worker whose files cannot be written refuses, and can be used again.
    let job = with_a_job(&mut instance);
    let mut worker = Worker::new(runtime(), Sandbox::new(dir.path()).read_only());
    worker.run(&job).expect_err("read-only");
    worker.describe(b"no job").expect_err("no job");
    assert_eq!(worker.describe(&job.bytes), Ok(job.clone()));
    let outcome = Worker::new(runtime(), Sandbox::new(dir.path())).run(&job).expect("runs");
    instance.finish_job(&outcome).expect("its own job");
    assert_eq!(instance.get(&key(0)), Ok(Some(vec![7; 100])));
}

fn invalid(error: Error) -> String {
    match error {
        Error::InvalidArgument(message) => message,
        other => panic!("refused as {other:?}"),
    }
}

#[test]
fn a_job_that_does_not_belong_to_the_directory_is_refused_with_the_reason() {
    let (dir, twin) = (TempDir::new(), TempDir::new());
    let mut instance = Instance::open(runtime(), dir.path(), &small()).expect("opens");
    let job = with_a_job(&mut instance);
    let outcome = Worker::new(runtime(), Sandbox::new(dir.path())).run(&job).expect("runs");
    let refused = |dir: &Path, job: &Job| {
        invalid(Worker::new(runtime(), Sandbox::new(dir)).run(job).expect_err("it does not belong here"))
    };

    assert!(refused(twin.path(), &job).contains("the directory holds no store"));
    let mut other = Instance::open(runtime(), twin.path(), &small()).expect("opens");
    assert!(refused(twin.path(), &job).contains("it is another segment of that name"));
    // Another store with the same keys and lengths: its files have the same names and lengths.
    let of_other = fill(&mut other, 8);
    assert_eq!((&of_other.inputs, &of_other.outputs), (&job.inputs, &job.outputs));
    assert!(refused(twin.path(), &job).contains("it is another segment of that name"));
    assert!(
        invalid(other.finish_job(&outcome).expect_err("of another store")).contains("nothing was installed")
    );

    let damaged = |at: usize| {
        let mut bytes = job.bytes.clone();
        bytes[at] ^= 1;
        invalid(Worker::new(runtime(), Sandbox::new(dir.path())).describe(&bytes).expect_err("damaged"))
    };
    assert!(damaged(0).contains("are no job"));
    assert!(damaged(8).contains("version 0 of its encoding, and this build knows version 1"));
    assert!(damaged(job.bytes.len() / 2).contains("the job was damaged on its way: its checksum is"));

    instance.finish_job(&outcome).expect("it is still out");
    assert!(invalid(instance.finish_job(&outcome).expect_err("finished")).contains("no job"));
    drop(instance);
    let _newer = Instance::open(runtime(), dir.path(), &small()).expect("opens again");
    let why = refused(dir.path(), &job);
    assert!(why.contains("it is from epoch 1 of its store") && why.contains("is at epoch 2"), "{why}");
}

/// A store with much to compact, written without any background work.
fn with_much_to_compact(dir: &Path) {
    let options = Options {
        background_maintenance: Some(false),
        level0_trigger: Some(500),
        level0_stop: Some(1000),
        memtable_bytes: Some(64 << 10),
        ..Options::default()
    };
    let store = KvStore::open(runtime(), dir, options).expect("opens");
    for i in 0..4_000u64 {
        let words =
            (0..125).map(|word| (i * 125 + word + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
        let value: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        store.put(&key(i), &value, Durability::Buffered).expect("writes");
    }
    store.flush().expect("flushes");
    store.close().expect("closes");
}

/// The limit was kept by workers only for pieces that took less than a second, and by a store without workers hardly at
/// all: it did a slice at every tick.
#[test]
fn background_work_keeps_to_its_rate() {
    const RATE: u64 = 1 << 20;
    // What is on its way when the rate is met.
    const SLACK: u64 = 512 << 10;
    for workers in [0, 1] {
        let dir = TempDir::new();
        with_much_to_compact(dir.path());
        let opened = Instant::now();
        let options = Options {
            workers: Some(workers),
            background_bytes_per_second: Some(RATE),
            level0_stop: Some(1000),
            ..Options::default()
        };
        let store = KvStore::open(runtime(), dir.path(), options).expect("opens");
        // No more looks than there are jobs to do: a slow machine only takes longer.
        let written = loop {
            std::thread::park_timeout(Duration::from_millis(50));
            let stats: Value = serde_json::from_str(&store.stats().expect("answers")).expect("JSON");
            assert_eq!(stats["maintenance_failure"], Value::Null);
            if stats["compaction"]["jobs"].as_u64() > Some(0) && stats["pending_bytes"] == 0 {
                break stats["compaction"]["bytes_written"].as_u64().expect("a number");
            }
        };
        let allowed = RATE as f64 * (opened.elapsed().as_secs_f64() + 1.0) + SLACK as f64;
        assert!(written > 3 << 20, "{written} bytes: too little to meet the rate");
        assert!(written as f64 <= allowed, "{workers} workers: {written} bytes, {allowed} allowed");
        store.close().expect("closes");
    }
}

/// A rate of a byte a second would have a worker wait for days: closing does not.
#[test]
fn a_worker_that_waits_for_its_rate_ends_with_the_store() {
    let dir = TempDir::new();
    with_much_to_compact(dir.path());
    let options = Options {
        workers: Some(1),
        background_bytes_per_second: Some(1),
        level0_stop: Some(1000),
        ..Options::default()
    };
    let store = KvStore::open(runtime(), dir.path(), options).expect("opens");
    while !store.stats().expect("answers").contains("\"place\":\"worker 1\"") {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    store.close().expect("closes");
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("opens");
    assert_eq!(store.verify().expect("reads").problems, Vec::<String>::new());
    store.close().expect("closes");
}

#[test]
fn a_store_at_rest_merges_level_0_though_it_is_read() {
    for workers in [0, 1] {
        let dir = TempDir::new();
        // Options as they are: level 0 is full at four tables.
        let options = Options { workers: Some(workers), ..Options::default() };
        let store = KvStore::open(runtime(), dir.path(), options).expect("opens");
        for tables in 1..=2 {
            for i in 0..1000 * tables {
                store.put(key(i).as_slice(), &i.to_le_bytes(), Durability::Buffered).expect("writes");
            }
            store.flush().expect("flushes");
        }
        let level0_tables = || store.pressure().expect("answers").level0_tables;
        assert_eq!(level0_tables(), 2);
        let start = Instant::now();
        while level0_tables() > 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "with {workers} workers it is not merged");
            assert_eq!(store.get(key(1500).as_slice()), Ok(Some(1500u64.to_le_bytes().to_vec())));
        }
        store.close().expect("closes");
    }
}
