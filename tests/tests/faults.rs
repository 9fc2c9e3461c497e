//! One call fails, or every call from one on: no wrong answer, no panic, nothing acknowledged is lost.

use esker_engine::env::{Effect, Fault, FaultFs, MemFs};
use esker_engine::{Error, ErrorKind, Options};
use esker_tests::driver::{Driver, is_failure_of_the_files};
use esker_tests::history::{History, Mix, Step};
use esker_tests::journal::End;
use esker_tests::options;
use esker_tests::seed::{Rng, for_each_seed};
use esker_tests::trace::{CallsShownOnPanic, ShownOnPanic};

/// A bit of all, with fewer reads and smaller values: the loops run a history once for every call of it.
const MIX: Mix = Mix {
    writes: 50,
    reads: 25,
    upkeep: 22,
    reopens: 3,
    key_bytes: 1_000,
    value_bytes: 5_000,
    large_percent: 2,
    buckets_percent: 50,
};

#[test]
fn a_call_fails() {
    strike_every_call("a_call_fails", 20, |nth| Fault::once(Effect::Io, nth));
}

#[test]
fn all_calls_fail_from_one_on() {
    strike_every_call("all_calls_fail_from_one_on", 10, |nth| Fault::lasting(Effect::Io, nth));
}

#[test]
fn a_call_finds_no_space() {
    strike_every_call("a_call_finds_no_space", 20, |nth| Fault::once(Effect::NoSpace, nth));
}

#[test]
fn the_disk_stays_full() {
    strike_every_call("the_disk_stays_full", 10, |nth| Fault::lasting(Effect::NoSpace, nth));
}

#[test]
fn an_append_stops_half_way() {
    strike_every_call("an_append_stops_half_way", 20, |nth| Fault::once(Effect::ShortAppend, nth));
}

/// A disk of a certain size: appends write what fits. Whatever has failed, reads go on in the same handle, and
/// with more room the store opens and takes writes.
#[test]
fn a_disk_of_any_size() {
    for_each_seed("faults", "a_disk_of_any_size", 20, |seed| {
        let trial = Trial::random(seed);
        let mut capacity = 1;
        while trial.fill_disk(capacity) {
            capacity += 1 + capacity / 50;
        }
    });
}

/// A bit is wrong in what a read returns. Not while the store opens: recovery cannot tell a wrong read from a
/// wrong file, and says what it skips.
#[test]
fn a_read_returns_a_flipped_bit() {
    for_each_seed("faults", "a_read_returns_a_flipped_bit", 20, |seed| {
        let trial = Trial::random(seed);
        let mut nth = 1;
        while trial.flip_read(nth) {
            nth += 1;
        }
    });
}

fn strike_every_call(name: &str, seeds: u64, fault: impl Fn(u64) -> Fault) {
    for_each_seed("faults", name, seeds, |seed| {
        let trial = Trial::random(seed);
        let mut nth = 1;
        while trial.strike(fault(nth), seed ^ nth) {
            nth += 1;
        }
    });
}

struct Trial {
    options: Options,
    history: History,
    later: Vec<Step>,
}

impl Trial {
    fn random(seed: u64) -> Self {
        let mut history = History::random(seed, 60, &MIX);
        let later = history.steps.split_off(40);
        Self { options: options::random(&mut Rng::new(seed ^ 0xFA17)), history, later }
    }

    fn driver(&self, fs: &FaultFs<MemFs>) -> Driver<FaultFs<MemFs>> {
        Driver::new(fs.clone(), self.history.keys.clone(), self.options.clone())
    }

    /// Runs the history with this fault, then comes back after a kill or a power cut. Says whether any call met
    /// the fault.
    fn strike(&self, fault: Fault, fate: u64) -> bool {
        let fs = FaultFs::new(MemFs::new());
        let mut driver = self.driver(&fs);
        let _shown = ShownOnPanic(format!("the fault was: {fault}"));
        let _calls = CallsShownOnPanic::watch(fs.inner());
        fs.arm(fault);
        self.run(&mut driver, &fs, fault.effect);
        let struck = fs.struck() > 0;

        driver.drop_store();
        fs.disarm();
        let (disk, end) = match fate % 2 {
            0 => (fs.inner().kill(), End::Kill),
            _ => (fs.inner().power_cut(fate), End::PowerCut),
        };
        self.live(&mut driver, &FaultFs::new(disk), end, &self.later);
        struck
    }

