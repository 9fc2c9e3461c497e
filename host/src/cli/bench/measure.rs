//! Time each operation of a workload on its threads, and put the threads' figures together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use esker_host::{KvStore, Result};
use hdrhistogram::Histogram;

use super::Args;
use super::workload::{Worker, Workload};
use crate::cli::failure::{Failure, Outcome};

/// What was measured.
pub struct Measured {
    /// Operations done.
    pub operations: u64,
    /// Those that found what they looked for.
    pub found: u64,
    /// Bytes of keys and values that they wrote or read.
    pub bytes: u64,
    /// From the first operation's beginning to the last one's end.
    pub elapsed: Duration,
    /// How long each read took.
    pub reads: Latency,
    /// How long each write took.
    pub writes: Latency,
    /// What the other thread of readwhilewriting wrote meanwhile.
    pub background_writes: Option<u64>,
}

impl Measured {
    fn nothing() -> Self {
        Self {
            operations: 0,
            found: 0,
            bytes: 0,
            elapsed: Duration::ZERO,
            reads: Latency::of_nothing(),
            writes: Latency::of_nothing(),
            background_writes: None,
        }
    }

    /// Adds what another thread measured.
    fn join(&mut self, other: &Self) {
        self.operations += other.operations;
        self.found += other.found;
        self.bytes += other.bytes;
        self.reads.join(&other.reads);
        self.writes.join(&other.writes);
    }

    /// How long each operation took, of both kinds.
    pub fn latency(&self) -> Latency {
        let mut all = self.reads.clone();
        all.join(&self.writes);
        all
    }

    /// Operations in a second.
    pub fn ops_per_sec(&self) -> f64 {
        per_sec(self.operations, self.elapsed)
    }

    /// Megabytes (of 1,000,000 bytes) in a second.
    pub fn mb_per_sec(&self) -> f64 {
        per_sec(self.bytes, self.elapsed) / 1e6
    }
}

/// How long operations took.
#[derive(Clone)]
pub struct Latency {
    nanos: Histogram<u64>,
}

impl Latency {
    fn of_nothing() -> Self {
        Self { nanos: Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, 3).expect("the bounds are in order") }
    }

    fn add(&mut self, taken: Duration) {
        let nanos = u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.saturating_record(nanos.max(1));
    }

    fn join(&mut self, other: &Self) {
        self.nanos.add(&other.nanos).expect("all histograms have the same bounds");
    }

    /// The number of operations.
    pub fn operations(&self) -> u64 {
        self.nanos.len()
    }

    /// The latency in microseconds that this share of the operations did not exceed.
    pub fn quantile_us(&self, share: f64) -> f64 {
        self.nanos.value_at_quantile(share) as f64 / 1000.0
    }
}

/// Longer than any operation that is worth waiting for.
const LATENCY_NANOS_MAX: u64 = 600_000_000_000;

/// `number` in a second, when `elapsed` brought as many.
pub fn per_sec(number: u64, elapsed: Duration) -> f64 {
    number as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// Runs `workload` to its end.
pub fn measure(store: &KvStore, args: &Args, workload: Workload) -> Outcome<Measured> {
    let operations = workload.operations(args);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = (workload == Workload::ReadWhileWriting)
            .then(|| scope.spawn(|| write_until(&stop, Worker::new(workload, store, args, args.threads))));
        let started = Instant::now();
        let threads: Vec<_> = (0..args.threads)
            .map(|thread| {
                let share = share_of(operations, thread, args.threads);
                scope.spawn(move || operate(Worker::new(workload, store, args, thread), share))
            })
            .collect();
        let mut measured = Measured::nothing();
        let parts: Vec<_> = threads.into_iter().map(join).collect();
        measured.elapsed = started.elapsed();
        stop.store(true, Ordering::Relaxed);
        measured.background_writes = writer.map(join).transpose()?;
        for part in parts {
            measured.join(&part?);
        }
        Ok(measured)
    })
}

/// Does the operations of one thread, each timed from the end of the one before.
fn operate(mut worker: Worker<'_>, share: std::ops::Range<u64>) -> Result<Measured> {
    let mut measured = Measured::nothing();
    let mut before = Instant::now();
    for number in share {
        let done = worker.operate(number)?;
        let now = Instant::now();
        let latency = if done.wrote { &mut measured.writes } else { &mut measured.reads };
        latency.add(now - before);
        measured.operations += 1;
        measured.found += u64::from(done.found);
        measured.bytes += done.bytes;
        before = now;
    }
    Ok(measured)
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
fn share_of(operations: u64, thread: u64, threads: u64) -> std::ops::Range<u64> {
    let cut = |thread: u64| (u128::from(operations) * u128::from(thread) / u128::from(threads)) as u64;
    cut(thread)..cut(thread + 1)
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Outcome<T> {
    match thread.join() {
        Ok(result) => result.map_err(Failure::from),
        Err(panic) => std::panic::resume_unwind(panic),
    }
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
