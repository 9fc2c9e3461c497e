//! Reads and writes through the host, one thread: answers, limits, snapshots, scans, durability, traps.
#![cfg(feature = "component")]

use esker_host::{
    Batch, Bucket, Durability, Error, Instance, KeyRange, KvStore, Options, ScanOptions, limits,
};
use esker_tests::host::{open, open_instance, runtime, small};
use esker_tests::temp_dir::TempDir;

type Entry = (Vec<u8>, Vec<u8>);

fn key(number: u32) -> Vec<u8> {
    format!("key {number:06}").into_bytes()
}

/// A store with the keys 0 to `count`, each with its number as the value, in tables and memtable.
fn store_of(dir: &TempDir, count: u32) -> KvStore {
    let store = open(dir.path());
    for number in 0..count {
        store.put(&key(number), &number.to_be_bytes(), Durability::Buffered).expect("put");
    }
    store
}

fn entries(count: std::ops::Range<u32>) -> Vec<Entry> {
    count.map(|number| (key(number), number.to_be_bytes().to_vec())).collect()
}

fn scan(store: &KvStore, range: KeyRange, options: ScanOptions) -> Vec<Entry> {
    store.scan(range, options).expect("scan").collect::<Result<_, _>>().expect("every page comes")
}

#[test]
fn every_way_to_write_is_seen_by_every_way_to_read() {
    let dir = TempDir::new();
    let store = open(dir.path());
    let first = store.put(b"a", b"1", Durability::Buffered).expect("put");
    let mut batch = Batch::new();
    batch.put(b"b", b"2").expect("within the limits");
    batch.put(b"c", b"").expect("within the limits");
    batch.delete(b"a").expect("within the limits");
    assert_eq!(store.write(&batch, Durability::Synced), Ok(first + 3));
    assert_eq!(store.delete(b"b", Durability::Deferred), Ok(first + 4));
    assert_eq!(store.put(b"d", b"4", Durability::Deferred), Ok(first + 5));
    assert_eq!(store.write(&Batch::new(), Durability::Buffered), Ok(first + 5), "nothing changes nothing");

    assert_eq!(store.get(b"a"), Ok(None));
    assert_eq!(store.get(b"c"), Ok(Some(vec![])));
    assert_eq!(
        store.get_many(Bucket::DEFAULT, &[&b"d"[..], b"b", b"c"]),
        Ok(vec![Some(b"4".to_vec()), None, Some(vec![])])
    );
    assert_eq!((store.contains(b"d"), store.contains(b"b")), (Ok(true), Ok(false)));
    let left = vec![(b"c".to_vec(), vec![]), (b"d".to_vec(), b"4".to_vec())];
    assert_eq!(store.read_key_range(Bucket::DEFAULT, b"a", b"z", 10), Ok(left.clone()));
    assert_eq!(store.read_key_range(Bucket::DEFAULT, b"a", b"z", 1), Ok(left[..1].to_vec()));
    assert_eq!(scan(&store, KeyRange::all(), ScanOptions::default()), left);
}

#[test]
fn the_unpacked_page_is_the_packed_one() {
    let dir = TempDir::new();
    let mut instance = open_instance(dir.path());
    instance.put(b"k", b"value", Durability::Buffered).expect("put");
    for keys_only in [false, true] {
        let options = ScanOptions { keys_only, ..ScanOptions::default() };
        let cursor = instance.scan(KeyRange::all(), options).expect("scan");
        let value: &[u8] = if keys_only { b"" } else { b"value" };
        assert_eq!(instance.cursor_next(&cursor, 10, 1000), Ok(vec![(b"k".to_vec(), value.to_vec())]));
        assert_eq!(instance.cursor_next(&cursor, 10, 1000), Ok(vec![]));
        instance.drop_cursor(cursor);
        let cursor = instance.scan(KeyRange::all(), options).expect("scan");
        let packed: &[u8] = if keys_only { b"\x01k" } else { b"\x01k\x05value" };
        assert_eq!(instance.cursor_next_packed(&cursor, 10, 1000).as_deref(), Ok(packed));
        assert_eq!(instance.cursor_next_packed(&cursor, 10, 1000), Ok(vec![]));
        instance.drop_cursor(cursor);
    }
}

