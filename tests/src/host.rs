//! What the tests of the component in its host share: one compiled component, and stores that are small.

use esker_host::{Instance, KvStore, Options, Runtime};
use std::path::Path;
use std::sync::OnceLock;

/// The component, compiled once for all tests of a program.
///
/// # Panics
///
/// When the component was not built: `cargo xtask test` does that.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("the tests are built with the component"))
}

/// Options of a store that flushes, compacts and evicts within a few hundred writes.
pub fn small() -> Options {
    Options { memory_bytes: Some(8 << 20), memtable_bytes: Some(64 << 10), ..Options::default() }
}

/// Opens the store in `dir` for many threads.
///
/// # Panics
///
/// When it cannot be opened.
pub fn open(dir: &Path) -> KvStore {
    KvStore::open(runtime(), dir, small()).expect("open")
}

/// Opens the store in `dir` for one thread.
///
/// # Panics
///
/// When it cannot be opened.
pub fn open_instance(dir: &Path) -> Instance {
    Instance::open(runtime(), dir, &small()).expect("open")
}
