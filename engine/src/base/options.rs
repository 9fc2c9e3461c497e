//! How a store is opened, and how far a write goes before it is acknowledged.

use super::error::{Error, Result};

/// How far a write has gone when it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// In the writer's buffer: a killed process may lose the last [`Options::deferred_bytes`] or
    /// [`Options::deferred_millis`] of such writes, a power cut more.
    Deferred,
    /// Handed to the operating system: survives the death of the process, not of the machine.
    Buffered,
    /// On stable storage, as far as the file system keeps its promise: survives a power cut.
    Synced,
}

/// What recovery does about a damaged write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecoveryMode {
    /// Skip damaged records and go on after them; report what was skipped. A torn tail ends the log.
    #[default]
    SkipCorrupted,
    /// Stop at the first damage of any kind.
    PointInTime,
    /// Accept a torn tail, refuse to open on corruption.
    TolerateTornTail,
    /// Refuse to open on any damage at all.
    Absolute,
}

/// How data blocks are compressed when they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Stored as they are.
    None,
    /// LZ4 block format.
    #[default]
    Lz4,
}

/// How tables are chosen for compaction. Any store can be opened with either: the files are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Sorted levels, each ten times as large as the one above: fewest places to read, least space, more writing.
    #[default]
    Levelled,
    /// Runs of similar size are merged with each other: least writing, more places to read, up to twice the
    /// space, and for a while twice that while the whole store is merged.
    SizeTiered,
}

/// How a store is opened. The defaults suit a store of any size within 256 MiB of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Make a new store in an empty directory.
    pub create_if_missing: bool,
    /// Fail when the directory already holds a store.
    pub error_if_exists: bool,
    /// What to do about a damaged log.
    pub recovery: RecoveryMode,
    /// The memory that the store plans with, in bytes; at least 8 MiB. The parts default to shares of it.
    pub memory_bytes: u64,
    /// A memtable is sealed at this size in bytes at the latest. Default an eighth of the memory.
    pub memtable_bytes: Option<u64>,
    /// While maintenance keeps up with writes, a memtable is sealed at a smaller size, down to this one, in bytes.
    /// Default a quarter of `memtable_bytes`, and at least 64 KiB where that is below it.
    pub memtable_min_bytes: Option<u64>,
    /// A memtable is also sealed at this many entries.
    pub memtable_entries: Option<u64>,
    /// The size of the block cache in bytes, index and filters of open tables included. Default three eighths of
    /// the memory.
    pub cache_bytes: Option<u64>,
    /// A log segment is sealed at this size in bytes.
    pub wal_segment_bytes: u64,
    /// So many sealed log segments are kept after their data is in tables.
    pub wal_segments_kept: u32,
    /// Deferred writes are handed to the operating system at this many bytes.
    pub deferred_bytes: u32,
    /// ... or when a call finds the oldest of them this old, in milliseconds.
    pub deferred_millis: u32,
    /// The size in bytes at which a data block is cut, before compression.
    pub block_bytes: u32,
    /// Bits of Bloom filter for each key; 0 switches filters off.
    pub bloom_bits: u32,
    /// How data blocks are compressed.
    pub compression: Compression,
    /// The size in bytes at which a compaction cuts its tables.
    pub table_bytes: u64,
    /// Level 0 is compacted at this many tables; size-tiered, runs are merged at twice as many.
    pub level0_trigger: u32,
    /// Writes are slowed at this many tables in level 0. Default half way from the trigger to the stop.
    pub level0_slow: Option<u32>,
    /// Writes wait for compaction at this many tables in level 0.
    pub level0_stop: u32,
    /// The least size in bytes at which a level below 0 is full; the deepest level takes what there is, each one above
    /// it a tenth. Default four memtables.
    pub level1_bytes: Option<u64>,
    /// A table of which this share of entries are tombstones, in percent, is compacted; 0 switches it off.
    pub tombstone_percent: u32,
    /// How tables are chosen for compaction; may change from one open to the next.
    pub strategy: Strategy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create_if_missing: true,
            error_if_exists: false,
            recovery: RecoveryMode::default(),
            memory_bytes: 256 << 20,
            memtable_bytes: None,
            memtable_min_bytes: None,
            memtable_entries: None,
            cache_bytes: None,
            wal_segment_bytes: 10 << 20,
            wal_segments_kept: 5,
            deferred_bytes: 64 << 10,
            deferred_millis: 100,
            block_bytes: 4096,
            bloom_bits: 10,
            compression: Compression::default(),
            table_bytes: 32 << 20,
            level0_trigger: 4,
            level0_slow: None,
            level0_stop: 20,
            level1_bytes: None,
            tombstone_percent: 30,
            strategy: Strategy::default(),
        }
    }
}

