//! Flushes and compactions: what is due, who does it, and what becomes of the result.
//!
//! A sealed memtable is flushed to a table of level 0; full levels are compacted into the next. Both are jobs. By
//! default the store does its own, in slices: a write does a little of what is pending, in proportion to what it wrote,
//! so that maintenance keeps pace and no write waits long; [`Db::maintain`] does more of it while the store is idle.
//! Whoever has workers takes jobs away ([`Db::take_job`]) and brings back results ([`Db::finish_job`]). What becomes of a
//! result is in `install`.
//!
//! A job that fails is given up and begun again later: its inputs are still there. Only a failure to write the
//! manifest, after which nobody knows what it holds, makes the handle useless.

use super::Db;
use super::install::Names;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::file_name::FileName;
use crate::compaction::{Busy, Plan, Reason, dropped};
use crate::env::{Clock, Fs};
use crate::job::{Job, JobResult, Kinds, Runner, Work, check_table};
use crate::version::VersionEdit;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// After a job has failed, it is tried again when so many bytes have been written.
const RETRY_BYTES: u64 = 1 << 20;
/// So many file numbers are reserved at once for jobs that are given away: each time costs a sync.
const NUMBERS_AHEAD: u64 = 4096;

/// What a slice of maintenance has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes of entries that were read.
    pub bytes: u64,
    /// Whether anything is left to do.
    pub more: bool,
}

/// What is under way and what waits.
#[derive(Debug)]
pub(super) struct Maintenance<F: Fs> {
    // Jobs under way: at most one flush and one compaction here, any number with workers.
    own_flush: Option<Runner<F>>,
    own_compaction: Option<Runner<F>>,
    /// By their ids.
    taken: BTreeMap<u64, Job>,
    /// Whether workers take jobs: writes then do none of the work.
    helped: bool,
    /// The manifest says that file numbers below this one are in use.
    pub numbers_reserved: u64,

    // What is due.
    /// What each sealed memtable covers, oldest first: its last sequence number, and the first log segment after it.
    covers: VecDeque<(u64, u64)>,
    /// Whether the picker may find something: the version or the snapshots have changed since it found nothing.
    maybe_due: bool,
    /// The oldest snapshot when the picker found nothing.
    oldest_snapshot: Option<u64>,
    /// About what compaction has to move.
    pending_bytes: u64,
    merge_all: MergeAll,
    /// Whether nothing was written since the store was said to be at rest.
    resting: bool,

    /// How many bytes must be written before a failed job is tried again.
    retry_after: u64,
    /// Why the last job failed, until one succeeds.
    pub failure: Option<Error>,
    /// Why the last job that failed did.
    pub last_failure: Option<Error>,
}

/// How far a merge of the whole store has come, which somebody has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MergeAll {
    No,
    Wanted,
    /// The job with this id does it.
    Running(u64),
}

/// What the picker has found.
enum Next {
    Job(Job),
    /// Tables were moved to another level, or removed.
    Moved,
    Nothing,
}

impl<F: Fs> Maintenance<F> {
    pub fn new() -> Self {
        Self {
            own_flush: None,
            own_compaction: None,
            taken: BTreeMap::new(),
            helped: false,
            numbers_reserved: 0,
            covers: VecDeque::new(),
            maybe_due: true,
            oldest_snapshot: None,
            pending_bytes: 0,
            merge_all: MergeAll::No,
            resting: false,
            retry_after: 0,
            failure: None,
            last_failure: None,
        }
    }

    /// There is a new version, in which compaction has about so many bytes to move.
    pub fn version_changed(&mut self, pending_bytes: u64) {
        self.maybe_due = true;
        self.pending_bytes = pending_bytes;
    }

    /// About how many bytes compaction should move but has not.
    pub fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// Whether a job has failed and is not tried again yet. Counts `bytes` that were written.
    pub fn must_retry_later(&mut self, bytes: u64) -> bool {
        self.retry_after = self.retry_after.saturating_sub(bytes);
        self.retry_after > 0
    }

