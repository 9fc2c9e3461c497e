//! Upkeep: slices of maintenance, full compactions, and workers that take jobs away and bring them back.

use std::sync::Arc;

use esker_engine::env::{Fs, ManualClock};
use esker_engine::{Db, ErrorKind, Job, JobResult, Kinds, Progress, Result, job};

use super::{Driver, round};

/// A job that a worker has.
pub(super) struct TakenJob {
    job: Job,
    result: Option<JobResult>,
    /// The store has given it up, and its worker does not know.
    abandoned: bool,
}

/// With this much patience a call that does a slice of work comes to an end.
const SLICES_MAX: usize = 100_000;

impl<F: Fs + Clone> Driver<F> {
    /// Makes a call, and does what it waits for as long as it is refused as busy.
    pub(super) fn patiently<T>(&mut self, call: impl Fn(&mut Db<F, ManualClock>) -> Result<T>) -> Result<T> {
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

    pub(super) fn maintain(&mut self, budget_bytes: u64) -> Result<Progress> {
        let progress = self.db().maintain(budget_bytes)?;
        if !progress.more && self.jobs.is_empty() {
            let pressure = self.db().pressure();
            let idle = !pressure.stalled && pressure.sealed_memtables == 0;
            assert!(idle, "nothing is left to do, yet {pressure:?}");
        }
        Ok(progress)
    }

    pub(super) fn compact_all(&mut self) -> Result<()> {
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
            self.check_files()?;
            let found = self.db().verify()?;
            assert_eq!(found.entries, self.journal.live().len() as u64, "entries after a full compaction");
        }
        Ok(())
    }

    pub(super) fn take_job(&mut self) -> Result<Option<usize>> {
        let Some(job) = self.db().take_job(Kinds::ALL)? else { return Ok(None) };
        // It reaches its worker as bytes.
        let job = Job::decode(&job.encode())?;
        self.jobs.push(TakenJob { job, result: None, abandoned: false });
        Ok(Some(self.jobs.len() - 1))
    }

    /// Runs a job as a worker does, which has nothing but the files. One that fails is given up; the files of one
    /// that was given up before may be gone.
    pub(super) fn run_job(&mut self, index: usize) -> Result<()> {
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

    pub(super) fn finish_job(&mut self, index: usize) -> Result<()> {
        let Some(result) = self.jobs[index].result.clone() else { return Ok(()) };
        let taken = self.jobs.remove(index);
        match self.db().finish_job(&result) {
            Err(error) if taken.abandoned && error.kind() == &ErrorKind::InvalidArgument => Ok(()),
            Ok(()) if taken.abandoned => panic!("the result of a job that was given up is taken"),
            answer => answer,
        }
    }

    pub(super) fn abandon_job(&mut self, job: usize) -> Result<()> {
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
    pub(super) fn end_jobs(&mut self) -> Result<()> {
        while !self.jobs.is_empty() {
            let jobs = self.jobs.len();
            self.run_job(0)?;
            if self.jobs.len() == jobs {
                self.finish_job(0)?;
            }
        }
        Ok(())
    }
}
