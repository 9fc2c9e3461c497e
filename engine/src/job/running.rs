//! A job in a worker: from the files alone, by somebody who has no store.

use super::{Job, JobResult, Runner, Step, Work};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::file_name::FileName;
use crate::base::options::RecoveryMode;
use crate::env::{File, Fs};
use crate::memtable::Memtable;
use crate::sstable::TableCache;
use crate::version::{Manifest, TableMeta};
use crate::wal::{Replay, Seal};
use std::sync::Arc;

/// A job that a worker has begun: call [`RunningJob::step`] until it gives the result, or [`RunningJob::abandon`].
#[derive(Debug)]
pub struct RunningJob<F: Fs> {
    fs: Arc<F>,
    epoch: u64,
    work: Started<F>,
}

#[derive(Debug)]
enum Started<F: Fs> {
    Merge(Box<Runner<F>>),
    CleanUp { id: u64, job: u64, remove: Vec<FileName> },
}

impl<F: Fs> RunningJob<F> {
    /// Begins a job. `cache_bytes` is the memory for open tables.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where the files are not those that the job was made for: another store's, or of another epoch;
    /// `Corrupt` where an input is damaged; and those of the files. Nothing has been made then.
    pub fn start(fs: Arc<F>, job: Job, cache_bytes: u64) -> Result<Self> {
        let epoch = job.epoch;
        Manifest::check_newest(&*fs, epoch).map_err(refuse)?;
        let work = match &job.work {
            Work::Flush { segments, after, flushed, .. } => {
                let memtable = replay(&fs, segments, *after, *flushed)?;
                Started::Merge(Box::new(Runner::flush(Arc::clone(&fs), job, &memtable)))
            }
            Work::Compact { plan, .. } => {
                let tables = Arc::new(TableCache::new(Arc::clone(&fs), cache_bytes));
                for (_, table) in &plan.inputs {
                    check_there(&*fs, FileName::Table(table.number))?;
                    check_table(&tables, table).map_err(refuse)?;
                }
                Started::Merge(Box::new(Runner::compact(Arc::clone(&fs), job, &tables)?))
            }
            Work::CleanUp { remove } => {
                let remove = remove.clone();
                Started::CleanUp { id: job.id(), job: job.digest(), remove }
            }
        };
        Ok(Self { fs, epoch, work })
    }

    /// Works for about `budget` bytes of entries. The result comes when the tables and their names are durable.
    ///
    /// # Errors
    ///
    /// Those of the files; `InvalidArgument` where another primary has opened the store meanwhile; `Busy` where a table of
    /// this number is there already: the store begins such a job anew with other numbers. The job must then be given up.
    pub fn step(&mut self, budget: u64) -> Result<Step> {
        match &mut self.work {
            Started::Merge(runner) => {
                let mut step = runner.step(budget).map_err(if_taken)?;
                if let Some(result) = &mut step.result {
                    Manifest::check_newest(&*self.fs, self.epoch).map_err(refuse)?;
                    result.unsynced = self.fs.sync_dir().err().map(|error| error.to_string());
                }
                Ok(step)
            }
            Started::CleanUp { id, job, remove } => {
                let unsynced = clean_up(&*self.fs, self.epoch, remove)?;
                let result =
                    JobResult { id: *id, job: *job, tables: Vec::new(), entries_dropped: 0, unsynced };
                Ok(Step { bytes: 0, result: Some(result) })
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
/// As those. What was written is removed.
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

/// Removes what the manifest does not need, which is durable; or, where there is nothing to remove, makes the manifest
/// durable, which another handle has written. Never both: where the primary's own sync of it has failed meanwhile, this
/// one would succeed without having written anything. Returns why the manifest could not be synced, if it could not.
fn clean_up<F: Fs>(fs: &F, epoch: u64, remove: &[FileName]) -> Result<Option<String>> {
    for name in remove {
        match fs.remove(&name.to_string()) {
            Err(error) if *error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if !remove.is_empty() {
        return Ok(None);
    }
    let mut manifest = fs.open(&FileName::Manifest(epoch).to_string())?;
    let unsynced = manifest.sync().err().map(|error| error.to_string());
    Ok(unsynced)
}

/// A number that was taken: by a worker of this job that has died, or by a primary that was replaced and did not notice.
fn if_taken(error: Error) -> Error {
    match error.kind() {
        ErrorKind::AlreadyExists => Error::new(
            ErrorKind::Busy,
            format!("the job has to be begun anew, with another number for its table: {}", error.message()),
        ),
        _ => error,
    }
}

fn refuse(error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidArgument => error.context("the job is refused"),
        _ => error,
    }
}

fn check_there<F: Fs>(fs: &F, file: FileName) -> Result<()> {
    if fs.exists(&file.to_string())? {
        return Ok(());
    }
    Err(refuse(Error::invalid(format!(
        "it reads {file}, which is not there: is this the directory of its store?"
    ))))
}

/// Checks that the file of a table is the one that `expected` describes, by its length and what it says of itself.
///
/// # Errors
///
/// `InvalidArgument` where it is another one, `Corrupt` where it is missing or damaged, and those of the file.
pub fn check_table<F: Fs>(tables: &TableCache<F>, expected: &TableMeta) -> Result<()> {
    let table = tables.table(expected.number)?;
    let found = TableMeta::new(expected.number, table.size(), table.properties().clone());
    if found == *expected {
        return Ok(());
    }
    tables.forget(expected.number);
    Err(Error::invalid(format!(
        "{} has {} bytes, {} entries and digest {:#018x}, where {} bytes, {} entries and digest {:#018x} are \
         expected: it is another table of that name",
        FileName::Table(expected.number),
        found.size,
        found.entries,
        found.digest,
        expected.size,
        expected.entries,
        expected.digest
    )))
}

/// The memtable that these sealed segments hold. They must be whole: nobody recovers them here.
fn replay<F: Fs>(fs: &Arc<F>, seals: &[Seal], after: u64, flushed: u64) -> Result<Arc<Memtable>> {
    let segments: Vec<u64> = seals.iter().map(|seal| seal.number).collect();
    for &segment in &segments {
        check_there(&**fs, FileName::Wal(segment))?;
    }
    let first = segments.first().copied().unwrap_or(0);
    let memtable = Arc::new(Memtable::new());
    let mut replay = Replay::new(Arc::clone(fs), segments, after, RecoveryMode::Absolute);
    let mut last = after;
    while replay.advance()? {
        let (header, batch) = replay.record();
        memtable.apply(header.sequence, batch);
        last = header.last();
    }
    if let Some((expected, found)) = seals.iter().zip(replay.seals()).find(|(seal, found)| seal != found) {
        return Err(refuse(Error::invalid(format!(
            "{} has {} bytes and digest {:#018x}, where {} bytes and digest {:#018x} are expected: it is another \
             segment of that name",
            FileName::Wal(expected.number),
            found.bytes,
            found.digest,
            expected.bytes,
            expected.digest
        ))));
    }
    if last != flushed {
        let message =
            format!("the memtable's segments from here on end at sequence number {last}, not at {flushed}");
        return Err(Error::corrupt(FileName::Wal(first).to_string(), 0, message));
    }
    Ok(memtable)
}
