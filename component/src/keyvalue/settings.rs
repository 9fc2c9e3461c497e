//! What the environment says about the store behind `wasi:keyvalue`.
//!
//! | variable | says | without it |
//! |---|---|---|
//! | `ESKER_PATH` | the store's folder in the preopened directory | that directory itself |
//! | `ESKER_BUCKETS` | the buckets that may be used, by names with commas between; one that is not there is made | every bucket that is there |
//! | `ESKER_DURABILITY` | `synced`, or `buffered` for writes that a power cut may take | `synced` |
//! | `ESKER_MEMORY_BYTES` | the memory that the store plans with | 64 MiB |
//!
//! No store here is ever closed, so what is only `deferred` would be lost at every end: that is not on offer. And
//! `synced` is the default since nothing keeps two programs from opening one directory: what the first has
//! acknowledged as synced, the second has read.

use super::{Failure, Result};
use esker_engine::{Durability, Options};

/// Less than a store's own default: it shares a process with the application, and after each end of it a memtable of
/// an eighth of this is read back from the log.
const MEMORY_BYTES: u64 = 64 << 20;

/// How the store is opened and used.
pub struct Settings {
    /// The store's folder, relative to the preopened directory.
    pub path: String,
    /// The names of the buckets that may be used; `None` grants all.
    pub granted: Option<Vec<String>>,
    /// How far a write has gone when it is acknowledged.
    pub durability: Durability,
    /// How the store is opened.
    pub options: Options,
}

impl Settings {
    /// Reads the settings; `variables` is the whole environment.
    ///
    /// # Errors
    ///
    /// `Other` for a value that says nothing known.
    pub fn read(variables: &[(String, String)]) -> Result<Self> {
        let value =
            |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let memory_bytes = value("ESKER_MEMORY_BYTES").map_or(Ok(MEMORY_BYTES), memory_bytes)?;
        Ok(Self {
            path: value("ESKER_PATH").unwrap_or_default().to_owned(),
            granted: value("ESKER_BUCKETS").map(names),
            durability: value("ESKER_DURABILITY").map_or(Ok(Durability::Synced), durability)?,
            options: Options { memory_bytes, ..Options::default() },
        })
    }

    /// Whether the bucket of this name may be used.
    pub fn grants(&self, name: &str) -> bool {
        self.granted.as_ref().is_none_or(|granted| granted.iter().any(|granted| granted == name))
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn durability(name: &str) -> Result<Durability> {
    match name {
        "synced" => Ok(Durability::Synced),
        "buffered" => Ok(Durability::Buffered),
        _ => Err(Failure::other(format!(
            "ESKER_DURABILITY is \"{name}\": it can be \"synced\" or \"buffered\""
        ))),
    }
}

fn memory_bytes(digits: &str) -> Result<u64> {
    digits.parse().map_err(|_| {
        Failure::other(format!("ESKER_MEMORY_BYTES is \"{digits}\", which is no number of bytes"))
    })
}
