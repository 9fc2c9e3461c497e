//! The store as one plugin may use it: each call is charged, judged by the plugin's grants, and counted.
//!
//! Buckets have the numbers here that the plugin knows them by ([`Grant`](super::Grant) says which); [`Granted`] turns
//! them into the store's. The program that runs a plugin can call the same functions, and so does everything that the
//! plugin imports.

use super::account::{self, Sizes};
use super::audit::{Calls, Usage};
use super::grant::Grants;
use super::granted::Granted;
use super::rate::Rate;
use super::session::Session;
use crate::batch::{Batch, limits};
use crate::bucket::{Bucket, BucketInfo, Key};
use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::kv_store::KvStore;
use crate::options::Durability;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The most that one answer holds, in bytes: the largest entry fits. More would take the memory that the store needs
/// for everybody.
pub(super) const ANSWER_BYTES_MAX: usize = limits::KEY_BYTES_MAX + limits::VALUE_BYTES_MAX;

/// A plugin of a store. Clones share its counters and its limits.
#[derive(Clone)]
pub struct Plugin {
    state: Arc<State>,
}

struct State {
    name: String,
    store: KvStore,
    buckets: Vec<Granted>,
    handles: usize,
    durability: Durability,
    rate: Option<Mutex<Rate>>,
    calls: Calls,
}

/// Every method answers what the store answers, and besides
///
/// - `AccessDenied` for a bucket that is not granted, or a write to one that is granted to be read,
/// - `NoSpace` for a write that makes a bucket larger than its quota allows,
/// - `InvalidArgument` for a value above its quota,
/// - `Busy` while the plugin has done too many operations.
impl Plugin {
    pub(super) fn new(name: &str, store: KvStore, buckets: Vec<Granted>, grants: &Grants) -> Self {
        let rate = grants.operations_per_second.map(|per_second| Rate::new(per_second, Instant::now()));
        let state = State {
            name: name.into(),
            store,
            buckets,
            handles: grants.handles,
            durability: grants.durability,
            rate: rate.map(Mutex::new),
            calls: Calls::default(),
        };
        Self { state: Arc::new(state) }
    }

    /// What an instance of the plugin has open: for the functions that it imports.
    pub fn session(&self) -> Session {
        Session::new(self.clone(), self.state.handles)
    }

    /// What it has done so far.
    pub fn usage(&self) -> Usage {
        let calls = &self.state.calls;
        Usage {
            plugin: self.state.name.clone(),
            calls: calls.calls.value(),
            operations: calls.operations.value(),
            refusals: calls.refused.values(),
            buckets: self.state.buckets.iter().map(Granted::usage).collect(),
        }
    }