#[test]
fn scans_go_both_ways_over_many_pages() {
    let dir = TempDir::new();
    let store = store_of(&dir, 10_000);
    let expected = entries(0..10_000);
    assert_eq!(scan(&store, KeyRange::all(), ScanOptions::default()), expected);
    let reverse = ScanOptions { reverse: true, ..ScanOptions::default() };
    let backwards: Vec<_> = expected.iter().rev().cloned().collect();
    assert_eq!(scan(&store, KeyRange::all(), reverse), backwards);

    let middle = KeyRange::new(Some(&key(3_000)), Some(&key(3_100)));
    assert_eq!(scan(&store, middle.clone(), ScanOptions::default()), expected[3_000..3_100]);
    let last = scan(&store, middle, ScanOptions { limit: Some(17), ..reverse });
    assert_eq!(last, backwards[10_000 - 3_100..][..17]);
    let prefix = scan(&store, KeyRange::prefix(b"key 00123"), ScanOptions::default());
    assert_eq!(prefix, expected[1_230..1_240]);
    let keys = scan(&store, KeyRange::prefix(b"key 00123"), ScanOptions { keys_only: true, ..reverse });
    assert!(keys.iter().all(|(_, value)| value.is_empty()));
    assert!(keys.iter().map(|(key, _)| key).eq(expected[1_230..1_240].iter().rev().map(|(key, _)| key)));
}

#[test]
fn a_page_ends_where_an_entry_is_larger_than_it() {
    let dir = TempDir::new();
    let store = open(dir.path());
    let large = vec![7; 300 << 10];
    for number in 0..3 {
        store.put(&key(number), &large, Durability::Buffered).expect("put");
    }
    let values: Vec<_> =
        scan(&store, KeyRange::all(), ScanOptions::default()).into_iter().map(|(_, v)| v).collect();
    assert_eq!(values, vec![large; 3]);
}

#[test]
fn a_snapshot_and_a_scan_see_what_was_there_when_they_began() {
    let dir = TempDir::new();
    let store = store_of(&dir, 2_000);
    let snapshot = store.snapshot().expect("snapshot");
    let mut begun = store.scan(KeyRange::all(), ScanOptions::default()).expect("scan");
    assert_eq!(begun.next_entry().expect("next").map(|(key, _)| key.to_vec()), Some(key(0)));
    for number in 0..2_000 {
        store.delete(&key(number), Durability::Buffered).expect("delete");
    }
    let sequence = store.put(b"new", b"", Durability::Buffered).expect("put");
    store.flush().expect("flush");
    while store.compact(1 << 20).expect("compact").more {}

    assert_eq!(snapshot.sequence(), sequence - 2_001);
    assert_eq!(snapshot.get(&key(7)), Ok(Some(7u32.to_be_bytes().to_vec())));
    assert_eq!(snapshot.get(b"new"), Ok(None));
    let seen = snapshot.scan(KeyRange::all(), ScanOptions::default()).expect("scan");
    assert_eq!(seen.collect::<Result<Vec<_>, _>>(), Ok(entries(0..2_000)));
    assert_eq!(begun.collect::<Result<Vec<_>, _>>(), Ok(entries(1..2_000)));
    assert_eq!(scan(&store, KeyRange::all(), ScanOptions::default()), [(b"new".to_vec(), vec![])]);
}

#[test]
fn what_exceeds_a_limit_is_refused_and_changes_nothing() {
    let dir = TempDir::new();
    let store = open(dir.path());
    let before = store.put(b"k", b"v", Durability::Buffered).expect("put");
    let long_key = vec![b'k'; limits::KEY_BYTES_MAX + 1];
    let refused = [
        store.put(b"", b"v", Durability::Buffered).err(),
        store.put(&long_key, b"v", Durability::Buffered).err(),
        store.delete(b"", Durability::Buffered).err(),
        store.delete(&long_key, Durability::Buffered).err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(Error::InvalidArgument(_))), "{error:?}");
    }
    let after = store.put(&long_key[1..], b"v", Durability::Buffered).expect("the longest key is allowed");
    assert_eq!(after, before + 1);
}

