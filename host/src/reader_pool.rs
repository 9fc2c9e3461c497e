//! Readers behind a `KvStore`: instances that answer reads at the same time, beside the primary.
//!
//! ```text
//! a read ──► a reader that nobody uses and that sees every acknowledged write ──► answers
//!        └─► else the primary, if nobody uses it ──────────────────────────────► answers
//!        └─► else a reader that nobody uses, if writes pause: it catches up, ──► answers
//!        └─► else the primary, if it is free within some microseconds ─────────► answers
//!        └─► else a reader that nobody uses: it catches up to what is needed, ─► answers
//!        └─► else wait for the primary
//! ```
//!
//! A read sees every write that was acknowledged, by any thread, before it began. The primary's calls publish two
//! sequence numbers under its lock: up to which writes are *acknowledged*, and up to which they are *handed over* to the
//! operating system, where a reader finds them. What is only deferred is read from the primary. A reader never goes
//! beyond what was published when it caught up, and one that sees more after it was opened is not asked until that is
//! published; so reads of one thread and then another never go back in time.
//!
//! Where writes go on without pause, readers are never quite up to date; the primary, even if it has to be waited for a
//! little, costs less than catching up with each. A reader that fails is dropped: the primary answers in its place,
//! and another is opened later.

use crate::error::{Error, Result};
use crate::options::Options;
use crate::reader::Reader;
use crate::runtime::Runtime;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// The memory that a store plans with by default (wit/esker.wit), and the share of it that each reader's cache has.
const MEMORY_BYTES: u64 = 256 << 20;
const CACHE_SHARE: u64 = 8;
/// After a reader could not be opened, it is tried again no sooner than this.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The readers, and what they must see.
pub struct ReaderPool {
    runtime: Runtime,
    dir: PathBuf,
    cache_bytes: u64,
    memory_limit_bytes: Option<u64>,
    slots: Vec<Mutex<Slot>>,
    /// Where the next thread begins to look for a free reader.
    next: AtomicUsize,
    /// The last write that was acknowledged, and the last of which it is known that the operating system has it.
    acknowledged: AtomicU64,
    handed_over: AtomicU64,
    /// The last write that the store held when it was opened.
    recovered: u64,
    /// How many readers were opened, how many of them have failed, and why the last one did or could not be opened.
    opened: AtomicU64,
    given_up: AtomicU64,
    failure: Mutex<Option<String>>,
}

#[derive(Default)]
struct Slot {
    reader: Option<Reader>,
    /// When the last attempt to open it has failed.
    failed: Option<Instant>,
    /// The last write when `writes_pause` was last asked.
    missed: u64,
}

impl Slot {
    /// Whether nothing was written since this was last asked; `needed` is the last write.
    fn writes_pause(&mut self, needed: u64) -> bool {
        std::mem::replace(&mut self.missed, needed) == needed
    }
}

impl ReaderPool {
    /// The readers that `options` ask for, of a store whose last write has number `recovered`. They are opened when they
    /// are first used.
    pub fn new(runtime: &Runtime, dir: &Path, options: &Options, recovered: u64) -> Self {
        let memory = options.memory_bytes.unwrap_or(MEMORY_BYTES);
        Self {
            runtime: runtime.clone(),
            dir: dir.to_path_buf(),
            cache_bytes: options.reader_cache_bytes.unwrap_or(memory / CACHE_SHARE),
            memory_limit_bytes: options.memory_limit_bytes,
            slots: (0..options.readers.unwrap_or(0)).map(|_| Mutex::default()).collect(),
            next: AtomicUsize::new(0),
            acknowledged: AtomicU64::new(0),
            handed_over: AtomicU64::new(0),
            recovered,
            opened: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            failure: Mutex::default(),
        }
    }

