//! Drives a store through a history and holds every answer against the [`Journal`].
//!
//! A wrong answer panics, an error is returned: whether it is one that the circumstances allow is for the test
//! to judge. After an error the driver can go on; what the failed step did or did not do is then in doubt just
//! as it is for a user.

mod buckets;
mod followers;
mod reads;
mod stale;
mod upkeep;
mod writes;

use std::rc::Rc;

use esker_engine::env::ManualClock;
use esker_engine::{
    Bucket, Compression, Error, ErrorKind, Key, KeyRange, Options, RecoveryMode, Result, ScanOptions,
};

use crate::history::Step;
use crate::journal::{End, Found, Journal, State, assert_same};
use crate::options;
use crate::platform::{Platform, Store};
use crate::seed::Rng;
use crate::trace::{self, ShownOnPanic};
use buckets::dropped_buckets;
use followers::Follower;
use reads::OpenCursor;
use upkeep::TakenJob;

pub use reads::read_all;

type CursorOf<P> = <<P as Platform>::Store as Store>::Cursor;
type SnapshotOf<P> = <<P as Platform>::Store as Store>::Snapshot;

/// A store, its workers and its readers, and all that a user of them holds and knows.
pub struct Driver<P: Platform> {
    keys: Rc<[Vec<u8>]>,
    clock: ManualClock,
    journal: Journal,
    platform: P,
    options: Options,
    /// Overrides the options that chance draws.
    compression: Option<Compression>,
    /// `None` after a failed attempt to open.
    store: Option<P::Store>,
    cursors: Vec<OpenCursor<CursorOf<P>>>,
    snapshots: Vec<(SnapshotOf<P>, State)>,
    /// Primaries that others have replaced and that do not know it yet.
    stale: Vec<P::Store>,
    /// What workers have, oldest first. They outlive the primary.
    jobs: Vec<TakenJob>,
    /// They outlive the primary as well.
    readers: Vec<Follower<P>>,
    /// Whether a call on this store has failed: its log may then end in a piece of a record.
    hurt: bool,
    steps: usize,
    workers_died: u64,
}

impl<P: Platform> Driver<P> {
    /// A driver that has yet to open a store with these options; steps will use these keys.
    pub fn new(platform: P, keys: Rc<[Vec<u8>]>, options: Options) -> Self {
        Self {
            keys,
            clock: ManualClock::new(),
            journal: Journal::default(),
            platform,
            options,
            compression: None,
            store: None,
            cursors: Vec::new(),
            snapshots: Vec::new(),
            stale: Vec::new(),
            jobs: Vec::new(),
            readers: Vec::new(),
            hurt: false,
            steps: 0,
            workers_died: 0,
        }
    }

    /// Compresses blocks in this way, whatever chance draws.
    pub fn compress(&mut self, compression: Compression) {
        self.compression = Some(compression);
        self.options.compression = compression;
    }

    /// Random options that this driver may use.
    pub fn draw_options(&self, rng: &mut Rng) -> Options {
        let drawn = options::random(rng);
        Options { compression: self.compression.unwrap_or(drawn.compression), ..drawn }
    }

    /// The open store.
    ///
    /// # Panics
    ///
    /// When the last attempt to open it has failed.
    pub fn store(&mut self) -> &mut P::Store {
        self.store.as_mut().expect("the test goes on only with an open store")
    }

    /// Whether the last attempt to open the store has succeeded.
    pub fn is_open(&self) -> bool {
        self.store.is_some()
    }

    /// What the store should hold.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Does the steps, until one fails.
    pub fn run(&mut self, steps: &[Step]) -> Result<()> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    /// Does a step.
    ///
    /// # Panics
    ///
    /// When the answer is wrong.
    pub fn step(&mut self, step: &Step) -> Result<()> {
        self.steps += 1;
        let _shown = ShownOnPanic(format!("in step {}: {step:?}", self.steps));
        let done = self.dispatch(step);
        let done = self.then_see_forgotten(done);
        if trace::is_on() {
            eprintln!("step {}: {step:?} -> {done:?}", self.steps);
        }
        let reads_only = matches!(step, Step::OpenReader(_) | Step::CatchUp(_) | Step::Stale { .. });
        self.hurt |= done.is_err() && !reads_only;
        done.inspect_err(|error| assert_ne!(error.kind(), &ErrorKind::Bug, "{error}"))
    }

