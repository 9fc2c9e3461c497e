//! One history under many options: every answer is right, the end is the same, and each can go on where another ended.
//!
//! Each option goes to its ends alone, so that a failure names it, and then all are drawn by chance. What may depend on
//! options is left out of the histories: deaths, after which a deferred write may be gone or not. Jobs are run by the
//! primary or, in the settings that say so, by workers. The driver judges each answer; here ends are compared.

use esker_engine::env::{ManualClock, MemFs};
use esker_engine::{Compression, Error, Kinds, Options, RecoveryMode, Result, Strategy};
use esker_tests::driver::{Driver, read_all};
use esker_tests::history::{History, Mix, Step};
use esker_tests::journal::{self, State, assert_same};
use esker_tests::options;
use esker_tests::platform::{Platform, Store, Worker};
use esker_tests::seed::{Rng, for_each_seed};

/// So many settings in which all options are drawn by chance.
const DRAWN: u64 = 6;
/// Workers take a job before each so many steps.
const STEPS_OF_JOB: usize = 3;

#[test]
fn the_same_answers_under_all_options() {
    for_each_seed("metamorphic", "the_same_answers_under_all_options", 12, |seed| {
        let history = history(seed);
        let settings = settings(seed);
        let mut ends = settings.iter().map(|setting| live(&history, setting)).collect::<Vec<_>>();
        let End { writes, state, .. } = ends[0].clone();
        // Each goes on where the one before it has ended.
        ends.rotate_right(1);
        for (setting, end) in settings.iter().zip(&ends) {
            assert_eq!(end.writes, writes, "the number of operations, before {}", setting.name);
            assert_same(&end.state, &state, setting.name);
            let found = go_on(&end.disk, setting, &state);
            assert_eq!(found, end.sequence, "the last sequence number that {} finds", setting.name);
        }
    });
}

/// What a life has left.
#[derive(Clone)]
struct End {
    disk: MemFs,
    sequence: u64,
    /// Those operations that are not the store's own: when it forgets a dropped bucket depends on options.
    writes: u64,
    state: State,
}

struct Setting {
    name: &'static str,
    options: Options,
    workers: bool,
}

/// Sets an option.
type Change = fn(&mut Options);

/// A history whose answers do not depend on options.
fn history(seed: u64) -> History {
    let mut history = History::random(seed, 300, &Mix::ALL);
    history.steps.retain(|step| {
        !matches!(
            step,
            Step::Reopen(_)
                | Step::Kill(_)
                | Step::TakeOver(_)
                | Step::Stale { .. }
                | Step::Help(_)
                | Step::TakeJob(_)
                | Step::RunJob { .. }
                | Step::FinishJob(_)
                | Step::AbandonJob(_)
        )
    });
    history
}

fn settings(seed: u64) -> Vec<Setting> {
    let changes: [(&str, Change); 24] = [
        ("as it is", |_| {}),
        ("size-tiered", |to| to.strategy = Strategy::SizeTiered),
        ("no compression", |to| to.compression = Compression::None),
        ("no filter", |to| to.bloom_bits = 0),
        ("large filter", |to| to.bloom_bits = 20),
        ("small blocks", |to| to.block_bytes = 256),
        ("large blocks", |to| to.block_bytes = 64 << 10),
        ("no cache", |to| to.cache_bytes = Some(0)),
        ("tiny cache", |to| to.cache_bytes = Some(1_000)),
        ("memtables of an entry", |to| to.memtable_entries = Some(1)),
        ("large memtables", |to| to.memtable_bytes = Some(1 << 20)),
        ("small tables", |to| to.table_bytes = 1_024),
        ("large tables", |to| to.table_bytes = 32 << 20),
        ("small levels", |to| to.level1_bytes = Some(1_024)),
        ("large levels", |to| to.level1_bytes = None),
        ("eager compaction", |to| to.level0_trigger = 1),
        ("tombstones stay", |to| to.tombstone_percent = 0),
        ("tombstones go", |to| to.tombstone_percent = 1),
        ("short log segments", |to| to.wal_segment_bytes = 1_024),
        ("log segments kept", |to| to.wal_segments_kept = 5),
        ("nothing deferred", |to| to.deferred_bytes = 0),
        ("point in time", |to| to.recovery = RecoveryMode::PointInTime),
        ("no torn tail", |to| to.recovery = RecoveryMode::Absolute),
        ("slow from the start", |to| to.level0_slow = Some(to.level0_trigger)),
    ];
    let mut settings = Vec::new();
    for (name, change) in changes {
        let mut options = small();
        change(&mut options);
        settings.push(Setting { name, options, workers: false });
    }
    let mut rng = Rng::new(seed ^ 0x5EED);
    for drawn in 0..DRAWN {
        let options = options::random(&mut rng);
        settings.push(Setting { name: "drawn by chance", options, workers: drawn % 2 == 0 });
    }
    settings.push(Setting { name: "with workers", options: small(), workers: true });
    settings
}

/// So small that a short history meets several levels.
fn small() -> Options {
    Options {
        memory_bytes: 8 << 20,
        memtable_bytes: Some(3_000),
        memtable_min_bytes: Some(3_000),
        cache_bytes: Some(30_000),
        wal_segment_bytes: 40_000,
        block_bytes: 1_000,
        table_bytes: 4_000,
        level1_bytes: Some(8_000),
        ..Options::default()
    }
}

/// The whole life of a store.
fn live(history: &History, setting: &Setting) -> End {
    let disk = MemFs::new();
    let mut driver = Driver::new(disk.clone(), history.keys.clone(), setting.options.clone());
    let mut life = || {
        driver.restart(disk.clone(), setting.options.clone(), journal::End::Kill)?;
        for (number, step) in history.steps.iter().enumerate() {
            if setting.workers && number % STEPS_OF_JOB == 0 {
                driver.run(&by_worker())?;
            }
            driver.step(step)?;
        }
        driver.check_all()?;
        driver.check_files()?;
        let (_, sequence) = driver.store().snapshot()?;
        let state = read_all(driver.store())?;
        driver.store().close()?;
        Ok(End { disk: disk.clone(), sequence, writes: sequence - driver.journal().forgotten(), state })
    };
    match life() {
        Ok(end) => end,
        Err(error) => fails(setting, &error),
    }
}

/// A job goes to a worker and comes back, if there is one.
fn by_worker() -> [Step; 4] {
    let kinds = Kinds { flush: true, compaction: true, clean_up: true };
    [
        Step::Help(true),
        Step::TakeJob(kinds),
        Step::RunJob { job: 0, worker: Worker::WELL },
        Step::FinishJob(0),
    ]
}

/// Opens what another setting has left and compacts it. Returns the last sequence number that was found.
fn go_on(disk: &MemFs, setting: &Setting, state: &State) -> u64 {
    let opened = disk.open_store(&ManualClock::new(), &setting.options);
    let found = opened.and_then(|mut store| compact(&mut store, setting, state));
    found.unwrap_or_else(|error| fails(setting, &error))
}

/// Reads the whole store before and after a full compaction.
fn compact(store: &mut impl Store, setting: &Setting, state: &State) -> Result<u64> {
    let (_, sequence) = store.snapshot()?;
    assert_same(&read_all(store)?, state, setting.name);
    while store.compact(100_000)?.more {}
    assert_same(&read_all(store)?, state, setting.name);
    store.close()?;
    Ok(sequence)
}

fn fails(setting: &Setting, error: &Error) -> ! {
    panic!("{}: nothing has failed here, yet: {error}\n{:#?}", setting.name, setting.options)
}
