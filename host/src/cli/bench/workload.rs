//! The workloads, and what one operation of each does.

use clap::ValueEnum;
use esker_host::{KeyRange, KvStore, Result, Scan, ScanOptions};

use super::Args;
use super::sample::{Random, Values, key};
use crate::cli::store::DurabilityArg;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Workload {
    /// Write the keys in order
    FillSeq,
    /// Write keys at random, each synced
    FillSync,
    /// Write keys at random
    FillRandom,
    /// Write keys at random over those that are there
    Overwrite,
    /// Get keys at random
    ReadRandom,
    /// Get keys that are not there
    ReadMissing,
    /// Read entries in order
    ReadSeq,
    /// Read entries from the last to the first
    ReadReverse,
    /// Seek a key at random and read the entry there
    SeekRandom,
    /// Get keys at random while another thread writes without pause
    ReadWhileWriting,
    /// Get keys at random, and write one for each that was got
    Mixed,
    /// Delete keys at random
    DeleteRandom,
}

impl Workload {
    /// All of them, in an order that makes sense.
    pub const ALL: &[Self] = &[
        Self::FillSeq,
        Self::FillSync,
        Self::FillRandom,
        Self::Overwrite,
        Self::ReadRandom,
        Self::ReadMissing,
        Self::ReadSeq,
        Self::ReadReverse,
        Self::SeekRandom,
        Self::ReadWhileWriting,
        Self::Mixed,
        Self::DeleteRandom,
    ];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::FillSeq => "fillseq",
            Self::FillSync => "fillsync",
            Self::FillRandom => "fillrandom",
            Self::Overwrite => "overwrite",
            Self::ReadRandom => "readrandom",
            Self::ReadMissing => "readmissing",
            Self::ReadSeq => "readseq",
            Self::ReadReverse => "readreverse",
            Self::SeekRandom => "seekrandom",
            Self::ReadWhileWriting => "readwhilewriting",
            Self::Mixed => "mixed",
            Self::DeleteRandom => "deleterandom",
        }
    }

    /// Whether it wants an empty store.
    pub fn begins_empty(self) -> bool {
        matches!(self, Self::FillSeq | Self::FillSync | Self::FillRandom)
    }

    /// Whether it changes the store.
    pub fn writes(self) -> bool {
        self.begins_empty()
            || matches!(self, Self::Overwrite | Self::ReadWhileWriting | Self::Mixed | Self::DeleteRandom)
    }

    /// Whether an operation may find nothing.
    pub fn may_miss(self) -> bool {
        matches!(self, Self::ReadRandom | Self::ReadMissing | Self::SeekRandom | Self::ReadWhileWriting)
    }

    /// How many operations it has, over all threads.
    pub fn operations(self, args: &Args) -> u64 {
        match self {
            Self::FillSync => (args.num / 1000).max(1),
            Self::FillSeq | Self::FillRandom | Self::Overwrite | Self::DeleteRandom => args.num,
            _ => args.reads.unwrap_or(args.num),
        }
    }

    /// How far its writes have gone when they are acknowledged.
    pub fn durability(self, args: &Args) -> DurabilityArg {
        if self == Self::FillSync { DurabilityArg::Synced } else { args.durability }
    }
}

/// What an operation did.
#[derive(Default)]
pub struct Done {
    /// Bytes of keys and values written or read.
    pub bytes: u64,
    /// Whether it found what it looked for.
    pub found: bool,
    /// Whether it was a write.
    pub wrote: bool,
}

/// One thread's part in a workload.
pub struct Worker<'a> {
    workload: Workload,
    store: &'a KvStore,
    args: &'a Args,
    random: Random,
    values: Values,
    /// The scan that readseq and readreverse are in.
    scan: Option<Scan>,
}

