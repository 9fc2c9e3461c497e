//! A job in a worker: from the files alone, by somebody who has no store.

use super::{Job, JobResult, Runner, Step, Work};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::file_name::FileName;
use crate::base::options::RecoveryMode;
use crate::env::{File, Fs};
use crate::memtable::Memtable;
use crate::sstable::TableCache;
use crate::wal::Replay;
use std::sync::Arc;

/// A job that a worker has begun: call [`RunningJob::step`] until it gives the result, or [`RunningJob::abandon`].
#[derive(Debug)]
pub struct RunningJob<F: Fs> {
    fs: Arc<F>,
    work: Started<F>,
}

#[derive(Debug)]
enum Started<F: Fs> {
    Merge(Box<Runner<F>>),
    CleanUp { id: u64, epoch: u64, remove: Vec<FileName> },
}

impl<F: Fs> RunningJob<F> {
    /// Begins a job. `cache_bytes` is the memory for open tables.
    ///
    /// # Errors
    ///
    /// Those of the files, and `Corrupt` where an input is damaged.
    pub fn start(fs: Arc<F>, job: Job, cache_bytes: u64) -> Result<Self> {
        let work = match &job.work {
            Work::Flush { segments, after, flushed, .. } => {
                let memtable = replay(&fs, segments.clone(), *after, *flushed)?;
                Started::Merge(Box::new(Runner::flush(Arc::clone(&fs), job, &memtable)))
            }
            Work::Compact { .. } => {
                let tables = Arc::new(TableCache::new(Arc::clone(&fs), cache_bytes));
                Started::Merge(Box::new(Runner::compact(Arc::clone(&fs), job, &tables)?))
            }
            Work::CleanUp { epoch, remove } => {
                Started::CleanUp { id: job.id(), epoch: *epoch, remove: remove.clone() }
            }
        };
        Ok(Self { fs, work })
    }

    /// Works for about `budget` bytes of entries. The result comes when the tables and their names are durable.
    ///
    /// # Errors
    ///
    /// Those of the files. The job must then be given up.
    pub fn step(&mut self, budget: u64) -> Result<Step> {
        match &mut self.work {
            Started::Merge(runner) => {
                let mut step = runner.step(budget)?;
                if let Some(result) = &mut step.result {
                    result.unsynced = self.fs.sync_dir().err().map(|error| error.to_string());
                }
                Ok(step)
            }
            Started::CleanUp { id, epoch, remove } => {
                Ok(Step { bytes: 0, result: Some(clean_up(&*self.fs, *id, *epoch, remove)?) })
            }
        }
    }

    /// Gives the job up, and removes what it has written so far.
    pub fn abandon(self) {
        if let Started::Merge(runner) = self.work {
            runner.abandon();
        }
    }
}

/// Runs a job at once, as [`RunningJob::start`] and one step without end.
///
/// # Errors
///
/// Those of the files, and `Corrupt` where an input is damaged. What was written is removed.
pub fn run<F: Fs>(fs: Arc<F>, job: Job, cache_bytes: u64) -> Result<JobResult> {
    let mut running = RunningJob::start(fs, job, cache_bytes)?;
    match running.step(u64::MAX) {
        Ok(Step { result: Some(result), .. }) => Ok(result),
        Ok(Step { result: None, .. }) => Err(Error::bug("a job has not ended within an unlimited slice")),
        Err(error) => {
            running.abandon();
            Err(error)
        }
    }
}

/// Makes the manifest durable, which another handle has written, and only then removes what it no longer needs.
fn clean_up<F: Fs>(fs: &F, id: u64, epoch: u64, remove: &[FileName]) -> Result<JobResult> {
    let mut manifest = fs.open(&FileName::Manifest(epoch).to_string())?;
    let unsynced = manifest.sync().err().map(|error| error.to_string());
    if unsynced.is_none() {
        for name in remove {
            match fs.remove(&name.to_string()) {
                Err(error) if *error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(JobResult { id, tables: Vec::new(), entries_dropped: 0, unsynced })
}

/// The memtable that these sealed segments hold. They must be whole: nobody recovers them here.
fn replay<F: Fs>(fs: &Arc<F>, segments: Vec<u64>, after: u64, flushed: u64) -> Result<Arc<Memtable>> {
    let first = segments.first().copied().unwrap_or(0);
    let memtable = Arc::new(Memtable::new());
    let mut replay = Replay::new(Arc::clone(fs), segments, after, RecoveryMode::Absolute);
    let mut last = after;
    while replay.advance()? {
        let (header, batch) = replay.record();
        memtable.apply(header.sequence, batch);
        last = header.last();
    }
    if last != flushed {
        let message =
            format!("the memtable's segments from here on end at sequence number {last}, not at {flushed}");
        return Err(Error::corrupt(FileName::Wal(first).to_string(), 0, message));
    }
    Ok(memtable)
}
