//! Upkeep: slices of maintenance, full compactions, and workers that take jobs away and bring them back.

use esker_engine::{ErrorKind, Kinds, Progress, Result};

use super::{Driver, round};
use crate::platform::{Platform, Store, Worker};

/// A job that a worker has.
pub(super) struct TakenJob {
    job: Vec<u8>,
    result: Option<Vec<u8>>,
    /// Nobody waits for it any more, and its worker does not know: the store has given it up, or its primary is gone.
    lost: bool,
    /// A worker has died of it. The next one finds what it has left.
    attempted: bool,
    /// The test itself has it.
    lent: bool,
}

impl TakenJob {
    fn new(job: Vec<u8>) -> Self {
        Self { job, result: None, lost: false, attempted: false, lent: false }
    }
}

/// With this much patience a call that does a slice of work comes to an end.
const SLICES_MAX: usize = 100_000;
/// So many jobs that nobody waits for are kept.
const LOST_JOBS_MAX: usize = 6;

impl<P: Platform> Driver<P> {
    /// Makes a call, and does what it waits for as long as it is refused as busy.
    pub(super) fn patiently<T>(&mut self, call: impl Fn(&mut P::Store) -> Result<T>) -> Result<T> {
        for _ in 0..SLICES_MAX {
            match call(self.store()) {
                Err(error) if error.kind() == &ErrorKind::Busy => {
                    assert!(
                        self.waits_for_worker(),
                        "a store waits for a worker, and none has a job: {error}"
                    );
                    if self.next_job().is_none() {
                        return Err(error);
                    }
                    self.end_jobs()?;
                }
                answer => return answer,
            }
        }
        panic!("{SLICES_MAX} rounds of work have not made room: {:?}", self.store().pressure());
    }

    pub(super) fn maintain(&mut self, budget_bytes: u64) -> Result<Progress> {
        let progress = self.store().maintain(budget_bytes)?;
        if !progress.more && !self.waits_for_worker() {
            let pressure = self.store().pressure()?;
            let idle = !pressure.stalled && pressure.sealed_memtables == 0;
            assert!(idle, "nothing is left to do, yet {pressure:?}");
        }
        Ok(progress)
    }

    pub(super) fn compact_all(&mut self) -> Result<()> {
        // The first may only end one that began before the last writes.
        self.compact_to_the_end()?;
        self.compact_to_the_end()?;
        // What was dropped goes by maintenance, which forgets the drop by a write: that is to be compacted as well.
        loop {
            let before = self.journal.sequence();
            self.repeat_to_the_end(|store| store.maintain(100_000))?;
            self.see_forgotten(!self.hurt)?;
            if self.journal.sequence() == before {
                return self.check_compacted();
            }
            self.compact_to_the_end()?;
        }
    }

    fn compact_to_the_end(&mut self) -> Result<()> {
        self.repeat_to_the_end(|store| store.compact(100_000))
    }

    fn repeat_to_the_end(&mut self, slice: impl Fn(&mut P::Store) -> Result<Progress>) -> Result<()> {
        for _ in 0..SLICES_MAX {
            if !self.patiently(&slice)?.more {
                return Ok(());
            }
            self.end_jobs()?;
        }
        panic!("{SLICES_MAX} slices have not come to an end: {:?}", self.store().pressure());
    }

    /// Without snapshots, a compacted store holds one entry for each key, no tombstone, and nothing of dropped buckets
    /// but for what a worker still has.
    fn check_compacted(&mut self) -> Result<()> {
        if self.snapshots.is_empty() {
            self.check_files()?;
            let found = self.store().verify()?;
            let dropped = self.journal.dropped_buckets();
            assert!(dropped == 0 || self.waits_for_worker(), "{dropped} dropped buckets still take room");
            let expected = self.journal.live().len() + self.journal.catalogue_entries();
            assert_eq!(found.entries, expected, "entries after a full compaction");
        }
        Ok(())
    }

