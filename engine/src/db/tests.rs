//! The store as a whole, over files in memory. Histories, crashes and faults are in the `tests` package.

mod buckets;
mod checkpoints;
mod conditions;
mod jobs;

use crate::base::options::{Durability, Options};
use crate::base::range::{KeyRange, ScanOptions};
use crate::env::{Call, Effect, Fault, FaultFs, Fs, ManualClock, MemFs};
use crate::{Db, ErrorKind, Job, JobResult, Kinds, Reader, job};
use std::sync::Arc;

type MemDb = Db<MemFs, ManualClock>;

fn small() -> Options {
    Options {
        memtable_bytes: Some(4096),
        // A smaller one would be full with its first entry.
        memtable_min_bytes: Some(4096),
        table_bytes: 8192,
        level1_bytes: Some(16_384),
        block_bytes: 256,
        ..Options::default()
    }
}

fn open(fs: &MemFs) -> MemDb {
    Db::open(fs.clone(), ManualClock::default(), small()).expect("opens")
}

fn key(i: u64) -> Vec<u8> {
    format!("key{:06}", i * 7919 % 5000).into_bytes()
}

#[test]
fn what_is_written_is_read_back_through_all_levels() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    for i in 0..5000u64 {
        db.put(&key(i), &i.to_le_bytes(), Durability::Buffered).expect("writes");
        if i % 3 == 0 {
            db.delete(&key(i), Durability::Buffered).expect("writes");
        }
    }
    let check = |db: &MemDb| {
        for i in 0..5000u64 {
            let expected = (i % 3 != 0).then(|| i.to_le_bytes().to_vec());
            assert_eq!(db.get(&key(i)), Ok(expected), "{i}");
        }
    };
    check(&db);
    assert!(db.stats().levels[1..].iter().any(|level| level.tables > 0), "compaction has run");
    db.close().expect("closes");
    assert_eq!(*db.get(b"k").expect_err("closed").kind(), ErrorKind::Reopen);
    drop(db);
    let mut db = open(&fs);
    assert!(db.recovery_report().is_clean());
    check(&db);
    while db.compact(100_000).expect("compacts").more {}
    check(&db);
    let stats = db.stats();
    assert_eq!(stats.levels.iter().map(|level| level.tombstones).sum::<u64>(), 0);
    assert_eq!(stats.levels.iter().filter(|level| level.tables > 0).count(), 1);
    let verification = db.verify().expect("reads");
    assert_eq!(verification.problems, Vec::<String>::new());
    assert_eq!(verification.entries, 5000 - 1667);
}

