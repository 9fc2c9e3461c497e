//! `wasi:keyvalue`, as a plugin imports it, in the two drafts that are in use. They share buckets and errors (here);
//! each has its own cursors, numbers and answers (`draft`, `draft2`).
//!
//! A bucket is one of the plugin's grants, by its name; the empty name is `default`. Keys are text. A batch is one
//! atomic write, though the drafts ask for less. What a quota refuses is `other`, with the store's words.

mod draft;
mod draft2;

use super::confined::Plugin;
use super::convert;
use super::grant::DEFAULT_NAME;
use super::linker::{Calling, Interface};
use super::session::Session;
use crate::batch::Batch;
use crate::bucket::{Bucket, Key};
use crate::error::Error;
use crate::options::{KeyRange, ScanOptions};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource};

/// A page of `list-keys` has at most this many keys ...
const PAGE_KEYS: u32 = 1_000;
/// ... and no more after so many bytes of them.
const PAGE_BYTES: u32 = 256 << 10;
/// So many numbers of places in listings are remembered for each open bucket.
const PLACES_MAX: usize = 64;

type Bytes = Vec<u8>;
type Handle = Resource<OpenBucket>;

/// What every function answers.
type Answer<T> = wasmtime::Result<(Result<T, Failure>,)>;

/// The interfaces' errors.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
enum Failure {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

/// A bucket that a plugin has opened.
#[derive(Clone)]
struct OpenBucket {
    number: Bucket,
    /// Where listings stopped, by the number that was given out for the place (`draft`).
    places: Arc<Mutex<Places>>,
}

#[derive(Default)]
struct Places {
    given: u64,
    /// The last ones that were given out, oldest first.
    last_keys: VecDeque<String>,
}

/// A page of a bucket's keys.
struct Page {
    keys: Vec<String>,
    /// Whether more follow the last of them.
    more: bool,
}

/// Adds the interfaces.
pub(super) fn add<T: Send + 'static>(linker: &mut Linker<T>, calling: Calling<T>) -> wasmtime::Result<()> {
    draft::add(linker, calling)?;
    draft2::add(linker, calling)
}

/// Adds what the store's interface has alike in both drafts.
fn add_store<T: Send + 'static>(interface: &mut Interface<'_, T>) -> wasmtime::Result<()> {
    interface.resource::<OpenBucket>("bucket")?;
    interface.function("open", |session, (name,): (String,)| answer(open(session, &name)))?;
    interface.function("[method]bucket.get", |session, (bucket, key): (Handle, String)| {
        let bucket = session.opened(&bucket)?;
        answer(session.plugin().get(bucket.key(&key)))
    })?;
    interface.function("[method]bucket.exists", |session, (bucket, key): (Handle, String)| {
        let bucket = session.opened(&bucket)?;
        answer(session.plugin().contains(bucket.key(&key)))
    })?;
    interface.function("[method]bucket.set", |session, (bucket, key, value): (Handle, String, Bytes)| {
        let (bucket, plugin) = (session.opened(&bucket)?, session.plugin());
        answer(plugin.put(bucket.key(&key), &value, plugin.durability()).map(drop))
    })?;
    interface.function("[method]bucket.delete", |session, (bucket, key): (Handle, String)| {
        let (bucket, plugin) = (session.opened(&bucket)?, session.plugin());
        answer(plugin.delete(bucket.key(&key), plugin.durability()).map(drop))
    })
}

/// Adds what the batch interface has alike in both drafts.
fn add_batch<T: Send + 'static>(interface: &mut Interface<'_, T>) -> wasmtime::Result<()> {
    interface.function("set-many", |session, (bucket, pairs): (Handle, Vec<(String, Bytes)>)| {
        let bucket = session.opened(&bucket)?;
        answer(write(session.plugin(), |batch| {
            pairs.iter().try_for_each(|(key, value)| batch.put(bucket.key(key), value))
        }))
    })?;
    interface.function("delete-many", |session, (bucket, keys): (Handle, Vec<String>)| {
        let bucket = session.opened(&bucket)?;
        answer(write(session.plugin(), |batch| keys.iter().try_for_each(|key| batch.delete(bucket.key(key)))))
    })
}