    /// Something was written.
    pub fn wake(&mut self) {
        self.resting = false;
    }

    /// A memtable was sealed whose last sequence number is `last`; the log goes on at segment `log`.
    pub fn memtable_sealed(&mut self, last: u64, log: u64) {
        self.covers.push_back((last, log));
    }

    /// Whether workers take jobs.
    pub fn helped(&self) -> bool {
        self.helped
    }

    /// The jobs under way, each with where it is: in the store itself, or with a worker.
    pub fn jobs(&self) -> impl Iterator<Item = (&Job, &'static str)> {
        let own = [&self.own_flush, &self.own_compaction].into_iter().flatten();
        own.map(|runner| (runner.job(), "store")).chain(self.taken.values().map(|job| (job, "worker")))
    }

    /// Job `id` has ended, whatever came of it: a full merge that it was is over.
    fn job_ended(&mut self, id: u64) {
        if self.merge_all == MergeAll::Running(id) {
            self.merge_all = MergeAll::No;
        }
    }

    fn flush_taken(&self) -> bool {
        self.taken.values().any(Job::is_flush)
    }

    pub fn clean_up_taken(&self) -> bool {
        self.taken.values().any(|job| matches!(job.work, Work::CleanUp { .. }))
    }

    /// What compactions under way have.
    fn busy(&self) -> Busy {
        let jobs = self.taken.values().chain(self.own_compaction.as_ref().map(Runner::job));
        Busy::new(jobs.filter_map(|job| match &job.work {
            Work::Compact { plan, .. } => Some(plan),
            Work::Flush { .. } | Work::CleanUp { .. } => None,
        }))
    }
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// Does pending flush and compaction work in a slice of about `budget_bytes`, but for jobs that workers have.
    ///
    /// # Errors
    ///
    /// Those of the files. Nothing is lost by them, and the work is tried again later.
    pub fn maintain(&mut self, budget_bytes: u64) -> Result<Progress> {
        self.check_writable()?;
        self.end_deferral()?;
        let mut bytes = 0;
        while bytes < budget_bytes.max(1) {
            let Some(done) = self.slice(budget_bytes.max(1) - bytes)? else {
                self.remove_unneeded();
                return Ok(Progress { bytes, more: false });
            };
            // A job that ends has done something even where it read nothing more.
            bytes += done.max(1);
        }
        Ok(Progress { bytes, more: self.has_work() })
    }

    /// Merges the whole store into its deepest level, in slices of about `budget_bytes`: call it until `more` is
    /// false. What is written meanwhile may stay above.
    ///
    /// # Errors
    ///
    /// As [`Db::maintain`].
    pub fn compact(&mut self, budget_bytes: u64) -> Result<Progress> {
        self.check_writable()?;
        if self.maintenance.merge_all == MergeAll::No {
            self.seal_memtable(0)?;
            self.maintenance.merge_all = MergeAll::Wanted;
        }
        let mut progress = self.maintain(budget_bytes)?;
        progress.more = self.maintenance.merge_all != MergeAll::No;
        Ok(progress)
    }

    /// Nothing was written for a while: seals the memtable if it holds at least `min_bytes` and is not empty, so that it is
    /// flushed next, and, until the next write, counts a merge of level 0 as due that costs little for what it saves reads
    /// (docs/compaction.md). Returns whether there is anything to do that there was not before.
    ///
    /// # Errors
    ///
    /// `Busy` where it would have to wait for a worker; those of the log; and those of maintenance, where it must do some
    /// first.
    pub fn rest(&mut self, min_bytes: u64) -> Result<bool> {
        let sealed = self.seal_memtable(min_bytes)?;
        let begins = !std::mem::replace(&mut self.maintenance.resting, true);
        self.maintenance.maybe_due |= begins;
        let merges = || self.picker.pick_at_rest(&self.view.version, &self.maintenance.busy()).is_some();
        Ok(sealed || begins && merges())
    }

