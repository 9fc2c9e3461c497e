//! The pool against the engine's promises, and under crashes at every call.

use super::machine::{Machine, Random};
use super::*;
use esker_engine::env::{ManualClock, conformance};
use esker_engine::{Db, Durability, KeyRange, Options, ScanOptions};
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(machine: &Machine) -> Result<SlotFs<super::machine::MachineHandle>> {
    SlotFs::open(machine.handles())
}

#[test]
fn the_pool_keeps_the_promises_of_a_file_system() {
    conformance::run(|| open(&Machine::new(32)).expect("blank slots"));
}

#[test]
fn a_file_survives_reopening_with_its_exact_length() {
    // The last one is appended in one piece, too large for the mark to be put beside it in memory.
    for (bytes, synced, piece) in [
        (0, true, 50_000),
        (1, true, 50_000),
        (70_000, true, 50_000),
        (5, false, 50_000),
        (3_000_000, false, 50_000),
        (400_000, false, 1_000_000),
    ] {
        let machine = Machine::new(4);
        let content: Vec<u8> =
            (0..bytes).map(|n| if n % 7 < 3 { 0 } else { n as u8 }).chain([0, 0]).collect();
        let fs = open(&machine).expect("blank slots");
        let mut file = fs.create("000001.wal").expect("a free slot");
        for piece in content.chunks(piece) {
            file.append(piece).expect("no fault");
        }
        if synced {
            file.sync().expect("no fault");
        }
        // A killed worker drops nothing.
        std::mem::forget(file);
        let fs = open(&machine.kill()).expect("sound slots");
        let file = fs.open("000001.wal").expect("created");
        assert_eq!(file.len().expect("no fault"), content.len() as u64);
        let mut read = vec![0; content.len()];
        assert_eq!(file.read_at(0, &mut read).expect("no fault"), content.len());
        assert!(read == content);
    }
}

#[test]
fn a_synced_end_survives_what_is_appended_after_it_whatever_it_looks_like() {
    // One that looks like the zeros behind a file, one like a mark, and one like neither, of which no length is written.
    for end in [&[7, 0, 0, 0][..], &[7, 1, 1], &[7, 8, 9]] {
        for seed in 0..2000 {
            let machine = Machine::new(2);
            let fs = open(&machine).expect("blank slots");
            let mut file = fs.create("000001.wal").expect("a free slot");
            file.append(end).expect("no fault");
            file.sync().expect("no fault");
            // It goes over the mark, with what could be taken for zeros behind it.
            file.append(&[0; 600]).expect("no fault");
            file.append(&[7]).expect("no fault");
            std::mem::forget(file);
            let fs = open(&machine.power_cut(seed)).expect("sound slots");
            let mut read = vec![9; end.len()];
            let count = fs.open("000001.wal").and_then(|file| file.read_at(0, &mut read)).expect("synced");
            assert_eq!((count, &read[..]), (end.len(), end), "seed {seed}");
        }
    }
}

#[test]
fn a_sync_writes_the_length_only_where_the_end_would_not_be_found_without_it() {
    let machine = Machine::new(2);
    let fs = open(&machine).expect("blank slots");
    let mut file = fs.create("000001.wal").expect("a free slot");
    file.append(&[7]).expect("no fault");
    file.sync().expect("no fault");
    for (byte, calls) in [(8, 2), (0, 3), (1, 3), (255, 2)] {
        let start = machine.calls();
        file.append(&[9, byte]).expect("no fault");
        file.sync().expect("no fault");
        assert_eq!(machine.calls() - start, calls, "an append and a flush, or a header between them: {byte}");
    }
}

#[test]
fn a_file_that_is_synced_again_and_again_grows_by_written_zeros() {
    let machine = Machine::new(2);
    let fs = open(&machine).expect("blank slots");
    let mut file = fs.create("000001.wal").expect("a free slot");
    let mut content = Vec::new();
    for n in 0..200u32 {
        let piece = n.to_be_bytes().repeat(1000);
        file.append(&piece).expect("no fault");
        file.sync().expect("no fault");
        content.extend_from_slice(&piece);
    }
    assert_eq!(fs.stats().bytes, (content.len() as u64 + 8192 + 1).next_multiple_of(256 << 10));
    let large = vec![7; 300_000];
    file.append(&large).expect("no fault");
    file.sync().expect("no fault");
    content.extend_from_slice(&large);
    assert_eq!(fs.stats().bytes, 2 << 20, "not for a large piece, which would be written twice");
    let fs = open(&machine.power_cut(1)).expect("sound slots");
    let file = fs.open("000001.wal").expect("created");
    let mut read = vec![0; content.len() + 1];
    assert_eq!(file.read_at(0, &mut read).expect("no fault"), content.len());
    assert!(read[..content.len()] == content);
}

