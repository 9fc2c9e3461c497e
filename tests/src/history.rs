//! Random histories: what a user might do to a store, as plain data.
//!
//! A history is a function of its seed and its [`Mix`]. Its key space is tiny, so that steps meet; every value
//! is unlike all others, so that a wrong one shows. It knows nothing of how a store answers: that is for the
//! [`driver`](crate::driver) to judge.

use std::rc::Rc;

use esker_engine::{Durability, KeyRange, Kinds, ScanOptions};

use crate::platform::Worker;
use crate::seed::Rng;

/// A sequence of steps over a set of keys.
#[derive(Debug, Clone)]
pub struct History {
    /// The keys that the steps use by index.
    pub keys: Rc<[Vec<u8>]>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One thing that a user does. Keys are indices into [`History::keys`].
#[derive(Debug, Clone)]
pub enum Step {
    /// A single put or delete.
    One(Op, Durability),
    /// An atomic batch.
    Batch(Vec<Op>, Durability),
    /// A write that breaks a limit.
    Refused(Refused),
    /// Read a key, from a snapshot if there is one and it is asked for.
    Get {
        /// The key.
        key: usize,
        /// Which snapshot, counted round.
        snapshot: Option<usize>,
    },
    /// Read many keys.
    GetMany(Vec<usize>),
    /// Ask for a key without its value.
    Contains(usize),
    /// Read a range from end to end, from a snapshot if there is one and it is asked for.
    Scan {
        /// The range.
        range: KeyRange,
        /// In which way.
        options: ScanOptions,
        /// Which snapshot, counted round.
        snapshot: Option<usize>,
    },
    /// Begin to read a range.
    OpenCursor(KeyRange, ScanOptions),
    /// Read on.
    Advance {
        /// Which cursor, counted round.
        cursor: usize,
        /// So many entries.
        entries: usize,
    },
    /// Drop a cursor.
    CloseCursor(usize),
    /// Pin the state.
    TakeSnapshot,
    /// Drop a snapshot.
    DropSnapshot(usize),
    /// Write the memtables to tables.
    Flush,
    /// A slice of maintenance of so many bytes.
    Maintain(u64),
    /// A slice of a full compaction of so many bytes.
    Compact(u64),
    /// A full compaction, to its end.
    CompactAll,
    /// Say whether workers take jobs.
    Help(bool),
    /// Take a job of these kinds, as a worker does.
    TakeJob(Kinds),
    /// Run a job that was taken.
    RunJob {
        /// Which job, counted round.
        job: usize,
        /// How its worker fares.
        worker: Worker,
    },
    /// Bring a job's result back.
    FinishJob(usize),
    /// Give a job up; its worker may go on.
    AbandonJob(usize),
    /// Open a reader with options drawn from this seed.
    OpenReader(u64),
    /// Let a reader see what the primary has handed over, and read it all.
    CatchUp(usize),
    /// Drop a reader.
    DropReader(usize),
    /// Make all durable.
    Sync,
    /// Hand deferred writes over.
    FlushDeferred,
    /// Let so many milliseconds pass.
    Wait(u64),
    /// Check all files.
    Verify,
    /// Close in good order and open again with new options, drawn from this seed.
    Reopen(u64),
    /// Drop the store without closing it and open again with new options, drawn from this seed.
    Kill(u64),
    /// Open the store beside the primary, which is not asked, with new options drawn from this seed.
    TakeOver(u64),
    /// Let a primary that was replaced go on.
    Stale {
        /// Which, counted round.
        which: usize,
        /// What it does.
        act: StaleAct,
    },
}

/// What a primary does that was replaced and may not know it.
#[derive(Debug, Clone, Copy)]
pub enum StaleAct {
    /// It sets a key, as durably as this.
    Put(usize, Durability),
    /// It deletes a key, handed to the operating system.
    Delete(usize),
    /// It hands deferred writes over.
    FlushDeferred,
    /// It makes all durable.
    Sync,
    /// It writes its memtables to tables.
    Flush,
    /// It does maintenance.
    Maintain,
    /// It compacts all that it knows.
    Compact,
    /// It reads a key.
    Get(usize),
    /// It ends in good order.
    Close,
}

/// An operation of a write.
#[derive(Debug, Clone)]
pub enum Op {
    /// Set the key.
    Put(usize, Value),
    /// Remove the key.
    Delete(usize),
}

/// A value that is not written out in a history, so that a history can be read.
#[derive(Debug, Clone, Copy)]
pub struct Value {
    /// No two values of a history have the same number.
    pub number: u32,
    /// So many bytes.
    pub length: u32,
    /// Whether the bytes resist compression.
    pub noise: bool,
}

impl Value {
    /// The bytes.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = format!("#{}.", self.number).into_bytes();
        let mut rng = Rng::new(u64::from(self.number));
        while bytes.len() < self.length as usize {
            let word = if self.noise { rng.next_u64() } else { u64::from(self.number) };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(self.length as usize);
        bytes
    }
}

/// A write that breaks a limit.
#[derive(Debug, Clone, Copy)]
pub enum Refused {
    /// A key without bytes.
    EmptyKey,
    /// A key of 65,537 bytes.
    LongKey,
    /// A good operation and one with a bad key in a batch: neither is applied.
    Batch,
}

/// How often a history does what: weights, relative to each other.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Writes.
    pub writes: u64,
    /// Reads, cursors and snapshots.
    pub reads: u64,
    /// Flushes, compactions, syncs.
    pub upkeep: u64,
    /// Closing or killing, and opening again; another primary.
    pub reopens: u64,
    /// The longest key has up to so many bytes.
    pub key_bytes: usize,
    /// The longest value is drawn up to so many bytes.
    pub value_bytes: u32,
    /// So many values out of a hundred are drawn up to the longest.
    pub large_percent: u64,
}

