//! How fast a store's writers and its workers go.
//!
//! ```text
//! workers look at the primary ──► pressure ──┬─► how long a writer waits for each byte that it brings
//!                                            ├─► how many workers compact
//!                                            └─► how many bytes a second they write
//! ```
//!
//! A store without workers keeps its pace itself: its writes do the work. With workers nothing in the component can make
//! a write wait, so the host does. While maintenance keeps up, nobody waits. Once it falls behind, writers are slowed in
//! small steps, down from the rate that they had, until as much is written as is compacted; so no write meets the point
//! where all must stop. The waits are short (tenths of a millisecond) and counted by their reason.

use crate::options::{BackPressure, Pressure, WaitReason};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A writer owes at least so much waiting before it waits: shorter sleeps are not what a system gives.
const WAIT_NANOS_MIN: u64 = 200_000;
/// A writer waits no longer than this at once.
const WAIT_NANOS_MAX: u64 = 20_000_000;
/// Writers are never slowed below this many bytes a second: the point where they stop will stop them.
const SLOWEST: f64 = 1_048_576.0;
/// Whoever waits for the limiter goes on so soon after the limit was lifted.
const LIFTED_WITHIN: Duration = Duration::from_millis(20);
/// The rate of writes is measured over at least this long.
const MEASURED_OVER: Duration = Duration::from_millis(20);
/// With less than this to compact, in bytes, one worker does; the others keep their processors free.
const PENDING_FEW: u64 = 128 << 20;

/// What writers and workers ask before they go on.
#[derive(Debug)]
pub struct Pace {
    // Read by writers.
    /// How long to wait for each KiB, in nanoseconds; 0 while maintenance keeps up.
    nanos_a_kib: AtomicU64,
    behind: AtomicU32,
    /// The waiting that writers owe together, in nanoseconds.
    owed: AtomicU64,
    /// Bytes that writers have brought.
    written: AtomicU64,
    waits: [Waits; 2],
    // Read by workers.
    compacting_max: AtomicU32,
    /// How fast flushes and compactions write.
    pub limiter: Limiter,
    // Written by workers.
    measured: Mutex<Measured>,
}

/// How often and how long writers have waited, for one reason.
#[derive(Debug, Default)]
struct Waits {
    count: AtomicU64,
    micros: AtomicU64,
    micros_max: AtomicU64,
}

/// The rate of writes while they are not slowed.
#[derive(Debug)]
struct Measured {
    since: Instant,
    written: u64,
    bytes_a_second: f64,
}

impl Pace {
    /// Where background work writes no more than `bytes_a_second`, if that is given.
    pub fn new(bytes_a_second: Option<u64>) -> Self {
        Self {
            nanos_a_kib: AtomicU64::new(0),
            behind: AtomicU32::new(0),
            owed: AtomicU64::new(0),
            written: AtomicU64::new(0),
            waits: Default::default(),
            compacting_max: AtomicU32::new(1),
            limiter: Limiter::new(bytes_a_second),
            measured: Mutex::new(Measured { since: Instant::now(), written: 0, bytes_a_second: 0.0 }),
        }
    }

    /// Called by a writer before it writes `bytes`, without any lock: lets it wait where maintenance is behind.
    #[inline]
    pub fn before_write(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.written.fetch_add(bytes, Ordering::Relaxed);
        let nanos_a_kib = self.nanos_a_kib.load(Ordering::Relaxed);
        if nanos_a_kib > 0 {
            self.wait(bytes.saturating_mul(nanos_a_kib) / 1024);
        }
    }

    #[cold]
    fn wait(&self, nanos: u64) {
        let owed = self.owed.fetch_add(nanos, Ordering::Relaxed).saturating_add(nanos);
        if owed < WAIT_NANOS_MIN {
            return;
        }
        self.owed.store(0, Ordering::Relaxed);
        let start = Instant::now();
        thread::sleep(Duration::from_nanos(owed.min(WAIT_NANOS_MAX)));
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let waits = &self.waits[self.behind.load(Ordering::Relaxed) as usize & 1];
        waits.count.fetch_add(1, Ordering::Relaxed);
        waits.micros.fetch_add(micros, Ordering::Relaxed);
        waits.micros_max.fetch_max(micros, Ordering::Relaxed);
    }

