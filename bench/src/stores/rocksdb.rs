//! RocksDB: the log-structured merge-tree in C++ that others are measured by.

use std::path::Path;

use anyhow::Result;
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, Options, WriteBatch, WriteOptions};

use super::{
    BACKGROUND_THREADS, BLOCK_BYTES, BLOOM_BITS, Config, Each, Key, Kind, Scan, Session, Store, locked,
};

pub const KIND: Kind = Kind { name: "rocksdb", lz4: true, version, open };

fn version() -> String {
    let version = locked("librocksdb-sys");
    version.split_once('+').map_or(version, |(_, rocksdb)| rocksdb).to_owned()
}

fn open(dir: &Path, config: &Config) -> Result<Box<dyn Store>> {
    let mut blocks = BlockBasedOptions::default();
    // The index and the filters are not counted here, as by default: they come on top of the cache.
    blocks.set_block_cache(&Cache::new_lru_cache(usize::try_from(config.cache_bytes)?));
    blocks.set_block_size(BLOCK_BYTES as usize);
    blocks.set_bloom_filter(f64::from(BLOOM_BITS), false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(usize::try_from(config.write_buffer_bytes)?);
    options.set_compression_type(if config.lz4 { DBCompressionType::Lz4 } else { DBCompressionType::None });
    // One thread for flushes, and the rest for compactions.
    options.set_max_background_jobs(BACKGROUND_THREADS.into());
    let mut writes = WriteOptions::default();
    writes.set_sync(config.synced);
    Ok(Box::new(RocksDb { db: DB::open(&options, dir)?, writes }))
}

struct RocksDb {
    db: DB,
    writes: WriteOptions,
}

impl Store for RocksDb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }

    fn flush(&self) -> Result<()> {
        Ok(self.db.flush()?)
    }
}

impl Session for &RocksDb {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.db.put_opt(key, value, &self.writes)?)
    }

    fn put_batch(&mut self, pairs: &[(Key, &[u8])]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in pairs {
            batch.put(key, value);
        }
        Ok(self.db.write_opt(batch, &self.writes)?)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        Ok(self.db.delete_opt(key, &self.writes)?)
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.db.get_pinned(key)?;
        Ok(value.map(|value| read(&value)).is_some())
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut Each<'_>) -> Result<()> {
        let mut entries = self.db.raw_iterator();
        match scan {
            Scan::From(key, _) => entries.seek(key),
            Scan::All => entries.seek_to_first(),
            Scan::Reverse => entries.seek_to_last(),
        }
        let reverse = matches!(scan, Scan::Reverse);
        while let Some((key, value)) = entries.item() {
            if !each(key, value) {
                return Ok(());
            }
            if reverse { entries.prev() } else { entries.next() }
        }
        Ok(entries.status()?)
    }
}
