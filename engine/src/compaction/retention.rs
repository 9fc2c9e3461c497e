//! Which entries of a merge anybody can still see.
//!
//! Snapshots divide the sequence numbers into stripes: everything up to the first, up to the second, and so on,
//! and what is newer than all. Within a stripe only the newest version of a key is ever seen; the others go. A
//! tombstone of the lowest stripe goes as well where nothing deeper can have the key: the versions that it hides
//! are in the same stripe, and go with it. Whatever a bucket held that was dropped before the first snapshot goes.

use crate::base::bucket::Key;
use crate::base::key::{Kind, kind_of, same_bytes, sequence_of, split};
use crate::version::TableMeta;
use std::sync::Arc;

/// Decides, entry by entry in the order of internal keys, what a merge keeps.
#[derive(Debug)]
pub struct Retention {
    // Fixed from the start.
    /// The sequence numbers of snapshots, ascending.
    snapshots: Vec<u64>,
    /// The older tables that the output overlaps, in sorted runs; `None` where older versions may be anywhere.
    deeper: Option<Vec<Vec<Arc<TableMeta>>>>,
    /// The buckets that were dropped, ascending.
    dropped_buckets: Vec<u32>,
    // Moved by `keeps`.
    user_key: Vec<u8>,
    /// Whether this key is one of a dropped bucket.
    in_dropped_bucket: bool,
    /// The stripe of the last version of this key.
    stripe: Option<usize>,
    /// For each level of `deeper`, the first table that does not end before the current key.
    at: Vec<usize>,
    dropped: u64,
}

impl Retention {
    /// What `snapshots` (ascending) and the latest state see, above the tables of `deeper`; with `None` every
    /// tombstone may hide something and is kept.
    pub fn new(snapshots: Vec<u64>, deeper: Option<Vec<Vec<Arc<TableMeta>>>>) -> Self {
        let at = vec![0; deeper.as_ref().map_or(0, Vec::len)];
        Self {
            snapshots,
            deeper,
            dropped_buckets: Vec::new(),
            user_key: Vec::new(),
            in_dropped_bucket: false,
            stripe: None,
            at,
            dropped: 0,
        }
    }

    /// Without the keys of these buckets (ascending), which nobody sees any more.
    pub fn without_buckets(self, dropped_buckets: Vec<u32>) -> Self {
        Self { dropped_buckets, ..self }
    }

    /// Whether to keep the entry with this internal key, which comes after all that were asked about before.
    pub fn keeps(&mut self, key: &[u8]) -> bool {
        let (user, trailer) = split(key);
        if self.stripe.is_none() || !same_bytes(user, &self.user_key) {
            self.user_key.clear();
            self.user_key.extend_from_slice(user);
            self.stripe = None;
            self.in_dropped_bucket = self.is_in_dropped_bucket(user);
        }
        let sequence = sequence_of(trailer);
        let stripe = self.snapshots.partition_point(|&snapshot| snapshot < sequence);
        let hidden = self.stripe == Some(stripe);
        self.stripe = Some(stripe);
        let gone = hidden
            || self.in_dropped_bucket
            || (kind_of(trailer) == Some(Kind::Delete) && stripe == 0 && !self.deeper_has(user));
        self.dropped += u64::from(gone);
        !gone
    }

    /// The number of entries that were not kept.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn is_in_dropped_bucket(&self, user: &[u8]) -> bool {
        let is_dropped = |key: Key<'_>| self.dropped_buckets.binary_search(&key.bucket.number()).is_ok();
        !self.dropped_buckets.is_empty() && Key::of_user_key(user).is_some_and(is_dropped)
    }

    fn deeper_has(&mut self, user: &[u8]) -> bool {
        let Some(deeper) = &self.deeper else { return true };
        deeper.iter().zip(&mut self.at).any(|(tables, at)| {
            while tables.get(*at).is_some_and(|table| table.last_key() < user) {
                *at += 1;
            }
            tables.get(*at).is_some_and(|table| table.first_key() <= user)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::{internal_key, trailer};

    fn kept(snapshots: &[u64], deeper: &[(&str, &str)], entries: &[(&str, u64, Kind)]) -> Vec<(String, u64)> {
        let tables = deeper.iter().map(|(first, last)| {
            Arc::new(TableMeta {
                smallest: internal_key(first.as_bytes(), trailer(1, Kind::Put)),
                largest: internal_key(last.as_bytes(), trailer(1, Kind::Put)),
                ..TableMeta::default()
            })
        });
        let mut retention = Retention::new(snapshots.to_vec(), Some(vec![tables.collect()]));
        let keeps = |(user, sequence, kind): &&(&str, u64, Kind)| {
            retention.keeps(&internal_key(user.as_bytes(), trailer(*sequence, *kind)))
        };
        entries.iter().filter(keeps).map(|(user, sequence, _)| ((*user).to_owned(), *sequence)).collect()
    }

    use Kind::{Delete, Put};

    #[test]
    fn only_the_newest_version_is_kept() {
        let entries = [("a", 9, Put), ("a", 5, Put), ("a", 2, Delete), ("b", 7, Put), ("b", 3, Put)];
        assert_eq!(kept(&[], &[], &entries), [("a".into(), 9), ("b".into(), 7)]);
    }

    #[test]
    fn each_snapshot_keeps_what_it_sees() {
        let entries = [("a", 9, Put), ("a", 6, Put), ("a", 5, Put), ("a", 2, Put), ("a", 1, Put)];
        assert_eq!(kept(&[5], &[], &entries), [("a".into(), 9), ("a".into(), 5)]);
        assert_eq!(
            kept(&[1, 2, 5, 20], &[], &entries),
            [("a".into(), 9), ("a".into(), 5), ("a".into(), 2), ("a".into(), 1)]
        );
        assert_eq!(kept(&[4], &[], &entries), [("a".into(), 9), ("a".into(), 2)]);
    }

    #[test]
    fn a_tombstone_goes_only_where_nothing_is_below_it() {
        let entries = [("a", 9, Delete), ("a", 5, Put), ("m", 8, Delete), ("z", 7, Delete)];
        assert_eq!(kept(&[], &[], &entries), []);
        assert_eq!(kept(&[], &[("b", "y")], &entries), [("m".into(), 8)]);
        assert_eq!(kept(&[], &[("a", "a"), ("z", "z")], &entries), [("a".into(), 9), ("z".into(), 7)]);
    }

    #[test]
    fn a_tombstone_that_hides_what_a_snapshot_sees_is_kept() {
        let entries = [("a", 9, Delete), ("a", 5, Put), ("a", 3, Put)];
        assert_eq!(kept(&[6], &[], &entries), [("a".into(), 9), ("a".into(), 5)]);
        assert_eq!(kept(&[9], &[], &entries), []);
        assert_eq!(
            kept(&[2], &[], &entries),
            [("a".into(), 9)],
            "in the stripe above the snapshot it must stay"
        );
    }
}
