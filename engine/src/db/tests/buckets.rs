//! Buckets: key spaces that share a store.

use super::{MemDb, open, small};
use crate::base::key::user_key;
use crate::base::options::{Durability, Options};
use crate::env::{Effect, Fault, FaultFs, ManualClock, MemFs};
use crate::iter::InternalIterator;
use crate::{
    Batch, Bucket, Catalogue, Condition, ConditionalWrite, Db, ErrorKind, Expected, Key, KeyRange, Kinds,
    Reader, ScanOptions, job,
};
use std::sync::Arc;

fn names(catalogue: &Catalogue) -> Vec<(u32, String)> {
    catalogue.buckets().expect("read").map(|(bucket, name)| (bucket.number(), name.to_owned())).collect()
}

fn scan(db: &MemDb, bucket: Bucket, range: KeyRange, reverse: bool) -> Vec<Vec<u8>> {
    let mut cursor =
        db.scan(range, ScanOptions { bucket, reverse, ..ScanOptions::default() }).expect("scans");
    let mut keys = Vec::new();
    while let Some((key, value)) = cursor.next().expect("reads") {
        assert_eq!(value, bucket.number().to_le_bytes());
        keys.push(key.to_vec());
    }
    keys
}

/// Puts `keys` into a bucket, each with the bucket's number for its value.
fn fill(db: &mut MemDb, bucket: Bucket, keys: &[&[u8]]) {
    for key in keys {
        db.put((bucket, *key), &bucket.number().to_le_bytes(), Durability::Buffered).expect("writes");
    }
}

#[test]
fn the_same_key_is_another_one_in_each_bucket() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    let keys: [&[u8]; 4] = [b"\0", b"a", b"ab", b"\xff\xff"];
    // Numbers of one byte and of two.
    let buckets: Vec<Bucket> = std::iter::once(Bucket::DEFAULT)
        .chain((0..300).map(|i| db.create_bucket(&format!("b{i}")).expect("creates")))
        .collect();
    for &bucket in &buckets {
        fill(&mut db, bucket, &keys);
    }
    db.delete((buckets[5], b"a"), Durability::Buffered).expect("writes");
    let check = |db: &MemDb| {
        for &bucket in &buckets {
            let gone = bucket == buckets[5];
            let there: Vec<_> =
                keys.iter().filter(|key| !gone || ***key != *b"a").map(|key| key.to_vec()).collect();
            assert_eq!(scan(db, bucket, KeyRange::all(), false), there, "{bucket}");
            let backward: Vec<_> = there.iter().rev().cloned().collect();
            assert_eq!(scan(db, bucket, KeyRange::all(), true), backward, "{bucket}");
            let middle = KeyRange { start: Some(b"a".to_vec()), end: Some(b"b".to_vec()) };
            assert_eq!(scan(db, bucket, middle, false).len(), if gone { 1 } else { 2 });
            assert_eq!(db.contains((bucket, b"a")), Ok(!gone));
            assert_eq!(db.get((bucket, b"ab")), Ok(Some(bucket.number().to_le_bytes().to_vec())));
        }
    };
    check(&db);
    drop(db);
    let mut db = open(&fs);
    check(&db);
    while db.compact(100_000).expect("compacts").more {}
    check(&db);
    db.close().expect("closes");
    let db = open(&fs);
    check(&db);
    assert_eq!(db.buckets().bucket("b299"), Ok(Some(buckets[300])));
    assert!(db.verify().expect("reads").problems.is_empty());
}

#[test]
fn a_bucket_is_made_once_and_survives_a_power_cut() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    assert_eq!(names(db.buckets()), [(0, "default".into())]);
    let users = db.create_bucket("users").expect("creates");
    let before = db.last_sequence();
    assert_eq!(db.create_bucket("users"), Ok(users));
    assert_eq!(db.create_bucket("default"), Ok(Bucket::DEFAULT));
    assert_eq!(db.last_sequence(), before, "nothing was written");
    let mails = db.create_bucket("mails").expect("creates");
    assert_ne!(users, mails);
    drop(db);
    let db = open(&fs.power_cut(1));
    assert_eq!(
        names(db.buckets()),
        [(0, "default".into()), (users.number(), "users".into()), (mails.number(), "mails".into())]
    );
    assert_eq!(db.buckets().bucket("nobody"), Ok(None));
}