    pub(super) fn seal_memtable(&mut self, min_bytes: u64) -> Result<bool> {
        self.check_writable()?;
        let active = &self.view.active;
        if active.entries() == 0 || active.bytes() < min_bytes {
            return Ok(false);
        }
        self.wait_for_maintenance()?;
        self.seal()?;
        Ok(true)
    }

    /// Seals the memtable, and writes it and all sealed ones to tables.
    ///
    /// # Errors
    ///
    /// `Busy` where a worker has the flush; and those of the files. Nothing is lost by them: the log has the data.
    pub fn flush(&mut self) -> Result<()> {
        self.seal_memtable(0)?;
        while !self.view.sealed.is_empty() {
            self.flush_slice(u64::MAX)?;
        }
        self.sync_edit()
    }

    /// Whether workers take jobs. While they do, writes do no maintenance of their own; one that would have to wait
    /// for a job that a worker has is refused as `Busy`.
    pub fn set_helped(&mut self, helped: bool) {
        self.maintenance.helped = helped;
    }

    /// Gives away the most urgent job among `kinds` that nobody has, for [`crate::job::run`] to run wherever the files
    /// are. It comes back by [`Db::finish_job`] or [`Db::abandon_job`]. `None` where there is nothing to do.
    ///
    /// # Errors
    ///
    /// `Reopen` where the handle writes no more, and those of the manifest, which remembers the numbers that jobs use.
    pub fn take_job(&mut self, kinds: Kinds) -> Result<Option<Job>> {
        self.check_writable()?;
        if self.maintenance.retry_after > 0 {
            return Ok(None);
        }
        // Until its last edit is durable the store can install no other, and would sync the manifest itself.
        let first = kinds.clean_up && self.unneeded.edit_pending();
        let mut job = if first { self.clean_up_job()? } else { None };
        if job.is_none() && kinds.flush {
            job = self.flush_job()?;
        }
        if job.is_none() && kinds.clean_up {
            job = self.clean_up_job()?;
        }
        if job.is_none() && kinds.compaction && self.maintenance.own_compaction.is_none() {
            job = match self.next_compaction()? {
                Next::Job(job) => Some(job),
                // The edit should be durable before the next one, and a worker can see to that.
                Next::Moved if kinds.clean_up => self.clean_up_job()?,
                Next::Moved | Next::Nothing => None,
            };
        }
        if let Some(job) = &job {
            self.reserve_numbers()?;
            self.maintenance.taken.insert(job.id(), job.clone());
        }
        Ok(job)
    }

    /// Makes it durable that the numbers of a job are in use, before it is given away: its worker may outlive this
    /// primary, and then the next one must neither meet files of these numbers nor give them to another job.
    fn reserve_numbers(&mut self) -> Result<()> {
        if self.state.next_file > self.maintenance.numbers_reserved {
            let reserved = self.state.next_file + NUMBERS_AHEAD;
            let edit = VersionEdit { next_file: Some(reserved), ..VersionEdit::default() };
            self.sync_edit()?;
            self.manifest
                .append(&edit)
                .and_then(|()| self.manifest.sync())
                .map_err(|error| self.poison("the manifest could not be written", error))?;
            self.maintenance.numbers_reserved = reserved;
        }
        Ok(())
    }

    /// Installs the result of a job that was taken.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where no such job is out or the result is not its own: nothing has changed then, and a job
    /// that is out still is. `Corrupt` where a table that it names is missing, damaged or another one: the job is then
    /// given up and will be begun again. Those of the manifest; and `Io` where the worker could not sync what is not its
    /// own: the handle then writes no more.
    pub fn finish_job(&mut self, result: &JobResult) -> Result<()> {
        self.check_writable()?;
        let not_out = || Error::invalid(format!("no job {} is out: it was finished or abandoned", result.id));
        self.maintenance.taken.get(&result.id).ok_or_else(not_out)?.check_result(result)?;
        let job = self.maintenance.taken.remove(&result.id).ok_or_else(not_out)?;
        let installed = self
            .check_synced(result)
            .and_then(|()| self.check_tables(result))
            .and_then(|()| self.install_result(&job, result, Names::Durable));
        if let Err(error) = installed {
            // A manifest whose append has failed may hold the edit all the same, and the edit the tables.
            if self.check_writable().is_ok() {
                self.remove_outputs(&job);
            }
            return Err(self.fail(job.id(), None, error));
        }
        self.counters.jobs_done_by_workers += 1;
        Ok(())
    }

