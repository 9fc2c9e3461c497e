//! What becomes of a bucket that was dropped.
//!
//! ```text
//! dropped     its record says so; the keys are still everywhere
//! invisible   the drop is in tables, and no snapshot is older: merges leave the keys out from now on
//! collected   no table that was made before holds them, and no job under way makes one: the record goes
//! ```
//!
//! Merges must not leave keys out before the drop is in tables: a reader in another instance that sees their result
//! sees all that the manifest calls flushed, and so the drop.

use super::Db;
use crate::base::bucket::Bucket;
use crate::base::error::Result;
use crate::compaction::Garbage;
use crate::env::{Clock, Fs};
use crate::job::Job;

/// The buckets that were dropped and are not collected, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Drops {
    /// Those that a snapshot may see, each with the sequence number of its drop or a later one.
    visible: Vec<(Bucket, u64)>,
    /// The others, in the order of their numbers.
    invisible: Vec<Garbage>,
}

impl Drops {
    /// Those of a store that is opened when `sequence` is its last sequence number.
    pub fn new(dropped: impl Iterator<Item = Bucket>, sequence: u64) -> Self {
        Self { visible: dropped.map(|bucket| (bucket, sequence)).collect(), invisible: Vec::new() }
    }

    /// This bucket was dropped by the write with this sequence number.
    pub fn add(&mut self, bucket: Bucket, sequence: u64) {
        self.visible.push((bucket, sequence));
    }

    /// The number of buckets that still take room.
    pub fn count(&self) -> u64 {
        (self.visible.len() + self.invisible.len()) as u64
    }

    /// Jobs that are made from now on, with outputs from `next_file` on, leave out what was dropped until `sequence`.
    fn leave_out(&mut self, sequence: u64, next_file: u64) {
        for (bucket, _) in self.visible.extract_if(.., |(_, dropped)| *dropped <= sequence) {
            let at = self.invisible.partition_point(|other| other.bucket() < bucket);
            self.invisible.insert(at, Garbage::new(bucket, next_file));
        }
    }

    /// The keys that nobody sees any more.
    pub fn garbage(&self) -> &[Garbage] {
        &self.invisible
    }

    /// The numbers of the buckets whose keys nobody sees any more, ascending.
    pub fn invisible(&self) -> Vec<u32> {
        self.invisible.iter().map(|garbage| garbage.bucket().number()).collect()
    }
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// Notes which dropped buckets nobody sees any more.
    pub(super) fn leave_dropped_out(&mut self) {
        let oldest = self.snapshots.oldest().unwrap_or(u64::MAX);
        self.drops.leave_out(oldest.min(self.state.flushed), self.state.next_file);
    }

    /// Removes the records of dropped buckets of which there are no keys any more.
    pub(super) fn collect_dropped(&mut self) -> Result<()> {
        // A crash may undo an edit that is not durable, and must not leave the keys without the record.
        if self.drops.invisible.is_empty() || self.unneeded.edit_pending() || self.poisoned.is_some() {
            return Ok(());
        }
        let version = &self.state.version;
        let jobs: Vec<u64> = self.maintenance.jobs().map(|(job, _)| Job::id(job)).collect();
        let is_collected =
            |garbage: &Garbage| !garbage.is_in(version) && jobs.iter().all(|&job| garbage.is_known_from(job));
        let collected = self.drops.invisible.extract_if(.., |garbage| is_collected(garbage));
        let collected: Vec<Bucket> = collected.map(|garbage| garbage.bucket()).collect();
        if collected.is_empty() { Ok(()) } else { self.forget_dropped(&collected) }
    }
}
