//! What single steps cost in the sandbox and outside: a call, a copy, the engine's code, file access.
//!
//! Each step is the smallest piece of work that shows one of them, done by the component and by the engine natively over
//! files of the same content. What the steps share is what a real operation pays.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use esker_engine::env::{MemFs, StdClock, StdFs};
use esker_engine::{Db, Durability, KeyRange, Options, ScanOptions};
use esker_host::Instance;
use serde::{Deserialize, Serialize};

use crate::place::Place;
use crate::sample::{Random, key};
use crate::stores::{Key, runtime};
use crate::tables::line;

/// What a step costs, in microseconds: medians of rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    pub name: String,
    /// Of what the sandbox's price for it consists.
    pub shows: String,
    /// In the component.
    pub component_us: Option<f64>,
    /// Natively.
    pub native_us: Option<f64>,
}

/// How long each step is repeated in a round, and how many rounds there are.
const ROUND: Duration = Duration::from_millis(60);
const ROUNDS: usize = 5;
/// Entries of the store with files.
const ROWS: u64 = 200_000;
/// A cache that holds all of it, and one that holds the indexes and filters and next to nothing more.
const CACHE_BYTES: u64 = 64 << 20;
const SMALL_CACHE_BYTES: u64 = 1 << 20;
/// What the puts of a round write, in bytes: less than a memtable, so that no flush is measured.
const PUT_BYTES: usize = 32 << 20;
/// Entries that a scan reads.
const SCANNED: u64 = 10_000;

/// Measures all steps in fresh directories under `dir`.
pub fn steps(dir: &Path) -> Result<Vec<Step>> {
    eprintln!("the cost of single steps");
    let mut steps = vec![calls(dir)?];
    for bytes in [100, 4096, 65_536] {
        steps.push(get(dir, bytes)?);
    }
    for bytes in [100, 4096] {
        steps.extend(puts(dir, bytes)?);
    }
    steps.extend(blocks(dir)?);
    steps.push(in_memory()?);
    Ok(steps)
}

/// Adds the table.
pub fn table(text: &mut String, steps: &[Step]) {
    if steps.is_empty() {
        return;
    }
    line(text, "\n## The cost of the sandbox, step by step\n");
    line(text, "| | shows | component µs | native µs | difference µs |\n|---|---|---:|---:|---:|");
    for Step { name, shows, component_us, native_us } in steps {
        let figure = |figure: Option<f64>| figure.map_or_else(String::new, |us| format!("{us:.3}"));
        let difference = component_us.zip(*native_us).map(|(component, native)| component - native);
        line(
            text,
            &format!(
                "| {name} | {shows} | {} | {} | {} |",
                figure(*component_us),
                figure(*native_us),
                figure(difference)
            ),
        );
    }
}

/// A call that does nothing.
fn calls(dir: &Path) -> Result<Step> {
    let mut component = Component::open(dir, CACHE_BYTES)?;
    let snapshot = component.instance.snapshot()?;
    let us = time(|| component.instance.snapshot_sequence(&snapshot).map(drop).context("a call"))?;
    component.instance.drop_snapshot(snapshot);
    Ok(Step {
        name: "a call that returns a number".into(),
        shows: "call".into(),
        component_us: Some(us),
        native_us: None,
    })
}

/// A value of `bytes` bytes from the memtable.
fn get(dir: &Path, bytes: usize) -> Result<Step> {
    let (one, value) = (key(1), vec![b'v'; bytes]);
    let mut component = Component::open(dir, CACHE_BYTES)?;
    let mut native = Native::open(dir, CACHE_BYTES)?;
    component.instance.put(&one, &value, esker_host::Durability::Buffered)?;
    native.db.put(&one, &value, Durability::Buffered)?;
    Ok(Step {
        name: format!("get {bytes} B from the memtable"),
        shows: "call, copy, code".into(),
        component_us: Some(time(|| component.instance.get(&one).map(drop).context("get"))?),
        native_us: Some(time(|| native.db.get(&one).map(drop).context("get"))?),
    })
}

/// Values of `bytes` bytes to the memtable and the log.
fn puts(dir: &Path, bytes: usize) -> Result<Vec<Step>> {
    let value = vec![b'v'; bytes];
    let held = ("held back", "call, copy, code", esker_host::Durability::Deferred, Durability::Deferred);
    let handed =
        ("to the system", "call, copy, code, file", esker_host::Durability::Buffered, Durability::Buffered);
    let step = |(name, shows, in_component, in_native): (&str, &str, _, _)| {
        let component = time_puts(bytes, || {
            let mut component = Component::open(dir, CACHE_BYTES)?;
            let value = &value;
            Ok(move |key: Key| component.put(&key, value, in_component))
        })?;
        let native = time_puts(bytes, || {
            let mut native = Native::open(dir, CACHE_BYTES)?;
            let value = &value;
            Ok(move |key: Key| native.put(&key, value, in_native))
        })?;
        anyhow::Ok(Step {
            name: format!("put {bytes} B, {name}"),
            shows: shows.into(),
            component_us: Some(component),
            native_us: Some(native),
        })
    };
    Ok(vec![step(held)?, step(handed)?])
}

