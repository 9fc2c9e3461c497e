//! `wasi:keyvalue` 0.2.0-draft: a cursor of `list-keys` is a number, and so is what `increment` adds and returns.

use super::{
    Answer, Bytes, Calling, Handle, Interface, Linker, Page, add_batch, add_store, answer, list_keys,
};
use crate::bucket::Key;
use crate::error::Error;
use crate::plugin::confined::Plugin;
use wasmtime::component::{ComponentType, Lift, Lower};

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct KeyResponse {
    keys: Vec<String>,
    cursor: Option<u64>,
}

/// Adds the interfaces.
pub(super) fn add<T: Send + 'static>(linker: &mut Linker<T>, calling: Calling<T>) -> wasmtime::Result<()> {
    let mut store = Interface::new(linker, "wasi:keyvalue/store@0.2.0-draft", calling)?;
    add_store(&mut store)?;
    store.function("[method]bucket.list-keys", |session, (bucket, cursor): (Handle, Option<u64>)| {
        let (bucket, plugin) = (session.opened(&bucket)?, session.plugin());
        let recall = |number| bucket.recall(number).map_err(|error| plugin.refuse(error));
        let page = cursor.map(recall).transpose().and_then(|after| list_keys(plugin, &bucket, after));
        answer(page.map(|Page { keys, more }| {
            let last = keys.last().filter(|_| more);
            KeyResponse { cursor: last.map(|last| bucket.remember(last)), keys }
        }))
    })?;

    let mut atomics = Interface::new(linker, "wasi:keyvalue/atomics@0.2.0-draft", calling)?;
    atomics.function("increment", |session, (bucket, key, delta): (Handle, String, u64)| {
        let bucket = session.opened(&bucket)?;
        answer(increment(session.plugin(), bucket.key(&key), delta))
    })?;

    let mut batch = Interface::new(linker, "wasi:keyvalue/batch@0.2.0-draft", calling)?;
    batch.function(
        "get-many",
        |session, (bucket, keys): (Handle, Vec<String>)| -> Answer<Vec<Option<(String, Bytes)>>> {
            let bucket = session.opened(&bucket)?;
            let values = session.plugin().get_many(bucket.number, &keys);
            let pairs = |values: Vec<Option<Bytes>>| {
                keys.into_iter().zip(values).map(|(key, value)| Some((key, value?))).collect()
            };
            answer(values.map(pairs))
        },
    )?;
    add_batch(&mut batch)
}

/// The numbers of this draft have no sign; those of the store have one.
fn increment(plugin: &Plugin, key: Key<'_>, delta: u64) -> Result<u64, Error> {
    let delta = i64::try_from(delta).map_err(|_| {
        let message = format!("{delta} is more than {}, the most that is added at once", i64::MAX);
        plugin.refuse(Error::InvalidArgument(message))
    })?;
    let negative = || {
        let message = "the key holds a negative number, and this draft of wasi:keyvalue has none";
        plugin.refuse(Error::InvalidArgument(message.into()))
    };
    if plugin.get(key)?.is_some_and(|value| value.starts_with(b"-")) {
        return Err(negative());
    }
    // Negative all the same where somebody else has made it so in between.
    u64::try_from(plugin.increment(key, delta, plugin.durability())?).map_err(|_| negative())
}
