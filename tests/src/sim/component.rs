//! The shipped component as a [`Platform`]: each primary, reader and worker is an instance of its own, and the files
//! in memory are all that they share.

use std::cell::Cell;
use std::rc::Rc;

use esker_engine::env::ManualClock;
use esker_engine::{
    Batch, Bucket, Checkpoint, Condition, ConditionalWrite, Durability, Job, Key, KeyRange, Kinds, Options,
    Pressure, Progress, Result, ScanOptions, Verification,
};
use wasmtime::component::ResourceAny;

use super::bindings::esker::kv::types::Error as WitError;
use super::convert;
use super::host::{Birth, Deaths, Files, Instance, Quirks};
use crate::platform::{Cursor, Entry, Platform, Reader, Store, Worker, read_file};
use crate::rounds::{Machine, Simulated, Trouble};
use crate::seed::Rng;

/// The memory that a worker has for open tables.
const WORKER_BYTES: u64 = 100_000;

/// The component on a simulated machine.
#[derive(Clone)]
pub struct Component {
    files: Files,
    quirks: Quirks,
    /// Where the chance of the next instance's host comes from.
    seed: Rc<Cell<u64>>,
    deaths: Rc<Deaths>,
}

impl Component {
    /// The component over these files, in a host with these quirks.
    pub fn new(files: Files, quirks: Quirks, seed: u64) -> Self {
        Self { files, quirks, seed: Rc::new(Cell::new(seed)), deaths: Rc::default() }
    }

    /// How instances die beside with their machine.
    pub fn deaths(&self) -> &Rc<Deaths> {
        &self.deaths
    }

    fn instance(&self, clock: &ManualClock, dies_at: Option<u64>) -> Result<Instance> {
        self.seed.set(self.seed.get().wrapping_add(1));
        Instance::new(Birth {
            files: self.files.clone(),
            quirks: self.quirks,
            clock: clock.clone(),
            seed: self.seed.get(),
            dies_at,
            deaths: Rc::clone(&self.deaths),
        })
    }
}

impl Simulated for Component {
    fn on(machine: Machine, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let quirks = Quirks { short_percent: rng.pick(&[0, 5, 50]), has_links: rng.percent(50) };
        Self::new(machine, quirks, rng.next_u64())
    }

    fn moved_to(&self, machine: Machine) -> Self {
        Self { files: machine, deaths: Rc::default(), ..self.clone() }
    }

    fn arm(&self, trouble: Trouble) {
        match trouble {
            Trouble::Fuel(fuel) => self.deaths.fuel.set(Some(fuel)),
            Trouble::Memory(growth) => self.deaths.growth.set(Some(growth)),
            Trouble::None | Trouble::Crash(_) | Trouble::Fault(_) | Trouble::Full(_) => {}
        }
    }

    fn disarm(&self) {
        self.deaths.fuel.take();
        self.deaths.growth.take();
    }

    fn deaths(&self) -> u64 {
        self.deaths.count.get()
    }
}

impl Platform for Component {
    type Store = ComponentStore;
    type Reader = ComponentReader;

    fn open_store(&self, clock: &ManualClock, options: &Options) -> Result<ComponentStore> {
        let instance = self.instance(clock, None)?;
        let options = convert::options(options);
        let store = instance.call(|live| live.kv.call_open(&mut live.wasm, ".", options))?;
        Ok(ComponentStore { instance, store })
    }

    fn open_reader(&self, options: &Options) -> Result<ComponentReader> {
        let instance = self.instance(&ManualClock::new(), None)?;
        let reader =
            instance.call(|live| live.kv.call_open_reader(&mut live.wasm, ".", options.cache_bytes))?;
        Ok(ComponentReader { instance, reader })
    }

    fn read_file(&self, name: &str, bytes: u64) -> Result<Vec<u8>> {
        read_file(&self.files, name, bytes)
    }

    fn run_job(&self, job: &[u8], worker: Worker) -> Result<Vec<u8>> {
        let instance = self.instance(&ManualClock::new(), worker.dies_at)?;
        if worker.slice_bytes == u64::MAX {
            return instance
                .call(|live| live.maintenance.call_run_job(&mut live.wasm, ".", job, WORKER_BYTES));
        }
        let running =
            instance.call(|live| live.maintenance.call_start_job(&mut live.wasm, ".", job, WORKER_BYTES))?;
        let step = || {
            instance.call(|live| {
                let running_job = live.maintenance.running_job();
                running_job.call_step(&mut live.wasm, running, worker.slice_bytes)
            })
        };
        loop {
            if let Some(result) = step()? {
                return Ok(result);
            }
        }
    }
}

