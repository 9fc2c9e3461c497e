//! What a plugin has done: counters that its calls add to, and what they say at a moment.

use super::account::Held;
use crate::bucket::Bucket;
use crate::error::Error;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a plugin has done since it was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The plugin's name.
    pub plugin: String,
    /// Calls, the refused ones included.
    pub calls: u64,
    /// Operations, as [`Grants::operations_per_second`](super::Grants::operations_per_second) counts them.
    pub operations: u64,
    /// Calls that got an error, of whatever bucket.
    pub refusals: Refusals,
    /// Its buckets, in the order of its grants.
    pub buckets: Vec<BucketUsage>,
}

/// What a plugin has done with a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUsage {
    /// The name that the plugin calls it by.
    pub name: String,
    /// The store's bucket.
    pub bucket: Bucket,
    /// Keys read, entries of scans included.
    pub reads: u64,
    /// Keys written or removed.
    pub writes: u64,
    /// Bytes of the keys and values that were read.
    pub read_bytes: u64,
    /// Bytes of the keys and values that were written.
    pub written_bytes: u64,
    /// Writes to it that its grant, its quota or the store refused.
    pub refusals: Refusals,
    /// What it holds, whoever wrote it; `None` if no plugin has a quota of it.
    pub held: Option<Held>,
}

/// Calls that got an error, by the error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals {
    /// What is not granted, or only to be read.
    pub access_denied: u64,
    /// A quota of keys or bytes, or the disk, is full.
    pub no_space: u64,
    /// Too many operations in a second or too many handles, or the store was busy.
    pub busy: u64,
    /// Calls that are wrong: malformed batches, keys and values beyond a limit, buckets that do not exist.
    pub invalid: u64,
    /// Whatever else the store answered.
    pub other: u64,
}

/// The calls of a plugin.
#[derive(Debug, Default)]
pub struct Calls {
    pub calls: Counter,
    pub operations: Counter,
    pub refused: Refused,
}

/// The use of a bucket.
#[derive(Debug, Default)]
pub struct Traffic {
    pub reads: Counter,
    pub writes: Counter,
    pub read_bytes: Counter,
    pub written_bytes: Counter,
    pub refused: Refused,
}

/// A number that many threads add to.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// Counters of errors.
#[derive(Debug, Default)]
pub struct Refused {
    access_denied: Counter,
    no_space: Counter,
    busy: Counter,
    invalid: Counter,
    other: Counter,
}

impl Counter {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Traffic {
    pub fn count_read(&self, key: &[u8], value: Option<&[u8]>) {
        self.reads.add(1);
        if let Some(value) = value {
            self.read_bytes.add((key.len() + value.len()) as u64);
        }
    }

    pub fn count_written(&self, key: &[u8], value_bytes: usize) {
        self.writes.add(1);
        self.written_bytes.add((key.len() + value_bytes) as u64);
    }
}

impl Refused {
    /// Counts an error. That a condition of a write did not hold is an answer, and no refusal.
    pub fn count(&self, error: &Error) {
        let counter = match error {
            Error::ConditionFailed(_) => return,
            Error::AccessDenied(_) => &self.access_denied,
            Error::NoSpace(_) => &self.no_space,
            Error::Busy(_) => &self.busy,
            Error::InvalidArgument(_) | Error::NoSuchBucket(_) => &self.invalid,
            _ => &self.other,
        };
        counter.add(1);
    }

    pub fn values(&self) -> Refusals {
        Refusals {
            access_denied: self.access_denied.value(),
            no_space: self.no_space.value(),
            busy: self.busy.value(),
            invalid: self.invalid.value(),
            other: self.other.value(),
        }
    }
}

impl Usage {
    /// The same as a JSON object; what a plugin gets when it asks for `stats`.
    pub fn to_json(&self) -> Value {
        json!({
            "plugin": self.plugin,
            "calls": self.calls,
            "operations": self.operations,
            "refusals": self.refusals.to_json(),
            "buckets": self.buckets.iter().map(BucketUsage::to_json).collect::<Vec<_>>(),
        })
    }
}

impl BucketUsage {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "reads": self.reads,
            "writes": self.writes,
            "read_bytes": self.read_bytes,
            "written_bytes": self.written_bytes,
            "refusals": self.refusals.to_json(),
            "held_keys": self.held.map(|held| held.keys),
            "held_bytes": self.held.map(|held| held.bytes),
        })
    }
}

impl Refusals {
    fn to_json(self) -> Value {
        json!({
            "access_denied": self.access_denied,
            "no_space": self.no_space,
            "busy": self.busy,
            "invalid": self.invalid,
            "other": self.other,
        })
    }
}