    /// Opens and does every step, each of which may fail for as long as the handle lives. The next one works.
    fn run(&self, driver: &mut Driver<FaultFs<MemFs>>, fs: &FaultFs<MemFs>, effect: Effect) {
        let opened = driver.restart(fs.clone(), self.options.clone(), End::Kill);
        let mut failed = opened.err();
        for (index, step) in self.history.steps.iter().enumerate() {
            if let Some(error) = failed {
                expect_fault(&error, fs, effect);
                if !driver.is_open() || error.kind() == &ErrorKind::Reopen {
                    fs.disarm();
                    return self.live(driver, fs, End::Kill, &self.history.steps[index..]);
                }
                // The handle answers rightly or not at all.
                if let Err(error) = driver.check_all() {
                    expect_fault(&error, fs, effect);
                }
            }
            failed = driver.step(step).err();
        }
    }

    /// Opens, checks, and does these steps, none of which may fail.
    fn live(&self, driver: &mut Driver<FaultFs<MemFs>>, fs: &FaultFs<MemFs>, end: End, steps: &[Step]) {
        let mut life = || {
            driver.restart(fs.clone(), self.options.clone(), end)?;
            driver.check_all()?;
            driver.check_files()?;
            driver.run(steps)?;
            driver.check_all()
        };
        if let Err(error) = life() {
            panic!("nothing fails any more, and yet: {error}");
        }
    }

    /// Runs the history on a disk of so many bytes; says whether they were too few.
    fn fill_disk(&self, capacity: u64) -> bool {
        let fs = FaultFs::new(MemFs::new());
        let disk = fs.inner().clone();
        let mut driver = self.driver(&fs);
        disk.set_capacity(Some(capacity));
        let mut was_full = false;
        let mut failed = driver.restart(fs.clone(), self.options.clone(), End::Kill).err();
        for step in &self.history.steps {
            if let Some(failure) = failed {
                // What a write does for maintenance may fail unnoticed; the next one is told to open anew.
                let full = matches!(failure.kind(), ErrorKind::NoSpace | ErrorKind::Reopen);
                was_full |= full;
                assert!(full, "on a disk of {capacity} bytes: {:?} {failure}", failure.kind());
                if !driver.is_open() {
                    break;
                }
                if let Err(error) = driver.check_all() {
                    panic!("reads go on when the disk is full ({failure}), and yet: {error}");
                }
            }
            failed = driver.step(step).err();
        }
        driver.drop_store();
        disk.set_capacity(None);
        self.live(&mut driver, &fs, End::Kill, &self.later);
        was_full
    }

    /// Runs the history with a flipped bit in one read; says whether there were so many reads.
    fn flip_read(&self, nth: u64) -> bool {
        let fs = FaultFs::new(MemFs::new());
        let mut driver = self.driver(&fs);
        let fault = Fault::once(Effect::FlippedRead, nth);
        let _shown = ShownOnPanic(format!("the fault was: {fault}"));
        let _calls = CallsShownOnPanic::watch(fs.inner());
        if let Err(error) = driver.restart(fs.clone(), self.options.clone(), End::Kill) {
            panic!("nothing fails yet: {error}");
        }
        fs.arm(fault);
        for step in self.history.steps.iter().filter(|step| reads_only_tables(step)) {
            if let Err(error) = driver.step(step) {
                expect_fault(&error, &fs, fault.effect);
            }
        }
        let struck = fs.struck() > 0;
        driver.drop_store();
        fs.disarm();
        self.live(&mut driver, &fs, End::Kill, &self.later);
        struck
    }
}

/// Opening reads logs, as readers do, to whom a wrong byte looks like a record on its way; and verifying is meant to
/// find what is wrong.
fn reads_only_tables(step: &Step) -> bool {
    let reads_logs = matches!(
        step,
        Step::Reopen(_)
            | Step::Kill(_)
            | Step::TakeOver(_)
            | Step::OpenReader(_)
            | Step::CatchUp(_)
            | Step::Verify
            | Step::CompactAll
    );
    !reads_logs
}

/// An error must have a cause: the fault, or that the handle has met it before.
fn expect_fault(error: &Error, fs: &FaultFs<MemFs>, effect: Effect) {
    assert!(fs.struck() > 0, "an error before any fault: {error}");
    let fits = match effect {
        Effect::FlippedRead => error.is_corrupt() || error.kind() == &ErrorKind::Reopen,
        Effect::Io | Effect::NoSpace | Effect::ShortAppend => is_failure_of_the_files(error),
    };
    assert!(fits, "not the error that was caused: {:?} {error}", error.kind());
}