/// Entries of 100 B in tables: in the cache, in files, and one after the other.
fn blocks(dir: &Path) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for (cache_bytes, name, shows) in [
        (CACHE_BYTES, "get 100 B from a cached block", "call, copy, code"),
        (SMALL_CACHE_BYTES, "get 100 B from a block in a file", "call, copy, code, file"),
    ] {
        let (mut component, mut native) =
            (Component::filled(dir, cache_bytes)?, Native::filled(dir, cache_bytes)?);
        let (mut random, mut same) = (Random::new(1, 0), Random::new(1, 0));
        steps.push(Step {
            name: name.into(),
            shows: shows.into(),
            component_us: Some(time(|| {
                component.instance.get(&key(random.below(ROWS))).map(drop).context("get")
            })?),
            native_us: Some(time(|| native.db.get(&key(same.below(ROWS))).map(drop).context("get"))?),
        });
        if cache_bytes == CACHE_BYTES {
            steps.push(Step {
                name: "read the next entry of a scan".into(),
                shows: "code, copy".into(),
                component_us: Some(time(|| component.scan())? / SCANNED as f64),
                native_us: Some(time(|| native.scan())? / SCANNED as f64),
            });
        }
    }
    Ok(steps)
}

/// The engine natively without files.
fn in_memory() -> Result<Step> {
    let us = time_puts(100, || {
        let options = Options {
            memtable_bytes: Some(64 << 20),
            memtable_min_bytes: Some(64 << 20),
            ..Options::default()
        };
        let mut db = Db::open(MemFs::new(), StdClock::default(), options)?;
        Ok(move |key: Key| db.put(&key, &[b'v'; 100], Durability::Buffered).map(drop).context("put"))
    })?;
    Ok(Step {
        name: "put 100 B, with files that are memory".into(),
        shows: "code".into(),
        component_us: None,
        native_us: Some(us),
    })
}

/// The time of one call of `step` in microseconds: the median of rounds.
fn time(mut step: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut rounds = [0.0; ROUNDS];
    for us in &mut rounds {
        let started = Instant::now();
        let mut calls = 0_u32;
        // The clock is read once for some calls, since reading it costs as much as the cheapest.
        while started.elapsed() < ROUND {
            for _ in 0..64 {
                step()?;
            }
            calls += 64;
        }
        *us = started.elapsed().as_secs_f64() * 1e6 / f64::from(calls);
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[ROUNDS / 2])
}

/// The time of a put in microseconds: the median of rounds, each in a fresh store, whose memtable takes all of them.
fn time_puts<P: FnMut(Key) -> Result<()>>(bytes: usize, open: impl Fn() -> Result<P>) -> Result<f64> {
    let puts = PUT_BYTES / (bytes + 100);
    let mut rounds = [0.0; ROUNDS];
    for us in &mut rounds {
        let mut put = open()?;
        let mut random = Random::new(1, 0);
        let started = Instant::now();
        for _ in 0..puts {
            put(key(random.below(ROWS)))?;
        }
        *us = started.elapsed().as_secs_f64() * 1e6 / puts as f64;
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds[ROUNDS / 2])
}

/// A store through the component, without threads.
struct Component {
    instance: Instance,
    _place: Place,
}

impl Component {
    fn open(dir: &Path, cache_bytes: u64) -> Result<Self> {
        let place = Place::fresh(Some(dir))?;
        let options = esker_host::Options {
            memtable_bytes: Some(64 << 20),
            memtable_min_bytes: Some(64 << 20),
            cache_bytes: Some(cache_bytes),
            compression: Some(esker_host::Compression::None),
            ..esker_host::Options::default()
        };
        let instance = Instance::open(runtime()?, place.dir(), &options)?;
        Ok(Self { instance, _place: place })
    }

    fn filled(dir: &Path, cache_bytes: u64) -> Result<Self> {
        let mut component = Self::open(dir, cache_bytes)?;
        for number in 0..ROWS {
            component.instance.put(&key(number), &[b'v'; 100], esker_host::Durability::Buffered)?;
        }
        component.instance.flush()?;
        Ok(component)
    }

    fn put(&mut self, key: &[u8], value: &[u8], durability: esker_host::Durability) -> Result<()> {
        self.instance.put(key, value, durability)?;
        Ok(())
    }

    fn scan(&mut self) -> Result<()> {
        let mut left = SCANNED;
        let cursor = self.instance.scan(esker_host::KeyRange::all(), esker_host::ScanOptions::default())?;
        while left > 0 {
            let page = u32::try_from(left.min(4096))?;
            self.instance.cursor_next_packed(&cursor, page, u32::MAX)?;
            left -= u64::from(page);
        }
        self.instance.drop_cursor(cursor);
        Ok(())
    }
}

/// The same natively.
struct Native {
    db: Db<StdFs, StdClock>,
    _place: Place,
}

impl Native {
    fn open(dir: &Path, cache_bytes: u64) -> Result<Self> {
        let place = Place::fresh(Some(dir))?;
        let options = Options {
            memtable_bytes: Some(64 << 20),
            memtable_min_bytes: Some(64 << 20),
            cache_bytes: Some(cache_bytes),
            compression: esker_engine::Compression::None,
            ..Options::default()
        };
        let db = Db::open(StdFs::new(place.dir()), StdClock::default(), options)?;
        Ok(Self { db, _place: place })
    }

    fn filled(dir: &Path, cache_bytes: u64) -> Result<Self> {
        let mut native = Self::open(dir, cache_bytes)?;
        for number in 0..ROWS {
            native.db.put(&key(number), &[b'v'; 100], Durability::Buffered)?;
        }
        native.db.flush()?;
        Ok(native)
    }

    fn put(&mut self, key: &[u8], value: &[u8], durability: Durability) -> Result<()> {
        self.db.put(key, value, durability)?;
        Ok(())
    }

    /// As the component does it: entries are packed into pages.
    fn scan(&mut self) -> Result<()> {
        let mut cursor = self.db.scan(KeyRange::all(), ScanOptions::default())?;
        let mut page = Vec::new();
        for entry in 0..SCANNED {
            if entry % 4096 == 0 {
                page.clear();
            }
            let (key, value) = cursor.next()?.context("the store has more entries")?;
            page.extend_from_slice(key);
            page.extend_from_slice(value);
        }
        std::hint::black_box(page);
        Ok(())
    }
}
