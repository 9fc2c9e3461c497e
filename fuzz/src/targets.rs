//! What is done with the bytes.

use crate::directory::{self, Directory};
use esker_engine::base::batch::{Batch, Operation};
use esker_engine::base::bucket::Key;
use esker_engine::base::checksum::key_hash;
use esker_engine::base::key::{SEQUENCE_MAX, internal_key, seek_trailer};
use esker_engine::env::{File, Fs, ManualClock, MemFs};
use esker_engine::iter::InternalIterator;
use esker_engine::record::{Item, RecordReader};
use esker_engine::sstable::{BlockCache, ReadMode, Table};
use esker_engine::version::{State, VersionEdit};
use esker_engine::{
    Compression, Db, Durability, Job, JobResult, KeyRange, Options, Reader, RecoveryMode, ScanOptions,
    Strategy, job,
};
use esker_web::core::Core;
use esker_web::pool::SlotFs;
use esker_web::pool::machine::{Machine, MachineHandle};
use std::sync::Arc;

/// Something that takes bytes which anybody may have written.
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Takes the bytes.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "directory", run: directory },
    Target { name: "batch", run: batch },
    Target { name: "log", run: log },
    Target { name: "table", run: table },
    Target { name: "edit", run: edit },
    Target { name: "job", run: run_job },
    Target { name: "slots", run: slots },
    Target { name: "frame", run: frame },
    Target { name: "archive", run: archive },
];

/// A scan looks at so many entries at most: damaged blocks can hold far more than their bytes.
const ENTRIES_MAX: usize = 2000;

/// A directory of any files: it opens or is refused, and what opened is read, written, maintained and opened again.
fn directory(bytes: &[u8]) {
    let Some(Directory { options: choice, fs }) = directory::decode(bytes) else { return };
    let options = options(choice);
    if let Ok(mut reader) = Reader::open(fs.clone(), &options) {
        let _damage_is_an_answer = reader.catch_up();
        let _damage_is_an_answer = reader.verify();
        let _damage_is_an_answer = reader.get(b"key");
        let _stats = reader.stats();
    }
    let Ok(mut db) = Db::open(fs.clone(), ManualClock::new(), options.clone()) else { return };
    exercise(&mut db);
    drop(db);
    if let Ok(mut db) = Db::open(fs, ManualClock::new(), options) {
        exercise(&mut db);
    }
}

fn options([first, second]: [u8; 2]) -> Options {
    Options {
        recovery: match first % 4 {
            0 => RecoveryMode::SkipCorrupted,
            1 => RecoveryMode::PointInTime,
            2 => RecoveryMode::TolerateTornTail,
            _ => RecoveryMode::Absolute,
        },
        strategy: if first & 4 == 0 { Strategy::Levelled } else { Strategy::SizeTiered },
        compression: if first & 8 == 0 { Compression::Lz4 } else { Compression::None },
        memory_bytes: 8 << 20,
        memtable_bytes: Some(if second & 1 == 0 { 64 << 10 } else { 4 << 10 }),
        memtable_min_bytes: Some(if second & 1 == 0 { 64 << 10 } else { 4 << 10 }),
        cache_bytes: Some(u64::from(second & 2) << 19),
        ..Options::default()
    }
}

fn exercise(db: &mut Db<MemFs, ManualClock>) {
    for reverse in [false, true] {
        let scan = db.scan(KeyRange::all(), ScanOptions { reverse, ..ScanOptions::default() });
        let Ok(mut scan) = scan else { continue };
        let mut last: Option<Vec<u8>> = None;
        for _ in 0..ENTRIES_MAX {
            let Ok(Some((key, _))) = scan.next() else { break };
            last = Some(key.to_vec());
        }
        if let Some(key) = last {
            let _damage_is_an_answer = db.get(&key);
        }
    }
    let _damage_is_an_answer = db.verify();
    let _damage_is_an_answer = db.buckets().buckets().map(Iterator::count);
    let _refused = db.put(b"key", b"value", Durability::Synced);
    let _refused =
        db.create_bucket("a bucket").and_then(|bucket| db.put((bucket, b"k"), b"v", Durability::Buffered));
    let _refused = db.increment(b"count", 1, Durability::Buffered);
    let _refused = db.flush();
    for _ in 0..3 {
        let _damage_is_an_answer = db.maintain(64 << 10);
        let _damage_is_an_answer = db.compact(64 << 10);
    }
    let _stats = db.stats().to_json().len();
    let _refused = db.close();
}

/// A packed batch. What is taken reads back as the same, and every key of it is one.
fn batch(bytes: &[u8]) {
    let Ok(batch) = Batch::from_packed(bytes.to_vec()) else { return };
    let mut again = Batch::new();
    for operation in batch.operations() {
        match operation {
            Operation::Put { user_key, value } => {
                again.put(Key::of_user_key(user_key).expect("a batch has only keys"), value);
            }
            Operation::Delete { user_key } => {
                again.delete(Key::of_user_key(user_key).expect("a batch has only keys"));
            }
        }
    }
    assert_eq!((batch.len(), batch.as_packed()), (again.len(), again.as_packed()), "one form for each batch");
}

