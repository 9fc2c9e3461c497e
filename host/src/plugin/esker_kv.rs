//! `esker:kv/kv-store`, as a plugin imports it. Each function says which handles and arguments it has, and calls the
//! function of [`Plugin`] that has its name.
//!
//! `open` gives the granted store, whatever the directory and the options. There is no reader: it is for whoever has
//! the files, and a plugin has none; `open-reader` says so.

use super::confined::Plugin;
use super::convert;
use super::linker::{Calling, Interface};
use super::reads::{PluginCursor, PluginSnapshot};
use super::session::Session;
use crate::batch::Batch;
use crate::bindings::esker::kv::types as wit;
use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::packed::put_bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource};

const TYPES: &str = "esker:kv/types@0.1.0";
const KV_STORE: &str = "esker:kv/kv-store@0.1.0";

/// What every function answers.
type Answer<T> = wasmtime::Result<(Result<T, wit::Error>,)>;

type Bytes = Vec<u8>;

/// A store that a plugin has opened: it can be closed.
#[derive(Clone, Default)]
struct OpenStore {
    closed: Arc<AtomicBool>,
}

/// What `open-reader` would give.
struct NoReader;

/// A cursor, and what the packed form of its pages leaves out.
#[derive(Clone)]
struct OpenCursor {
    cursor: PluginCursor,
    keys_only: bool,
}

/// Adds the interface.
pub(super) fn add<T: Send + 'static>(linker: &mut Linker<T>, calling: Calling<T>) -> wasmtime::Result<()> {
    Interface::new(linker, TYPES, calling)?;
    let mut interface = Interface::new(linker, KV_STORE, calling)?;
    interface.resource::<OpenStore>("store")?;
    interface.resource::<PluginSnapshot>("snapshot")?;
    interface.resource::<OpenCursor>("cursor")?;
    interface.resource::<NoReader>("reader")?;
    interface.function("open", |session, (_, _): (String, wit::Options)| {
        answer(|| session.open(OpenStore::default()))
    })?;
    add_reads(&mut interface)?;
    add_writes(&mut interface)?;
    add_buckets(&mut interface)?;
    add_care(&mut interface)?;
    add_snapshots(&mut interface)?;
    add_cursors(&mut interface)?;
    add_reader(&mut interface)
}

type Store = Resource<OpenStore>;

fn add_reads<T: Send + 'static>(interface: &mut Interface<'_, T>) -> wasmtime::Result<()> {
    interface.function("[method]store.get", |session, (store, bucket, key): (Store, u32, Bytes)| {
        in_store(session, &store, |plugin| plugin.get(convert::key(bucket, &key)))
    })?;
    interface.function(
        "[method]store.get-with-sequence",
        |session, (store, bucket, key): (Store, u32, Bytes)| {
            in_store(session, &store, |plugin| {
                let found = plugin.get_with_sequence(convert::key(bucket, &key))?;
                Ok(found.map(convert::versioned))
            })
        },
    )?;
    interface.function(
        "[method]store.get-many",
        |session, (store, bucket, keys): (Store, u32, Vec<Bytes>)| {
            in_store(session, &store, |plugin| plugin.get_many(Bucket::new(bucket), &keys))
        },
    )?;
    interface.function("[method]store.contains", |session, (store, bucket, key): (Store, u32, Bytes)| {
        in_store(session, &store, |plugin| plugin.contains(convert::key(bucket, &key)))
    })?;
    interface.function(
        "[method]store.scan",
        |session, (store, bucket, range, options): (Store, u32, wit::KeyRange, wit::ScanOptions)| {
            in_store(session, &store, |plugin| {
                let options = convert::scan_options(bucket, options);
                let cursor = plugin.scan(convert::key_range(range), options)?;
                session.open(OpenCursor { cursor, keys_only: options.keys_only })
            })
        },
    )?;
    interface.function(
        "[method]store.read-key-range",
        |session, (store, bucket, start, end, limit): (Store, u32, Bytes, Bytes, u32)| {
            in_store(session, &store, |plugin| {
                let entries = plugin.read_key_range(Bucket::new(bucket), &start, &end, limit)?;
                Ok(convert::entries(entries))
            })
        },
    )
}

