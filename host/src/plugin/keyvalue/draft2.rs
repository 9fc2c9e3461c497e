//! `wasi:keyvalue` 0.2.0-draft2: a cursor of `list-keys` is text, the numbers of `increment` have a sign, and there is
//! compare-and-swap. `get-many` names the keys that have no value, too.
//!
//! The text of a cursor is the bucket's number, a colon, and the last key of the page.

use super::{
    Answer, Bytes, Calling, Failure, Handle, Interface, Linker, OpenBucket, Page, add_batch, add_store,
    answer, list_keys,
};
use crate::batch::Batch;
use crate::condition::{Condition, Expected};
use crate::error::Error;
use crate::plugin::confined::Plugin;
use crate::plugin::session::Session;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::{ComponentType, Lift, Lower, Resource};

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct KeyResponse {
    keys: Vec<String>,
    cursor: Option<String>,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    StoreError(Failure),
    #[component(name = "cas-failed")]
    CasFailed(Resource<Cas>),
}

/// A key, and which write of it the plugin has seen.
#[derive(Clone)]
struct Cas {
    bucket: OpenBucket,
    key: String,
    /// The sequence number of the write; `None` where the key had no value.
    seen: Arc<Mutex<Option<u64>>>,
}

/// Adds the interfaces.
pub(super) fn add<T: Send + 'static>(linker: &mut Linker<T>, calling: Calling<T>) -> wasmtime::Result<()> {
    let mut store = Interface::new(linker, "wasi:keyvalue/store@0.2.0-draft2", calling)?;
    add_store(&mut store)?;
    store.function("[method]bucket.list-keys", |session, (bucket, cursor): (Handle, Option<String>)| {
        let (bucket, plugin) = (session.opened(&bucket)?, session.plugin());
        let last_key = |cursor: String| {
            last_key(&cursor, &bucket).map(str::to_owned).map_err(|error| plugin.refuse(error))
        };
        let page = cursor.map(last_key).transpose().and_then(|after| list_keys(plugin, &bucket, after));
        answer(page.map(|Page { keys, more }| {
            let last = keys.last().filter(|_| more);
            KeyResponse { cursor: last.map(|last| format!("{}:{last}", bucket.number)), keys }
        }))
    })?;

    let mut atomics = Interface::new(linker, "wasi:keyvalue/atomics@0.2.0-draft2", calling)?;
    atomics.resource::<Cas>("cas")?;
    atomics.function("increment", |session, (bucket, key, delta): (Handle, String, i64)| {
        let (bucket, plugin) = (session.opened(&bucket)?, session.plugin());
        answer(plugin.increment(bucket.key(&key), delta, plugin.durability()))
    })?;
    atomics.function("[static]cas.new", |session, (bucket, key): (Handle, String)| {
        let cas = Cas { bucket: session.opened(&bucket)?, key, seen: Arc::default() };
        answer(cas.look(session.plugin()).and_then(|_| session.open(cas)))
    })?;
    atomics.function("[method]cas.current", |session, (cas,): (Resource<Cas>,)| {
        let cas = session.opened(&cas)?;
        answer(cas.look(session.plugin()))
    })?;
    atomics.function("swap", |session, (cas, value): (Resource<Cas>, Bytes)| {
        let opened = session.opened(&cas)?;
        session.close(cas)?;
        Ok((swap(session, opened, &value),))
    })?;

    let mut batch = Interface::new(linker, "wasi:keyvalue/batch@0.2.0-draft2", calling)?;
    batch.function(
        "get-many",
        |session, (bucket, keys): (Handle, Vec<String>)| -> Answer<Vec<(String, Option<Bytes>)>> {
            let bucket = session.opened(&bucket)?;
            let values = session.plugin().get_many(bucket.number, &keys);
            answer(values.map(|values| keys.into_iter().zip(values).collect()))
        },
    )?;
    add_batch(&mut batch)
}

/// The last key of the page that gave out `cursor`.
fn last_key<'c>(cursor: &'c str, bucket: &OpenBucket) -> Result<&'c str, Error> {
    let (number, key) = cursor.split_once(':').unwrap_or_default();
    match number.parse::<u32>() {
        Ok(number) if number == bucket.number.number() => Ok(key),
        Ok(_) => Err(Error::InvalidArgument("the cursor is one of another bucket".into())),
        Err(_) => Err(Error::InvalidArgument("the cursor is none that list-keys has returned".into())),
    }
}

/// Sets the key if it was not written since it was looked at; else the answer is a handle that has looked again.
fn swap(session: &Session, cas: Cas, value: &[u8]) -> Result<(), CasError> {
    let store_error = |error: Error| CasError::StoreError(error.into());
    match cas.replace(session.plugin(), value) {
        Err(Error::ConditionFailed(_)) => {
            let again = cas.look(session.plugin()).and_then(|_| session.open(cas));
            Err(again.map_or_else(store_error, CasError::CasFailed))
        }
        written => written.map_err(store_error),
    }
}

impl Cas {
    /// The value now, which is then the one that a swap replaces.
    fn look(&self, plugin: &Plugin) -> Result<Option<Bytes>, Error> {
        let found = plugin.get_with_sequence(self.bucket.key(&self.key))?;
        let (value, sequence) = found.unzip();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = sequence;
        Ok(value)
    }

    fn replace(&self, plugin: &Plugin, value: &[u8]) -> Result<(), Error> {
        let key = self.bucket.key(&self.key);
        let mut batch = Batch::new();
        batch.put(key, value).map_err(|error| plugin.refuse(error))?;
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = seen.map_or(Expected::Absent, Expected::UnchangedSince);
        plugin.write_if(&batch, &[Condition { key, expected }], plugin.durability()).map(drop)
    }
}