impl Options {
    /// The size of a memtable in bytes.
    pub fn memtable_bytes(&self) -> u64 {
        self.memtable_bytes.unwrap_or(self.memory_bytes / 8)
    }

    /// The least size of a memtable in bytes.
    pub fn memtable_min_bytes(&self) -> u64 {
        let default = (self.memtable_bytes() / 4).max(64 << 10);
        self.memtable_min_bytes.unwrap_or(default).min(self.memtable_bytes())
    }

    /// Writes are slowed at this many tables in level 0.
    pub fn level0_slow(&self) -> u32 {
        self.level0_slow.unwrap_or(self.level0_trigger.midpoint(self.level0_stop))
    }

    /// The size of the block cache in bytes.
    pub fn cache_bytes(&self) -> u64 {
        self.cache_bytes.unwrap_or(self.memory_bytes / 8 * 3)
    }

    /// The least size in bytes at which a level is full.
    pub fn level1_bytes(&self) -> u64 {
        self.level1_bytes.unwrap_or(self.memtable_bytes().saturating_mul(4))
    }

    /// Checks that every option is within its limits.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, naming the option, its value and its limits.
    pub fn check(&self) -> Result<()> {
        let gib = 1 << 30;
        within("memory-bytes", self.memory_bytes, 8 << 20, 4 * gib)?;
        within("memtable-bytes", self.memtable_bytes(), 1024, gib / 2)?;
        within("memtable-min-bytes", self.memtable_min_bytes(), 1024, self.memtable_bytes())?;
        within("memtable-entries", self.memtable_entries.unwrap_or(u64::MAX), 1, u64::MAX)?;
        within("cache-bytes", self.cache_bytes(), 0, 4 * gib)?;
        within("wal-segment-bytes", self.wal_segment_bytes, 1024, 4 * gib)?;
        within("deferred-bytes", u64::from(self.deferred_bytes), 0, 64 << 20)?;
        within("block-bytes", u64::from(self.block_bytes), 256, 64 << 10)?;
        within("bloom-bits", u64::from(self.bloom_bits), 0, 32)?;
        within("table-bytes", self.table_bytes, 1024, gib)?;
        within("level0-trigger", u64::from(self.level0_trigger), 1, 1000)?;
        within("level0-stop", u64::from(self.level0_stop), u64::from(self.level0_trigger) + 1, 10_000)?;
        let (trigger, stop) = (u64::from(self.level0_trigger), u64::from(self.level0_stop));
        within("level0-slow", u64::from(self.level0_slow()), trigger, stop)?;
        within("level1-bytes", self.level1_bytes(), 1024, u64::MAX)?;
        within("tombstone-percent", u64::from(self.tombstone_percent), 0, 100)
    }
}

fn within(name: &str, value: u64, least: u64, greatest: u64) -> Result<()> {
    if (least..=greatest).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("option {name} is {value}: it must be {least} to {greatest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_limits() {
        assert_eq!(Options::default().check(), Ok(()));
    }

    #[test]
    fn an_option_out_of_its_limits_is_named() {
        let options = Options { block_bytes: 1 << 20, ..Options::default() };
        let error = options.check().expect_err("too large");
        assert!(error.message().contains("block-bytes is 1048576"), "{error}");
    }
}
