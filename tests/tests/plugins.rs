//! Plugins by the functions that the program which runs them can call, too: what is granted, what is refused, and what
//! is counted.
#![cfg(feature = "component")]

use esker_host::plugin::{BucketUsage, Grant, Grants, Held, Plugin, Plugins, Quota, Refusals};
use esker_host::{
    Batch, Bucket, BucketInfo, Condition, Durability, Error, Expected, KeyRange, KvStore, Options,
    ScanOptions,
};
use esker_tests::host::runtime;
use esker_tests::temp_dir::TempDir;

const BUFFERED: Durability = Durability::Buffered;

fn open(dir: &TempDir) -> KvStore {
    KvStore::open(runtime(), dir.path(), Options::default()).expect("opens")
}

fn admit(store: &KvStore, buckets: impl IntoIterator<Item = Grant>) -> Plugin {
    let grants = Grants { buckets: buckets.into_iter().collect(), ..Grants::default() };
    Plugins::new(store).admit("plugin", grants).expect("is admitted")
}

fn quota(keys: impl Into<Option<u64>>, bytes: impl Into<Option<u64>>) -> Quota {
    Quota { keys: keys.into(), bytes: bytes.into(), value_bytes: None }
}

/// What a scan finds, to be compared with what an account says.
fn held(store: &KvStore, bucket: Bucket) -> Held {
    let scan = store.scan(KeyRange::all(), ScanOptions { bucket, ..ScanOptions::default() }).expect("scans");
    scan.map(|entry| entry.expect("reads")).fold(Held::default(), |held, (key, value)| Held {
        keys: held.keys + 1,
        bytes: held.bytes + (key.len() + value.len()) as u64,
    })
}

fn usage(plugin: &Plugin, name: &str) -> BucketUsage {
    let buckets = plugin.usage().buckets;
    buckets.into_iter().find(|bucket| bucket.name == name).expect("the bucket is granted")
}

fn assert_denied<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::AccessDenied(_))), "{answer:?}");
}

fn assert_no_space<T: std::fmt::Debug>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::NoSpace(_))), "{answer:?}");
}

#[test]
fn a_plugin_sees_its_buckets_by_its_own_names_and_no_others() {
    let dir = TempDir::new();
    let store = open(&dir);
    let [mine, shared, others] =
        ["app/mine", "app/shared", "other/secret"].map(|name| store.create_bucket(name).expect("creates"));
    store.put((others, b"k"), b"secret", BUFFERED).expect("writes");
    store.put((shared, b"k"), b"shared", BUFFERED).expect("writes");
    let plugin = admit(&store, [Grant::new("default", mine), Grant::new("shared", shared).read_only()]);

    let info = |bucket, name: &str| BucketInfo { bucket, name: name.into() };
    assert_eq!(plugin.buckets(), Ok(vec![info(Bucket::DEFAULT, "default"), info(shared, "shared")]));
    assert_eq!(plugin.bucket("default"), Ok(Some(Bucket::DEFAULT)));
    assert_eq!(plugin.create_bucket("shared"), Ok(shared));
    plugin.put(b"k", b"v", BUFFERED).expect("may write");
    assert_eq!(store.get((mine, b"k")), Ok(Some(b"v".to_vec())));
    assert_eq!(store.get(b"k"), Ok(None), "the store's default bucket is another one");
    assert_eq!(plugin.get((shared, b"k")), Ok(Some(b"shared".to_vec())));

    assert_denied(plugin.bucket("other/secret"));
    assert_eq!(plugin.bucket("nowhere"), Ok(None));
    assert_denied(plugin.create_bucket("nowhere"));
    assert_denied(plugin.drop_bucket("shared"));
    assert_denied(plugin.get((others, b"k")));
    assert_denied(plugin.get_many(others, &[b"k"]));
    assert_denied(plugin.contains((others, b"k")));
    assert_denied(plugin.get((mine, b"k")));
    assert_denied(plugin.scan(KeyRange::all(), ScanOptions { bucket: others, ..ScanOptions::default() }));
    assert_denied(plugin.read_key_range(others, b"a", b"z", 9));
    let snapshot = plugin.snapshot().expect("pins");
    assert_denied(snapshot.get((others, b"k")));
    assert_denied(snapshot.scan(KeyRange::all(), ScanOptions { bucket: others, ..ScanOptions::default() }));
    let nowhere = plugin.get((Bucket::new(99), b"k"));
    assert!(matches!(nowhere, Err(Error::NoSuchBucket(_))), "{nowhere:?}");
}

