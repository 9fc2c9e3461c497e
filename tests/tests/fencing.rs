//! A second primary opens the store while the first still has it: the first learns of it and stops, and whatever
//! it acknowledged as durable is in the second's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use esker_engine::env::{Fs, ManualClock, MemFs};
use esker_engine::{Db, Durability, Error, ErrorKind, KeyRange, Options, Result, ScanOptions};

use esker_tests::interrupted_fs::InterruptedFs;

type Store<F> = Db<F, ManualClock>;

/// Small enough that a few writes meet flushes, compactions and removals.
fn options() -> Options {
    Options {
        memory_bytes: 8 << 20,
        memtable_bytes: Some(1_024),
        wal_segment_bytes: 1_024,
        wal_segments_kept: 0,
        table_bytes: 1_024,
        level0_trigger: 2,
        level1_bytes: Some(2_000),
        ..Options::default()
    }
}

fn open<F: Fs>(fs: F) -> Result<Store<F>> {
    Db::open(fs, ManualClock::new(), options())
}

fn two_primaries() -> (MemFs, Store<MemFs>, Store<MemFs>) {
    let disk = MemFs::new();
    let mut first = open(disk.clone()).expect("an empty directory");
    first.put(b"before", b"1", Durability::Synced).expect("there is one primary yet");
    let second = open(disk.clone()).expect("a second one may open at any time");
    (disk, first, second)
}

#[track_caller]
fn assert_fenced<T>(answer: Result<T>) {
    assert_eq!(answer.err().as_ref().map(Error::kind), Some(&ErrorKind::Reopen));
}

/// Does `call` on a primary that has been replaced, and sees that it is refused, for good, and without harm.
fn refuses(call: impl FnOnce(&mut Store<MemFs>) -> Result<()>) {
    let (disk, mut first, mut second) = two_primaries();
    second.put(b"after", b"2", Durability::Synced).expect("the second is the primary");
    assert_fenced(call(&mut first));
    assert_fenced(first.put(b"again", b"1", Durability::Buffered));
    assert_fenced(first.sync());
    drop(first);

    second.put(b"later", b"2", Durability::Synced).expect("the first has not harmed the second");
    second.flush().expect("nor its files");
    drop(second);
    let third = open(disk).expect("open");
    for (key, value) in [("before", Some("1")), ("after", Some("2")), ("later", Some("2")), ("lost", None)] {
        let found = third.get(key.as_bytes()).expect("get");
        assert_eq!(found.as_deref(), value.map(str::as_bytes), "{key}");
    }
    assert_eq!(third.verify().expect("verify").problems, Vec::<String>::new());
}

#[test]
fn a_synced_write() {
    refuses(|first| first.put(b"lost", b"1", Durability::Synced).map(drop));
}

#[test]
fn a_sync() {
    refuses(Store::sync);
}

#[test]
fn a_flush() {
    refuses(Store::flush);
}

#[test]
fn a_compaction() {
    refuses(|first| {
        while first.compact(1 << 20)?.more {}
        Ok(())
    });
}

#[test]
fn a_close() {
    refuses(Store::close);
}

#[test]
fn the_first_reads_on_until_it_learns() {
    let (_disk, first, second) = two_primaries();
    assert_eq!(first.get(b"before").expect("get").as_deref(), Some(&b"1"[..]));
    assert_eq!(second.get(b"before").expect("get").as_deref(), Some(&b"1"[..]));
}

/// A scan of the first said that a table was missing: the second had compacted it away. Nothing is damaged.
#[test]
fn a_scan_of_the_first_tells_that_it_was_replaced() {
    let disk = MemFs::new();
    let mut first = open(disk.clone()).expect("it is alone");
    for number in 0..100u8 {
        first.put(&[number], &[b'v'; 100], Durability::Synced).expect("put");
    }
    while first.compact(1 << 20).expect("compact").more {}
    let mut scan = first.scan(KeyRange::all(), ScanOptions::default()).expect("scan");
    drop(work(open(disk).expect("the second wins"), "second"));
    let told =
        std::iter::from_fn(|| scan.next().map(|entry| entry.map(drop)).transpose()).find_map(Result::err);
    let error = told.expect("its tables are gone");
    assert_replaced(&error, 0);
}

