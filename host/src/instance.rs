//! One running instance of the component with one open store in it: a typed method for each function of the
//! contract. The fast path for embedders with one thread; [`KvStore`](crate::KvStore) is for many.

use crate::batch::Batch;
use crate::bindings::exports::esker::kv::{kv_store, maintenance};
use crate::bucket::{Bucket, BucketInfo, Key};
use crate::condition::Condition;
use crate::convert;
use crate::dir_lock::DirLock;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::options::{
    Durability, JobKinds, KeyRange, Options, Pressure, Progress, ScanOptions, Verification,
};
use crate::runtime::Runtime;
use crate::sandbox::{Sandbox, SandboxState};
use std::fmt;
use std::path::Path;
use wasmtime::component::ResourceAny;

pub(crate) type Wasm = wasmtime::Store<SandboxState>;
type Answer<T> = wasmtime::Result<Result<T, kv_store::Error>>;

/// An open store in a sandbox, to be driven by one thread at a time.
///
/// It does nothing on its own: whoever has it calls [`maintain`](Self::maintain) now and then, and
/// [`flush_deferred`](Self::flush_deferred) in time. Dropping it without [`close`](Self::close) is a crash as far as
/// deferred writes are concerned.
///
/// # Errors
///
/// Every method answers what the store answers, `Trap` when the component stops in the middle of the call, and
/// `Reopen` after a trap or after `close`.
pub struct Instance {
    wasm: Wasm,
    kv: kv_store::Guest,
    maintenance: maintenance::Guest,
    store: ResourceAny,
    /// Why no further call is possible.
    ended: Ended,
    lock: Option<DirLock>,
}

/// A cursor of an [`Instance`]; give it back by [`Instance::drop_cursor`].
#[derive(Debug)]
pub struct CursorHandle(ResourceAny);

impl CursorHandle {
    pub(crate) fn new(cursor: ResourceAny) -> Self {
        Self(cursor)
    }

    pub(crate) fn resource(&self) -> ResourceAny {
        self.0
    }
}

/// A snapshot of an [`Instance`]; give it back by [`Instance::drop_snapshot`].
#[derive(Debug)]
pub struct SnapshotHandle(ResourceAny);

/// Why an instance of the component takes no further call, if it does not: a trap has ended it, or somebody has.
pub(crate) struct Ended {
    why: Option<String>,
    /// What has to be opened anew.
    what: &'static str,
}

impl Ended {
    pub(crate) fn not_yet(what: &'static str) -> Self {
        Self { why: None, what }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match &self.why {
            None => Ok(()),
            Some(why) => Err(Error::Reopen(why.clone())),
        }
    }

    /// What a call has come to.
    pub(crate) fn finish<T>(&mut self, wasm: &Wasm, answer: Answer<T>) -> Result<T> {
        match answer {
            Ok(result) => result.map_err(Error::from),
            Err(error) => Err(self.by_trap(wasm, &error)),
        }
    }

    /// After a trap wasmtime lets nobody into the instance again.
    #[cold]
    pub(crate) fn by_trap(&mut self, wasm: &Wasm, error: &wasmtime::Error) -> Error {
        let error = trap(wasm, error);
        self.why = Some(format!("{error}; open the {} anew", self.what));
        error
    }
}

impl Instance {
    /// Locks the directory `dir`, opens the store in it and recovers it. The directory is made if it is missing,
    /// unless [`Options::create_if_missing`] is `Some(false)`.
    ///
    /// # Errors
    ///
    /// `Directory`, `Locked`, and whatever opening the store answers.
    pub fn open(runtime: &Runtime, dir: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let lock = DirLock::acquire(&dir, options.create_if_missing != Some(false))?;
        let sandbox = Sandbox::for_store(dir, options);
        match Self::open_in(runtime, &sandbox, options) {
            Ok(instance) => Ok(Self { lock: Some(lock), ..instance }),
            Err(error) => {
                lock.discard();
                Err(error)
            }
        }
    }

