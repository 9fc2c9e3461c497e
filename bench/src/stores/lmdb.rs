//! LMDB by heed: a copy-on-write B-tree in one mapped file.
//!
//! Its cache is the operating system's: it cannot be told how much memory to use, so it always has all of it. A write
//! that is not synced (`NO_SYNC`) is handed to the operating system by `pwrite`; after a power cut the whole file may be
//! of no use, which is less than the others promise.

use std::ops::Bound;
use std::path::Path;

use anyhow::Result;
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, WithTls};

use super::{Config, Each, Key, Kind, Scan, Session, Store};

pub const KIND: Kind = Kind { name: "lmdb", lz4: false, version, open };

fn version() -> String {
    let heed::LmdbVersion { major, minor, patch, .. } = heed::lmdb_version();
    format!("{major}.{minor}.{patch}")
}

/// The size of the mapping: more than any bench writes.
const MAP_BYTES: usize = 256 << 30;

fn open(dir: &Path, config: &Config) -> Result<Box<dyn Store>> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES).max_readers(256);
    if !config.synced {
        // SAFETY: the flag gives durability up, nothing else.
        #[expect(unsafe_code, reason = "some other flags would be unsound")]
        unsafe {
            options.flags(EnvFlags::NO_SYNC)
        };
    }
    // SAFETY: the directory is the bench's own, so nobody else changes the mapped file.
    #[expect(unsafe_code, reason = "LMDB maps a file")]
    let env = unsafe { options.open(dir)? };
    let database = env
        .create_databases_and_commit(env.write_txn()?, |opener, transaction| {
            opener.create_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
        })?
        .unwrap_commit();
    Ok(Box::new(Lmdb { env, database }))
}

struct Lmdb {
    env: Env<WithTls>,
    database: Database<'static, Bytes, Bytes>,
}

impl Store for Lmdb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }
}

impl Session for &Lmdb {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.database.put(&mut transaction, key, value)?;
        Ok(transaction.commit()?)
    }

    fn put_batch(&mut self, pairs: &[(Key, &[u8])]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for (key, value) in pairs {
            self.database.put(&mut transaction, key, value)?;
        }
        Ok(transaction.commit()?)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        self.database.delete(&mut transaction, key)?;
        Ok(transaction.commit()?)
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let transaction = self.env.read_txn()?;
        let value = self.database.get(&transaction, key)?;
        Ok(value.map(read).is_some())
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut Each<'_>) -> Result<()> {
        let transaction = self.env.read_txn()?;
        match scan {
            Scan::From(key, _) => {
                let range = (Bound::Included(key), Bound::Unbounded);
                entries(self.database.range(&transaction, &range)?, each)
            }
            Scan::All => entries(self.database.iter(&transaction)?, each),
            Scan::Reverse => entries(self.database.rev_iter(&transaction)?, each),
        }
    }
}

fn entries<'a>(
    entries: impl Iterator<Item = heed::Result<(&'a [u8], &'a [u8])>>,
    each: &mut Each<'_>,
) -> Result<()> {
    for entry in entries {
        let (key, value) = entry?;
        if !each(key, value) {
            break;
        }
    }
    Ok(())
}
