//! Buckets and conditional writes through the component, from one thread and from many.

#![cfg(feature = "component")]

use esker_host::{
    Batch, Bucket, BucketInfo, Condition, Durability, Error, Expected, Key, KeyRange, KvStore, Options,
    Reader, ScanOptions,
};
use esker_tests::host::runtime;
use esker_tests::temp_dir::TempDir;
use std::sync::atomic::{AtomicU64, Ordering};

const DURABILITIES: [Durability; 3] = [Durability::Deferred, Durability::Buffered, Durability::Synced];

fn keys(store: &KvStore, bucket: Bucket) -> Vec<Vec<u8>> {
    let options = ScanOptions { bucket, keys_only: true, ..ScanOptions::default() };
    store.scan(KeyRange::all(), options).expect("scans").map(|entry| entry.expect("reads").0).collect()
}

#[test]
fn buckets_are_key_spaces_of_one_store() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("opens");
    let users = store.create_bucket("users").expect("creates");
    let mails = store.create_bucket("mails").expect("creates");
    assert_eq!(store.create_bucket("users"), Ok(users));
    let mut batch = Batch::new();
    batch.put(b"k", b"plain").expect("fits");
    batch.put((users, b"k"), b"user").expect("fits");
    batch.put((mails, b"m"), b"mail").expect("fits");
    store.write(&batch, Durability::Buffered).expect("writes");
    let snapshot = store.snapshot().expect("pins");
    store.delete((users, b"k"), Durability::Buffered).expect("writes");
    assert_eq!(store.get(b"k"), Ok(Some(b"plain".to_vec())));
    assert_eq!((store.get((users, b"k")), store.contains((users, b"k"))), (Ok(None), Ok(false)));
    assert_eq!(snapshot.get((users, b"k")), Ok(Some(b"user".to_vec())));
    assert_eq!(store.get_many(mails, &["k", "m"]), Ok(vec![None, Some(b"mail".to_vec())]));
    assert_eq!(store.read_key_range(mails, b"a", b"z", 9), Ok(vec![(b"m".to_vec(), b"mail".to_vec())]));
    assert_eq!((keys(&store, users), keys(&store, mails)), (vec![], vec![b"m".to_vec()]));
    let info = |bucket, name: &str| BucketInfo { bucket, name: name.into() };
    let all = vec![info(Bucket::DEFAULT, "default"), info(users, "users"), info(mails, "mails")];
    assert_eq!((store.buckets(), snapshot.buckets()), (Ok(all.clone()), Ok(all.clone())));
    let reader = Reader::open(runtime(), dir.path(), None).expect("opens");
    assert_eq!((reader.buckets(), reader.bucket("mails")), (Ok(all.clone()), Ok(Some(mails))));
    assert_eq!(reader.get((mails, b"m")), Ok(Some(b"mail".to_vec())));
    store.close().expect("closes");
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("opens");
    assert_eq!(store.buckets(), Ok(all));
    assert_eq!(store.get((mails, b"m")), Ok(Some(b"mail".to_vec())));
}

#[test]
fn a_bucket_that_is_none_is_an_error_by_name() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("opens");
    let nowhere = Bucket::new(7);
    let refused = |error: Error| assert!(matches!(error, Error::NoSuchBucket(_)), "{error:?}");
    refused(store.get((nowhere, b"k")).expect_err("no bucket"));
    refused(store.put((nowhere, b"k"), b"", Durability::Buffered).expect_err("no bucket"));
    refused(store.increment((nowhere, b"k"), 1, Durability::Buffered).expect_err("no bucket"));
    let mut batch = Batch::new();
    batch.put(b"k", b"").expect("fits");
    batch.delete((nowhere, b"k")).expect("fits");
    refused(store.write(&batch, Durability::Buffered).expect_err("no bucket"));
    assert_eq!(store.get(b"k"), Ok(None));
    assert_eq!(store.bucket("nobody"), Ok(None));
    assert!(matches!(store.create_bucket("a\0b"), Err(Error::InvalidArgument(_))));
}

