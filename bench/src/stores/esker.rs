//! Esker through its component: what a user of the library gets.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow};
use esker_host::wasmtime::{Config as EngineConfig, Engine, OptLevel, ProfilingStrategy};
use esker_host::{
    Batch, Compression, Durability, KeyRange, KvStore, Options, Runtime, ScanOptions, embedded_component,
};

use super::{BLOCK_BYTES, BLOOM_BITS, Config, Each, Key, Kind, Scan, Session, Store, locked};

pub const KIND: Kind = Kind { name: "esker", lz4: true, version, open };

fn version() -> String {
    locked("esker-host").to_owned()
}

/// The compiled component, once for the whole run.
pub fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = if PERFMAP.load(Ordering::Relaxed) { with_perfmap() } else { Ok(Runtime::new()?) };
    let runtime = runtime.context("the component")?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// Whether the component's functions are named for `perf`, in /tmp/perf-PID.map.
pub static PERFMAP: AtomicBool = AtomicBool::new(false);

/// A runtime as any other, but that it names its functions.
fn with_perfmap() -> Result<Runtime> {
    let mut config = EngineConfig::new();
    config.cranelift_opt_level(OptLevel::Speed);
    config.concurrency_support(false);
    config.profiler(ProfilingStrategy::PerfMap);
    let component = embedded_component().context("this build carries no component")?;
    let engine = Engine::new(&config).map_err(|error| anyhow!("start wasmtime: {error:#}"))?;
    Ok(Runtime::in_engine(&engine, component)?)
}

/// How a store is opened.
pub fn options(config: &Config) -> Options {
    Options {
        // The memory holds the cache, three memtables, and what jobs need.
        memory_bytes: Some(config.cache_bytes + 4 * config.write_buffer_bytes.max(8 << 20)),
        memtable_bytes: Some(config.write_buffer_bytes),
        cache_bytes: Some(config.cache_bytes),
        bloom_bits: Some(BLOOM_BITS),
        block_bytes: Some(BLOCK_BYTES),
        compression: Some(if config.lz4 { Compression::Lz4 } else { Compression::None }),
        workers: Some(config.workers),
        // With several threads, reads are answered by as many instances. Each has a cache of its own, so they share the
        // bytes that the others have in one.
        readers: (config.threads > 1).then(|| u32::try_from(config.threads).unwrap_or(u32::MAX)),
        reader_cache_bytes: Some((config.cache_bytes / config.threads.max(1) as u64).max(1 << 20)),
        ..Options::default()
    }
}

fn open(dir: &Path, config: &Config) -> Result<Box<dyn Store>> {
    Ok(Box::new(Esker::open(dir, config)?))
}

/// The open store.
pub struct Esker {
    store: KvStore,
    durability: Durability,
}

impl Esker {
    /// Opens the store in `dir`.
    pub fn open(dir: &Path, config: &Config) -> Result<Self> {
        let store = KvStore::open(runtime()?, dir, options(config))?;
        let durability = if config.synced { Durability::Synced } else { Durability::Buffered };
        Ok(Self { store, durability })
    }
}

impl Store for Esker {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Open { esker: self, batch: Batch::new() }))
    }

    fn flush(&self) -> Result<()> {
        self.store.flush()?;
        // Which it would do by itself after a second.
        self.store.rest()?;
        Ok(())
    }
}

struct Open<'a> {
    esker: &'a Esker,
    batch: Batch,
}

impl Session for Open<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.esker.store.put(key, value, self.esker.durability)?;
        Ok(())
    }

    fn put_batch(&mut self, pairs: &[(Key, &[u8])]) -> Result<()> {
        self.batch.clear();
        for (key, value) in pairs {
            self.batch.put(key, value)?;
        }
        self.esker.store.write(&self.batch, self.esker.durability)?;
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.esker.store.delete(key, self.esker.durability)?;
        Ok(())
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.esker.store.get(key)?;
        Ok(value.map(|value| read(&value)).is_some())
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut Each<'_>) -> Result<()> {
        let (range, options) = match scan {
            Scan::From(key, entries) => (
                KeyRange::new(Some(key), None),
                ScanOptions { limit: Some(entries), ..ScanOptions::default() },
            ),
            Scan::All => (KeyRange::all(), ScanOptions::default()),
            Scan::Reverse => (KeyRange::all(), ScanOptions { reverse: true, ..ScanOptions::default() }),
        };
        let mut scan = self.esker.store.scan(range, options)?;
        while let Some((key, value)) = scan.next_entry()? {
            if !each(key, value) {
                break;
            }
        }
        Ok(())
    }
}
