//! Every byte of a small store is damaged in turn, and every file cut at every length: what is read is right, or
//! the damage is reported by the file's name. A wrong value never comes out.

use std::rc::Rc;

use esker_engine::env::{ManualClock, MemFs};
use esker_engine::{Db, Error, ErrorKind, Options, RecoveryMode};
use esker_tests::driver::{Driver, read_all};
use esker_tests::history::{History, Mix, Step};
use esker_tests::journal::{End, State, Write, assert_same, show};
use esker_tests::options;
use esker_tests::seed::{Rng, for_each_seed};
use esker_tests::trace::ShownOnPanic;

const MIX: Mix = Mix {
    writes: 80,
    reads: 0,
    upkeep: 20,
    reopens: 0,
    key_bytes: 40,
    value_bytes: 150,
    large_percent: 0,
    buckets_percent: 50,
};

#[test]
fn every_byte_flipped() {
    for_each_seed("flip", "every_byte_flipped", 8, |seed| {
        let store = Store::random(seed);
        let mut rng = Rng::new(seed);
        for (name, length) in store.files() {
            for offset in 0..length {
                let mask = rng.between(1, 255) as u8;
                store.damaged(&name, &format!("byte {offset} ^ {mask:#04x}"), |bytes| bytes[offset] ^= mask);
            }
        }
    });
}

#[test]
fn every_file_cut_at_every_length() {
    for_each_seed("flip", "every_file_cut_at_every_length", 8, |seed| {
        let store = Store::random(seed);
        for (name, length) in store.files() {
            for kept in 0..length {
                store.damaged(&name, &format!("cut to {kept} bytes"), |bytes| bytes.truncate(kept));
            }
        }
    });
}

/// A damaged sector, or one that belongs to another file.
#[test]
fn stretches_overwritten() {
    for_each_seed("flip", "stretches_overwritten", 8, |seed| {
        let store = Store::random(seed);
        let mut rng = Rng::new(seed);
        for (name, length) in store.files() {
            for _ in 0..length / 20 {
                let start = rng.index(length);
                let end = length.min(start + rng.pick(&[2, 16, 512]));
                let zeros = rng.percent(50);
                store.damaged(&name, &format!("bytes {start} to {end} overwritten"), |bytes| {
                    bytes[start..end]
                        .iter_mut()
                        .for_each(|byte| *byte = if zeros { 0 } else { rng.next_u64() as u8 });
                });
            }
        }
    });
}

/// Bytes after the end: a log goes on to be written in another file, so nothing of ours is ever there.
#[test]
fn bytes_appended() {
    for_each_seed("flip", "bytes_appended", 8, |seed| {
        let store = Store::random(seed);
        let mut rng = Rng::new(seed);
        for (name, _) in store.files() {
            for length in [1, 7, 64, 40_000] {
                store.damaged(&name, &format!("{length} bytes appended"), |bytes| {
                    bytes.extend((0..length).map(|_| rng.next_u64() as u8));
                });
            }
        }
    });
}

type Opened = Db<MemFs, ManualClock>;

/// A store as a process has left it, and all that it should hold.
struct Store {
    disk: MemFs,
    options: Options,
    keys: Rc<[Vec<u8>]>,
    writes: Vec<Write>,
    state: State,
}

impl Store {
    /// A store of several tables on several levels, with a log that is partly in them. Odd seeds close it.
    fn random(seed: u64) -> Self {
        let options = Options {
            recovery: [
                RecoveryMode::SkipCorrupted,
                RecoveryMode::PointInTime,
                RecoveryMode::TolerateTornTail,
                RecoveryMode::Absolute,
            ][(seed / 2 % 4) as usize],
            memtable_bytes: Some(1_500),
            wal_segment_bytes: 1_024,
            block_bytes: 256,
            table_bytes: 1_024,
            level0_trigger: 2,
            level0_slow: None,
            level0_stop: 10,
            level1_bytes: Some(2_000),
            cache_bytes: Some(0),
            ..options::random(&mut Rng::new(seed))
        };
        let history = History::random(seed, 60, &MIX);
        let disk = MemFs::new();
        let mut driver = Driver::new(disk.clone(), history.keys.clone(), options.clone());
        let mut life = || {
            driver.restart(disk.clone(), options.clone(), End::Kill)?;
            let changes = history
                .steps
                .iter()
                .filter(|step| !matches!(step, Step::Reopen(_) | Step::Kill(_) | Step::TakeOver(_)));
            changes.into_iter().try_for_each(|step| driver.step(step))?;
            driver.store().sync()?;
            if seed % 2 == 1 { driver.store().close() } else { Ok(()) }
        };
        if let Err(error) = life() {
            panic!("nothing has failed here, yet: {error}");
        }
        driver.drop_store();
        let journal = driver.journal();
        let (writes, state) = (journal.writes().to_vec(), journal.live().clone());
        Self { disk, options, keys: history.keys, writes, state }
    }

