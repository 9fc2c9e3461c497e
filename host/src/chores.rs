//! The thread that does a store's chores: the component has none of its own.
//!
//! ```text
//! at every tick:  deferred writes are handed over (a tick is half of their time, so they are in time)
//!                 store idle since the last tick ── maintain, slice after slice, until somebody wants the store
//!                 store in use ── maintain one slice, so that work does not pile up for ever
//!                 nothing left to do ── sleep until the next write
//! ```
//!
//! A slice is short, and the thread steps back after it when anybody waits: a reader or writer never waits for
//! more than one.

use crate::error::{Error, Result};
use crate::kv_store::{Shared, Turn};
use crate::options::{Options, Progress};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How much one slice of maintenance reads and writes.
const SLICE_BYTES: u64 = 256 << 10;

/// How long deferred writes may wait by default, in milliseconds (wit/esker.wit).
const DEFERRED_MILLIS: u32 = 100;

/// The longest time between two looks at the store, in milliseconds.
const TICK_MILLIS_MAX: u32 = 50;

/// The running thread.
pub struct Chores {
    thread: Mutex<Option<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
}

impl Chores {
    /// Starts the thread for the store in `shared`.
    pub fn start(shared: Arc<Shared>, options: &Options) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut round =
            Round { shared, stop: stop.clone(), calls_seen: 0, helped: options.workers.unwrap_or(0) > 0 };
        let deferred_millis = options.deferred_millis.unwrap_or(DEFERRED_MILLIS);
        let tick = Duration::from_millis((deferred_millis / 2).clamp(1, TICK_MILLIS_MAX).into());
        let thread = thread::Builder::new()
            .name("esker-chores".into())
            .spawn(move || round.run(tick))
            .map_err(|error| Error::Io(format!("start the maintenance thread: {error}")))?;
        Ok(Self { thread: Mutex::new(Some(thread)), stop })
    }

    /// Ends the thread and waits for it: for one slice at most.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            thread.thread().unpark();
            // A panic there was a bug in the host; it has said so on standard error, and the store is as it is.
            let _ = thread.join();
        }
    }
}

/// What to do after a look at the store.
enum Next {
    /// Look again at the next tick.
    Tick,
    /// Look again when a write says so.
    Sleep,
    /// The store has ended.
    End,
}

struct Round {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    calls_seen: u64,
    /// Whether workers do the flushes and compactions.
    helped: bool,
}

impl Round {
    fn run(&mut self, tick: Duration) {
        let mut next = Next::Tick;
        loop {
            match next {
                Next::Tick => thread::park_timeout(tick),
                Next::Sleep => thread::park(),
                Next::End => return,
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            next = self.look();
        }
    }

    fn look(&mut self) -> Next {
        let mut turn = self.shared.turn();
        let idle = turn.calls == self.calls_seen;
        self.calls_seen = turn.calls;
        loop {
            match chore(&mut turn, self.helped) {
                Ok(Progress { more: true, .. }) if idle => {}
                Ok(Progress { more: true, .. }) => return Next::Tick,
                // An error comes up again at the next write, where somebody can be told.
                Ok(Progress { more: false, .. }) | Err(_) => return Self::rest(&mut turn, idle),
            }
            drop(turn);
            thread::yield_now();
            if self.shared.is_wanted() || self.stop.load(Ordering::Relaxed) {
                return Next::Tick;
            }
            turn = self.shared.turn();
        }
    }

    /// Sleeps once there was nothing to do for a whole tick.
    fn rest(turn: &mut Turn, idle: bool) -> Next {
        if !turn.instance.is_usable() {
            return Next::End;
        }
        if !idle {
            return Next::Tick;
        }
        turn.asleep.push(thread::current());
        Next::Sleep
    }
}

/// One slice of what is to be done.
fn chore(turn: &mut Turn, helped: bool) -> Result<Progress> {
    if turn.deferred {
        turn.instance.flush_deferred()?;
        turn.deferred = false;
    }
    if helped {
        // The workers do it.
        return Ok(Progress { bytes: 0, more: false });
    }
    turn.instance.maintain(SLICE_BYTES)
}
