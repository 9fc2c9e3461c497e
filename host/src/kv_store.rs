//! A store for many threads: one [`Instance`] behind a lock, a queue in front of it for writers, and a thread that
//! does the store's chores.
//!
//! ```text
//! put, delete, write ─┬─ nobody waits and the instance is free ───────► Instance
//!                     └─ else CommitQueue: the one in front commits for all ─► ▲
//! get, scan, snapshot ── wait for the instance ────────────────────────────────┤
//! chores ── hand deferred writes over in time; maintain the idle store ────────┤
//! workers ── take jobs, run them in instances of their own, bring them back ───┘
//! ```

use crate::backup::Backup;
use crate::batch::Batch;
use crate::bucket::{Bucket, BucketInfo, Key};
use crate::chores::{Chores, REST_BYTES};
use crate::commit_queue::{CommitQueue, Request};
use crate::condition::{Condition, Expected};
use crate::error::{Error, Result};
use crate::instance::{CursorHandle, Instance, SnapshotHandle};
use crate::job_pool::JobPool;
use crate::latency::Latencies;
use crate::options::{
    Durability, KeyRange, Options, Pressure, Progress, ScanOptions, Verification, WorkerPlace,
};
use crate::pace::Pace;
use crate::reader::Reader;
use crate::reader_pool::ReaderPool;
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;
use crate::scan::Scan;
use crate::snapshot::Snapshot;
use crate::stats::HostStats;
use crate::worker::Worker;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

/// How long a call that waits for a worker waits at most before it asks again.
const BUSY_WAIT: std::time::Duration = std::time::Duration::from_millis(100);

/// An open store. Clones share it; it is safe to use from any number of threads.
///
/// Every call blocks the calling thread while the store works; async code calls it by its executor's
/// `spawn_blocking`.
///
/// Writers that meet are committed together, with one sync if any of them wants one. When the last clone, scan and
/// snapshot is dropped without [`close`](Self::close), deferred writes are handed to the operating system as far as
/// that works, and the directory is unlocked.
///
/// # Errors
///
/// Every method answers what the store answers, `Trap` when the component stops in the middle of the call, and
/// `Reopen` after a trap or after `close`.
#[derive(Clone)]
pub struct KvStore {
    handle: Arc<Handle>,
}

impl KvStore {
    /// Locks the directory `dir`, opens the store in it and recovers it. The directory is made if it is missing,
    /// unless [`Options::create_if_missing`] is `Some(false)`.
    ///
    /// # Errors
    ///
    /// `Directory`, `Locked`, and whatever opening the store answers.
    pub fn open(runtime: &Runtime, dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        if options.background_bytes_per_second == Some(0) {
            let message =
                "background_bytes_per_second is 0, and must be at least 1: nothing would ever be compacted";
            return Err(Error::InvalidArgument(message.into()));
        }
        let mut instance = Instance::open(runtime, &dir, &options)?;
        let pace = Arc::new(Pace::new(options.background_bytes_per_second));
        let sandbox = Sandbox::for_store(&dir, &options).paced(&pace);
        let recovered = match options.readers {
            None | Some(0) => 0,
            Some(_) => instance.last_sequence()?,
        };
        let readers = ReaderPool::new(runtime, dir.as_ref(), &options, recovered);
        let shared = Arc::new(Shared::new(instance, pace, readers));
        let command = match &options.worker_place {
            WorkerPlace::Here => None,
            WorkerPlace::Command(command) => Some(command),
        };
        let workers: Vec<Worker> =
            (0..options.workers.unwrap_or(0)).map(|_| Worker::new(runtime, sandbox.clone())).collect();
        let job_pool =
            if workers.is_empty() { None } else { Some(JobPool::start(&shared, workers, command)?) };
        let chores = match options.background_maintenance {
            Some(false) => None,
            _ => Some(Chores::start(shared.clone(), &options)?),
        };
        Ok(Self { handle: Arc::new(Handle { shared, chores, job_pool }) })
    }

