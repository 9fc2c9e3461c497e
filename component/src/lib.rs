//! The Esker component: the engine over one preopened directory, behind the WIT interface `esker:kv`.
//!
//! ```text
//! host ─► bindings ─► store, maintenance ─► esker_engine::Db ─► wasi_fs ─► bindings ─► host
//!                        convert: every type that crosses the border
//! ```
//!
//! With the feature `keyvalue` it exports `wasi:keyvalue` as well, and reads the environment for it.
//!
//! Nothing here knows how a store works: the files of this crate open a directory, turn types of the WIT into
//! types of the engine and back, and map the engine's file operations to `wasi:filesystem`.
#![deny(unsafe_code)]

mod bindings;
mod convert;
mod directory;
#[cfg(feature = "keyvalue")]
mod keyvalue;
mod maintenance;
mod panic_message;
mod store;
mod wasi_clock;
mod wasi_fs;

/// The component that the bindings call.
struct Component;

#[expect(unsafe_code, reason = "the generated entry points")]
mod exports {
    use super::{Component, bindings};
    bindings::export!(Component with_types_in bindings);
}
