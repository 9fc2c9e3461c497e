//! `esker-fixture DIR`: writes the stores that a release leaves behind, so that every later one is tried on them;
//! `cargo xtask fixture` runs it (tests/fixtures/README.md).
//!
//! Each store is a directory below DIR, and beside it `NAME.expected` says what is in it, a line for each entry: the
//! bucket's name, the key and the value, their bytes escaped.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use esker_host::{Batch, Compression, Durability, KvStore, Options, Runtime, Strategy};
use esker_tests::fixture::content;

fn main() {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: esker-fixture DIR");
        std::process::exit(2);
    };
    fs::create_dir_all(&dir).expect("the directory can be made");
    let runtime = Runtime::new().expect("built with the component");
    for (name, options, closed) in [
        ("closed", options(Strategy::Levelled, Compression::Lz4), true),
        ("killed", options(Strategy::SizeTiered, Compression::None), false),
    ] {
        let store = KvStore::open(&runtime, dir.join(name), options).expect("an empty directory");
        write(&store);
        describe(&store, &dir.join(format!("{name}.expected")));
        if closed {
            store.close().expect("it closes");
        } else {
            // What a kill leaves: no record of a clean end. The clone keeps the store from being dropped in order.
            std::mem::forget(store);
        }
        let _it_names_this_process = fs::remove_file(dir.join(name).join("LOCK"));
    }
}

fn options(strategy: Strategy, compression: Compression) -> Options {
    Options {
        error_if_exists: Some(true),
        memory_bytes: Some(8 << 20),
        memtable_bytes: Some(16 << 10),
        table_bytes: Some(16 << 10),
        level1_bytes: Some(32 << 10),
        block_bytes: Some(512),
        background_maintenance: Some(false),
        strategy: Some(strategy),
        compression: Some(compression),
        ..Options::default()
    }
}

/// Everything that the format has: keys of all bytes, short and long; empty and large values; deletes, versions, batches
/// over buckets; tables in several levels, and a log with more.
fn write(store: &KvStore) {
    let users = store.create_bucket("users").expect("there is room");
    let mut wide = users;
    // Enough of them that a number takes two bytes.
    for i in 0..240 {
        wide = store.create_bucket(&format!("bucket {i}")).expect("there is room");
    }
    for i in 0..600u32 {
        let key = format!("key {:04}", i * 7919 % 400);
        let value = format!("value {i} ").repeat(1 + i as usize % 7);
        let mut batch = Batch::new();
        batch.put(&key, value.as_bytes()).expect("it fits");
        if i % 3 == 0 {
            batch.put((users, &key), &i.to_be_bytes()).expect("it fits");
        }
        if i % 5 == 0 {
            batch.delete(format!("key {:04}", i % 400).as_bytes()).expect("it fits");
        }
        if i % 50 == 0 {
            batch.put((wide, &[i as u8, 0, 0xff]), b"").expect("it fits");
        }
        store.write(&batch, Durability::Buffered).expect("there is room");
        if i % 150 == 149 {
            store.flush().expect("there is room");
            while store.maintain(1 << 20).expect("there is room").more {}
        }
    }
    store.put(&[b'~'; 3000], b"a long key", Durability::Buffered).expect("there is room");
    store.put(b"large", &[b'L'; 9000], Durability::Buffered).expect("there is room");
    store.increment((users, b"visits"), 42, Durability::Synced).expect("there is room");
    store.delete((users, b"key 0006"), Durability::Synced).expect("there is room");
}

fn describe(store: &KvStore, file: &Path) {
    let mut text = String::new();
    for (bucket, key, value) in content(store) {
        writeln!(text, "{bucket}\t{}\t{}", key.escape_ascii(), value.escape_ascii())
            .expect("a string takes all");
    }
    fs::write(file, text).expect("the directory was made");
}
