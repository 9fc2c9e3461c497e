//! The store as a whole, over files in memory. Histories, crashes and faults are in the `tests` package.

use crate::base::options::{Durability, Options};
use crate::base::range::{KeyRange, ScanOptions};
use crate::env::{ManualClock, MemFs};
use crate::{Db, ErrorKind};

type MemDb = Db<MemFs, ManualClock>;

fn small() -> Options {
    Options {
        memtable_bytes: Some(4096),
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
