//! Random histories: what a user might do to a store, as plain data.
//!
//! A history is a function of its seed and its [`Mix`]. Its key space is tiny, so that steps meet; every value
//! is unlike all others, so that a wrong one shows. It knows nothing of how a store answers: that is for the
//! [`driver`](crate::driver) to judge.
//!
//! Some histories have buckets: a few *slots*, of which the first is the default bucket and each other one a name, whose
//! bucket is created, dropped, and created anew. The same key may be in several. These also write under conditions. A
//! history without them is drawn as if there were no such thing.

use std::fmt;
use std::rc::Rc;

use esker_engine::{Durability, KeyRange, Kinds, ScanOptions};

use crate::platform::Worker;
use crate::seed::Rng;

/// The slot of the default bucket.
pub const DEFAULT_SLOT: usize = 0;

/// A sequence of steps over a set of keys.
#[derive(Debug, Clone)]
pub struct History {
    /// The keys that the steps use by index.
    pub keys: Rc<[Vec<u8>]>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// A key in a bucket.
#[derive(Clone, Copy)]
pub struct Place {
    /// The slot of the bucket.
    pub slot: usize,
    /// The index of the key in [`History::keys`].
    pub key: usize,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.slot, self.key)
    }
}

/// One thing that a user does.
#[derive(Debug, Clone)]
pub enum Step {
    /// A single put or delete.
    One(Op, Durability),
    /// An atomic batch.
    Batch(Vec<Op>, Durability),
    /// An atomic batch, if keys are as its writer believes.
    WriteIf {
        /// What is believed.
        conditions: Vec<(Place, Belief)>,
        /// What is done if all of it is so.
        ops: Vec<Op>,
        /// How durably.
        durability: Durability,
    },
    /// Add to the number that a key holds.
    Increment(Place, i64, Durability),
    /// A write that breaks a limit.
    Refused(Refused),
    /// Make the bucket of a slot.
    CreateBucket(usize),
    /// Drop the bucket of a slot.
    DropBucket(usize),
    /// List the buckets, also those of a snapshot if there is one.
    Buckets {
        /// Which snapshot, counted round.
        snapshot: usize,
    },
    /// Use a number by which there is no bucket: of one that was dropped, mostly.
    UseMissing {
        /// Which number, counted round.
        which: usize,
        /// What for.
        act: MissingAct,
        /// The key in it.
        key: usize,
    },
    /// Read a key, from a snapshot if there is one and it is asked for.
    Get {
        /// The key.
        place: Place,
        /// Which snapshot, counted round.
        snapshot: Option<usize>,
    },
    /// Read many keys of a bucket.
    GetMany {
        /// The slot of the bucket.
        slot: usize,
        /// The keys.
        keys: Vec<usize>,
    },
    /// Ask for a key without its value.
    Contains(Place),
    /// Read a key and which write made its value.
    GetWithSequence(Place),
    /// Read a range from end to end, from a snapshot if there is one and it is asked for.
    Scan {
        /// The slot of the bucket.
        slot: usize,
        /// The range.
        range: KeyRange,
        /// In which way.
        options: ScanOptions,
        /// Which snapshot, counted round.
        snapshot: Option<usize>,
    },
    /// Begin to read a range of the bucket in a slot.
    OpenCursor(usize, KeyRange, ScanOptions),
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
    /// Say that nothing was written for a while; a memtable of so many bytes is to be sealed.
    Rest(u64),
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
    Put(Place, Durability),
    /// It deletes a key, handed to the operating system.
    Delete(Place),
    /// It makes a bucket of a name that nobody else uses.
    CreateBucket,
    /// It drops the bucket of a slot.
    DropBucket(usize),
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
    Get(Place),
    /// It ends in good order.
    Close,
}

/// What somebody does with a bucket that is not there.
#[derive(Debug, Clone, Copy)]
pub enum MissingAct {
    /// Set a key.
    Put,
    /// Delete a key.
    Delete,
    /// Set a key in the default bucket, and one in this.
    Batch,
    /// Set a key in the default bucket if one in this is absent.
    Condition,
    /// Increment a key.
    Increment,
    /// Read a key.
    Get,
    /// Read keys.
    GetMany,
    /// Ask for a key.
    Contains,
    /// Read a key and which write made its value.
    GetWithSequence,
    /// Read all.
    Scan,
}

