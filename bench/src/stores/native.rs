//! Esker's engine compiled for this machine, without a sandbox: the same code over plain files, as the measure of what
//! the sandbox costs.
//!
//! The engine has one owner at a time, so its calls take turns. A thread runs its jobs beside it, as the host's worker
//! does, in slices, and what is urgent between them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use esker_engine::env::{StdClock, StdFs};
use esker_engine::job::Step;
use esker_engine::{
    Batch, Compression, Db, Durability, ErrorKind, Job, JobResult, KeyRange, Kinds, Options, RunningJob,
    ScanOptions,
};

use super::{BLOCK_BYTES, BLOOM_BITS, Config, Each, Key, Kind, Scan, Session, Store, locked};

pub const KIND: Kind = Kind { name: "native", lz4: true, version, open };

fn version() -> String {
    locked("esker-engine").to_owned()
}

/// How much a slice of a compaction reads, in bytes, as in the host's workers.
const SLICE_BYTES: u64 = 1 << 20;
/// The memory that a job has for open tables, in bytes.
const JOB_CACHE_BYTES: u64 = 8 << 20;
/// How long the thread waits before it looks for jobs again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// After so many looks at an idle store it looks more seldom, or the store would never seem to be at rest.
const IDLE_LOOKS: u32 = 25;
const LOOK_SELDOM: Duration = Duration::from_millis(50);

/// How a store is opened: as the component is told.
pub fn options(config: &Config) -> Options {
    Options {
        memory_bytes: config.cache_bytes + 4 * config.write_buffer_bytes.max(8 << 20),
        memtable_bytes: Some(config.write_buffer_bytes),
        cache_bytes: Some(config.cache_bytes),
        bloom_bits: BLOOM_BITS,
        block_bytes: BLOCK_BYTES,
        compression: if config.lz4 { Compression::Lz4 } else { Compression::None },
        ..Options::default()
    }
}

fn open(dir: &Path, config: &Config) -> Result<Box<dyn Store>> {
    Ok(Box::new(Native::open(dir, config)?))
}

type NativeDb = Db<StdFs, StdClock>;

/// The open engine.
pub struct Native {
    shared: Arc<Shared>,
    durability: Durability,
    worker: Option<JoinHandle<()>>,
}

struct Shared {
    db: Mutex<NativeDb>,
    /// A job has come back: a write that had to wait may go on.
    done: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn turn(&self) -> MutexGuard<'_, NativeDb> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes, and waits for the worker while the engine says that it is behind.
    fn write(&self, write: impl Fn(&mut NativeDb) -> esker_engine::Result<u64>) -> Result<()> {
        let mut db = self.turn();
        loop {
            match write(&mut db) {
                Err(error) if *error.kind() == ErrorKind::Busy => {
                    let (turn, _) =
                        self.done.wait_timeout(db, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner);
                    db = turn;
                }
                written => return written.map(drop).context("write"),
            }
        }
    }
}

impl Native {
    /// Opens the store in `dir`.
    pub fn open(dir: &Path, config: &Config) -> Result<Self> {
        let mut db = Db::open(StdFs::new(dir), StdClock::default(), options(config))?;
        db.set_helped(config.workers > 0);
        let shared = Shared { db: Mutex::new(db), done: Condvar::new(), stop: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        let worker = (config.workers > 0).then(|| {
            let (shared, fs) = (Arc::clone(&shared), Arc::new(StdFs::new(dir)));
            thread::spawn(move || Worker { shared, fs, compaction: None }.run())
        });
        let durability = if config.synced { Durability::Synced } else { Durability::Buffered };
        Ok(Self { shared, durability, worker })
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            // A panic there has been printed, and the run goes on without this store.
            let _ = worker.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    fs: Arc<StdFs>,
    compaction: Option<(Job, RunningJob<StdFs>)>,
}

impl Worker {
    fn run(&mut self) {
        let mut idle_looks = 0;
        while !self.shared.stop.load(Ordering::Relaxed) {
            match self.round() {
                Ok(true) => idle_looks = 0,
                Ok(false) => {
                    idle_looks += 1;
                    thread::sleep(if idle_looks < IDLE_LOOKS { LOOK_AGAIN } else { LOOK_SELDOM });
                }
                Err(error) => {
                    eprintln!("native: a job has failed: {error}");
                    return;
                }
            }
        }
    }

    /// Does what is urgent, else a slice of a compaction. Whether there was anything to do.
    fn round(&mut self) -> esker_engine::Result<bool> {
        let urgent = Kinds { flush: true, compaction: false, clean_up: true };
        let job = self.shared.turn().take_job(urgent)?;
        if let Some(job) = job {
            let result = esker_engine::job::run(Arc::clone(&self.fs), job, JOB_CACHE_BYTES)?;
            return self.finish(&result).map(|()| true);
        }
        let Some((job, mut running)) = self.compaction.take() else {
            let compaction = Kinds { flush: false, compaction: true, clean_up: false };
            let Some(job) = self.shared.turn().take_job(compaction)? else { return Ok(false) };
            let running = RunningJob::start(Arc::clone(&self.fs), job.clone(), JOB_CACHE_BYTES)?;
            self.compaction = Some((job, running));
            return Ok(true);
        };
        match running.step(SLICE_BYTES)? {
            Step { result: Some(result), .. } => self.finish(&result)?,
            Step { result: None, .. } => self.compaction = Some((job, running)),
        }
        Ok(true)
    }

    fn finish(&self, result: &JobResult) -> esker_engine::Result<()> {
        let finished = self.shared.turn().finish_job(result);
        self.shared.done.notify_all();
        finished
    }
}

impl Store for Native {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Open { native: self, batch: Batch::new() }))
    }

    fn flush(&self) -> Result<()> {
        self.shared.write(|db| db.flush().map(|()| 0))?;
        // As a host does after a second without writes.
        self.shared.write(|db| db.rest(0).map(u64::from))
    }
}

struct Open<'a> {
    native: &'a Native,
    batch: Batch,
}

impl Session for Open<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.native.shared.write(|db| db.put(key, value, self.native.durability))
    }

    fn put_batch(&mut self, pairs: &[(Key, &[u8])]) -> Result<()> {
        self.batch.clear();
        for (key, value) in pairs {
            self.batch.put(key, value);
        }
        self.native.shared.write(|db| db.write(&self.batch, self.native.durability))
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.native.shared.write(|db| db.delete(key, self.native.durability))
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.native.shared.turn().get(key)?;
        Ok(value.map(|value| read(&value)).is_some())
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut Each<'_>) -> Result<()> {
        let range = match scan {
            Scan::From(key, _) => KeyRange { start: Some(key.to_vec()), end: None },
            Scan::All | Scan::Reverse => KeyRange::all(),
        };
        let reverse = matches!(scan, Scan::Reverse);
        let options = ScanOptions { reverse, ..ScanOptions::default() };
        // A cursor pins what it reads, so others can have their turn meanwhile.
        let mut cursor = self.native.shared.turn().scan(range, options)?;
        while let Some((key, value)) = cursor.next()? {
            if !each(key, value) {
                break;
            }
        }
        Ok(())
    }
}
