//! Files that are wrong though their checksums are right, and directories of any bytes at all: an error or an answer,
//! never a panic, and never a message that blames the engine.
//!
//! Chance alone meets checksums first and decoders hardly ever; so damage is done to what a checksum covers, and the
//! checksum is made to fit. What answers then are is nobody's business: no store could know.

use esker_engine::base::checksum::{block_checksum, message_checksum, record_checksum};
use esker_engine::env::{File, Fs, ManualClock, MemFs};
use esker_engine::{
    Batch, Db, Durability, ErrorKind, Job, JobResult, KeyRange, Kinds, Options, Reader, RecoveryMode, Result,
    ScanOptions, job,
};
use esker_tests::seed::{Rng, for_each_seed};
use esker_tests::trace::ShownOnPanic;
use std::sync::Arc;

/// Of a log file's block (docs/format.md).
const LOG_BLOCK_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
const FOOTER_BYTES: usize = 64;

fn options(recovery: RecoveryMode) -> Options {
    Options {
        recovery,
        memory_bytes: 8 << 20,
        memtable_bytes: Some(1_500),
        wal_segment_bytes: 1_024,
        block_bytes: 256,
        table_bytes: 1_024,
        level0_trigger: 2,
        level1_bytes: Some(2_000),
        cache_bytes: Some(0),
        ..Options::default()
    }
}

/// A store of several tables on several levels, with a bit of log.
fn store(seed: u64) -> MemFs {
    let disk = MemFs::new();
    let mut db = open(&disk, RecoveryMode::SkipCorrupted).expect("an empty directory");
    let mut rng = Rng::new(seed);
    for number in 0..120 {
        let mut batch = Batch::new();
        for _ in 0..rng.between(1, 3) {
            let key = format!("key{:03}", rng.below(60)).into_bytes();
            match rng.percent(25) {
                true => batch.delete(&key),
                false => batch.put(&key, &vec![number; rng.index(60)]),
            }
        }
        db.write(&batch, Durability::Synced).expect("nothing fails");
    }
    drop(db);
    disk
}

fn open(disk: &MemFs, recovery: RecoveryMode) -> Result<Db<MemFs, ManualClock>> {
    Db::open(disk.clone(), ManualClock::new(), options(recovery))
}

#[test]
fn forged_files() {
    for_each_seed("forged", "forged_files", 800, |seed| {
        let disk = store(seed / 40);
        let mut rng = Rng::new(seed);
        for _ in 0..rng.between(1, 3) {
            forge(&disk, &mut rng);
        }
        use_it(&disk, &mut rng);
    });
}

#[test]
fn any_bytes_in_files_of_the_stores_names() {
    for_each_seed("forged", "any_bytes_in_files_of_the_stores_names", 400, |seed| {
        let mut rng = Rng::new(seed);
        let disk = if rng.percent(50) { store(seed / 40) } else { MemFs::new() };
        for _ in 0..rng.between(1, 5) {
            let ending = rng.pick(&["wal", "sst", "manifest", "lost", "tmp"]);
            let name = match rng.below(5) {
                0 => format!("{}.{ending}", u64::MAX - rng.below(2)),
                _ => format!("{:06}.{ending}", rng.below(80)),
            };
            let names = disk.names();
            let bytes = match names.get(rng.index(names.len().max(1))) {
                // What stands in another file, or a piece of it.
                Some(other) if rng.percent(60) => {
                    let mut bytes = disk.bytes(other).expect("it is there");
                    bytes.drain(..rng.index(bytes.len() + 1) * usize::from(rng.percent(30)));
                    bytes
                }
                _ => (0..rng.index(3_000)).map(|_| rng.next_u64() as u8).collect(),
            };
            if disk.bytes(&name).is_some() {
                disk.remove(&name).expect("it is there");
            }
            disk.create(&name).and_then(|mut file| file.append(&bytes)).expect("a new file");
        }
        use_it(&disk, &mut rng);
    });
}

/// A reader that met an edit of the manifest that removes a table which is not there called it a bug of its own, and
/// asked for a report; the primary had always called it damage.
#[test]
fn an_edit_that_does_not_fit_is_damage_to_a_reader() {
    let misfits = (0..4_000).filter(|&seed| {
        let disk = store(seed / 40);
        let mut rng = Rng::new(seed);
        for _ in 0..rng.between(1, 3) {
            forge(&disk, &mut rng);
        }
        let Err(error) = Reader::open(disk, &options(RecoveryMode::Absolute)) else { return false };
        let misfit = error.to_string().contains("does not fit");
        assert!(!misfit || error.is_corrupt(), "{:?} {error}", error.kind());
        misfit
    });
    assert!(misfits.take(2).count() > 0, "no forged edit was one that does not fit");
}

/// Jobs and results that come from elsewhere.
#[test]
fn forged_jobs() {
    for_each_seed("forged", "forged_jobs", 400, |seed| {
        let mut rng = Rng::new(seed);
        let disk = store(seed / 40);
        let mut db = open(&disk, RecoveryMode::SkipCorrupted).expect("it is sound");
        db.set_helped(true);
        db.put(b"more", &[1; 2_000], Durability::Buffered).expect("put");
        db.put(b"more", &[2; 2_000], Durability::Buffered).expect("put");
        let Some(job) = db.take_job(Kinds::ALL).expect("it is the primary") else { return };
        let result = job::run(Arc::new(disk.clone()), job.clone(), 100_000).expect("a sound job");
        let mut bytes = job.encode();
        respoil(&mut bytes, &mut rng);
        if let Some(job) = blameless(Job::decode(&bytes)) {
            blameless(job::run(Arc::new(disk.clone()), job, 100_000));
        }
        let mut bytes = result.encode();
        respoil(&mut bytes, &mut rng);
        if let Some(result) = blameless(JobResult::decode(&bytes)) {
            blameless(db.finish_job(&result));
        }
        drop(db);
        use_it(&disk, &mut rng);
    });
}

