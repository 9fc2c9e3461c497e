//! Plays workloads against the engine's compaction pickers, without any file, and measures what they cost.
//!
//! ```text
//! workload  what a user writes, from a seed
//! lsm       the tables of a store as sorted integers, and what flushes and merges make of them
//! machine   time: how fast a user writes and workers merge; who waits for whom
//! report    the figures as a table and as a picture
//! ```
//!
//! What is played is the engine's own: [`Picker`](esker_engine::compaction::Picker) decides, on real
//! [`Version`](esker_engine::version::Version)s, and an edit that does not fit a version ends the run. What is modelled
//! is what the picker cannot see: a key is a number, all values are of one size, nothing is compressed, and time is
//! bytes divided by a rate. So figures are exact for the amplifications and only comparable for the times.
//!
//! One seed gives one run, to the byte.

pub mod lsm;
pub mod machine;
pub mod report;
pub mod workload;
