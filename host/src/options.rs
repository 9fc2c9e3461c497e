//! How a store is opened, how far a write goes, and what is asked about it: plain data, mirroring the contract.

use crate::bucket::Bucket;
use crate::worker_command::WorkerCommand;

/// How a store is opened. What is `None` takes its default, which `wit/esker.wit` states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Make a new store in a missing or empty directory. Default true.
    pub create_if_missing: Option<bool>,
    /// Fail when the directory already holds a store. Default false.
    pub error_if_exists: Option<bool>,
    /// What to do about a damaged log. Default [`RecoveryMode::SkipCorrupted`].
    pub recovery: Option<RecoveryMode>,
    /// The memory that the store plans with, in bytes: memtables, block cache, job buffers. Default 256 MiB, at
    /// least 8 MiB. The parts below default to shares of it.
    pub memory_bytes: Option<u64>,
    /// A memtable is sealed and flushed at this size at the latest. Default an eighth of the memory.
    pub memtable_bytes: Option<u64>,
    /// While maintenance keeps up with writes, a memtable is sealed at a smaller size, down to this one. Default a
    /// quarter of `memtable_bytes`, and at least 64 KiB where that is below it.
    pub memtable_min_bytes: Option<u64>,
    /// A memtable is also sealed at this many entries. Default none but the size.
    pub memtable_entries: Option<u64>,
    /// The block cache's size in bytes, index and filters of open tables included. Default three eighths of the
    /// memory.
    pub cache_bytes: Option<u64>,
    /// A log segment is sealed at this size. Default 10 MiB.
    pub wal_segment_bytes: Option<u64>,
    /// This many sealed log segments are kept after their data is in tables. Default 5.
    pub wal_segments_kept: Option<u32>,
    /// Deferred writes are handed to the operating system at this many bytes. Default 65,536.
    pub deferred_bytes: Option<u32>,
    /// ... or at this age, in milliseconds. Default 100.
    pub deferred_millis: Option<u32>,
    /// The size at which a data block is cut, before compression. Default 4,096; 256 to 65,536.
    pub block_bytes: Option<u32>,
    /// Bits of Bloom filter for each key. Default 10; 0 switches filters off.
    pub bloom_bits: Option<u32>,
    /// How data blocks are compressed. Default [`Compression::Lz4`].
    pub compression: Option<Compression>,
    /// The size at which a compaction cuts its tables. Default 32 MiB.
    pub table_bytes: Option<u64>,
    /// Level 0 is compacted at this many tables; size-tiered, runs are merged at twice as many. Default 4.
    pub level0_trigger: Option<u32>,
    /// Writes are slowed at this many tables in level 0. Default half way from `level0_trigger` to `level0_stop`.
    pub level0_slow: Option<u32>,
    /// Writes wait for compaction at this many tables in level 0. Default 20.
    pub level0_stop: Option<u32>,
    /// The least size in bytes at which a level below 0 is full; the deepest level takes what there is, each one above
    /// it a tenth. Default four memtables.
    pub level1_bytes: Option<u64>,
    /// A table of which this share of entries are tombstones, in percent, is compacted. Default 30; 0 switches it
    /// off.
    pub tombstone_percent: Option<u32>,
    /// How tables are chosen for compaction; may change from one open to the next. Default [`Strategy::Levelled`].
    pub strategy: Option<Strategy>,

    /// The host's own: the most memory that the sandbox may take, in bytes; a store that asks for more traps.
    /// Default `memory_bytes` and 1,280 MiB, which only a store of values of many megabytes comes near: with
    /// values of up to 100 kB a store keeps within `memory_bytes` and 64 MiB.
    pub memory_limit_bytes: Option<u64>,
    /// The host's own: whether a [`KvStore`](crate::KvStore) has a thread that hands deferred writes over in time
    /// and does flushes and compactions while nobody else uses the store. Default true. Without it somebody must
    /// call [`KvStore::maintain`](crate::KvStore::maintain) and
    /// [`KvStore::flush_deferred`](crate::KvStore::flush_deferred).
    pub background_maintenance: Option<bool>,
    /// The host's own: how many workers a [`KvStore`](crate::KvStore) has. A worker is another instance of the
    /// component on a thread of its own that runs flushes and compactions over the same files, so that writes do none
    /// of that work. Default 0: writes do it in slices.
    pub workers: Option<u32>,
    /// The host's own: the most that flushes and compactions write in a second while nobody waits for them, in bytes,
    /// so that they leave the disk to others. Those that a write does itself are not counted; a store without workers
    /// counts what they read, too. Default no limit.
    pub background_bytes_per_second: Option<u64>,
    /// The host's own: how many readers a [`KvStore`](crate::KvStore) has. A reader is another instance of the component
    /// that answers reads over the same files, so that reads of several threads run at the same time; each sees every
    /// write that was acknowledged before it began. Default 0: reads take turns with everything else.
    pub readers: Option<u32>,
    /// The host's own: the block cache of each reader, in bytes, beside `memory_bytes`. A reader also holds what the log
    /// has and the tables have not yet, and the index and filter of every table. Default an eighth of `memory_bytes`.
    pub reader_cache_bytes: Option<u64>,
    /// The host's own: where the workers run.
    pub worker_place: WorkerPlace,
}

/// Where the workers of a store run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WorkerPlace {
    /// In this process: each is an instance of the component on a thread of its own.
    #[default]
    Here,
    /// In processes of a command, which is started for each job.
    Command(WorkerCommand),
}

