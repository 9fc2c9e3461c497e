//! A job in motion.

use super::{Job, JobResult, Work};
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::base::key::{same_bytes, user_key};
use crate::compaction::Retention;
use crate::env::Fs;
use crate::iter::{InternalIterator, Merging};
use crate::memtable::Memtable;
use crate::sstable::{ReadMode, TableBuilder, TableCache};
use crate::version::{LevelIter, Run, TableMeta};
use std::sync::Arc;

/// A table is cut early where it would overlap so many tables' worth of the level below its own: compacting it
/// further would cost too much at once.
const GRANDPARENT_TABLES: u64 = 10;

/// A job in motion: call [`Runner::step`] until it gives the result.
#[derive(Debug)]
pub struct Runner<F: Fs> {
    // Fixed at the start.
    fs: Arc<F>,
    job: Job,
    // Moved by `step`.
    source: Merging<Run<F>>,
    started: bool,
    retention: Retention,
    output: Option<TableBuilder<F::File>>,
    /// How many of the reserved numbers are in use.
    used: usize,
    finished: Vec<Arc<TableMeta>>,
    last_user_key: Vec<u8>,
    grandparents: Grandparents,
}

/// What a slice has done.
#[derive(Debug)]
pub struct Step {
    /// Bytes of entries that were read.
    pub bytes: u64,
    /// The result, when the job is done.
    pub result: Option<JobResult>,
}

/// The tables of the level below the output, and how much of them the current output overlaps.
#[derive(Debug)]
struct Grandparents {
    tables: Vec<Arc<TableMeta>>,
    at: usize,
    overlapped: u64,
}

impl<F: Fs> Runner<F> {
    /// Starts a flush of `memtable`.
    pub fn flush(fs: Arc<F>, job: Job, memtable: &Arc<Memtable>) -> Self {
        let retention = Retention::new(job.snapshots.clone(), None);
        Self::new(fs, job, vec![Run::Memtable(memtable.iter())], retention, Vec::new())
    }

    /// Starts a compaction of the plan's tables.
    ///
    /// # Errors
    ///
    /// Those of opening the tables.
    pub fn compact(fs: Arc<F>, job: Job, tables: &Arc<TableCache<F>>) -> Result<Self> {
        let Work::Compact { plan, deeper } = &job.work else {
            return Err(Error::bug("a job that is no compaction was given tables to merge"));
        };
        let mut runs = Vec::new();
        let mut levels: Vec<(usize, Vec<Arc<TableMeta>>)> = Vec::new();
        for (level, table) in &plan.inputs {
            if *level == 0 {
                runs.push(Run::Table(
                    tables.table(table.number)?.iter(tables.blocks(), ReadMode::Sequential),
                ));
            } else if let Some((_, run)) = levels.iter_mut().find(|(known, _)| known == level) {
                run.push(Arc::clone(table));
            } else {
                levels.push((*level, vec![Arc::clone(table)]));
            }
        }
        for (_, run) in levels {
            runs.push(Run::Level(LevelIter::new(run, Arc::clone(tables), ReadMode::Sequential)));
        }
        let retention = Retention::new(job.snapshots.clone(), Some(deeper.clone()))
            .without_buckets(job.dropped_buckets.clone());
        let grandparents = deeper.first().cloned().unwrap_or_default();
        Ok(Self::new(fs, job, runs, retention, grandparents))
    }

    fn new(
        fs: Arc<F>,
        job: Job,
        runs: Vec<Run<F>>,
        retention: Retention,
        grandparents: Vec<Arc<TableMeta>>,
    ) -> Self {
        Self {
            fs,
            job,
            source: Merging::new(runs),
            started: false,
            retention,
            output: None,
            used: 0,
            finished: Vec::new(),
            last_user_key: Vec::new(),
            grandparents: Grandparents { tables: grandparents, at: 0, overlapped: 0 },
        }
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Works for about `budget` bytes of entries.
    ///
    /// # Errors
    ///
    /// Those of the files. The job must then be given up; see [`Runner::abandon`].
    pub fn step(&mut self, budget: u64) -> Result<Step> {
        if !self.started {
            self.source.seek_to_first()?;
            self.started = true;
        }
        let mut bytes = 0;
        while self.source.valid() {
            if bytes >= budget {
                return Ok(Step { bytes, result: None });
            }
            bytes += (self.source.key().len() + self.source.value().len()) as u64;
            if self.retention.keeps(self.source.key()) {
                self.keep()?;
            }
            self.source.next()?;
        }
        Ok(Step { bytes, result: Some(self.finish()?) })
    }

    /// Removes what the job has written so far. What cannot be removed is found as an orphan at the next open.
    pub fn abandon(self) {
        let Self { fs, job, output, used, .. } = self;
        drop(output);
        for &number in job.outputs.iter().take(used) {
            let _left_as_an_orphan = fs.remove(&FileName::Table(number).to_string());
        }
    }

    /// Adds the current entry to the output.
    fn keep(&mut self) -> Result<()> {
        let user = user_key(self.source.key());
        // All versions of a key stay in one table: tables of a level must not overlap.
        if self.output.is_some() && !same_bytes(user, &self.last_user_key) && self.should_cut() {
            self.finish_table()?;
        }
        let user = user_key(self.source.key());
        self.grandparents.pass(user);
        self.last_user_key.clear();
        self.last_user_key.extend_from_slice(user);
        let output = match &mut self.output {
            Some(output) => output,
            None => self.output.insert(next_output(&self.fs, &self.job, &mut self.used)?),
        };
        output.add(self.source.key(), self.source.value())
    }

    fn should_cut(&self) -> bool {
        let Some(output) = &self.output else { return false };
        // The last reserved number takes all that is left.
        if self.used == self.job.outputs.len() || matches!(self.job.work, Work::Flush { .. }) {
            return false;
        }
        let too_wide = self.grandparents.overlapped > GRANDPARENT_TABLES.saturating_mul(self.job.table_bytes);
        output.estimated_bytes() >= self.job.table_bytes || too_wide
    }

    fn finish_table(&mut self) -> Result<()> {
        if let Some(output) = self.output.take() {
            let number = self.used.checked_sub(1).and_then(|at| self.job.outputs.get(at)).copied();
            let number = number.ok_or_else(|| Error::bug("a table without a reserved number"))?;
            let (size, properties) = output.finish()?;
            self.finished.push(Arc::new(TableMeta::new(number, size, properties)));
        }
        self.grandparents.overlapped = 0;
        Ok(())
    }

    fn finish(&mut self) -> Result<JobResult> {
        self.finish_table()?;
        Ok(JobResult {
            id: self.job.id(),
            job: self.job.digest(),
            tables: std::mem::take(&mut self.finished),
            entries_dropped: self.retention.dropped(),
            unsynced: None,
        })
    }
}

fn next_output<F: Fs>(fs: &Arc<F>, job: &Job, used: &mut usize) -> Result<TableBuilder<F::File>> {
    let number =
        *job.outputs.get(*used).ok_or_else(|| Error::bug("a job has used up its reserved numbers"))?;
    let file = fs.create(&FileName::Table(number).to_string())?;
    *used += 1;
    Ok(TableBuilder::new(file, job.options))
}

impl Grandparents {
    /// Counts the tables that end before `user`.
    fn pass(&mut self, user: &[u8]) {
        while let Some(table) = self.tables.get(self.at).filter(|table| table.last_key() < user) {
            self.overlapped += table.size;
            self.at += 1;
        }
    }
}
