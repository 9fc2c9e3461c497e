//! `wasi:keyvalue` 0.2.0-draft: a cursor of `list-keys` is a number, and so is what `increment` adds and returns.
//!
//! A number cannot hold a key, so the places where the last listings stopped are kept here.

use super::{Failure, Keyspace, Result};
use crate::Component;
use crate::bindings::exports::wasi::keyvalue0_2_0_draft as wit;
use std::cell::RefCell;
use std::collections::VecDeque;
use wit::store::{Bucket, BucketBorrow, Error, KeyResponse};

/// So many listings can be under way; the oldest is forgotten for one more.
const CURSORS_MAX: usize = 256;

thread_local! {
    static CURSORS: RefCell<Cursors> = const { RefCell::new(Cursors { next: 1, places: VecDeque::new() }) };
}

/// Where listings have stopped.
struct Cursors {
    next: u64,
    places: VecDeque<Place>,
}

struct Place {
    cursor: u64,
    bucket: u32,
    last_key: String,
}

impl Cursors {
    fn add(&mut self, bucket: u32, last_key: String) -> u64 {
        if self.places.len() == CURSORS_MAX {
            self.places.pop_front();
        }
        let cursor = self.next;
        self.next += 1;
        self.places.push_back(Place { cursor, bucket, last_key });
        cursor
    }

    fn last_key(&self, cursor: u64, bucket: u32) -> Result<String> {
        let place = self.places.iter().find(|place| place.cursor == cursor);
        match place {
            Some(place) if place.bucket == bucket => Ok(place.last_key.clone()),
            Some(_) => Err(Failure::other(format!("the cursor {cursor} is one of another bucket"))),
            None => Err(Failure::other(format!(
                "there is no cursor {cursor}: none was given out in this run, or {CURSORS_MAX} were since; list anew"
            ))),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoSuchStore => Self::NoSuchStore,
            Failure::AccessDenied => Self::AccessDenied,
            Failure::Other(message) => Self::Other(message),
        }
    }
}

impl wit::store::Guest for Component {
    type Bucket = Keyspace;

    fn open(identifier: String) -> Result<Bucket, Error> {
        Ok(Bucket::new(Keyspace::open(&identifier)?))
    }
}

impl wit::store::GuestBucket for Keyspace {
    fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(Keyspace::get(self, &key)?)
    }

    fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        Ok(Keyspace::set(self, &key, &value)?)
    }

    fn delete(&self, key: String) -> Result<(), Error> {
        Ok(Keyspace::delete(self, &key)?)
    }

    fn exists(&self, key: String) -> Result<bool, Error> {
        Ok(Keyspace::exists(self, &key)?)
    }

    fn list_keys(&self, cursor: Option<u64>) -> Result<KeyResponse, Error> {
        let place = |cursor| CURSORS.with_borrow(|cursors| cursors.last_key(cursor, self.number()));
        let after = cursor.map(place).transpose()?;
        let page = Keyspace::list_keys(self, after.as_deref())?;
        let last = page.keys.last().filter(|_| page.more);
        let cursor =
            last.map(|last| CURSORS.with_borrow_mut(|cursors| cursors.add(self.number(), last.clone())));
        Ok(KeyResponse { keys: page.keys, cursor })
    }
}

impl wit::atomics::Guest for Component {
    fn increment(bucket: BucketBorrow<'_>, key: String, delta: u64) -> Result<u64, Error> {
        let keyspace: &Keyspace = bucket.get();
        let added = i64::try_from(delta).map_err(|_| {
            Failure::other(format!("{delta} is more than {}, the most that is added at once", i64::MAX))
        })?;
        // Nobody else writes between this look and the increment: a component does one call at a time.
        if keyspace.get(&key)?.is_some_and(|value| value.starts_with(b"-")) {
            return Err(Failure::other(
                "the key holds a negative number, and this draft of wasi:keyvalue has none: nothing was changed",
            )
            .into());
        }
        Ok(keyspace.increment(&key, added)?.unsigned_abs())
    }
}

impl wit::batch::Guest for Component {
    fn get_many(
        bucket: BucketBorrow<'_>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, Error> {
        let found = bucket.get::<Keyspace>().get_many(keys)?;
        Ok(found.into_iter().map(|(key, value)| value.map(|value| (key, value))).collect())
    }

    fn set_many(bucket: BucketBorrow<'_>, key_values: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        Ok(bucket.get::<Keyspace>().set_many(&key_values)?)
    }

    fn delete_many(bucket: BucketBorrow<'_>, keys: Vec<String>) -> Result<(), Error> {
        Ok(bucket.get::<Keyspace>().delete_many(&keys)?)
    }
}