#[test]
fn cursors_and_snapshots_keep_their_state() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    for i in 0..1000u64 {
        db.put(&key(i), b"old", Durability::Buffered).expect("writes");
    }
    let snapshot = db.snapshot();
    let mut forward = db.scan(KeyRange::all(), ScanOptions::default()).expect("scans");
    let reverse = ScanOptions { reverse: true, ..ScanOptions::default() };
    let mut backward = db.scan(KeyRange::all(), reverse).expect("scans");
    let mut seen = 0;
    for i in 0..5000u64 {
        db.put(&key(i), b"new", Durability::Buffered).expect("writes");
        if i % 5 == 0 {
            assert_eq!(
                forward.next().expect("reads").map(|(_, value)| value.to_vec()),
                Some(b"old".to_vec())
            );
            assert_eq!(
                backward.next().expect("reads").map(|(_, value)| value.to_vec()),
                Some(b"old".to_vec())
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 1000);
    assert_eq!((forward.next(), backward.next()), (Ok(None), Ok(None)));
    while db.compact(1 << 20).expect("compacts").more {}
    for i in 0..1000 {
        assert_eq!(db.get_at(&snapshot, &key(i)), Ok(Some(b"old".to_vec())));
        assert_eq!(db.get(&key(i)), Ok(Some(b"new".to_vec())));
    }
}

#[test]
fn a_store_at_rest_has_one_run_to_look_into_where_that_costs_little() {
    let mut db = Db::open(MemFs::new(), ManualClock::default(), Options::default()).expect("opens");
    let level0 = |db: &MemDb| db.stats().levels[0].tables;
    let fill = |db: &mut MemDb, entries: std::ops::Range<u64>| {
        for i in entries {
            db.put(&key(i), &i.to_le_bytes(), Durability::Buffered).expect("writes");
        }
        db.flush().expect("flushes");
    };
    let maintain = |db: &mut MemDb| while db.maintain(1000).expect("maintains").more {};
    fill(&mut db, 0..2000);
    fill(&mut db, 1000..3000);
    maintain(&mut db);
    assert_eq!(level0(&db), 2, "level 0 is full at four tables");

    assert!(db.rest(0).expect("rests"), "there is something to merge");
    db.put(&key(0), b"more", Durability::Buffered).expect("writes");
    maintain(&mut db);
    assert_eq!(level0(&db), 2, "the write has ended the rest");

    assert!(db.rest(u64::MAX).expect("rests"));
    maintain(&mut db);
    assert_eq!((level0(&db), db.view.active.entries()), (0, 1));
    assert!(!db.rest(u64::MAX).expect("rests"), "all is done");

    assert!(db.rest(0).expect("rests"), "the memtable is to be flushed");
    maintain(&mut db);
    assert_eq!(
        (level0(&db), db.view.active.entries()),
        (1, 0),
        "for one entry not everything is written again"
    );
    for i in 1..3000 {
        assert_eq!(db.get(&key(i)), Ok(Some(i.to_le_bytes().to_vec())));
    }
    assert_eq!(db.get(&key(0)), Ok(Some(b"more".to_vec())));
}

#[test]
fn a_deferred_write_is_lost_only_within_its_window() {
    let fs = MemFs::new();
    let clock = ManualClock::default();
    let mut db = Db::open(fs.clone(), clock.clone(), small()).expect("opens");
    db.put(b"a", b"1", Durability::Deferred).expect("writes");
    assert!(Db::open(fs.kill(), clock.clone(), small()).expect("opens").get(b"a").expect("reads").is_none());
    clock.advance(100_000);
    db.maintain(1).expect("maintains");
    assert!(Db::open(fs.kill(), clock, small()).expect("opens").get(b"a").expect("reads").is_some());
}

#[test]
fn a_directory_that_is_no_store_is_left_alone() {
    let fs = MemFs::new();
    crate::env::Fs::create(&fs, "notes.txt").expect("new");
    let error = Db::open(fs.clone(), ManualClock::default(), small()).expect_err("no store");
    assert_eq!(*error.kind(), ErrorKind::CannotOpen);
    assert!(error.message().contains("notes.txt"), "{error}");
    assert_eq!(fs.names(), ["notes.txt"]);
}

/// Runs a job as a worker would, from its bytes and the files alone.
fn run(fs: &MemFs, bytes: &[u8]) -> JobResult {
    let job = Job::decode(bytes).expect("sound");
    let result = job::run(Arc::new(fs.clone()), job, 1 << 20).expect("runs");
    JobResult::decode(&result.encode()).expect("sound")
}

fn table(fs: &MemFs, number: u64) -> Vec<u8> {
    fs.bytes(&format!("{number:06}.sst")).expect("the table is there")
}

#[test]
fn a_flush_from_the_log_makes_the_bytes_of_a_flush_from_memory() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    db.set_helped(true);
    let snapshot_at = 40;
    let mut snapshot = None;
    let mut i = 0;
    while db.pressure().sealed_memtables == 0 {
        db.put(&key(i % 50), &i.to_le_bytes(), Durability::Deferred).expect("writes");
        if i == snapshot_at {
            snapshot = Some(db.snapshot());
        }
        i += 1;
    }
    let job = db.take_job(Kinds::ALL).expect("writable").expect("a memtable is sealed");
    let elsewhere = fs.kill();
    let result = run(&elsewhere, &job.encode());
    assert_eq!(db.take_job(Kinds::ALL), Ok(None), "memtables are flushed one after the other");
    db.abandon_job(job.id(), None).expect("it was out");
    db.flush().expect("flushes");
    let own = db.stats().levels[0].tables;
    assert_eq!(own, 2, "the sealed memtable and the active one");
    let numbers: Vec<u64> =
        fs.names().iter().filter_map(|name| name.strip_suffix(".sst")?.parse().ok()).collect();
    assert_eq!(table(&fs, numbers[0]), table(&elsewhere, result.tables[0].number));
    drop(snapshot);
}