#[test]
fn what_is_no_bucket_is_refused() {
    let mut db = open(&MemFs::new());
    let users = db.create_bucket("users").expect("creates");
    db.put(b"k", b"v", Durability::Buffered).expect("writes");
    for number in [Bucket::new(1), Bucket::new(users.number() + 1), Bucket::new(u32::MAX)] {
        let refused = |kind: &ErrorKind| assert_eq!(*kind, ErrorKind::NoSuchBucket, "{number}");
        let key = Key::from((number, b"k"));
        refused(db.get(key).expect_err("no bucket").kind());
        refused(db.get_many(number, &[b"k"]).expect_err("no bucket").kind());
        refused(db.get_with_sequence(key).expect_err("no bucket").kind());
        refused(db.contains(key).expect_err("no bucket").kind());
        refused(db.put(key, b"", Durability::Buffered).expect_err("no bucket").kind());
        refused(db.delete(key, Durability::Buffered).expect_err("no bucket").kind());
        let options = ScanOptions { bucket: number, ..ScanOptions::default() };
        refused(db.scan(KeyRange::all(), options).expect_err("no bucket").kind());
        let mut batch = Batch::new();
        batch.delete(b"k");
        batch.put((users, b"k"), b"");
        batch.put(key, b"");
        refused(db.write(&batch, Durability::Buffered).expect_err("no bucket").kind());
        let condition = Condition { key, expected: Expected::Absent };
        refused(
            db.write_if(&Batch::new(), &[condition], Durability::Buffered).expect_err("no bucket").kind(),
        );
    }
    assert_eq!(db.get(b"k"), Ok(Some(b"v".to_vec())), "the batches changed nothing");
    for name in ["", "a\nb", "tab\t", "\u{85}", &"x".repeat(256)] {
        let error = db.create_bucket(name).expect_err("a bad name");
        assert_eq!(*error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("1 to 255 bytes"), "{error}");
    }
    db.create_bucket(&"é".repeat(127)).expect("254 bytes");
}

#[test]
fn a_batch_over_buckets_is_one_write() {
    let mut db = open(&MemFs::new());
    let from = db.create_bucket("from").expect("creates");
    let to = db.create_bucket("to").expect("creates");
    db.put((from, b"k"), b"v", Durability::Buffered).expect("writes");
    let snapshot = db.snapshot();
    let mut batch = Batch::new();
    batch.delete((from, b"k"));
    batch.put((to, b"k"), b"v");
    let moved = |key| Condition { key, expected: Expected::Equals(b"v") };
    let conditions =
        [moved(Key::from((from, b"k"))), Condition { key: (to, b"k").into(), expected: Expected::Absent }];
    let outcome = db.write_if(&batch, &conditions, Durability::Buffered).expect("writes");
    assert_eq!(outcome, ConditionalWrite::Written(db.last_sequence()));
    assert_eq!((db.get((from, b"k")), db.get((to, b"k"))), (Ok(None), Ok(Some(b"v".to_vec()))));
    let before = (db.get_at(&snapshot, (from, b"k")), db.get_at(&snapshot, (to, b"k")));
    assert_eq!(before, (Ok(Some(b"v".to_vec())), Ok(None)));
    assert_eq!(
        db.write_if(&batch, &conditions, Durability::Buffered),
        Ok(ConditionalWrite::Failed(vec![0, 1]))
    );
    assert_eq!(db.get_with_sequence((to, b"k")), Ok(Some((b"v".to_vec(), db.last_sequence()))));
}

#[test]
fn a_reader_and_a_snapshot_have_the_buckets_of_their_state() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    db.put(b"k", b"v", Durability::Buffered).expect("writes");
    let mut reader = Reader::open(fs.clone(), &small()).expect("opens");
    let (early, view) = (db.snapshot(), reader.view());
    let users = db.create_bucket("users").expect("creates");
    fill(&mut db, users, &[b"u"]);
    assert_eq!(names(&db.buckets_at(&early).expect("reads")).len(), 1);
    assert_eq!(db.get_at(&early, (users, b"u")), Ok(None), "not there yet");
    assert_eq!(*reader.get((users, b"u")).expect_err("not seen yet").kind(), ErrorKind::NoSuchBucket);
    reader.catch_up().expect("follows");
    assert_eq!(reader.buckets().bucket("users"), Ok(Some(users)));
    assert_eq!(reader.get((users, b"u")), Ok(Some(users.number().to_le_bytes().to_vec())));
    assert_eq!(*view.get((users, b"u")).expect_err("an earlier state").kind(), ErrorKind::NoSuchBucket);
    // Through tables, and from the start.
    db.flush().expect("flushes");
    let later = db.create_bucket("later").expect("creates");
    let limit = db.last_sequence();
    reader.catch_up_to(limit).expect("follows");
    assert_eq!(reader.buckets().bucket("later"), Ok(Some(later)));
    db.flush().expect("flushes");
    while db.compact(100_000).expect("compacts").more {}
    reader.catch_up().expect("follows");
    assert_eq!(names(reader.buckets()), names(db.buckets()));
    let fresh = Reader::open(fs, &small()).expect("opens");
    assert_eq!(names(fresh.buckets()), names(db.buckets()));
    assert_eq!(fresh.get_many(users, &[b"u"]).map(|values| values.len()), Ok(1));
}