    /// Gives up a job that was taken: its worker has failed with `reason`, or is gone. It will be begun again, after
    /// some more writes where it has failed. Files that the worker has left or still writes are orphans.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where no such job is out.
    pub fn abandon_job(&mut self, id: u64, reason: Option<Error>) -> Result<()> {
        let Some(job) = self.maintenance.taken.remove(&id) else {
            return Err(Error::invalid(format!("no job {id} is out: it was finished or abandoned")));
        };
        self.remove_outputs(&job);
        if let Work::CleanUp { remove, .. } = job.work {
            self.unneeded.give_back(remove);
        }
        self.maintenance.maybe_due = true;
        self.maintenance.job_ended(id);
        if let Some(reason) = reason {
            self.fail(id, None, reason);
        }
        Ok(())
    }

    pub(super) fn has_work(&self) -> bool {
        let due = self.maintenance.maybe_due
            || self.maintenance.merge_all == MergeAll::Wanted
            || self.maintenance.oldest_snapshot != self.snapshots.oldest();
        let flush = !self.view.sealed.is_empty() && !self.maintenance.flush_taken();
        let clean_up = self.unneeded.edit_pending() && !self.maintenance.clean_up_taken();
        due || flush || clean_up || self.maintenance.own_compaction.is_some()
    }

    /// Hands deferred writes over that have waited long enough.
    fn end_deferral(&mut self) -> Result<()> {
        if self.wal.pending_bytes() == 0 {
            return Ok(());
        }
        let age = self.clock.now_micros().saturating_sub(self.wal.pending_since());
        if age >= u64::from(self.options.deferred_millis) * 1000 {
            self.flush_deferred()?;
        }
        Ok(())
    }

    /// One slice of the most urgent work; `None` where there is none.
    pub(super) fn slice(&mut self, budget: u64) -> Result<Option<u64>> {
        if !self.view.sealed.is_empty() && !self.maintenance.flush_taken() {
            return self.flush_slice(budget).map(Some);
        }
        if !self.maintenance.clean_up_taken() {
            self.sync_edit()?;
        }
        self.compaction_slice(budget)
    }

    /// Remembers why job `id` has failed, and gives it up.
    fn fail(&mut self, id: u64, runner: Option<Runner<F>>, error: Error) -> Error {
        let error = self.explain(error);
        self.maintenance.job_ended(id);
        if let Some(runner) = runner {
            runner.abandon();
        }
        if *error.kind() == ErrorKind::NoSpace {
            // Tables that nobody reads any more are what can be freed at once.
            let _remembered_by_the_handle = self.sync_edit();
            self.remove_unneeded();
        }
        self.counters.jobs_failed += 1;
        self.maintenance.failure = Some(error.clone());
        self.maintenance.last_failure = Some(error.clone());
        self.maintenance.retry_after = RETRY_BYTES.min(self.options.memtable_bytes() / 4);
        error
    }

    pub(super) fn flush_slice(&mut self, budget: u64) -> Result<u64> {
        let mut runner = match self.maintenance.own_flush.take() {
            Some(runner) => runner,
            None => {
                let job =
                    self.flush_job()?.ok_or_else(|| busy("a worker flushes the memtable that is next"))?;
                let memtable =
                    self.view.sealed.last().ok_or_else(|| Error::bug("a flush without a sealed memtable"))?;
                Runner::flush(Arc::clone(&self.fs), job, memtable)
            }
        };
        match runner.step(budget) {
            Ok(step) => {
                match step.result {
                    Some(result) => self.finish_own(runner, &result)?,
                    None => self.maintenance.own_flush = Some(runner),
                }
                Ok(step.bytes)
            }
            Err(error) => self.begin_again(runner, error).map(|()| 0),
        }
    }

