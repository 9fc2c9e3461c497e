//! The Rust of the README and of docs/embedding.md is compiled, so that it cannot go stale.
#![doc = include_str!("../../README.md")]
#![doc = include_str!("../../docs/embedding.md")]
