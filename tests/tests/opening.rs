//! What opening makes of a directory: a store, a new store, or a clear refusal that changes nothing.

use esker_engine::env::{File, Fs, ManualClock, MemFs};
use esker_engine::{Corruption, Db, Durability, Error, ErrorKind, Options};

fn options() -> Options {
    Options { memory_bytes: 8 << 20, ..Options::default() }
}

fn open(disk: &MemFs, options: Options) -> Result<Db<MemFs, ManualClock>, Error> {
    Db::open(disk.clone(), ManualClock::new(), options)
}

/// A closed store of one table and a bit of log.
fn store() -> MemFs {
    let disk = MemFs::new();
    let mut db = open(&disk, options()).expect("an empty directory becomes a store");
    db.put(b"in a table", b"1", Durability::Buffered).expect("put");
    db.flush().expect("flush");
    db.put(b"in the log", b"2", Durability::Synced).expect("put");
    drop(db);
    disk
}

fn put_file(disk: &MemFs, name: &str, bytes: &[u8]) {
    let mut file = disk.create(name).expect("create");
    file.append(bytes).expect("append");
}

/// Opening is refused with this kind, a message that says this, and no change to any file.
fn refused(disk: &MemFs, options: Options, kind: &ErrorKind, says: &str) {
    let before: Vec<_> = disk.names().into_iter().map(|name| (disk.bytes(&name), name)).collect();
    let error = open(disk, options).expect_err("it must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "the message must say {says:?}: {error}");
    let after: Vec<_> = disk.names().into_iter().map(|name| (disk.bytes(&name), name)).collect();
    assert!(before == after, "a refusal must change nothing: {disk:?}");
}

fn ending(disk: &MemFs, ending: &str) -> String {
    disk.names().into_iter().find(|name| name.ends_with(ending)).expect("a store has such a file")
}

#[test]
fn a_store_comes_back() {
    let db = open(&store(), options()).expect("open");
    assert_eq!(db.get(b"in a table").expect("get").as_deref(), Some(&b"1"[..]));
    assert_eq!(db.get(b"in the log").expect("get").as_deref(), Some(&b"2"[..]));
}

#[test]
fn an_empty_directory_where_no_store_may_be_made() {
    refused(&MemFs::new(), Options { create_if_missing: false, ..options() }, &ErrorKind::CannotOpen, "");
}

#[test]
fn a_store_where_none_may_be() {
    refused(&store(), Options { error_if_exists: true, ..options() }, &ErrorKind::CannotOpen, "");
}

#[test]
fn the_hosts_lock_is_no_content() {
    let disk = MemFs::new();
    put_file(&disk, "LOCK", b"");
    drop(open(&disk, options()).expect("a directory with nothing but a lock is empty"));
    assert!(disk.names().contains(&"LOCK".to_owned()), "the lock is not the engine's");
}

#[test]
fn somebodys_files_are_no_store() {
    let disk = MemFs::new();
    put_file(&disk, "holiday.jpg", b"precious");
    refused(&disk, options(), &ErrorKind::CannotOpen, "holiday.jpg");
}

#[test]
fn somebodys_file_in_a_store_is_left_alone() {
    let disk = store();
    put_file(&disk, "notes.txt", b"precious");
    put_file(&disk, "0000009.wal", b"not our spelling");
    let mut db = open(&disk, options()).expect("open");
    while db.compact(1 << 20).expect("compact").more {}
    db.close().expect("close");
    assert_eq!(disk.bytes("notes.txt").as_deref(), Some(&b"precious"[..]));
    assert_eq!(disk.bytes("0000009.wal").as_deref(), Some(&b"not our spelling"[..]));
}

#[test]
fn a_store_without_its_manifest_is_damaged() {
    let disk = store();
    let manifest = ending(&disk, ".manifest");
    disk.remove(&manifest).expect("remove");
    let damage = ErrorKind::Corrupt(Corruption { file: manifest, offset: 0 });
    refused(&disk, options(), &damage, "missing");
}

#[test]
fn a_missing_table_is_named() {
    let disk = store();
    let table = ending(&disk, ".sst");
    disk.remove(&table).expect("remove");
    let error = open(&disk, options()).expect_err("data is missing");
    assert!(error.is_corrupt(), "{:?} {error}", error.kind());
    assert!(error.to_string().contains(&table), "{error}");
}

#[test]
fn a_file_that_is_no_table_is_named() {
    let disk = store();
    let table = ending(&disk, ".sst");
    disk.damage(&table, |bytes| *bytes = b"<html>502 Bad Gateway</html>".repeat(100)).expect("damage");
    let error = open(&disk, options()).and_then(|db| db.get(b"in a table")).expect_err("data is damaged");
    assert!(error.is_corrupt() && error.to_string().contains(&table), "{error}");
}

#[test]
fn half_a_table_that_nobody_refers_to_is_removed() {
    let disk = store();
    put_file(&disk, "000900.sst", b"a job that was cut off");
    let db = open(&disk, options()).expect("open");
    let report = db.recovery_report().to_json();
    assert!(report.contains("\"orphans_removed\":1"), "{report}");
    assert_eq!(disk.bytes("000900.sst"), None);
}

#[test]
fn options_beyond_their_limits() {
    let disk = MemFs::new();
    refused(&disk, Options { block_bytes: 1, ..options() }, &ErrorKind::InvalidArgument, "block-bytes");
    refused(&disk, Options { memory_bytes: 1, ..options() }, &ErrorKind::InvalidArgument, "memory-bytes");
}

#[test]
fn keys_and_values_at_their_limits() {
    let disk = MemFs::new();
    let mut db = open(&disk, Options { memory_bytes: 1 << 30, ..options() }).expect("open");
    let (longest_key, largest_value) = (vec![b'k'; 65_536], vec![b'v'; 64 << 20]);
    db.put(&longest_key, &largest_value, Durability::Synced).expect("both are allowed");
    db.put(b"k", b"", Durability::Synced).expect("the shortest key, the smallest value");

    let too_large = vec![b'v'; (64 << 20) + 1];
    for (key, value) in [(&longest_key[..], &too_large[..]), (b"", b"v"), (&[b'k'; 65_537], b"v")] {
        let error = db.put(key, value, Durability::Synced).expect_err("beyond the limits");
        assert_eq!(error.kind(), &ErrorKind::InvalidArgument, "{error}");
    }
    let error = db.delete(b"", Durability::Synced).expect_err("no key is empty");
    assert_eq!(error.kind(), &ErrorKind::InvalidArgument, "{error}");

    drop(db);
    let mut db = open(&disk, options()).expect("open with less memory than the value has bytes");
    assert!(db.get(&longest_key).expect("get") == Some(largest_value), "from the log");
    db.flush().expect("flush");
    assert_eq!(db.get(&longest_key).expect("get").map(|value| value.len()), Some(64 << 20), "from a table");
    assert_eq!(db.get(b"k").expect("get"), Some(Vec::new()));
}
