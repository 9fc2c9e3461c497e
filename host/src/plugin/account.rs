//! What a bucket holds, and the writes that change it.
//!
//! Nothing about it is stored: a bucket is counted by one scan when the first plugin gets a quota of it, and exactly
//! from then on. A write to a counted bucket
//!
//! 1. has the bucket's account to itself, so that no two of them see the same free space,
//! 2. reads how large the values of its keys are now,
//! 3. is refused where the bucket would grow beyond the quota,
//! 4. is made, and
//! 5. has its difference added. If the store's error leaves open whether it was made, the keys are read again.
//!
//! The sync that a write may ask for comes after all this, shared with other writers as usual. A bucket of which
//! nobody has a quota costs none of it.

use super::grant::Quota;
use crate::batch::Batch;
use crate::bucket::{Bucket, Key};
use crate::error::{Error, Result};
use crate::kv_store::KvStore;
use crate::options::{Durability, KeyRange, ScanOptions};
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What a bucket holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and values together.
    pub bytes: u64,
}

/// What one bucket holds, as far as it is counted.
#[derive(Debug)]
pub struct Account {
    bucket: Bucket,
    /// `None` while nobody has a quota of the bucket. Those who write to it then share the lock.
    held: RwLock<Option<Held>>,
}

/// The part of a write that goes to one bucket.
pub struct Part<'a> {
    pub account: &'a Account,
    pub quota: Quota,
    /// The bucket as the plugin calls it.
    pub name: &'a str,
}

/// Keys, and how many bytes the value of each has; `None` where it has no value.
pub type Sizes<'k> = BTreeMap<Key<'k>, Option<usize>>;

impl Account {
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, held: RwLock::new(None) }
    }

    /// What the bucket holds, if it is counted.
    pub fn held(&self) -> Option<Held> {
        *self.read()
    }

    /// Counts what the bucket holds, if it has not been.
    pub fn open(&self, store: &KvStore) -> Result<()> {
        let mut held = self.write();
        if held.is_none() {
            *held = Some(count(store, self.bucket)?);
        }
        Ok(())
    }

    /// Counts what the bucket holds anew.
    pub fn recount(&self, store: &KvStore) -> Result<Held> {
        let mut held = self.write();
        *held = None;
        let counted = count(store, self.bucket)?;
        *held = Some(counted);
        Ok(counted)
    }

    // A thread that panicked in the middle of a write has left the account uncounted.
    fn read(&self) -> RwLockReadGuard<'_, Option<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Held>> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a write within the quotas of its parts. `sizes` tells how large its values will be, and `call` makes it.
///
/// # Errors
///
/// `NoSpace` beyond a quota; what `sizes` and `call` answer.
pub fn write<'k, T>(
    store: &KvStore,
    mut parts: Vec<Part<'_>>,
    durability: Durability,
    sizes: impl FnOnce() -> Result<Sizes<'k>>,
    call: impl FnOnce(Durability) -> Result<T>,
) -> Result<T> {
    // In one order everywhere, so that no two writes wait for each other.
    parts.sort_by_key(|part| part.account.bucket);
    parts.dedup_by_key(|part| part.account.bucket);
    let locks: Vec<Lock<'_>> =
        parts.into_iter().map(|part| Lock::take(part, store)).collect::<Result<_>>()?;
    if locks.iter().all(|lock| matches!(lock, Lock::Uncounted { .. })) {
        return call(durability);
    }

    let mut after = sizes()?;
    after.retain(|key, _| locks.iter().any(|lock| lock.counts(key.bucket)));
    let before = measure(store, &after)?;
    let mut counted: Vec<Counted<'_>> = locks.into_iter().filter_map(Lock::into_counted).collect();
    counted.iter().try_for_each(|entry| entry.check(&before, &after))?;

    counted.iter_mut().for_each(Counted::begin);
    let answer = call(if durability == Durability::Synced { Durability::Buffered } else { durability });
    let now = match &answer {
        Ok(_) => Ok(after),
        Err(error) if changed_nothing(error) => Ok(before.clone()),
        Err(_) => measure(store, &after),
    };
    // Where even reading fails, the store has to be opened anew, and the bucket to be counted anew.
    if let Ok(now) = now {
        counted.iter_mut().for_each(|entry| entry.end(&before, &now));
    }
    drop(counted);

    let answer = answer?;
    if durability == Durability::Synced {
        store.write(&Batch::new(), Durability::Synced)?;
    }
    Ok(answer)
}