    /// The value of `key` in the latest state.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        let key = key.into();
        let _timed = self.latencies().get.time();
        self.read_anywhere(|reader| reader.get(key), |instance| instance.get(key))
    }

    /// The value of `key` in the latest state, with the sequence number of the write that made it: for
    /// [`Expected::UnchangedSince`].
    pub fn get_with_sequence<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<(Vec<u8>, u64)>> {
        let key = key.into();
        let _timed = self.latencies().get.time();
        self.read_anywhere(|reader| reader.get_with_sequence(key), |instance| instance.get_with_sequence(key))
    }

    /// The values of many keys of a bucket, in their order, all from one state.
    pub fn get_many<K: AsRef<[u8]>>(&self, bucket: Bucket, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        let _timed = self.latencies().get.time();
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.as_ref().to_vec()).collect();
        self.read_anywhere(
            |reader| reader.lock().get_many(bucket, &keys),
            |instance| instance.get_many(bucket, &keys),
        )
    }

    /// Whether `key` is there, without its value.
    pub fn contains<'k>(&self, key: impl Into<Key<'k>>) -> Result<bool> {
        let key = key.into();
        let _timed = self.latencies().get.time();
        self.read_anywhere(|reader| reader.contains(key), |instance| instance.contains(key))
    }

    /// Sets `key` to `value`. Returns the write's sequence number.
    pub fn put<'k>(&self, key: impl Into<Key<'k>>, value: &[u8], durability: Durability) -> Result<u64> {
        let key = key.into();
        let _timed = self.latencies().put.time();
        self.shared().pace.before_write(key.bytes.len() + value.len());
        if let Some(mut turn) = self.shared().free_turn(durability) {
            match turn.write(self.readers(), durability, |instance| instance.put(key, value, durability)) {
                Err(Error::Busy(_)) if self.has_workers() => {}
                written => return written,
            }
        }
        let mut batch = Batch::new();
        batch.put(key, value)?;
        self.queue(batch, durability)
    }

    /// Removes `key`. Returns the write's sequence number.
    pub fn delete<'k>(&self, key: impl Into<Key<'k>>, durability: Durability) -> Result<u64> {
        let key = key.into();
        let _timed = self.latencies().put.time();
        self.shared().pace.before_write(key.bytes.len());
        if let Some(mut turn) = self.shared().free_turn(durability) {
            match turn.write(self.readers(), durability, |instance| instance.delete(key, durability)) {
                Err(Error::Busy(_)) if self.has_workers() => {}
                written => return written,
            }
        }
        let mut batch = Batch::new();
        batch.delete(key)?;
        self.queue(batch, durability)
    }

    /// [`write`](Self::write), if every condition holds in the latest state. Else the error is `ConditionFailed` and
    /// nothing is written.
    ///
    /// Where the write is to be synced, and the sync fails, the error is that of the sync, and the write may stay.
    pub fn write_if(
        &self,
        batch: &Batch,
        conditions: &[Condition<'_>],
        durability: Durability,
    ) -> Result<u64> {
        let bytes = batch.as_packed().len();
        self.write_alone(bytes, durability, |instance, durability| {
            let sequence = instance.write_if(batch, conditions, durability)?;
            Ok((sequence, sequence))
        })
    }

    /// Sets `key` to `new`, or removes it (`None`), if it has the value `old`, or none (`None`). Returns whether it had.
    pub fn compare_and_swap<'k>(
        &self,
        key: impl Into<Key<'k>>,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
        durability: Durability,
    ) -> Result<bool> {
        let key = key.into();
        let mut batch = Batch::new();
        match new {
            Some(value) => batch.put(key, value)?,
            None => batch.delete(key)?,
        }
        let expected = old.map_or(Expected::Absent, Expected::Equals);
        match self.write_if(&batch, &[Condition { key, expected }], durability) {
            Ok(_) => Ok(true),
            Err(Error::ConditionFailed(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds `delta` to the number that `key` holds in decimal digits, with a `-` before a negative one; an absent key
    /// counts as 0. Returns the sum, which the key then holds.
    ///
    /// `InvalidArgument` where the value is no number or the sum does not fit 64 bits; nothing is written then.
    pub fn increment<'k>(&self, key: impl Into<Key<'k>>, delta: i64, durability: Durability) -> Result<i64> {
        Ok(self.increment_with_sequence(key.into(), delta, durability)?.0)
    }

    /// [`increment`](Self::increment), with the write's sequence number.
    pub(crate) fn increment_with_sequence(
        &self,
        key: Key<'_>,
        delta: i64,
        durability: Durability,
    ) -> Result<(i64, u64)> {
        self.write_alone(key.bytes.len(), durability, |instance, durability| {
            let (sum, sequence) = instance.increment(key, delta, durability)?;
            Ok(((sum, sequence), sequence))
        })
    }

    /// The bucket of this name, which is made where there is none. It is durable when the call returns. A name has 1 to
    /// 255 bytes and no control characters.
    pub fn create_bucket(&self, name: &str) -> Result<Bucket> {
        if let Some(bucket) = self.bucket(name)? {
            return Ok(bucket);
        }
        self.write_alone(name.len(), Durability::Synced, |instance, _| {
            Ok((instance.create_bucket(name)?, instance.last_sequence()?))
        })
    }

    /// Drops the bucket of this name with all that it holds; durable when the call returns. Snapshots and cursors that saw
    /// it still do. Its space comes back by maintenance. Returns whether there was one.
    ///
    /// `InvalidArgument` for the default bucket.
    pub fn drop_bucket(&self, name: &str) -> Result<bool> {
        self.write_alone(name.len(), Durability::Synced, |instance, _| {
            Ok((instance.drop_bucket(name)?, instance.last_sequence()?))
        })
    }

    /// The bucket of this name, if there is one.
    pub fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        self.read(|instance| instance.bucket(name))
    }

    /// All buckets, in the order of their numbers: the default one first.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>> {
        self.read(Instance::buckets)
    }

    /// Applies the operations of `batch` as one atomic write: all of them or none survive a crash. Returns the
    /// sequence number of the last one. An empty batch changes nothing.
    pub fn write(&self, batch: &Batch, durability: Durability) -> Result<u64> {
        let _timed = self.latencies().put.time();
        self.shared().pace.before_write(batch.as_packed().len());
        if let Some(mut turn) = self.shared().free_turn(durability) {
            match turn.write(self.readers(), durability, |instance| instance.write(batch, durability)) {
                Err(Error::Busy(_)) if self.has_workers() => {}
                written => return written,
            }
        }
        self.queue(batch.clone(), durability)
    }

    /// Reads a range, in the state of this moment.
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Scan> {
        self.read_anywhere(
            |reader| reader.scan(range.clone(), options),
            |instance| {
                let cursor = instance.scan(range.clone(), options)?;
                Ok(Scan::new(self.clone(), cursor, options.keys_only))
            },
        )
    }

    /// The first `limit` entries from `start` (inclusive) to `end` (exclusive), in one call.
    pub fn read_key_range(
        &self,
        bucket: Bucket,
        start: &[u8],
        end: &[u8],
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.read_anywhere(
            |reader| reader.read_key_range(bucket, start, end, limit),
            |instance| instance.read_key_range(bucket, start, end, limit),
        )
    }

    /// Pins the latest state, to read from it later.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let (handle, sequence) = self.read(|instance| {
            let handle = instance.snapshot()?;
            let sequence = instance.snapshot_sequence(&handle)?;
            Ok((handle, sequence))
        })?;
        Ok(Snapshot::new(self.clone(), handle, sequence))
    }

    /// Makes every write acknowledged before this call durable.
    pub fn sync(&self) -> Result<()> {
        let _timed = self.latencies().sync.time();
        self.hand_over(Instance::sync)
    }

    /// Hands deferred writes to the operating system.
    pub fn flush_deferred(&self) -> Result<()> {
        self.hand_over(Instance::flush_deferred)
    }

    /// What the store holds and has done, as a JSON object; cheap enough to ask every second.
    pub fn stats(&self) -> Result<String> {
        let component = self.shared().turn().instance.stats()?;
        self.shared().with_own_stats(&component)
    }

    /// What recovery found when the store was opened, as a JSON object.
    pub fn recovery_report(&self) -> Result<String> {
        self.read(Instance::recovery_report)
    }

    /// Seals the memtable and writes it and all sealed ones to tables, now.
    pub fn flush(&self) -> Result<()> {
        self.shared().when_not_busy(self.has_workers(), Instance::flush)
    }

    /// Does flush and compaction work in a slice of about `budget_bytes`.
    pub fn maintain(&self, budget_bytes: u64) -> Result<Progress> {
        self.read(|instance| instance.maintain(budget_bytes))
    }

    /// Says that nothing is going to be written for a while, which the store else takes for granted when nothing was
    /// written for a second: a memtable of 1 MiB or more is sealed, to be flushed next, and, until the next write, a merge
    /// of level 0 is due that costs little for what it saves reads. Returns whether there is anything to do that there
    /// was not before.
    pub fn rest(&self) -> Result<bool> {
        let more = self.shared().when_not_busy(self.has_workers(), |instance| instance.rest(REST_BYTES))?;
        if more {
            self.shared().turn().wake();
        }
        Ok(more)
    }

    /// Merges the whole store into its deepest level, in a slice of about `budget_bytes`: call it until there is no
    /// more to do. Other threads get their turn between the slices.
    pub fn compact(&self, budget_bytes: u64) -> Result<Progress> {
        self.shared().when_not_busy(self.has_workers(), |instance| instance.compact(budget_bytes))
    }

    /// What waits to be done in the background.
    pub fn pressure(&self) -> Result<Pressure> {
        self.read(Instance::pressure)
    }

    /// Reads every file and checks every checksum, every order and every reference. Other threads wait meanwhile.
    pub fn verify(&self) -> Result<Verification> {
        self.read(Instance::verify)
    }

    /// Copies everything that was acknowledged before this call into the directory `to`, which must not be there or be
    /// empty: a store of its own. Other threads go on meanwhile. [`Reader::backup`] says more.
    pub fn backup(&self, to: impl AsRef<Path>, hard_links: bool) -> Result<Backup> {
        self.flush_deferred()?;
        self.readers().open_reader()?.backup(to, hard_links)
    }

    /// Makes everything durable, ends the store and unlocks its directory. Every later call on any clone answers
    /// `Reopen`.
    pub fn close(&self) -> Result<()> {
        self.shared().closed.store(true, Ordering::Release);
        // First the workers, so that what they have in hand is not begun again at the next open.
        self.handle.stop_workers();
        let closed = self.shared().turn().instance.close();
        if let Some(chores) = &self.handle.chores {
            chores.stop();
        }
        closed
    }

    /// Reads in a reader or in the primary, whichever is free (reader_pool.rs).
    fn read_anywhere<T>(
        &self,
        mut in_reader: impl FnMut(&Reader) -> Result<T>,
        in_primary: impl FnOnce(&mut Instance) -> Result<T>,
    ) -> Result<T> {
        let (shared, readers) = (self.shared(), &self.shared().readers);
        if readers.is_empty() || shared.closed.load(Ordering::Acquire) {
            return self.read(in_primary);
        }
        if let Some(answer) = readers.read_current(&mut in_reader) {
            return Ok(answer);
        }
        if let Some(mut turn) = shared.try_turn() {
            turn.calls += 1;
            return in_primary(&mut turn.instance);
        }
        if let Some(answer) = readers.read_in_pause(&mut in_reader) {
            return Ok(answer);
        }
        if let Some(mut turn) = shared.turn_soon() {
            turn.calls += 1;
            return in_primary(&mut turn.instance);
        }
        match readers.read_caught_up(&mut in_reader) {
            Some(answer) => Ok(answer),
            None => self.read(in_primary),
        }
    }

    /// Calls what hands all writes so far to the operating system.
    fn hand_over(&self, call: impl FnOnce(&mut Instance) -> Result<()>) -> Result<()> {
        let mut turn = self.shared().turn();
        turn.calls += 1;
        call(&mut turn.instance)?;
        self.shared().readers.handed_over();
        Ok(())
    }

    /// Calls what changes no data, or needs no place among the writers.
    pub(crate) fn read<T>(&self, call: impl FnOnce(&mut Instance) -> Result<T>) -> Result<T> {
        let mut turn = self.shared().turn();
        turn.calls += 1;
        call(&mut turn.instance)
    }

    pub(crate) fn next_page(&self, cursor: &CursorHandle, max_items: u32, max_bytes: u32) -> Result<Vec<u8>> {
        self.read(|instance| instance.cursor_next_packed(cursor, max_items, max_bytes))
    }

    pub(crate) fn drop_cursor(&self, cursor: CursorHandle) {
        self.shared().turn().instance.drop_cursor(cursor);
    }

    pub(crate) fn drop_snapshot(&self, snapshot: SnapshotHandle) {
        self.shared().turn().instance.drop_snapshot(snapshot);
    }

    /// A write that has to see the store as it is when its turn comes, and cannot be put together with others. `call`
    /// returns an answer and the write's sequence number. Its sync is shared with others all the same.
    fn write_alone<T>(
        &self,
        bytes: usize,
        durability: Durability,
        call: impl Fn(&mut Instance, Durability) -> Result<(T, u64)>,
    ) -> Result<T> {
        let _timed = self.latencies().put.time();
        self.shared().pace.before_write(bytes);
        let free = self.shared().free_turn(durability);
        let (now, then_synced) = match &free {
            Some(_) => (durability, false),
            None if durability == Durability::Synced => (Durability::Buffered, true),
            None => (durability, false),
        };
        let mut turn = free;
        let answer = self.shared().retry_while_busy(self.has_workers(), &mut turn, &mut |turn| {
            let mut answer = None;
            turn.write(self.readers(), now, |instance| {
                let (value, sequence) = call(instance, now)?;
                answer = Some(value);
                Ok(sequence)
            })?;
            Ok(answer.expect("a write that succeeded has an answer"))
        })?;
        drop(turn);
        if then_synced {
            self.queue(Batch::new(), Durability::Synced)?;
        }
        Ok(answer)
    }

    fn queue(&self, batch: Batch, durability: Durability) -> Result<u64> {
        let shared = self.shared();
        let operations = batch.len() as u64;
        let request = Request { packed: batch.into_packed(), operations, durability };
        shared.writers.commit(
            request,
            || Some(shared.turn()),
            |turn, packed, durability| {
                let mut write = |turn: &mut Turn| {
                    turn.write(&shared.readers, durability, |instance| {
                        instance.write_packed(packed, durability)
                    })
                };
                shared.retry_while_busy(self.has_workers(), turn, &mut write)
            },
        )
    }

    fn has_workers(&self) -> bool {
        self.handle.job_pool.is_some()
    }

    fn readers(&self) -> &ReaderPool {
        &self.shared().readers
    }

    fn latencies(&self) -> &Latencies {
        &self.shared().stats.latencies
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl fmt::Debug for KvStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvStore").finish_non_exhaustive()
    }
}

