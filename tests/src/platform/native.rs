//! The engine itself, on any file system.

use std::sync::Arc;

use esker_engine::env::{Effect, Fault, FaultFs, File, Fs, ManualClock};
use esker_engine::{
    Batch, Bucket, Catalogue, Checkpoint, Condition, ConditionalWrite, Db, Durability, Error, ErrorKind, Job,
    JobResult, Key, KeyRange, Kinds, Options, Pressure, Progress, Result, RunningJob, ScanOptions, Snapshot,
    Verification,
};

use esker_engine::job::Step;

use super::{Cursor, Entry, Platform, Reader, Store, Worker};

/// The memory that a worker has for open tables.
const WORKER_BYTES: u64 = 100_000;

impl<F: Fs + Clone> Platform for F {
    type Store = Db<F, ManualClock>;
    type Reader = esker_engine::Reader<F>;

    fn open_store(&self, clock: &ManualClock, options: &Options) -> Result<Self::Store> {
        Db::open(self.clone(), clock.clone(), options.clone())
    }

    fn open_reader(&self, options: &Options) -> Result<Self::Reader> {
        esker_engine::Reader::open(self.clone(), options)
    }

    fn read_file(&self, name: &str, bytes: u64) -> Result<Vec<u8>> {
        read_file(self, name, bytes)
    }

    fn run_job(&self, job: &[u8], worker: Worker) -> Result<Vec<u8>> {
        let fs = FaultFs::new(self.clone());
        if let Some(call) = worker.dies_at {
            fs.arm(Fault::lasting(Effect::Io, call));
        }
        let outcome = run(&fs, job, worker.slice_bytes);
        match fs.struck() {
            0 => outcome,
            _ => Err(Error::new(ErrorKind::Io, "the worker has died, and brings nothing back")),
        }
    }
}

/// The first bytes of a file, so many.
pub(crate) fn read_file<F: Fs>(fs: &F, name: &str, bytes: u64) -> Result<Vec<u8>> {
    let mut content = vec![0; usize::try_from(bytes).expect("the tests' files are small")];
    let read = fs.open(name)?.read_at(0, &mut content)?;
    content.truncate(read);
    Ok(content)
}

fn run<F: Fs + Clone>(fs: &FaultFs<F>, job: &[u8], slice_bytes: u64) -> Result<Vec<u8>> {
    let mut job = RunningJob::start(Arc::new(fs.clone()), Job::decode(job)?, WORKER_BYTES)?;
    loop {
        match job.step(slice_bytes) {
            Ok(Step { result: Some(result), .. }) => return Ok(result.encode()),
            Ok(Step { result: None, .. }) => {}
            Err(error) => {
                job.abandon();
                return Err(error);
            }
        }
    }
}

fn list(catalogue: &Catalogue) -> Result<Vec<(Bucket, String)>> {
    Ok(catalogue.buckets()?.map(|(bucket, name)| (bucket, name.to_owned())).collect())
}

impl<F: Fs + Clone> Store for Db<F, ManualClock> {
    type Snapshot = Snapshot;
    type Cursor = esker_engine::Cursor<F>;

    fn put(&mut self, key: Key<'_>, value: &[u8], durability: Durability) -> Result<u64> {
        Db::put(self, key, value, durability)
    }

    fn delete(&mut self, key: Key<'_>, durability: Durability) -> Result<u64> {
        Db::delete(self, key, durability)
    }

    fn write(&mut self, batch: &Batch, durability: Durability) -> Result<u64> {
        Db::write(self, batch, durability)
    }