    /// The members of the statistics that are about readers: docs/stats.md describes them.
    pub fn to_json(&self) -> Value {
        json!({
            "opened": self.opened.load(Ordering::Relaxed),
            "given_up": self.given_up.load(Ordering::Relaxed),
            "failure": *self.failure.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }

    /// A reader of the same store that belongs to nobody.
    pub fn open_reader(&self) -> Result<Reader> {
        Reader::open_within(&self.runtime, &self.dir, Some(self.cache_bytes), self.memory_limit_bytes)
    }

    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// A write up to `sequence` is about to be acknowledged; the operating system has it, or not yet. Called by the
    /// thread that has the primary.
    pub fn acknowledge(&self, sequence: u64, handed_over: bool) {
        if handed_over {
            self.handed_over.fetch_max(sequence, Ordering::Release);
        }
        self.acknowledged.fetch_max(sequence, Ordering::Release);
    }

    /// Everything acknowledged so far was handed over. Called by the thread that has the primary.
    pub fn handed_over(&self) {
        self.handed_over.fetch_max(self.acknowledged.load(Ordering::Acquire), Ordering::Release);
    }

    /// Lets a free reader answer that sees all that is acknowledged already, if there is one.
    pub fn read_current<T>(&self, mut read: impl FnMut(&Reader) -> Result<T>) -> Option<T> {
        let needed = self.acknowledged.load(Ordering::Acquire);
        self.with_free(|slot| {
            let reader = self.reader(slot)?;
            let seen = reader.sequence();
            if seen < needed || self.is_early(seen) {
                return None;
            }
            self.answer(slot, read(&reader))
        })
    }

    /// As [`read_caught_up`](Self::read_caught_up), if nothing was written since this was last asked: the reader then has
    /// to catch up once, and not with each read.
    pub fn read_in_pause<T>(&self, read: impl FnMut(&Reader) -> Result<T>) -> Option<T> {
        self.catching_up(Slot::writes_pause, read)
    }

    /// Lets a free reader answer after it has caught up, if there is one and the operating system has all that it must
    /// see.
    pub fn read_caught_up<T>(&self, read: impl FnMut(&Reader) -> Result<T>) -> Option<T> {
        self.catching_up(|_, _| true, read)
    }

    fn catching_up<T>(
        &self,
        is_right: impl Fn(&mut Slot, u64) -> bool,
        mut read: impl FnMut(&Reader) -> Result<T>,
    ) -> Option<T> {
        let needed = self.acknowledged.load(Ordering::Acquire);
        if self.handed_over.load(Ordering::Acquire) < needed {
            return None;
        }
        self.with_free(|slot| {
            if !is_right(slot, needed) {
                return None;
            }
            let reader = self.reader(slot)?;
            match reader.catch_up_to(needed) {
                Ok(seen) if seen >= needed && !self.is_early(seen) => self.answer(slot, read(&reader)),
                Ok(_) => None,
                Err(error) => self.answer(slot, Err(error)),
            }
        })
    }

    /// Whether a reader sees a write that its writer has not been told of yet: one that is opened reads all that the
    /// operating system has. The next read, in another reader, might not see that write.
    fn is_early(&self, seen: u64) -> bool {
        // What the store held when it was opened counts as acknowledged.
        seen > self.acknowledged.load(Ordering::Acquire).max(self.recovered)
    }

    /// Calls with each reader that no other thread uses, until one call gives an answer.
    fn with_free<T>(&self, mut call: impl FnMut(&mut Slot) -> Option<T>) -> Option<T> {
        let first = thread_number(&self.next);
        (0..self.slots.len()).find_map(|i| {
            let slot = self.slots.get((first + i) % self.slots.len())?;
            let mut slot = free(slot)?;
            call(&mut slot)
        })
    }

    /// The slot's reader, opened if it is not.
    fn reader(&self, slot: &mut Slot) -> Option<Reader> {
        if slot.reader.is_none() && slot.failed.is_none_or(|failed| failed.elapsed() >= TRY_AGAIN) {
            match self.open_reader() {
                Ok(reader) => {
                    slot.reader = Some(reader);
                    self.opened.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => self.fail(slot, &error),
            }
        }
        slot.reader.clone()
    }

    /// What a reader has answered. One that fails for reasons of its own is given up.
    fn answer<T>(&self, slot: &mut Slot, answered: Result<T>) -> Option<T> {
        match answered {
            Ok(value) => return Some(value),
            // The caller's mistake: the primary tells.
            Err(Error::InvalidArgument(_) | Error::NoSuchBucket(_)) => {}
            Err(error) => {
                self.given_up.fetch_add(1, Ordering::Relaxed);
                self.fail(slot, &error);
            }
        }
        None
    }

    #[cold]
    fn fail(&self, slot: &mut Slot, error: &Error) {
        *slot = Slot { reader: None, failed: Some(Instant::now()), missed: 0 };
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

fn free(slot: &Mutex<Slot>) -> Option<MutexGuard<'_, Slot>> {
    match slot.try_lock() {
        Ok(slot) => Some(slot),
        Err(TryLockError::Poisoned(poisoned)) => Some(PoisonError::into_inner(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// A number for the calling thread, so that each keeps to its own reader while it can.
fn thread_number(next: &AtomicUsize) -> usize {
    thread_local! {
        static NUMBER: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
    }
    NUMBER.with(|number| {
        if number.get() == usize::MAX {
            number.set(next.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}
