//! Calls every function that a plugin can import, once or more, and says which one answered something else than the
//! interface promises. Its buckets are `default` and `other`, both empty; `hidden` is not granted.

use esker_plugin_guests::bindings::esker::kv::kv_store as kv;
use esker_plugin_guests::bindings::esker::kv::types::Expected;
use esker_plugin_guests::bindings::wasi::{keyvalue0_2_0_draft as draft, keyvalue0_2_0_draft2 as draft2};
use esker_plugin_guests::bindings::{self, Guest};
use esker_plugin_guests::defaults;
use kv::{Condition, Durability, Entry, Error, KeyRange, Operation, ScanOptions, Store};
use std::fmt::Debug;

const BUFFERED: Durability = Durability::Buffered;
const DEFAULT: u32 = 0;
/// So many keys need a second page, and no third.
const MANY: usize = 1_500;

struct EveryCall;

type Checked = Result<(), String>;

impl Guest for EveryCall {
    fn run(task: String) -> Result<String, String> {
        match task.as_str() {
            "esker:kv" => esker_kv(),
            "wasi:keyvalue 0.2.0-draft" => keyvalue(),
            "wasi:keyvalue 0.2.0-draft2" => keyvalue2(),
            unknown => Err(format!("it knows no task `{unknown}`")),
        }?;
        Ok(task)
    }
}

/// What was called must have answered what was expected.
fn check<T: PartialEq + Debug>(called: &str, answer: T, expected: T) -> Checked {
    if answer == expected {
        return Ok(());
    }
    Err(format!("{called} answered {answer:?}, and not {expected:?}"))
}

fn denied<T: Debug>(called: &str, answer: Result<T, Error>) -> Checked {
    check(called, matches!(answer, Err(Error::AccessDenied(_))), true)
}

fn esker_kv() -> Checked {
    let store = kv::open("any/where", defaults()).map_err(text)?;
    buckets(&store)?;
    writes(&store)?;
    reads(&store)?;
    snapshots(&store)?;
    check("sync", store.sync(), Ok(()))?;
    check("flush-deferred", store.flush_deferred(), Ok(()))?;
    check("stats", store.stats().map(|stats| stats.contains("\"operations\":")), Ok(true))?;
    match kv::open_reader("any/where", None) {
        Ok(reader) => every_call_of(&reader)?,
        refused => denied("open-reader", refused)?,
    }
    check("close", store.close(), Ok(()))?;
    check("get of a closed store", matches!(store.get(DEFAULT, b"a"), Err(Error::Reopen(_))), true)?;
    let store = kv::open("", defaults()).map_err(text)?;
    check("get after another open", store.contains(DEFAULT, b"a"), Ok(true))
}

fn buckets(store: &Store) -> Checked {
    let other = store.bucket("other").map_err(text)?.ok_or("there is no other")?;
    check("create-bucket", store.create_bucket("other"), Ok(other))?;
    let names = store.buckets().map(|all| all.into_iter().map(|info| info.name).collect::<Vec<_>>());
    check("buckets", names, Ok(vec!["default".into(), "other".into()]))?;
    denied("bucket", store.bucket("hidden"))?;
    denied("drop-bucket", store.drop_bucket("other"))
}

fn writes(store: &Store) -> Checked {
    let first = store.put(DEFAULT, b"a", b"1", BUFFERED).map_err(text)?;
    let set = |key: &str| Operation { bucket: DEFAULT, key: key.into(), value: Some(b"2".into()) };
    check("write", store.write(&[set("b"), set("c")], BUFFERED), Ok(first + 2))?;
    let packed = [1, 2, 0, b'd', 1, b'3', 0, 2, 0, b'c'];
    check("write-packed", store.write_packed(&packed, BUFFERED), Ok(first + 4))?;
    let fits = Condition { bucket: DEFAULT, key: b"a".into(), expected: Expected::UnchangedSince(first) };
    let fails = Condition { bucket: DEFAULT, key: b"a".into(), expected: Expected::Absent };
    let conditions = [fits.clone(), fails];
    check("write-if", store.write_if(&[set("e")], &[fits], BUFFERED), Ok(first + 5))?;
    let refused = store.write_if(&[set("f")], &conditions, BUFFERED);
    check("write-if", refused, Err(Error::ConditionFailed(vec![1])))?;
    let refused = store.write_packed_if(&packed, &conditions, BUFFERED);
    check("write-packed-if", refused, Err(Error::ConditionFailed(vec![1])))?;
    check("delete", store.delete(DEFAULT, b"e", Durability::Deferred), Ok(first + 6))?;
    check("increment", store.increment(DEFAULT, b"b", 40, Durability::Synced), Ok((42, first + 7)))
}