    fn then_see_forgotten(&mut self, done: Result<()>) -> Result<()> {
        let well = done.is_ok() && !self.hurt;
        match self.is_open().then(|| self.see_forgotten(well)) {
            Some(Err(error)) if done.is_ok() => Err(error),
            _ => done,
        }
    }

    /// Drops the store without closing it, and all readers. Workers are left, with jobs that nobody waits for.
    pub fn drop_store(&mut self) {
        self.readers.clear();
        self.stale.clear();
        self.drop_primary();
    }

    fn drop_primary(&mut self) {
        self.cursors.clear();
        self.snapshots.clear();
        self.lose_jobs();
        self.store = None;
    }

    /// Drops the primary without closing it, opens what the end of its process or machine has left on `platform`, and
    /// judges that. Readers go on: the directory must be theirs.
    pub fn restart(&mut self, platform: P, options: Options, end: End) -> Result<()> {
        self.drop_primary();
        let deferred_bytes = u64::from(self.options.deferred_bytes);
        let mut store = platform.open_store(&self.clock, &options)?;
        let found = Found {
            state: read_all(&mut store)?,
            sequence: store.snapshot()?.1,
            dropped_buckets: dropped_buckets(&store.stats()?),
        };
        let sequence_of = |key: Key<'_>| Ok(store.get_with_sequence(key)?.map(|(_, sequence)| sequence));
        self.journal.recover(end, deferred_bytes, &found, sequence_of)?;
        (self.platform, self.options, self.store, self.hurt) = (platform, options, Some(store), false);
        Ok(())
    }

    /// Holds every key and both directions against the journal.
    pub fn check_all(&mut self) -> Result<()> {
        let found = read_all(self.store())?;
        assert_same(&found, self.journal.live(), "on reading all");
        let buckets: Vec<Bucket> = self.journal.live().buckets().map(|(bucket, _)| bucket).collect();
        for (key, &bucket) in (0..self.keys.len()).zip(buckets.iter().cycle()) {
            self.get_in(bucket, key, None)?;
        }
        for bucket in buckets {
            let backward = ScanOptions { bucket, reverse: true, ..ScanOptions::default() };
            self.scan_in(&KeyRange::all(), backward, None)?;
        }
        Ok(())
    }

    /// Holds every file against its checksums.
    pub fn check_files(&mut self) -> Result<()> {
        let found = self.store().verify()?;
        assert!(self.hurt || found.problems.is_empty(), "verify finds: {:#?}", found.problems);
        Ok(())
    }

    /// What the store tells of itself that no history looks at, and that must not depend on where it runs.
    pub fn describe(&mut self) -> Result<String> {
        let store = self.store();
        let (pressure, verification) = (store.pressure()?, store.verify()?);
        Ok(format!("{pressure:?} {verification:?} {}", store.recovery_report()?))
    }

