//! `wasi:keyvalue` 0.2.0-draft2: a cursor of `list-keys` is text, `increment` takes and returns numbers with a sign,
//! and there is compare-and-swap. `get-many` names the keys that have no value, too.
//!
//! The text of a cursor is the bucket's number, a colon, and the last key of the page.

use super::keyspace::Seen;
use super::{Failure, Keyspace, Result};
use crate::Component;
use crate::bindings::exports::wasi::keyvalue0_2_0_draft2 as wit;
use wit::atomics::{Cas, CasError};
use wit::store::{Bucket, BucketBorrow, Error, KeyResponse};

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoSuchStore => Self::NoSuchStore,
            Failure::AccessDenied => Self::AccessDenied,
            Failure::Other(message) => Self::Other(message),
        }
    }
}

impl From<Failure> for CasError {
    fn from(failure: Failure) -> Self {
        Self::StoreError(failure.into())
    }
}

/// The last key of the page that gave out `cursor`.
fn last_key(cursor: &str, bucket: u32) -> Result<&str> {
    match cursor.split_once(':') {
        Some((number, key)) if number.parse() == Ok(bucket) => Ok(key),
        Some((number, _)) if number.parse::<u32>().is_ok() => {
            Err(Failure::other("the cursor is one of another bucket"))
        }
        _ => Err(Failure::other("the cursor is none that list-keys has returned")),
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

    fn list_keys(&self, cursor: Option<String>) -> Result<KeyResponse, Error> {
        let after = cursor.as_deref().map(|cursor| last_key(cursor, self.number())).transpose()?;
        let page = Keyspace::list_keys(self, after)?;
        let last = page.keys.last().filter(|_| page.more);
        let cursor = last.map(|last| format!("{}:{last}", self.number()));
        Ok(KeyResponse { keys: page.keys, cursor })
    }
}

impl wit::atomics::Guest for Component {
    type Cas = Seen;

    fn increment(bucket: BucketBorrow<'_>, key: String, delta: i64) -> Result<i64, Error> {
        Ok(bucket.get::<Keyspace>().increment(&key, delta)?)
    }

    fn swap(cas: Cas, value: Vec<u8>) -> Result<(), CasError> {
        let seen: &Seen = cas.get();
        if seen.replace(&value)? {
            return Ok(());
        }
        Err(CasError::CasFailed(Cas::new(seen.again()?)))
    }
}

impl wit::atomics::GuestCas for Seen {
    fn new(bucket: BucketBorrow<'_>, key: String) -> Result<Cas, Error> {
        Ok(Cas::new(bucket.get::<Keyspace>().see(key)?))
    }

    fn current(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.value())
    }
}

impl wit::batch::Guest for Component {
    fn get_many(
        bucket: BucketBorrow<'_>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        Ok(bucket.get::<Keyspace>().get_many(keys)?)
    }

    fn set_many(bucket: BucketBorrow<'_>, key_values: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        Ok(bucket.get::<Keyspace>().set_many(&key_values)?)
    }

    fn delete_many(bucket: BucketBorrow<'_>, keys: Vec<String>) -> Result<(), Error> {
        Ok(bucket.get::<Keyspace>().delete_many(&keys)?)
    }
}