#[test]
fn the_largest_value_goes_in_and_comes_out() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("open");
    let longest_key = vec![b'k'; limits::KEY_BYTES_MAX];
    let largest = vec![7; limits::VALUE_BYTES_MAX];
    let too_large = vec![7; limits::VALUE_BYTES_MAX + 1];
    let error = store.put(b"k", &too_large, Durability::Buffered).expect_err("one byte too many");
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    for _ in 0..6 {
        store.put(&longest_key, &largest, Durability::Buffered).expect("put");
        assert!(store.get(&longest_key).expect("get").as_deref() == Some(&largest[..]));
    }
    store.close().expect("close");
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("open");
    assert!(store.get(&longest_key).expect("get").as_deref() == Some(&largest[..]));
    let mut scan = store.scan(KeyRange::all(), ScanOptions::default()).expect("scan");
    let entry = scan.next_entry().expect("next").expect("it is there");
    assert!(entry == (&longest_key[..], &largest[..]));
}

#[test]
fn an_answer_that_no_call_can_carry_is_refused_before_it_traps() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("open");
    for number in 0..3 {
        store.put(&key(number), &vec![0; 16 << 20], Durability::Buffered).expect("put");
    }
    let keys: Vec<_> = (0..3).map(key).collect();
    let error = store.get_many(Bucket::DEFAULT, &keys).expect_err("48 MiB");
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    let error = store.read_key_range(Bucket::DEFAULT, &key(0), &key(9), 9).expect_err("48 MiB");
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert_eq!(
        scan(&store, KeyRange::all(), ScanOptions::default()).len(),
        3,
        "a scan brings them one by one"
    );
}

#[test]
fn a_malformed_packed_batch_is_refused_by_the_component_too() {
    let dir = TempDir::new();
    let mut instance = open_instance(dir.path());
    let error = instance.write_packed(b"\x01\x05\0ab", Durability::Buffered).expect_err("it is cut off");
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert_eq!(instance.write_packed(b"\x01\x02\0a\x01b", Durability::Buffered), Ok(1));
    assert_eq!(instance.get(b"a"), Ok(Some(b"b".to_vec())));
}

#[test]
fn nothing_is_answered_after_close() {
    let dir = TempDir::new();
    let store = open(dir.path());
    let clone = store.clone();
    let snapshot = store.snapshot().expect("snapshot");
    let mut scan = store.scan(KeyRange::all(), ScanOptions::default()).expect("scan");
    store.close().expect("close");
    assert!(matches!(clone.get(b"k"), Err(Error::Reopen(_))));
    assert!(matches!(clone.put(b"k", b"v", Durability::Buffered), Err(Error::Reopen(_))));
    assert!(matches!(snapshot.get(b"k"), Err(Error::Reopen(_))));
    assert!(matches!(scan.next_entry(), Err(Error::Reopen(_))));
    assert!(matches!(store.close(), Err(Error::Reopen(_))));
    open(dir.path())
        .put(b"k", b"v", Durability::Buffered)
        .expect("the directory is free, though clones are left");
}

#[test]
fn deferred_writes_stay_in_the_store_until_they_are_handed_over() {
    let dir = TempDir::new();
    // No call is slow enough to find a write older than this.
    let options = Options { deferred_millis: Some(u32::MAX), ..small() };
    let mut instance = Instance::open(runtime(), dir.path(), &options).expect("open");
    instance.put(b"handed over", b"", Durability::Deferred).expect("put");
    instance.flush_deferred().expect("flush");
    instance.put(b"not handed over", b"", Durability::Deferred).expect("put");
    assert_eq!(instance.contains(b"not handed over"), Ok(true));
    drop(instance);
    let mut instance = open_instance(dir.path());
    assert_eq!(instance.contains(b"handed over"), Ok(true));
    assert_eq!(
        instance.contains(b"not handed over"),
        Ok(false),
        "a crash of the instance loses what it held"
    );
}