#[test]
fn workers_do_all_the_work_and_make_the_same_bytes_anywhere() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    db.set_helped(true);
    let (mut jobs, mut abandoned) = (0, 0);
    for i in 0..5000u64 {
        let outcome = match i % 4 {
            0 => db.delete(&key(i / 2), Durability::Buffered),
            _ => db.put(&key(i), &i.to_le_bytes(), Durability::Buffered),
        };
        outcome.expect("a worker is never far behind");
        while let Some(job) = db.take_job(Kinds::ALL).expect("writable") {
            let elsewhere = fs.kill();
            let there = run(&elsewhere, &job.encode());
            if jobs % 7 == 6 && abandoned * 7 < jobs {
                // The worker is lost, and its files with it: the job is begun again.
                db.abandon_job(job.id(), None).expect("it was out");
                abandoned += 1;
                continue;
            }
            let here = run(&fs, &job.encode());
            assert_eq!(here, there);
            for made in &here.tables {
                assert_eq!(table(&fs, made.number), table(&elsewhere, made.number));
            }
            db.finish_job(&here).expect("its own job");
            assert_eq!(*db.finish_job(&here).expect_err("finished").kind(), ErrorKind::InvalidArgument);
            jobs += 1;
        }
    }
    assert!(jobs > 20 && abandoned > 2, "{jobs} jobs, {abandoned} abandoned");
    assert_eq!(db.verify().expect("reads").problems, Vec::<String>::new());
    let mut expected = std::collections::BTreeMap::new();
    for i in 0..5000u64 {
        match i % 4 {
            0 => expected.remove(&key(i / 2)),
            _ => expected.insert(key(i), i.to_le_bytes().to_vec()),
        };
    }
    let mut cursor = db.scan(KeyRange::all(), ScanOptions::default()).expect("scans");
    for (key, value) in &expected {
        assert_eq!(cursor.next(), Ok(Some((&key[..], &value[..]))));
    }
    assert_eq!(cursor.next(), Ok(None));
}

#[test]
fn what_an_edit_replaces_stays_until_a_worker_has_made_the_edit_durable() {
    let fs = MemFs::new();
    let options = Options { wal_segments_kept: 0, ..small() };
    let mut db = Db::open(fs.clone(), ManualClock::default(), options).expect("opens");
    db.set_helped(true);
    while db.pressure().sealed_memtables == 0 {
        db.put(&key(db.last_sequence()), &[7; 100], Durability::Synced).expect("writes");
    }
    let flush = db.take_job(Kinds::ALL).expect("writable").expect("a memtable is sealed");
    db.finish_job(&run(&fs, &flush.encode())).expect("its own job");
    let sealed = |fs: &MemFs| fs.names().iter().filter(|name| name.ends_with(".wal")).count() - 1;
    let last = db.last_sequence();
    let check = |fs: &MemFs| {
        for seed in 0..20 {
            let cut = open(&fs.power_cut(seed));
            assert_eq!(cut.last_sequence(), last, "seed {seed}");
            assert!(cut.get(&key(0)).expect("reads").is_some());
        }
    };
    assert_eq!(sealed(&fs), 1, "the manifest on disk may still need the segment");
    check(&fs);
    let lost = db.take_job(Kinds::ALL).expect("writable").expect("the edit is not durable");
    assert!(matches!(lost.work, job::Work::CleanUp { .. }), "{lost:?}");
    db.abandon_job(lost.id(), None).expect("it was out");
    assert_eq!(sealed(&fs), 1);
    let sync = db.take_job(Kinds::ALL).expect("writable").expect("the edit is still not durable");
    let result = run(&fs, &sync.encode());
    assert_eq!(sealed(&fs), 1, "the primary may know better what its sync was worth");
    db.finish_job(&result).expect("its own job");
    check(&fs);
    let remove = db.take_job(Kinds::ALL).expect("writable").expect("the segment is not needed any more");
    let result = run(&fs, &remove.encode());
    assert_eq!(sealed(&fs), 0);
    check(&fs);
    db.finish_job(&result).expect("its own job");
    assert_eq!(db.take_job(Kinds::ALL), Ok(None));
}

