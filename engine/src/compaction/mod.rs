//! Which tables to merge, and what of their entries to keep: pure decisions over plain data.
//!
//! ```text
//! plan       what a picker wants: inputs, output level, and why
//! levelled   the levelled picker
//! retention  which entries of a merge anybody can still see
//! ```
//!
//! Nothing here touches a file or a clock, so a picker's test is a text file that draws the levels
//! (`engine/testdata/compaction/`).

mod levelled;
mod plan;
mod retention;

pub use levelled::{Levelled, pending_bytes};
pub use plan::{Plan, Reason};
pub use retention::Retention;