#[test]
fn a_removed_file_is_whole_or_gone_whoever_gets_its_slot() {
    let build = |machine: &Machine| {
        let fs = open(machine).expect("blank slots");
        let mut file = fs.create("000001.sst").expect("a free slot");
        file.append(&[7; 3000]).expect("no fault");
        file.sync().expect("no fault");
        fs.sync_dir().expect("no fault");
        fs
    };
    let replace = |fs: &SlotFs<super::machine::MachineHandle>| -> Result<()> {
        fs.remove("000001.sst")?;
        let mut file = fs.create("000002.sst")?;
        file.append(&[8; 3000])?;
        file.sync()
    };
    let machine = Machine::new(1);
    let fs = build(&machine);
    let start = machine.calls();
    replace(&fs).expect("no fault");
    let mut whole = 0;
    for crash in start..machine.calls() {
        for seed in 0..50 {
            let machine = Machine::new(1);
            let fs = build(&machine);
            machine.crash_at(crash);
            // The last call of all gives room back, and nobody minds if it fails.
            let _crashed = replace(&fs);
            let fs = open(&machine.power_cut(seed)).expect("sound slots");
            assert_eq!(fs.damaged(), [], "crash {crash}, seed {seed}");
            let Ok(file) = fs.open("000001.sst") else { continue };
            let mut read = [0; 3001];
            assert_eq!(file.read_at(0, &mut read).expect("no fault"), 3000, "crash {crash}, seed {seed}");
            assert_eq!(read[..3000], [7; 3000], "crash {crash}, seed {seed}");
            whole += 1;
        }
    }
    assert!(whole > 0, "no crash came early enough");
}

#[test]
fn a_finished_file_takes_up_little_more_than_its_bytes() {
    let machine = Machine::new(1);
    let fs = open(&machine).expect("blank slots");
    let mut file = fs.create("000001.sst").expect("a free slot");
    file.append(&[7; 100_000]).expect("no fault");
    assert_eq!(fs.stats().bytes, 1 << 20, "it grows by a large step");
    file.sync().expect("no fault");
    drop(file);
    assert_eq!(fs.stats().bytes, DATA + 100_001);
}

#[test]
fn a_damaged_slot_is_reported_and_the_others_are_kept() {
    let machine = Machine::new(3);
    let fs = open(&machine).expect("blank slots");
    for name in ["000001.sst", "000002.sst"] {
        let mut file = fs.create(name).expect("a free slot");
        file.append(name.as_bytes()).expect("no fault");
        file.sync().expect("no fault");
    }
    let killed = machine.kill();
    killed.damage(0, |bytes| bytes[..DATA as usize].fill(0xee));
    let fs = open(&killed).expect("damage is no reason to refuse");
    assert_eq!(fs.list().expect("no fault"), ["000002.sst"]);
    assert_eq!(fs.damaged().len(), 1);
    assert_eq!(fs.damaged()[0].0, "slot-000");
    assert_eq!(fs.stats(), PoolStats { slots: 3, free: 1, damaged: 1, bytes: fs.stats().bytes });
    fs.create("000003.sst").expect("one is free");
    assert_eq!(*fs.create("000004.sst").expect_err("a damaged slot is not used").kind(), ErrorKind::Busy);
    let (title, handle) = killed.add();
    fs.add(title, handle).expect("blank");
    fs.create("000004.sst").expect("one was added");
}

#[test]
fn a_full_quota_is_no_space_and_takes_back_nothing() {
    let machine = Machine::new(4);
    let fs = open(&machine).expect("blank slots");
    let mut file = fs.create("000001.wal").expect("a free slot");
    file.append(&[1; 1000]).expect("there is room");
    file.sync().expect("no fault");
    machine.set_quota(Some(80_000));
    let error = file.append(&[2; 100_000]).expect_err("no room");
    assert_eq!(*error.kind(), ErrorKind::NoSpace);
    assert_eq!(file.len().expect("no fault"), 1000);
    file.append(&[3; 70_000]).expect("what fits without a large step is taken");
    assert_eq!(file.len().expect("no fault"), 71_000);
}

