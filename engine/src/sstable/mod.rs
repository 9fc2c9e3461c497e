//! Sorted tables: immutable files of entries in the order of internal keys (docs/format.md, *Tables*).
//!
//! ```text
//! builder   entries in  -> blocks, filter, properties, index, footer out
//! table     an open table: point reads and iterators
//! cache     blocks in memory, shared by all tables of a store
//! ```
//!
//! A table knows nothing of levels, sequence numbers' meaning, or what is live.

mod block;
mod builder;
mod cache;
mod filter;
mod format;
mod iter;
mod restarts;
mod table;
mod table_cache;

pub use builder::{TableBuilder, TableOptions};
pub use cache::{BlockCache, CacheStats};
pub use format::Properties;
pub use iter::{ReadMode, TableIter};
pub use table::Table;
pub use table_cache::TableCache;