/// The default bucket holds `a` = 1, `b` = 42, `d` = 3.
fn reads(store: &Store) -> Checked {
    check("get", store.get(DEFAULT, b"b"), Ok(Some(b"42".to_vec())))?;
    let value = store.get_with_sequence(DEFAULT, b"a").map(|found| found.map(|found| found.value));
    check("get-with-sequence", value, Ok(Some(b"1".to_vec())))?;
    let values = store.get_many(DEFAULT, &[b"c".to_vec(), b"d".to_vec()]);
    check("get-many", values, Ok(vec![None, Some(b"3".to_vec())]))?;
    check("contains", store.contains(DEFAULT, b"e"), Ok(false))?;
    let entries = store.read_key_range(DEFAULT, b"a", b"d", 9);
    check("read-key-range", entries, Ok(vec![entry("a", "1"), entry("b", "42")]))?;
    let cursor = store.scan(DEFAULT, &all(), scan(true, false)).map_err(text)?;
    check("cursor.next", cursor.next(1, 100), Ok(vec![entry("d", "3")]))?;
    check("cursor.next-packed", cursor.next_packed(9, 100), Ok(b"\x01b\x0242\x01a\x011".to_vec()))?;
    check("cursor.next at the end", cursor.next(9, 100), Ok(vec![]))?;
    let cursor = store.scan(DEFAULT, &all(), scan(false, true)).map_err(text)?;
    check("cursor.next-packed of keys", cursor.next_packed(9, 100), Ok(b"\x01a\x01b\x01d".to_vec()))
}

fn snapshots(store: &Store) -> Checked {
    let snapshot = store.snapshot().map_err(text)?;
    let last = store.delete(DEFAULT, b"d", BUFFERED).map_err(text)?;
    check("snapshot.sequence", snapshot.sequence(), last - 1)?;
    check("snapshot.get", snapshot.get(DEFAULT, b"d"), Ok(Some(b"3".to_vec())))?;
    check("snapshot.bucket", snapshot.bucket("default"), Ok(Some(DEFAULT)))?;
    check("snapshot.buckets", snapshot.buckets().map(|all| all.len()), Ok(2))?;
    let cursor = snapshot.scan(DEFAULT, &all(), scan(true, false)).map_err(text)?;
    check("snapshot.scan", cursor.next(1, 100), Ok(vec![entry("d", "3")]))
}

/// Not called while plugins have no readers; but whoever could call it imports all of it.
fn every_call_of(reader: &kv::Reader) -> Checked {
    reader.catch_up().map_err(text)?;
    reader.catch_up_to(reader.sequence()).map_err(text)?;
    reader.get(DEFAULT, b"a").map_err(text)?;
    reader.get_with_sequence(DEFAULT, b"a").map_err(text)?;
    reader.get_many(DEFAULT, &[]).map_err(text)?;
    reader.contains(DEFAULT, b"a").map_err(text)?;
    reader.scan(DEFAULT, &all(), scan(false, false)).map_err(text)?;
    reader.read_key_range(DEFAULT, b"a", b"b", 1).map_err(text)?;
    reader.bucket("default").map_err(text)?;
    reader.buckets().map_err(text)?;
    reader.stats().map_err(text)?;
    Ok(())
}