#[test]
fn what_is_granted_to_be_read_is_not_written() {
    let dir = TempDir::new();
    let store = open(&dir);
    let [mine, shared] = ["mine", "shared"].map(|name| store.create_bucket(name).expect("creates"));
    let plugin = admit(&store, [Grant::new("mine", mine), Grant::new("shared", shared).read_only()]);

    assert_denied(plugin.put((shared, b"k"), b"v", BUFFERED));
    assert_denied(plugin.delete((shared, b"k"), BUFFERED));
    assert_denied(plugin.increment((shared, b"k"), 1, BUFFERED));
    let mut batch = Batch::new();
    batch.put((mine, b"k"), b"v").expect("fits");
    batch.put((shared, b"k"), b"v").expect("fits");
    assert_denied(plugin.write(&batch, BUFFERED));
    assert_eq!(plugin.get((mine, b"k")), Ok(None), "all of a batch or nothing");

    let mut batch = Batch::new();
    batch.put((mine, b"k"), b"v").expect("fits");
    let condition = Condition::new((shared, b"k"), Expected::Absent);
    plugin.write_if(&batch, &[condition], BUFFERED).expect("a condition only reads");
    assert_eq!(usage(&plugin, "shared").refusals, Refusals { access_denied: 4, ..Refusals::default() });
    assert_eq!(plugin.usage().refusals.access_denied, 4);
}

#[test]
fn a_bucket_grows_to_its_quota_and_no_further() {
    let dir = TempDir::new();
    let store = open(&dir);
    let bucket = store.create_bucket("b").expect("creates");
    store.put((bucket, b"old"), b"1234567", BUFFERED).expect("writes");
    let plugin = admit(&store, [Grant::new("b", bucket).with_quota(quota(3, 30))]);
    assert_eq!(usage(&plugin, "b").held, Some(Held { keys: 1, bytes: 10 }), "counted when it was granted");

    plugin.put((bucket, b"a"), b"123456789", BUFFERED).expect("20 of 30 bytes");
    assert_no_space(plugin.put((bucket, b"b"), b"1234567890", BUFFERED));
    plugin.put((bucket, b"b"), b"123456789", BUFFERED).expect("30 of 30 bytes");
    assert_no_space(plugin.put((bucket, b"a"), b"1234567890", BUFFERED));
    plugin.put((bucket, b"a"), b"1234567", BUFFERED).expect("a smaller value");
    assert_no_space(plugin.put((bucket, b"c"), b"", BUFFERED));
    assert_eq!(usage(&plugin, "b").held, Some(Held { keys: 3, bytes: 28 }));

    let mut exchange = Batch::new();
    exchange.put((bucket, b"c"), b"xyz").expect("fits");
    exchange.put((bucket, b"c"), b"0123456789ab").expect("fits");
    exchange.delete((bucket, b"old")).expect("fits");
    assert_no_space(plugin.write(&exchange, BUFFERED));
    exchange.put((bucket, b"c"), b"z").expect("fits");
    plugin.write(&exchange, Durability::Synced).expect("only what each key ends with counts");
    assert_eq!(usage(&plugin, "b").held, Some(held(&store, bucket)));
    plugin.delete((bucket, b"gone"), BUFFERED).expect("removes nothing");
    plugin.delete((bucket, b"a"), BUFFERED).expect("removes");
    assert_eq!(usage(&plugin, "b").held, Some(held(&store, bucket)));
    assert_eq!(usage(&plugin, "b").refusals.no_space, 4);
}

