//! What a plugin is granted: buckets, by the names that it calls them, and how much it may do with them.

use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::options::Durability;

/// What one plugin may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// The buckets that it sees. No others exist for it.
    pub buckets: Vec<Grant>,
    /// How many operations it may do in a second, on the average: beyond, calls are refused with `busy`. A key read or
    /// written is one, and so are an entry of a scan, a condition of a write, and a call without any of them. What it
    /// has not used for a second is lost. Default no limit.
    pub operations_per_second: Option<u32>,
    /// How many handles each of its instances may have at a time: stores, snapshots, cursors, buckets and CAS handles
    /// together. Snapshots and cursors keep old data on the disk, and a cursor takes memory of the store. Beyond, the
    /// call is refused with `busy`. Default 64.
    pub handles: usize,
    /// The durability of its writes by interfaces that do not say one (`wasi:keyvalue`). Default `Buffered`.
    pub durability: Durability,
}

/// A bucket that a plugin sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The name that the plugin calls it by.
    pub name: String,
    /// The store's bucket. The default bucket can only be granted by the name `default`.
    pub bucket: Bucket,
    /// Whether the plugin may write to it.
    pub access: Access,
    /// How much it may hold.
    pub quota: Quota,
}

/// What a plugin may do with a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
}

/// How much a bucket may hold. What a write would take beyond it is refused with `no-space`; a write that makes the
/// bucket no larger is always allowed. What is `None` has no limit but the store's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Keys.
    pub keys: Option<u64>,
    /// Bytes of keys and values together, as the plugin sees them: neither compression nor old versions count.
    pub bytes: Option<u64>,
    /// Bytes of one value. A larger one is refused with `invalid-argument`.
    pub value_bytes: Option<u64>,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            buckets: Vec::new(),
            operations_per_second: None,
            handles: 64,
            durability: Durability::Buffered,
        }
    }
}

impl Grant {
    /// `bucket` by this name, to read and write, without a quota.
    pub fn new(name: impl Into<String>, bucket: Bucket) -> Self {
        Self { name: name.into(), bucket, access: Access::ReadWrite, quota: Quota::default() }
    }

    /// The same, but only to read.
    pub fn read_only(self) -> Self {
        Self { access: Access::Read, ..self }
    }

    /// The same, but with this quota.
    pub fn with_quota(self, quota: Quota) -> Self {
        Self { quota, ..self }
    }

    /// The number that the plugin knows it by: the store's own, which stays the same while grants come and go; but the
    /// bucket called `default` has the number that the contract gives to the default bucket.
    pub(super) fn number(&self) -> Bucket {
        if self.name == DEFAULT_NAME { Bucket::DEFAULT } else { self.bucket }
    }
}

/// The name of the default bucket.
pub(super) const DEFAULT_NAME: &str = "default";

impl Quota {
    /// Whether what the bucket holds must be known.
    pub(super) fn counts(&self) -> bool {
        self.keys.is_some() || self.bytes.is_some()
    }
}

/// Refuses grants that contradict each other.
pub(super) fn check(grants: &Grants) -> Result<()> {
    if grants.operations_per_second == Some(0) {
        return Err(Error::InvalidArgument("operations_per_second is 0, and must be at least 1".into()));
    }
    for (place, grant) in grants.buckets.iter().enumerate() {
        if grant.bucket == Bucket::DEFAULT && grant.name != DEFAULT_NAME {
            return Err(Error::InvalidArgument(format!(
                "the default bucket can only be granted by the name `{DEFAULT_NAME}`, not `{}`",
                grant.name
            )));
        }
        for other in &grants.buckets[..place] {
            if other.name == grant.name {
                return Err(Error::InvalidArgument(format!("two grants have the name `{}`", grant.name)));
            }
            if other.bucket == grant.bucket {
                return Err(Error::InvalidArgument(format!(
                    "`{}` and `{}` are the same bucket, {}: grant it once",
                    other.name, grant.name, grant.bucket
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(buckets: &[(&str, u32)]) -> Option<String> {
        let buckets = buckets.iter().map(|&(name, number)| Grant::new(name, Bucket::new(number)));
        check(&Grants { buckets: buckets.collect(), ..Grants::default() })
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn grants_that_contradict_each_other_are_refused() {
        assert_eq!(refusal(&[("default", 0), ("a", 1), ("b", 2)]), None);
        assert_eq!(refusal(&[("default", 7), ("a", 1)]), None);
        assert_eq!(refusal(&[("a", 1), ("a", 2)]), Some("two grants have the name `a`".into()));
        assert_eq!(
            refusal(&[("a", 1), ("b", 1)]),
            Some("`a` and `b` are the same bucket, 1: grant it once".into())
        );
        let message = "the default bucket can only be granted by the name `default`, not `a`";
        assert_eq!(refusal(&[("a", 0)]), Some(message.into()));
    }

    #[test]
    fn only_the_bucket_called_default_changes_its_number() {
        assert_eq!(Grant::new("default", Bucket::new(7)).number(), Bucket::DEFAULT);
        assert_eq!(Grant::new("a", Bucket::new(7)).number(), Bucket::new(7));
    }
}
