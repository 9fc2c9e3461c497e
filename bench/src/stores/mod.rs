//! The stores that are measured, each behind the same two traits.
//!
//! A file per store holds its whole configuration, with the reason for each line of it. What is the same for all stands
//! in [`Config`]: sizes, compression, durability, threads. What a store cannot be told is said where it is opened.
//!
//! The rules, for all of them alike:
//!
//! - each write is acknowledged when the operating system has it (it survives the death of the process); a store opened
//!   with [`Config::synced`] acknowledges it when the disk has it;
//! - each read sees every write acknowledged before it, so a store with transactions begins one for each read;
//! - a read uses the call that costs the store least, and touches the value's bytes.

mod esker;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "leveldb")]
mod leveldb;
#[cfg(feature = "lmdb")]
mod lmdb;
mod native;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use esker::{PERFMAP, runtime};

/// What every store is told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The size at which a memtable, a write buffer or a log is written out, in bytes.
    pub write_buffer_bytes: u64,
    /// The cache of blocks or pages, in bytes.
    pub cache_bytes: u64,
    /// Whether blocks are compressed with LZ4; else nothing is.
    pub lz4: bool,
    /// Whether each write is on the disk when it is acknowledged.
    pub synced: bool,
    /// Threads that will use the store at once.
    pub threads: usize,
    /// Background threads of Esker for flushes and compactions; other stores that have such threads get two.
    pub workers: u32,
}

/// Bits of Bloom filter for a key, in every store that has one.
pub const BLOOM_BITS: u32 = 10;
/// The size of a block of entries in bytes, in every store that can be told.
pub const BLOCK_BYTES: u32 = 4096;
/// Background threads of the peers that have some, as of RocksDB by default.
#[cfg_attr(
    not(any(feature = "rocksdb", feature = "fjall")),
    expect(dead_code, reason = "no such peer is built")
)]
pub const BACKGROUND_THREADS: u8 = 2;

/// An open store.
pub trait Store: Send + Sync {
    /// What one thread works with.
    fn session(&self) -> Result<Box<dyn Session + '_>>;

    /// Writes the memtable to tables, where there is such a thing and a call for it.
    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

/// One thread's hold on a store.
pub trait Session {
    /// Sets `key` to `value`.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Sets all of `pairs`, as one atomic write.
    fn put_batch(&mut self, pairs: &[(Key, &[u8])]) -> Result<()>;

    /// Removes `key`.
    fn delete(&mut self, key: &[u8]) -> Result<()>;

    /// Hands the value of `key` to `read`; returns whether there is one.
    fn get(&mut self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Hands entries to `each`, which says after each whether it wants more.
    fn scan(&mut self, scan: Scan<'_>, each: &mut Each<'_>) -> Result<()>;
}

/// What a scan reads.
#[derive(Clone, Copy)]
pub enum Scan<'a> {
    /// So many entries in order, the first of them at or after the key: stores that read ahead are told how many.
    From(&'a [u8], u64),
    /// Everything, in order.
    All,
    /// Everything, from the last entry to the first.
    Reverse,
}

/// Takes an entry; whether it wants more.
pub type Each<'a> = dyn FnMut(&[u8], &[u8]) -> bool + 'a;

/// A key of the bench.
pub type Key = [u8; crate::sample::KEY_BYTES];

/// A kind of store.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name, as on the command line and in the results.
    pub name: &'static str,
    /// Whether it can compress with LZ4.
    pub lz4: bool,
    /// Its release.
    pub version: fn() -> String,
    /// Opens one in a directory that is there; makes it where the directory is empty.
    pub open: fn(&Path, &Config) -> Result<Box<dyn Store>>,
}

/// All stores of this build, in the order in which they are shown.
pub fn all() -> Vec<Kind> {
    vec![
        esker::KIND,
        native::KIND,
        #[cfg(feature = "rocksdb")]
        rocksdb::KIND,
        #[cfg(feature = "leveldb")]
        leveldb::KIND,
        #[cfg(feature = "fjall")]
        fjall::KIND,
        #[cfg(feature = "redb")]
        redb::KIND,
        #[cfg(feature = "lmdb")]
        lmdb::KIND,
        #[cfg(feature = "sqlite")]
        sqlite::KIND,
    ]
}

/// The release of a package that this build was made with.
fn locked(package: &str) -> &'static str {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let name = format!("name = \"{package}\"");
    let mut lines = LOCK.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = \""));
    version.map_or("unknown", |version| version.trim_end_matches('"'))
}

/// The names of all stores, whether this build has them or not.
pub const NAMES: [&str; 8] = ["esker", "native", "rocksdb", "leveldb", "fjall", "redb", "lmdb", "sqlite"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;
    use crate::sample::key;

    const CONFIG: Config = Config {
        write_buffer_bytes: 1 << 20,
        cache_bytes: 8 << 20,
        lz4: false,
        synced: false,
        threads: 1,
        workers: 1,
    };

    /// Every adapter gives what was put, in both orders, before and after a flush: a bench of a store that answers
    /// wrongly measures nothing.
    #[test]
    fn every_store_keeps_the_promises_of_its_adapter() {
        for kind in all() {
            let place = Place::fresh(None).expect("a directory");
            check(&kind, place.dir()).unwrap_or_else(|error| panic!("{}: {error:#}", kind.name));
        }
    }

    fn check(kind: &Kind, dir: &Path) -> Result<()> {
        let store = (kind.open)(dir, &CONFIG)?;
        let mut session = store.session()?;
        let value = [7; 100];
        let pairs: Vec<(Key, &[u8])> = (0..500).map(|number| (key(number), value.as_slice())).collect();
        session.put_batch(&pairs)?;
        for number in 500..1000 {
            session.put(&key(number), &value)?;
        }
        session.delete(&key(3))?;
        for flushed in [false, true] {
            let mut length = 0;
            assert!(session.get(&key(999), &mut |value| length = value.len())?);
            assert_eq!((length, flushed), (100, flushed));
            assert!(!session.get(&key(3), &mut |_| unreachable!("it was deleted"))?);

            assert_eq!(numbers(&mut *session, Scan::From(&key(2), 3), 3)?, [2, 4, 5]);
            assert_eq!(numbers(&mut *session, Scan::All, 2)?, [0, 1]);
            assert_eq!(numbers(&mut *session, Scan::Reverse, 3)?, [999, 998, 997]);
            assert_eq!(numbers(&mut *session, Scan::All, usize::MAX)?.len(), 999);
            assert_eq!(numbers(&mut *session, Scan::Reverse, usize::MAX)?.len(), 999);
            store.flush()?;
        }
        Ok(())
    }

    fn numbers(session: &mut dyn Session, scan: Scan<'_>, limit: usize) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        session.scan(scan, &mut |key, value| {
            assert_eq!(value.len(), 100);
            numbers.push(std::str::from_utf8(key).expect("digits").parse().expect("a number"));
            numbers.len() < limit
        })?;
        Ok(numbers)
    }

    #[test]
    fn each_store_is_named() {
        assert!(all().iter().all(|kind| NAMES.contains(&kind.name)));
    }
}
