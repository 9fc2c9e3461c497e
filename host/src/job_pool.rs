//! The threads that run a store's flushes and compactions in workers of their own.
//!
//! ```text
//! each thread:  take a job from the primary ──► run it, the primary free meanwhile ──► hand the outcome back
//!               nothing to do ── look again soon while the store is written to, else sleep until a write
//! ```
//!
//! A worker that traps or fails costs a retry: its job is given up, and the primary begins it again.

use crate::error::{Error, Result};
use crate::kv_store::Shared;
use crate::worker::Worker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a thread without a job waits before it looks again, while the store is in use.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// A store that was not written to for so many looks is idle.
const IDLE_LOOKS: u32 = 50;

/// The running threads.
pub struct JobPool {
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
}

impl JobPool {
    /// Starts a thread for each of `workers`.
    pub fn start(shared: &Arc<Shared>, workers: Vec<Worker>) -> Result<Self> {
        shared.turn().instance.set_helped(true)?;
        let pool = Self { threads: Mutex::default(), stop: Arc::default() };
        for worker in workers {
            let mut thread =
                WorkerThread { shared: Arc::clone(shared), worker, stop: Arc::clone(&pool.stop) };
            let handle = thread::Builder::new()
                .name("esker-worker".into())
                .spawn(move || thread.run())
                .map_err(|error| Error::Io(format!("start a worker thread: {error}")))?;
            pool.threads.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
        }
        Ok(pool)
    }

    /// Ends the threads and waits for them: for one job each at most.
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
    stop: Arc<AtomicBool>,
}

impl WorkerThread {
    fn run(&mut self) {
        let mut idle_looks = 0;
        let mut writes_seen = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let (job, writes) = {
                let mut turn = self.shared.turn();
                if !turn.instance.is_usable() {
                    return;
                }
                // An error comes up again at the next write, where somebody can be told.
                (turn.instance.take_job().ok().flatten(), turn.writes)
            };
            if let Some(job) = job {
                self.work(&job);
                idle_looks = 0;
                continue;
            }
            idle_looks = if writes == writes_seen { idle_looks + 1 } else { 0 };
            writes_seen = writes;
            if idle_looks < IDLE_LOOKS {
                thread::park_timeout(LOOK_AGAIN);
            } else {
                self.sleep(writes_seen);
            }
        }
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

    fn work(&mut self, job: &[u8]) {
        let outcome = self.worker.run(job);
        let mut turn = self.shared.turn();
        // What the primary answers here, it remembers and tells whoever writes next.
        let _ = match &outcome {
            Ok(outcome) => turn.instance.finish_job(outcome),
            Err(error) => turn.instance.abandon_job(job, Some(&error.to_string())),
        };
        drop(turn);
        self.shared.job_ended.notify_all();
    }
}