    pub(super) fn compaction_slice(&mut self, budget: u64) -> Result<Option<u64>> {
        let mut runner = match self.maintenance.own_compaction.take() {
            Some(runner) => runner,
            None => match self.compaction_job()? {
                Some(job) => {
                    let id = job.id();
                    Runner::compact(Arc::clone(&self.fs), job, &self.tables)
                        .map_err(|error| self.fail(id, None, error))?
                }
                None => return Ok(None),
            },
        };
        match runner.step(budget) {
            Ok(step) => {
                match step.result {
                    Some(result) => self.finish_own(runner, &result)?,
                    None => self.maintenance.own_compaction = Some(runner),
                }
                Ok(Some(step.bytes))
            }
            Err(error) => self.begin_again(runner, error).map(|()| Some(0)),
        }
    }

    /// Gives a job of the store's own up. Where a file had its table's number, the next slice begins it again with other
    /// numbers: a primary that this one has replaced, and that has not noticed yet, had reserved the same for a job.
    fn begin_again(&mut self, runner: Runner<F>, error: Error) -> Result<()> {
        let id = runner.job().id();
        if *error.kind() != ErrorKind::AlreadyExists {
            return Err(self.fail(id, Some(runner), error));
        }
        let merged_all = self.maintenance.merge_all == MergeAll::Running(id);
        self.maintenance.job_ended(id);
        if merged_all {
            self.maintenance.merge_all = MergeAll::Wanted;
        }
        runner.abandon();
        Ok(())
    }

    fn finish_own(&mut self, runner: Runner<F>, result: &JobResult) -> Result<()> {
        let job = runner.job().clone();
        // The runner has the inputs open, which can be removed once the result is installed.
        drop(runner);
        self.install_result(&job, result, Names::New)
    }

    /// The flush of the oldest sealed memtable, unless somebody has it: memtables are flushed in their order.
    fn flush_job(&mut self) -> Result<Option<Job>> {
        if self.view.sealed.is_empty()
            || self.maintenance.own_flush.is_some()
            || self.maintenance.flush_taken()
        {
            return Ok(None);
        }
        let Some(&(flushed, log)) = self.maintenance.covers.front() else { return Ok(None) };
        self.check_primary()?;
        let segments = self.wal.seals(self.state.log, log);
        Ok(Some(self.job(Work::Flush { segments, after: self.state.flushed, flushed, log }, 1)))
    }

    /// The next compaction, if one is due. One that only moves tables is done at once.
    fn compaction_job(&mut self) -> Result<Option<Job>> {
        loop {
            match self.next_compaction()? {
                Next::Job(job) => return Ok(Some(job)),
                Next::Moved => {}
                Next::Nothing => return Ok(None),
            }
        }
    }

    fn next_compaction(&mut self) -> Result<Next> {
        self.leave_dropped_out();
        if let Some(edit) =
            dropped::removal(&self.view.version, self.drops.garbage(), &self.maintenance.busy())
        {
            self.install(edit, self.view.sealed.len(), Names::Durable)?;
            return Ok(Next::Moved);
        }
        let oldest = self.snapshots.oldest();
        let Some(plan) = self.pick(oldest) else {
            self.maintenance.maybe_due = false;
            self.maintenance.oldest_snapshot = oldest;
            self.collect_dropped()?;
            return Ok(Next::Nothing);
        };
        if plan.is_trivial_move() {
            let edit = plan.move_edit();
            self.counters.moves.add(edit.added.len() as u64);
            self.install(edit, self.view.sealed.len(), Names::Durable)?;
            return Ok(Next::Moved);
        }
        self.check_primary()?;
        // A run of level 0 is one table.
        let outputs = match plan.output_level {
            0 => 1,
            _ => 2 * (plan.bytes() / self.options.table_bytes.max(1)) + 8,
        };
        let deeper = plan.deeper(&self.view.version);
        let manual = self.maintenance.merge_all == MergeAll::Wanted && plan.reason == Reason::Manual;
        let job = self.job(Work::Compact { plan, deeper }, outputs);
        if manual {
            self.maintenance.merge_all = MergeAll::Running(job.id());
        }
        Ok(Next::Job(job))
    }

