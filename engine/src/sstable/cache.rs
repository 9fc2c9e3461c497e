//! Blocks in memory, shared by all tables of a store, within a limit of bytes.
//!
//! The policy is that of `quick_cache`: a variant of CLOCK-Pro/S3-FIFO, in which a block that is read once, as a
//! scan does, does not push out one that is read often.

use super::block::Block;
use quick_cache::unsync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A block's table and offset.
type Key = (u64, u64);
type Blocks = Cache<Key, Arc<Block>, Weight, MixBuilder, DefaultLifecycle<Key, Arc<Block>>>;

/// Decompressed data blocks in memory, within a limit of bytes.
pub struct BlockCache {
    blocks: Mutex<Blocks>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a cache holds and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Bytes of blocks held.
    pub bytes: u64,
    /// The limit in bytes.
    pub bytes_max: u64,
    /// Blocks that were there when asked for.
    pub hits: u64,
    /// Blocks that were not.
    pub misses: u64,
}

impl BlockCache {
    /// A cache of at most so many bytes.
    pub fn new(bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(bytes / 4096).unwrap_or(usize::MAX).max(16))
            .weight_capacity(bytes)
            .build()
            .expect("both capacities are given");
        let blocks = Cache::with_options(options, Weight, MixBuilder, DefaultLifecycle::default());
        Self { blocks: Mutex::new(blocks), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<Block>> {
        let found = self.lock().get(&key).cloned();
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(super) fn insert(&self, key: Key, block: Arc<Block>) {
        self.lock().insert(key, block);
    }

    /// Changes the limit.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().set_capacity(bytes);
    }

    /// What the cache holds and has done.
    pub fn stats(&self) -> CacheStats {
        let blocks = self.lock();
        CacheStats {
            bytes: blocks.weight(),
            bytes_max: blocks.capacity(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stats().fmt(f)
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Block>> for Weight {
    fn weight(&self, _: &Key, block: &Arc<Block>) -> u64 {
        block.weight()
    }
}

/// Hashes the two numbers of a key. They are the store's own, not a user's, so no keyed hash is needed.
#[derive(Clone, Default)]
struct MixBuilder;

impl BuildHasher for MixBuilder {
    type Hasher = Mix;

    fn build_hasher(&self) -> Mix {
        Mix(0)
    }
}

/// A multiply-and-fold hash of `u64`s (the mixing step of wyhash).
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        let product =
            u128::from(self.0 ^ value ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xd6e8_feb8_6659_fd93_u64);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(table: u64, length: usize) -> Arc<Block> {
        let mut bytes = vec![0; length];
        bytes[length - 4] = 1;
        Arc::new(Block::new(table, 0, bytes).expect("one restart at 0"))
    }

    #[test]
    fn the_limit_is_kept_and_hits_are_counted() {
        let cache = BlockCache::new(100_000);
        for i in 0..1000 {
            cache.insert((1, i), block(1, 4096));
            assert!(cache.stats().bytes <= 100_000);
        }
        assert!(cache.get((2, 0)).is_none());
        let there = (0..1000).filter(|&i| cache.get((1, i)).is_some()).count() as u64;
        assert!((1..=24).contains(&there), "{there}");
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (there, 1001 - there));
    }

    #[test]
    fn a_cache_of_no_bytes_holds_nothing() {
        let cache = BlockCache::new(0);
        cache.insert((1, 1), block(1, 100));
        assert!(cache.get((1, 1)).is_none());
    }
}