    /// Does something with a job, counted round, if there is one.
    pub(super) fn with_job(
        &mut self,
        job: usize,
        act: impl FnOnce(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        round(job, self.jobs.len()).map_or(Ok(()), |index| act(self, index))
    }

    pub(super) fn take_job(&mut self, kinds: Kinds) -> Result<()> {
        if let Some(job) = self.store().take_job(kinds)? {
            self.jobs.push(TakenJob::new(job));
        }
        Ok(())
    }

    /// Takes a job for the test to run, which must bring it back. Calls that wait for it are refused as busy.
    pub fn lend_job(&mut self, kinds: Kinds) -> Result<Option<Vec<u8>>> {
        let job = self.store().take_job(kinds)?;
        self.jobs.extend(job.iter().map(|job| TakenJob { lent: true, ..TakenJob::new(job.clone()) }));
        Ok(job)
    }

    /// Brings a lent job back. If its primary still waits for it, it must have succeeded; else it must be refused.
    pub fn return_job(&mut self, outcome: Result<Vec<u8>>) -> Result<()> {
        let Some(index) = self.jobs.iter().position(|taken| taken.lent) else {
            return Ok(());
        };
        match outcome {
            Ok(result) => {
                self.jobs[index].result = Some(result);
                let done = self.finish_job(index);
                self.then_see_forgotten(done)
            }
            Err(error) => {
                let taken = self.jobs.remove(index);
                assert!(taken.lost, "a worker whose primary waits for it is disturbed: {error}");
                Ok(())
            }
        }
    }

    /// How many workers have died of their jobs since this was last asked.
    pub fn take_workers_died(&mut self) -> u64 {
        std::mem::take(&mut self.workers_died)
    }

    /// Runs a job in a worker. One that fails is given up; the files of one that nobody waits for may be gone.
    pub(super) fn run_job(&mut self, index: usize, worker: Worker) -> Result<()> {
        let taken = &mut self.jobs[index];
        if taken.result.is_some() || taken.lent {
            return Ok(());
        }
        match self.platform.run_job(&taken.job, worker) {
            Ok(result) => taken.result = Some(result),
            Err(_) if worker.dies_at.is_some() => {
                taken.attempted = true;
                self.workers_died += 1;
            }
            Err(_) if taken.lost => drop(self.jobs.remove(index)),
            Err(error) if error.kind() == &ErrorKind::Busy => {
                let taken = self.jobs.remove(index);
                self.store().abandon_job(&taken.job, None)?;
            }
            Err(error) => {
                let taken = self.jobs.remove(index);
                self.store().abandon_job(&taken.job, Some(error.message()))?;
                // A second worker does not mend what the first has left.
                if !taken.attempted {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish_job(&mut self, index: usize) -> Result<()> {
        let Some(result) = self.jobs[index].result.clone() else { return Ok(()) };
        let taken = self.jobs.remove(index);
        match self.store().finish_job(&result) {
            Err(error) if taken.lost && error.kind() == &ErrorKind::InvalidArgument => Ok(()),
            Ok(()) if taken.lost => panic!("the result of a job that nobody waits for is taken"),
            answer => answer,
        }
    }

    pub(super) fn abandon_job(&mut self, index: usize) -> Result<()> {
        let taken = &mut self.jobs[index];
        if taken.lost {
            return Ok(());
        }
        taken.lost = true;
        let job = taken.job.clone();
        self.store().abandon_job(&job, None)
    }

    /// Lets the workers run and bring back what they have.
    pub(super) fn end_jobs(&mut self) -> Result<()> {
        while let Some(index) = self.next_job() {
            let jobs = self.jobs.len();
            self.run_job(index, Worker::WELL)?;
            if self.jobs.len() == jobs {
                self.finish_job(index)?;
            }
        }
        Ok(())
    }

    /// The oldest job that the primary waits for and a worker can end.
    fn next_job(&self) -> Option<usize> {
        self.jobs.iter().position(|taken| !taken.lost && !taken.lent)
    }

    /// The primary is gone; its workers know nothing of that.
    pub(super) fn lose_jobs(&mut self) {
        self.jobs.iter_mut().for_each(|taken| taken.lost = true);
        let surplus = self.jobs.len().saturating_sub(LOST_JOBS_MAX);
        self.jobs.drain(..surplus);
    }

    fn waits_for_worker(&self) -> bool {
        self.jobs.iter().any(|taken| !taken.lost)
    }
}
