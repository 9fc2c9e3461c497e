//! Drives a store through a history and holds every answer against the [`Journal`].
//!
//! A wrong answer panics, an error is returned: whether it is one that the circumstances allow is for the test
//! to judge. After an error the driver can go on; what the failed step did or did not do is then in doubt just
//! as it is for a user.

use std::collections::VecDeque;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use esker_engine::env::{Fs, ManualClock};
use esker_engine::{
    Cursor, Db, Durability, Error, ErrorKind, Job, JobResult, KeyRange, Options, Progress, Result,
    ScanOptions, Snapshot, job,
};

use crate::history::{Op, Refused, Step};
use crate::journal::{End, Journal, State, Write, assert_same, show};
use crate::options;
use crate::seed::Rng;
use crate::trace::{self, ShownOnPanic};

/// A store, and all that a user of it holds and knows.
pub struct Driver<F: Fs + Clone> {
    keys: Rc<[Vec<u8>]>,
    clock: ManualClock,
    journal: Journal,
    fs: F,
    options: Options,
    /// `None` after a failed attempt to open.
    db: Option<Db<F, ManualClock>>,
    cursors: Vec<OpenCursor<F>>,
    snapshots: Vec<(Snapshot, State)>,
    /// What workers have, oldest first.
    jobs: Vec<TakenJob>,
    steps: usize,
}

struct TakenJob {
    job: Job,
    result: Option<JobResult>,
    /// The store has given it up, and its worker does not know.
    abandoned: bool,
}

struct OpenCursor<F: Fs> {
    cursor: Cursor<F>,
    ahead: VecDeque<Entry>,
}

type Entry = (Vec<u8>, Rc<[u8]>);

/// With this much patience a call that does a slice of work comes to an end.
const SLICES_MAX: usize = 100_000;

impl<F: Fs + Clone> Driver<F> {
    /// A driver that has yet to open a store with these options; steps will use these keys.
    pub fn new(fs: F, keys: Rc<[Vec<u8>]>, options: Options) -> Self {
        Self {
            keys,
            clock: ManualClock::new(),
            journal: Journal::default(),
            fs,
            options,
            db: None,
            cursors: Vec::new(),
            snapshots: Vec::new(),
            jobs: Vec::new(),
            steps: 0,
        }
    }

    /// The open store.
    ///
    /// # Panics
    ///
    /// When the last attempt to open it has failed.
    pub fn db(&mut self) -> &mut Db<F, ManualClock> {
        self.db.as_mut().expect("the test goes on only with an open store")
    }

    /// Whether the last attempt to open the store has succeeded.
    pub fn is_open(&self) -> bool {
        self.db.is_some()
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
        if trace::is_on() {
            eprintln!("step {}: {step:?} -> {done:?}", self.steps);
        }
        done.inspect_err(|error| assert_ne!(error.kind(), &ErrorKind::Bug, "{error}"))
    }

    /// Drops the store without closing it, and forgets the cursors and snapshots.
    pub fn drop_store(&mut self) {
        self.cursors.clear();
        self.snapshots.clear();
        self.jobs.clear();
        self.db = None;
    }

    /// Drops the store without closing it, opens what the end of its process or machine has left in `fs`, and
    /// judges that.
    pub fn restart(&mut self, fs: F, options: Options, end: End) -> Result<()> {
        self.drop_store();
        let deferred_bytes = u64::from(self.options.deferred_bytes);
        let db = Db::open(fs.clone(), self.clock.clone(), options.clone())?;
        let found = read_all(&db)?;
        self.journal.recover(end, deferred_bytes, db.snapshot().sequence(), &found);
        (self.fs, self.options, self.db) = (fs, options, Some(db));
        Ok(())
    }

    /// Holds every key and both directions against the journal.
    pub fn check_all(&mut self) -> Result<()> {
        let found = read_all(self.db())?;
        assert_same(&found, self.journal.live(), "on reading all");
        for key in 0..self.keys.len() {
            self.get(key, None)?;
        }
        let backward = ScanOptions { reverse: true, ..ScanOptions::default() };
        self.scan(&KeyRange::all(), backward, None)
    }