/// The flush came first, and the store then had to sync the manifest itself before it could install the table.
#[test]
fn an_edit_is_made_durable_before_the_flush_begins_that_makes_the_next() {
    let fs = MemFs::new();
    let mut db = Db::open(fs.clone(), ManualClock::default(), small()).expect("opens");
    db.set_helped(true);
    let seal_another = |db: &mut Db<MemFs, ManualClock>| {
        while db.pressure().sealed_memtables == 0 {
            db.put(&key(db.last_sequence()), &[7; 100], Durability::Buffered).expect("writes");
        }
    };
    seal_another(&mut db);
    let flush = db.take_job(Kinds::ALL).expect("writable").expect("a memtable is sealed");
    db.finish_job(&run(&fs, &flush.encode())).expect("its own job");
    seal_another(&mut db);
    let next = db.take_job(Kinds::ALL).expect("writable").expect("two things are due");
    assert!(matches!(next.work, job::Work::CleanUp { .. }), "{next:?}");
    let last = db.take_job(Kinds::ALL).expect("writable").expect("the flush is due");
    assert!(last.is_flush(), "{last:?}");
    let removes = Kinds { compaction: false, flush: false, clean_up: true };
    assert_eq!(
        db.take_job(removes),
        Ok(None),
        "nothing is removed on the strength of an edit that may be lost"
    );
}

/// After the manifest could not be synced, a worker's job that had found no space was given up; the primary then synced
/// again to free some. That succeeds without having written anything, and what the manifest on disk needed was removed.
#[test]
fn a_failed_sync_of_the_manifest_is_not_tried_again() {
    let fs = MemFs::new();
    let faulty = FaultFs::new(fs.clone());
    let options = Options { wal_segments_kept: 0, ..small() };
    let mut db = Db::open(faulty.clone(), ManualClock::default(), options).expect("opens");
    db.set_helped(true);
    while db.pressure().sealed_memtables == 0 {
        db.put(&key(db.last_sequence()), &[7; 100], Durability::Synced).expect("writes");
    }
    let flush = db.take_job(Kinds::ALL).expect("writable").expect("a memtable is sealed");
    db.finish_job(&run(&fs, &flush.encode())).expect("its own job");
    let clean_up = db.take_job(Kinds::ALL).expect("writable").expect("the edit is not durable");
    let last = db.last_sequence();
    let fault = Fault { effect: Effect::NoSpace, call: Some(Call::Sync), nth: 2, lasting: false };
    db.put(b"k", b"v", Durability::Buffered).expect("writes");
    faulty.arm(fault);
    db.flush().expect_err("the table is synced, the manifest is not");
    let full = crate::Error::new(ErrorKind::NoSpace, "the disk is full");
    db.abandon_job(clean_up.id(), Some(full)).expect("it was out");
    for seed in 0..20 {
        let cut = open(&fs.power_cut(seed));
        assert!(cut.last_sequence() >= last, "seed {seed}");
    }
}

/// With a limit below the size of an empty memtable, every write sealed two: its own and an empty one.
#[test]
fn an_empty_memtable_is_never_sealed() {
    let fs = MemFs::new();
    let options = Options { memtable_bytes: Some(1024), ..small() };
    let mut db = Db::open(fs.clone(), ManualClock::default(), options).expect("opens");
    db.set_helped(true);
    db.put(b"a", b"1", Durability::Buffered).expect("writes");
    assert_eq!(db.pressure().sealed_memtables, 0);
    db.put(b"b", b"2", Durability::Buffered).expect("writes");
    let flush = db.take_job(Kinds::ALL).expect("writable").expect("a memtable is sealed");
    assert_eq!(run(&fs, &flush.encode()).tables.len(), 1);
}

/// A worker that is told of a failed sync must tell the primary: the system does not tell again.
#[test]
fn a_primary_whose_worker_could_not_sync_for_it_writes_no_more() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    db.set_helped(true);
    while db.pressure().sealed_memtables == 0 {
        db.put(&key(db.last_sequence()), &[7; 100], Durability::Buffered).expect("writes");
    }
    let flush = db.take_job(Kinds::ALL).expect("writable").expect("a memtable is sealed");
    let result = JobResult { unsynced: Some("the disk is gone".into()), ..run(&fs, &flush.encode()) };
    let error = db.finish_job(&result).expect_err("what is durable is unknown");
    assert!(error.message().contains("the disk is gone"), "{error}");
    let error = db.put(b"k", b"v", Durability::Buffered).expect_err("poisoned");
    assert_eq!(*error.kind(), ErrorKind::Reopen);
    assert_eq!(open(&fs.kill()).last_sequence(), db.last_sequence());
}