#[test]
fn conditions_hold_or_nothing_is_written() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("opens");
    let users = store.create_bucket("users").expect("creates");
    for durability in DURABILITIES {
        let key = Key::from((users, b"k"));
        assert_eq!(store.compare_and_swap(key, None, Some(b"1"), durability), Ok(true));
        assert_eq!(store.compare_and_swap(key, None, Some(b"2"), durability), Ok(false));
        assert_eq!(store.compare_and_swap(key, Some(b"1"), Some(b"2"), durability), Ok(true));
        let (value, sequence) = store.get_with_sequence(key).expect("reads").expect("is there");
        assert_eq!(value, b"2");
        let mut batch = Batch::new();
        batch.put((users, b"other"), b"x").expect("fits");
        let unchanged = Condition::new(key, Expected::UnchangedSince(sequence));
        let absent = Condition::new(b"k", Expected::Absent);
        assert_eq!(store.write_if(&batch, &[unchanged, absent], durability), Ok(sequence + 1));
        store.put(key, b"2", durability).expect("writes");
        let wrong = Condition::new((users, b"other"), Expected::Equals(b"y"));
        assert_eq!(
            store.write_if(&batch, &[unchanged, absent, wrong], durability),
            Err(Error::ConditionFailed(vec![0, 2]))
        );
        assert_eq!(store.compare_and_swap(key, Some(b"2"), None, durability), Ok(true));
        assert_eq!(store.get(key), Ok(None));
        assert_eq!(store.increment((users, b"n"), 40, durability), Ok(40));
        assert_eq!(store.increment((users, b"n"), 2, durability), Ok(42));
        assert_eq!(store.get((users, b"n")), Ok(Some(b"42".to_vec())));
        assert!(matches!(store.increment((users, b"other"), 1, durability), Err(Error::InvalidArgument(_))));
        store.delete((users, b"n"), durability).expect("writes");
    }
}

/// Every thread counts up the same keys, by increments and by compare-and-swap, with readers that answer beside the
/// primary and a worker: none of them may be lost, nor a count be seen twice.
#[test]
fn threads_count_together() {
    const THREADS: u64 = 8;
    const EACH: u64 = 60;
    let dir = TempDir::new();
    let options = Options { readers: Some(2), workers: Some(1), ..Options::default() };
    let store = KvStore::open(runtime(), dir.path(), options).expect("opens");
    let swapped = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, swapped) = (&store, &swapped);
            scope.spawn(move || {
                let bucket = store.create_bucket("counts").expect("creates");
                let own = store.create_bucket(&format!("thread {thread}")).expect("creates");
                let mut last = 0;
                for i in 0..EACH {
                    let durability = DURABILITIES[((thread + i) % 3) as usize];
                    let sum = store.increment((bucket, b"sum"), 1, durability).expect("counts");
                    assert!(sum > last, "{sum} after {last}");
                    last = sum;
                    let old = store.get((bucket, b"swap")).expect("reads");
                    let number: u64 = old
                        .as_deref()
                        .map_or(0, |old| str::from_utf8(old).expect("digits").parse().expect("a number"));
                    let new = (number + 1).to_string();
                    if store
                        .compare_and_swap((bucket, b"swap"), old.as_deref(), Some(new.as_bytes()), durability)
                        .expect("swaps")
                    {
                        swapped.fetch_add(1, Ordering::Relaxed);
                    }
                    store.put((own, &i.to_be_bytes()), b"", durability).expect("writes");
                    assert_eq!(store.contains((own, &i.to_be_bytes())), Ok(true), "its own write");
                }
            });
        }
    });
    let bucket = store.bucket("counts").expect("reads").expect("is there");
    assert_eq!(store.get((bucket, b"sum")), Ok(Some((THREADS * EACH).to_string().into_bytes())));
    let swapped = swapped.into_inner();
    assert!(swapped > 0);
    assert_eq!(store.get((bucket, b"swap")), Ok(Some(swapped.to_string().into_bytes())));
    assert_eq!(store.buckets().expect("reads").len() as u64, 2 + THREADS);
    for info in store.buckets().expect("reads").iter().filter(|info| info.name.starts_with("thread")) {
        assert_eq!(keys(&store, info.bucket).len() as u64, EACH, "{}", info.name);
    }
}
