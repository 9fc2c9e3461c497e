//! The picker that a store's options name.

use super::{Busy, Levelled, Plan, SizeTiered};
use crate::base::options::{Options, Strategy};
use crate::version::{LEVELS, Version};

/// Chooses what to compact, by one of the strategies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picker {
    /// Sorted levels.
    Levelled(Levelled),
    /// Runs of similar size.
    SizeTiered(SizeTiered),
}

impl Picker {
    /// From a store's options.
    pub fn new(options: &Options) -> Self {
        match options.strategy {
            Strategy::Levelled => Self::Levelled(Levelled::new(options)),
            Strategy::SizeTiered => Self::SizeTiered(SizeTiered::new(options)),
        }
    }

    /// What to compact next, if anything, beside what is `busy`. Entries up to sequence number `visible_to_all` are
    /// seen alike by every reader: tombstones newer than that cannot be dropped yet.
    pub fn pick(&self, version: &Version, visible_to_all: u64, busy: &Busy) -> Option<Plan> {
        match self {
            Self::Levelled(levelled) => levelled.pick(version, visible_to_all, busy),
            Self::SizeTiered(tiered) => tiered.pick(version, visible_to_all, busy),
        }
    }

    /// What to compact while nothing is written and [`Picker::pick`] finds nothing, if anything: what makes reads
    /// cheaper for a bounded price.
    pub fn pick_at_rest(&self, version: &Version, busy: &Busy) -> Option<Plan> {
        match self {
            Self::Levelled(levelled) => levelled.pick_at_rest(version, busy),
            // Whoever chooses it wants little to be written.
            Self::SizeTiered(_) => None,
        }
    }

    /// The plan that merges the whole store into one run; `None` where it is one already that holds nothing
    /// superfluous. Nothing may be under way.
    pub fn pick_all(&self, version: &Version) -> Option<Plan> {
        match self {
            Self::Levelled(levelled) => levelled.pick_all(version),
            Self::SizeTiered(tiered) => tiered.pick_all(version),
        }
    }

    /// The size at which each level is full, where its size is what counts: not for level 0, nor for the deepest, nor
    /// for those that should be empty.
    pub fn level_bytes_max(&self, version: &Version) -> [Option<u64>; LEVELS] {
        match self {
            Self::Levelled(levelled) => levelled.level_bytes_max(version),
            Self::SizeTiered(_) => [None; LEVELS],
        }
    }

    /// About how many bytes compaction has to read until [`Picker::pick`] finds nothing but tombstones, if nobody
    /// writes meanwhile: what it owes. What jobs under way read is counted until they end.
    pub fn pending_bytes(&self, version: &Version) -> u64 {
        match self {
            Self::Levelled(levelled) => levelled.pending_bytes(version),
            Self::SizeTiered(tiered) => tiered.pending_bytes(version),
        }
    }
}