fn add_writes<T: Send + 'static>(interface: &mut Interface<'_, T>) -> wasmtime::Result<()> {
    use wit::{Condition, Durability, Operation};
    interface.function(
        "[method]store.put",
        |session, (store, bucket, key, value, durability): (Store, u32, Bytes, Bytes, Durability)| {
            in_store(session, &store, |plugin| {
                plugin.put(convert::key(bucket, &key), &value, convert::durability(durability))
            })
        },
    )?;
    interface.function(
        "[method]store.delete",
        |session, (store, bucket, key, durability): (Store, u32, Bytes, Durability)| {
            in_store(session, &store, |plugin| {
                plugin.delete(convert::key(bucket, &key), convert::durability(durability))
            })
        },
    )?;
    interface.function(
        "[method]store.write",
        |session, (store, operations, durability): (Store, Vec<Operation>, Durability)| {
            write(session, &store, || convert::batch(&operations), None, durability)
        },
    )?;
    interface.function(
        "[method]store.write-packed",
        |session, (store, operations, durability): (Store, Bytes, Durability)| {
            write(session, &store, || Batch::from_packed(operations), None, durability)
        },
    )?;
    interface.function(
        "[method]store.write-if",
        |session, (store, operations, conditions, durability): (_, Vec<Operation>, Vec<Condition>, _)| {
            write(session, &store, || convert::batch(&operations), Some(&conditions), durability)
        },
    )?;
    interface.function(
        "[method]store.write-packed-if",
        |session, (store, operations, conditions, durability): (_, Bytes, Vec<Condition>, _)| {
            write(session, &store, || Batch::from_packed(operations), Some(&conditions), durability)
        },
    )?;
    interface.function(
        "[method]store.increment",
        |session, (store, bucket, key, delta, durability): (Store, u32, Bytes, i64, Durability)| {
            in_store(session, &store, |plugin| {
                plugin.increment_with_sequence(
                    convert::key(bucket, &key),
                    delta,
                    convert::durability(durability),
                )
            })
        },
    )
}

/// Every write of a batch: with conditions or without.
fn write(
    session: &Session,
    store: &Store,
    batch: impl FnOnce() -> Result<Batch>,
    conditions: Option<&[wit::Condition]>,
    durability: wit::Durability,
) -> Answer<u64> {
    in_store(session, store, |plugin| {
        let batch = batch().map_err(|error| plugin.refuse(error))?;
        let durability = convert::durability(durability);
        match conditions {
            None => plugin.write(&batch, durability),
            Some(conditions) => {
                let conditions: Vec<_> = conditions.iter().map(convert::condition).collect();
                plugin.write_if(&batch, &conditions, durability)
            }
        }
    })
}

fn add_buckets<T: Send + 'static>(interface: &mut Interface<'_, T>) -> wasmtime::Result<()> {
    interface.function("[method]store.create-bucket", |session, (store, name): (Store, String)| {
        in_store(session, &store, |plugin| Ok(plugin.create_bucket(&name)?.number()))
    })?;
    interface.function("[method]store.drop-bucket", |session, (store, name): (Store, String)| {
        in_store(session, &store, |plugin| plugin.drop_bucket(&name))
    })?;
    interface.function("[method]store.bucket", |session, (store, name): (Store, String)| {
        in_store(session, &store, |plugin| Ok(plugin.bucket(&name)?.map(Bucket::number)))
    })?;
    interface
        .function("[method]store.buckets", |session, (store,): (Store,)| in_store(session, &store, buckets))
}

fn buckets(plugin: &Plugin) -> Result<Vec<wit::BucketInfo>> {
    Ok(plugin.buckets()?.into_iter().map(convert::bucket_info).collect())
}

fn add_care<T: Send + 'static>(interface: &mut Interface<'_, T>) -> wasmtime::Result<()> {
    interface.function("[method]store.sync", |session, (store,): (Store,)| {
        in_store(session, &store, Plugin::sync)
    })?;
    interface.function("[method]store.flush-deferred", |session, (store,): (Store,)| {
        in_store(session, &store, Plugin::flush_deferred)
    })?;
    interface.function("[method]store.stats", |session, (store,): (Store,)| {
        in_store(session, &store, |plugin| plugin.call(1, || Ok(plugin.usage().to_json().to_string())))
    })?;
    interface.function("[method]store.close", |session, (store,): (Store,)| {
        let opened = session.opened(&store)?;
        in_store(session, &store, |plugin| {
            plugin.sync()?;
            opened.closed.store(true, Ordering::Release);
            Ok(())
        })
    })
}

