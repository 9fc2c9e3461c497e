//! Where a store runs: the engine itself over any file system, or the shipped component in a simulated host.
//!
//! The [`driver`](crate::driver) does a history on either by these traits, so that both meet one oracle. They are the
//! contract of `wit/esker.wit` in the engine's own types; errors are the engine's, by kind.

mod native;

pub(crate) use native::read_file;

use esker_engine::env::ManualClock;
use esker_engine::{
    Batch, Bucket, Checkpoint, Condition, ConditionalWrite, Durability, Key, KeyRange, Kinds, Options,
    Pressure, Progress, Result, ScanOptions, Verification,
};

/// A key with its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A directory, and what runs stores on it. Clones share the directory; each stands for other processes.
pub trait Platform: Clone {
    /// A primary.
    type Store: Store;
    /// A reader.
    type Reader: Reader;

    /// Opens the store as its primary.
    fn open_store(&self, clock: &ManualClock, options: &Options) -> Result<Self::Store>;

    /// Opens the store to follow its primary.
    fn open_reader(&self, options: &Options) -> Result<Self::Reader>;

    /// The first bytes of a file, so many, as somebody reads it who knows nothing of stores.
    fn read_file(&self, name: &str, bytes: u64) -> Result<Vec<u8>>;

    /// Runs a job as a worker does, which has nothing but the job's bytes and the files. Returns the result's bytes.
    fn run_job(&self, job: &[u8], worker: Worker) -> Result<Vec<u8>>;
}

/// How a worker fares with a job.
#[derive(Debug, Clone, Copy)]
pub struct Worker {
    /// It works in slices of so many bytes.
    pub slice_bytes: u64,
    /// It dies: it makes neither this call of the file system, counted from 1, nor any after it.
    pub dies_at: Option<u64>,
}

impl Worker {
    /// Does the job at once.
    pub const WELL: Self = Self { slice_bytes: u64::MAX, dies_at: None };
}

/// A primary.
pub trait Store {
    /// A pinned state.
    type Snapshot;
    /// A position in a scan.
    type Cursor: Cursor;

    /// Sets a key.
    fn put(&mut self, key: Key<'_>, value: &[u8], durability: Durability) -> Result<u64>;
    /// Removes a key.
    fn delete(&mut self, key: Key<'_>, durability: Durability) -> Result<u64>;
    /// Applies a batch.
    fn write(&mut self, batch: &Batch, durability: Durability) -> Result<u64>;
    /// Applies a batch if keys are as expected.
    fn write_if(
        &mut self,
        batch: &Batch,
        conditions: &[Condition<'_>],
        durability: Durability,
    ) -> Result<ConditionalWrite>;
    /// Adds to the number that a key holds. Returns the sum and the write's sequence number.
    fn increment(&mut self, key: Key<'_>, delta: i64, durability: Durability) -> Result<(i64, u64)>;

    /// The bucket of this name, which is made where there is none.
    fn create_bucket(&mut self, name: &str) -> Result<Bucket>;
    /// Drops the bucket of this name. Returns whether there was one.
    fn drop_bucket(&mut self, name: &str) -> Result<bool>;
    /// All buckets with their names, in the order of their numbers.
    fn buckets(&mut self, at: Option<&Self::Snapshot>) -> Result<Vec<(Bucket, String)>>;
    /// The bucket of this name.
    fn bucket(&mut self, name: &str, at: Option<&Self::Snapshot>) -> Result<Option<Bucket>>;

    /// The value of a key.
    fn get(&mut self, key: Key<'_>, at: Option<&Self::Snapshot>) -> Result<Option<Vec<u8>>>;
    /// The value of a key, and the sequence number of the write that made it.
    fn get_with_sequence(&mut self, key: Key<'_>) -> Result<Option<(Vec<u8>, u64)>>;
    /// The values of many keys of a bucket.
    fn get_many(&mut self, bucket: Bucket, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>>;
    /// Whether a key is there.
    fn contains(&mut self, key: Key<'_>) -> Result<bool>;
    /// Begins to read a range of the bucket that the options name.
    fn scan(
        &mut self,
        range: &KeyRange,
        options: ScanOptions,
        at: Option<&Self::Snapshot>,
    ) -> Result<Self::Cursor>;
    /// Pins the latest state; also says the sequence number of the last write that it sees.
    fn snapshot(&mut self) -> Result<(Self::Snapshot, u64)>;

    /// Makes all durable.
    fn sync(&mut self) -> Result<()>;
    /// Hands deferred writes over.
    fn flush_deferred(&mut self) -> Result<()>;
    /// Ends the store in good order.
    fn close(&mut self) -> Result<()>;

    /// A slice of maintenance.
    fn maintain(&mut self, budget_bytes: u64) -> Result<Progress>;
    /// Says that nothing was written for a while.
    fn rest(&mut self, min_bytes: u64) -> Result<bool>;
    /// A slice of a full compaction.
    fn compact(&mut self, budget_bytes: u64) -> Result<Progress>;
    /// Writes the memtables to tables.
    fn flush(&mut self) -> Result<()>;
    /// What waits to be done.
    fn pressure(&mut self) -> Result<Pressure>;
    /// Says whether workers take jobs.
    fn set_helped(&mut self, helped: bool) -> Result<()>;
    /// Gives a job of these kinds away, as bytes.
    fn take_job(&mut self, kinds: Kinds) -> Result<Option<Vec<u8>>>;
    /// Makes a job's result part of the store.
    fn finish_job(&mut self, result: &[u8]) -> Result<()>;
    /// Gives up a job that was taken.
    fn abandon_job(&mut self, job: &[u8], reason: Option<&str>) -> Result<()>;

    /// Checks every file.
    fn verify(&mut self) -> Result<Verification>;
    /// What the store holds and has done, as JSON.
    fn stats(&mut self) -> Result<String>;
    /// What recovery found, as JSON.
    fn recovery_report(&mut self) -> Result<String>;
}

/// A reader, which follows a primary.
pub trait Reader {
    /// A position in a scan.
    type Cursor: Cursor;

    /// Sees what the primary has handed over by now. Returns the sequence number of the last write that is seen.
    fn catch_up(&mut self) -> Result<u64>;
    /// All buckets that are seen, with their names, in the order of their numbers.
    fn buckets(&mut self) -> Result<Vec<(Bucket, String)>>;
    /// The value of a key.
    fn get(&mut self, key: Key<'_>) -> Result<Option<Vec<u8>>>;
    /// Begins to read a range of the bucket that the options name.
    fn scan(&mut self, range: &KeyRange, options: ScanOptions) -> Result<Self::Cursor>;
    /// The files of what is seen.
    fn checkpoint(&mut self) -> Result<Checkpoint>;
}

/// A position in a scan.
pub trait Cursor {
    /// At most so many of the next entries; none at the end.
    fn next_entries(&mut self, count: usize) -> Result<Vec<Entry>>;
}

/// All that is left of a scan.
pub fn read_to_end(cursor: &mut impl Cursor) -> Result<Vec<Entry>> {
    const PAGE: usize = 1_000;
    let mut entries = Vec::new();
    loop {
        let page = cursor.next_entries(PAGE)?;
        let is_last = page.len() < PAGE;
        entries.extend(page);
        if is_last {
            return Ok(entries);
        }
    }
}