/// A bucket's account while a write goes to the bucket.
enum Lock<'a> {
    /// Nobody has a quota of it, and nobody gets one before the write is made.
    Uncounted {
        _shared: RwLockReadGuard<'a, Option<Held>>,
    },
    Counted(Counted<'a>),
}

impl<'a> Lock<'a> {
    fn take(part: Part<'a>, store: &KvStore) -> Result<Self> {
        let account = part.account;
        if !part.quota.counts() {
            let shared = account.read();
            if shared.is_none() {
                return Ok(Self::Uncounted { _shared: shared });
            }
        }
        let mut held = account.write();
        let before = match *held {
            Some(before) => before,
            None => *held.insert(count(store, account.bucket)?),
        };
        Ok(Self::Counted(Counted { part, held, before }))
    }

    fn counts(&self, bucket: Bucket) -> bool {
        matches!(self, Self::Counted(entry) if entry.part.account.bucket == bucket)
    }

    fn into_counted(self) -> Option<Counted<'a>> {
        match self {
            Self::Counted(entry) => Some(entry),
            Self::Uncounted { .. } => None,
        }
    }
}

/// A counted bucket while a write goes to it.
struct Counted<'a> {
    part: Part<'a>,
    held: RwLockWriteGuard<'a, Option<Held>>,
    before: Held,
}

impl Counted<'_> {
    /// Refuses a write that makes the bucket larger than the quota allows.
    fn check(&self, before: &Sizes<'_>, after: &Sizes<'_>) -> Result<()> {
        let held = self.held_after(before, after);
        let Quota { keys, bytes, .. } = self.part.quota;
        for (what, old, new, quota) in
            [("keys", self.before.keys, held.keys, keys), ("bytes", self.before.bytes, held.bytes, bytes)]
        {
            if let Some(quota) = quota.filter(|&quota| new > quota && new > old) {
                return Err(Error::NoSpace(format!(
                    "bucket `{}` holds {old} {what}, and would hold {new}: the quota is {quota}",
                    self.part.name
                )));
            }
        }
        Ok(())
    }

    /// Until `end` it is open what the bucket holds, also for those who come after a panic.
    fn begin(&mut self) {
        *self.held = None;
    }

    fn end(&mut self, before: &Sizes<'_>, now: &Sizes<'_>) {
        *self.held = Some(self.held_after(before, now));
    }

    /// What the bucket holds when its keys have changed from `before` to `after`.
    fn held_after(&self, before: &Sizes<'_>, after: &Sizes<'_>) -> Held {
        let (old, new) = (self.sum(before), self.sum(after));
        // Writes that went past all plugins may have made the account too small.
        Held {
            keys: (self.before.keys + new.keys).saturating_sub(old.keys),
            bytes: (self.before.bytes + new.bytes).saturating_sub(old.bytes),
        }
    }

    /// What the keys of this bucket hold.
    fn sum(&self, sizes: &Sizes<'_>) -> Held {
        let mine = sizes.iter().filter(|(key, _)| key.bucket == self.part.account.bucket);
        let present = mine.filter_map(|(key, size)| Some(key.bytes.len() + (*size)?));
        present
            .fold(Held::default(), |sum, bytes| Held { keys: sum.keys + 1, bytes: sum.bytes + bytes as u64 })
    }
}

/// How large the values of these keys are now.
fn measure<'k>(store: &KvStore, keys: &Sizes<'k>) -> Result<Sizes<'k>> {
    keys.keys().map(|&key| Ok((key, store.get(key)?.map(|value| value.len())))).collect()
}

/// Whether the error says that nothing was written.
fn changed_nothing(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidArgument(_)
            | Error::Busy(_)
            | Error::NoSuchBucket(_)
            | Error::AccessDenied(_)
            | Error::ConditionFailed(_)
    )
}

/// Reads all that the bucket holds.
fn count(store: &KvStore, bucket: Bucket) -> Result<Held> {
    let mut scan = store.scan(KeyRange::all(), ScanOptions { bucket, ..ScanOptions::default() })?;
    let mut held = Held::default();
    while let Some((key, value)) = scan.next_entry()? {
        held.keys += 1;
        held.bytes += (key.len() + value.len()) as u64;
    }
    Ok(held)
}