/// What all clones hold; the last one to go drops it.
struct Handle {
    shared: Arc<Shared>,
    chores: Option<Chores>,
    job_pool: Option<JobPool>,
}

impl Handle {
    /// Ends the workers, which do not wait for their rate any more.
    fn stop_workers(&self) {
        if let Some(job_pool) = &self.job_pool {
            self.shared.pace.limiter.end();
            job_pool.stop();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop_workers();
        if let Some(chores) = &self.chores {
            chores.stop();
        }
        // There is nobody left to tell; whoever needs to know calls `close` or `sync`.
        let _ = self.shared.turn().instance.flush_deferred();
    }
}

/// What the clones share with the chores thread.
pub(crate) struct Shared {
    turn: Mutex<Turn>,
    writers: CommitQueue,
    /// How many threads wait for their turn. The lock is not fair, so the chores thread, which could take it again
    /// and again, looks here and steps back.
    wanted: AtomicUsize,
    /// Instances that answer reads.
    pub(crate) readers: ReaderPool,
    /// Whether the store was closed.
    closed: AtomicBool,
    /// How fast writers and workers go.
    pub(crate) pace: Arc<Pace>,
    /// Signalled when a worker has brought a job back.
    pub(crate) job_ended: Condvar,
    pub(crate) stats: HostStats,
}

impl Shared {
    fn new(instance: Instance, pace: Arc<Pace>, readers: ReaderPool) -> Self {
        let turn = Turn { instance, calls: 0, writes: 0, deferred: false, asleep: Vec::new() };
        Self {
            turn: Mutex::new(turn),
            writers: CommitQueue::default(),
            wanted: AtomicUsize::new(0),
            pace,
            readers,
            closed: AtomicBool::new(false),
            job_ended: Condvar::new(),
            stats: HostStats::new(),
        }
    }

