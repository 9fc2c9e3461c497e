//! Time each operation of a workload on its threads, and put the threads' figures together.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;

use crate::stores::{Scan, Store};
use crate::usage;
use crate::workload::{Shape, Worker, Workload, touch};

/// Longer than any operation that is worth waiting for.
const LATENCY_NANOS_MAX: u64 = 600_000_000_000;
/// A scan of everything is timed in laps of so many entries: to read the clock takes as long as to read an entry.
pub const LAP: u64 = 100;

/// Whether the user has asked for the end.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What was measured.
pub struct Measured {
    /// Entries written or read, keys looked for.
    pub operations: u64,
    /// Those that found what they looked for.
    pub found: u64,
    /// From the first operation's beginning to the last one's end.
    pub elapsed: Duration,
    /// How long each took, in nanoseconds: each call, of fillbatch each batch, of readseq and readreverse each [`LAP`].
    pub latency: Histogram<u64>,
    /// How long the threads have waited for a processor, together.
    pub waited: Duration,
    /// What the other thread of readwhilewriting wrote meanwhile.
    pub background_writes: Option<u64>,
}

impl Measured {
    fn nothing() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, 3).expect("the bounds are in order");
        let (elapsed, waited) = (Duration::ZERO, Duration::ZERO);
        Self { operations: 0, found: 0, elapsed, latency, waited, background_writes: None }
    }

    fn join(&mut self, other: &Self) {
        self.operations += other.operations;
        self.found += other.found;
        self.waited += other.waited;
        self.latency.add(&other.latency).expect("all histograms have the same bounds");
    }
}

/// Runs `workload` on `threads` threads: to its end, or for `limit` where no other workload needs what it writes.
///
/// # Errors
///
/// The store's, and that the user has asked for the end.
pub fn measure(
    store: &dyn Store,
    workload: Workload,
    shape: &Shape,
    threads: u64,
    limit: Duration,
) -> Result<Measured> {
    let operations = workload.operations(shape.rows);
    // What one does not write, those after it do not find. After fillsync there is nothing.
    let whole = workload.fills() && workload != Workload::FillSync || workload == Workload::Overwrite;
    let limit = if whole { Duration::MAX } else { limit };
    let stop = AtomicBool::new(false);
    let measured = thread::scope(|scope| {
        let writer = (workload == Workload::ReadWhileWriting).then(|| {
            let stop = &stop;
            named("writer")
                .spawn_scoped(scope, move || write_until(stop, Worker::new(workload, store, shape, threads)?))
        });
        let writer = writer.transpose().context("start a thread")?;
        let started = Instant::now();
        let parts: Vec<_> = (0..threads)
            .map(|thread| {
                let share = share_of(operations, thread, threads);
                named(&workload.name()).spawn_scoped(scope, move || {
                    let worker = Worker::new(workload, store, shape, thread)?;
                    let before = usage::waited();
                    let measured = operate(worker, workload, share, limit)?;
                    Ok(Measured { waited: usage::waited() - before, ..measured })
                })
            })
            .collect::<io::Result<_>>()
            .context("start a thread")?;
        let parts: Vec<_> = parts.into_iter().map(join).collect();
        let elapsed = started.elapsed();
        stop.store(true, Ordering::Relaxed);
        let mut measured = Measured { elapsed, ..Measured::nothing() };
        measured.background_writes = writer.map(join).transpose()?;
        for part in parts {
            measured.join(&part?);
        }
        anyhow::Ok(measured)
    })?;
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(measured)
}

/// A thread whose name tells a profile what it did.
fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// Does the operations of one thread, each timed from the end of the one before.
fn operate(
    mut worker: Worker<'_>,
    workload: Workload,
    share: Range<u64>,
    limit: Duration,
) -> Result<Measured> {
    if workload.scans_all() {
        let all = if workload == Workload::ReadReverse { Scan::Reverse } else { Scan::All };
        return scan(worker, all, share.end - share.start);
    }
    let mut measured = Measured::nothing();
    let started = Instant::now();
    let mut before = started;
    for number in share {
        let found = worker.operate(number)?;
        let now = Instant::now();
        measured.latency.saturating_record(nanos(now - before));
        measured.operations += workload.entries_each();
        measured.found += u64::from(found);
        before = now;
        if now - started > limit || INTERRUPTED.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(measured)
}

/// Reads everything, again and again, until `entries` are read.
fn scan(mut worker: Worker<'_>, all: Scan<'_>, entries: u64) -> Result<Measured> {
    let mut measured = Measured::nothing();
    let mut before = Instant::now();
    while measured.operations < entries && !INTERRUPTED.load(Ordering::Relaxed) {
        let begun = measured.operations;
        worker.session.scan(all, &mut |_, value| {
            touch(value);
            measured.operations += 1;
            if measured.operations.is_multiple_of(LAP) {
                let now = Instant::now();
                measured.latency.saturating_record(nanos(now - before));
                before = now;
            }
            measured.operations < entries
        })?;
        if measured.operations == begun {
            bail!("a scan of everything found nothing");
        }
    }
    measured.found = measured.operations;
    Ok(measured)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

fn write_until(stop: &AtomicBool, mut worker: Worker<'_>) -> Result<u64> {
    let mut writes = 0;
    while !stop.load(Ordering::Relaxed) {
        worker.put_random()?;
        writes += 1;
    }
    Ok(writes)
}

/// The numbers of the operations that `thread` of `threads` does.
fn share_of(operations: u64, thread: u64, threads: u64) -> Range<u64> {
    let cut = |thread: u64| (u128::from(operations) * u128::from(thread) / u128::from(threads)) as u64;
    cut(thread)..cut(thread + 1)
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threads_share_all_operations_and_none_twice() {
        for (operations, threads) in [(10, 3), (2, 4), (0, 2), (1_000_000, 7)] {
            let shares: Vec<_> = (0..threads).map(|thread| share_of(operations, thread, threads)).collect();
            assert_eq!(shares.iter().map(|share| share.end - share.start).sum::<u64>(), operations);
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