    /// Opens the store in the directory of `sandbox` without a lock: the caller answers for it that no other
    /// instance has the store open.
    ///
    /// # Errors
    ///
    /// Whatever opening the store answers.
    pub fn open_in(runtime: &Runtime, sandbox: &Sandbox, options: &Options) -> Result<Self> {
        let mut wasm = sandbox.build(runtime.engine())?;
        let component = runtime.component().instantiate(&mut wasm).map_err(|error| trap(&wasm, &error))?;
        let kv = component.esker_kv_kv_store().clone();
        let maintenance = component.esker_kv_maintenance().clone();
        let opened =
            kv.call_open(&mut wasm, ".", convert::options(options)).map_err(|error| trap(&wasm, &error))?;
        let store = opened.map_err(|error| in_directory(error.into(), sandbox.dir()))?;
        Ok(Self { wasm, kv, maintenance, store, ended: Ended::not_yet("store"), lock: None })
    }

    /// The value of `key` in the latest state.
    pub fn get<'k>(&mut self, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        let Key { bucket, bytes } = key.into();
        self.call(|kv, wasm, store| kv.store().call_get(wasm, store, bucket.number(), bytes))
    }

    /// The value of `key` in the latest state, with the sequence number of the write that made it.
    pub fn get_with_sequence<'k>(&mut self, key: impl Into<Key<'k>>) -> Result<Option<(Vec<u8>, u64)>> {
        let Key { bucket, bytes } = key.into();
        let found = self
            .call(|kv, wasm, store| kv.store().call_get_with_sequence(wasm, store, bucket.number(), bytes))?;
        Ok(found.map(convert::versioned))
    }

    /// The values of many keys of a bucket, in their order, all from one state.
    pub fn get_many(&mut self, bucket: Bucket, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        self.call(|kv, wasm, store| kv.store().call_get_many(wasm, store, bucket.number(), keys))
    }

    /// Whether `key` is there, without its value.
    pub fn contains<'k>(&mut self, key: impl Into<Key<'k>>) -> Result<bool> {
        let Key { bucket, bytes } = key.into();
        self.call(|kv, wasm, store| kv.store().call_contains(wasm, store, bucket.number(), bytes))
    }

    /// Sets `key` to `value`. Returns the write's sequence number.
    pub fn put<'k>(&mut self, key: impl Into<Key<'k>>, value: &[u8], durability: Durability) -> Result<u64> {
        let Key { bucket, bytes } = key.into();
        let durability = convert::durability(durability);
        self.call(|kv, wasm, store| {
            kv.store().call_put(wasm, store, bucket.number(), bytes, value, durability)
        })
    }

    /// Removes `key`. Returns the write's sequence number.
    pub fn delete<'k>(&mut self, key: impl Into<Key<'k>>, durability: Durability) -> Result<u64> {
        let Key { bucket, bytes } = key.into();
        let durability = convert::durability(durability);
        self.call(|kv, wasm, store| kv.store().call_delete(wasm, store, bucket.number(), bytes, durability))
    }

    /// Applies the operations of `batch` if every condition holds in the latest state; else the error is
    /// `ConditionFailed`. Returns the sequence number of the last operation.
    pub fn write_if(
        &mut self,
        batch: &Batch,
        conditions: &[Condition<'_>],
        durability: Durability,
    ) -> Result<u64> {
        let conditions: Vec<_> = conditions.iter().map(convert::condition).collect();
        let durability = convert::durability(durability);
        self.call(|kv, wasm, store| {
            kv.store().call_write_packed_if(wasm, store, batch.as_packed(), &conditions, durability)
        })
    }

    /// Adds `delta` to the number that `key` holds in decimal digits; an absent key counts as 0. Returns the sum, which
    /// the key then holds, and the write's sequence number.
    pub fn increment<'k>(
        &mut self,
        key: impl Into<Key<'k>>,
        delta: i64,
        durability: Durability,
    ) -> Result<(i64, u64)> {
        let Key { bucket, bytes } = key.into();
        let durability = convert::durability(durability);
        self.call(|kv, wasm, store| {
            kv.store().call_increment(wasm, store, bucket.number(), bytes, delta, durability)
        })
    }

    /// The bucket of this name, which is made where there is none. It is durable then.
    pub fn create_bucket(&mut self, name: &str) -> Result<Bucket> {
        self.call(|kv, wasm, store| kv.store().call_create_bucket(wasm, store, name)).map(Bucket::new)
    }

    /// As [`KvStore::drop_bucket`](crate::KvStore::drop_bucket).
    pub fn drop_bucket(&mut self, name: &str) -> Result<bool> {
        self.call(|kv, wasm, store| kv.store().call_drop_bucket(wasm, store, name))
    }

    /// The bucket of this name, if there is one.
    pub fn bucket(&mut self, name: &str) -> Result<Option<Bucket>> {
        let found = self.call(|kv, wasm, store| kv.store().call_bucket(wasm, store, name))?;
        Ok(found.map(Bucket::new))
    }

    /// All buckets, in the order of their numbers: the default one first.
    pub fn buckets(&mut self) -> Result<Vec<BucketInfo>> {
        let found = self.call(|kv, wasm, store| kv.store().call_buckets(wasm, store))?;
        Ok(found.into_iter().map(convert::bucket_info).collect())
    }

    /// Applies the operations of `batch` as one atomic write. Returns the sequence number of the last one.
    pub fn write(&mut self, batch: &Batch, durability: Durability) -> Result<u64> {
        self.write_packed(batch.as_packed(), durability)
    }

    /// [`write`](Self::write) of a batch in its packed form, as `wit/esker.wit` describes it.
    pub fn write_packed(&mut self, operations: &[u8], durability: Durability) -> Result<u64> {
        let durability = convert::durability(durability);
        self.call(|kv, wasm, store| kv.store().call_write_packed(wasm, store, operations, durability))
    }

    /// Starts to read a range page by page.
    pub fn scan(&mut self, range: KeyRange, options: ScanOptions) -> Result<CursorHandle> {
        let bucket = options.bucket.number();
        let (range, options) = (convert::key_range(range), convert::scan_options(options));
        self.call(|kv, wasm, store| kv.store().call_scan(wasm, store, bucket, &range, options))
            .map(CursorHandle)
    }

    /// The next entries of a scan: at most `max_items`, and no more after `max_bytes` have been gathered (but at
    /// least one). Nothing means the end.
    pub fn cursor_next(
        &mut self,
        cursor: &CursorHandle,
        max_items: u32,
        max_bytes: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let page = self.call(|kv, wasm, _| kv.cursor().call_next(wasm, cursor.0, max_items, max_bytes))?;
        Ok(page.into_iter().map(convert::entry).collect())
    }

    /// [`cursor_next`](Self::cursor_next) in packed form, as `wit/esker.wit` describes it.
    pub fn cursor_next_packed(
        &mut self,
        cursor: &CursorHandle,
        max_items: u32,
        max_bytes: u32,
    ) -> Result<Vec<u8>> {
        self.call(|kv, wasm, _| kv.cursor().call_next_packed(wasm, cursor.0, max_items, max_bytes))
    }

    /// Gives a cursor back, and with it the files that it pins.
    pub fn drop_cursor(&mut self, cursor: CursorHandle) {
        self.drop_resource(cursor.0);
    }

    /// The first `limit` entries from `start` (inclusive) to `end` (exclusive), in one call.
    pub fn read_key_range(
        &mut self,
        bucket: Bucket,
        start: &[u8],
        end: &[u8],
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let bucket = bucket.number();
        let entries = self
            .call(|kv, wasm, store| kv.store().call_read_key_range(wasm, store, bucket, start, end, limit))?;
        Ok(entries.into_iter().map(convert::entry).collect())
    }

    /// Pins the latest state, to read from it later.
    pub fn snapshot(&mut self) -> Result<SnapshotHandle> {
        self.call(|kv, wasm, store| kv.store().call_snapshot(wasm, store)).map(SnapshotHandle)
    }

    /// The sequence number of the last write that a snapshot sees.
    pub fn snapshot_sequence(&mut self, snapshot: &SnapshotHandle) -> Result<u64> {
        self.call(|kv, wasm, _| kv.snapshot().call_sequence(wasm, snapshot.0).map(Ok))
    }

    /// The value of `key` in the state of a snapshot.
    pub fn snapshot_get<'k>(
        &mut self,
        snapshot: &SnapshotHandle,
        key: impl Into<Key<'k>>,
    ) -> Result<Option<Vec<u8>>> {
        let Key { bucket, bytes } = key.into();
        self.call(|kv, wasm, _| kv.snapshot().call_get(wasm, snapshot.0, bucket.number(), bytes))
    }

    /// The buckets of a snapshot's state.
    pub fn snapshot_buckets(&mut self, snapshot: &SnapshotHandle) -> Result<Vec<BucketInfo>> {
        let found = self.call(|kv, wasm, _| kv.snapshot().call_buckets(wasm, snapshot.0))?;
        Ok(found.into_iter().map(convert::bucket_info).collect())
    }

    /// Starts to read a range of a snapshot's state page by page.
    pub fn snapshot_scan(
        &mut self,
        snapshot: &SnapshotHandle,
        range: KeyRange,
        options: ScanOptions,
    ) -> Result<CursorHandle> {
        let bucket = options.bucket.number();
        let (range, options) = (convert::key_range(range), convert::scan_options(options));
        self.call(|kv, wasm, _| kv.snapshot().call_scan(wasm, snapshot.0, bucket, &range, options))
            .map(CursorHandle)
    }

    /// Gives a snapshot back, so that compaction need no longer keep what only it can see.
    pub fn drop_snapshot(&mut self, snapshot: SnapshotHandle) {
        self.drop_resource(snapshot.0);
    }

    /// The sequence number of the last write.
    pub fn last_sequence(&mut self) -> Result<u64> {
        let snapshot = self.snapshot()?;
        let sequence = self.snapshot_sequence(&snapshot);
        self.drop_snapshot(snapshot);
        sequence
    }

    /// Makes every write so far durable.
    pub fn sync(&mut self) -> Result<()> {
        self.call(|kv, wasm, store| kv.store().call_sync(wasm, store))
    }

    /// Hands deferred writes to the operating system.
    pub fn flush_deferred(&mut self) -> Result<()> {
        self.call(|kv, wasm, store| kv.store().call_flush_deferred(wasm, store))
    }

    /// What the store holds and has done, as a JSON object.
    pub fn stats(&mut self) -> Result<String> {
        self.call(|kv, wasm, store| kv.store().call_stats(wasm, store))
    }

    /// Tells other processes the store's figures, which [`Published::read`](crate::Published::read) finds. Nothing
    /// happens where the instance has no lock.
    pub fn publish(&self, stats: &str) {
        if let Some(lock) = &self.lock {
            lock.publish(stats);
        }
    }

    /// Makes everything durable and ends the store: every later call answers `Reopen`. The directory is unlocked.
    pub fn close(&mut self) -> Result<()> {
        let closed = self.call(|kv, wasm, store| kv.store().call_close(wasm, store));
        if self.is_usable() {
            self.ended.why = Some("the store was closed: open it anew".into());
        }
        self.lock = None;
        closed
    }

    /// Does flush and compaction work in a slice of about `budget_bytes`.
    pub fn maintain(&mut self, budget_bytes: u64) -> Result<Progress> {
        self.maintenance_call(|on, wasm, store| on.call_maintain(wasm, store, budget_bytes))
            .map(convert::progress)
    }

    /// What waits to be done.
    pub fn pressure(&mut self) -> Result<Pressure> {
        self.maintenance_call(|on, wasm, store| on.call_get_pressure(wasm, store)).map(convert::pressure)
    }

    /// Nothing was written for a while: seals the memtable if it holds at least `min_bytes` and is not empty, so that it is
    /// flushed next, and, until the next write, counts a merge of level 0 as due that costs little for what it saves
    /// reads. Returns whether there is anything to do that there was not before.
    pub fn rest(&mut self, min_bytes: u64) -> Result<bool> {
        self.maintenance_call(|on, wasm, store| on.call_rest(wasm, store, min_bytes))
    }

    /// Seals the memtable and writes it and all sealed ones to tables, now.
    pub fn flush(&mut self) -> Result<()> {
        self.maintenance_call(|on, wasm, store| on.call_flush(wasm, store))
    }

    /// Merges the whole store into its deepest level, in a slice of about `budget_bytes`: call it until there is no
    /// more to do.
    pub fn compact(&mut self, budget_bytes: u64) -> Result<Progress> {
        self.maintenance_call(|on, wasm, store| on.call_compact(wasm, store, budget_bytes))
            .map(convert::progress)
    }

    /// Says whether workers take jobs. While they do, writes do no maintenance of their own; one that would have to
    /// wait for a job that a worker has is refused as `Busy`.
    pub fn set_helped(&mut self, helped: bool) -> Result<()> {
        self.maintenance_call(|on, wasm, store| on.call_set_helped(wasm, store, helped))
    }

    /// Gives away the most urgent job of these kinds that nobody has, for [`Worker::run`](crate::Worker::run). It comes
    /// back by [`finish_job`](Self::finish_job) or [`abandon_job`](Self::abandon_job).
    pub fn take_job(&mut self, kinds: JobKinds) -> Result<Option<Job>> {
        let kinds = convert::job_kinds(kinds);
        let job = self.maintenance_call(|on, wasm, store| on.call_take_job(wasm, store, kinds))?;
        Ok(job.map(convert::job))
    }

    /// Makes a job's outcome part of the store. One that is none of a job that is out is refused as `InvalidArgument`,
    /// and the job stays out.
    pub fn finish_job(&mut self, outcome: &[u8]) -> Result<()> {
        self.maintenance_call(|on, wasm, store| on.call_finish_job(wasm, store, outcome))
    }

    /// Gives up the job with this id, whose worker has failed with `reason`, or is gone. The store begins the work again.
    pub fn abandon_job(&mut self, job: u64, reason: Option<&str>) -> Result<()> {
        self.maintenance_call(|on, wasm, store| on.call_abandon_job(wasm, store, job, reason))
    }

    /// Reads every file and checks every checksum, every order and every reference.
    pub fn verify(&mut self) -> Result<Verification> {
        self.maintenance_call(|on, wasm, store| on.call_verify(wasm, store)).map(convert::verification)
    }

    /// What recovery found when the store was opened, as a JSON object.
    pub fn recovery_report(&mut self) -> Result<String> {
        self.maintenance_call(|on, wasm, store| on.call_recovery_report(wasm, store))
    }

    /// Whether calls are still possible: the component has not trapped, and the store was not closed.
    pub fn is_usable(&self) -> bool {
        self.ended.why.is_none()
    }

    fn call<T>(
        &mut self,
        function: impl FnOnce(&kv_store::Guest, &mut Wasm, ResourceAny) -> Answer<T>,
    ) -> Result<T> {
        self.ended.check()?;
        let answer = function(&self.kv, &mut self.wasm, self.store);
        self.ended.finish(&self.wasm, answer)
    }

    fn maintenance_call<T>(
        &mut self,
        function: impl FnOnce(&maintenance::Guest, &mut Wasm, ResourceAny) -> Answer<T>,
    ) -> Result<T> {
        self.ended.check()?;
        let answer = function(&self.maintenance, &mut self.wasm, self.store);
        self.ended.finish(&self.wasm, answer)
    }

    fn drop_resource(&mut self, resource: ResourceAny) {
        if !self.is_usable() {
            return;
        }
        if let Err(error) = resource.resource_drop(&mut self.wasm) {
            self.ended.by_trap(&self.wasm, &error);
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("lock", &self.lock)
            .field("ended", &self.ended.why)
            .finish_non_exhaustive()
    }
}

/// What is known about a call that did not come back.
pub(crate) fn trap(wasm: &Wasm, error: &wasmtime::Error) -> Error {
    let refused = wasm.data().denied_memory().map(|(denied, limit)| {
        format!(
            "it asked for {denied} bytes of memory, and its limit is {limit}: give the store a higher limit, or less \
             memory to plan with"
        )
    });
    let words = Some(wasm.data().last_words()).filter(|words| !words.is_empty());
    Error::Trap(match (words, refused) {
        (None, None) => format!("{error:?}"),
        (None, Some(refused)) => refused,
        (Some(words), None) => words,
        (Some(words), Some(refused)) => format!("{words} ({refused})"),
    })
}

/// The store knows its directory as "."; the caller knows it by its path.
pub(crate) fn in_directory(error: Error, dir: &Path) -> Error {
    match error {
        Error::CannotOpen(message) => Error::CannotOpen(format!("{}: {message}", dir.display())),
        other => other,
    }
}
