//! The types of the contract as a plugin sends and gets them, turned into the host's and back. No decisions here but
//! one: of the host's own errors, which may name paths and processes, a plugin learns only what to do.

use crate::batch::Batch;
use crate::bindings::esker::kv::types as wit;
use crate::bucket::{Bucket, BucketInfo, Key};
use crate::condition::{Condition, Expected};
use crate::error::{Error, Result};
use crate::options::{Durability, KeyRange, ScanOptions};

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidArgument(message) => Self::InvalidArgument(message),
            Error::Busy(message) => Self::Busy(message),
            Error::NoSpace(message) => Self::NoSpace(message),
            Error::NoSuchBucket(message) => Self::NoSuchBucket(message),
            Error::AccessDenied(message) => Self::AccessDenied(message),
            Error::ConditionFailed(places) => {
                Self::ConditionFailed(places.into_iter().map(|place| place as u32).collect())
            }
            Error::Corrupt(at) => {
                Self::Corrupt(wit::Corruption { file: at.file, offset: at.offset, message: at.message })
            }
            Error::CannotOpen(message) => Self::CannotOpen(message),
            Error::Io(message) => Self::Io(message),
            Error::Bug(message) => Self::Bug(message),
            Error::Reopen(_) | Error::Trap(_) => {
                Self::Reopen("the store has stopped: the program that runs it has to open it anew".into())
            }
            Error::Directory { .. } | Error::Locked { .. } | Error::Component(_) => {
                Self::CannotOpen("the program that runs the store cannot open it".into())
            }
        }
    }
}

pub fn durability(from: wit::Durability) -> Durability {
    match from {
        wit::Durability::Deferred => Durability::Deferred,
        wit::Durability::Buffered => Durability::Buffered,
        wit::Durability::Synced => Durability::Synced,
    }
}

pub fn batch(operations: &[wit::Operation]) -> Result<Batch> {
    let mut batch = Batch::new();
    for operation in operations {
        let key = key(operation.bucket, &operation.key);
        match &operation.value {
            Some(value) => batch.put(key, value)?,
            None => batch.delete(key)?,
        }
    }
    Ok(batch)
}

pub fn condition(from: &wit::Condition) -> Condition<'_> {
    let expected = match &from.expected {
        wit::Expected::Absent => Expected::Absent,
        wit::Expected::Equals(value) => Expected::Equals(value),
        wit::Expected::UnchangedSince(sequence) => Expected::UnchangedSince(*sequence),
    };
    Condition { key: key(from.bucket, &from.key), expected }
}

pub fn key(bucket: u32, bytes: &[u8]) -> Key<'_> {
    Key { bucket: Bucket::new(bucket), bytes }
}

pub fn key_range(from: wit::KeyRange) -> KeyRange {
    KeyRange { start: from.start, end: from.end }
}

pub fn scan_options(bucket: u32, from: wit::ScanOptions) -> ScanOptions {
    let wit::ScanOptions { reverse, keys_only, limit } = from;
    ScanOptions { bucket: Bucket::new(bucket), reverse, keys_only, limit }
}

pub fn bucket_info(from: BucketInfo) -> wit::BucketInfo {
    wit::BucketInfo { number: from.bucket.number(), name: from.name }
}

pub fn versioned((value, sequence): (Vec<u8>, u64)) -> wit::Versioned {
    wit::Versioned { value, sequence }
}

pub fn entries(from: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<wit::Entry> {
    from.into_iter().map(|(key, value)| wit::Entry { key, value }).collect()
}