    /// The component's figures with those of the host.
    pub(crate) fn with_own_stats(&self, component: &str) -> Result<String> {
        self.stats.add_to(component, self.pace.to_json(), self.readers.to_json())
    }

    /// The instance, as soon as it is free.
    pub(crate) fn turn(&self) -> MutexGuard<'_, Turn> {
        if let Some(turn) = self.try_turn() {
            return turn;
        }
        if let Some(turn) = self.turn_soon() {
            return turn;
        }
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        turn
    }

    /// The instance, if it becomes free within some microseconds.
    fn turn_soon(&self) -> Option<MutexGuard<'_, Turn>> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let turn = spin_for(|| self.try_turn());
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        turn
    }

    /// Calls, and calls again each time a worker has brought a job back, while the store is busy with what workers
    /// have. The turn is given up while it waits.
    fn when_not_busy<T>(&self, workers: bool, mut call: impl FnMut(&mut Instance) -> Result<T>) -> Result<T> {
        let mut turn = Some(self.turn());
        self.retry_while_busy(workers, &mut turn, &mut |turn| {
            turn.calls += 1;
            call(&mut turn.instance)
        })
    }

    fn retry_while_busy<'a, T>(
        &'a self,
        workers: bool,
        turn: &mut Option<MutexGuard<'a, Turn>>,
        call: &mut dyn FnMut(&mut Turn) -> Result<T>,
    ) -> Result<T> {
        loop {
            let mut held = turn.take().unwrap_or_else(|| self.turn());
            match call(&mut held) {
                Err(Error::Busy(_)) if workers => {
                    // Bounded, in case that the worker's word was lost: the call tells again how things are.
                    let waited = self.job_ended.wait_timeout(held, BUSY_WAIT);
                    *turn = Some(waited.unwrap_or_else(PoisonError::into_inner).0);
                }
                outcome => {
                    *turn = Some(held);
                    return outcome;
                }
            }
        }
    }

    /// Whether a thread waits for the instance.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0
    }

    /// The instance for a writer, if it is free and no other writer waits, nor shall be waited for.
    fn free_turn(&self, durability: Durability) -> Option<MutexGuard<'_, Turn>> {
        let joins = durability == Durability::Synced && self.writers.has_companions();
        if !self.writers.is_empty() || joins {
            return None;
        }
        if self.is_wanted() {
            // Whoever writes without pause would else take the lock again before one that waits has seen it free.
            spin_for(|| (!self.is_wanted()).then_some(()));
        }
        self.try_turn()
    }

    fn try_turn(&self) -> Option<MutexGuard<'_, Turn>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            // A panic in the host, in the middle of a call: wasmtime lets nobody into the instance again, and the
            // next call says so.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// So often a thread that waits for its turn looks whether it has come, before it sleeps: some microseconds, in which