/// The second opens, writes and compacts just before each call in turn that the open first makes.
#[test]
fn a_second_primary_at_every_call_of_the_first() {
    for call in 1.. {
        let disk = MemFs::new();
        let second = Rc::new(RefCell::new(None));
        let fs = InterruptedFs::new(disk.clone());
        let first = open(fs.clone()).expect("it is alone");
        let (taken, directory) = (Rc::clone(&second), disk.clone());
        fs.before(call, move || {
            let opened =
                open(directory).unwrap_or_else(|error| panic!("at call {call} of the first: {error}"));
            *taken.borrow_mut() = work(opened, "second").db;
        });
        let first = work(first, "first");
        if !fs.was_interrupted() {
            assert_eq!(first.synced, WRITES);
            return;
        }
        let mut second = second.take().expect("nobody has replaced the second");
        check(&second, "second", WRITES, call);
        check(&second, "first", first.synced, call);
        second.put(b"last", b"", Durability::Synced).expect("the first does not harm the second");
        second.flush().expect("the first does not harm the second");
        assert_eq!(second.verify().expect("verify").problems, Vec::<String>::new(), "call {call}");
        drop((first, second));
        check(&open(disk).expect("open"), "second", WRITES, call);
    }
}

/// The first writes just before each call in turn that the second makes to open.
#[test]
fn a_synced_write_of_the_first_at_every_call_of_the_second() {
    for call in 1.. {
        let disk = MemFs::new();
        let first = work(open(disk.clone()).expect("an empty directory"), "first");
        let mut first = first.db.expect("it is alone");
        let acknowledged = Rc::new(Cell::new(false));
        let fs = InterruptedFs::new(disk.clone());
        let told = Rc::clone(&acknowledged);
        fs.before(call, move || {
            let written = first.put(b"meanwhile", b"1", Durability::Synced);
            told.set(written.is_ok());
            // It goes on to do what it can, until it notices.
            drop(work(first, "more"));
        });

        let second = open(fs.clone()).expect("the second wins");
        let found = second.get(b"meanwhile").expect("get");
        assert!(
            !acknowledged.get() || found.is_some(),
            "acknowledged at call {call} of the second, and lost"
        );
        check(&second, "first", WRITES, call);
        assert_eq!(second.verify().expect("verify").problems, Vec::<String>::new(), "call {call}");
        drop(second);
        let third = open(disk).expect("open");
        assert_eq!(third.get(b"meanwhile").expect("get"), found, "what the second saw stays");
        if !fs.was_interrupted() {
            return;
        }
    }
}

const WRITES: usize = 16;

/// A primary that has written until it was done or replaced.
struct Work<F: Fs> {
    db: Option<Store<F>>,
    /// So many of its writes were acknowledged as durable.
    synced: usize,
}

impl<F: Fs> Default for Work<F> {
    fn default() -> Self {
        Self { db: None, synced: 0 }
    }
}

/// Writes `WRITES` values durably, flushes and compacts.
fn work<F: Fs>(mut db: Store<F>, who: &str) -> Work<F> {
    let mut synced = 0;
    let mut all = || {
        for number in 0..WRITES {
            db.put(&key(who, number), &[b'v'; 100], Durability::Synced)?;
            synced += 1;
            while db.maintain(10_000)?.more {}
        }
        while db.compact(10_000)?.more {}
        Ok(())
    };
    let done = all();
    if let Err(error) = &done {
        assert_replaced(error, 0);
    }
    Work { db: done.is_ok().then_some(db), synced }
}

fn key(who: &str, number: usize) -> Vec<u8> {
    // Both write all over the key space, so that their tables would overlap.
    format!("{:02}/{who}", number * 37 % WRITES).into_bytes()
}

fn check<F: Fs>(db: &Store<F>, who: &str, writes: usize, call: u64) {
    for number in 0..writes {
        let found = db.get(&key(who, number));
        assert!(
            matches!(&found, Ok(Some(_))),
            "write {number} of the {who}, interrupted at {call}: {found:?}"
        );
    }
}

fn assert_replaced(error: &Error, call: u64) {
    let replaced = matches!(error.kind(), ErrorKind::Reopen | ErrorKind::Busy);
    assert!(replaced, "the one that was replaced is told so (call {call}): {:?} {error}", error.kind());
}