#[test]
fn conditional_writes_and_increments_are_counted_if_they_are_made() {
    let dir = TempDir::new();
    let store = open(&dir);
    let bucket = store.create_bucket("b").expect("creates");
    let plugin = admit(&store, [Grant::new("b", bucket).with_quota(quota(None, 10))]);
    let key = (bucket, b"k");
    let write_if = |value: &[u8], expected| {
        let mut batch = Batch::new();
        batch.put(key, value).expect("fits");
        plugin.write_if(&batch, &[Condition::new(key, expected)], BUFFERED)
    };

    write_if(b"12", Expected::Absent).expect("is absent");
    assert_eq!(write_if(b"123456", Expected::Absent), Err(Error::ConditionFailed(vec![0])));
    assert_eq!(usage(&plugin, "b").held, Some(Held { keys: 1, bytes: 3 }));
    assert_eq!(plugin.usage().refusals, Refusals::default(), "a condition that fails is an answer");

    assert_eq!(plugin.increment(key, 999_999_986, BUFFERED), Ok(999_999_998));
    assert_eq!(plugin.increment(key, 1, BUFFERED), Ok(999_999_999));
    assert_no_space(plugin.increment(key, 1, BUFFERED));
    assert_eq!(plugin.get(key), Ok(Some(b"999999999".to_vec())));
    assert_eq!(usage(&plugin, "b").held, Some(Held { keys: 1, bytes: 10 }));

    write_if(b"word", Expected::Equals(b"999999999")).expect("it has");
    let refused = plugin.increment(key, 1, BUFFERED);
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
    assert_eq!(usage(&plugin, "b").held, Some(held(&store, bucket)));
}

