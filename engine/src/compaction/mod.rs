//! Which tables to merge, and what of their entries to keep: pure decisions over plain data.
//!
//! ```text
//! plan         what a picker wants: inputs, output level, and why
//! busy         what jobs under way have, of which a plan must keep clear
//! picker       the strategy that the options name
//! levelled     the levelled strategy
//! size_tiered  the size-tiered strategy
//! tombstones   tables that are worth merging for what their tombstones hide, in either strategy
//! dropped      tables that hold keys of buckets that were dropped, in either strategy
//! retention    which entries of a merge anybody can still see
//! ```
//!
//! Both strategies work on any [`Version`](crate::version::Version), and whatever one has made the other goes on
//! with: a plan takes tables of neighbouring age and puts the result where it is newer than everything below it and
//! older than everything above. So a store can be opened with another strategy at any time, and nothing is converted.
//!
//! Nothing here touches a file or a clock, so a picker's test is a text file that draws the levels
//! (`engine/testdata/compaction/`), and a simulator can play years of compactions (docs/compaction.md).

mod busy;
#[cfg(test)]
mod cases;
pub mod dropped;
mod levelled;
mod picker;
mod plan;
mod retention;
mod size_tiered;
mod tombstones;

pub use busy::Busy;
pub use dropped::Garbage;
pub use levelled::Levelled;
pub use picker::Picker;
pub use plan::{Plan, Reason};
pub use retention::Retention;
pub use size_tiered::SizeTiered;