impl Mix {
    /// A bit of all.
    pub const ALL: Self = Self {
        writes: 45,
        reads: 35,
        upkeep: 16,
        reopens: 3,
        key_bytes: 65_536,
        value_bytes: 100_000,
        large_percent: 2,
    };
    /// What changes files.
    pub const CHANGES: Self = Self {
        writes: 66,
        reads: 6,
        upkeep: 25,
        reopens: 3,
        key_bytes: 5_000,
        value_bytes: 40_000,
        large_percent: 2,
    };
    /// Few steps, much data.
    pub const LARGE: Self = Self { value_bytes: 300_000, large_percent: 60, ..Self::CHANGES };
}

impl History {
    /// The history of this seed.
    pub fn random(seed: u64, length: usize, mix: &Mix) -> Self {
        let mut rng = Rng::new(seed);
        let keys = keys(&mut rng, mix.key_bytes);
        let mut writer = Writer {
            keys: Rc::clone(&keys),
            mix: *mix,
            durabilities: durabilities(&mut rng),
            next_value: 0,
            rng,
        };
        let steps = (0..length).map(|_| writer.step()).collect();
        Self { keys, steps }
    }
}

/// Keys of one of several styles, each a known source of mistakes.
fn keys(rng: &mut Rng, longest: usize) -> Rc<[Vec<u8>]> {
    let count = rng.pick(&[3, 10, 30, 100]);
    let style = rng.below(4);
    let mut keys: Vec<Vec<u8>> = (0..count)
        .map(|n| match style {
            // Fixed width, a long shared prefix.
            0 => format!("user/{n:08}").into_bytes(),
            // Prefixes of each other, the least and the greatest byte.
            1 => (0..rng.between(1, 5)).map(|_| rng.pick(&[0, b'a', b'b', 0xff])).collect(),
            // Any bytes.
            2 => (0..rng.between(1, 20)).map(|_| rng.next_u64() as u8).collect(),
            // Up to the longest.
            _ => {
                let length = rng.pick(&[1, 2, 100, 300, 1_000, 1_000, 5_000, 65_536]).min(longest);
                let tail = rng.next_u64().to_be_bytes();
                let mut key = vec![b'k'; length];
                for (byte, &random) in key.iter_mut().rev().zip(&tail) {
                    *byte = random;
                }
                key
            }
        })
        .collect();
    keys.sort();
    keys.dedup();
    keys.into()
}

/// Some histories know one durability only, others mix them.
fn durabilities(rng: &mut Rng) -> &'static [Durability] {
    use Durability::{Buffered, Deferred, Synced};
    rng.pick(&[
        &[Synced],
        &[Buffered],
        &[Deferred],
        &[Deferred, Deferred, Deferred, Buffered],
        &[Buffered, Buffered, Buffered, Synced],
        &[Deferred, Buffered, Synced],
    ])
}

struct Writer {
    keys: Rc<[Vec<u8>]>,
    mix: Mix,
    durabilities: &'static [Durability],
    next_value: u32,
    rng: Rng,
}

impl Writer {
    fn step(&mut self) -> Step {
        let Mix { writes, reads, upkeep, reopens, .. } = self.mix;
        let draw = self.rng.below(writes + reads + upkeep + reopens);
        if draw < writes {
            self.write()
        } else if draw < writes + reads {
            self.read()
        } else if draw < writes + reads + upkeep {
            self.upkeep()
        } else {
            self.reopen()
        }
    }

    fn write(&mut self) -> Step {
        let durability = self.rng.pick(self.durabilities);
        match self.rng.below(100) {
            0..75 => Step::One(self.op(), durability),
            75..98 => {
                let length = self.rng.pick(&[0, 1, 2, 3, 5, 10, 40]);
                Step::Batch((0..length).map(|_| self.op()).collect(), durability)
            }
            _ => Step::Refused(self.rng.pick(&[Refused::EmptyKey, Refused::LongKey, Refused::Batch])),
        }
    }

    fn op(&mut self) -> Op {
        let key = self.key();
        if self.rng.percent(30) { Op::Delete(key) } else { Op::Put(key, self.value()) }
    }

    fn key(&mut self) -> usize {
        self.rng.index(self.keys.len())
    }