    /// Called by whoever has looked at the primary: sets everybody's pace.
    pub fn look(&self, pressure: &Pressure) {
        let rate = self.rate(pressure.back_pressure.is_some());
        let nanos_a_kib = pressure.back_pressure.map_or(0, |behind| nanos_a_kib(rate, behind));
        if let Some(BackPressure { reason, .. }) = pressure.back_pressure {
            self.behind.store(u32::from(reason == WaitReason::Level0), Ordering::Relaxed);
        }
        self.nanos_a_kib.store(nanos_a_kib, Ordering::Relaxed);
        let urgent = pressure.back_pressure.is_some() || pressure.pending_bytes >= PENDING_FEW;
        self.compacting_max.store(if urgent { u32::MAX } else { 1 }, Ordering::Relaxed);
        self.limiter.lift(pressure.back_pressure.is_some());
    }

    /// How many workers may compact at the same time.
    pub fn compacting_max(&self) -> u32 {
        self.compacting_max.load(Ordering::Relaxed)
    }

    /// The store is idle: all that waits may be done at once.
    pub fn idle(&self) {
        self.nanos_a_kib.store(0, Ordering::Relaxed);
        self.compacting_max.store(u32::MAX, Ordering::Relaxed);
    }

    /// The bytes a second that writers bring while they are not slowed.
    fn rate(&self, slowed: bool) -> f64 {
        let mut measured = lock(&self.measured);
        let (now, written) = (Instant::now(), self.written.load(Ordering::Relaxed));
        let elapsed = now.duration_since(measured.since);
        if elapsed >= MEASURED_OVER {
            if !slowed {
                let rate = written.saturating_sub(measured.written) as f64 / elapsed.as_secs_f64();
                // Half of the new and half of the old: one quiet moment does not count for much.
                measured.bytes_a_second = (measured.bytes_a_second + rate) / 2.0;
            }
            (measured.since, measured.written) = (now, written);
        }
        measured.bytes_a_second
    }

    /// The members of the statistics that the host adds: docs/stats.md describes them.
    pub fn to_json(&self) -> Value {
        let of = |waits: &Waits| {
            json!({
                "count": waits.count.load(Ordering::Relaxed),
                "micros": waits.micros.load(Ordering::Relaxed),
                "micros_max": waits.micros_max.load(Ordering::Relaxed),
            })
        };
        let [memtables, level0] = &self.waits;
        json!({
            "bytes_written": self.written.load(Ordering::Relaxed),
            "nanos_a_kib": self.nanos_a_kib.load(Ordering::Relaxed),
            "waits": { "memtables": of(memtables), "level0": of(level0) },
        })
    }
}

/// What a KiB has to wait where `rate` bytes a second would be too many: the nearer the stop, the longer.
fn nanos_a_kib(rate: f64, behind: BackPressure) -> u64 {
    let allowed = (rate * f64::from(100 - behind.percent.min(100)) / 100.0).max(SLOWEST);
    // Writing takes its own time: what is added is the difference to what it would be at the full rate.
    let full = rate.max(SLOWEST);
    ((1024.0 / allowed - 1024.0 / full) * 1e9) as u64
}

/// Lets no more than so many bytes a second pass, on average over about a second.
#[derive(Debug)]
pub struct Limiter {
    bytes_a_second: Option<u64>,
    lifted: AtomicBool,
    ended: AtomicBool,
    balance: Mutex<Balance>,
}

/// The bytes that may pass; fewer than none where too many have passed.
#[derive(Debug)]
struct Balance {
    bytes: f64,
    at: Instant,
}

impl Limiter {
    fn new(bytes_a_second: Option<u64>) -> Self {
        let balance = Mutex::new(Balance { bytes: 0.0, at: Instant::now() });
        Self { bytes_a_second, lifted: AtomicBool::new(false), ended: AtomicBool::new(false), balance }
    }

    /// Lifts the limit while somebody waits for the work, or sets it again.
    fn lift(&self, lifted: bool) {
        self.lifted.store(lifted, Ordering::Relaxed);
    }