#[test]
fn a_write_that_waits_for_a_worker_is_refused_as_busy() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    db.set_helped(true);
    let mut job = None;
    let error = loop {
        if let Err(error) = db.put(&key(db.last_sequence()), &[7; 100], Durability::Buffered) {
            break error;
        }
        if job.is_none() {
            job = db.take_job(Kinds::ALL).expect("writable");
        }
    };
    assert_eq!(*error.kind(), ErrorKind::Busy);
    let job = job.expect("it was given away");
    db.finish_job(&run(&fs, &job.encode())).expect("its own job");
    db.put(b"k", b"v", Durability::Buffered).expect("there is room again");
}

#[test]
fn a_table_that_a_worker_did_not_write_is_not_installed() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    db.set_helped(true);
    while db.pressure().sealed_memtables == 0 {
        db.put(&key(db.last_sequence()), &[7; 100], Durability::Buffered).expect("writes");
    }
    let job = db.take_job(Kinds::ALL).expect("writable").expect("a memtable is sealed");
    let result = run(&fs.kill(), &job.encode());
    assert!(db.finish_job(&result).expect_err("not in this directory").is_corrupt());
    db.flush().expect("begun again");
    assert_eq!(db.verify().expect("reads").problems, Vec::<String>::new());
}

/// A primary died while a worker had a job. The next primary gave the same numbers to files of its own: the worker's
/// late table stood in the way of a flush, and its result was the next primary's job of the same number.
#[test]
fn numbers_of_a_job_stay_with_it_when_its_primary_is_gone() {
    let fs = MemFs::new();
    let mut outputs = std::collections::BTreeSet::new();
    for life in 0..3 {
        let mut db = open(&fs);
        db.set_helped(true);
        while db.pressure().sealed_memtables == 0 {
            db.put(&key(db.last_sequence()), &[life; 100], Durability::Synced).expect("writes");
        }
        for name in fs.names().iter().filter(|name| !name.ends_with(".manifest")) {
            let number = name.split('.').next().and_then(|number| number.parse().ok());
            assert!(
                number.is_some_and(|number: u64| !outputs.contains(&number)),
                "{name} has a job's number"
            );
        }
        // Its worker has not made a file yet when the primary is gone.
        let job = db.take_job(Kinds::ALL).expect("writable").expect("a memtable is sealed");
        for number in job.outputs {
            assert!(outputs.insert(number), "number {number} is given to a second job");
        }
    }
}

/// All entries that a reader sees.
fn entries(reader: &Reader<MemFs>) -> std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
    let mut cursor = reader.scan(KeyRange::all(), ScanOptions::default()).expect("scans");
    let mut entries = std::collections::BTreeMap::new();
    while let Some((key, value)) = cursor.next().expect("reads") {
        entries.insert(key.to_vec(), value.to_vec());
    }
    entries
}

#[test]
fn a_reader_follows_its_primary_through_everything() {
    for interval in [1, 7, 100, 1500] {
        let fs = MemFs::new();
        let mut db = Some(open(&fs));
        let mut reader = Reader::open(fs.clone(), &small()).expect("there is a store");
        let mut model = std::collections::BTreeMap::new();
        let mut pinned = Vec::new();
        for i in 0..4000u64 {
            let primary = db.as_mut().expect("open");
            if i % 3 == 0 {
                primary.delete(&key(i / 3), Durability::Buffered).expect("writes");
                model.remove(&key(i / 3));
            } else {
                primary.put(&key(i), &i.to_le_bytes(), Durability::Buffered).expect("writes");
                model.insert(key(i), i.to_le_bytes().to_vec());
            }
            if i % 900 == 899 {
                while primary.compact(1 << 16).expect("compacts").more {}
            }
            if i % 1300 == 1299 {
                // Another primary takes over, cleanly or not.
                if i % 2600 == 1299 {
                    primary.close().expect("closes");
                }
                drop(db.take());
                db = Some(open(&fs));
            }
            if i % interval == 0 {
                let before = fs.names();
                let sequence = reader.catch_up().expect("follows");
                assert_eq!(sequence, db.as_ref().expect("open").last_sequence());
                assert_eq!(fs.names(), before, "a reader makes and removes nothing");
                assert_eq!(reader.get(&key(i)), Ok(model.get(&key(i)).cloned()));
                if i % (interval * 10) == 0 {
                    assert_eq!(entries(&reader), model, "at {i}, catching up every {interval}");
                    pinned.truncate(3);
                    pinned.push((reader.view(), key(i), model.get(&key(i)).cloned()));
                }
            }
            for (view, key, value) in &pinned {
                assert_eq!(view.get(key), Ok(value.clone()), "a view does not change");
            }
        }
    }
}