fn open(session: &Session, name: &str) -> Result<Handle, Error> {
    let name = if name.is_empty() { DEFAULT_NAME } else { name };
    match session.plugin().bucket(name)? {
        Some(number) => session.open(OpenBucket { number, places: Arc::default() }),
        None => Err(Error::NoSuchBucket(format!("there is no bucket `{name}`"))),
    }
}

fn write(plugin: &Plugin, fill: impl FnOnce(&mut Batch) -> Result<(), Error>) -> Result<(), Error> {
    let mut batch = Batch::new();
    fill(&mut batch).map_err(|error| plugin.refuse(error))?;
    plugin.write(&batch, plugin.durability()).map(drop)
}

/// The keys after `after`.
fn list_keys(plugin: &Plugin, bucket: &OpenBucket, after: Option<String>) -> Result<Page, Error> {
    // The least key greater than another one is that one and a zero byte.
    let start = after.map(|key| [key.as_bytes(), &[0]].concat());
    let options = ScanOptions {
        bucket: bucket.number,
        keys_only: true,
        limit: Some(u64::from(PAGE_KEYS) + 1),
        ..ScanOptions::default()
    };
    let cursor = plugin.scan(KeyRange { start, end: None }, options)?;
    let entries = cursor.next(PAGE_KEYS, PAGE_BYTES)?;
    let keys: Vec<String> = entries
        .into_iter()
        .map(|(key, _)| text(key))
        .collect::<Result<_, _>>()
        .map_err(|error| plugin.refuse(error))?;
    let more = !cursor.next(1, 1)?.is_empty();
    Ok(Page { keys, more })
}

fn text(key: Bytes) -> Result<String, Error> {
    String::from_utf8(key).map_err(|error| {
        let shown = error.as_bytes().escape_ascii().take(100).map(char::from).collect::<String>();
        Error::InvalidArgument(format!(
            "the bucket has a key that is no text, and wasi:keyvalue cannot list it: {shown}"
        ))
    })
}

impl OpenBucket {
    fn key<'k>(&self, key: &'k str) -> Key<'k> {
        convert::key(self.number.number(), key.as_bytes())
    }

    /// A number for the place behind `last_key`.
    fn remember(&self, last_key: &str) -> u64 {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.last_keys.len() == PLACES_MAX {
            places.last_keys.pop_front();
        }
        places.last_keys.push_back(last_key.into());
        places.given += 1;
        places.given
    }

    /// The key before the place with this number.
    fn recall(&self, number: u64) -> Result<String, Error> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let back = places.given.checked_sub(number).and_then(|back| usize::try_from(back).ok());
        let found = back.and_then(|back| places.last_keys.iter().rev().nth(back));
        found.cloned().ok_or_else(|| {
            Error::InvalidArgument(format!(
                "cursor {number} is none of the last {PLACES_MAX} that this bucket has given out: list anew"
            ))
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        use crate::bindings::esker::kv::types::Error as Contract;
        match Contract::from(error) {
            Contract::NoSuchBucket(_) => Self::NoSuchStore,
            Contract::AccessDenied(_) => Self::AccessDenied,
            Contract::InvalidArgument(message)
            | Contract::Busy(message)
            | Contract::Reopen(message)
            | Contract::NoSpace(message)
            | Contract::CannotOpen(message)
            | Contract::Io(message)
            | Contract::Bug(message) => Self::Other(message),
            Contract::Corrupt(at) => Self::Other(at.message),
            Contract::ConditionFailed(_) => Self::Other("the key was written meanwhile".into()),
        }
    }
}

fn answer<T>(answer: Result<T, Error>) -> Answer<T> {
    Ok((answer.map_err(Failure::from),))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_places_of_a_listing_are_remembered() {
        let bucket = OpenBucket { number: Bucket::DEFAULT, places: Arc::default() };
        let numbers: Vec<u64> = (0..PLACES_MAX + 2).map(|key| bucket.remember(&key.to_string())).collect();
        let found = |place: usize| bucket.recall(numbers[place]).ok();
        assert_eq!(found(PLACES_MAX + 1), Some((PLACES_MAX + 1).to_string()));
        assert_eq!(found(2), Some("2".into()));
        assert_eq!(found(1), None);
        assert!(bucket.recall(0).is_err());
        assert!(bucket.recall(u64::MAX).is_err());
    }
}
