//! The workloads, and what one operation of each does.
//!
//! The first half is LevelDB's and RocksDB's `db_bench`, by the same names; the second the core workloads of YCSB (Cooper
//! et al., "Benchmarking Cloud Serving Systems with YCSB", 2010), with its distributions and mixtures, over the keys and
//! values of the first half instead of its records of ten fields.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use clap::ValueEnum;
use rand_distr::{Distribution, Zipf};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use crate::sample::{KEY_BYTES, KEYS_MAX, Random, Values, key};
use crate::stores::{Key, Scan, Session, Store};

/// The size of a value, in bytes.
pub const VALUE_BYTES: usize = 100;
/// Pairs in a batch of fillbatch.
pub const BATCH: u64 = 100;
/// Entries that seekrandom reads: the one it seeks and ten more.
const SEEK_ENTRIES: u64 = 11;
/// readhot reads this share of the keys.
const HOT_SHARE: u64 = 100;
/// The exponent of YCSB's Zipfian distribution.
const ZIPFIAN: f64 = 0.99;
/// YCSB E reads up to so many entries.
const SCAN_ENTRIES_MAX: u64 = 100;
/// How often readseq and readreverse read everything.
const PASSES: u64 = 5;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Workload {
    /// Write the keys in order
    FillSeq,
    /// Write keys at random, 100 in a batch
    FillBatch,
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
    /// Get keys at random among a hundredth of them
    ReadHot,
    /// Seek a key at random and read ten entries more
    SeekRandom,
    /// Read entries in order
    ReadSeq,
    /// Read entries from the last to the first
    ReadReverse,
    /// Get keys at random while another thread writes without pause
    ReadWhileWriting,
    /// Delete keys at random
    DeleteRandom,
    /// YCSB's load: insert the keys in scattered order
    #[value(name = "ycsb-load")]
    YcsbLoad,
    /// YCSB A: half reads, half updates
    #[value(name = "ycsb-a")]
    YcsbA,
    /// YCSB B: 95 % reads, 5 % updates
    #[value(name = "ycsb-b")]
    YcsbB,
    /// YCSB C: reads
    #[value(name = "ycsb-c")]
    YcsbC,
    /// YCSB F: half reads, half reads that write back
    #[value(name = "ycsb-f")]
    YcsbF,
    /// YCSB D: 95 % reads of what is new, 5 % inserts
    #[value(name = "ycsb-d")]
    YcsbD,
    /// YCSB E: 95 % short scans, 5 % inserts
    #[value(name = "ycsb-e")]
    YcsbE,
}

use Workload::*;

/// Workloads that run one after the other over one store. The first begins with an empty one.
pub const GROUPS: [&[Workload]; 5] = [
    &[FillSeq],
    &[FillBatch],
    &[FillSync],
    &[
        FillRandom,
        Overwrite,
        ReadRandom,
        ReadMissing,
        ReadHot,
        SeekRandom,
        ReadSeq,
        ReadReverse,
        ReadWhileWriting,
        DeleteRandom,
    ],
    // In the order that YCSB's authors give; E does not begin anew, since the few inserts before it change nothing.
    &[YcsbLoad, YcsbA, YcsbB, YcsbC, YcsbF, YcsbD, YcsbE],
];

impl Workload {
    /// The name, as on the command line and in the results.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no workload is hidden").get_name().to_owned()
    }

    /// Whether it is the first of its group.
    pub fn fills(self) -> bool {
        GROUPS.iter().any(|group| group[0] == self)
    }

    /// Whether it changes the store.
    pub fn writes(self) -> bool {
        !matches!(self, ReadRandom | ReadMissing | ReadHot | SeekRandom | ReadSeq | ReadReverse | YcsbC)
    }

    /// Whether one of its operations is to read the next entry of a scan of everything.
    pub fn scans_all(self) -> bool {
        matches!(self, ReadSeq | ReadReverse)
    }

    /// How many entries or keys one operation stands for.
    pub fn entries_each(self) -> u64 {
        if self == FillBatch { BATCH } else { 1 }
    }

    /// How many operations it has over `rows` different keys.
    pub fn operations(self, rows: u64) -> u64 {
        match self {
            FillBatch => rows / BATCH,
            FillSync => (rows / 100).clamp(1, 10_000),
            SeekRandom | YcsbE => rows / 5,
            ReadSeq | ReadReverse => rows * PASSES,
            YcsbA | YcsbB | YcsbC | YcsbF | YcsbD => rows / 2,
            _ => rows,
        }
        .max(1)
    }
}

/// What the threads of a workload share.
pub struct Shape {
    /// Different keys at the beginning.
    pub rows: u64,
    /// Of all random choices.
    pub seed: u64,
    /// YCSB's keys so far: D and E add some.
    pub inserted: AtomicU64,
}

/// One thread's part in a workload.
pub struct Worker<'a> {
    workload: Workload,
    shape: &'a Shape,
    pub session: Box<dyn Session + 'a>,
    random: Random,
    values: Values,
    ranks: Option<(Zipf<f64>, Pcg64Mcg)>,
}

impl<'a> Worker<'a> {
    /// The part of thread number `thread`.
    pub fn new(workload: Workload, store: &'a dyn Store, shape: &'a Shape, thread: u64) -> Result<Self> {
        let stream = (workload as u64) << 32 | thread;
        let mut random = Random::new(shape.seed, stream);
        let values = Values::new(&mut random, if workload.writes() { VALUE_BYTES } else { 0 });
        let ranks = match workload {
            YcsbA | YcsbB | YcsbC | YcsbD | YcsbE | YcsbF => {
                let rows = shape.inserted.load(Ordering::Relaxed).max(1);
                let generator = Pcg64Mcg::seed_from_u64(random.below(u64::MAX));
                Some((Zipf::new(rows as f64, ZIPFIAN)?, generator))
            }
            _ => None,
        };
        Ok(Self { workload, shape, session: store.session()?, random, values, ranks })
    }

