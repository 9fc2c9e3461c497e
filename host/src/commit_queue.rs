//! The writers' queue: whoever is in front commits for everybody who waits behind.
//!
//! ```text
//! 1. A writer joins the end of the queue with its packed batch and sleeps until it is in front or served.
//! 2. The one in front waits for the instance; more writers join meanwhile.
//! 3. It takes a run of batches from the front, commits them as one write with the strongest durability among
//!    them, and hands each its sequence number, or all of them the error. Where the error is that one of them names a
//!    bucket that is gone, nothing was written, and it commits each by itself.
//! 4. It leaves with those it served, wakes the next in front and then those it served.
//! ```
//!
//! The design is LevelDB's (`DBImpl::Write`). It is what makes synced writes of many threads share one sync.
//!
//! Threads that write without pause come back together, just after they were served. The first of them would sync for
//! itself alone, and the others after it once more; so a synced write that comes to the front waits a little for those
//! who were here a moment ago (PostgreSQL's `commit_delay` with `commit_siblings`).

use crate::error::{Error, Result};
use crate::options::Durability;
use std::collections::VecDeque;
use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// A group grows to this many bytes.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// The group of a small first batch grows by no more than this, so that it is not slowed down much.
const GROUP_BYTES_SMALL: usize = 64 << 10;

/// So often a writer looks again before it falls asleep: some microseconds.
const SPINS: u32 = 200;

/// A synced write waits for its companions at most so long: about as long as a sync takes.
const COMPANIONS_WAIT: Duration = Duration::from_micros(150);

/// A batch as a writer brings it to the queue.
pub struct Request {
    /// The operations in packed form, checked against the limits: the whole group fails if one of it exceeds them.
    pub packed: Vec<u8>,
    /// How many they are.
    pub operations: u64,
    /// How far the write must go.
    pub durability: Durability,
}

/// The queue.
#[derive(Default)]
pub struct CommitQueue {
    waiting: Mutex<VecDeque<Arc<Writer>>>,
    /// The length of `waiting`, to be read without its lock.
    length: AtomicUsize,
    /// How many there were when the last group left: those of the group, and those who still waited.
    companions: AtomicUsize,
}

struct Writer {
    request: Request,
    outcome: OnceLock<Result<u64>>,
    thread: Thread,
    /// Whether the writer was served or has come to the front: the thread is unparked after this was set. It needs no
    /// lock to find out, so that many can be woken at once.
    called: AtomicBool,
}

