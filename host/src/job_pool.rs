//! The threads that run a store's flushes and compactions in workers of their own.
//!
//! ```text
//! each thread:  a flush or a clean-up waits ──► do it ──► hand the outcome back
//!               a compaction waits ──► a slice of it, look again, the next slice, ... ──► hand the outcome back
//!               nothing waits ──► look again soon while the store is written to, else sleep until a write
//! ```
//!
//! The primary is free meanwhile. A compaction takes seconds and memtables fill in less: so a worker does what is urgent
//! between its slices, and one worker is enough to keep writes from waiting.
//!
//! Where there is a command for it, flushes and compactions are run by that, each in one go. Clean-ups stay here: they
//! sync what the primary has written, which only this machine can.
//!
//! A worker that traps or fails, or whose answer is no outcome of its job, costs a retry: its job is given up, and the
//! primary begins it again.

use crate::error::{Error, Result};
use crate::job::{Job, JobKind};
use crate::kv_store::Shared;
use crate::options::JobKinds;
use crate::worker::{RunningJob, Worker};
use crate::worker_command::WorkerCommand;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How much a slice of a compaction reads, in bytes: some milliseconds of work.
const SLICE_BYTES: u64 = 1 << 20;
/// What is done at once, also in the middle of a compaction.
const URGENT: JobKinds = JobKinds { flush: true, compaction: false, clean_up: true };
const COMPACTION: JobKinds = JobKinds { flush: false, compaction: true, clean_up: false };
/// How long a thread without a job waits before it looks again, while the store is in use.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// A store that was not written to for so many looks is idle.
const IDLE_LOOKS: u32 = 50;

/// The running threads.
pub struct JobPool {
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
    compacting: Arc<AtomicU32>,
}

impl JobPool {
    /// Starts a thread for each of `workers`; each has its jobs run by `command`, if there is one.
    pub fn start(
        shared: &Arc<Shared>,
        workers: Vec<Worker>,
        command: Option<&WorkerCommand>,
    ) -> Result<Self> {
        shared.turn().instance.set_helped(true)?;
        let pool = Self { threads: Mutex::default(), stop: Arc::default(), compacting: Arc::default() };
        for (number, worker) in workers.into_iter().enumerate() {
            let (shared, stop) = (Arc::clone(shared), Arc::clone(&pool.stop));
            let compacting = Arc::clone(&pool.compacting);
            let (command, name) = (command.cloned(), format!("worker {}", number + 1));
            let mut thread = WorkerThread { shared, worker, command, name, stop, compacting };
            let handle = thread::Builder::new()
                .name("esker-worker".into())
                .spawn(move || thread.run())
                .map_err(|error| Error::Io(format!("start a worker thread: {error}")))?;
            pool.threads.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        }
        Ok(pool)
    }

    /// Ends the threads and waits for them: for a flush each at most, or a while for a command. Compactions that are
    /// under way here are given up.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            thread.thread().unpark();
            // A panic there was a bug in the host; it has said so on standard error, and the store is as it is.
            let _ = thread.join();
        }
    }
}

struct WorkerThread {
    shared: Arc<Shared>,
    worker: Worker,
    command: Option<WorkerCommand>,
    /// What the statistics call it.
    name: String,
    stop: Arc<AtomicBool>,
    /// How many threads have a compaction.
    compacting: Arc<AtomicU32>,
}

/// A compaction that is done in slices.
struct Compaction {
    job: Job,
    running: RunningJob,
}

/// What a look at the primary has given.
enum Found {
    /// A flush or a clean-up: done at once.
    Urgent(Job),
    /// A compaction.
    Compaction(Job),
    /// Nothing, after so many writes.
    Nothing(u64),
    /// The store has ended.
    End,
}

impl WorkerThread {
    fn run(&mut self) {
        let mut compaction = None;
        let mut idle_looks = 0;
        let mut writes_seen = 0;
        while !self.stop.load(Ordering::Relaxed) {
            match self.look(compaction.is_none(), idle_looks >= IDLE_LOOKS) {
                Found::Urgent(job) => {
                    let outcome = self.run_job(&job);
                    self.bring_back(&job, outcome);
                }
                Found::Compaction(job) => compaction = self.start(job),
                Found::Nothing(_) if compaction.is_some() => {}
                Found::Nothing(writes) => {
                    idle_looks = if writes == writes_seen { idle_looks + 1 } else { 0 };
                    writes_seen = writes;
                    if idle_looks <= IDLE_LOOKS {
                        thread::park_timeout(LOOK_AGAIN);
                    } else {
                        self.sleep(writes_seen);
                    }
                    continue;
                }
                Found::End => break,
            }
            idle_looks = 0;
            compaction = compaction.and_then(|compaction| self.step(compaction));
        }
        if let Some(Compaction { job, running }) = compaction {
            self.worker.give_up(running);
            self.shared.stats.job_ended(job.id);
            let _ = self.shared.turn().instance.abandon_job(job.id, None);
        }
    }

