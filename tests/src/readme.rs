//! The README's Rust is compiled, so that it cannot go stale.
#![doc = include_str!("../../README.md")]