#[test]
fn a_reader_sees_no_deferred_write_and_needs_a_store() {
    let fs = MemFs::new();
    assert_eq!(*Reader::open(fs.clone(), &small()).expect_err("empty").kind(), ErrorKind::CannotOpen);
    assert!(fs.names().is_empty());
    let mut db = open(&fs);
    let mut reader = Reader::open(fs, &small()).expect("there is a store");
    db.put(b"a", b"1", Durability::Deferred).expect("writes");
    assert_eq!((reader.catch_up(), reader.get(b"a")), (Ok(0), Ok(None)));
    db.flush_deferred().expect("hands over");
    assert_eq!((reader.catch_up(), reader.get(b"a")), (Ok(1), Ok(Some(b"1".to_vec()))));
}

/// A reader had read edits of the manifest when a table could not be opened, and forgot them: the next edit did not fit
/// what it knew, and a sound manifest was called damaged. A log was then read on from within a record.
#[test]
fn a_reader_goes_on_after_a_failure_as_if_it_had_not_been() {
    for nth in 1.. {
        let fs = MemFs::new();
        let faulty = FaultFs::new(fs.clone());
        // Where the log is gone a reader begins anew, which mends everything.
        let options = Options { wal_segments_kept: 1000, ..small() };
        let mut db = Db::open(fs.clone(), ManualClock::default(), options).expect("opens");
        let mut reader = Reader::open(faulty.clone(), &small()).expect("there is a store");
        for i in 0..300 {
            db.put(&key(i), &[7; 100], Durability::Buffered).expect("writes");
        }
        // It begins in one block of the log and ends in another.
        db.put(b"long", &[7; 100_000], Durability::Buffered).expect("writes");
        db.put(b"last", b"", Durability::Buffered).expect("writes");
        faulty.arm(Fault::once(Effect::Io, nth));
        let failed = reader.catch_up().is_err();
        assert_eq!(failed, faulty.struck() > 0, "call {nth}");
        faulty.disarm();

        while db.compact(1 << 20).expect("compacts").more {}
        assert_eq!(reader.catch_up(), Ok(db.last_sequence()), "after call {nth} has failed");
        assert_eq!(reader.get(&key(299)), Ok(Some(vec![7; 100])));
        if !failed {
            assert!(nth > 5, "a reader has made few calls: {nth}");
            break;
        }
    }
}

/// A power cut took the end of a log segment that was not synced, and left the next segment. A reader that looked before
/// any primary had recovered the store said that the primary was too quick for it, and to try again, though there was no
/// primary and trying again did not help.
#[test]
fn a_gap_that_nobody_has_recovered_is_damage_to_a_reader() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    let segments = || fs.names().into_iter().filter(|name| name.ends_with(".wal")).collect::<Vec<_>>();
    let first = segments().pop().expect("a log");
    let mut ends = Vec::new();
    while segments().len() == 1 {
        db.put(&key(ends.len() as u64), &[7; 100], Durability::Buffered).expect("writes");
        ends.push(fs.bytes(&first).map_or(0, |bytes| bytes.len()));
    }
    db.put(b"in the next segment", b"", Durability::Buffered).expect("writes");
    let next = segments().pop().expect("a log");
    drop(db);
    fs.damage(&first, |bytes| bytes.truncate(ends[3])).expect("is there");

    let error = Reader::open(fs.clone(), &small()).expect_err("writes are lost");
    assert!(matches!(error.kind(), ErrorKind::Corrupt(at) if at.file == next), "{error}");
    assert!(error.to_string().contains("ends at 4: what is between is lost"), "{error}");
    let db = open(&fs);
    assert_eq!(db.last_sequence(), 4, "recovery keeps what is before the gap");
    assert_eq!(Reader::open(fs, &small()).expect("is recovered").last_sequence(), 4);
}