    /// Takes the most urgent job that there is; a compaction only if this thread is `free` of one. While the store is
    /// `idle`, all threads may have one.
    fn look(&self, free: bool, idle: bool) -> Found {
        let mut turn = self.shared.turn();
        if !turn.instance.is_usable() {
            return Found::End;
        }
        // An error comes up again at the next write, where somebody can be told.
        if let Ok(Some(job)) = turn.instance.take_job(URGENT) {
            self.shared.stats.job_begun(job.id, &self.place(&job));
            return Found::Urgent(job);
        }
        match turn.instance.pressure() {
            Ok(pressure) if !idle => self.shared.pace.look(&pressure),
            _ => self.shared.pace.idle(),
        }
        let wanted = free && self.compacting.load(Ordering::Relaxed) < self.shared.pace.compacting_max();
        if wanted && let Ok(Some(job)) = turn.instance.take_job(COMPACTION) {
            self.compacting.fetch_add(1, Ordering::Relaxed);
            self.shared.stats.job_begun(job.id, &self.place(&job));
            return Found::Compaction(job);
        }
        Found::Nothing(turn.writes)
    }

    /// Sleeps until there is a write.
    fn sleep(&self, writes_seen: u64) {
        let mut turn = self.shared.turn();
        if turn.writes == writes_seen {
            turn.asleep.push(thread::current());
            drop(turn);
            thread::park();
        }
    }

    /// Runs a job in one go.
    fn run_job(&mut self, job: &Job) -> Result<Vec<u8>> {
        match self.command_for(job) {
            Some(command) => command.run(&job.bytes, &self.stop),
            None => self.worker.run(job),
        }
    }

    fn command_for(&self, job: &Job) -> Option<&WorkerCommand> {
        self.command.as_ref().filter(|_| job.kind != JobKind::CleanUp)
    }

    /// Where a job runs, for people.
    fn place(&self, job: &Job) -> String {
        match self.command_for(job) {
            Some(command) => format!("{}: {command}", self.name),
            None => self.name.clone(),
        }
    }

    fn start(&mut self, job: Job) -> Option<Compaction> {
        if self.command.is_some() {
            let outcome = self.run_job(&job);
            self.compacting.fetch_sub(1, Ordering::Relaxed);
            self.bring_back(&job, outcome);
            return None;
        }
        match self.worker.start(&job) {
            Ok(running) => Some(Compaction { job, running }),
            Err(error) => {
                self.compacting.fetch_sub(1, Ordering::Relaxed);
                self.bring_back(&job, Err(error));
                None
            }
        }
    }

    /// Does a slice of a compaction, and brings it back when it has ended.
    fn step(&mut self, mut compaction: Compaction) -> Option<Compaction> {
        let outcome = match self.worker.step(&mut compaction.running, SLICE_BYTES) {
            Ok(None) => return Some(compaction),
            Ok(Some(outcome)) => Ok(outcome),
            Err(error) => Err(error),
        };
        self.worker.give_up(compaction.running);
        self.compacting.fetch_sub(1, Ordering::Relaxed);
        self.bring_back(&compaction.job, outcome);
        None
    }

    fn bring_back(&self, job: &Job, outcome: Result<Vec<u8>>) {
        self.shared.stats.job_ended(job.id);
        let mut turn = self.shared.turn();
        let finished = outcome.and_then(|outcome| turn.instance.finish_job(&outcome));
        if let Err(error) = finished {
            // One that the store has given up itself is no longer out. What the store answers here, it remembers and
            // tells whoever writes next.
            let failed = !matches!(error, Error::Busy(_));
            let reason = failed.then(|| error.to_string());
            let _no_longer_out = turn.instance.abandon_job(job.id, reason.as_deref());
        }
        drop(turn);
        self.shared.job_ended.notify_all();
    }
}