/// The record of a bucket may be lost to damage while keys of it survive: their number must not go to another bucket,
/// whose keys they would then be.
#[test]
fn a_number_of_which_there_are_keys_is_not_given_again() {
    for in_tables in [false, true] {
        let fs = MemFs::new();
        let mut db = open(&fs);
        let mut batch = Batch::new();
        batch.put((Bucket::new(9), b"orphan"), b"");
        db.commit(&batch, Durability::Synced).expect("writes");
        if in_tables {
            db.flush().expect("flushes");
        }
        drop(db);
        let mut db = Db::open(fs, ManualClock::default(), small()).expect("opens");
        assert_eq!(db.create_bucket("new"), Ok(Bucket::new(10)), "in tables: {in_tables}");
    }
}

/// A store must not be lost because the table block is damaged that tells which buckets it has.
#[test]
fn a_damaged_catalogue_leaves_the_default_bucket() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    fill(&mut db, Bucket::DEFAULT, &[b"k"]);
    db.flush().expect("flushes");
    while db.compact(100_000).expect("compacts").more {}
    let users = db.create_bucket("users").expect("creates");
    fill(&mut db, users, &[b"k"]);
    db.flush().expect("flushes");
    db.close().expect("closes");
    drop(db);
    // The second table of two: the catalogue's, and the other bucket's.
    let tables: Vec<_> = fs.names().into_iter().filter(|name| name.ends_with(".sst")).collect();
    fs.damage(tables.last().expect("a table"), |bytes| bytes[10] ^= 1).expect("is there");
    let mut db = open(&fs);
    assert_eq!(db.get(b"k"), Ok(Some(0u32.to_le_bytes().to_vec())));
    for error in [
        db.get((users, b"k")).expect_err("damaged"),
        db.create_bucket("new").expect_err("damaged"),
        db.buckets().bucket("users").expect_err("damaged"),
    ] {
        assert!(error.is_corrupt(), "{error}");
        assert!(error.message().contains("the store's buckets are not known"), "{error}");
    }
}