impl Writer {
    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl CommitQueue {
    /// Whether nobody waits, as far as can be told without the lock.
    pub fn is_empty(&self) -> bool {
        self.length.load(Ordering::Relaxed) == 0
    }

    /// Whether a synced write is likely to meet others here soon: then it does well not to pass the queue by.
    pub fn has_companions(&self) -> bool {
        self.companions.load(Ordering::Relaxed) > 1
    }

    /// Waits until `request` is committed, and returns the sequence number of its last operation.
    ///
    /// `enter` waits for the instance; `write` commits a packed batch in it. Both are called only if this writer
    /// comes to the front before it is served.
    pub fn commit<I>(
        &self,
        request: Request,
        enter: impl FnOnce() -> I,
        mut write: impl FnMut(&mut I, &[u8], Durability) -> Result<u64>,
    ) -> Result<u64> {
        let (thread, called) = (thread::current(), AtomicBool::new(false));
        let writer = Arc::new(Writer { request, outcome: OnceLock::new(), thread, called });
        self.wait_for_turn(&writer);
        if let Some(outcome) = writer.outcome.get() {
            return outcome.clone();
        }
        let mut departure = Departure { queue: self, group: Vec::new() };
        if writer.request.durability == Durability::Synced {
            self.wait_for_companions();
        }
        let mut instance = enter();
        departure.group = self.gather();
        let outcomes = commit_group(&departure.group, &mut instance, &mut write);
        drop(instance);
        departure.serve(outcomes);
        drop(departure);
        writer.outcome.get().cloned().unwrap_or_else(|| Err(abandoned()))
    }

    fn wait_for_turn(&self, writer: &Arc<Writer>) {
        let before = {
            let mut waiting = self.lock();
            waiting.push_back(writer.clone());
            self.length.store(waiting.len(), Ordering::Relaxed);
            waiting.len() - 1
        };
        if before == 0 {
            return;
        }
        // One that waits for a single buffered write waits for less than it takes to fall asleep.
        if before == 1 && writer.request.durability != Durability::Synced {
            for _ in 0..SPINS {
                if writer.called.load(Ordering::Acquire) {
                    return;
                }
                hint::spin_loop();
            }
        }
        while !writer.called.load(Ordering::Acquire) {
            thread::park();
        }
    }

    /// Waits until most of those are here again who were here a moment ago.
    fn wait_for_companions(&self) {
        let most = (self.companions.load(Ordering::Relaxed) * 3).div_ceil(4);
        let began = Instant::now();
        while self.length.load(Ordering::Relaxed) < most && began.elapsed() < COMPANIONS_WAIT {
            thread::yield_now();
        }
    }

    /// The writers at the front that go together. They stay in the queue until they are served.
    fn gather(&self) -> Vec<Arc<Writer>> {
        let waiting = self.lock();
        let first = waiting.front().map_or(0, |writer| writer.request.packed.len());
        let limit =
            if first <= GROUP_BYTES_SMALL { first + GROUP_BYTES_SMALL } else { GROUP_BYTES_MAX.max(first) };
        let mut bytes = 0;
        let within = |writer: &&Arc<Writer>| {
            bytes += writer.request.packed.len();
            bytes <= limit
        };
        waiting.iter().take_while(within).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Writer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commits the group, as one write if that works; returns what each writer gets.
fn commit_group<I>(
    group: &[Arc<Writer>],
    instance: &mut I,
    write: &mut impl FnMut(&mut I, &[u8], Durability) -> Result<u64>,
) -> Vec<Result<u64>> {
    match commit_together(group, instance, write) {
        Err(Error::NoSuchBucket(_)) if group.len() > 1 => {
            let requests = group.iter().map(|writer| &writer.request);
            requests.map(|request| write(instance, &request.packed, request.durability)).collect()
        }
        committed => {
            let operations: u64 = group.iter().map(|writer| writer.request.operations).sum();
            let mut done = 0;
            let place = |writer: &Arc<Writer>| {
                done += writer.request.operations;
                committed.clone().map(|last| last - operations + done)
            };
            group.iter().map(place).collect()
        }
    }
}

/// Commits the group as one write; returns the sequence number of its last operation.
fn commit_together<I>(
    group: &[Arc<Writer>],
    instance: &mut I,
    write: &mut impl FnMut(&mut I, &[u8], Durability) -> Result<u64>,
) -> Result<u64> {
    let requests = || group.iter().map(|writer| &writer.request);
    let durability = requests().map(|request| request.durability).max().unwrap_or(Durability::Deferred);
    match group {
        [alone] => write(instance, &alone.request.packed, durability),
        _ => {
            let mut packed = Vec::with_capacity(requests().map(|request| request.packed.len()).sum());
            requests().for_each(|request| packed.extend_from_slice(&request.packed));
            write(instance, &packed, durability)
        }
    }
}

/// Takes the served writers out of the queue when the front one leaves, even by a panic: or those behind would wait
/// for ever.
struct Departure<'a> {
    queue: &'a CommitQueue,
    group: Vec<Arc<Writer>>,
}

impl Departure<'_> {
    /// Gives every writer of the group its outcome.
    fn serve(&self, outcomes: Vec<Result<u64>>) {
        for (writer, outcome) in self.group.iter().zip(outcomes) {
            writer.outcome.get_or_init(|| outcome);
        }
    }
}

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        // The one in front leaves in any case, also if it never got so far as to gather a group.
        let count = self.group.len().max(1);
        let (served, next) = {
            let mut waiting = self.queue.lock();
            self.queue.companions.store(waiting.len(), Ordering::Relaxed);
            let count = count.min(waiting.len());
            let served: Vec<_> = waiting.drain(..count).collect();
            self.queue.length.store(waiting.len(), Ordering::Relaxed);
            (served, waiting.front().cloned())
        };
        if let Some(next) = next {
            next.call();
        }
        // The first is the one that leaves.
        for (at, writer) in served.iter().enumerate() {
            writer.outcome.get_or_init(|| Err(abandoned()));
            if at > 0 {
                writer.call();
            }
        }
    }
}

