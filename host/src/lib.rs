//! Esker in a Rust program: the store runs as a WebAssembly component in a sandbox, and this crate is its host.
//!
//! ```text
//! Runtime ── compiles the component, once a process
//! KvStore ── an open store for many threads; Snapshot, Scan, Batch go with it
//!    Instance ── an open store for one thread
//!    Reader ── follows a store by its files, beside its primary, in this process or another
//!    Worker ── runs a store's flushes and compactions in an instance of its own
//!       Sandbox ── the one directory, the clock and the memory that the component is given
//!       DirLock ── keeps other processes out of the directory
//! plugin ── gives components of others a part of a store
//! ```
//!
//! # Example
//!
#![cfg_attr(component_embedded, doc = "```")]
#![cfg_attr(not(component_embedded), doc = "```no_run")]
//! use esker_host::{Batch, Durability, KeyRange, KvStore, Options, Runtime, ScanOptions};
//!
//! # fn main() -> esker_host::Result<()> {
//! # let dir = std::env::temp_dir().join(format!("esker-example-{}", std::process::id()));
//! let runtime = Runtime::new()?;
//! let store = KvStore::open(&runtime, &dir, Options::default())?;
//!
//! store.put(b"fruit/apple", b"red", Durability::Buffered)?;
//! assert_eq!(store.get(b"fruit/apple")?, Some(b"red".to_vec()));
//!
//! let mut batch = Batch::new();
//! batch.put(b"fruit/banana", b"yellow")?;
//! batch.put(b"fruit/cherry", b"black")?;
//! batch.delete(b"fruit/apple")?;
//! store.write(&batch, Durability::Synced)?; // all three or none, and on disk
//!
//! for entry in store.scan(KeyRange::prefix(b"fruit/"), ScanOptions::default())? {
//!     let (key, value) = entry?;
//!     println!("{} is {}", String::from_utf8_lossy(&key), String::from_utf8_lossy(&value));
//! }
//! store.close()?;
//! # std::fs::remove_dir_all(&dir).expect("the store is closed");
//! # Ok(())
//! # }
#![doc = "```"]
//!
//! # What it needs
//!
//! The component is part of the build when `cargo xtask build` has made it (`target/esker.wasm`), or when the
//! environment variable `ESKER_COMPONENT` names it at build time; [`component_embedded`] tells. Else give
//! [`Runtime::from_file`] one. The packaged crate carries it.
//!
//! The host knows the store only by the interface `esker:kv` in `wit/esker.wit`: it holds no storage code, so any
//! component with that interface can take the store's place.
//!
//! # In a larger program
//!
//! - One [`Runtime`] serves all stores of a process. A program that runs other components gives its own engine
//!   ([`Runtime::in_engine`]), and one that must start at once ships the component as machine code
//!   ([`Runtime::image`]).
//! - Each instance (a store, each of its readers and workers) takes memory up to [`Options::memory_limit_bytes`],
//!   and plans with [`Options::memory_bytes`].
//! - Every call blocks. Async code keeps its executor's threads free:
//!
#![cfg_attr(component_embedded, doc = "```")]
#![cfg_attr(not(component_embedded), doc = "```no_run")]
//! use esker_host::{Durability, KvStore, Options, Runtime};
//! use tokio::task::spawn_blocking;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = std::env::temp_dir().join(format!("esker-async-{}", std::process::id()));
//! let store = KvStore::open(&Runtime::new()?, &dir, Options::default())?;
//! let executor = tokio::runtime::Builder::new_current_thread().build()?;
//! executor.block_on(async {
//!     let shared = store.clone(); // cheap
//!     spawn_blocking(move || shared.put(b"key", b"value", Durability::Synced)).await??;
//!     let shared = store.clone();
//!     let value = spawn_blocking(move || shared.get(b"key")).await??;
//!     assert_eq!(value, Some(b"value".to_vec()));
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })?;
//! store.close()?;
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok(())
//! # }
#![doc = "```"]
//!
//! `docs/embedding.md` in the repository says more.

mod append_map;
mod backup;
mod batch;
mod bindings;
mod bucket;
mod chores;
mod commit_queue;
mod condition;
mod convert;
mod dir_lock;
mod error;
mod files;
mod image_cache;
mod instance;
mod job;
mod job_pool;
mod kv_store;
mod latency;
mod options;
mod pace;
mod packed;
pub mod plugin;
mod published;
mod reader;
mod reader_pool;
mod rights;
mod runtime;
mod sandbox;
mod scan;
mod snapshot;
mod stats;
mod worker;
mod worker_command;

pub use backup::Backup;
pub use batch::{Batch, limits};
pub use bucket::{Bucket, BucketInfo, Key};
pub use condition::{Condition, Expected};
pub use dir_lock::DirLock;
pub use error::{Corruption, Error, Result};
pub use instance::{CursorHandle, Instance, SnapshotHandle};
pub use job::{Job, JobKind};
pub use kv_store::KvStore;
pub use options::{
    BackPressure, Compression, Durability, JobKinds, KeyRange, Options, Pressure, Progress, RecoveryMode,
    ScanOptions, Strategy, Verification, WaitReason, WorkerPlace,
};
pub use published::Published;
pub use reader::Reader;
pub use runtime::{Runtime, component_embedded, embedded_component};
pub use sandbox::Sandbox;
pub use scan::Scan;
pub use snapshot::Snapshot;
pub use worker::{RunningJob, Worker};
pub use worker_command::WorkerCommand;

/// The release of wasmtime whose engine [`Runtime::in_engine`] takes.
pub use wasmtime;