#[test]
fn an_import_is_all_or_nothing_at_every_crash() {
    let build = |machine: &Machine| {
        let fs = open(machine).expect("blank slots");
        for name in ["000001.manifest", "000002.wal"] {
            let mut file = fs.create(name).expect("a free slot");
            file.append(b"old").expect("no fault");
            file.sync().expect("no fault");
        }
        fs.sync_dir().expect("no fault");
        fs
    };
    let import = |fs: &SlotFs<super::machine::MachineHandle>| -> Result<()> {
        let staged = fs.staged();
        for name in ["000001.manifest", "000003.sst", "000004.sst"] {
            let mut file = staged.create(name)?;
            file.append(b"new")?;
            file.sync()?;
        }
        fs.commit_import()
    };
    let machine = Machine::new(8);
    let fs = build(&machine);
    let start = machine.calls();
    import(&fs).expect("no fault");
    let (mut old, mut new) = (0, 0);
    for crash in start..machine.calls() {
        for seed in 0..12 {
            let machine = Machine::new(8);
            let fs = build(&machine);
            machine.crash_at(crash);
            assert!(import(&fs).is_err());
            let after = if seed == 0 { machine.kill() } else { machine.power_cut(seed) };
            let fs = open(&after).expect("a crash damages nothing");
            assert_eq!(fs.damaged(), [], "crash {crash}, seed {seed}");
            let contents: Vec<(String, u64)> = fs
                .list()
                .expect("no fault")
                .into_iter()
                .map(|name| (name.clone(), fs.open(&name).and_then(|file| file.len()).expect("listed")))
                .collect();
            let names: Vec<&str> = contents.iter().map(|(name, _)| name.as_str()).collect();
            match names[..] {
                ["000001.manifest", "000002.wal"] => old += 1,
                ["000001.manifest", "000003.sst", "000004.sst"] => new += 1,
                _ => panic!("crash {crash}, seed {seed}: neither the old files nor the new: {names:?}"),
            }
            assert_eq!(fs.staged().list().expect("no fault"), Vec::<String>::new());
        }
    }
    assert!(old > 0 && new > 0, "{old} times the old, {new} times the new");
}

/// Writes until the machine crashes. Returns how many writes were acknowledged as synced, and all that were begun.
fn write_until_the_crash(
    machine: &Machine,
    seed: u64,
    history: &mut Vec<(Vec<u8>, Vec<u8>)>,
) -> (usize, usize) {
    let mut random = Random(seed | 1);
    let (mut synced, mut acknowledged) = (0, 0);
    let options = Options {
        memtable_bytes: Some(4096),
        wal_segment_bytes: 2048,
        wal_segments_kept: 0,
        table_bytes: 8192,
        level0_trigger: 2,
        ..Options::default()
    };
    let Ok(mut db) = open(machine).and_then(|fs| Db::open(fs, ManualClock::new(), options)) else {
        return (0, 0);
    };
    for round in 0..60u64 {
        let key = format!("key {:03}", random.below(40)).into_bytes();
        let value = vec![if round % 5 == 0 { 0 } else { round as u8 }; random.below(300) as usize];
        let durability = if random.below(3) == 0 { Durability::Synced } else { Durability::Buffered };
        history.push((key.clone(), value.clone()));
        if db.put(&key, &value, durability).is_err() {
            break;
        }
        acknowledged = history.len();
        if durability == Durability::Synced {
            synced = acknowledged;
        }
        if round % 9 == 0 && db.maintain(1 << 20).is_err() {
            break;
        }
    }
    // A killed worker drops nothing.
    std::mem::forget(db);
    (synced, acknowledged)
}

/// The content after the first so many writes of the history.
fn model(history: &[(Vec<u8>, Vec<u8>)]) -> Model {
    history.iter().cloned().collect()
}

fn content(db: &Db<SlotFs<super::machine::MachineHandle>, ManualClock>) -> Model {
    let mut cursor = db.scan(KeyRange::all(), ScanOptions::default()).expect("open");
    let mut found = Model::new();
    while let Some((key, value)) = cursor.next().expect("sound") {
        found.insert(key.to_vec(), value.to_vec());
    }
    found
}

#[test]
fn no_acknowledged_write_is_lost_whatever_the_crash() {
    for seed in 1..=4 {
        let whole = Machine::new(24);
        write_until_the_crash(&whole, seed, &mut Vec::new());
        let calls = whole.calls();
        assert!(calls > 150, "{calls} calls are too few to be of interest");
        for crash in (seed % 3..calls).step_by(3) {
            let machine = Machine::new(24);
            machine.crash_at(crash);
            let mut history = Vec::new();
            let (synced, acknowledged) = write_until_the_crash(&machine, seed, &mut history);
            for (kind, after) in [
                (None, machine.kill()),
                (Some(1), machine.power_cut(crash + 1)),
                (Some(2), machine.power_cut(crash + 7777)),
            ] {
                let what = format!("seed {seed}, crash at call {crash} of {calls}, power cut {kind:?}");
                let fs = open(&after).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(fs.damaged(), [], "{what}");
                let db = Db::open(fs, ManualClock::new(), Options::default())
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                let least = if kind.is_some() { synced } else { acknowledged };
                let found = content(&db);
                let fits = (least..=history.len()).any(|count| model(&history[..count]) == found);
                let count = (0..history.len()).find(|&count| model(&history[..count]) == found);
                assert!(fits, "{what}: {least} to {} writes must be there, not {count:?}", history.len());
            }
        }
    }
}
