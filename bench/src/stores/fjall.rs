//! fjall: a log-structured merge-tree in Rust.

use std::path::Path;

use anyhow::Result;
use fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{
    BACKGROUND_THREADS, BLOCK_BYTES, BLOOM_BITS, Config, Each, Key, Kind, Scan, Session, Store, locked,
};

pub const KIND: Kind = Kind { name: "fjall", lz4: true, version, open };

fn version() -> String {
    locked("fjall").to_owned()
}

fn open(dir: &Path, config: &Config) -> Result<Box<dyn Store>> {
    let compression = if config.lz4 { CompressionType::Lz4 } else { CompressionType::None };
    let database = Database::builder(dir)
        .cache_size(config.cache_bytes)
        .worker_threads(BACKGROUND_THREADS.into())
        // Of the journal: it compresses values of 4 KiB and more only, of which there are none.
        .journal_compression(compression)
        .open()?;
    let keyspace = database.keyspace("bench", || {
        let bloom = BloomConstructionPolicy::BitsPerKey(BLOOM_BITS as f32);
        KeyspaceCreateOptions::default()
            .max_memtable_size(config.write_buffer_bytes)
            .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
            .data_block_compression_policy(CompressionPolicy::all(compression))
            .index_block_compression_policy(CompressionPolicy::all(compression))
            .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(bloom)))
    })?;
    Ok(Box::new(Fjall { database, keyspace, synced: config.synced }))
}

struct Fjall {
    database: Database,
    keyspace: Keyspace,
    synced: bool,
}

impl Store for Fjall {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }

    fn flush(&self) -> Result<()> {
        Ok(self.keyspace.rotate_memtable_and_wait()?)
    }
}

impl Fjall {
    /// A write is in the operating system's hands when it returns; this takes it to the disk.
    fn persist(&self) -> Result<()> {
        if self.synced {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}

impl Session for &Fjall {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.keyspace.insert(key, value)?;
        self.persist()
    }

    fn put_batch(&mut self, pairs: &[(Key, &[u8])]) -> Result<()> {
        let mut batch = self.database.batch();
        for (key, value) in pairs {
            batch.insert(&self.keyspace, *key, *value);
        }
        batch.commit()?;
        self.persist()
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.keyspace.remove(key)?;
        self.persist()
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.keyspace.get(key)?;
        Ok(value.map(|value| read(&value)).is_some())
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut Each<'_>) -> Result<()> {
        let mut entries = match scan {
            Scan::From(key, _) => self.keyspace.range(key..),
            Scan::All | Scan::Reverse => self.keyspace.iter(),
        };
        let reverse = matches!(scan, Scan::Reverse);
        while let Some(entry) = if reverse { entries.next_back() } else { entries.next() } {
            let (key, value) = entry.into_inner()?;
            if !each(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}
