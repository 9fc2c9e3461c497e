//! Time: how fast a user writes and workers merge, and who waits for whom.
//!
//! A write goes to the memtable at the user's rate. A full memtable is sealed; workers flush and merge, one job each, at
//! their rates; for a flush a worker puts its merge aside. As in the engine, a write waits while two sealed memtables wait
//! and while level 0 has too many tables. Time goes from one end of a job to the next.

use std::collections::VecDeque;

use esker_engine::compaction::{Busy, Picker, Plan};

use crate::lsm::{Entry, Lsm, Sizes, Table, is_tombstone, key};

/// So many sealed memtables may wait, as in the engine.
const SEALED_MAX: usize = 2;

/// A store's options and its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// How large things are.
    pub sizes: Sizes,
    /// A memtable is sealed at this size.
    pub memtable_bytes: u64,
    /// Writes wait at so many tables in level 0.
    pub level0_stop: usize,
    /// How many jobs run at once.
    pub workers: usize,
    /// What a user writes who never waits, in bytes a second.
    pub write_rate: u64,
    /// What a flush writes, in bytes a second.
    pub flush_rate: u64,
    /// What a merge reads, in bytes a second.
    pub merge_rate: u64,
}

/// The amplifications at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Since the start, in microseconds.
    pub micros: u64,
    /// Bytes written to tables so far, for each byte that the user has written.
    pub write: f64,
    /// Sorted runs that a read looks into.
    pub read: f64,
    /// Bytes on disk, those of unfinished tables included, for each byte of live entries.
    pub space: f64,
}

/// What a run has cost.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// In the order of time.
    pub samples: Vec<Sample>,
    /// How many of the samples there were before the user stopped writing.
    pub busy_samples: usize,
    /// When the user stopped writing, in microseconds.
    pub busy_micros: u64,
    /// Bytes that the user wrote.
    pub user_bytes: u64,
    /// Bytes that flushes and merges wrote.
    pub written_bytes: u64,
    /// How long writes waited, in microseconds.
    pub stalled_micros: u64,
    /// The most tables that were in level 0.
    pub level0_max: usize,
    /// Merges.
    pub merges: u64,
    /// The most bytes that one merge read.
    pub merge_bytes_max: u64,
}

/// A store, its user and its workers.
#[derive(Debug)]
pub struct Machine {
    // Fixed at the start.
    setup: Setup,

    // The store.
    picker: Picker,
    lsm: Lsm,
    memtable: Vec<Entry>,
    memtable_bytes: u64,
    sealed: VecDeque<Vec<Entry>>,
    running: Vec<Job>,

    // What the user believes.
    live: Vec<bool>,
    live_count: u64,

    now: u64,
    figures: Figures,
}

#[derive(Debug)]
struct Job {
    start: u64,
    end: u64,
    /// `None` for a flush.
    plan: Option<Plan>,
    tables: Vec<Table>,
    /// Whether its worker has put a merge aside for it.
    first: bool,
}

impl Job {
    fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.meta.size).sum()
    }

    /// How much of its tables is on disk.
    fn bytes_by(&self, now: u64) -> u64 {
        let done = u128::from(self.bytes()) * u128::from(now - self.start);
        (done / u128::from((self.end - self.start).max(1))) as u64
    }
}

impl Machine {
    /// A machine with an empty store, for keys below `keys`.
    pub fn new(setup: Setup, picker: Picker, keys: u32) -> Self {
        Self {
            setup,
            picker,
            lsm: Lsm::new(setup.sizes),
            memtable: Vec::new(),
            memtable_bytes: 0,
            sealed: VecDeque::new(),
            running: Vec::new(),
            live: vec![false; keys as usize],
            live_count: 0,
            now: 0,
            figures: Figures::default(),
        }
    }

    /// Writes an entry, as soon as it may be written.
    pub fn write(&mut self, entry: Entry) {
        let (was, is) = (&mut self.live[key(entry) as usize], !is_tombstone(entry));
        self.live_count = self.live_count + u64::from(is) - u64::from(*was);
        *was = is;
        let bytes = self.setup.sizes.of(entry);
        self.memtable.push(entry);
        self.memtable_bytes += bytes;
        self.figures.user_bytes += bytes;
        if self.memtable_bytes >= self.setup.memtable_bytes {
            self.pass(duration(self.memtable_bytes, self.setup.write_rate));
            self.wait_until_writable();
            self.seal();
        }
    }

    /// Lets the user stop, and time go on until nothing is left to do.
    pub fn rest(&mut self) {
        if !self.memtable.is_empty() {
            self.pass(duration(self.memtable_bytes, self.setup.write_rate));
            self.wait_until_writable();
            self.seal();
        }
        self.figures.busy_micros = self.now;
        self.figures.busy_samples = self.figures.samples.len();
        self.start_jobs();
        while self.end_next_job(u64::MAX) {
            self.start_jobs();
        }
    }

    /// Goes on with another picker.
    pub fn switch(&mut self, picker: Picker) {
        self.picker = picker;
    }

    /// What it has cost so far.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The tables.
    pub fn lsm(&self) -> &Lsm {
        &self.lsm
    }

    /// What compaction says that it owes, and what it reads until nothing but tombstones is left to do, if from now
    /// on nobody writes and no job is under way.
    pub fn owed_and_done(&self) -> (u64, u64) {
        let owed = self.picker.pending_bytes(&self.lsm.version);
        let (mut lsm, mut done) = (self.lsm.clone(), 0);
        let picker = without_tombstones(self.picker);
        while let Some(plan) = picker.pick(&lsm.version, u64::MAX, &Busy::default()) {
            if plan.is_trivial_move() {
                lsm.apply(&plan.move_edit());
                continue;
            }
            done += plan.bytes();
            let tables = lsm.merge(&plan);
            lsm.install(&plan, &tables);
        }
        (owed, done)
    }

