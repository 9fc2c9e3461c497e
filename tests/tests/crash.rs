//! A store may die at any call: what it acknowledged comes back, in order, and it lives on.

use esker_engine::env::MemFs;
use esker_engine::{Error, ErrorKind, Options, RecoveryMode};
use esker_tests::driver::Driver;
use esker_tests::history::{History, Mix};
use esker_tests::journal::End;
use esker_tests::options;
use esker_tests::seed::{Rng, for_each_seed};

/// Every call of a short history that changes files, each in turn.
#[test]
fn at_every_call_of_short_histories() {
    for_each_seed("crash", "at_every_call_of_short_histories", 60, |seed| {
        let life = Life::random(seed, 30, &Mix::CHANGES);
        let calls = life.calls_that_change();
        for call in calls {
            life.crash_at(call, seed);
        }
    });
}

/// Some calls of longer histories, in which more levels, segments and epochs come together.
#[test]
fn at_some_calls_of_long_histories() {
    for_each_seed("crash", "at_some_calls_of_long_histories", 80, |seed| {
        let life = Life::random(seed, 400, &Mix::CHANGES);
        let calls = life.calls_that_change();
        let mut rng = Rng::new(seed);
        for _ in 0..8 {
            life.crash_at(rng.pick(&calls), rng.next_u64());
        }
    });
}

/// Some calls of histories with so much data that recovery moves it in pieces.
#[test]
fn at_some_calls_of_large_histories() {
    for_each_seed("crash", "at_some_calls_of_large_histories", 40, |seed| {
        let life = Life::random(seed, 80, &Mix::LARGE);
        let calls = life.calls_that_change();
        let mut rng = Rng::new(seed);
        for _ in 0..3 {
            life.crash_at(rng.pick(&calls), rng.next_u64());
        }
    });
}

/// Every call of a recovery, each in turn, after a crash at some call.
#[test]
fn at_every_call_of_recoveries() {
    for_each_seed("crash", "at_every_call_of_recoveries", 80, |seed| {
        let life = Life::random(seed, 60, &Mix::CHANGES);
        let calls = life.calls_that_change();
        let mut rng = Rng::new(seed);
        let crash = rng.pick(&calls);
        let fate = rng.next_u64();
        let mut call = 1;
        while life.crash_in_recovery(crash, fate, call) {
            call += 1;
        }
    });
}

/// What is done to a store: at first `history`, and after each crash a bit of `later`.
struct Life {
    options: Options,
    history: History,
    later: History,
}

impl Life {
    fn random(seed: u64, steps: usize, mix: &Mix) -> Self {
        let mut history = History::random(seed, steps + 60, mix);
        let later = History { keys: history.keys.clone(), steps: history.steps.split_off(steps) };
        Self { options: options::random(&mut Rng::new(seed ^ 0xC4A5)), history, later }
    }

    /// The numbers of the calls after which something is different on the disk, from a life without a crash.
    fn calls_that_change(&self) -> Vec<u64> {
        let disk = MemFs::new();
        disk.start_log();
        let mut driver = self.driver();
        if let Err(error) = self.first_life(&mut driver, &disk) {
            panic!("nothing has failed here, yet: {error}");
        }
        driver.drop_store();
        let numbered = (1..).zip(disk.log());
        numbered.filter(|(_, logged)| logged.call.is_change()).map(|(number, _)| number).collect()
    }

    fn driver(&self) -> Driver<MemFs> {
        Driver::new(MemFs::new(), self.history.keys.clone(), self.options.clone())
    }

    fn first_life(&self, driver: &mut Driver<MemFs>, disk: &MemFs) -> Result<(), Error> {
        driver.restart(disk.clone(), self.options.clone(), End::Kill)?;
        driver.run(&self.history.steps)
    }

    /// Lives until the call of this number.
    fn until_crash(&self, call: u64) -> (Driver<MemFs>, MemFs) {
        let disk = MemFs::new();
        disk.crash_at(call);
        let mut driver = self.driver();
        accept_crash(self.first_life(&mut driver, &disk), &disk);
        assert!(disk.crashed(), "the life goes on to call {call}");
        driver.drop_store();
        (driver, disk)
    }