/// Makes three buckets, `gone` between the others, with the same keys in several tables.
fn fill_three(db: &mut MemDb) -> [Bucket; 3] {
    let buckets = ["before", "gone", "after"].map(|name| db.create_bucket(name).expect("creates"));
    for round in 0..4 {
        for bucket in buckets {
            let keys: Vec<_> = (0..200).map(|i| format!("{:04}", i * 4 + round).into_bytes()).collect();
            fill(db, bucket, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
        db.flush().expect("flushes");
    }
    buckets
}

/// How many entries of a bucket there are in memtables and live tables.
fn entries_of(db: &MemDb, bucket: Bucket) -> usize {
    let mut entries = db.view.iter().expect("opens");
    entries.seek_to_first().expect("reads");
    let mut count = 0;
    while entries.valid() {
        let key = Key::of_user_key(user_key(entries.key())).expect("sound");
        count += usize::from(key.bucket == bucket);
        entries.next().expect("reads");
    }
    count
}

fn maintain(db: &mut MemDb) {
    while db.maintain(10_000).expect("works").more {}
}

/// Does all that is due, as a worker.
fn run_jobs(db: &mut MemDb, fs: &MemFs) {
    while let Some(job) = db.take_job(Kinds::ALL).expect("takes") {
        let result = job::run(Arc::new(fs.clone()), job, 1 << 20).expect("runs");
        db.finish_job(&result).expect("installs");
    }
}

#[test]
fn a_dropped_bucket_is_gone_and_its_space_comes_back() {
    for compact_first in [false, true] {
        let fs = MemFs::new();
        let mut db = open(&fs);
        let [before, gone, after] = fill_three(&mut db);
        while compact_first && db.compact(100_000).expect("compacts").more {}
        let kept: Vec<_> = [before, after].map(|bucket| scan(&db, bucket, KeyRange::all(), false)).into();
        assert_eq!(db.drop_bucket("gone"), Ok(true));
        assert_eq!(db.drop_bucket("gone"), Ok(false), "it is no more");
        assert_eq!(*db.get((gone, b"0001")).expect_err("dropped").kind(), ErrorKind::NoSuchBucket);
        assert!(entries_of(&db, gone) > 0, "nothing was rewritten yet");
        assert_eq!(db.stats().dropped_buckets, 1);
        maintain(&mut db);
        assert_eq!(entries_of(&db, gone), 0);
        assert_eq!(db.stats().dropped_buckets, 0);
        assert_eq!(kept, [before, after].map(|bucket| scan(&db, bucket, KeyRange::all(), false)));
        assert_ne!(db.create_bucket("gone"), Ok(gone), "a number is never given again");
        db.close().expect("closes");
        let db = open(&fs);
        assert_eq!(db.stats().dropped_buckets, 0, "its record is gone as well");
        assert!(db.verify().expect("reads").problems.is_empty());
    }
}

#[test]
fn a_table_of_nothing_but_a_dropped_bucket_is_not_read() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    let gone = db.create_bucket("gone").expect("creates");
    db.flush().expect("flushes");
    while db.compact(100_000).expect("compacts").more {}
    let keys: Vec<_> = (0..1000).map(|i| format!("{i:04}").into_bytes()).collect();
    fill(&mut db, gone, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>());
    db.flush().expect("flushes");
    db.drop_bucket("gone").expect("drops");
    db.flush().expect("flushes");
    let compacted = db.counters.compactions.bytes_read;
    maintain(&mut db);
    assert_eq!((entries_of(&db, gone), db.counters.compactions.bytes_read), (0, compacted));
}

/// What sees the state before a drop goes on seeing it: a snapshot, a cursor, and a reader that has not caught up.
#[test]
fn whoever_saw_a_bucket_before_it_was_dropped_still_does() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    let [_, gone, _] = fill_three(&mut db);
    let all = scan(&db, gone, KeyRange::all(), false);
    let snapshot = db.snapshot();
    let options = ScanOptions { bucket: gone, ..ScanOptions::default() };
    let mut cursor = db.scan(KeyRange::all(), options).expect("scans");
    let mut reader = Reader::open(fs.clone(), &small()).expect("opens");
    db.drop_bucket("gone").expect("drops");
    maintain(&mut db);
    assert!(entries_of(&db, gone) >= all.len(), "the snapshot sees them");
    let mut seen = db.scan_at(&snapshot, KeyRange::all(), options).expect("scans");
    for key in &all {
        assert_eq!(db.get_at(&snapshot, (gone, key)), Ok(Some(gone.number().to_le_bytes().to_vec())));
        assert_eq!(seen.next().expect("reads").map(|(key, _)| key.to_vec()).as_ref(), Some(key));
        assert_eq!(cursor.next().expect("reads").map(|(key, _)| key.to_vec()).as_ref(), Some(key));
    }
    assert_eq!(reader.get((gone, &all[0])), Ok(Some(gone.number().to_le_bytes().to_vec())));
    drop((seen, cursor, snapshot));
    maintain(&mut db);
    assert_eq!(entries_of(&db, gone), 0);
    reader.catch_up().expect("follows");
    assert_eq!(*reader.get((gone, &all[0])).expect_err("dropped").kind(), ErrorKind::NoSuchBucket);
    assert_eq!(names(reader.buckets()), names(db.buckets()));
}

#[test]
fn a_drop_survives_a_power_cut_and_is_collected_afterwards() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    let [before, gone, _] = fill_three(&mut db);
    let kept = scan(&db, before, KeyRange::all(), false);
    db.sync().expect("syncs");
    db.drop_bucket("gone").expect("drops");
    db.maintain(1).expect("works");
    for seed in 0..20 {
        let fs = fs.power_cut(seed);
        let mut db = open(&fs);
        assert_eq!(db.buckets().bucket("gone"), Ok(None));
        db.flush().expect("flushes");
        maintain(&mut db);
        assert_eq!((entries_of(&db, gone), db.stats().dropped_buckets), (0, 0));
        assert_eq!(scan(&db, before, KeyRange::all(), false), kept);
    }
}

