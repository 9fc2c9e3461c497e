//! Follows a store by its files: another instance of the component that reads while a primary writes.

use crate::backup::{self, Backup, Checkpoint};
use crate::bindings::exports::esker::kv::{kv_store, maintenance};
use crate::bucket::{Bucket, BucketInfo, Key};
use crate::convert;
use crate::error::{Error, Result};
use crate::instance::{CursorHandle, Ended, Wasm, in_directory, trap};
use crate::options::{KeyRange, ScanOptions, Verification};
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;
use crate::scan::Scan;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::ResourceAny;

/// Reads a store that a primary has open, in this process or another one, or that nobody has open: it takes no lock,
/// and its sandbox can write nothing.
///
/// It sees the state of one moment, whole batches only, until [`catch_up`](Self::catch_up) moves that moment on: until
/// then it is a snapshot. Each reader is an instance of its own, so that readers on several threads read at the same
/// time, and beside the primary. Clones share one instance; it ends when the last of them and of its scans is dropped.
///
/// # Errors
///
/// Every method answers what the store answers, `Trap` when the component stops in the middle of the call, and `Reopen`
/// after a trap.
#[derive(Clone)]
pub struct Reader {
    instance: Arc<Mutex<ReaderInstance>>,
    dir: Arc<Path>,
}

impl Reader {
    /// Begins to read the store in the directory `dir`. `cache_bytes` is the block cache's size, 96 MiB by default; the
    /// index and filter of every table stay in memory besides, and what the log holds that is not yet in tables.
    ///
    /// # Errors
    ///
    /// `Directory` where it is none or cannot be read, `CannotOpen` where there is no store in it or one of a newer
    /// format, `Corrupt` where the manifest, the log or a table's index is damaged, and those of the file system.
    pub fn open(runtime: &Runtime, dir: impl AsRef<Path>, cache_bytes: Option<u64>) -> Result<Self> {
        Self::open_within(runtime, dir.as_ref(), cache_bytes, None)
    }

    /// The same, in a sandbox that may take so much memory.
    pub(crate) fn open_within(
        runtime: &Runtime,
        dir: &Path,
        cache_bytes: Option<u64>,
        limit_bytes: Option<u64>,
    ) -> Result<Self> {
        let sandbox = Sandbox::for_reader(dir, cache_bytes, limit_bytes);
        let instance = ReaderInstance::open(runtime, &sandbox, cache_bytes)?;
        Ok(Self { instance: Arc::new(Mutex::new(instance)), dir: dir.into() })
    }

    /// Sees what the primary has handed to the operating system by now. Returns the sequence number of the last write
    /// that is seen: a caller that waits for its own write compares it with what that write returned.
    pub fn catch_up(&self) -> Result<u64> {
        self.lock().catch_up()
    }

    /// Sees the writes up to `sequence`, a number that their writer was told, as far as they have been handed to the
    /// operating system; and no later ones, but those that are seen already or stand in tables. Quicker than
    /// [`catch_up`](Self::catch_up) where little is missing; a primary that has taken over in between may not be
    /// noticed. Returns the sequence number of the last write that is seen.
    pub fn catch_up_to(&self, sequence: u64) -> Result<u64> {
        self.lock().catch_up_to(sequence)
    }

    /// The sequence number of the last write that is seen.
    pub fn sequence(&self) -> u64 {
        self.lock().sequence()
    }

