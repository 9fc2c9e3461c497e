//! The thread that does a store's chores: the component has none of its own.
//!
//! ```text
//! at every tick:  deferred writes are handed over (a tick is half of their time, so they are in time)
//!                 store idle since the last tick ── maintain, slice after slice, until somebody wants the store
//!                 store in use ── maintain one slice, so that work does not pile up for ever
//!                 nothing written for a second ── seal the memtable, maybe merge level 0, and maintain what comes of it
//!                 nothing left to do ── sleep until the next write
//! once a second:  tell other processes the store's figures, if anybody has called since
//! ```
//!
//! A slice is short, and the thread steps back after it when anybody waits: a reader or writer never waits for
//! more than one.

use crate::error::{Error, Result};
use crate::kv_store::{Shared, Turn};
use crate::options::{Options, Progress};
use crate::reader_pool::ReaderPool;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much one slice of maintenance reads and writes.
const SLICE_BYTES: u64 = 256 << 10;

/// How long deferred writes may wait by default, in milliseconds (wit/esker.wit).
const DEFERRED_MILLIS: u32 = 100;

/// How long published figures stay, while the store is in use.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// The longest time between two looks at the store, in milliseconds.
const TICK_MILLIS_MAX: u32 = 50;

/// A store is at rest when nothing was written for this long, in milliseconds.
const REST_MILLIS: u32 = 1000;

/// A store at rest keeps a memtable of less than this: to flush a few writes would cost more than it is worth.
pub const REST_BYTES: u64 = 1 << 20;

/// The running thread.
pub struct Chores {
    thread: Mutex<Option<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
}

impl Chores {
    /// Starts the thread for the store in `shared`.
    pub fn start(shared: Arc<Shared>, options: &Options) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let deferred_millis = options.deferred_millis.unwrap_or(DEFERRED_MILLIS);
        let tick_millis = (deferred_millis / 2).clamp(1, TICK_MILLIS_MAX);
        let mut round = Round {
            shared,
            stop: stop.clone(),
            calls_seen: 0,
            writes_seen: 0,
            quiet_ticks: 0,
            rest_ticks: REST_MILLIS.div_ceil(tick_millis),
            helped: options.workers.unwrap_or(0) > 0,
            published: None,
        };
        let tick = Duration::from_millis(tick_millis.into());
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
    writes_seen: u64,
    /// The ticks since something was written, and after how many of them the store is at rest.
    quiet_ticks: u32,
    rest_ticks: u32,
    /// Whether workers do the flushes and compactions.
    helped: bool,
    /// When the figures were published, and after how many calls.
    published: Option<(Instant, u64)>,
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
            // A store that goes to sleep leaves its last figures.
            self.publish(matches!(next, Next::Sleep));
        }
    }

    /// Tells other processes the store's figures, once in a while and when it is `time`, unless nobody has called since.
    fn publish(&mut self, time: bool) {
        let due = |(at, calls): (Instant, u64)| {
            calls != self.calls_seen && (time || at.elapsed() >= PUBLISH_INTERVAL)
        };
        if !self.published.is_none_or(due) {
            return;
        }
        self.published = Some((Instant::now(), self.calls_seen));
        let mut turn = self.shared.turn();
        let Ok(component) = turn.instance.stats() else { return };
        if let Ok(stats) = self.shared.with_own_stats(&component) {
            turn.instance.publish(&stats);
        }
    }

    fn look(&mut self) -> Next {
        let shared = Arc::clone(&self.shared);
        let mut turn = shared.turn();
        let idle = turn.calls == self.calls_seen;
        self.calls_seen = turn.calls;
        loop {
            if self.helped
                && let Ok(pressure) = turn.instance.pressure()
            {
                // The workers look as well, but may all be in the middle of something long.
                shared.pace.look(&pressure);
            }
            // An error comes up again at the next write, where somebody can be told.
            let _told_at_the_next_write = hand_over(&mut turn, &shared.readers);
            if !shared.pace.limiter.wait().is_zero() {
                return Next::Tick;
            }
            match self.maintain(&mut turn) {
                Ok(Progress { more: true, bytes }) => shared.pace.limiter.passed(bytes),
                Ok(Progress { more: false, .. }) | Err(_) => return self.rest(&mut turn, idle),
            }
            drop(turn);
            if !idle {
                return Next::Tick;
            }
            thread::yield_now();
            if shared.is_wanted() || self.stop.load(Ordering::Relaxed) {
                return Next::Tick;
            }
            turn = shared.turn();
        }
    }

    /// One slice of maintenance, unless workers do it.
    fn maintain(&self, turn: &mut Turn) -> Result<Progress> {
        if self.helped { Ok(Progress { bytes: 0, more: false }) } else { turn.instance.maintain(SLICE_BYTES) }
    }

    /// There is nothing to do. Tells the store once it is at rest, and sleeps when that has led to nothing.
    fn rest(&mut self, turn: &mut Turn, idle: bool) -> Next {
        if !turn.instance.is_usable() {
            return Next::End;
        }
        self.quiet_ticks =
            if turn.writes == self.writes_seen { self.quiet_ticks.saturating_add(1) } else { 0 };
        self.writes_seen = turn.writes;
        if self.quiet_ticks < self.rest_ticks {
            return Next::Tick;
        }
        match turn.instance.rest(REST_BYTES) {
            Ok(true) => {
                turn.wake();
                Next::Tick
            }
            Err(Error::Busy(_)) => Next::Tick,
            Ok(false) | Err(_) if !idle => Next::Tick,
            Ok(false) | Err(_) => {
                turn.asleep.push(thread::current());
                Next::Sleep
            }
        }
    }
}

/// Gives the operating system what was deferred.
fn hand_over(turn: &mut Turn, readers: &ReaderPool) -> Result<()> {
    if turn.deferred {
        turn.instance.flush_deferred()?;
        turn.deferred = false;
        readers.handed_over();
    }
    Ok(())
}