    /// Does operation number `number` of the workload; whether it found what it looked for.
    pub fn operate(&mut self, number: u64) -> Result<bool> {
        match self.workload {
            FillSeq => self.put(key(number)),
            FillBatch => self.put_batch(),
            FillSync | FillRandom | Overwrite => self.put_random(),
            ReadRandom | ReadWhileWriting => self.get_below(self.shape.rows),
            ReadHot => self.get_below(self.shape.rows.div_ceil(HOT_SHARE)),
            ReadMissing => self.get_missing(),
            SeekRandom => {
                let key = self.random_key();
                self.scan(&key, SEEK_ENTRIES)
            }
            DeleteRandom => {
                let key = self.random_key();
                self.session.delete(&key).map(|()| true)
            }
            YcsbLoad => self.insert(),
            YcsbA => self.ycsb(50, Self::update),
            YcsbB => self.ycsb(5, Self::update),
            YcsbC => self.ycsb(0, Self::update),
            YcsbF => self.ycsb(50, Self::modify),
            YcsbD => self.ycsb(5, Self::insert),
            YcsbE if self.random.below(100) < 5 => self.insert(),
            YcsbE => {
                let entries = 1 + self.random.below(SCAN_ENTRIES_MAX);
                let key = self.popular_key();
                self.scan(&key, entries)
            }
            ReadSeq | ReadReverse => unreachable!("the measurement drives a scan of everything"),
        }
    }

    /// Writes a random key.
    pub fn put_random(&mut self) -> Result<bool> {
        let key = self.random_key();
        self.put(key)
    }

    fn random_key(&mut self) -> Key {
        key(self.random.below(self.shape.rows))
    }

    fn put(&mut self, key: Key) -> Result<bool> {
        self.session.put(&key, self.values.next())?;
        Ok(true)
    }

    fn put_batch(&mut self) -> Result<bool> {
        let keys: [Key; BATCH as usize] = std::array::from_fn(|_| self.random_key());
        // All pairs of a batch have one value: what is measured is the store, not how values are made.
        let value = self.values.next();
        let pairs = keys.map(|key| (key, value));
        self.session.put_batch(&pairs)?;
        Ok(true)
    }

    fn get_below(&mut self, limit: u64) -> Result<bool> {
        let key = key(self.random.below(limit));
        self.get(&key)
    }

    /// Gets a key that lies among those that are there, but is not: a number with a point after it.
    fn get_missing(&mut self) -> Result<bool> {
        let mut missing = [b'.'; KEY_BYTES + 1];
        missing[..KEY_BYTES].copy_from_slice(&self.random_key());
        self.get(&missing)
    }

    fn get(&mut self, key: &[u8]) -> Result<bool> {
        self.session.get(key, &mut touch)
    }

    fn scan(&mut self, from: &[u8], entries: u64) -> Result<bool> {
        let mut left = entries;
        self.session.scan(Scan::From(from, entries), &mut |_, value| {
            touch(value);
            left -= 1;
            left > 0
        })?;
        Ok(left < entries)
    }

    /// Reads, or in so many of a hundred cases does something else.
    fn ycsb(&mut self, percent: u64, other: fn(&mut Self) -> Result<bool>) -> Result<bool> {
        if self.random.below(100) < percent {
            return other(self);
        }
        let key = self.popular_key();
        self.get(&key)
    }

    fn update(&mut self) -> Result<bool> {
        let key = self.popular_key();
        self.put(key)
    }

    fn modify(&mut self) -> Result<bool> {
        let key = self.popular_key();
        self.get(&key)?;
        self.put(key)
    }

    fn insert(&mut self) -> Result<bool> {
        let number = self.shape.inserted.fetch_add(1, Ordering::Relaxed);
        self.put(ycsb_key(number))
    }

    /// A key as YCSB chooses it: by rank, scattered over all keys; in D, the newest are the most popular.
    fn popular_key(&mut self) -> Key {
        let (zipf, generator) = self.ranks.as_mut().expect("YCSB's workloads have ranks");
        let rank = zipf.sample(generator) as u64 - 1;
        let inserted = self.shape.inserted.load(Ordering::Relaxed).max(1);
        match self.workload {
            YcsbD => ycsb_key(inserted - 1 - rank.min(inserted - 1)),
            _ => ycsb_key(scatter(rank) % self.shape.rows),
        }
    }
}

/// The key of YCSB's record with this number: scattered, so that inserts come in no order.
fn ycsb_key(number: u64) -> Key {
    key(scatter(number) % KEYS_MAX)
}

/// FNV-1, with which YCSB scatters numbers.
fn scatter(number: u64) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    number.to_le_bytes().into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Looks at a value, as whoever has asked for it would.
pub fn touch(value: &[u8]) {
    black_box(value.first().zip(value.last()));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_workload_is_in_one_group() {
        let grouped: Vec<_> = GROUPS.iter().flat_map(|group| group.iter()).collect();
        assert_eq!(grouped.len(), Workload::value_variants().len());
        assert_eq!(grouped.iter().collect::<HashSet<_>>().len(), grouped.len());
    }

    #[test]
    fn keys_of_ycsb_are_all_different() {
        let keys: HashSet<_> = (0..100_000).map(ycsb_key).collect();
        assert_eq!(keys.len(), 100_000);
    }
}