    /// The value of `key`.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        self.lock().get(key.into())
    }

    /// The value of `key`, with the sequence number of the write that made it.
    pub fn get_with_sequence<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<(Vec<u8>, u64)>> {
        self.lock().get_with_sequence(key.into())
    }

    /// The values of many keys of a bucket, in their order.
    pub fn get_many<K: AsRef<[u8]>>(&self, bucket: Bucket, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.as_ref().to_vec()).collect();
        self.lock().get_many(bucket, &keys)
    }

    /// Whether `key` is there, without its value.
    pub fn contains<'k>(&self, key: impl Into<Key<'k>>) -> Result<bool> {
        self.lock().contains(key.into())
    }

    /// The bucket of this name, if there is one in what is seen.
    pub fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        self.lock().bucket(name)
    }

    /// The buckets that are seen, in the order of their numbers: the default one first.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>> {
        self.lock().buckets()
    }

    /// Reads a range, in the state that is seen at this moment.
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Scan> {
        let cursor = self.lock().scan(range, options)?;
        Ok(Scan::of_reader(self.clone(), cursor, options.keys_only))
    }

    /// The first `limit` entries from `start` (inclusive) to `end` (exclusive), in one call.
    pub fn read_key_range(
        &self,
        bucket: Bucket,
        start: &[u8],
        end: &[u8],
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.lock().read_key_range(bucket, start, end, limit)
    }

    /// What the reader sees and has done, as a JSON object (docs/stats.md).
    pub fn stats(&self) -> Result<String> {
        self.lock().stats()
    }

    /// Reads every file of the state that is seen and checks every checksum, every order and every reference. A primary
    /// may write meanwhile.
    pub fn verify(&self) -> Result<Verification> {
        self.lock().verify()
    }

    /// Copies the state that is seen, or a later one, into the directory `to`, which must not be there or be empty: a
    /// store of its own. A primary may write meanwhile. With `hard_links` the tables, which never change, are linked
    /// where that is possible: they then take no space, and damage to one is damage to both.
    ///
    /// # Errors
    ///
    /// `Directory` where `to` is not free; `NoSpace` and `Io`; `Busy` where the primary removes files faster than they are
    /// copied. Nothing is left then.
    pub fn backup(&self, to: impl AsRef<Path>, hard_links: bool) -> Result<Backup> {
        backup::make(self, &self.dir, to.as_ref(), hard_links)
    }

    pub(crate) fn checkpoint(&self) -> Result<Checkpoint> {
        self.lock().checkpoint()
    }

    pub(crate) fn next_page(&self, cursor: &CursorHandle, max_items: u32, max_bytes: u32) -> Result<Vec<u8>> {
        self.lock().next_page(cursor, max_items, max_bytes)
    }

    pub(crate) fn drop_cursor(&self, cursor: &CursorHandle) {
        self.lock().drop_cursor(cursor);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ReaderInstance> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one thread at a time has of a [`Reader`].
pub(crate) struct ReaderInstance {
    wasm: Wasm,
    kv: kv_store::Guest,
    maintenance: maintenance::Guest,
    reader: ResourceAny,
    /// The last write that is seen.
    sequence: u64,
    /// Why no further call is possible.
    ended: Ended,
}

type Answer<T> = wasmtime::Result<Result<T, kv_store::Error>>;

impl ReaderInstance {
    fn open(runtime: &Runtime, sandbox: &Sandbox, cache_bytes: Option<u64>) -> Result<Self> {
        check_directory(sandbox.dir())?;
        let mut wasm = sandbox.build(runtime.engine())?;
        let component = runtime.component().instantiate(&mut wasm).map_err(|error| trap(&wasm, &error))?;
        let kv = component.esker_kv_kv_store().clone();
        let maintenance = component.esker_kv_maintenance().clone();
        let opened = kv.call_open_reader(&mut wasm, ".", cache_bytes).map_err(|error| trap(&wasm, &error))?;
        let reader = opened.map_err(|error| in_directory(error.into(), sandbox.dir()))?;
        let mut opened = Self { wasm, kv, maintenance, reader, sequence: 0, ended: Ended::not_yet("reader") };
        opened.sequence = opened.call(|kv, wasm, reader| kv.reader().call_sequence(wasm, reader).map(Ok))?;
        Ok(opened)
    }

    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub fn catch_up(&mut self) -> Result<u64> {
        self.sequence = self.call(|kv, wasm, reader| kv.reader().call_catch_up(wasm, reader))?;
        Ok(self.sequence)
    }

    pub fn catch_up_to(&mut self, sequence: u64) -> Result<u64> {
        self.sequence = self.call(|kv, wasm, reader| kv.reader().call_catch_up_to(wasm, reader, sequence))?;
        Ok(self.sequence)
    }

    pub fn get(&mut self, key: Key<'_>) -> Result<Option<Vec<u8>>> {
        self.call(|kv, wasm, reader| kv.reader().call_get(wasm, reader, key.bucket.number(), key.bytes))
    }

    pub fn get_with_sequence(&mut self, key: Key<'_>) -> Result<Option<(Vec<u8>, u64)>> {
        let (bucket, bytes) = (key.bucket.number(), key.bytes);
        let found =
            self.call(|kv, wasm, reader| kv.reader().call_get_with_sequence(wasm, reader, bucket, bytes))?;
        Ok(found.map(convert::versioned))
    }

    pub fn get_many(&mut self, bucket: Bucket, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        self.call(|kv, wasm, reader| kv.reader().call_get_many(wasm, reader, bucket.number(), keys))
    }

    pub fn contains(&mut self, key: Key<'_>) -> Result<bool> {
        self.call(|kv, wasm, reader| kv.reader().call_contains(wasm, reader, key.bucket.number(), key.bytes))
    }

    fn bucket(&mut self, name: &str) -> Result<Option<Bucket>> {
        let found = self.call(|kv, wasm, reader| kv.reader().call_bucket(wasm, reader, name))?;
        Ok(found.map(Bucket::new))
    }

    fn buckets(&mut self) -> Result<Vec<BucketInfo>> {
        let found = self.call(|kv, wasm, reader| kv.reader().call_buckets(wasm, reader))?;
        Ok(found.into_iter().map(convert::bucket_info).collect())
    }

    pub fn scan(&mut self, range: KeyRange, options: ScanOptions) -> Result<CursorHandle> {
        let bucket = options.bucket.number();
        let (range, options) = (convert::key_range(range), convert::scan_options(options));
        let cursor =
            self.call(|kv, wasm, reader| kv.reader().call_scan(wasm, reader, bucket, &range, options))?;
        Ok(CursorHandle::new(cursor))
    }

    pub fn read_key_range(
        &mut self,
        bucket: Bucket,
        start: &[u8],
        end: &[u8],
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let bucket = bucket.number();
        let entries = self.call(|kv, wasm, reader| {
            kv.reader().call_read_key_range(wasm, reader, bucket, start, end, limit)
        })?;
        Ok(entries.into_iter().map(convert::entry).collect())
    }

    pub fn stats(&mut self) -> Result<String> {
        self.call(|kv, wasm, reader| kv.reader().call_stats(wasm, reader))
    }

    fn checkpoint(&mut self) -> Result<Checkpoint> {
        self.ended.check()?;
        let answer = self.maintenance.call_get_checkpoint(&mut self.wasm, self.reader);
        self.ended.finish(&self.wasm, answer).map(convert::checkpoint)
    }

    fn verify(&mut self) -> Result<Verification> {
        self.ended.check()?;
        let answer = self.maintenance.call_verify_reader(&mut self.wasm, self.reader);
        self.ended.finish(&self.wasm, answer).map(convert::verification)
    }

    fn next_page(&mut self, cursor: &CursorHandle, max_items: u32, max_bytes: u32) -> Result<Vec<u8>> {
        let cursor = cursor.resource();
        self.call(|kv, wasm, _| kv.cursor().call_next_packed(wasm, cursor, max_items, max_bytes))
    }

    fn drop_cursor(&mut self, cursor: &CursorHandle) {
        if self.ended.check().is_ok()
            && let Err(error) = cursor.resource().resource_drop(&mut self.wasm)
        {
            self.ended.by_trap(&self.wasm, &error);
        }
    }

    fn call<T>(
        &mut self,
        function: impl FnOnce(&kv_store::Guest, &mut Wasm, ResourceAny) -> Answer<T>,
    ) -> Result<T> {
        self.ended.check()?;
        let answer = function(&self.kv, &mut self.wasm, self.reader);
        self.ended.finish(&self.wasm, answer)
    }
}

/// Says what is wrong with a directory that cannot be one of a store, in the words of the host's system.
fn check_directory(dir: &Path) -> Result<()> {
    let error = |message: String| Err(Error::Directory { path: dir.to_path_buf(), message });
    match std::fs::read_dir(dir) {
        Ok(_) => Ok(()),
        Err(cause) => match cause.kind() {
            io::ErrorKind::NotFound => error("there is no such directory".into()),
            io::ErrorKind::NotADirectory => error("it is not a directory: a store is a directory".into()),
            io::ErrorKind::PermissionDenied => {
                error(format!("a store's directory must be readable by this user: {cause}"))
            }
            _ => error(format!("it cannot be read: {cause}")),
        },
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