/// Damages a message, and makes its checksum fit.
fn respoil(bytes: &mut Vec<u8>, rng: &mut Rng) {
    bytes.truncate(bytes.len() - 8);
    spoil(bytes, rng);
    let checksum = message_checksum(bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
}

/// Opens the directory in each way and does a bit of everything.
fn use_it(disk: &MemFs, rng: &mut Rng) {
    let modes = [
        RecoveryMode::Absolute,
        RecoveryMode::TolerateTornTail,
        RecoveryMode::PointInTime,
        RecoveryMode::SkipCorrupted,
    ];
    let mode = rng.pick(&modes);
    if let Some(reader) = blameless(Reader::open(disk.clone(), &options(mode))) {
        blameless(reader.get(b"key001"));
        blameless(reader.scan(KeyRange::all(), ScanOptions::default()).map(drop));
    }
    let Some(mut db) = blameless(open(disk, mode)) else { return };
    blameless(db.verify());
    for reverse in [false, true] {
        let scan = || {
            let mut cursor = db.scan(KeyRange::all(), ScanOptions { reverse, ..ScanOptions::default() })?;
            let mut entries = 0;
            while cursor.next()?.is_some() {
                entries += 1;
                assert!(entries < 100_000, "a scan of a small store does not end");
            }
            Ok(())
        };
        blameless(scan());
    }
    for number in 0..60 {
        blameless(db.get(format!("key{number:03}").as_bytes()));
    }
    blameless(db.put(b"key030", b"new", Durability::Synced));
    blameless(db.flush());
    for _ in 0..50 {
        if !blameless(db.compact(1 << 20)).is_some_and(|progress| progress.more) {
            break;
        }
    }
    blameless(db.close());
}

/// An answer, if there is one; an error must not be the engine's fault.
fn blameless<T>(answer: Result<T>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(error) => {
            assert_ne!(error.kind(), &ErrorKind::Bug, "{error}");
            None
        }
    }
}

/// Damages what a checksum covers in one of the files, and makes the checksum fit.
fn forge(disk: &MemFs, rng: &mut Rng) {
    let names = disk.names();
    let name = names[rng.index(names.len())].clone();
    let number: u64 = name.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let _shown = ShownOnPanic(format!("{name} was forged"));
    let bytes = disk.bytes(&name).expect("it is there");
    let pieces = if name.ends_with(".sst") { blocks(&bytes) } else { fragments(&bytes) };
    if pieces.is_empty() {
        return;
    }
    let (start, end) = pieces[rng.index(pieces.len())];
    let is_table = name.ends_with(".sst");
    // A manifest's number has its highest bit set, which tells it from a log's.
    let number = if name.ends_with(".manifest") { number | 1 << 63 } else { number };
    disk.damage(&name, |bytes| {
        if is_table {
            spoil(&mut bytes[start..end - 8], rng);
            let checksum = block_checksum(start as u64, &bytes[start..end - 8]);
            bytes[end - 8..end].copy_from_slice(&checksum.to_le_bytes());
        } else {
            spoil(&mut bytes[start + HEADER_BYTES..end], rng);
            let checksum =
                record_checksum(number, start as u64, bytes[start + 6], &bytes[start + HEADER_BYTES..end]);
            bytes[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        }
    })
    .expect("it is there");
}

/// A few bytes become others.
fn spoil(bytes: &mut [u8], rng: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    for _ in 0..rng.between(1, 3) {
        let at = rng.index(bytes.len());
        bytes[at] = match rng.below(6) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at].wrapping_add(1),
            3 => bytes[at].wrapping_sub(1),
            4 => bytes[at] ^ 0x80,
            _ => rng.next_u64() as u8,
        };
    }
}

/// Where the fragments of a log or a manifest stand, header included.
fn fragments(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + HEADER_BYTES < bytes.len() {
        let length = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        let end = at + HEADER_BYTES + length;
        if bytes[at + 6] == 0 || end > bytes.len() {
            at = (at / LOG_BLOCK_BYTES + 1) * LOG_BLOCK_BYTES;
            continue;
        }
        found.push((at, end));
        at = end;
    }
    found
}

/// Where the blocks of a table stand, trailer included: they follow each other, and a checksum says where one ends.
fn blocks(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let (mut start, limit) = (0, bytes.len().saturating_sub(FOOTER_BYTES));
    while let Some(end) = (start + 9..=limit).find(|&end| {
        block_checksum(start as u64, &bytes[start..end - 8]).to_le_bytes() == bytes[end - 8..end]
    }) {
        found.push((start, end));
        start = end;
    }
    found
}

/// The forger knows the format: what it takes apart is all of a file, and what it changes passes for sound.
#[test]
fn the_forger_finds_every_piece() {
    let disk = store(7);
    for name in disk.names() {
        let bytes = disk.bytes(&name).expect("it is there");
        let pieces = if name.ends_with(".sst") { blocks(&bytes) } else { fragments(&bytes) };
        let expected = if name.ends_with(".sst") { bytes.len() - FOOTER_BYTES } else { bytes.len() };
        assert_eq!(pieces.last().map_or(0, |&(_, end)| end), expected, "{name}");
    }
}