/// A reader took its list of buckets for unchanged while the manifest named the same next file and memory held as many
/// records of buckets as before. Once numbers had been reserved for workers, that stayed so from flush to flush: it went
/// on to see a bucket that had been dropped, and missed a new one.
#[test]
fn a_reader_sees_buckets_whose_records_it_has_only_in_tables() {
    let fs = MemFs::new();
    let options = Options { wal_segments_kept: 0, ..small() };
    let mut db = Db::open(fs.clone(), ManualClock::new(), options).expect("opens");
    while db.pressure().sealed_memtables == 0 {
        let next = db.last_sequence().to_be_bytes();
        fill(&mut db, Bucket::DEFAULT, &[&next]);
    }
    let job = db.take_job(Kinds::ALL).expect("writable").expect("a memtable is sealed");
    db.abandon_job(job.id(), None).expect("it was out");
    db.create_bucket("first").expect("creates");
    db.flush().expect("flushes");
    let mut reader = Reader::open(fs.clone(), &small()).expect("there is a store");
    assert_eq!(names(reader.buckets()), names(db.buckets()));

    // The log has moved on by more than one segment: the reader takes from tables what was in them.
    db.create_bucket("second").expect("creates");
    for key in [b"1", b"2", b"3"] {
        fill(&mut db, Bucket::DEFAULT, &[key]);
        db.flush().expect("flushes");
        maintain(&mut db);
    }
    reader.catch_up().expect("follows");
    assert_eq!(names(reader.buckets()), names(db.buckets()));
}

/// A reader that failed in the middle of catching up saw what it had read by then with the buckets of before: none of
/// a new bucket's keys, and a dropped one as if it were empty.
#[test]
fn a_reader_that_has_failed_has_the_buckets_of_what_it_sees() {
    let mut between = 0;
    for nth in 1.. {
        let fs = MemFs::new();
        let faults = FaultFs::new(fs.clone());
        let mut db = open(&fs);
        let [_, gone, _] = fill_three(&mut db);
        db.flush().expect("flushes");
        let mut reader = Reader::open(faults.clone(), &small()).expect("there is a store");
        let opened = reader.last_sequence();
        db.drop_bucket("gone").expect("drops");
        let dropped = db.last_sequence();
        maintain(&mut db);
        let new = db.create_bucket("new").expect("creates");
        fill(&mut db, new, &[b"k"]);
        let filled = db.last_sequence();
        db.flush().expect("flushes");
        faults.arm(Fault::once(Effect::Io, nth));
        let failed = reader.catch_up().is_err();
        if faults.struck() == 0 {
            break;
        }
        faults.disarm();
        let seen = reader.last_sequence();
        between += u32::from(failed && seen > opened);
        if reader.buckets().buckets().is_ok() {
            assert_eq!(reader.buckets().contains(gone), seen < dropped, "call {nth}, at {seen}");
            let found = reader.get((new, b"k"));
            assert_eq!(found.is_ok_and(|value| value.is_some()), seen >= filled, "call {nth}, at {seen}");
        }
    }
    assert!(between > 0, "no failure came between");
}

/// A job that was taken before the drop makes tables with the bucket's keys: they are written anew as well.
#[test]
fn a_job_that_began_before_a_drop_may_end_after_it() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    let [_, gone, _] = fill_three(&mut db);
    maintain(&mut db);
    db.set_helped(true);
    let compaction = Kinds { flush: false, clean_up: false, compaction: true };
    let old = loop {
        if let Some(job) = db.take_job(compaction).expect("takes") {
            break job;
        }
        fill(&mut db, gone, &[b"0005", b"9"]);
        db.flush().expect("flushes");
    };
    let id = old.id();
    let result = job::run(Arc::new(fs.clone()), old, 1 << 20).expect("runs");
    db.drop_bucket("gone").expect("drops");
    db.flush().expect("flushes");
    run_jobs(&mut db, &fs);
    assert_eq!(db.stats().dropped_buckets, 1, "job {id} is out");
    db.finish_job(&result).expect("installs");
    assert!(entries_of(&db, gone) > 0, "the job knew nothing of the drop");
    run_jobs(&mut db, &fs);
    assert_eq!((entries_of(&db, gone), db.stats().dropped_buckets), (0, 0));
}

#[test]
fn the_default_bucket_cannot_be_dropped() {
    let mut db = open(&MemFs::new());
    let error = db.drop_bucket("default").expect_err("refused");
    assert_eq!(*error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(db.drop_bucket("nobody"), Ok(false));
}
