//! How maintenance keeps pace with writes, so that no write waits long and level 0 does not grow without limit.
//!
//! ```text
//! none   writes do a little of what is pending, in proportion to what they write; with workers they do none of it
//! slow   maintenance falls behind: writes do as much as they ever do; with workers whoever drives the store makes
//!        them slower, by how near the next step is (`BackPressure::percent`)
//! stop   a write works until there is room again; with workers it is refused as `Busy` until they have made some
//! ```
//!
//! What counts as behind are bytes in memtables and tables in level 0. Both steps and the reason are in the statistics:
//! a store must not be slow without saying why.
//!
//! The longest pause of a write without workers is a slice of [`SLICE_BYTES_MAX`], and at a job's end one table's filter
//! and index, three syncs, and the removal of the inputs.
//!
//! The size at which the memtable is sealed adapts as well. While flushes or level 0 lag, it doubles up to its maximum:
//! fewer and larger tables are cheaper to compact. While they keep up, it shrinks by an eighth at a time down to its
//! minimum: there is less to replay after a crash and less memory in use. Nothing here looks at the time, so the same
//! history makes the same files.

use super::Db;
use super::maintain::busy;
use crate::base::error::Result;
use crate::base::options::Options;
use crate::env::{Clock, Fs};
use crate::memtable::Memtable;
use std::sync::Arc;

/// A write that owes less maintenance than this leaves it to the next one.
const SLICE_BYTES: u64 = 64 * 1024;
/// A write does no more than this at once, unless it is a large one itself.
const SLICE_BYTES_MAX: u64 = 1 << 20;
/// A write that waits works in slices of this size.
const WAIT_SLICE_BYTES: u64 = 1 << 20;
/// A write does at least and at most so many times its own bytes of pending maintenance.
const PACE_MIN: u64 = 2;
const PACE_MAX: u64 = 32;
/// Writes stop when so many full-sized memtables' bytes are in memory, and are slowed when one less is.
const MEMTABLES_STOP: u64 = 3;
/// ... or when so many sealed memtables wait, however small: each makes reads slower.
const SEALED_MAX: usize = 8;

/// What waits to be done in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Tables in level 0.
    pub level0_tables: u32,
    /// Sealed memtables that wait to be flushed.
    pub sealed_memtables: u32,
    /// About how many bytes compaction should move but has not.
    pub pending_bytes: u64,
    /// Whether a write at this moment would have to wait for maintenance.
    pub stalled: bool,
    /// Why and by how much writes should be slower, if they should.
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

impl WaitReason {
    /// Each reason, with its name in statistics.
    pub(super) const ALL: [(Self, &'static str); 2] =
        [(Self::Memtables, "memtables"), (Self::Level0, "level0")];
}

/// That maintenance has fallen behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackPressure {
    /// What is behind.
    pub reason: WaitReason,
    /// How far between the points where writes are slowed (0) and where they are stopped (100).
    pub percent: u32,
}

/// The size at which memtables are sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemtableSize {
    bytes: u64,
    min: u64,
    max: u64,
}

impl MemtableSize {
    pub fn new(options: &Options) -> Self {
        let (min, max) = (options.memtable_min_bytes(), options.memtable_bytes());
        Self { bytes: min, min, max }
    }

    /// The present size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A memtable is sealed, while earlier work lags or not.
    fn sealed(&mut self, lags: bool) {
        let wanted = if lags { self.bytes.saturating_mul(2) } else { self.bytes - self.bytes / 8 };
        self.bytes = wanted.clamp(self.min, self.max);
    }
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// What waits to be done in the background.
    pub fn pressure(&self) -> Pressure {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Pressure {
            level0_tables: count(self.view.version.level(0).len()),
            sealed_memtables: count(self.view.sealed.len()),
            pending_bytes: self.maintenance.pending_bytes(),
            stalled: self.must_flush() || self.must_compact(),
            back_pressure: self.back_pressure(),
        }
    }

    /// What a write of `bytes` owes to maintenance. A failure is remembered, not returned: the write itself is done.
    pub(super) fn pace(&mut self, bytes: u64) {
        if self.maintenance.must_retry_later(bytes) || self.maintenance.helped() || !self.has_work() {
            return;
        }
        let back_pressure = self.back_pressure();
        let debt = self.debt + bytes.saturating_mul(self.pace_ratio(back_pressure));
        if debt < SLICE_BYTES {
            self.debt = debt;
            return;
        }
        let budget = debt.min(SLICE_BYTES_MAX.max(bytes.saturating_mul(PACE_MIN)));
        self.debt = debt - budget;
        let Some(BackPressure { reason, .. }) = back_pressure else {
            let _remembered = self.slice(budget);
            return;
        };
        let start = self.clock.now_micros();
        let _remembered = self.slice(budget);
        self.counters.slowed(reason, self.clock.now_micros() - start);
    }

