//! redb: a copy-on-write B-tree in Rust.
//!
//! Each write is a transaction. One that is not synced has `Durability::None`: it stays in redb's own memory until a
//! later transaction is made durable, so it promises less than the others' writes, which survive the death of the
//! process. redb has nothing in between.

use std::path::Path;

use anyhow::Result;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{Config, Each, Key, Kind, Scan, Session, Store, locked};

pub const KIND: Kind = Kind { name: "redb", lz4: false, version, open };

fn version() -> String {
    locked("redb").to_owned()
}

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bench");

fn open(dir: &Path, config: &Config) -> Result<Box<dyn Store>> {
    // One cache for pages that are read and pages that are to be written: it gets the bytes of both.
    let bytes = usize::try_from(config.cache_bytes + config.write_buffer_bytes)?;
    let database = Database::builder().set_cache_size(bytes).create(dir.join("redb"))?;
    let durability = if config.synced { Durability::Immediate } else { Durability::None };
    let store = Redb { database, durability };
    store.write(|_| Ok(()))?;
    Ok(Box::new(store))
}

struct Redb {
    database: Database,
    durability: Durability,
}

impl Redb {
    fn write(&self, work: impl FnOnce(&mut redb::Table<'_, &[u8], &[u8]>) -> Result<()>) -> Result<()> {
        let mut transaction: WriteTransaction = self.database.begin_write()?;
        transaction.set_durability(self.durability)?;
        work(&mut transaction.open_table(TABLE)?)?;
        Ok(transaction.commit()?)
    }
}

impl Store for Redb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }

    /// Makes durable what is in memory only, as the others write their memtables.
    fn flush(&self) -> Result<()> {
        let transaction = self.database.begin_write()?;
        Ok(transaction.commit()?)
    }
}

impl Session for &Redb {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(|table| {
            table.insert(key, value)?;
            Ok(())
        })
    }

    fn put_batch(&mut self, pairs: &[(Key, &[u8])]) -> Result<()> {
        self.write(|table| {
            for (key, value) in pairs {
                table.insert(key.as_slice(), *value)?;
            }
            Ok(())
        })
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.write(|table| {
            table.remove(key)?;
            Ok(())
        })
    }

    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let value = table.get(key)?;
        Ok(value.map(|value| read(value.value())).is_some())
    }

    fn scan(&mut self, scan: Scan<'_>, each: &mut Each<'_>) -> Result<()> {
        let table = self.database.begin_read()?.open_table(TABLE)?;
        let mut entries = match scan {
            Scan::From(key, _) => table.range(key..)?,
            Scan::All | Scan::Reverse => table.iter()?,
        };
        let reverse = matches!(scan, Scan::Reverse);
        while let Some(entry) = if reverse { entries.next_back() } else { entries.next() } {
            let (key, value) = entry?;
            if !each(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }
}