/// What the writer of a conditional write believes of a key.
#[derive(Debug, Clone, Copy)]
pub enum Belief {
    /// The value that it has, or that it has none.
    Value,
    /// That it is unchanged since the write that made its value; of an absent key, that it is absent.
    Unchanged,
    /// That it is absent.
    Absent,
    /// A value that no history writes.
    OtherValue,
    /// That it is unchanged since before the write that made its value; of an absent key, since any write.
    UnchangedTooLong,
}

/// An operation of a write.
#[derive(Debug, Clone)]
pub enum Op {
    /// Set the key.
    Put(Place, Value),
    /// Remove the key.
    Delete(Place),
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
    /// A bucket without a name.
    EmptyName,
    /// A bucket with a name of 256 bytes.
    LongName,
    /// To drop the default bucket.
    DropDefault,
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
    /// So many histories out of a hundred have buckets and conditional writes.
    pub buckets_percent: u64,
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
        buckets_percent: 50,
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
        buckets_percent: 50,
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
            buckets: Buckets::random(Rng::new(seed ^ 0x0B0C_4E75), mix.buckets_percent),
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

fn belief(rng: &mut Rng) -> Belief {
    rng.pick(&[
        Belief::Value,
        Belief::Value,
        Belief::Value,
        Belief::Unchanged,
        Belief::Unchanged,
        Belief::Unchanged,
        Belief::Absent,
        Belief::OtherValue,
        Belief::UnchangedTooLong,
    ])
}

struct Writer {
    keys: Rc<[Vec<u8>]>,
    mix: Mix,
    durabilities: &'static [Durability],
    next_value: u32,
    rng: Rng,
    buckets: Option<Buckets>,
}

/// Slots and conditions, with chance of their own.
struct Buckets {
    rng: Rng,
    /// Whether there should be a bucket in each slot, as far as the history knows.
    there: Vec<bool>,
    /// So many steps out of a hundred are about buckets and conditions.
    percent: u64,
}

impl Buckets {
    fn random(mut rng: Rng, histories_percent: u64) -> Option<Self> {
        rng.percent(histories_percent).then(|| {
            let mut there = vec![false; rng.pick(&[2, 2, 3, 4])];
            there[DEFAULT_SLOT] = true;
            Self { percent: rng.pick(&[10, 20, 40]), there, rng }
        })
    }