/// A primary in an instance of its own.
pub struct ComponentStore {
    instance: Instance,
    store: ResourceAny,
}

/// A cursor of a primary or a reader.
pub struct ComponentCursor {
    instance: Instance,
    cursor: ResourceAny,
    keys_only: bool,
    /// Pages are asked for in one form and the other in turn.
    packed: bool,
}

/// A snapshot of a primary.
pub struct ComponentSnapshot {
    instance: Instance,
    snapshot: ResourceAny,
}

impl ComponentStore {
    fn cursor(&self, cursor: ResourceAny, options: ScanOptions) -> ComponentCursor {
        ComponentCursor {
            instance: self.instance.clone(),
            cursor,
            keys_only: options.keys_only,
            packed: options.reverse,
        }
    }
}

impl Store for ComponentStore {
    type Snapshot = ComponentSnapshot;
    type Cursor = ComponentCursor;

    fn put(&mut self, key: Key<'_>, value: &[u8], durability: Durability) -> Result<u64> {
        let durability = convert::durability(durability);
        self.instance.call(|live| {
            let (bucket, key) = (key.bucket.number(), key.bytes);
            live.kv.store().call_put(&mut live.wasm, self.store, bucket, key, value, durability)
        })
    }

    fn delete(&mut self, key: Key<'_>, durability: Durability) -> Result<u64> {
        let durability = convert::durability(durability);
        self.instance.call(|live| {
            let (bucket, key) = (key.bucket.number(), key.bytes);
            live.kv.store().call_delete(&mut live.wasm, self.store, bucket, key, durability)
        })
    }

    fn write(&mut self, batch: &Batch, durability: Durability) -> Result<u64> {
        let durability = convert::durability(durability);
        if batch.as_packed().len().is_multiple_of(2) {
            let packed = batch.as_packed();
            return self.instance.call(|live| {
                live.kv.store().call_write_packed(&mut live.wasm, self.store, packed, durability)
            });
        }
        let operations = convert::operations(batch);
        self.instance
            .call(|live| live.kv.store().call_write(&mut live.wasm, self.store, &operations, durability))
    }

