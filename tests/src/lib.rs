//! Shared pieces of the tests that cross crates.

pub mod temp_dir;
