//! Two plugins on one store. `orders` takes orders; `intruder` does its worst, with calls of the store as with time and
//! memory. After each of its attempts an order is taken.
//!
//! ```text
//! plugin-host [DIR]
//! ```
//!
//! The store is made in DIR, by default a directory that is removed again. The plugins are in the directory that
//! `ESKER_PLUGINS` names, by default `target/plugins`, where `cargo xtask plugins` builds them.

use esker_host::plugin::{self, Grant, Grants, Held, Plugin, Plugins, Quota, Refusals, Session};
use esker_host::wasmtime::component::{Component, Linker, TypedFunc};
use esker_host::wasmtime::{self, Config, Engine, Store, StoreLimits, StoreLimitsBuilder};
use esker_host::{Bucket, Durability, KvStore, Options, Runtime};
use std::path::{Path, PathBuf};
use wasmtime::Result;
use wasmtime::error::Context;

/// What an instance of a plugin may allocate, in bytes.
const MEMORY_BYTES: usize = 16 << 20;
/// How much an instance of a plugin may compute in one task, in wasmtime's units.
const FUEL: u64 = 50_000_000;

/// Each attempt of the intruder, and the fruit that is ordered afterwards.
const ATTEMPTS: [(&str, &str); 10] = [
    ("read the other's bucket", "apple"),
    ("change the other's bucket", "banana"),
    ("send oversized keys", "cherry"),
    ("send malformed batches", "apple"),
    ("open handles without end", "quince"),
    ("give a batch that reaches out of its memory", "banana"),
    ("stop between the two halves of a change", "cherry"),
    ("run without end", "apple"),
    ("fill the disk", "banana"),
    ("call without end", "cherry"),
];

fn main() -> Result<()> {
    let plugins = std::env::var_os("ESKER_PLUGINS").map_or("target/plugins".into(), PathBuf::from);
    match std::env::args_os().nth(1) {
        Some(directory) => run(Path::new(&directory), &plugins),
        None => {
            let directory = std::env::temp_dir().join(format!("plugin-host-{}", std::process::id()));
            let done = run(&directory, &plugins);
            std::fs::remove_dir_all(&directory)?;
            done
        }
    }
}

fn run(directory: &Path, files: &Path) -> Result<()> {
    let engine = engine()?;
    let store = KvStore::open(&Runtime::new()?, directory, Options::default())?;
    let catalogue = catalogue(&store)?;
    let plugins = Plugins::new(&store);
    let mut orders =
        Guest::load(&engine, &files.join("orders.wasm"), admit_orders(&store, &plugins, catalogue)?)?;
    let mut intruder =
        Guest::load(&engine, &files.join("intruder.wasm"), admit_intruder(&store, &plugins, catalogue)?)?;

    for (attempt, fruit) in ATTEMPTS {
        println!("intruder, to {attempt}:");
        intruder.run(attempt)?.lines().for_each(|line| println!("    {line}"));
        println!("orders: {}", orders.run(fruit)?);
    }
    for guest in [&orders, &intruder] {
        show_usage(&guest.plugin);
    }
    store.close()?;
    Ok(())
}

/// An engine that can end a plugin that computes without end.
fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config.consume_fuel(true).concurrency_support(false);
    Engine::new(&config)
}

/// The prices that both plugins may read.
fn catalogue(store: &KvStore) -> esker_host::Result<Bucket> {
    let catalogue = store.create_bucket("catalogue")?;
    for (fruit, price) in [("apple", "30"), ("banana", "25"), ("cherry", "5")] {
        store.put((catalogue, fruit), price.as_bytes(), Durability::Buffered)?;
    }
    Ok(catalogue)
}

fn admit_orders(store: &KvStore, plugins: &Plugins, catalogue: Bucket) -> esker_host::Result<Plugin> {
    let buckets = vec![
        Grant::new("orders", store.create_bucket("orders")?),
        Grant::new("catalogue", catalogue).read_only(),
    ];
    plugins.admit("orders", Grants { buckets, ..Grants::default() })
}

fn admit_intruder(store: &KvStore, plugins: &Plugins, catalogue: Bucket) -> esker_host::Result<Plugin> {
    let quota = Quota { bytes: Some(1 << 20), keys: Some(1_000), value_bytes: Some(1 << 20) };
    let buckets = vec![
        Grant::new("scratch", store.create_bucket("scratch of the intruder")?).with_quota(quota),
        Grant::new("catalogue", catalogue).read_only(),
    ];
    plugins.admit("intruder", Grants { buckets, operations_per_second: Some(1_000), ..Grants::default() })
}

/// A plugin and its instance, which is made anew after a trap.
struct Guest {
    component: Component,
    linker: Linker<GuestData>,
    plugin: Plugin,
    instance: Option<Instance>,
}

struct Instance {
    store: Store<GuestData>,
    run: TypedFunc<(String,), (Result<String, String>,)>,
}

/// What wasmtime keeps for an instance.
struct GuestData {
    session: Session,
    limits: StoreLimits,
}

impl Guest {
    fn load(engine: &Engine, file: &Path, plugin: Plugin) -> Result<Self> {
        let component = Component::from_file(engine, file)
            .with_context(|| format!("cannot load {}, which cargo xtask plugins builds", file.display()))?;
        let mut linker = Linker::new(engine);
        plugin::add_to_linker_sync(&mut linker, |data: &mut GuestData| &data.session)?;
        Ok(Self { component, linker, plugin, instance: None })
    }

    /// What the plugin says about a task, or that it trapped.
    fn run(&mut self, task: &str) -> Result<String> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.instantiate()?,
        };
        instance.store.set_fuel(FUEL)?;
        match instance.run.call(&mut instance.store, (task.into(),)) {
            Ok((said,)) => {
                self.instance = Some(instance);
                Ok(said.unwrap_or_else(|error| format!("failed: {error}")))
            }
            Err(error) => Ok(format!("trapped: {}", error.root_cause())),
        }
    }

    fn instantiate(&self) -> Result<Instance> {
        let limits = StoreLimitsBuilder::new().memory_size(MEMORY_BYTES).build();
        let data = GuestData { session: self.plugin.session(), limits };
        let mut store = Store::new(self.component.engine(), data);
        store.limiter(|data| &mut data.limits);
        store.set_fuel(FUEL)?;
        let instance = self.linker.instantiate(&mut store, &self.component)?;
        let run = instance.get_typed_func(&mut store, "run")?;
        Ok(Instance { store, run })
    }
}

/// Only what is the same in each run: how often the intruder can call in a second is the machine's.
fn show_usage(plugin: &Plugin) {
    let usage = plugin.usage();
    let Refusals { access_denied, no_space, invalid, .. } = usage.refusals;
    println!(
        "{} was refused {access_denied} calls as not granted, {no_space} over the quota, {invalid} as wrong",
        usage.plugin
    );
    for bucket in usage.buckets {
        let held = bucket.held.map_or("what it holds is not counted".into(), |Held { keys, bytes }| {
            format!("it holds {keys} keys of {bytes} bytes")
        });
        println!("    bucket {}: {} keys written; {held}", bucket.name, bucket.writes);
    }
}