    fn write_if(
        &mut self,
        batch: &Batch,
        conditions: &[Condition<'_>],
        durability: Durability,
    ) -> Result<ConditionalWrite> {
        let durability = convert::durability(durability);
        let conditions: Vec<_> = conditions.iter().map(convert::condition).collect();
        let (operations, packed) = (convert::operations(batch), batch.as_packed());
        self.instance.call(|live| {
            let (store, wasm) = (live.kv.store(), &mut live.wasm);
            let answer = if packed.len().is_multiple_of(2) {
                store.call_write_packed_if(wasm, self.store, packed, &conditions, durability)?
            } else {
                store.call_write_if(wasm, self.store, &operations, &conditions, durability)?
            };
            Ok(match answer {
                Err(WitError::ConditionFailed(places)) => {
                    Ok(ConditionalWrite::Failed(places.into_iter().map(|place| place as usize).collect()))
                }
                answer => answer.map(ConditionalWrite::Written),
            })
        })
    }

    fn increment(&mut self, key: Key<'_>, delta: i64, durability: Durability) -> Result<(i64, u64)> {
        let durability = convert::durability(durability);
        self.instance.call(|live| {
            let (bucket, key) = (key.bucket.number(), key.bytes);
            live.kv.store().call_increment(&mut live.wasm, self.store, bucket, key, delta, durability)
        })
    }

    fn create_bucket(&mut self, name: &str) -> Result<Bucket> {
        let created =
            self.instance.call(|live| live.kv.store().call_create_bucket(&mut live.wasm, self.store, name));
        created.map(Bucket::new)
    }

    fn drop_bucket(&mut self, name: &str) -> Result<bool> {
        self.instance.call(|live| live.kv.store().call_drop_bucket(&mut live.wasm, self.store, name))
    }

    fn buckets(&mut self, at: Option<&ComponentSnapshot>) -> Result<Vec<(Bucket, String)>> {
        let found = self.instance.call(|live| match at {
            Some(at) => live.kv.snapshot().call_buckets(&mut live.wasm, at.snapshot),
            None => live.kv.store().call_buckets(&mut live.wasm, self.store),
        });
        found.map(convert::buckets)
    }

    fn bucket(&mut self, name: &str, at: Option<&ComponentSnapshot>) -> Result<Option<Bucket>> {
        let found = self.instance.call(|live| match at {
            Some(at) => live.kv.snapshot().call_bucket(&mut live.wasm, at.snapshot, name),
            None => live.kv.store().call_bucket(&mut live.wasm, self.store, name),
        });
        found.map(|bucket| bucket.map(Bucket::new))
    }

    fn get(&mut self, key: Key<'_>, at: Option<&ComponentSnapshot>) -> Result<Option<Vec<u8>>> {
        let (bucket, key) = (key.bucket.number(), key.bytes);
        self.instance.call(|live| match at {
            Some(at) => live.kv.snapshot().call_get(&mut live.wasm, at.snapshot, bucket, key),
            None => live.kv.store().call_get(&mut live.wasm, self.store, bucket, key),
        })
    }

    fn get_with_sequence(&mut self, key: Key<'_>) -> Result<Option<(Vec<u8>, u64)>> {
        let (bucket, key) = (key.bucket.number(), key.bytes);
        let found = self
            .instance
            .call(|live| live.kv.store().call_get_with_sequence(&mut live.wasm, self.store, bucket, key));
        found.map(|found| found.map(|versioned| (versioned.value, versioned.sequence)))
    }

    fn get_many(&mut self, bucket: Bucket, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>> {
        let bucket = bucket.number();
        self.instance.call(|live| live.kv.store().call_get_many(&mut live.wasm, self.store, bucket, keys))
    }

    fn contains(&mut self, key: Key<'_>) -> Result<bool> {
        let (bucket, key) = (key.bucket.number(), key.bytes);
        self.instance.call(|live| live.kv.store().call_contains(&mut live.wasm, self.store, bucket, key))
    }

    fn scan(
        &mut self,
        range: &KeyRange,
        options: ScanOptions,
        at: Option<&ComponentSnapshot>,
    ) -> Result<ComponentCursor> {
        let (range, how) = (convert::key_range(range), convert::scan_options(options));
        let bucket = options.bucket.number();
        let cursor = self.instance.call(|live| match at {
            Some(at) => live.kv.snapshot().call_scan(&mut live.wasm, at.snapshot, bucket, &range, how),
            None => live.kv.store().call_scan(&mut live.wasm, self.store, bucket, &range, how),
        })?;
        Ok(self.cursor(cursor, options))
    }

    fn snapshot(&mut self) -> Result<(ComponentSnapshot, u64)> {
        let snapshot =
            self.instance.call(|live| live.kv.store().call_snapshot(&mut live.wasm, self.store))?;
        let snapshot = ComponentSnapshot { instance: self.instance.clone(), snapshot };
        let sequence = self
            .instance
            .call(|live| live.kv.snapshot().call_sequence(&mut live.wasm, snapshot.snapshot).map(Ok))?;
        Ok((snapshot, sequence))
    }

    fn sync(&mut self) -> Result<()> {
        self.instance.call(|live| live.kv.store().call_sync(&mut live.wasm, self.store))
    }

    fn flush_deferred(&mut self) -> Result<()> {
        self.instance.call(|live| live.kv.store().call_flush_deferred(&mut live.wasm, self.store))
    }

    fn close(&mut self) -> Result<()> {
        self.instance.call(|live| live.kv.store().call_close(&mut live.wasm, self.store))
    }

    fn maintain(&mut self, budget_bytes: u64) -> Result<Progress> {
        let progress = self
            .instance
            .call(|live| live.maintenance.call_maintain(&mut live.wasm, self.store, budget_bytes));
        progress.map(convert::progress)
    }

    fn rest(&mut self, min_bytes: u64) -> Result<bool> {
        self.instance.call(|live| live.maintenance.call_rest(&mut live.wasm, self.store, min_bytes))
    }

    fn compact(&mut self, budget_bytes: u64) -> Result<Progress> {
        let progress = self
            .instance
            .call(|live| live.maintenance.call_compact(&mut live.wasm, self.store, budget_bytes));
        progress.map(convert::progress)
    }

    fn flush(&mut self) -> Result<()> {
        self.instance.call(|live| live.maintenance.call_flush(&mut live.wasm, self.store))
    }

    fn pressure(&mut self) -> Result<Pressure> {
        let pressure =
            self.instance.call(|live| live.maintenance.call_get_pressure(&mut live.wasm, self.store));
        pressure.map(convert::pressure)
    }

    fn set_helped(&mut self, helped: bool) -> Result<()> {
        self.instance.call(|live| live.maintenance.call_set_helped(&mut live.wasm, self.store, helped))
    }

    fn take_job(&mut self, kinds: Kinds) -> Result<Option<Vec<u8>>> {
        let kinds = convert::kinds(kinds);
        let job =
            self.instance.call(|live| live.maintenance.call_take_job(&mut live.wasm, self.store, kinds))?;
        Ok(job.map(|job| job.bytes))
    }

    fn finish_job(&mut self, result: &[u8]) -> Result<()> {
        self.instance.call(|live| live.maintenance.call_finish_job(&mut live.wasm, self.store, result))
    }

    fn abandon_job(&mut self, job: &[u8], reason: Option<&str>) -> Result<()> {
        let id = Job::decode(job)?.id();
        self.instance.call(|live| live.maintenance.call_abandon_job(&mut live.wasm, self.store, id, reason))
    }

    fn verify(&mut self) -> Result<Verification> {
        let found = self.instance.call(|live| live.maintenance.call_verify(&mut live.wasm, self.store));
        found.map(convert::verification)
    }

    fn stats(&mut self) -> Result<String> {
        self.instance.call(|live| live.kv.store().call_stats(&mut live.wasm, self.store))
    }

    fn recovery_report(&mut self) -> Result<String> {
        self.instance.call(|live| live.maintenance.call_recovery_report(&mut live.wasm, self.store))
    }
}

impl Cursor for ComponentCursor {
    fn next_entries(&mut self, count: usize) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        while entries.len() < count {
            let ask = (count - entries.len()).min(u32::MAX as usize) as u32;
            let page: Vec<Entry> = if self.packed {
                let packed = self.instance.call(|live| {
                    live.kv.cursor().call_next_packed(&mut live.wasm, self.cursor, ask, u32::MAX)
                })?;
                convert::page(&packed, self.keys_only)
            } else {
                let page = self
                    .instance
                    .call(|live| live.kv.cursor().call_next(&mut live.wasm, self.cursor, ask, u32::MAX))?;
                page.into_iter().map(|entry| (entry.key, entry.value)).collect()
            };
            self.packed = !self.packed;
            if page.is_empty() {
                break;
            }
            entries.extend(page);
        }
        Ok(entries)
    }
}

impl Drop for ComponentCursor {
    fn drop(&mut self) {
        self.instance.drop_resource(self.cursor);
    }
}

impl Drop for ComponentSnapshot {
    fn drop(&mut self) {
        self.instance.drop_resource(self.snapshot);
    }
}

/// A reader in an instance of its own.
pub struct ComponentReader {
    instance: Instance,
    reader: ResourceAny,
}

impl Reader for ComponentReader {
    type Cursor = ComponentCursor;