fn keyvalue() -> Checked {
    use draft::{atomics, batch, store};
    check("open", store::open("nowhere").err(), Some(store::Error::NoSuchStore))?;
    check("open", store::open("hidden").err(), Some(store::Error::AccessDenied))?;
    let bucket = store::open("other").map_err(text)?;
    check("set", bucket.set("k", b"v"), Ok(()))?;
    check("get", bucket.get("k"), Ok(Some(b"v".to_vec())))?;
    check("exists", bucket.exists("k"), Ok(true))?;
    check("delete", bucket.delete("k"), Ok(()))?;
    check("get", bucket.get("k"), Ok(None))?;
    check("increment", atomics::increment(&bucket, "n", 3), Ok(3))?;
    check("increment", atomics::increment(&bucket, "n", u64::MAX).is_err(), true)?;
    check("set", bucket.set("n", b"-5"), Ok(()))?;
    check("increment", atomics::increment(&bucket, "n", 9).is_err(), true)?;
    check("get", bucket.get("n"), Ok(Some(b"-5".to_vec())))?;
    check("delete", bucket.delete("n"), Ok(()))?;

    check("set-many", batch::set_many(&bucket, &pairs()), Ok(()))?;
    let first = bucket.list_keys(None).map_err(text)?;
    check("list-keys", first.keys.len(), 1_000)?;
    let second = bucket.list_keys(first.cursor).map_err(text)?;
    check("list-keys", (second.keys.len(), second.cursor), (MANY - 1_000, None))?;
    check("list-keys", bucket.list_keys(Some(99)).is_err(), true)?;
    let found = batch::get_many(&bucket, &[key(7), "gone".into()]);
    check("get-many", found, Ok(vec![Some((key(7), vec![7])), None]))?;
    check("delete-many", batch::delete_many(&bucket, &keys()), Ok(()))?;
    check("list-keys", bucket.list_keys(None).map(|page| page.keys), Ok(vec![]))
}

fn keyvalue2() -> Checked {
    use draft2::{atomics, batch, store};
    let default = store::open("").map_err(text)?;
    let bucket = store::open("other").map_err(text)?;
    check("set", bucket.set("k", b"v"), Ok(()))?;
    check("get", bucket.get("k"), Ok(Some(b"v".to_vec())))?;
    check("exists", bucket.exists("k"), Ok(true))?;
    check("delete", bucket.delete("k"), Ok(()))?;
    check("increment", atomics::increment(&bucket, "n", -3), Ok(-3))?;
    check("delete", bucket.delete("n"), Ok(()))?;

    check("set-many", batch::set_many(&bucket, &pairs()), Ok(()))?;
    let first = bucket.list_keys(None).map_err(text)?;
    check("list-keys of another bucket", default.list_keys(first.cursor.as_deref()).is_err(), true)?;
    check("list-keys", bucket.list_keys(Some("no cursor")).is_err(), true)?;
    let second = bucket.list_keys(first.cursor.as_deref()).map_err(text)?;
    check("list-keys", (first.keys.len(), second.keys.len()), (1_000, MANY - 1_000))?;
    check("list-keys", second.cursor, None)?;
    let found = batch::get_many(&bucket, &[key(7), "gone".into()]);
    check("get-many", found, Ok(vec![(key(7), Some(vec![7])), ("gone".into(), None)]))?;
    check("delete-many", batch::delete_many(&bucket, &keys()), Ok(()))?;
    compare_and_swap(&bucket)
}

fn compare_and_swap(bucket: &draft2::store::Bucket) -> Checked {
    use draft2::atomics::{Cas, CasError, swap};
    let fresh = Cas::new(bucket, "c").map_err(text)?;
    let stale = Cas::new(bucket, "c").map_err(text)?;
    check("cas.current", fresh.current(), Ok(None))?;
    check("swap", swap(fresh, b"1").is_ok(), true)?;
    let Err(CasError::CasFailed(again)) = swap(stale, b"2") else {
        return Err("a stale handle was taken".into());
    };
    check("cas.current", again.current(), Ok(Some(b"1".to_vec())))?;
    check("swap", swap(again, b"3").is_ok(), true)?;
    check("get", bucket.get("c"), Ok(Some(b"3".to_vec())))?;
    check("delete", bucket.delete("c"), Ok(()))
}

fn key(number: usize) -> String {
    format!("key {number:05}")
}

fn keys() -> Vec<String> {
    (0..MANY).map(key).collect()
}

fn pairs() -> Vec<(String, Vec<u8>)> {
    (0..MANY).map(|number| (key(number), vec![number as u8])).collect()
}

fn entry(key: &str, value: &str) -> Entry {
    Entry { key: key.into(), value: value.into() }
}

fn all() -> KeyRange {
    KeyRange { start: None, end: None }
}

fn scan(reverse: bool, keys_only: bool) -> ScanOptions {
    ScanOptions { reverse, keys_only, limit: None }
}

fn text(error: impl Debug) -> String {
    format!("{error:?}")
}

bindings::export!(EveryCall with_types_in bindings);