/// A primary that was replaced, and had not noticed, made the tables of a job whose numbers the new primary gave to a job
/// of its own: that one failed, though nothing was wrong.
#[test]
fn a_number_that_a_replaced_primary_has_taken_is_passed_over() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    let take = |numbers: std::ops::Range<u64>| {
        for number in numbers {
            // Some are taken already, by tables of this primary.
            let _there = Fs::create(&fs, &format!("{number:06}.sst"));
        }
    };
    for i in 0..300 {
        db.put(&key(i), &[7; 40], Durability::Buffered).expect("writes");
    }
    let last = |fs: &MemFs| {
        let number = |name: String| name.split('.').next().and_then(|number| number.parse().ok());
        fs.names().into_iter().filter_map(number).max().unwrap_or(0u64)
    };
    take(last(&fs) + 1..last(&fs) + 8);
    db.flush().expect("takes another number");
    take(last(&fs) + 1..last(&fs) + 30);
    while db.compact(1000).expect("takes other numbers").more {}
    let stats = db.stats();
    assert_eq!(stats.levels.iter().filter(|level| level.tables > 0).count(), 1, "everything was merged");
    assert!(stats.to_json().contains("\"failed\":0"), "{}", stats.to_json());
    for i in 0..300 {
        assert_eq!(db.get(&key(i)), Ok(Some(vec![7; 40])));
    }
}

/// A record that could be written in part only, on a disk that failed or was full, was reported as damage by the handle
/// that had failed to write it, though the next open passes over it.
#[test]
fn what_a_failed_write_has_left_is_no_damage() {
    let mut met = 0;
    for nth in 1..60 {
        let fs = FaultFs::new(MemFs::new());
        let Ok(mut db) = Db::open(fs.clone(), ManualClock::default(), small()) else { continue };
        fs.arm(Fault::once(Effect::ShortAppend, nth));
        let mut written = 0;
        for i in 0..200 {
            let put = db.put(&key(i), &[7; 100], Durability::Synced);
            if put.is_err() {
                break;
            }
            written += 1;
        }
        met += fs.struck();
        let verification = db.verify().expect("it reads on");
        assert_eq!(verification.problems, Vec::<String>::new(), "after append {nth} and {written} writes");
        drop(db);
        let db = Db::open(fs.clone(), ManualClock::default(), small()).expect("recovers");
        assert!(db.verify().expect("reads").problems.is_empty());
    }
    assert!(met > 40, "the fault has struck {met} times");
}

/// A read of a growing file is not one moment: where a record stood in two pages, a reader got the first as it was before
/// and the second as it was after, with the next record in it, and took the record for damaged.
#[test]
fn a_record_that_was_read_in_two_pieces_is_read_again() {
    for call in 1..4 {
        let fs = MemFs::new();
        let mut db = open(&fs);
        db.put(b"a", &[1; 100], Durability::Buffered).expect("writes");
        let faults = FaultFs::new(fs.clone());
        let mut reader = Reader::open(faults.clone(), &small()).expect("opens");
        for key in [b"b", b"c", b"d"] {
            db.put(key, &[2; 100], Durability::Buffered).expect("writes");
        }
        db.flush().expect("flushes");
        faults.arm(Fault::once(Effect::FlippedRead, call));
        assert_eq!(reader.catch_up(), Ok(4), "read {call}");
        assert_eq!(reader.get(b"d"), Ok(Some(vec![2; 100])));
    }
}

/// A table that moved to another level came to a reader as a new one of the same number; when it was removed later, the
/// reader closed it under a view that still had the old one.
#[test]
fn a_view_keeps_a_table_that_moves_and_goes() {
    let fs = MemFs::new();
    let options = Options { level0_trigger: 1, ..small() };
    let mut db = Db::open(fs.clone(), ManualClock::default(), options).expect("opens");
    db.put(b"k", b"1", Durability::Buffered).expect("writes");
    db.flush().expect("flushes");
    let mut reader = Reader::open(fs, &small()).expect("there is a store");
    assert_eq!(db.stats().levels[0].tables, 1);
    let view = reader.view();
    while db.maintain(1 << 20).expect("moves the table").more {}
    assert_eq!(db.stats().levels.last().map(|level| level.tables), Some(1));
    reader.catch_up().expect("follows");
    db.delete(b"k", Durability::Buffered).expect("writes");
    while db.compact(1 << 20).expect("compacts").more {}
    assert_eq!(db.stats().levels.iter().map(|level| level.tables).sum::<u64>(), 0);
    reader.catch_up().expect("follows");
    assert_eq!((reader.get(b"k"), view.get(b"k")), (Ok(None), Ok(Some(b"1".to_vec()))));
}