    /// The value of `key`.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        Ok(self.get_with_sequence(key)?.map(|(value, _)| value))
    }

    /// The value of `key`, with the sequence number of the write that made it.
    pub fn get_with_sequence<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<(Vec<u8>, u64)>> {
        let key = key.into();
        self.call(1, || {
            let granted = self.granted(key.bucket)?;
            let found = self.state.store.get_with_sequence(granted.key(key.bytes))?;
            granted.traffic.count_read(key.bytes, found.as_ref().map(|(value, _)| value.as_slice()));
            Ok(found)
        })
    }

    /// The values of many keys of a bucket, in their order, all from one state. `InvalidArgument` where they have more
    /// than 64 MiB together.
    pub fn get_many<K: AsRef<[u8]>>(&self, bucket: Bucket, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        self.call(keys.len() as u64, || {
            let granted = self.granted(bucket)?;
            let snapshot = self.state.store.snapshot()?;
            let mut left = ANSWER_BYTES_MAX;
            let mut read = |key: &[u8]| {
                let value = snapshot.get(granted.key(key))?;
                granted.traffic.count_read(key, value.as_deref());
                left = left
                    .checked_sub(value.as_ref().map_or(0, Vec::len))
                    .ok_or_else(|| answer_too_large(format_args!("the values of {} keys", keys.len())))?;
                Ok(value)
            };
            keys.iter().map(|key| read(key.as_ref())).collect()
        })
    }

    /// Whether `key` is there.
    pub fn contains<'k>(&self, key: impl Into<Key<'k>>) -> Result<bool> {
        let key = key.into();
        self.call(1, || {
            let granted = self.granted(key.bucket)?;
            let found = self.state.store.contains(granted.key(key.bytes))?;
            granted.traffic.count_read(key.bytes, None);
            Ok(found)
        })
    }

    /// Sets `key` to `value`. Returns the write's sequence number.
    pub fn put<'k>(&self, key: impl Into<Key<'k>>, value: &[u8], durability: Durability) -> Result<u64> {
        let key = key.into();
        self.call(1, || {
            let mut batch = Batch::new();
            batch.put(key, value)?;
            self.apply(&batch, None, durability)
        })
    }

    /// Removes `key`. Returns the write's sequence number.
    pub fn delete<'k>(&self, key: impl Into<Key<'k>>, durability: Durability) -> Result<u64> {
        let key = key.into();
        self.call(1, || {
            let mut batch = Batch::new();
            batch.delete(key)?;
            self.apply(&batch, None, durability)
        })
    }

    /// Applies the operations of `batch` as one atomic write. Returns the sequence number of the last one.
    pub fn write(&self, batch: &Batch, durability: Durability) -> Result<u64> {
        self.call(batch.len() as u64, || self.apply(batch, None, durability))
    }

    /// [`write`](Self::write), if every condition holds; else the error is `ConditionFailed`.
    pub fn write_if(
        &self,
        batch: &Batch,
        conditions: &[Condition<'_>],
        durability: Durability,
    ) -> Result<u64> {
        let operations = batch.len() + conditions.len();
        self.call(operations as u64, || self.apply(batch, Some(conditions), durability))
    }

    /// Adds `delta` to the number that `key` holds, as [`KvStore::increment`] does. Returns the sum.
    pub fn increment<'k>(&self, key: impl Into<Key<'k>>, delta: i64, durability: Durability) -> Result<i64> {
        Ok(self.increment_with_sequence(key.into(), delta, durability)?.0)
    }

    /// [`increment`](Self::increment), with the write's sequence number.
    pub(super) fn increment_with_sequence(
        &self,
        key: Key<'_>,
        delta: i64,
        durability: Durability,
    ) -> Result<(i64, u64)> {
        let store = &self.state.store;
        self.call(1, || {
            let granted = self.granted_to_write(key.bucket)?;
            let ours = granted.key(key.bytes);
            let sizes = || Ok(Sizes::from([(ours, size_of_sum(store.get(ours)?, delta))]));
            let call = |durability| store.increment_with_sequence(ours, delta, durability);
            let (sum, sequence) = account::write(store, vec![granted.part()], durability, sizes, call)
                .inspect_err(|error| granted.traffic.refused.count(error))?;
            granted.traffic.count_written(key.bytes, sum.to_string().len());
            Ok((sum, sequence))
        })
    }

    /// The bucket of this name: `None` where there is none in the store, `AccessDenied` where there is one that is not
    /// granted.
    pub fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        self.call(1, || match self.named(name) {
            Some(number) => Ok(Some(number)),
            None if self.state.store.bucket(name)?.is_some() => {
                Err(self.not_granted(format_args!("`{name}`")))
            }
            None => Ok(None),
        })
    }

    /// The buckets that are granted, in the order of their numbers.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>> {
        self.call(1, || {
            let granted = self.state.buckets.iter();
            let mut buckets: Vec<BucketInfo> = granted.map(Granted::info).collect();
            buckets.sort_by_key(|info| info.bucket);
            Ok(buckets)
        })
    }

    /// The bucket of this name, if it is granted; a plugin makes none.
    pub fn create_bucket(&self, name: &str) -> Result<Bucket> {
        self.call(1, || self.named(name).ok_or_else(|| self.not_granted(format_args!("`{name}`"))))
    }

    /// `AccessDenied`: a plugin drops no bucket.
    pub fn drop_bucket(&self, name: &str) -> Result<bool> {
        let message = format!("plugin `{}` may not drop bucket `{name}`: it is its host's", self.state.name);
        self.call(1, || Err(Error::AccessDenied(message)))
    }

    /// Makes every write acknowledged before this call durable.
    pub fn sync(&self) -> Result<()> {
        self.call(1, || self.state.store.sync())
    }

    /// Hands deferred writes to the operating system.
    pub fn flush_deferred(&self) -> Result<()> {
        self.call(1, || self.state.store.flush_deferred())
    }

    /// The durability of writes by interfaces that do not say one.
    pub(super) fn durability(&self) -> Durability {
        self.state.durability
    }

    pub(super) fn store(&self) -> &KvStore {
        &self.state.store
    }

    /// Makes a call: charges its operations, and counts it.
    pub(super) fn call<T>(&self, operations: u64, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let operations = operations.max(1);
        self.state.calls.calls.add(1);
        let answer = self.charge(operations).and_then(|()| {
            self.state.calls.operations.add(operations);
            call()
        });
        answer.map_err(|error| self.refuse(error))
    }

    /// Charges operations of a call that nobody knew before it was made.
    pub(super) fn settle(&self, operations: u64) {
        self.state.calls.operations.add(operations);
        if let Some(rate) = &self.state.rate {
            rate.lock().unwrap_or_else(PoisonError::into_inner).settle(operations, Instant::now());
        }
    }

    /// Counts a refusal.
    pub(super) fn refuse(&self, error: Error) -> Error {
        self.state.calls.refused.count(&error);
        error
    }

    fn named(&self, name: &str) -> Option<Bucket> {
        let granted = self.state.buckets.iter().find(|granted| granted.name() == name)?;
        Some(granted.number())
    }

    /// The bucket that the plugin knows by this number.
    pub(super) fn granted(&self, number: Bucket) -> Result<&Granted> {
        if let Some(granted) = self.state.buckets.iter().find(|granted| granted.number() == number) {
            return Ok(granted);
        }
        let exists = self.state.store.buckets()?.iter().any(|info| info.bucket == number);
        Err(if exists {
            self.not_granted(format_args!("{number}"))
        } else {
            Error::NoSuchBucket(format!("bucket {number} does not exist"))
        })
    }

    fn granted_to_write(&self, number: Bucket) -> Result<&Granted> {
        let granted = self.granted(number)?;
        granted.check_writable(&self.state.name)?;
        Ok(granted)
    }

    fn not_granted(&self, bucket: fmt::Arguments<'_>) -> Error {
        Error::AccessDenied(format!("bucket {bucket} is not granted to plugin `{}`", self.state.name))
    }

    fn charge(&self, operations: u64) -> Result<()> {
        let Some(rate) = &self.state.rate else { return Ok(()) };
        let charged = rate.lock().unwrap_or_else(PoisonError::into_inner).charge(operations, Instant::now());
        charged.map_err(|wait| {
            Error::Busy(format!(
                "plugin `{}` has done all operations that it may do: try again in {} ms",
                self.state.name,
                wait.as_millis().max(1)
            ))
        })
    }

    /// Judges a batch by the grants, and makes it one of the store's.
    fn apply(
        &self,
        batch: &Batch,
        conditions: Option<&[Condition<'_>]>,
        durability: Durability,
    ) -> Result<u64> {
        let mut ours = Batch::new();
        let mut sizes = Sizes::new();
        let mut targets: Vec<&Granted> = Vec::new();
        for (key, value) in batch.operations() {
            let granted = self.granted_to_write(key.bucket)?;
            granted.check_value(value)?;
            let key = granted.key(key.bytes);
            match value {
                Some(value) => ours.put(key, value)?,
                None => ours.delete(key)?,
            }
            sizes.insert(key, value.map(<[u8]>::len));
            if !targets.iter().any(|target| std::ptr::eq(*target, granted)) {
                targets.push(granted);
            }
        }
        let conditions = conditions.map(|conditions| self.conditions(conditions)).transpose()?;
        let store = &self.state.store;
        let call = |durability| match &conditions {
            Some(conditions) => store.write_if(&ours, conditions, durability),
            None => store.write(&ours, durability),
        };
        let parts = targets.iter().map(|granted| granted.part()).collect();
        let sequence = account::write(store, parts, durability, || Ok(sizes), call).inspect_err(|error| {
            targets.iter().for_each(|granted| granted.traffic.refused.count(error));
        })?;
        for (key, value) in ours.operations() {
            if let Some(granted) = targets.iter().find(|granted| granted.bucket() == key.bucket) {
                granted.traffic.count_written(key.bytes, value.map_or(0, <[u8]>::len));
            }
        }
        Ok(sequence)
    }

    fn conditions<'c>(&self, conditions: &[Condition<'c>]) -> Result<Vec<Condition<'c>>> {
        let judge = |condition: &Condition<'c>| {
            let key = self.granted(condition.key.bucket)?.key(condition.key.bytes);
            Ok(Condition { key, expected: condition.expected })
        };
        conditions.iter().map(judge).collect()
    }
}

/// How many bytes the sum has that an increment of `value` makes. Where it makes none the store refuses it, and the
/// value stays.
fn size_of_sum(value: Option<Vec<u8>>, delta: i64) -> Option<usize> {
    let Some(value) = value else { return Some(delta.to_string().len()) };
    let number = std::str::from_utf8(&value).ok().and_then(|text| text.parse::<i64>().ok());
    let sum = number.and_then(|number| number.checked_add(delta));
    Some(sum.map_or(value.len(), |sum| sum.to_string().len()))
}

pub(super) fn answer_too_large(what: fmt::Arguments<'_>) -> Error {
    Error::InvalidArgument(format!("{what} have more than {ANSWER_BYTES_MAX} bytes: ask for fewer"))
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("name", &self.state.name).finish_non_exhaustive()
    }
}