#[test]
fn a_quota_holds_among_threads_that_write_and_delete_and_sync() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 300;
    const BYTES_MAX: u64 = 200;
    let dir = TempDir::new();
    let store = open(&dir);
    let bucket = store.create_bucket("b").expect("creates");
    let plugins = Plugins::new(&store);
    // One has a quota, one sees the same bucket without, and both are in its account.
    let grant = Grant::new("b", bucket);
    let [limited, free] = [grant.clone().with_quota(quota(None, BYTES_MAX)), grant].map(|grant| {
        let grants = Grants { buckets: vec![grant], ..Grants::default() };
        plugins.admit("plugin", grants).expect("is admitted")
    });

    let refused = std::thread::scope(|scope| {
        let write = |thread: u64| {
            let plugin = if thread == 0 { &free } else { &limited };
            let mut refused = 0;
            for round in 0..ROUNDS {
                let number = (round * 7 + thread * 13) % 50;
                // Threads share keys, and the free one stays small enough to leave something to the others.
                let key = format!("{}-{}", thread / 2, number % if thread == 0 { 3 } else { 20 });
                let key = (bucket, key.as_bytes());
                let durability = if round % 50 == 0 { Durability::Synced } else { Durability::Deferred };
                let written = match round % 5 {
                    4 => plugin.delete(key, durability).map(drop),
                    3 => plugin.increment(key, 1, durability).map(drop),
                    _ => plugin.put(key, number.to_string().repeat(5).as_bytes(), durability).map(drop),
                };
                match written {
                    Ok(()) | Err(Error::InvalidArgument(_)) => {}
                    Err(Error::NoSpace(_)) if thread != 0 => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            refused
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || write(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<u64>()
    });

    let counted = usage(&limited, "b").held;
    assert_eq!(counted, Some(held(&store, bucket)));
    assert!(refused > 0, "the quota was reached");
    assert_eq!(usage(&limited, "b").refusals.no_space, refused);
    assert_eq!(plugins.recount(bucket), Ok(counted.expect("is counted")));
}

#[test]
fn what_was_held_is_known_again_after_a_restart() {
    let dir = TempDir::new();
    let store = open(&dir);
    let bucket = store.create_bucket("b").expect("creates");
    let grant = Grant::new("b", bucket).with_quota(quota(2, None));
    let plugin = admit(&store, [grant.clone()]);
    plugin.put((bucket, b"a"), b"1", BUFFERED).expect("one of two");
    plugin.put((bucket, b"b"), b"1", BUFFERED).expect("two of two");
    let before = usage(&plugin, "b").held;
    store.close().expect("closes");
    assert!(matches!(plugin.get((bucket, b"a")), Err(Error::Reopen(_))));

    let store = open(&dir);
    let plugin = admit(&store, [grant]);
    assert_eq!(usage(&plugin, "b").held, before);
    assert_no_space(plugin.put((bucket, b"c"), b"1", BUFFERED));
}

#[test]
fn the_largest_value_is_the_grants_and_not_the_stores() {
    let dir = TempDir::new();
    let store = open(&dir);
    let bucket = store.create_bucket("b").expect("creates");
    let value_bytes = Quota { value_bytes: Some(4), ..Quota::default() };
    let plugin = admit(&store, [Grant::new("b", bucket).with_quota(value_bytes)]);
    plugin.put((bucket, b"k"), b"1234", BUFFERED).expect("is allowed");
    let refused = plugin.put((bucket, b"k"), b"12345", BUFFERED);
    let message = "the value has 5 bytes: one in bucket `b` has at most 4";
    assert_eq!(refused, Err(Error::InvalidArgument(message.into())));
    assert_eq!(usage(&plugin, "b").held, None, "nobody asked for it to be counted");
}

#[test]
fn operations_are_counted_and_limited() {
    let dir = TempDir::new();
    let store = open(&dir);
    let bucket = store.create_bucket("b").expect("creates");
    let plugins = Plugins::new(&store);
    let limited = |per_second| {
        let buckets = vec![Grant::new("b", bucket)];
        let grants = Grants { buckets, operations_per_second: Some(per_second), ..Grants::default() };
        plugins.admit("plugin", grants)
    };
    assert!(matches!(limited(0), Err(Error::InvalidArgument(_))));

    // So slow that no machine refills it within the test: the first call takes all there is for 11 hours.
    let plugin = limited(1).expect("is admitted");
    let mut batch = Batch::new();
    (0..40_000u32).for_each(|key| batch.put((bucket, &key.to_be_bytes()), b"").expect("fits"));
    plugin.write(&batch, BUFFERED).expect("a batch is allowed at once");
    let refused = plugin.get((bucket, b"k"));
    assert!(matches!(refused, Err(Error::Busy(_))), "{refused:?}");
    let usage = plugin.usage();
    assert_eq!((usage.calls, usage.operations, usage.refusals.busy), (2, 40_000, 1));
    assert_eq!((usage.buckets[0].writes, usage.buckets[0].written_bytes), (40_000, 160_000));
}

#[test]
fn a_scan_is_read_in_pages_that_have_a_limit() {
    let dir = TempDir::new();
    let store = open(&dir);
    let bucket = store.create_bucket("b").expect("creates");
    let plugin = admit(&store, [Grant::new("b", bucket)]);
    let mut batch = Batch::new();
    (0..5_000u32).for_each(|key| batch.put((bucket, &key.to_be_bytes()), b"12345678").expect("fits"));
    plugin.write(&batch, BUFFERED).expect("writes");
    let cursor =
        plugin.scan(KeyRange::all(), ScanOptions { bucket, ..ScanOptions::default() }).expect("scans");
    plugin.delete((bucket, &0u32.to_be_bytes()), BUFFERED).expect("writes");
    assert_eq!(cursor.next(2, u32::MAX).expect("reads").len(), 2);
    assert_eq!(cursor.next(u32::MAX, 1).expect("reads").len(), 1);
    assert_eq!(cursor.next(u32::MAX, u32::MAX).expect("reads").len(), 4_096);
    assert_eq!(cursor.next(u32::MAX, u32::MAX).expect("reads").len(), 901);
    assert_eq!(cursor.next(u32::MAX, u32::MAX).expect("reads").len(), 0);
    let all = plugin.read_key_range(bucket, &[0], &[1], u32::MAX).expect("reads");
    assert_eq!(all.len(), 4_999);
    let usage = usage(&plugin, "b");
    assert_eq!((usage.reads, usage.read_bytes), (5_000 + 4_999, 12 * (5_000 + 4_999)));
}
