//! The simulation: the shipped component, byte for byte as users have it, in a host of which nothing is real.
//!
//! ```text
//! driver ──► Component ──► instance ──► wasi:filesystem ──► FaultFs ──► MemFs
//!            (Platform)    esker.wasm   short calls         faults      what a crash leaves
//! ```
//!
//! Files, clock and chance come from a seed, so a seed is the whole run. An instance dies at any numbered call of the
//! file system, in between when it has executed so many instructions, when memory is refused, or with its machine; what
//! is left is what the files in memory say.

mod bindings;
mod component;
mod convert;
mod files;
mod host;

pub use component::{Component, ComponentCursor, ComponentReader, ComponentSnapshot, ComponentStore};
pub use host::{Deaths, Files, Quirks};
