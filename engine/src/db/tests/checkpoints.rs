//! Checkpoints: a state's files as a store of their own.

use super::{MemDb, key, open, small};
use crate::base::options::{Durability, RecoveryMode};
use crate::env::{File, Fs, ManualClock, MemFs};
use crate::{Checkpoint, Db, KeyRange, Options, Reader, ScanOptions};

/// Copies a checkpoint's files to a file system of their own; `None` where the primary has removed one.
fn copy(from: &MemFs, checkpoint: &Checkpoint) -> Option<MemFs> {
    let to = MemFs::new();
    let put = |name: &str, bytes: &[u8]| {
        let mut file = to.create(name).expect("each name is there once");
        file.append(bytes).expect("there is room");
        file.sync().expect("nothing fails in memory");
    };
    put(&checkpoint.manifest.0, &checkpoint.manifest.1);
    for (name, length) in checkpoint.tables.iter().chain(&checkpoint.segments) {
        put(name, &from.bytes(name)?[..*length as usize]);
    }
    to.sync_dir().expect("nothing fails in memory");
    Some(to)
}

fn entries(db: &MemDb) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut scan = db.scan(KeyRange::all(), ScanOptions::default()).expect("scans");
    let mut entries = Vec::new();
    while let Some((key, value)) = scan.next().expect("reads") {
        entries.push((key.to_vec(), value.to_vec()));
    }
    entries
}

#[test]
fn a_checkpoint_is_a_store_with_what_its_reader_sees() {
    let fs = MemFs::new();
    let mut db = open(&fs);
    let mut reader = Reader::open(fs.clone(), &small()).expect("opens");
    for i in 0..2000u64 {
        db.put(&key(i), &i.to_le_bytes(), Durability::Buffered).expect("writes");
        if i % 97 != 0 {
            continue;
        }
        // By turns at the log's end and somewhere before.
        if i % 2 == 0 { reader.catch_up() } else { reader.catch_up_to(i - i % 50) }.expect("follows");
        let mut checkpoint = reader.checkpoint();
        let mut copied = copy(&fs, &checkpoint);
        if copied.is_none() {
            reader.catch_up().expect("follows");
            checkpoint = reader.checkpoint();
            copied = copy(&fs, &checkpoint);
        }
        assert_eq!(checkpoint.sequence, reader.last_sequence());
        let copied = copied.expect("nobody removes anything meanwhile");
        // Nothing of it is torn: what refuses any damage opens it.
        let options = Options { recovery: RecoveryMode::Absolute, create_if_missing: false, ..small() };
        let mut copy = Db::open(copied, ManualClock::default(), options).expect("a sound store");
        assert!(copy.recovery_report().is_clean());
        assert_eq!(copy.last_sequence(), checkpoint.sequence);
        let mut seen = reader.scan(KeyRange::all(), ScanOptions::default()).expect("scans");
        for (key, value) in entries(&copy) {
            assert_eq!(seen.next(), Ok(Some((&key[..], &value[..]))));
        }
        assert_eq!(seen.next(), Ok(None));
        assert!(copy.verify().expect("reads").problems.is_empty());
        copy.put(b"more", b"", Durability::Synced).expect("it is a store like any other");
    }
    assert!(db.stats().levels[1..].iter().any(|level| level.tables > 0), "compaction has run");
}
