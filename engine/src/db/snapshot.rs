//! Pinned states.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The sequence numbers that snapshots pin, and how many pin each.
#[derive(Debug, Default)]
pub(super) struct Snapshots(Mutex<BTreeMap<u64, u64>>);

impl Snapshots {
    /// The pinned sequence numbers, ascending.
    pub fn sequences(&self) -> Vec<u64> {
        self.lock().keys().copied().collect()
    }

    /// The least pinned sequence number.
    pub fn oldest(&self) -> Option<u64> {
        self.lock().keys().next().copied()
    }

    /// The number of snapshots.
    pub fn count(&self) -> u64 {
        self.lock().values().sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A state of the store that later writes do not change. Cheap; released when dropped.
#[derive(Debug)]
pub struct Snapshot {
    sequence: u64,
    snapshots: Arc<Snapshots>,
}

impl Snapshot {
    pub(super) fn new(snapshots: &Arc<Snapshots>, sequence: u64) -> Self {
        *snapshots.lock().entry(sequence).or_default() += 1;
        Self { sequence, snapshots: Arc::clone(snapshots) }
    }

    /// The sequence number of the last write that it sees.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Clone for Snapshot {
    fn clone(&self) -> Self {
        Self::new(&self.snapshots, self.sequence)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut pinned = self.snapshots.lock();
        if let Some(count) = pinned.get_mut(&self.sequence) {
            *count -= 1;
            if *count == 0 {
                pinned.remove(&self.sequence);
            }
        }
    }
}