fn abandoned() -> Error {
    Error::Bug("the thread that committed for a group of writers panicked".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Barrier, mpsc};
    use std::thread;

    /// A log that numbers the bytes it is given: a byte is an operation.
    #[derive(Default)]
    struct Log {
        bytes: Vec<u8>,
        writes: Vec<Durability>,
    }

    fn request(byte: u8, durability: Durability) -> Request {
        Request { packed: vec![byte], operations: 1, durability }
    }

    fn append(log: &mut MutexGuard<'_, Log>, packed: &[u8], durability: Durability) -> Result<u64> {
        log.bytes.extend_from_slice(packed);
        log.writes.push(durability);
        Ok(log.bytes.len() as u64)
    }

    #[test]
    fn each_writer_gets_the_place_of_its_own_operation() {
        let (queue, log) = (CommitQueue::default(), Mutex::new(Log::default()));
        let start = Barrier::new(8);
        let writer = |byte: u8| {
            start.wait();
            let places: Vec<u64> = (0..200)
                .map(|_| {
                    let enter = || log.lock().expect("not poisoned");
                    queue
                        .commit(request(byte, Durability::Buffered), enter, append)
                        .expect("the log takes everything")
                })
                .collect();
            (byte, places)
        };
        let written: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|byte| scope.spawn(move || writer(byte))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no writer panics")).collect()
        });
        let log = log.into_inner().expect("not poisoned");
        assert_eq!(log.bytes.len(), 1600);
        for (byte, places) in written {
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "a writer's writes stand in its order");
            assert!(places.iter().all(|&place| log.bytes[place as usize - 1] == byte));
        }
        assert!(queue.is_empty());
    }

    /// Holds the first writer inside the log until `behind` more have queued up, then lets everything go.
    fn behind_one_in_front(
        behind: Vec<Request>,
        write: impl Fn(&mut MutexGuard<'_, Log>, &[u8], Durability) -> Result<u64> + Sync,
    ) -> (Log, Vec<Result<u64>>) {
        let (queue, log) = (CommitQueue::default(), Mutex::new(Log::default()));
        let (inside, is_inside) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let outcomes = thread::scope(|scope| {
            let (queue, log, write) = (&queue, &log, &write);
            let first = scope.spawn(move || {
                let enter = || log.lock().expect("not poisoned");
                queue.commit(request(0, Durability::Buffered), enter, |log, packed, durability| {
                    inside.send(()).expect("the test waits");
                    released.recv().expect("the test releases");
                    append(log, packed, durability)
                })
            });
            is_inside.recv().expect("the first writer gets in");
            let mut threads = Vec::new();
            for request in behind {
                let length = queue.length.load(Ordering::Relaxed);
                threads.push(
                    scope.spawn(move || queue.commit(request, || log.lock().expect("not poisoned"), write)),
                );
                while queue.length.load(Ordering::Relaxed) == length {
                    thread::yield_now();
                }
            }
            release.send(()).expect("the first writer waits");
            first.join().expect("no panic").expect("the log takes everything");
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        (log.into_inner().expect("not poisoned"), outcomes)
    }

    #[test]
    fn a_group_goes_as_far_as_its_strongest_member() {
        let behind = vec![
            request(1, Durability::Deferred),
            request(2, Durability::Synced),
            request(3, Durability::Buffered),
        ];
        let (log, outcomes) = behind_one_in_front(behind, append);
        assert_eq!(log.writes, [Durability::Buffered, Durability::Synced], "the three went as one");
        assert_eq!(outcomes, [Ok(2), Ok(3), Ok(4)]);
    }

    #[test]
    fn every_member_gets_the_error_of_its_group() {
        let behind = vec![request(1, Durability::Buffered), request(2, Durability::Buffered)];
        let full = Error::NoSpace("full".into());
        let (_, outcomes) = behind_one_in_front(behind, |_, _, _| Err(Error::NoSpace("full".into())));
        assert_eq!(outcomes, [Err(full.clone()), Err(full)]);
    }

    /// A plugin went on writing to a bucket that its host had dropped, and the writes of others that met it in the queue
    /// failed with it.
    #[test]
    fn a_bucket_that_is_gone_fails_only_the_write_that_names_it() {
        const GONE: u8 = 99;
        let behind = [1, GONE, 3].map(|byte| request(byte, Durability::Buffered)).into();
        let gone = Error::NoSuchBucket("bucket 99 does not exist".into());
        let (log, outcomes) = behind_one_in_front(behind, |log, packed, durability| {
            if packed.contains(&GONE) { Err(gone.clone()) } else { append(log, packed, durability) }
        });
        assert_eq!(outcomes, [Ok(2), Err(gone.clone()), Ok(3)]);
        assert_eq!(log.bytes, [0, 1, 3]);
    }

    #[test]
    fn a_synced_write_whose_companions_have_gone_does_not_wait_for_ever() {
        let (queue, log) = (CommitQueue::default(), Mutex::new(Log::default()));
        queue.companions.store(64, Ordering::Relaxed);
        assert!(queue.has_companions());
        let enter = || log.lock().expect("not poisoned");
        assert_eq!(queue.commit(request(1, Durability::Synced), enter, append), Ok(1));
        assert!(!queue.has_companions(), "it was alone");
    }

    #[test]
    fn a_small_write_does_not_wait_for_large_ones() {
        let large =
            Request { packed: vec![9; GROUP_BYTES_SMALL + 1], operations: 1, durability: Durability::Synced };
        let behind = vec![request(1, Durability::Buffered), large];
        let (log, _) = behind_one_in_front(behind, append);
        assert_eq!(log.writes, [Durability::Buffered, Durability::Buffered, Durability::Synced]);
    }
}