    /// Holds every file against its checksums.
    pub fn check_files(&mut self) -> Result<()> {
        let found = self.db().verify()?;
        assert!(found.problems.is_empty(), "verify finds: {:#?}", found.problems);
        Ok(())
    }

    fn dispatch(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::One(op, durability) => self.one(op, *durability),
            Step::Batch(ops, durability) => self.batch(ops, *durability),
            Step::Refused(what) => self.refused(*what),
            Step::Get { key, snapshot } => self.get(*key, *snapshot),
            Step::GetMany(keys) => self.get_many(keys),
            Step::Contains(key) => self.contains(*key),
            Step::Scan { range, options, snapshot } => self.scan(range, *options, *snapshot),
            Step::OpenCursor(range, options) => self.open_cursor(range, *options),
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
                self.patiently(|db| db.flush())?;
                self.journal.all_durable();
                Ok(())
            }
            Step::Maintain(budget) => self.maintain(*budget).map(drop),
            Step::Compact(budget) => self.patiently(|db| db.compact(*budget)).map(drop),
            Step::Help(helped) => {
                self.db().set_helped(*helped);
                Ok(())
            }
            Step::TakeJob => self.take_job().map(drop),
            Step::RunJob(job) => round(*job, self.jobs.len()).map_or(Ok(()), |index| self.run_job(index)),
            Step::FinishJob(job) => {
                round(*job, self.jobs.len()).map_or(Ok(()), |index| self.finish_job(index))
            }
            Step::AbandonJob(job) => self.abandon_job(*job),
            Step::CompactAll => self.compact_all(),
            Step::Sync => {
                self.db().sync()?;
                self.journal.all_durable();
                Ok(())
            }
            Step::FlushDeferred => {
                self.db().flush_deferred()?;
                self.journal.all_handed_over();
                Ok(())
            }
            Step::Wait(millis) => {
                self.clock.advance(millis * 1_000);
                Ok(())
            }
            Step::Verify => {
                let stats = self.db().stats();
                let text = stats.to_json();
                assert!(text.starts_with('{') && text.ends_with('}'), "stats are a JSON object: {text}");
                self.check_files()
            }
            Step::Reopen(seed) => self.reopen(*seed),
            Step::Kill(seed) => {
                let options = options::random(&mut Rng::new(*seed));
                self.restart(self.fs.clone(), options, End::Kill)?;
                self.check_all()
            }
        }
    }

    // Writes.

    fn one(&mut self, op: &Op, durability: Durability) -> Result<()> {
        let write = self.to_write(std::slice::from_ref(op));
        self.write(write, durability, |db, write| match write.ops.as_slice() {
            [(key, Some(value))] => db.put(key, value, durability),
            [(key, None)] => db.delete(key, durability),
            _ => unreachable!("the write has one operation"),
        })
    }

    fn batch(&mut self, ops: &[Op], durability: Durability) -> Result<()> {
        let write = self.to_write(ops);
        self.write(write, durability, |db, write| db.write(&write.to_batch(), durability))
    }

    fn to_write(&self, ops: &[Op]) -> Write {
        let pair = |op: &Op| match op {
            Op::Put(key, value) => (self.keys[*key].clone(), Some(value.bytes().into())),
            Op::Delete(key) => (self.keys[*key].clone(), None),
        };
        Write { ops: ops.iter().map(pair).collect() }
    }

    fn write(
        &mut self,
        write: Write,
        durability: Durability,
        call: impl Fn(&mut Db<F, ManualClock>, &Write) -> Result<u64>,
    ) -> Result<()> {
        match self.patiently(|db| call(db, &write)) {
            Ok(sequence) => self.journal.acknowledge(write, durability, sequence),
            Err(error) => {
                if matches!(error.kind(), ErrorKind::Io | ErrorKind::NoSpace) {
                    self.journal.doubt(write);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Makes a call, and does what it waits for as long as it is refused as busy.
    fn patiently<T>(&mut self, call: impl Fn(&mut Db<F, ManualClock>) -> Result<T>) -> Result<T> {
        for _ in 0..SLICES_MAX {
            match call(self.db()) {
                Err(error) if error.kind() == &ErrorKind::Busy => {
                    let out = self.jobs.iter().any(|taken| !taken.abandoned);
                    assert!(out, "a store waits for a worker, and none has a job: {error}");
                    self.end_jobs()?;
                }
                answer => return answer,
            }
        }
        panic!("{SLICES_MAX} rounds of work have not made room: {:?}", self.db().pressure());
    }

    fn refused(&mut self, what: Refused) -> Result<()> {
        let before = self.db().snapshot().sequence();
        let good = self.keys[0].clone();
        let durability = Durability::Synced;
        let answer = match what {
            Refused::EmptyKey => self.db().put(b"", b"value", durability),
            Refused::LongKey => self.db().delete(&[b'x'; 65_537], durability),
            Refused::Batch => {
                let write =
                    Write { ops: vec![(good, Some((*b"not to be seen").into())), (Vec::new(), None)] };
                self.db().write(&write.to_batch(), durability)
            }
        };
        let error = answer.expect_err("a write beyond the limits is refused");
        if error.kind() == &ErrorKind::InvalidArgument {
            assert_eq!(self.db().snapshot().sequence(), before, "a refused write changes nothing");
            return Ok(());
        }
        Err(error)
    }

    // Reads.

    fn get(&mut self, key: usize, snapshot: Option<usize>) -> Result<()> {
        let bytes = self.keys[key].clone();
        let (found, expected) = match snapshot.and_then(|snapshot| round(snapshot, self.snapshots.len())) {
            Some(index) => {
                let db = self.db.as_ref().expect("the test goes on only with an open store");
                let (snapshot, state) = &self.snapshots[index];
                (db.get_at(snapshot, &bytes)?, state.get(&bytes))
            }
            None => (self.db().get(&bytes)?, self.journal.live().get(&bytes)),
        };
        assert_value(&bytes, found.as_deref(), expected.map(AsRef::as_ref));
        Ok(())
    }

    fn get_many(&mut self, keys: &[usize]) -> Result<()> {
        let keys: Vec<Vec<u8>> = keys.iter().map(|&key| self.keys[key].clone()).collect();
        let found = self.db().get_many(&keys)?;
        assert_eq!(found.len(), keys.len());
        for (key, found) in keys.iter().zip(found) {
            assert_value(key, found.as_deref(), self.journal.live().get(key).map(AsRef::as_ref));
        }
        Ok(())
    }

    fn contains(&mut self, key: usize) -> Result<()> {
        let key = self.keys[key].clone();
        let found = self.db().contains(&key)?;
        assert_eq!(found, self.journal.live().contains_key(&key), "whether {} is there", show(&key));
        Ok(())
    }

    fn scan(&mut self, range: &KeyRange, options: ScanOptions, snapshot: Option<usize>) -> Result<()> {
        let db = self.db.as_ref().expect("the test goes on only with an open store");
        let (cursor, state) = match snapshot.and_then(|snapshot| round(snapshot, self.snapshots.len())) {
            Some(index) => {
                let (snapshot, state) = &self.snapshots[index];
                (db.scan_at(snapshot, range.clone(), options)?, state)
            }
            None => (db.scan(range.clone(), options)?, self.journal.live()),
        };
        let mut scan = OpenCursor { cursor, ahead: expected_entries(state, range, options) };
        scan.advance(usize::MAX)
    }

    fn open_cursor(&mut self, range: &KeyRange, options: ScanOptions) -> Result<()> {
        let cursor = self.db().scan(range.clone(), options)?;
        self.cursors
            .push(OpenCursor { cursor, ahead: expected_entries(self.journal.live(), range, options) });
        if self.cursors.len() > 5 {
            self.cursors.remove(0);
        }
        Ok(())
    }

    fn advance(&mut self, cursor: usize, entries: usize) -> Result<()> {
        let Some(index) = round(cursor, self.cursors.len()) else { return Ok(()) };
        let advanced = self.cursors[index].advance(entries);
        if advanced.is_err() {
            // Where it stands after an error is not promised.
            self.cursors.remove(index);
        }
        advanced
    }

    fn take_snapshot(&mut self) -> Result<()> {
        let snapshot = self.db().snapshot();
        assert_eq!(snapshot.sequence(), self.journal.sequence(), "a snapshot sees all that was acknowledged");
        self.snapshots.push((snapshot, self.journal.live().clone()));
        if self.snapshots.len() > 5 {
            self.snapshots.remove(0);
        }
        Ok(())
    }

    // Upkeep.

    fn maintain(&mut self, budget_bytes: u64) -> Result<Progress> {
        let progress = self.db().maintain(budget_bytes)?;
        if !progress.more && self.jobs.is_empty() {
            let pressure = self.db().pressure();
            let idle = !pressure.stalled && pressure.sealed_memtables == 0;
            assert!(idle, "nothing is left to do, yet {pressure:?}");
        }
        Ok(progress)
    }

    fn compact_all(&mut self) -> Result<()> {
        // The first may only end one that began before the last writes.
        self.compact_to_the_end()?;
        self.compact_to_the_end()?;
        self.check_compacted()
    }

    fn compact_to_the_end(&mut self) -> Result<()> {
        for _ in 0..SLICES_MAX {
            if !self.patiently(|db| db.compact(100_000))?.more {
                return Ok(());
            }
            self.end_jobs()?;
        }
        panic!("{SLICES_MAX} slices have not ended a compaction: {:?}", self.db().pressure());
    }

    /// Without snapshots, a compacted store holds one entry for each key and no tombstone.
    fn check_compacted(&mut self) -> Result<()> {
        if self.snapshots.is_empty() {
            let found = self.db().verify()?;
            assert!(found.problems.is_empty(), "verify finds: {:#?}", found.problems);
            assert_eq!(found.entries, self.journal.live().len() as u64, "entries after a full compaction");
        }
        Ok(())
    }

    // Workers.

    fn take_job(&mut self) -> Result<Option<usize>> {
        let Some(job) = self.db().take_job()? else { return Ok(None) };
        // It reaches its worker as bytes.
        let job = Job::decode(&job.encode())?;
        self.jobs.push(TakenJob { job, result: None, abandoned: false });
        Ok(Some(self.jobs.len() - 1))
    }

    /// Runs a job as a worker does, which has nothing but the files. One that fails is given up; the files of one
    /// that was given up before may be gone.
    fn run_job(&mut self, index: usize) -> Result<()> {
        let taken = &mut self.jobs[index];
        if taken.result.is_some() {
            return Ok(());
        }
        let id = taken.job.id();
        match job::run(Arc::new(self.fs.clone()), taken.job.clone(), 100_000) {
            Ok(result) => taken.result = Some(JobResult::decode(&result.encode())?),
            Err(_) if taken.abandoned => drop(self.jobs.remove(index)),
            Err(error) => {
                self.jobs.remove(index);
                self.db().abandon_job(id, Some(error.clone()))?;
                return Err(error);
            }
        }
        Ok(())
    }

    fn finish_job(&mut self, index: usize) -> Result<()> {
        let Some(result) = self.jobs[index].result.clone() else { return Ok(()) };
        let taken = self.jobs.remove(index);
        match self.db().finish_job(&result) {
            Err(error) if taken.abandoned && error.kind() == &ErrorKind::InvalidArgument => Ok(()),
            Ok(()) if taken.abandoned => panic!("the result of a job that was given up is taken"),
            answer => answer,
        }
    }

    fn abandon_job(&mut self, job: usize) -> Result<()> {
        match round(job, self.jobs.len()).map(|index| &mut self.jobs[index]) {
            Some(taken) if !taken.abandoned => {
                taken.abandoned = true;
                let id = taken.job.id();
                self.db().abandon_job(id, None)
            }
            _ => Ok(()),
        }
    }

    /// Lets the workers run and bring back what they have.
    fn end_jobs(&mut self) -> Result<()> {
        while !self.jobs.is_empty() {
            let jobs = self.jobs.len();
            self.run_job(0)?;
            if self.jobs.len() == jobs {
                self.finish_job(0)?;
            }
        }
        Ok(())
    }

    fn reopen(&mut self, seed: u64) -> Result<()> {
        self.db().close()?;
        self.journal.all_durable();
        let refused = self.db().get(b"key").expect_err("a closed store answers nothing");
        assert_eq!(refused.kind(), &ErrorKind::Reopen, "{refused}");

        let mut rng = Rng::new(seed);
        let mut options = options::random(&mut rng);
        if rng.percent(25) {
            options.recovery = esker_engine::RecoveryMode::Absolute;
        }
        self.restart(self.fs.clone(), options, End::Kill)?;
        self.check_all()
    }
}

impl<F: Fs> OpenCursor<F> {
    /// Reads so many entries, or to the end and once more.
    fn advance(&mut self, entries: usize) -> Result<()> {
        for _ in 0..entries {
            let found = self.cursor.next()?;
            let expected = self.ahead.pop_front();
            let expected = expected.as_ref().map(|(key, value)| (key.as_slice(), value.as_ref()));
            assert!(
                found == expected,
                "the cursor is at {}, and should be at {}",
                show_entry(found),
                show_entry(expected)
            );
            if expected.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// All that a store holds, by one scan.
pub fn read_all<F: Fs>(db: &Db<F, ManualClock>) -> Result<State> {
    let mut state = State::new();
    let mut cursor = db.scan(KeyRange::all(), ScanOptions::default())?;
    while let Some((key, value)) = cursor.next()? {
        assert!(state.last_key_value().is_none_or(|(last, _)| last.as_slice() < key), "a scan goes upward");
        state.insert(key.to_vec(), value.into());
    }
    Ok(state)
}

/// Whether an error says no more than that the file system has failed, or that an earlier failure has made the
/// handle useless.
pub fn is_failure_of_the_files(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::NoSpace | ErrorKind::Reopen)
}

fn expected_entries(state: &State, range: &KeyRange, options: ScanOptions) -> VecDeque<Entry> {
    let start = range.start.as_deref().map_or(Bound::Unbounded, Bound::Included);
    let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    if let (Bound::Included(start), Bound::Excluded(end)) = (start, end)
        && start >= end
    {
        return VecDeque::new();
    }
    let empty: Rc<[u8]> = Rc::from([]);
    let entry = |(key, value): (&Vec<u8>, &Rc<[u8]>)| {
        (key.clone(), if options.keys_only { Rc::clone(&empty) } else { Rc::clone(value) })
    };
    let forward = state.range::<[u8], _>((start, end));
    let limit = options.limit.map_or(usize::MAX, |limit| limit as usize);
    if options.reverse {
        forward.rev().take(limit).map(entry).collect()
    } else {
        forward.take(limit).map(entry).collect()
    }
}

fn assert_value(key: &[u8], found: Option<&[u8]>, expected: Option<&[u8]>) {
    let text = |value: Option<&[u8]>| {
        value.map_or_else(|| "nothing".to_owned(), |bytes| format!("{:?}", show(bytes)))
    };
    assert!(found == expected, "{} is {}, and should be {}", show(key), text(found), text(expected));
}

fn show_entry(entry: Option<(&[u8], &[u8])>) -> String {
    entry.map_or_else(|| "the end".to_owned(), |(key, value)| format!("{} = {:?}", show(key), show(value)))
}

fn round(index: usize, length: usize) -> Option<usize> {
    index.checked_rem(length)
}
