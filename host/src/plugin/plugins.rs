//! The plugins of a store: admits them, and knows which of them share a bucket.

use super::account::{Account, Held};
use super::confined::Plugin;
use super::grant::{self, Grant, Grants};
use super::granted::Granted;
use crate::bucket::Bucket;
use crate::error::{Error, Result};
use crate::kv_store::KvStore;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The plugins of one store. Clones share it.
#[derive(Clone)]
pub struct Plugins {
    shared: Arc<Shared>,
}

struct Shared {
    store: KvStore,
    /// Plugins that see the same bucket share its account.
    accounts: Mutex<BTreeMap<Bucket, Arc<Account>>>,
}

impl Plugins {
    /// The plugins of `store`.
    pub fn new(store: &KvStore) -> Self {
        Self { shared: Arc::new(Shared { store: store.clone(), accounts: Mutex::default() }) }
    }

    /// Admits a plugin. A bucket of which it gets a quota of keys or bytes is counted first, by a scan, if it has not
    /// been. `name` is for messages and the audit.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where the grants contradict each other, `NoSuchBucket` where a bucket does not exist, and what
    /// reading the store answers.
    pub fn admit(&self, name: &str, grants: Grants) -> Result<Plugin> {
        grant::check(&grants)?;
        let store = &self.shared.store;
        let existing = store.buckets()?;
        for grant in &grants.buckets {
            if !existing.iter().any(|info| info.bucket == grant.bucket) {
                return Err(Error::NoSuchBucket(format!(
                    "bucket {}, granted to `{name}` as `{}`, does not exist: create it first",
                    grant.bucket, grant.name
                )));
            }
        }
        let grant = |grant: &Grant| self.grant(grant.clone());
        let buckets = grants.buckets.iter().map(grant).collect::<Result<_>>()?;
        Ok(Plugin::new(name, store.clone(), buckets, &grants))
    }

    /// Counts anew what a bucket holds. For a program that has written to it past all plugins: only what plugins write
    /// is in their accounts.
    ///
    /// # Errors
    ///
    /// What reading the store answers.
    pub fn recount(&self, bucket: Bucket) -> Result<Held> {
        self.account(bucket).recount(&self.shared.store)
    }

    fn grant(&self, grant: Grant) -> Result<Granted> {
        let account = self.account(grant.bucket);
        if grant.quota.counts() {
            account.open(&self.shared.store)?;
        }
        Ok(Granted::new(grant, account))
    }

    fn account(&self, bucket: Bucket) -> Arc<Account> {
        let mut accounts = self.shared.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.entry(bucket).or_insert_with(|| Arc::new(Account::new(bucket))).clone()
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugins").field("store", &self.shared.store).finish_non_exhaustive()
    }
}
