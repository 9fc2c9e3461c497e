//! Plugins: components of others that use one store, each confined to what it is granted.
//!
//! ```text
//! Plugins ── one store, and what each of its buckets holds (Account)
//!    Plugin ── the store as one plugin may use it: Grants, a Rate, Counters
//!       Session ── what one instance of the plugin has open: stores, snapshots, cursors
//!          add_to_linker_sync, add_to_linker_async ── the functions that the instance imports
//! ```
//!
//! A plugin imports `esker:kv`, and gets the store that it was granted whatever directory it opens; or `wasi:keyvalue`
//! in one of its drafts. It is a component like any other: what it may use of time, memory and WASI is for the program
//! that runs it to say.
//!
//! # Example
//!
#![cfg_attr(component_embedded, doc = "```")]
#![cfg_attr(not(component_embedded), doc = "```no_run")]
//! use esker_host::plugin::{self, Grant, Grants, Plugins, Quota, Session};
//! use esker_host::wasmtime::Store;
//! use esker_host::wasmtime::component::Linker;
//! use esker_host::{KvStore, Options, Runtime};
//!
//! /// What the program keeps for each instance of a plugin.
//! struct Guest {
//!     session: Session,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = std::env::temp_dir().join(format!("esker-plugin-{}", std::process::id()));
//! let store = KvStore::open(&Runtime::new()?, &dir, Options::default())?;
//! let plugins = Plugins::new(&store);
//!
//! let quota = Quota { bytes: Some(64 << 20), ..Quota::default() };
//! let grants = Grants {
//!     buckets: vec![
//!         Grant::new("orders", store.create_bucket("shop/orders")?).with_quota(quota),
//!         Grant::new("catalogue", store.create_bucket("shop/catalogue")?).read_only(),
//!     ],
//!     operations_per_second: Some(10_000),
//!     ..Grants::default()
//! };
//! let shop = plugins.admit("shop", grants)?;
//!
//! let engine = Runtime::new_engine()?;
//! let mut linker = Linker::<Guest>::new(&engine);
//! plugin::add_to_linker_sync(&mut linker, |guest| &guest.session)?;
//! let instance_data = Store::new(&engine, Guest { session: shop.session() });
//! // ... instantiate the plugin's component with `linker` in `instance_data`, and call it ...
//!
//! println!("{:#?}", shop.usage());
//! # drop(instance_data);
//! # store.close()?;
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok(())
//! # }
#![doc = "```"]
//!
//! `docs/plugins.md` in the repository says more.

mod account;
mod audit;
mod confined;
mod convert;
mod esker_kv;
mod grant;
mod granted;
mod keyvalue;
mod linker;
mod plugins;
mod rate;
mod reads;
mod session;

pub use account::Held;
pub use audit::{BucketUsage, Refusals, Usage};
pub use confined::Plugin;
pub use grant::{Access, Grant, Grants, Quota};
pub use linker::{add_to_linker_async, add_to_linker_sync};
pub use plugins::Plugins;
pub use reads::{PluginCursor, PluginSnapshot};
pub use session::Session;