fn add_snapshots<T: Send + 'static>(interface: &mut Interface<'_, T>) -> wasmtime::Result<()> {
    type Snapshot = Resource<PluginSnapshot>;
    interface.function("[method]store.snapshot", |session, (store,): (Store,)| {
        in_store(session, &store, |plugin| session.open(plugin.snapshot()?))
    })?;
    interface.function("[method]snapshot.sequence", |session, (snapshot,): (Snapshot,)| {
        Ok((session.opened(&snapshot)?.sequence(),))
    })?;
    interface.function(
        "[method]snapshot.get",
        |session, (snapshot, bucket, key): (Snapshot, u32, Bytes)| {
            let snapshot = session.opened(&snapshot)?;
            answer(|| snapshot.get(convert::key(bucket, &key)))
        },
    )?;
    // A plugin's buckets are those of its grants, at every moment.
    interface.function("[method]snapshot.bucket", |session, (snapshot, name): (Snapshot, String)| {
        session.opened(&snapshot)?;
        answer(|| Ok(session.plugin().bucket(&name)?.map(Bucket::number)))
    })?;
    interface.function("[method]snapshot.buckets", |session, (snapshot,): (Snapshot,)| {
        session.opened(&snapshot)?;
        answer(|| buckets(session.plugin()))
    })?;
    interface.function(
        "[method]snapshot.scan",
        |session, (snapshot, bucket, range, options): (Snapshot, u32, wit::KeyRange, wit::ScanOptions)| {
            let snapshot = session.opened(&snapshot)?;
            answer(|| {
                let options = convert::scan_options(bucket, options);
                let cursor = snapshot.scan(convert::key_range(range), options)?;
                session.open(OpenCursor { cursor, keys_only: options.keys_only })
            })
        },
    )
}

fn add_cursors<T: Send + 'static>(interface: &mut Interface<'_, T>) -> wasmtime::Result<()> {
    type Cursor = Resource<OpenCursor>;
    interface.function("[method]cursor.next", |session, (cursor, items, bytes): (Cursor, u32, u32)| {
        let opened = session.opened(&cursor)?;
        answer(|| Ok(convert::entries(opened.cursor.next(items, bytes)?)))
    })?;
    interface.function("[method]cursor.next-packed", |session, (cursor, items, bytes): (Cursor, u32, u32)| {
        let opened = session.opened(&cursor)?;
        answer(|| {
            let mut packed = Vec::new();
            for (key, value) in opened.cursor.next(items, bytes)? {
                put_bytes(&mut packed, &key);
                if !opened.keys_only {
                    put_bytes(&mut packed, &value);
                }
            }
            Ok(packed)
        })
    })
}

/// The functions of readers have to be there for a plugin that could call them, though it never has a reader.
fn add_reader<T: Send + 'static>(interface: &mut Interface<'_, T>) -> wasmtime::Result<()> {
    type Reader = Resource<NoReader>;
    type Entries = Vec<wit::Entry>;
    interface.function("open-reader", |session, (_, _): (String, Option<u64>)| {
        answer(|| session.plugin().call(1, || Err::<Reader, _>(no_reader())))
    })?;
    interface.function("[method]reader.sequence", |_, (_,): (Reader,)| {
        Err::<(u64,), _>(wasmtime::Error::msg(no_reader()))
    })?;
    without_reader::<T, (Reader,), u64>(interface, "catch-up")?;
    without_reader::<T, (Reader, u64), u64>(interface, "catch-up-to")?;
    without_reader::<T, (Reader, u32, Bytes), Option<Bytes>>(interface, "get")?;
    without_reader::<T, (Reader, u32, Bytes), Option<wit::Versioned>>(interface, "get-with-sequence")?;
    without_reader::<T, (Reader, u32, Vec<Bytes>), Vec<Option<Bytes>>>(interface, "get-many")?;
    without_reader::<T, (Reader, u32, Bytes), bool>(interface, "contains")?;
    without_reader::<T, (Reader, u32, wit::KeyRange, wit::ScanOptions), Resource<OpenCursor>>(
        interface, "scan",
    )?;
    without_reader::<T, (Reader, u32, Bytes, Bytes, u32), Entries>(interface, "read-key-range")?;
    without_reader::<T, (Reader, String), Option<u32>>(interface, "bucket")?;
    without_reader::<T, (Reader,), Vec<wit::BucketInfo>>(interface, "buckets")?;
    without_reader::<T, (Reader,), String>(interface, "stats")
}

fn without_reader<T, P, R>(interface: &mut Interface<'_, T>, method: &str) -> wasmtime::Result<()>
where
    T: Send + 'static,
    P: wasmtime::component::ComponentNamedList + Lift + Send + 'static,
    R: ComponentType + Lower + Send + 'static,
{
    interface.function(&format!("[method]reader.{method}"), |_, _: P| answer(|| Err::<R, _>(no_reader())))
}

fn no_reader() -> Error {
    Error::AccessDenied("a plugin has no files to follow: use `open` instead of `open-reader`".into())
}

/// Calls the store of a handle, unless it was closed.
fn in_store<R>(session: &Session, store: &Store, call: impl FnOnce(&Plugin) -> Result<R>) -> Answer<R> {
    let opened = session.opened(store)?;
    if opened.closed.load(Ordering::Acquire) {
        return Ok((Err(wit::Error::Reopen("the plugin has closed the store: open it again".into())),));
    }
    answer(|| call(session.plugin()))
}

fn answer<R>(call: impl FnOnce() -> Result<R>) -> Answer<R> {
    Ok((call().map_err(wit::Error::from),))
}