    /// Lifts the limit for good: the store is being closed.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Counts bytes that have passed.
    pub fn passed(&self, bytes: u64) {
        if let Some(rate) = self.bytes_a_second {
            lock(&self.balance).after(rate, bytes);
        }
    }

    /// How long to wait before more may pass, by what has passed so far.
    pub fn wait(&self) -> Duration {
        match self.bytes_a_second {
            Some(rate) if !self.lifted.load(Ordering::Relaxed) && !self.ended.load(Ordering::Relaxed) => {
                let owed = -lock(&self.balance).after(rate, 0);
                Duration::try_from_secs_f64(owed.max(0.0) / rate as f64).unwrap_or(Duration::MAX)
            }
            _ => Duration::ZERO,
        }
    }

    /// Sleeps until more may pass.
    pub fn sleep(&self) {
        loop {
            let wait = self.wait();
            if wait.is_zero() {
                return;
            }
            thread::sleep(wait.min(LIFTED_WITHIN));
        }
    }
}

impl Balance {
    /// The balance once so many more bytes have passed. What nobody used is kept for a second.
    fn after(&mut self, bytes_a_second: u64, bytes: u64) -> f64 {
        let (now, rate) = (Instant::now(), bytes_a_second as f64);
        let earned = now.duration_since(self.at).as_secs_f64() * rate;
        self.bytes = (self.bytes + earned).min(rate) - bytes as f64;
        self.at = now;
        self.bytes
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(percent: u32) -> BackPressure {
        BackPressure { reason: WaitReason::Level0, percent }
    }

    #[test]
    fn writers_are_slowed_the_more_the_nearer_the_stop_is() {
        let rate = 64.0 * 1048576.0;
        let waits: Vec<u64> = [0, 25, 50, 90, 100].map(|percent| nanos_a_kib(rate, behind(percent))).into();
        assert_eq!(waits[0], 0, "at first the rate stays what it was");
        assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
        let slowest = 1e9 * 1024.0 / SLOWEST;
        assert!(waits[4] as f64 <= slowest, "{waits:?}: even there a MiB a second is let through");
    }

    #[test]
    fn a_store_that_writes_little_is_not_slowed_further() {
        assert_eq!(nanos_a_kib(1000.0, behind(90)), 0);
    }

    #[test]
    fn a_writer_waits_and_is_counted_only_while_maintenance_is_behind() {
        let pace = Pace::new(None);
        let mut pressure = Pressure {
            level0_tables: 13,
            sealed_memtables: 0,
            pending_bytes: 0,
            stalled: false,
            back_pressure: Some(behind(99)),
        };
        lock(&pace.measured).bytes_a_second = 1e9;
        pace.look(&pressure);
        pace.before_write(8192);
        assert_eq!(pace.waits[1].count.load(Ordering::Relaxed), 1, "{}", pace.to_json());
        assert_eq!(pace.compacting_max(), u32::MAX);
        pressure.back_pressure = None;
        pace.look(&pressure);
        pace.before_write(1 << 20);
        assert_eq!(pace.waits[1].count.load(Ordering::Relaxed), 1);
        assert_eq!(pace.waits[0].count.load(Ordering::Relaxed), 0);
        assert_eq!(pace.compacting_max(), 1);
    }

    #[test]
    fn a_limiter_makes_up_for_what_has_passed_unless_it_is_lifted() {
        let unlimited = Limiter::new(None);
        unlimited.passed(u64::MAX);
        assert_eq!(unlimited.wait(), Duration::ZERO);
        let limiter = Limiter::new(Some(1000));
        // More than a second's worth takes more than a second: it is a limit for large pieces, too.
        limiter.passed(5_000_000);
        assert!(limiter.wait() > Duration::from_secs(1000));
        limiter.lift(true);
        limiter.passed(5_000_000);
        assert_eq!(limiter.wait(), Duration::ZERO);
        limiter.lift(false);
        assert!(limiter.wait() > Duration::from_secs(6000), "what has passed meanwhile counts");
        limiter.end();
        limiter.sleep();
    }
}