/// A log, read as recovery reads one and as a follower does. Reading gets to the end.
fn log(bytes: &[u8]) {
    for follows in [false, true] {
        let file = file_of(bytes);
        let mut reader = if follows { RecordReader::following(file, 1) } else { RecordReader::new(file, 1) };
        // A fragment has a header of seven bytes, and a record or damage at least one of them, or a block's end.
        let most = bytes.len() / 7 + bytes.len() / 32_768 + 3;
        let mut items = 0;
        while let Ok(Item::Record { .. } | Item::Damage { .. }) = reader.read() {
            let _not_a_batch = esker_engine::wal::decode(reader.payload(), &mut Batch::new());
            items += 1;
            assert!(items <= most, "{items} items in {} bytes", bytes.len());
        }
    }
}

/// A table: all entries both ways, and what is asked of its filter and of its blocks by key.
fn table(bytes: &[u8]) {
    let Ok(table) = Table::open(file_of(bytes), 1) else { return };
    let table = Arc::new(table);
    let cache = Arc::new(BlockCache::new(1 << 20));
    let mut iter = table.iter(&cache, ReadMode::Cached);
    let mut keys = Vec::new();
    let _damage_is_an_answer = iter.seek_to_first();
    while iter.valid() && keys.len() < ENTRIES_MAX {
        keys.push(iter.key().to_vec());
        if iter.next().is_err() {
            break;
        }
    }
    let _damage_is_an_answer = iter.seek_to_last();
    for _ in 0..ENTRIES_MAX {
        if !iter.valid() || iter.prev().is_err() {
            break;
        }
    }
    for key in keys.iter().take(20).map(Vec::as_slice).chain([&b"\0key"[..], b""]) {
        let target = internal_key(key, seek_trailer(SEQUENCE_MAX));
        let _damage_is_an_answer = iter.seek(&target);
        let _damage_is_an_answer = iter.seek_before(&target);
        let _damage_is_an_answer = table.get(&cache, key, SEQUENCE_MAX, &mut |_, _| {});
        let _either = table.may_contain(key_hash(key));
    }
}

/// An edit of the manifest. What is taken reads back as the same.
fn edit(bytes: &[u8]) {
    let Ok(edit) = VersionEdit::decode(bytes) else { return };
    let encoded = edit.encode();
    let again = VersionEdit::decode(&encoded).expect("it was written by this build");
    assert_eq!(again.encode(), encoded, "an edit reads back as it was");
    if let Some(Ok(state)) = edit.to_state() {
        let _misfit = edit.apply(&state).map(|state: State| VersionEdit::from_state(&state).encode());
    }
}

/// A job or the result of one; a job is run on files that are not its own.
fn run_job(bytes: &[u8]) {
    if let Ok(result) = JobResult::decode(bytes) {
        assert_eq!(JobResult::decode(&result.encode()).map(|again| again.encode()), Ok(result.encode()));
    }
    let Ok(job) = Job::decode(bytes) else { return };
    assert_eq!(Job::decode(&job.encode()).map(|again| again.encode()), Ok(job.encode()));
    let _described =
        (job.input_names(), job.output_names(), job.removal_names(), job.input_bytes(), job.reason());
    let fs = Arc::new(MemFs::new());
    for name in job.input_names().into_iter().take(8) {
        if let Ok(mut file) = fs.create(&name) {
            file.append(bytes).expect("there is room");
        }
    }
    let _refused = job::run(fs, job, 1 << 20);
}

type TestCore = Core<MachineHandle, ManualClock>;

fn core(machine: &Machine) -> Option<TestCore> {
    Core::open(SlotFs::open(machine.handles()).ok()?, ManualClock::new(), Options::default()).ok()
}

/// Slots of the browser's pool, the bytes dealt out to three of them in turn.
fn slots(bytes: &[u8]) {
    let machine = Machine::new(8);
    for (slot, piece) in bytes.chunks((bytes.len() / 3).max(1)).take(3).enumerate() {
        machine.damage(slot, |content| *content = piece.to_vec());
    }
    let Some(mut core) = core(&machine) else { return };
    let _refused = core.put(b"key", b"value", Durability::Synced);
    let _damage_is_an_answer = core.get(0, b"key");
    let _damage_is_an_answer = core.verify();
    let _refused = core.close();
}

/// Frames of calls from a page, to a store that has a little.
fn frame(bytes: &[u8]) {
    let machine = Machine::new(24);
    let mut core = core(&machine).expect("blank slots");
    core.put(b"key", b"value", Durability::Buffered).expect("there is room");
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let answers = core.execute(&[(1, first.to_vec()), (2, second.to_vec())]);
    assert_eq!(answers.len(), 2, "a frame is answered by a frame");
    assert_eq!(core.execute(&[(1, bytes.to_vec())]).len(), 1);
}

/// An archive that a user brings. What is taken opens as a store, or the store stays as it was.
fn archive(bytes: &[u8]) {
    let machine = Machine::new(24);
    let mut core = core(&machine).expect("blank slots");
    core.put(b"key", b"value", Durability::Synced).expect("there is room");
    let Ok(mut import) = core.import() else { return };
    for piece in bytes.chunks(600) {
        if !import.push(piece).unwrap_or(false) {
            break;
        }
    }
    if core.finish_import(import).is_err() {
        let _left_for_the_next_open = core.discard_import();
        assert_eq!(core.get(0, b"key"), Ok(Some(b"value".to_vec())), "a refused archive changes nothing");
    }
}

fn file_of(bytes: &[u8]) -> <MemFs as Fs>::File {
    let fs = MemFs::new();
    let mut file = fs.create("file").expect("there is none");
    file.append(bytes).expect("there is room");
    drop(file);
    fs.open("file").expect("it was made")
}