    fn write_if(
        &mut self,
        batch: &Batch,
        conditions: &[Condition<'_>],
        durability: Durability,
    ) -> Result<ConditionalWrite> {
        Db::write_if(self, batch, conditions, durability)
    }

    fn increment(&mut self, key: Key<'_>, delta: i64, durability: Durability) -> Result<(i64, u64)> {
        Db::increment(self, key, delta, durability)
    }

    fn create_bucket(&mut self, name: &str) -> Result<Bucket> {
        Db::create_bucket(self, name)
    }

    fn drop_bucket(&mut self, name: &str) -> Result<bool> {
        Db::drop_bucket(self, name)
    }

    fn buckets(&mut self, at: Option<&Snapshot>) -> Result<Vec<(Bucket, String)>> {
        match at {
            Some(snapshot) => list(&self.buckets_at(snapshot)?),
            None => list(Db::buckets(self)),
        }
    }

    fn bucket(&mut self, name: &str, at: Option<&Snapshot>) -> Result<Option<Bucket>> {
        match at {
            Some(snapshot) => self.buckets_at(snapshot)?.bucket(name),
            None => Db::buckets(self).bucket(name),
        }
    }

    fn get(&mut self, key: Key<'_>, at: Option<&Snapshot>) -> Result<Option<Vec<u8>>> {
        match at {
            Some(snapshot) => self.get_at(snapshot, key),
            None => Db::get(self, key),
        }
    }

    fn get_with_sequence(&mut self, key: Key<'_>) -> Result<Option<(Vec<u8>, u64)>> {
        Db::get_with_sequence(self, key)
    }

    fn get_many(&mut self, bucket: Bucket, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        Db::get_many(self, bucket, keys)
    }

    fn contains(&mut self, key: Key<'_>) -> Result<bool> {
        Db::contains(self, key)
    }

    fn scan(
        &mut self,
        range: &KeyRange,
        options: ScanOptions,
        at: Option<&Snapshot>,
    ) -> Result<Self::Cursor> {
        match at {
            Some(snapshot) => self.scan_at(snapshot, range.clone(), options),
            None => Db::scan(self, range.clone(), options),
        }
    }

    fn snapshot(&mut self) -> Result<(Snapshot, u64)> {
        let snapshot = Db::snapshot(self);
        let sequence = snapshot.sequence();
        Ok((snapshot, sequence))
    }

    fn sync(&mut self) -> Result<()> {
        Db::sync(self)
    }

    fn flush_deferred(&mut self) -> Result<()> {
        Db::flush_deferred(self)
    }

    fn close(&mut self) -> Result<()> {
        Db::close(self)
    }

    fn maintain(&mut self, budget_bytes: u64) -> Result<Progress> {
        Db::maintain(self, budget_bytes)
    }

    fn rest(&mut self, min_bytes: u64) -> Result<bool> {
        Db::rest(self, min_bytes)
    }

    fn compact(&mut self, budget_bytes: u64) -> Result<Progress> {
        Db::compact(self, budget_bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Db::flush(self)
    }

    fn pressure(&mut self) -> Result<Pressure> {
        Ok(Db::pressure(self))
    }

    fn set_helped(&mut self, helped: bool) -> Result<()> {
        Db::set_helped(self, helped);
        Ok(())
    }

    fn take_job(&mut self, kinds: Kinds) -> Result<Option<Vec<u8>>> {
        Ok(Db::take_job(self, kinds)?.map(|job| job.encode()))
    }

    fn finish_job(&mut self, result: &[u8]) -> Result<()> {
        Db::finish_job(self, &JobResult::decode(result)?)
    }

    fn abandon_job(&mut self, job: &[u8], reason: Option<&str>) -> Result<()> {
        let reason = reason.map(|reason| Error::new(ErrorKind::Io, reason));
        Db::abandon_job(self, Job::decode(job)?.id(), reason)
    }

    fn verify(&mut self) -> Result<Verification> {
        Db::verify(self)
    }

    fn stats(&mut self) -> Result<String> {
        Ok(Db::stats(self).to_json().to_owned())
    }

    fn recovery_report(&mut self) -> Result<String> {
        Ok(Db::recovery_report(self).to_json())
    }
}

impl<F: Fs + Clone> Reader for esker_engine::Reader<F> {
    type Cursor = esker_engine::Cursor<F>;

    fn catch_up(&mut self) -> Result<u64> {
        esker_engine::Reader::catch_up(self)
    }

    fn buckets(&mut self) -> Result<Vec<(Bucket, String)>> {
        list(esker_engine::Reader::buckets(self))
    }

    fn get(&mut self, key: Key<'_>) -> Result<Option<Vec<u8>>> {
        esker_engine::Reader::get(self, key)
    }

    fn scan(&mut self, range: &KeyRange, options: ScanOptions) -> Result<Self::Cursor> {
        esker_engine::Reader::scan(self, range.clone(), options)
    }

    fn checkpoint(&mut self) -> Result<Checkpoint> {
        Ok(esker_engine::Reader::checkpoint(self))
    }
}

impl<F: Fs> Cursor for esker_engine::Cursor<F> {
    fn next_entries(&mut self, count: usize) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        while entries.len() < count
            && let Some((key, value)) = self.next()?
        {
            entries.push((key.to_vec(), value.to_vec()));
        }
        Ok(entries)
    }
}