/// most calls end. To sleep and be woken takes longer.
const LOOKS: u32 = 64;
/// How long it pauses between two looks, in turns of the processor's own pause.
const PAUSES: u32 = 8;

fn spin_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    (0..LOOKS).find_map(|_| {
        (0..PAUSES).for_each(|_| std::hint::spin_loop());
        look()
    })
}

/// What one thread at a time has.
pub(crate) struct Turn {
    pub(crate) instance: Instance,
    /// The calls so far, so that the chores thread can tell whether the store is idle.
    pub(crate) calls: u64,
    /// The writes among them, so that workers can tell, too.
    pub(crate) writes: u64,
    /// Whether a deferred write may wait to be handed over.
    pub(crate) deferred: bool,
    /// The chores and worker threads that sleep until there is a write.
    pub(crate) asleep: Vec<std::thread::Thread>,
}

impl Turn {
    fn write(
        &mut self,
        readers: &ReaderPool,
        durability: Durability,
        call: impl FnOnce(&mut Instance) -> Result<u64>,
    ) -> Result<u64> {
        self.calls += 1;
        self.writes += 1;
        self.deferred |= durability == Durability::Deferred;
        let written = call(&mut self.instance);
        if let Ok(sequence) = written {
            readers.acknowledge(sequence, durability != Durability::Deferred);
        }
        self.wake();
        written
    }

    /// Wakes the threads that wait for something to do.
    pub(crate) fn wake(&mut self) {
        for thread in self.asleep.drain(..) {
            thread.unpark();
        }
    }
}