    fn catch_up(&mut self) -> Result<u64> {
        self.instance.call(|live| live.kv.reader().call_catch_up(&mut live.wasm, self.reader))
    }

    fn buckets(&mut self) -> Result<Vec<(Bucket, String)>> {
        let found = self.instance.call(|live| live.kv.reader().call_buckets(&mut live.wasm, self.reader));
        found.map(convert::buckets)
    }

    fn get(&mut self, key: Key<'_>) -> Result<Option<Vec<u8>>> {
        let (bucket, key) = (key.bucket.number(), key.bytes);
        self.instance.call(|live| live.kv.reader().call_get(&mut live.wasm, self.reader, bucket, key))
    }

    fn scan(&mut self, range: &KeyRange, options: ScanOptions) -> Result<ComponentCursor> {
        let (range, how) = (convert::key_range(range), convert::scan_options(options));
        let bucket = options.bucket.number();
        let cursor = self
            .instance
            .call(|live| live.kv.reader().call_scan(&mut live.wasm, self.reader, bucket, &range, how))?;
        let instance = self.instance.clone();
        Ok(ComponentCursor { instance, cursor, keys_only: options.keys_only, packed: options.reverse })
    }

    fn checkpoint(&mut self) -> Result<Checkpoint> {
        let found =
            self.instance.call(|live| live.maintenance.call_get_checkpoint(&mut live.wasm, self.reader))?;
        Ok(convert::checkpoint(found))
    }
}