    fn files(&self) -> Vec<(String, usize)> {
        let names = self.disk.names().into_iter();
        names.map(|name| (name.clone(), self.length(&name))).collect()
    }

    /// Opens and reads a copy of the store with this damage.
    fn damaged(&self, name: &str, what: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let _shown = ShownOnPanic(format!("the damage was: {name}: {what}"));
        let disk = self.disk.kill();
        let before = disk.bytes(name).expect("the file is there");
        disk.damage(name, damage).expect("the file is there");
        let after = disk.bytes(name).expect("the file is there");
        if after == before {
            return;
        }
        let shorter = after.len() < before.len();
        match Db::open(disk.clone(), ManualClock::new(), self.options.clone()) {
            Err(error) => assert_names(&error, name),
            Ok(mut db) => {
                let scanned = self.check_scan(&mut db, name, shorter);
                self.check_gets(&db, name, scanned.as_ref().unwrap_or(&self.state));
                // A table that nothing refers to is gone by now.
                if name.ends_with(".sst") && disk.bytes(name).is_some() {
                    check_verify(&db, name);
                }
            }
        }
    }

    /// What a scan finds; `None` if it finds the damage.
    fn check_scan(&self, db: &mut Opened, name: &str, shorter: bool) -> Option<State> {
        match read_all(db) {
            Err(error) => {
                assert_names(&error, name);
                None
            }
            Ok(found) => {
                if found != self.state {
                    self.check_loss(&found, name, shorter, &db.recovery_report().to_json());
                }
                Some(found)
            }
        }
    }

    /// Only a log may have lost something, only where the recovery mode allows it, and the report says so.
    fn check_loss(&self, found: &State, name: &str, shorter: bool, report: &str) {
        let (start, end) = self.lost(found);
        let what = format!("writes {start} to {end} of {} are lost", self.writes.len());
        assert!(name.ends_with(".wal"), "{what}, and not because of a log");
        let at_the_end = end == self.writes.len();
        // Where the newest segment with records ends, nothing says whether it was longer.
        let unknowable = at_the_end && shorter && self.newest_log().as_deref() == Some(name);
        assert!(unknowable || report.contains(name), "{what}, and the report does not say so: {report}");
        let mode = self.options.recovery;
        assert!(at_the_end || mode == RecoveryMode::SkipCorrupted, "{what}: {mode:?} leaves no holes");
        assert!(unknowable || mode != RecoveryMode::Absolute, "{what}: {mode:?} loses nothing");
    }

    fn check_gets(&self, db: &Opened, name: &str, expected: &State) {
        let keys = expected.buckets().flat_map(|(bucket, _)| self.keys.iter().map(move |key| (bucket, key)));
        for (bucket, key) in keys {
            match db.get((bucket, key)) {
                Err(error) => assert_names(&error, name),
                Ok(found) => {
                    let expected = expected.get(bucket, key).map(AsRef::as_ref);
                    assert!(found.as_deref() == expected, "a wrong value of {}", show(key));
                }
            }
        }
    }

    /// Which writes in a row, taken out, explain what was found: at the end, if that explains it.
    fn lost(&self, found: &State) -> (usize, usize) {
        let count = self.writes.len();
        let at_the_end = (0..count).rev().map(|start| (start, count));
        let short_first =
            (1..count).flat_map(|length| (0..count - length).map(move |start| (start, start + length)));
        let explains = |&(start, end): &(usize, usize)| {
            let mut state = State::default();
            self.writes[..start].iter().chain(&self.writes[end..]).for_each(|write| write.apply(&mut state));
            state == *found
        };
        at_the_end.chain(short_first).find(explains).unwrap_or_else(|| {
            assert_same(found, &self.state, "that no run of lost writes explains");
            unreachable!("the states differ")
        })
    }

    /// The newest segment with records: a dropped bucket ends one, and the next may be empty yet.
    fn newest_log(&self) -> Option<String> {
        self.disk.names().into_iter().rfind(|name| name.ends_with(".wal") && self.length(name) > 0)
    }

    fn length(&self, name: &str) -> usize {
        self.disk.bytes(name).map_or(0, |bytes| bytes.len())
    }
}

fn check_verify(db: &Opened, name: &str) {
    let found = db.verify().expect("verify reports damage, it does not fail");
    let named = found.problems.iter().any(|problem| problem.contains(name));
    assert!(named, "verify does not see it: {:?}", found.problems);
}

/// An error that names the damaged file: as the one that is damaged, or as what another file does not agree with.
fn assert_names(error: &Error, name: &str) {
    let damage = error.is_corrupt() || error.kind() == &ErrorKind::CannotOpen;
    assert!(
        damage && error.to_string().contains(name),
        "the error must name {name}: {:?} {error}",
        error.kind()
    );
}
