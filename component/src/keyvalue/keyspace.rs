//! One bucket as `wasi:keyvalue` sees it: keys are text, and their order is no matter.

use super::provider::Provider;
use super::{Failure, Result};
use esker_engine::{Batch, Bucket, Condition, ConditionalWrite, Expected, Key, KeyRange, ScanOptions};
use std::rc::Rc;

/// A page of `list-keys` ends after this many keys ...
const PAGE_KEYS: usize = 1_000;
/// ... or this many bytes of them.
const PAGE_BYTES: usize = 256 << 10;
/// The values that one `get-many` answers have at most this many bytes, so that an answer cannot use up the memory.
const VALUES_BYTES_MAX: usize = 32 << 20;

/// A bucket of the store. Each handle that an application holds is one.
#[derive(Clone)]
pub struct Keyspace {
    provider: Rc<Provider>,
    bucket: Bucket,
}

/// A page of a bucket's keys.
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// Whether more follow the last of them.
    pub more: bool,
}

/// A value as it was at one moment, to be replaced only if it is still that one.
pub struct Seen {
    keyspace: Keyspace,
    key: String,
    /// With the sequence number of the write that made it.
    value: Option<(Vec<u8>, u64)>,
}

impl Keyspace {
    /// The bucket that the application calls `name`.
    pub fn open(name: &str) -> Result<Self> {
        let provider = Provider::get()?;
        let bucket = provider.bucket(name)?;
        Ok(Self { provider, bucket })
    }

    /// The bucket's number.
    pub fn number(&self) -> u32 {
        self.bucket.number()
    }

    fn key<'k>(&self, key: &'k str) -> Key<'k> {
        (self.bucket, key.as_bytes()).into()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.provider.read(|db| db.get(self.key(key)))
    }

    /// Whether `key` is there.
    pub fn exists(&self, key: &str) -> Result<bool> {
        self.provider.read(|db| db.contains(self.key(key)))
    }

    /// Sets `key`.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<()> {
        self.provider.write(|db, durability| db.put(self.key(key), value, durability)).map(drop)
    }

    /// Removes `key`.
    pub fn delete(&self, key: &str) -> Result<()> {
        self.provider.write(|db, durability| db.delete(self.key(key), durability)).map(drop)
    }

    /// Adds `delta` to the number that `key` holds, and returns the sum.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        self.provider
            .write(|db, durability| db.increment(self.key(key), delta, durability))
            .map(|(sum, _)| sum)
    }

    /// The keys after `after`.
    pub fn list_keys(&self, after: Option<&str>) -> Result<Page> {
        let range = KeyRange { start: after.map(|key| key.as_bytes().to_vec()), end: None };
        let options = ScanOptions { bucket: self.bucket, keys_only: true, ..ScanOptions::default() };
        let mut cursor = self.provider.read(|db| db.scan(range, options))?;
        let mut page = Page { keys: Vec::new(), more: false };
        let mut bytes = 0;
        while let Some((key, _)) = cursor.next()? {
            if after.is_some_and(|after| after.as_bytes() == key) {
                continue;
            }
            if page.keys.len() == PAGE_KEYS || bytes >= PAGE_BYTES {
                page.more = true;
                break;
            }
            bytes += key.len();
            page.keys.push(text(key)?);
        }
        Ok(page)
    }

    /// Each key with its value if it has one, all from one state.
    pub fn get_many(&self, keys: Vec<String>) -> Result<Vec<(String, Option<Vec<u8>>)>> {
        let mut found = Vec::with_capacity(keys.len());
        let mut bytes = 0;
        for key in keys {
            let value = self.get(&key)?;
            bytes += value.as_ref().map_or(0, Vec::len);
            if bytes > VALUES_BYTES_MAX {
                return Err(Failure::other(format!(
                    "the first {} of the values have {bytes} bytes, and one answer carries at most \
                     {VALUES_BYTES_MAX}: ask for fewer at a time",
                    found.len() + 1
                )));
            }
            found.push((key, value));
        }
        Ok(found)
    }

    /// Sets all of the keys or none.
    pub fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> Result<()> {
        let mut batch = Batch::new();
        for (key, value) in pairs {
            batch.put(self.key(key), value);
        }
        self.provider.write(|db, durability| db.write(&batch, durability)).map(drop)
    }

    /// Removes all of the keys or none.
    pub fn delete_many(&self, keys: &[String]) -> Result<()> {
        let mut batch = Batch::new();
        for key in keys {
            batch.delete(self.key(key));
        }
        self.provider.write(|db, durability| db.write(&batch, durability)).map(drop)
    }

    /// The value of `key`, to be replaced later.
    pub fn see(&self, key: String) -> Result<Seen> {
        let value = self.provider.read(|db| db.get_with_sequence(self.key(&key)))?;
        Ok(Seen { keyspace: self.clone(), key, value })
    }
}

impl Seen {
    /// The value that was seen.
    pub fn value(&self) -> Option<Vec<u8>> {
        self.value.as_ref().map(|(value, _)| value.clone())
    }

    /// Replaces the value, unless the key was written since: `false` then.
    pub fn replace(&self, value: &[u8]) -> Result<bool> {
        let key = self.keyspace.key(&self.key);
        let expected = match self.value {
            None => Expected::Absent,
            Some((_, sequence)) => Expected::UnchangedSince(sequence),
        };
        let mut batch = Batch::new();
        batch.put(key, value);
        let written = self
            .keyspace
            .provider
            .write(|db, durability| db.write_if(&batch, &[Condition { key, expected }], durability))?;
        Ok(matches!(written, ConditionalWrite::Written(_)))
    }

    /// What the key holds now.
    pub fn again(&self) -> Result<Self> {
        self.keyspace.see(self.key.clone())
    }
}

/// A key that whoever writes by another interface may have made of any bytes.
fn text(key: &[u8]) -> Result<String> {
    let text = str::from_utf8(key).map_err(|_| {
        let shown = key[..key.len().min(40)].escape_ascii();
        Failure::other(format!(
            "the key \"{shown}\" is not UTF-8, so wasi:keyvalue cannot name it: read the bucket by esker:kv"
        ))
    })?;
    Ok(text.to_owned())
}
