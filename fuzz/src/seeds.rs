//! Bytes to begin with: what this build writes itself, so that they are never of an older format.

use crate::directory;
use esker_engine::base::batch::Batch;
use esker_engine::env::{ManualClock, MemFs};
use esker_engine::record::{Item, RecordReader};
use esker_engine::{Compression, Db, Durability, Job, Kinds, Options, job};
use esker_web::core::Core;
use esker_web::pool::SlotFs;
use esker_web::pool::machine::Machine;
use std::path::Path;
use std::sync::Arc;

/// Writes the seeds of every target into a directory of its name below `dir`.
pub fn write(dir: &Path) -> std::io::Result<()> {
    for (target, seeds) in all() {
        let dir = dir.join(target);
        std::fs::create_dir_all(&dir)?;
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(dir.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}

type Seeds = Vec<Vec<u8>>;

fn all() -> Vec<(&'static str, Seeds)> {
    let stores = [store(Compression::None, false), store(Compression::Lz4, true)];
    let files = |suffix: &str| -> Seeds {
        let of_store = |fs: &MemFs| {
            let names = fs.names().into_iter().filter(|name| name.ends_with(suffix)).collect::<Vec<_>>();
            names.iter().filter_map(|name| fs.bytes(name)).collect::<Vec<_>>()
        };
        stores.iter().flat_map(of_store).filter(|bytes| bytes.len() < 8 << 10).collect()
    };
    let manifests = stores.iter().flat_map(edits).collect();
    vec![
        (
            "directory",
            stores
                .iter()
                .enumerate()
                .filter_map(|(i, fs)| directory::encode([i as u8 * 13, i as u8], fs))
                .collect(),
        ),
        ("batch", vec![batch().as_packed().to_vec()]),
        ("log", files(".wal")),
        ("table", files(".sst")),
        ("edit", manifests),
        ("job", jobs()),
        ("slots", vec![slots()]),
        ("frame", vec![frame()]),
        ("archive", vec![archive()]),
    ]
}

fn options(compression: Compression) -> Options {
    Options {
        compression,
        memory_bytes: 8 << 20,
        memtable_bytes: Some(4 << 10),
        memtable_min_bytes: Some(4 << 10),
        block_bytes: 512,
        ..Options::default()
    }
}

fn batch() -> Batch {
    let mut batch = Batch::new();
    batch.put(b"a", b"1");
    batch.delete(b"b");
    batch.put((esker_engine::Bucket::new(300), b"c"), &[7; 200]);
    batch
}

/// A small store with tables, a log, a bucket, versions of keys and deletes.
fn store(compression: Compression, compacted: bool) -> MemFs {
    let fs = MemFs::new();
    let mut db = Db::open(fs.clone(), ManualClock::new(), options(compression)).expect("an empty directory");
    let bucket = db.create_bucket("bucket").expect("there is room");
    for i in 0..60u32 {
        let key = format!("key {:04}", i * 7919 % 50);
        match i % 5 {
            0 => db.delete(key.as_str(), Durability::Buffered),
            1 => db.put((bucket, key.as_str()), b"in a bucket", Durability::Buffered),
            _ => db.put(key.as_str(), format!("value {i} {i} {i}").as_bytes(), Durability::Synced),
        }
        .expect("there is room");
        if i % 25 == 24 {
            db.flush().expect("there is room");
        }
    }
    while compacted && db.compact(1 << 20).expect("there is room").more {}
    db.put(b"last", b"one", Durability::Synced).expect("there is room");
    fs
}

/// The payloads of a store's manifest.
fn edits(fs: &MemFs) -> Seeds {
    use esker_engine::base::file_name::FileName;
    use esker_engine::env::Fs;
    let mut edits = Vec::new();
    for name in fs.names() {
        let Some(file @ FileName::Manifest(_)) = FileName::parse(&name) else { continue };
        let mut reader = RecordReader::new(fs.open(&name).expect("it was listed"), file.record_number());
        while let Ok(Item::Record { .. }) = reader.read() {
            edits.push(reader.payload().to_vec());
        }
    }
    edits
}

/// Jobs of a store, and their results.
fn jobs() -> Seeds {
    let fs = MemFs::new();
    let options = Options { level0_trigger: 2, ..options(Compression::None) };
    let mut db = Db::open(fs.clone(), ManualClock::new(), options).expect("an empty directory");
    db.set_helped(true);
    let mut seeds = Vec::new();
    for i in 0..400u32 {
        db.put(&i.to_be_bytes(), &[7; 60], Durability::Buffered).expect("there is room");
        while let Some(job) = db.take_job(Kinds::ALL).expect("nothing fails in memory") {
            let result =
                job::run(Arc::new(fs.clone()), job.clone(), 1 << 20).expect("nothing fails in memory");
            seeds.extend([Job::encode(&job), result.encode()]);
            db.finish_job(&result).expect("it is the job's");
        }
    }
    seeds.truncate(24);
    seeds
}

fn machine_with_a_store() -> (Machine, Core<esker_web::pool::machine::MachineHandle, ManualClock>) {
    let machine = Machine::new(8);
    let fs = SlotFs::open(machine.handles()).expect("blank slots");
    let mut core = Core::open(fs, ManualClock::new(), Options::default()).expect("blank slots");
    core.put(b"key", b"value", Durability::Synced).expect("there is room");
    (machine, core)
}

fn slots() -> Vec<u8> {
    let (machine, _core) = machine_with_a_store();
    let mut bytes = Vec::new();
    for slot in 0..3 {
        machine.damage(slot, |content| {
            content.resize(9000, 0);
            bytes.extend_from_slice(content);
        });
    }
    bytes
}

/// A call of every kind.
fn frame() -> Vec<u8> {
    let mut frame = vec![1, 2, 1, b'a', 1, b'1', 2, 1, 1, b'b', 3, 0, 5, 1, 2, 0, b'c', 0];
    frame.extend_from_slice(&[
        4, 0, 1, b'a', 5, 0, 2, 1, b'a', 1, b'b', 9, 6, 1, 13, 3, 1, b'a', 1, b'c', 7, 1,
    ]);
    frame.extend_from_slice(&[8, 1, 10, 1, 11, 12, 13, 14]);
    frame
}

fn archive() -> Vec<u8> {
    let (_machine, mut core) = machine_with_a_store();
    let mut export = core.export().expect("it is open");
    let mut bytes = Vec::new();
    while let Some(piece) = export.next_piece().expect("nothing fails in memory") {
        bytes.extend_from_slice(&piece);
    }
    bytes
}
