//! Tables that hold keys of buckets that were dropped, whatever the strategy.
//!
//! A table that has no other keys is removed as it is, unread. One that has is written anew without them, in its place.
//! What such a rewrite leaves behind may still span the bucket's keys, as its neighbours are on both sides of them: so a
//! table counts only if its number says that it was made before merges left the bucket out.

use super::{Busy, Plan, Reason};
use crate::base::bucket::Bucket;
use crate::base::range::KeyRange;
use crate::version::{TableMeta, Version, VersionEdit};
use std::sync::Arc;

/// A dropped bucket of which nobody can see anything any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    bucket: Bucket,
    keys: KeyRange,
    before: u64,
}

impl Garbage {
    /// The keys of `bucket`, which merges leave out whose tables have numbers from `before` on.
    pub fn new(bucket: Bucket, before: u64) -> Self {
        Self { bucket, keys: bucket.user_keys(&KeyRange::all()), before }
    }

    /// The bucket.
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// Whether jobs with outputs from this number on leave the keys out.
    pub fn is_known_from(&self, output: u64) -> bool {
        output >= self.before
    }

    /// Whether a live table may hold some of it.
    pub fn is_in(&self, version: &Version) -> bool {
        version.tables().any(|(_, table)| self.may_be_in(table))
    }

    fn may_be_in(&self, table: &TableMeta) -> bool {
        let ends_after = self.keys.start.as_deref().is_none_or(|start| start <= table.last_key());
        let begins_before = self.keys.end.as_deref().is_none_or(|end| table.first_key() < end);
        table.number < self.before && ends_after && begins_before
    }

    fn is_all_of(&self, table: &TableMeta) -> bool {
        self.keys.contains(table.first_key()) && self.keys.contains(table.last_key())
    }
}

/// The edit that removes the tables that hold nothing else, but for those that a job has; `None` where there are none.
pub fn removal(version: &Version, dropped: &[Garbage], busy: &Busy) -> Option<VersionEdit> {
    let is_garbage =
        |table: &TableMeta| !busy.has(table.number) && dropped.iter().any(|garbage| garbage.is_all_of(table));
    let tables = version.tables().filter(|(_, table)| is_garbage(table));
    let removed: Vec<_> = tables.map(|(level, table)| (level, table.number)).collect();
    (!removed.is_empty()).then(|| VersionEdit { removed, ..VersionEdit::default() })
}

/// The plan that writes a table anew without the keys of dropped buckets: the largest that has any.
pub fn pick(version: &Version, dropped: &[Garbage], busy: &Busy) -> Option<Plan> {
    if dropped.is_empty() {
        return None;
    }
    let has_garbage = |table: &TableMeta| dropped.iter().any(|garbage| garbage.may_be_in(table));
    let tables = version.tables().filter(|(_, table)| has_garbage(table));
    let plans = tables.map(|(level, table)| Plan {
        reason: Reason::Dropped,
        inputs: vec![(level, Arc::clone(table))],
        output_level: level,
    });
    plans.filter(|plan| busy.allows(plan)).max_by_key(Plan::bytes)
}