impl<'a> Worker<'a> {
    /// The part of thread number `thread`.
    pub fn new(workload: Workload, store: &'a KvStore, args: &'a Args, thread: u64) -> Self {
        let mut random = Random::new(args.seed, (workload as u64) << 32 | thread);
        let values = Values::new(&mut random, if workload.writes() { args.value_size } else { 0 });
        Self { workload, store, args, random, values, scan: None }
    }

    /// Does operation number `number` of the workload.
    pub fn operate(&mut self, number: u64) -> Result<Done> {
        match self.workload {
            Workload::FillSeq => self.put(number % self.args.num),
            Workload::FillSync | Workload::FillRandom | Workload::Overwrite => self.put_random(),
            Workload::ReadRandom | Workload::ReadWhileWriting => self.get_random(),
            Workload::Mixed if number.is_multiple_of(2) => self.put_random(),
            Workload::Mixed => self.get_random(),
            Workload::ReadMissing => self.get_missing(),
            Workload::ReadSeq => self.read_next(false),
            Workload::ReadReverse => self.read_next(true),
            Workload::SeekRandom => self.seek_random(),
            Workload::DeleteRandom => self.delete_random(),
        }
    }

    /// Writes a random key.
    pub fn put_random(&mut self) -> Result<Done> {
        let number = self.random_number();
        self.put(number)
    }

    fn random_number(&mut self) -> u64 {
        self.random.below(self.args.num)
    }

    fn put(&mut self, number: u64) -> Result<Done> {
        let (key, value) = (key(number), self.values.next());
        self.store.put(&key, value, self.workload.durability(self.args).into())?;
        Ok(wrote(&key, value))
    }

    fn delete_random(&mut self) -> Result<Done> {
        let key = key(self.random_number());
        self.store.delete(&key, self.workload.durability(self.args).into())?;
        Ok(wrote(&key, &[]))
    }

    fn get_random(&mut self) -> Result<Done> {
        let key = key(self.random_number());
        Ok(self.store.get(&key)?.map(|value| found(&key, &value)).unwrap_or_default())
    }

    /// Gets a key that lies among those that are there, but is not: a number with a point after it.
    fn get_missing(&mut self) -> Result<Done> {
        let number = key(self.random_number());
        let key = [number.as_slice(), b"."].concat();
        Ok(self.store.get(&key)?.map(|value| found(&key, &value)).unwrap_or_default())
    }

    fn seek_random(&mut self) -> Result<Done> {
        let range = KeyRange { start: Some(key(self.random_number()).to_vec()), end: None };
        let limit = Some(self.args.seek_nexts.saturating_add(1));
        let mut scan = self.store.scan(range, ScanOptions { limit, ..ScanOptions::default() })?;
        let mut done = Done::default();
        while let Some((key, value)) = scan.next_entry()? {
            done = Done { bytes: done.bytes + bytes_of(key, value), ..found(key, value) };
        }
        Ok(done)
    }

    /// Reads the next entry of the scan; at its end, begins another.
    fn read_next(&mut self, reverse: bool) -> Result<Done> {
        if let Some(scan) = &mut self.scan
            && let Some((key, value)) = scan.next_entry()?
        {
            return Ok(found(key, value));
        }
        let options = ScanOptions { reverse, ..ScanOptions::default() };
        let mut scan = self.store.scan(KeyRange::all(), options)?;
        let done = scan.next_entry()?.map(|(key, value)| found(key, value)).unwrap_or_default();
        self.scan = Some(scan);
        Ok(done)
    }
}

fn found(key: &[u8], value: &[u8]) -> Done {
    Done { bytes: bytes_of(key, value), found: true, wrote: false }
}

fn wrote(key: &[u8], value: &[u8]) -> Done {
    Done { bytes: bytes_of(key, value), found: true, wrote: true }
}

fn bytes_of(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        assert_eq!(Workload::ALL.len(), Workload::value_variants().len());
        for workload in Workload::value_variants() {
            let named = workload.to_possible_value().expect("no workload is hidden");
            assert_eq!(workload.name(), named.get_name());
        }
    }
}