    fn value(&mut self) -> Value {
        let longest = match self.rng.below(100) {
            large if large < self.mix.large_percent => self.mix.value_bytes,
            0..6 => 0,
            6..62 => 30,
            62..87 => 300,
            _ => 6_000,
        };
        let longest = longest.min(self.mix.value_bytes);
        let length = self.rng.between(0, u64::from(longest)) as u32;
        self.next_value += 1;
        Value { number: self.next_value, length, noise: self.rng.percent(50) }
    }

    fn read(&mut self) -> Step {
        match self.rng.below(100) {
            0..30 => Step::Get { key: self.key(), snapshot: self.snapshot() },
            30..36 => {
                let count = self.rng.pick(&[0, 1, 4, 20]);
                Step::GetMany((0..count).map(|_| self.key()).collect())
            }
            36..42 => Step::Contains(self.key()),
            42..62 => {
                Step::Scan { range: self.range(), options: self.scan_options(), snapshot: self.snapshot() }
            }
            62..68 => Step::OpenCursor(self.range(), self.scan_options()),
            68..84 => {
                let entries = self.rng.pick(&[1, 1, 3, 10, 100]);
                Step::Advance { cursor: self.rng.index(10), entries }
            }
            84..87 => Step::CloseCursor(self.rng.index(10)),
            87..94 => Step::TakeSnapshot,
            _ => Step::DropSnapshot(self.rng.index(10)),
        }
    }

    fn snapshot(&mut self) -> Option<usize> {
        self.rng.percent(40).then(|| self.rng.index(10))
    }

    fn range(&mut self) -> KeyRange {
        match self.rng.below(4) {
            0 => KeyRange::all(),
            1 => {
                let key = self.key();
                let length = self.rng.index(self.keys[key].len() + 1);
                KeyRange::prefix(&self.keys[key][..length])
            }
            // Bounds in any order: a range whose end is not after its start is empty.
            _ => KeyRange { start: self.bound(), end: self.bound() },
        }
    }

    /// None, a key, or a place just beside one.
    fn bound(&mut self) -> Option<Vec<u8>> {
        let key = self.key();
        let mut bound = self.keys[key].clone();
        match self.rng.below(10) {
            0 => return None,
            1 => bound.push(0),
            2 => bound.push(0xff),
            3 => bound.truncate(bound.len() / 2),
            _ => {}
        }
        Some(bound)
    }

    fn scan_options(&mut self) -> ScanOptions {
        ScanOptions {
            reverse: self.rng.percent(50),
            keys_only: self.rng.percent(25),
            limit: self.rng.pick(&[None, None, Some(0), Some(1), Some(7)]),
            ..ScanOptions::default()
        }
    }

    fn reopen(&mut self) -> Step {
        let seed = self.rng.next_u64();
        match self.rng.below(100) {
            0..40 => Step::Reopen(seed),
            40..75 => Step::Kill(seed),
            _ => Step::TakeOver(seed),
        }
    }

    fn stale_act(&mut self) -> StaleAct {
        match self.rng.below(10) {
            0..2 => StaleAct::Put(self.key(), self.rng.pick(self.durabilities)),
            2 => StaleAct::Put(self.key(), Durability::Synced),
            3 => StaleAct::Delete(self.key()),
            4 => StaleAct::FlushDeferred,
            5 => StaleAct::Sync,
            6 => StaleAct::Flush,
            7 => StaleAct::Maintain,
            8 => StaleAct::Compact,
            _ if self.rng.percent(50) => StaleAct::Get(self.key()),
            _ => StaleAct::Close,
        }
    }

    fn kinds(&mut self) -> Kinds {
        let mut kind = || self.rng.percent(70);
        Kinds { flush: kind(), compaction: kind(), clean_up: kind() }
    }

    fn worker(&mut self) -> Worker {
        let slice_bytes = self.rng.pick(&[u64::MAX, 1, 1_000]);
        Worker { slice_bytes, dies_at: self.rng.percent(30).then(|| self.rng.between(1, 25)) }
    }

    fn upkeep(&mut self) -> Step {
        match self.rng.below(100) {
            0..15 => Step::Flush,
            15..22 => Step::TakeJob(self.kinds()),
            22..29 => Step::RunJob { job: self.rng.index(10), worker: self.worker() },
            29..34 => Step::FinishJob(self.rng.index(10)),
            34..36 => Step::AbandonJob(self.rng.index(10)),
            36..38 => Step::Help(self.rng.percent(50)),
            38..55 => Step::Maintain(self.rng.pick(&[0, 1, 1_000, 20_000, 1 << 20])),
            55..62 => Step::Compact(self.rng.pick(&[1, 1_000, 1 << 20])),
            62..66 => Step::CompactAll,
            66..69 => Step::OpenReader(self.rng.next_u64()),
            69..76 => Step::CatchUp(self.rng.index(10)),
            76..77 => Step::DropReader(self.rng.index(10)),
            77..85 => Step::Sync,
            85..92 => Step::FlushDeferred,
            92..94 => Step::Wait(self.rng.pick(&[1, 50, 1_000])),
            94..98 => Step::Stale { which: self.rng.index(10), act: self.stale_act() },
            _ => Step::Verify,
        }
    }
}
