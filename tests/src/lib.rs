//! Shared pieces of the tests that cross crates.

#[cfg(feature = "component")]
pub mod host;
pub mod temp_dir;
