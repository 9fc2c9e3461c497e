//! The Rust of the README, of docs/embedding.md and of docs/plugins.md is compiled, so that it cannot go stale.
#![doc = include_str!("../../README.md")]
#![doc = include_str!("../../docs/embedding.md")]
#![doc = include_str!("../../docs/plugins.md")]