    /// A slot whose bucket should be there.
    fn slot(&mut self) -> usize {
        loop {
            let slot = self.rng.index(self.there.len());
            if self.there[slot] {
                return slot;
            }
        }
    }
}

impl Writer {
    fn step(&mut self) -> Step {
        if let Some(buckets) = &mut self.buckets
            && buckets.rng.percent(buckets.percent)
        {
            let rng = buckets.rng.fork();
            return self.about_buckets(rng);
        }
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
                Step::Batch(self.ops(length), durability)
            }
            _ => Step::Refused(self.rng.pick(&[Refused::EmptyKey, Refused::LongKey, Refused::Batch])),
        }
    }

    fn ops(&mut self, length: usize) -> Vec<Op> {
        (0..length).map(|_| self.op()).collect()
    }

    fn op(&mut self) -> Op {
        let place = self.place();
        if self.rng.percent(30) { Op::Delete(place) } else { Op::Put(place, self.value()) }
    }

    fn place(&mut self) -> Place {
        Place { slot: self.slot(), key: self.key() }
    }

    fn key(&mut self) -> usize {
        self.rng.index(self.keys.len())
    }

    fn slot(&mut self) -> usize {
        self.buckets.as_mut().map_or(DEFAULT_SLOT, Buckets::slot)
    }

    /// One of few keys, so that steps meet that need a certain value.
    fn busy_place(&mut self, buckets: &mut Rng) -> Place {
        Place { slot: self.slot(), key: buckets.index(self.keys.len().min(4)) }
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
            0..30 => Step::Get { place: self.place(), snapshot: self.snapshot() },
            30..36 => {
                let count = self.rng.pick(&[0, 1, 4, 20]);
                Step::GetMany { slot: self.slot(), keys: (0..count).map(|_| self.key()).collect() }
            }
            36..42 => Step::Contains(self.place()),
            42..62 => {
                let (slot, range) = (self.slot(), self.range());
                Step::Scan { slot, range, options: self.scan_options(), snapshot: self.snapshot() }
            }
            62..68 => Step::OpenCursor(self.slot(), self.range(), self.scan_options()),
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

    /// A step about buckets or conditions.
    fn about_buckets(&mut self, mut rng: Rng) -> Step {
        let durability = rng.pick(self.durabilities);
        match rng.below(100) {
            0..32 => self.create_or_drop(&mut rng),
            32..37 => Step::Buckets { snapshot: rng.index(10) },
            37..46 => {
                let acts = [
                    MissingAct::Put,
                    MissingAct::Delete,
                    MissingAct::Batch,
                    MissingAct::Condition,
                    MissingAct::Increment,
                    MissingAct::Get,
                    MissingAct::GetMany,
                    MissingAct::Contains,
                    MissingAct::GetWithSequence,
                    MissingAct::Scan,
                ];
                Step::UseMissing { which: rng.index(100), act: rng.pick(&acts), key: self.key() }
            }
            46..70 => {
                let count = rng.pick(&[0, 1, 1, 1, 2, 4]);
                let conditions = (0..count).map(|_| (self.busy_place(&mut rng), belief(&mut rng))).collect();
                let (ops, more) = (rng.pick(&[0, 1, 1, 2, 5]), self.busy_place(&mut rng));
                let mut ops = self.ops(ops);
                ops.push(Op::Put(more, self.value()));
                Step::WriteIf { conditions, ops, durability }
            }
            70..86 => {
                let delta = rng.pick(&[1, 1, -1, 1_000, -77, i64::MAX, i64::MIN]);
                Step::Increment(self.busy_place(&mut rng), delta, durability)
            }
            86..93 => Step::GetWithSequence(self.place()),
            93..96 => Step::Refused(rng.pick(&[Refused::EmptyName, Refused::LongName, Refused::DropDefault])),
            // A bucket that need not be there.
            _ => {
                let place = Place { slot: self.any_slot(&mut rng), key: self.key() };
                match rng.below(3) {
                    0 => Step::One(Op::Put(place, self.value()), durability),
                    1 => {
                        let mut ops = self.ops(2);
                        ops.insert(rng.index(3), Op::Delete(place));
                        Step::Batch(ops, durability)
                    }
                    _ => Step::Get { place, snapshot: self.snapshot() },
                }
            }
        }
    }

    fn create_or_drop(&mut self, rng: &mut Rng) -> Step {
        let slot = 1 + self.any_slot(rng).saturating_sub(1);
        let Some(Buckets { there, .. }) = &mut self.buckets else { return Step::CreateBucket(slot) };
        let drops = there[slot] && rng.percent(45);
        there[slot] = !drops;
        if drops { Step::DropBucket(slot) } else { Step::CreateBucket(slot) }
    }

    fn any_slot(&self, rng: &mut Rng) -> usize {
        self.buckets.as_ref().map_or(DEFAULT_SLOT, |buckets| rng.index(buckets.there.len()))
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
            0..2 => StaleAct::Put(self.place(), self.rng.pick(self.durabilities)),
            2 => StaleAct::Put(self.place(), Durability::Synced),
            3 => StaleAct::Delete(self.place()),
            4 => StaleAct::FlushDeferred,
            5 => StaleAct::Sync,
            6 => StaleAct::Flush,
            7 => StaleAct::Maintain,
            8 if self.buckets.is_some() && self.rng.percent(60) => match self.slot() {
                DEFAULT_SLOT => StaleAct::CreateBucket,
                slot => StaleAct::DropBucket(slot),
            },
            8 => StaleAct::Compact,
            _ if self.rng.percent(50) => StaleAct::Get(self.place()),
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
            38..52 => Step::Maintain(self.rng.pick(&[0, 1, 1_000, 20_000, 1 << 20])),
            52..55 => Step::Rest(self.rng.pick(&[0, 10_000, u64::MAX])),
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