    fn pick(&mut self, oldest_snapshot: Option<u64>) -> Option<Plan> {
        let version = &self.view.version;
        let busy = self.maintenance.busy();
        if self.maintenance.merge_all == MergeAll::Wanted {
            // It begins when what is under way has ended and what was sealed for it is in tables.
            if busy.is_empty() && self.view.sealed.is_empty() {
                let plan = self.picker.pick_all(version);
                if plan.is_some() {
                    return plan;
                }
                self.maintenance.merge_all = MergeAll::No;
            } else if !self.must_compact() {
                return None;
            }
        }
        let plan = self.picker.pick(version, oldest_snapshot.unwrap_or(u64::MAX), &busy);
        let plan = plan.or_else(|| dropped::pick(version, self.drops.garbage(), &busy));
        let rests = self.maintenance.resting && self.view.sealed.is_empty();
        plan.or_else(|| rests.then(|| self.picker.pick_at_rest(version, &busy)).flatten())
    }

    pub(super) fn job(&mut self, work: Work, outputs: u64) -> Job {
        Job {
            epoch: self.manifest.epoch(),
            work,
            snapshots: self.snapshots.sequences(),
            dropped_buckets: self.drops.invisible(),
            outputs: (0..outputs).map(|_| self.new_file_number()).collect(),
            table_bytes: self.options.table_bytes,
            options: self.table_options,
        }
    }

    /// Makes the handle useless where a worker was told that a sync of the primary's own writes has failed: nobody else
    /// will be told again.
    fn check_synced(&mut self, result: &JobResult) -> Result<()> {
        match &result.unsynced {
            None => Ok(()),
            Some(why) => Err(self.poison("a worker's sync failed", Error::new(ErrorKind::Io, why.clone()))),
        }
    }

    /// Checks that the tables of a worker's result are there, and that they are the ones that it has made.
    fn check_tables(&self, result: &JobResult) -> Result<()> {
        for table in &result.tables {
            let name = FileName::Table(table.number).to_string();
            if !self.fs.exists(&name)? {
                return Err(Error::corrupt(
                    name,
                    0,
                    "a worker says that it has made this table: it is not there",
                ));
            }
            check_table(&self.tables, table).map_err(|error| match error.kind() {
                ErrorKind::InvalidArgument => Error::corrupt(name, 0, error.message()),
                _ => error,
            })?;
        }
        Ok(())
    }

    fn remove_outputs(&self, job: &Job) {
        if matches!(job.work, Work::CleanUp { .. }) {
            return;
        }
        for &number in &job.outputs {
            self.tables.forget(number);
            let _not_written_or_an_orphan = self.fs.remove(&FileName::Table(number).to_string());
        }
    }

    /// Makes a job's result part of the store.
    fn install_result(&mut self, job: &Job, result: &JobResult, names: Names) -> Result<()> {
        let edit = job.edit(result)?;
        self.maintenance.job_ended(job.id());
        self.counters.entries_dropped.add(result.entries_dropped);
        match &job.work {
            Work::Compact { .. } => {
                self.counters.compactions.record(job.bytes(), result.bytes());
                self.install(edit, self.view.sealed.len(), names)
            }
            Work::Flush { .. } => {
                self.counters.flushes.record(0, result.bytes());
                self.install(edit, self.view.sealed.len().saturating_sub(1), names)?;
                self.maintenance.covers.pop_front();
                Ok(())
            }
            Work::CleanUp { .. } => {
                self.cleaned_up();
                self.collect_dropped()
            }
        }
    }
}

pub(super) fn busy(why: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!("writes wait for maintenance: {why}; try again when its job has ended"),
    )
}
