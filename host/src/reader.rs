//! Follows a store by its files: another instance of the component that reads while a primary writes.

use crate::bindings::exports::esker::kv::kv_store;
use crate::convert;
use crate::error::{Error, Result};
use crate::instance::{CursorHandle, Wasm, trap};
use crate::options::{KeyRange, ScanOptions};
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;
use crate::scan::Scan;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::ResourceAny;

/// Reads a store that a primary has open, in this process or another one, or that nobody has open: it takes no lock,
/// and its sandbox can write nothing.
///
/// It sees the state of one moment, whole batches only, until [`catch_up`](Self::catch_up) moves that moment on. Each
/// reader is an instance of its own, so that readers on several threads read at the same time, and beside the primary.
/// Clones share one instance.
///
/// # Errors
///
/// Every method answers what the store answers, `Trap` when the component stops in the middle of the call, and `Reopen`
/// after a trap.
#[derive(Clone)]
pub struct Reader {
    instance: Arc<Mutex<Instance>>,
}

struct Instance {
    wasm: Wasm,
    kv: kv_store::Guest,
    reader: ResourceAny,
    /// Why no further call is possible.
    ended: Option<String>,
}

impl Reader {
    /// Begins to read the store in the directory `dir`. `cache_bytes` is the block cache's size, 96 MiB by default; the
    /// index and filter of every table stay in memory besides.
    ///
    /// # Errors
    ///
    /// `Directory`, `CannotOpen` where there is no store, and whatever else opening it answers.
    pub fn open(runtime: &Runtime, dir: impl AsRef<Path>, cache_bytes: Option<u64>) -> Result<Self> {
        let sandbox = Sandbox::new(&dir).read_only();
        let mut wasm = sandbox.build(runtime.engine())?;
        let component = runtime.component().instantiate(&mut wasm).map_err(|error| trap(&wasm, &error))?;
        let kv = component.esker_kv_kv_store().clone();
        let opened = kv.call_open_reader(&mut wasm, ".", cache_bytes).map_err(|error| trap(&wasm, &error))?;
        let reader = opened.map_err(Error::from)?;
        let instance = Instance { wasm, kv, reader, ended: None };
        Ok(Self { instance: Arc::new(Mutex::new(instance)) })
    }

    /// Sees what the primary has handed to the operating system by now. Returns the sequence number of the last write
    /// that is seen: a caller that waits for its own write compares it with what that write returned.
    pub fn catch_up(&self) -> Result<u64> {
        self.lock().call(|kv, wasm, reader| kv.reader().call_catch_up(wasm, reader))
    }

    /// What the store holds, as its files say: a JSON object with the members of [`KvStore::stats`](crate::KvStore::stats)
    /// that need no primary (`epoch`, `last_sequence`, `levels`).
    pub fn stats(&self) -> Result<String> {
        self.lock().call(|kv, wasm, reader| kv.reader().call_stats(wasm, reader))
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.lock().call(|kv, wasm, reader| kv.reader().call_get(wasm, reader, key))
    }

    /// Reads a range, in the state that is seen at this moment.
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Scan> {
        let (range, how) = (convert::key_range(range), convert::scan_options(options));
        let cursor = self.lock().call(|kv, wasm, reader| kv.reader().call_scan(wasm, reader, &range, how))?;
        Ok(Scan::of_reader(self.clone(), CursorHandle::new(cursor), options.keys_only))
    }

    pub(crate) fn next_page(&self, cursor: &CursorHandle, max_items: u32, max_bytes: u32) -> Result<Vec<u8>> {
        let cursor = cursor.resource();
        self.lock().call(|kv, wasm, _| kv.cursor().call_next_packed(wasm, cursor, max_items, max_bytes))
    }

    pub(crate) fn drop_cursor(&self, cursor: CursorHandle) {
        let mut instance = self.lock();
        if instance.ended.is_none()
            && let Err(error) = cursor.resource().resource_drop(&mut instance.wasm)
        {
            instance.end_by(&error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Instance> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Instance {
    fn call<T>(
        &mut self,
        function: impl FnOnce(
            &kv_store::Guest,
            &mut Wasm,
            ResourceAny,
        ) -> wasmtime::Result<Result<T, kv_store::Error>>,
    ) -> Result<T> {
        if let Some(why) = &self.ended {
            return Err(Error::Reopen(why.clone()));
        }
        match function(&self.kv, &mut self.wasm, self.reader) {
            Ok(answer) => answer.map_err(Error::from),
            Err(error) => Err(self.end_by(&error)),
        }
    }

    fn end_by(&mut self, error: &wasmtime::Error) -> Error {
        let error = trap(&self.wasm, error);
        self.ended = Some(format!("{error}; open the reader anew"));
        error
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