    /// How many bytes of maintenance a written byte owes: enough that what is pending is done before writes would
    /// have to wait.
    fn pace_ratio(&self, back_pressure: Option<BackPressure>) -> u64 {
        if back_pressure.is_some() {
            return PACE_MAX;
        }
        let room = u64::from(self.options.level0_stop)
            .saturating_sub(self.view.version.level(0).len() as u64)
            .max(1);
        let until_stop = room.saturating_mul(self.memtable_size.bytes());
        (self.maintenance.pending_bytes() / until_stop.max(1) + 1).clamp(PACE_MIN, PACE_MAX)
    }

    fn back_pressure(&self) -> Option<BackPressure> {
        let level0 = percent(
            self.view.version.level(0).len() as u64,
            u64::from(self.options.level0_slow()),
            u64::from(self.options.level0_stop),
        );
        let max = self.options.memtable_bytes();
        let memtables = percent(
            self.sealed_bytes() + self.view.active.bytes(),
            max.saturating_mul(MEMTABLES_STOP - 1),
            max.saturating_mul(MEMTABLES_STOP),
        );
        let memtables =
            memtables.max(percent(self.view.sealed.len() as u64, SEALED_MAX as u64 - 2, SEALED_MAX as u64));
        let of = |reason, percent: Option<u32>| percent.map(|percent| BackPressure { reason, percent });
        let both = [of(WaitReason::Memtables, memtables), of(WaitReason::Level0, level0)];
        both.into_iter().flatten().max_by_key(|found| found.percent)
    }

    fn sealed_bytes(&self) -> u64 {
        self.view.sealed.iter().map(|memtable: &Arc<Memtable>| memtable.bytes()).sum()
    }

    fn must_flush(&self) -> bool {
        let stop = self.options.memtable_bytes().saturating_mul(MEMTABLES_STOP - 1);
        self.view.sealed.len() >= SEALED_MAX || self.sealed_bytes() >= stop
    }

    pub(super) fn must_compact(&self) -> bool {
        self.view.version.level(0).len() >= self.options.level0_stop as usize
    }

    /// Works until a memtable may be sealed, and records how long a write had to wait for it.
    pub(super) fn wait_for_maintenance(&mut self) -> Result<()> {
        if self.must_flush() {
            let start = self.clock.now_micros();
            while self.must_flush() {
                self.flush_slice(WAIT_SLICE_BYTES)?;
            }
            self.counters.stalled(WaitReason::Memtables, self.clock.now_micros() - start);
        }
        if self.must_compact() {
            let start = self.clock.now_micros();
            while self.must_compact() {
                // Where nothing is left to do, tables may have been moved out of level 0 just now.
                if self.compaction_slice(WAIT_SLICE_BYTES)?.is_none() && self.must_compact() {
                    return Err(busy("level 0 is full, and a worker compacts it"));
                }
            }
            self.counters.stalled(WaitReason::Level0, self.clock.now_micros() - start);
        }
        Ok(())
    }

    /// Chooses the next memtable's size, as this one is sealed.
    pub(super) fn adapt_memtable(&mut self) {
        let lags = !self.view.sealed.is_empty()
            || self.view.version.level(0).len() >= self.options.level0_trigger as usize;
        self.memtable_size.sealed(lags);
    }
}

/// How far `value` is between `slow` and `stop`, if it is not below.
fn percent(value: u64, slow: u64, stop: u64) -> Option<u32> {
    let beyond = value.checked_sub(slow)?;
    let share = beyond.saturating_mul(100) / stop.saturating_sub(slow).max(1);
    Some(u32::try_from(share.min(100)).unwrap_or(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_grows_from_slow_to_stop() {
        let found: Vec<_> = [0, 11, 12, 14, 19, 20, 30].map(|tables| percent(tables, 12, 20)).into();
        assert_eq!(found, [None, None, Some(0), Some(25), Some(87), Some(100), Some(100)]);
        assert_eq!(percent(7, 7, 7), Some(0), "an empty span divides nothing by zero");
    }

    #[test]
    fn a_memtable_grows_quickly_and_shrinks_slowly_within_its_limits() {
        let options = Options { memtable_bytes: Some(32 << 20), ..Options::default() };
        let mut size = MemtableSize::new(&options);
        assert_eq!(size.bytes(), 8 << 20);
        size.sealed(true);
        size.sealed(true);
        size.sealed(true);
        assert_eq!(size.bytes(), 32 << 20);
        size.sealed(false);
        assert_eq!(size.bytes(), 28 << 20);
        (0..100).for_each(|_| size.sealed(false));
        assert_eq!(size.bytes(), 8 << 20);
    }
}