    fn dispatch(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::One(op, durability) => self.one(op, *durability),
            Step::Batch(ops, durability) => self.batch(ops, *durability),
            Step::Refused(what) => self.refused(*what),
            Step::WriteIf { conditions, ops, durability } => self.write_if(conditions, ops, *durability),
            Step::Increment(place, delta, durability) => self.increment(*place, *delta, *durability),
            Step::CreateBucket(slot) => self.create_bucket(*slot),
            Step::DropBucket(slot) => self.drop_bucket(*slot),
            Step::Buckets { snapshot } => self.list_buckets(*snapshot),
            Step::UseMissing { which, act, key } => self.use_missing(*which, *act, *key),
            Step::Get { place, snapshot } => self.get(*place, *snapshot),
            Step::GetMany { slot, keys } => self.get_many(*slot, keys),
            Step::Contains(place) => self.contains(*place),
            Step::GetWithSequence(place) => self.get_with_sequence(*place),
            Step::Scan { slot, range, options, snapshot } => self.scan(*slot, range, *options, *snapshot),
            Step::OpenCursor(slot, range, options) => self.open_cursor(*slot, range, *options),
            Step::Advance { cursor, entries } => self.advance(*cursor, *entries),
            Step::CloseCursor(cursor) => {
                self.cursors.truncate(self.cursors.len().min(*cursor));
                Ok(())
            }
            Step::TakeSnapshot => self.take_snapshot(),
            Step::DropSnapshot(snapshot) => {
                if let Some(index) = round(*snapshot, self.snapshots.len()) {
                    self.snapshots.remove(index);
                }
                Ok(())
            }
            Step::Flush => {
                self.patiently(|store| store.flush())?;
                self.journal.all_durable();
                Ok(())
            }
            Step::Maintain(budget) => self.maintain(*budget).map(drop),
            Step::Rest(min_bytes) => self.patiently(|store| store.rest(*min_bytes)).map(drop),
            Step::Compact(budget) => self.patiently(|store| store.compact(*budget)).map(drop),
            Step::Help(helped) => self.store().set_helped(*helped),
            Step::TakeJob(kinds) => self.take_job(*kinds),
            Step::RunJob { job, worker } => {
                self.with_job(*job, |driver, index| driver.run_job(index, *worker))
            }
            Step::FinishJob(job) => self.with_job(*job, Self::finish_job),
            Step::AbandonJob(job) => self.with_job(*job, Self::abandon_job),
            Step::OpenReader(seed) => self.open_reader(*seed),
            Step::CatchUp(reader) => self.catch_up(*reader),
            Step::DropReader(reader) => {
                if let Some(index) = round(*reader, self.readers.len()) {
                    self.readers.remove(index);
                }
                Ok(())
            }
            Step::CompactAll => self.compact_all(),
            Step::Sync => {
                self.store().sync()?;
                self.journal.all_durable();
                Ok(())
            }
            Step::FlushDeferred => {
                self.store().flush_deferred()?;
                self.journal.all_handed_over();
                Ok(())
            }
            Step::Wait(millis) => {
                self.clock.advance(millis * 1_000);
                Ok(())
            }
            Step::Verify => {
                let text = self.store().stats()?;
                assert!(text.starts_with('{') && text.ends_with('}'), "stats are a JSON object: {text}");
                self.check_files()
            }
            Step::Reopen(seed) => self.reopen(*seed),
            Step::TakeOver(seed) => self.take_over(*seed),
            Step::Stale { which, act } => {
                self.act_as_stale(*which, *act);
                Ok(())
            }
            Step::Kill(seed) => {
                let options = self.draw_options(&mut Rng::new(*seed));
                self.restart(self.platform.clone(), options, End::Kill)?;
                self.check_all()
            }
        }
    }

    fn reopen(&mut self, seed: u64) -> Result<()> {
        self.store().close()?;
        self.journal.all_durable();
        let refused = self.store().get(b"key".into(), None).expect_err("a closed store answers nothing");
        if refused.kind() != &ErrorKind::Reopen {
            // An instance that dies in this very call says something else; whoever plays the history knows whether it did.
            return Err(refused);
        }

        let mut rng = Rng::new(seed);
        let mut options = self.draw_options(&mut rng);
        if rng.percent(25) {
            options.recovery = RecoveryMode::Absolute;
        }
        self.restart(self.platform.clone(), options, End::Kill)?;
        self.check_all()
    }
}

/// Whether an error says no more than that the file system has failed, or that an earlier failure has made the
/// handle useless.
pub fn is_failure_of_the_files(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::NoSpace | ErrorKind::Reopen)
}

fn round(index: usize, length: usize) -> Option<usize> {
    index.checked_rem(length)
}