#[test]
fn the_last_clone_hands_deferred_writes_over() {
    let dir = TempDir::new();
    let options = Options { deferred_millis: Some(u32::MAX), ..small() };
    let store = KvStore::open(runtime(), dir.path(), options).expect("open");
    store.put(b"k", b"v", Durability::Deferred).expect("put");
    let scan = store.scan(KeyRange::all(), ScanOptions::default()).expect("scan");
    drop(store);
    drop(scan);
    assert_eq!(open(dir.path()).get(b"k"), Ok(Some(b"v".to_vec())));
}

#[test]
fn a_store_that_wants_more_memory_than_its_sandbox_has_traps_and_says_so() {
    let dir = TempDir::new();
    // Plans with eight mebibytes and is given two: a host that got its numbers wrong.
    let options =
        Options { memory_limit_bytes: Some(2 << 20), background_maintenance: Some(false), ..small() };
    let store = KvStore::open(runtime(), dir.path(), options).expect("open");
    let mut acknowledged = 0;
    let error = loop {
        let value = vec![acknowledged as u8; 100_000];
        match store.put(&key(acknowledged), &value, Durability::Buffered) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1_000, "it takes more than it is given");
    };
    assert!(matches!(&error, Error::Trap(message) if message.contains("2097152")), "{error}");
    let after = store.get(b"k").expect_err("a trap ends the instance");
    assert!(matches!(&after, Error::Reopen(message) if message.contains("2097152")), "{after}");
    drop(store);

    let store = open(dir.path());
    for number in 0..acknowledged {
        let value = store.get(&key(number)).expect("get");
        assert!(value == Some(vec![number as u8; 100_000]), "acknowledged put {number} is gone");
    }
}

#[test]
fn a_store_of_ordinary_values_keeps_within_the_memory_it_plans_with_and_a_margin() {
    let dir = TempDir::new();
    let options = Options {
        memory_bytes: Some(8 << 20),
        memory_limit_bytes: Some((8 + 64) << 20),
        ..Options::default()
    };
    let store = KvStore::open(runtime(), dir.path(), options).expect("open");
    // Four times the memory, in values that compress badly, written twice, read, merged and scanned.
    let value: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for number in 0..3_200 {
        store.put(&key(number % 1_600), &value, Durability::Deferred).expect("put");
    }
    assert_eq!(
        store.get_many(Bucket::DEFAULT, &(0..300).map(key).collect::<Vec<_>>()).expect("get").len(),
        300
    );
    while store.compact(1 << 20).expect("compact").more {}
    let found = store.scan(KeyRange::all(), ScanOptions::default()).expect("scan");
    assert_eq!(found.map(|entry| entry.expect("next").1.len()).sum::<usize>(), 1_600 * value.len());
}

#[test]
fn the_reports_are_json() {
    let dir = TempDir::new();
    let store = store_of(&dir, 100);
    let stats: serde_json::Value = serde_json::from_str(&store.stats().expect("stats")).expect("JSON");
    assert_eq!(stats["directory_sync"], true, "this host makes directory entries durable: {stats}");
    let report: serde_json::Value =
        serde_json::from_str(&store.recovery_report().expect("report")).expect("JSON");
    assert!(report.is_object(), "{report}");
    let verification = store.verify().expect("verify");
    assert_eq!(verification.problems, Vec::<String>::new());
    assert!(verification.files >= 2, "a manifest and a log: {verification:?}");
}

#[test]
fn maintenance_leaves_nothing_to_do() {
    let dir = TempDir::new();
    let options = Options { background_maintenance: Some(false), ..small() };
    let store = KvStore::open(runtime(), dir.path(), options).expect("open");
    for number in 0..20_000 {
        store.put(&key(number % 5_000), &[0; 100], Durability::Buffered).expect("put");
    }
    while store.maintain(64 << 10).expect("maintain").more {}
    let pressure = store.pressure().expect("pressure");
    assert_eq!((pressure.sealed_memtables, pressure.stalled), (0, false), "{pressure:?}");
    assert_eq!(scan(&store, KeyRange::all(), ScanOptions::default()).len(), 5_000);
}
