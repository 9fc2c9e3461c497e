//! A bucket of one plugin: what the grant says, turned into the store's terms.

use super::account::{Account, Part};
use super::audit::{BucketUsage, Traffic};
use super::grant::{Access, Grant};
use crate::bucket::{Bucket, BucketInfo, Key};
use crate::error::{Error, Result};
use std::sync::Arc;

/// A bucket of a plugin.
pub struct Granted {
    grant: Grant,
    account: Arc<Account>,
    pub traffic: Traffic,
}

impl Granted {
    pub fn new(grant: Grant, account: Arc<Account>) -> Self {
        Self { grant, account, traffic: Traffic::default() }
    }

    /// The name that the plugin calls it by.
    pub fn name(&self) -> &str {
        &self.grant.name
    }

    /// The number that the plugin knows it by.
    pub fn number(&self) -> Bucket {
        self.grant.number()
    }

    /// Refuses a write to what is granted to be read.
    pub fn check_writable(&self, plugin: &str) -> Result<()> {
        match self.grant.access {
            Access::ReadWrite => Ok(()),
            Access::Read => Err(self.refuse(Error::AccessDenied(format!(
                "plugin `{plugin}` may read bucket `{}`, but not write to it",
                self.grant.name
            )))),
        }
    }

    /// A key of this bucket, as the store knows it.
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bucket: self.grant.bucket, bytes }
    }

    /// The store's bucket.
    pub fn bucket(&self) -> Bucket {
        self.grant.bucket
    }

    pub fn info(&self) -> BucketInfo {
        BucketInfo { bucket: self.grant.number(), name: self.grant.name.clone() }
    }

    /// Its part of a write.
    pub fn part(&self) -> Part<'_> {
        Part { account: &self.account, quota: self.grant.quota, name: &self.grant.name }
    }

    pub fn usage(&self) -> BucketUsage {
        BucketUsage {
            name: self.grant.name.clone(),
            bucket: self.grant.bucket,
            reads: self.traffic.reads.value(),
            writes: self.traffic.writes.value(),
            read_bytes: self.traffic.read_bytes.value(),
            written_bytes: self.traffic.written_bytes.value(),
            refusals: self.traffic.refused.values(),
            held: self.account.held(),
        }
    }

    /// Refuses a value that is larger than the grant allows.
    pub fn check_value(&self, value: Option<&[u8]>) -> Result<()> {
        let bytes = value.map_or(0, <[u8]>::len) as u64;
        match self.grant.quota.value_bytes {
            Some(quota) if bytes > quota => Err(self.refuse(Error::InvalidArgument(format!(
                "the value has {bytes} bytes: one in bucket `{}` has at most {quota}",
                self.grant.name
            )))),
            _ => Ok(()),
        }
    }

    fn refuse(&self, error: Error) -> Error {
        self.traffic.refused.count(&error);
        error
    }
}