    /// Holds the tables against what was written.
    ///
    /// # Panics
    ///
    /// Where a read would find another answer than the user expects. REQUIRES: nothing is in memory.
    pub fn check(&self) {
        assert!(self.memtable.is_empty() && self.sealed.is_empty(), "only tables are read here");
        let live = self.live.iter().enumerate().filter(|(_, live)| **live).map(|(key, _)| key as u32);
        assert!(live.eq(self.lsm.live_keys()), "the tables hold other keys than were written");
    }

    fn seal(&mut self) {
        self.sealed.push_back(std::mem::take(&mut self.memtable));
        self.memtable_bytes = 0;
        self.start_jobs();
        self.sample();
    }

    fn wait_until_writable(&mut self) {
        let start = self.now;
        while self.sealed.len() >= SEALED_MAX {
            self.wait();
        }
        while self.lsm.version.level(0).len() >= self.setup.level0_stop {
            self.wait();
        }
        self.figures.stalled_micros += self.now - start;
    }

    /// Waits for a job to end.
    fn wait(&mut self) {
        self.start_jobs();
        assert!(self.end_next_job(u64::MAX), "a write waits, and nothing is due");
    }

    /// Lets time go on for a while.
    fn pass(&mut self, micros: u64) {
        let then = self.now + micros;
        self.start_jobs();
        while self.end_next_job(then) {
            self.start_jobs();
        }
        self.now = then;
    }

    /// Ends the job that ends next, if it does by `limit`.
    fn end_next_job(&mut self, limit: u64) -> bool {
        let next = (0..self.running.len()).min_by_key(|&at| self.running[at].end);
        let Some(at) = next.filter(|&at| self.running[at].end <= limit) else { return false };
        self.now = self.running[at].end;
        // Old and new tables are both there at this moment.
        self.sample();
        let job = self.running.remove(at);
        self.figures.written_bytes += job.bytes();
        match &job.plan {
            Some(plan) => self.lsm.install(plan, &job.tables),
            None => job.tables.iter().for_each(|table| self.lsm.install_flush(table)),
        }
        self.figures.level0_max = self.figures.level0_max.max(self.lsm.version.level(0).len());
        self.sample();
        true
    }

    fn start_jobs(&mut self) {
        loop {
            let flushing = self.running.iter().any(|job| job.plan.is_none());
            let job = if !self.sealed.is_empty() && !flushing { Some(self.flush_job()) } else { None };
            let Some(mut job) = job.or_else(|| self.merge_job()) else { return };
            if self.workers_free() == 0 {
                self.put_aside(&mut job);
            }
            self.running.push(job);
        }
    }

    fn workers_free(&self) -> usize {
        self.setup.workers - self.running.iter().filter(|job| !job.first).count()
    }

    /// The merge that ends last waits for `job`.
    fn put_aside(&mut self, job: &mut Job) {
        job.first = true;
        let merges = self.running.iter_mut().filter(|job| !job.first);
        if let Some(merge) = merges.max_by_key(|job| job.end) {
            merge.end += job.end - job.start;
        }
    }

    fn merge_job(&mut self) -> Option<Job> {
        let plan = if self.workers_free() > 0 { self.next_plan()? } else { return None };
        let tables = self.lsm.merge(&plan);
        self.figures.merges += 1;
        self.figures.merge_bytes_max = self.figures.merge_bytes_max.max(plan.bytes());
        let end = self.now + duration(plan.bytes(), self.setup.merge_rate);
        Some(Job { start: self.now, end, plan: Some(plan), tables, first: false })
    }

    fn flush_job(&mut self) -> Job {
        let writes = self.sealed.pop_front().expect("a flush has a memtable");
        let table = self.lsm.flush(&writes);
        let end = self.now + duration(table.meta.size, self.setup.flush_rate);
        Job { start: self.now, end, plan: None, tables: vec![table], first: false }
    }

    /// The next merge; what only moves tables is done at once.
    fn next_plan(&mut self) -> Option<Plan> {
        loop {
            let busy = Busy::new(self.running.iter().filter_map(|job| job.plan.as_ref()));
            let plan = self.picker.pick(&self.lsm.version, u64::MAX, &busy)?;
            if !plan.is_trivial_move() {
                return Some(plan);
            }
            self.lsm.apply(&plan.move_edit());
        }
    }

    fn sample(&mut self) {
        let on_disk = self.lsm.bytes() + self.running.iter().map(|job| job.bytes_by(self.now)).sum::<u64>();
        let live = (self.live_count * (self.setup.sizes.key_bytes + self.setup.sizes.value_bytes)).max(1);
        self.figures.samples.push(Sample {
            micros: self.now,
            write: self.figures.written_bytes as f64 / self.figures.user_bytes as f64,
            read: self.lsm.runs() as f64,
            space: on_disk as f64 / live as f64,
        });
    }
}

fn without_tombstones(picker: Picker) -> Picker {
    match picker {
        Picker::Levelled(mut levelled) => {
            levelled.tombstone_percent = 0;
            Picker::Levelled(levelled)
        }
        Picker::SizeTiered(mut tiered) => {
            tiered.tombstone_percent = 0;
            Picker::SizeTiered(tiered)
        }
    }
}

/// How long `bytes` take at `rate` bytes a second, in microseconds.
fn duration(bytes: u64, rate: u64) -> u64 {
    (u128::from(bytes) * 1_000_000 / u128::from(rate.max(1))) as u64
}
