//! What is in a store, for those who write fixtures and those who check them.

use esker_host::{KeyRange, KvStore, ScanOptions};

/// Every entry of a store, bucket by bucket: the bucket's name, the key and the value.
///
/// # Panics
///
/// When the store cannot be read.
pub fn content(store: &KvStore) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for info in store.buckets().expect("the buckets can be read") {
        let options = ScanOptions { bucket: info.bucket, ..ScanOptions::default() };
        for entry in store.scan(KeyRange::all(), options).expect("it can be read") {
            let (key, value) = entry.expect("it can be read");
            all.push((info.name.clone(), key, value));
        }
    }
    all
}