/// What recovery does about a damaged write-ahead log. A *torn tail* is an end that was never acknowledged as
/// synced and that a crash cut off or garbled; anything else is *corruption*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Skip damaged records and go on after them; report what was skipped. A torn tail ends the log.
    SkipCorrupted,
    /// Stop at the first damage of any kind: the state of an earlier moment, without holes.
    PointInTime,
    /// Accept a torn tail, refuse to open on corruption.
    TolerateTornTail,
    /// Refuse to open on any damage at all.
    Absolute,
}

/// How tables are chosen for compaction. Any store can be opened with either: the files are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Sorted levels, each ten times as large as the one above: fewest places to read, least space, more writing.
    Levelled,
    /// Runs of similar size are merged with each other: least writing, more places to read, up to twice the
    /// space, and for a while twice that while the whole store is merged.
    SizeTiered,
}

/// How data blocks are compressed when they are written. Blocks of either kind are always readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Stored as they are.
    None,
    /// LZ4 block format.
    Lz4,
}

/// How far a write has gone when it is acknowledged, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// In the store's buffer: a killed process may lose the last [`Options::deferred_bytes`] or
    /// [`Options::deferred_millis`] of such writes, a power cut more.
    Deferred,
    /// Handed to the operating system: survives the death of the process, not of the machine.
    Buffered,
    /// On stable storage, as far as the file system keeps its promise: survives a power cut.
    Synced,
}

/// The keys from `start` (inclusive; `None` is the first) to `end` (exclusive; `None` is after the last).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that belongs to the range.
    pub start: Option<Vec<u8>>,
    /// The first key after the range.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self::default()
    }

    /// From `start` (inclusive) to `end` (exclusive).
    pub fn new(start: Option<&[u8]>, end: Option<&[u8]>) -> Self {
        Self { start: start.map(<[u8]>::to_vec), end: end.map(<[u8]>::to_vec) }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: Some(prefix.to_vec()), end: successor(prefix) }
    }

    /// The keys that are in both ranges.
    pub fn intersect(self, other: Self) -> Self {
        let end = match (self.end, other.end) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        // `None` is less than every key, which is right for a start.
        Self { start: self.start.max(other.start), end }
    }
}

/// The least key greater than all that begin with `prefix`; `None` where there is none (all bytes 0xff).
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=kept].to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

/// What a scan reads and in which order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// The bucket whose keys are read.
    pub bucket: Bucket,
    /// From the last key to the first.
    pub reverse: bool,
    /// Leave the values out: they read as empty.
    pub keys_only: bool,
    /// At most this many entries.
    pub limit: Option<u64>,
}

/// The kinds of jobs that somebody takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobKinds {
    /// Flushes of sealed memtables: the most urgent.
    pub flush: bool,
    /// Compactions.
    pub compaction: bool,
    /// Making the manifest durable, and then removing files that it no longer needs: only on the machine that the
    /// primary runs on.
    pub clean_up: bool,
}

impl JobKinds {
    /// All of them.
    pub const ALL: Self = Self { flush: true, compaction: true, clean_up: true };
}

/// What waits to be done in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Tables in level 0.
    pub level0_tables: u32,
    /// Sealed memtables that wait to be flushed.
    pub sealed_memtables: u32,
    /// Bytes that compaction should move but has not.
    pub pending_bytes: u64,
    /// Whether a write at this moment would have to wait for maintenance.
    pub stalled: bool,
    /// Why and by how much writes should be slower, if they should. A [`KvStore`](crate::KvStore) sees to it.
    pub back_pressure: Option<BackPressure>,
}

/// Why writes are slowed or stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// Flushes lag: the memtables' bytes are near their limit.
    Memtables,
    /// Compactions lag: level 0 has many tables, and every read has to look into them.
    Level0,
}

/// That maintenance has fallen behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackPressure {
    /// What is behind.
    pub reason: WaitReason,
    /// How far between the points where writes are slowed (0) and where they are stopped (100).
    pub percent: u32,
}

/// What a slice of maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read and written by the slice.
    pub bytes: u64,
    /// Whether anything is left to do.
    pub more: bool,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Files read.
    pub files: u64,
    /// Bytes read and checked.
    pub bytes: u64,
    /// Entries seen in tables.
    pub entries: u64,
    /// Every problem: file, offset, what is wrong. Empty means that all is well.
    pub problems: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_range() {
        assert_eq!(KeyRange::prefix(b"ab").end, Some(b"ac".to_vec()));
        assert_eq!(KeyRange::prefix(b"a\xff\xff").end, Some(b"b".to_vec()));
        assert_eq!(KeyRange::prefix(b"\xff").end, None);
        assert_eq!(KeyRange::prefix(b""), KeyRange { start: Some(vec![]), end: None });
    }

    #[test]
    fn an_intersection_has_the_narrower_ends() {
        let wide = KeyRange::new(None, Some(b"k"));
        let narrow = KeyRange::new(Some(b"c"), None);
        assert_eq!(wide.clone().intersect(narrow.clone()), KeyRange::new(Some(b"c"), Some(b"k")));
        assert_eq!(narrow.intersect(wide), KeyRange::new(Some(b"c"), Some(b"k")));
        assert_eq!(KeyRange::all().intersect(KeyRange::all()), KeyRange::all());
    }
}
