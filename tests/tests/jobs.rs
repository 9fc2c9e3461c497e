//! Jobs in workers: whatever becomes of a worker, and whatever its primary does meanwhile, nothing is lost and nothing
//! false is installed.

use std::cell::RefCell;
use std::rc::Rc;

use esker_engine::env::MemFs;
use esker_engine::{ErrorKind, Kinds};
use esker_tests::driver::Driver;
use esker_tests::history::{History, Mix, Step};
use esker_tests::interrupted_fs::InterruptedFs;
use esker_tests::journal::End;
use esker_tests::options;
use esker_tests::platform::{Platform, Worker};
use esker_tests::seed::{Rng, for_each_seed};

/// What changes files, without values so large that a job has hundreds of calls.
const MIX: Mix = Mix { upkeep: 12, reopens: 0, key_bytes: 300, value_bytes: 3_000, ..Mix::CHANGES };

/// A worker dies at each call of the file system in turn that its job makes. Then its primary gives the job up, or
/// lets another worker try on top of what the first has left, or dies as well.
#[test]
fn a_worker_dies_at_every_call() {
    for_each_seed("jobs", "a_worker_dies_at_every_call", 60, |seed| {
        let mut rng = Rng::new(seed);
        let nth = rng.between(1, 5);
        for aftermath in [Aftermath::GivenUp, Aftermath::TriedAgain, Aftermath::PrimaryDies] {
            let mut call = 1;
            while dies(seed, nth, call, aftermath) {
                call += 1;
            }
        }
    });
}

#[derive(Clone, Copy, PartialEq)]
enum Aftermath {
    GivenUp,
    TriedAgain,
    PrimaryDies,
}

/// The worker of the nth job dies at this call; all others live. Says whether the job made so many calls.
fn dies(seed: u64, nth: u64, call: u64, aftermath: Aftermath) -> bool {
    let (mut driver, disk, history) = primary(seed);
    let mut jobs = 0;
    let mut life = || {
        for step in &history.steps {
            driver.step(step)?;
            driver.step(&Step::TakeJob(Kinds::ALL))?;
            jobs += 1;
            if jobs == nth {
                let worker = Worker { dies_at: Some(call), ..Worker::WELL };
                driver.step(&Step::RunJob { job: 0, worker })?;
                match aftermath {
                    Aftermath::GivenUp => driver.step(&Step::AbandonJob(0))?,
                    Aftermath::TriedAgain => {}
                    Aftermath::PrimaryDies => driver.step(&Step::Kill(seed))?,
                }
            }
            driver.step(&Step::RunJob { job: 0, worker: Worker::WELL })?;
            driver.step(&Step::FinishJob(0))?;
        }
        driver.step(&Step::CompactAll)?;
        driver.step(&Step::Reopen(seed))?;
        driver.check_files()
    };
    if let Err(error) = life() {
        panic!("a worker that dies at call {call} costs a retry and nothing else: {error}");
    }
    let live: u64 = driver.store().stats().levels.iter().map(|level| level.tables).sum();
    let tables = disk.names().iter().filter(|name| name.ends_with(".sst")).count();
    assert_eq!(tables as u64, live, "opening removes what the worker has left at call {call}");
    driver.take_workers_died() > 0
}

/// The primary goes on just before each call in turn that a worker makes: it writes, flushes, compacts other tables,
/// gives the job up, is closed or killed and opened again.
#[test]
fn the_primary_goes_on_at_every_call_of_a_job() {
    for_each_seed("jobs", "the_primary_goes_on_at_every_call_of_a_job", 150, |seed| {
        let mut call = 1;
        while goes_on(seed, call) {
            call += 1;
        }
    });
}

fn goes_on(seed: u64, call: u64) -> bool {
    let mut rng = Rng::new(seed);
    let (mut driver, disk, history) = primary(seed);
    let mut steps = history.steps.into_iter();
    let lent = loop {
        let Some(step) = steps.next() else { return false };
        driver.step(&step).unwrap_or_else(|error| panic!("nothing has failed here, yet: {error}"));
        if rng.percent(20)
            && let Some(job) = driver.lend_job(Kinds::ALL).expect("it is the primary")
        {
            break job;
        }
    };
    let mut meanwhile: Vec<Step> = steps.take(12).filter(|step| !matches!(step, Step::CompactAll)).collect();
    let last = [
        Step::Verify,
        Step::AbandonJob(0),
        Step::Kill(seed),
        Step::Reopen(seed),
        Step::Flush,
        Step::Maintain(1 << 20),
    ];
    meanwhile.insert(rng.index(meanwhile.len() + 1), last[rng.index(last.len())].clone());

    let fs = InterruptedFs::new(disk.clone());
    let driver = Rc::new(RefCell::new(driver));
    let primary = Rc::clone(&driver);
    fs.before(call, move || {
        for step in &meanwhile {
            match primary.borrow_mut().step(step) {
                Err(error) if error.kind() != &ErrorKind::Busy => {
                    panic!("a worker does not disturb its primary: {error}")
                }
                _ => {}
            }
        }
    });
    let outcome = fs.run_job(&lent, Worker { slice_bytes: rng.pick(&[1_000, u64::MAX]), dies_at: None });
    let interrupted = fs.was_interrupted();
    let mut driver = driver.borrow_mut();
    let mut end = || {
        driver.return_job(outcome.clone())?;
        driver.check_all()?;
        driver.check_files()?;
        driver.step(&Step::CompactAll)?;
        driver.step(&Step::Kill(seed))?;
        driver.check_files()
    };
    if let Err(error) = end() {
        panic!("interrupted at call {call}: {error}");
    }
    interrupted
}

/// A primary that leaves its work to workers, and a history for it.
fn primary(seed: u64) -> (Driver<MemFs>, MemFs, History) {
    let history = History::random(seed, 60, &MIX);
    let options = options::random(&mut Rng::new(seed ^ 0x70B5));
    let disk = MemFs::new();
    let mut driver = Driver::new(disk.clone(), Rc::clone(&history.keys), options.clone());
    let opened =
        driver.restart(disk.clone(), options, End::Kill).and_then(|()| driver.step(&Step::Help(true)));
    opened.expect("an empty directory");
    (driver, disk, history)
}