    /// Crashes at the call, comes back, goes on, crashes again…
    fn crash_at(&self, call: u64, fate: u64) {
        let (driver, disk) = self.until_crash(call);
        let mut rng = Rng::new(fate ^ call);
        let mut survivor = Survivor { driver, disk, end: None, rng: rng.fork() };
        for steps in self.later.steps.chunks(15) {
            survivor.come_back();
            survivor.disk.crash_at(survivor.disk.calls() + rng.between(1, 150));
            accept_crash(survivor.driver.run(steps), &survivor.disk);
        }
        survivor.come_back();
    }

    /// Crashes at a call, and again at a call of the recovery; says whether the recovery made so many.
    fn crash_in_recovery(&self, crash: u64, fate: u64, call: u64) -> bool {
        let (driver, disk) = self.until_crash(crash);
        let mut survivor = Survivor { driver, disk, end: None, rng: Rng::new(fate) };
        let options = survivor.fall();
        survivor.disk.crash_at(call);
        let recovered = survivor.driver.restart(survivor.disk.clone(), options, survivor.ended());
        let met = survivor.disk.crashed();
        accept_crash(recovered, &survivor.disk);
        survivor.come_back();
        met
    }
}

/// A store that has crashed, and the disk that it was on.
struct Survivor {
    driver: Driver<MemFs>,
    disk: MemFs,
    /// The worst that has happened since it was last open.
    end: Option<End>,
    rng: Rng,
}

impl Survivor {
    /// What was running dies; the disk is what is left. Answers options to come back with.
    fn fall(&mut self) -> Options {
        self.driver.drop_store();
        if self.rng.percent(30) {
            self.disk = self.disk.kill();
            self.end = self.end.or(Some(End::Kill));
        } else {
            self.disk = self.disk.power_cut(self.rng.next_u64());
            self.end = Some(End::PowerCut);
        }
        options::random(&mut self.rng)
    }

    fn ended(&self) -> End {
        self.end.expect("it has fallen")
    }

    /// Dies once more if it is still running, opens, and is judged. Sometimes it also dies while it opens.
    fn come_back(&mut self) {
        let mut options = self.fall();
        if self.rng.percent(30) {
            self.disk.crash_at(self.rng.between(1, 60));
            accept_crash(self.driver.restart(self.disk.clone(), options, self.ended()), &self.disk);
            options = self.fall();
        }
        if self.rng.percent(15) {
            self.try_absolute(&options);
        }
        if self.rng.percent(25) {
            self.look_before_recovery();
        }
        let opened = self.driver.restart(self.disk.clone(), options, self.ended());
        let checked = opened.and_then(|()| self.driver.check_all()).and_then(|()| self.driver.check_files());
        if let Err(error) = checked {
            panic!("after a crash a store opens and reads: {error}");
        }
        self.end = None;
    }

    /// A reader needs no primary. It finds no store where a crash has ended the first opening, and it may meet damage
    /// that a power cut has left.
    fn look_before_recovery(&mut self) {
        let end = self.ended();
        if let Err(error) = self.driver.look_before_recovery(&self.disk, end) {
            let excused = match end {
                End::Kill => error.kind() == &ErrorKind::CannotOpen,
                End::PowerCut => error.is_corrupt() || error.kind() == &ErrorKind::CannotOpen,
            };
            assert!(excused, "after {end:?} a reader reads: {error}");
        }
    }

    /// The strictest mode may refuse what a crash has left, but it must not take anything away.
    fn try_absolute(&mut self, options: &Options) {
        let options = Options { recovery: RecoveryMode::Absolute, ..options.clone() };
        match self.driver.restart(self.disk.clone(), options, self.ended()) {
            Ok(()) => self.driver.drop_store(),
            Err(error) => assert!(error.is_corrupt(), "only damage is a reason to refuse: {error}"),
        }
    }
}

/// An error must have the crash for its cause. (A crash need not give an error: some calls may fail.)
fn accept_crash(outcome: Result<(), Error>, disk: &MemFs) {
    if let Err(error) = outcome {
        assert!(disk.crashed(), "an error before the crash: {error}");
    }
}
