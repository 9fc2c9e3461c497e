//! The figures of a store that this process does not have open: as its process publishes them, else as the files tell.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use esker_host::{Published, Reader};
use serde_json::{Map, Value};

use super::failure::{Failure, Outcome};
use super::store::StoreArgs;

/// The block cache of a reader that only looks at what there is.
const CACHE_BYTES: u64 = 1 << 20;

/// What a look at a store has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// The figures, a JSON object.
    pub stats: Map<String, Value>,
    /// Where they come from.
    pub origin: Origin,
}

/// Where figures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This process has the store open.
    Here,
    /// Another process has it open and publishes them.
    Process {
        /// Its number.
        number: u32,
        /// How old they are.
        age: Duration,
    },
    /// The files: no process has the store open, or the one that has says nothing.
    Files {
        /// The process that has the store open.
        number: Option<u32>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => write!(f, "open here"),
            Self::Process { number, age } => write!(
                f,
                "process {number} has the store open; these are its figures of {} s ago",
                age.as_secs()
            ),
            Self::Files { number: Some(number) } => write!(
                f,
                "process {number} has the store open and publishes no figures; this is what the files tell"
            ),
            Self::Files { number: None } => {
                write!(f, "no process has the store open; this is what the files tell")
            }
        }
    }
}

/// A store that is looked at again and again, and never opened.
pub struct Watched<'a> {
    store: &'a StoreArgs,
    dir: PathBuf,
    /// Made when it is needed first.
    reader: Option<Reader>,
}

impl<'a> Watched<'a> {
    /// The store of these arguments.
    pub fn new(store: &'a StoreArgs) -> Self {
        Self::at(store, store.dir())
    }

    /// The store in another directory.
    pub fn at(store: &'a StoreArgs, dir: &Path) -> Self {
        Self { store, dir: dir.to_path_buf(), reader: None }
    }

    /// The figures as they are now.
    pub fn look(&mut self) -> Outcome<Figures> {
        let published = Published::read(&self.dir)?;
        let running = published.process.filter(|_| published.running);
        if let (Some(number), Some(stats)) = (running, &published.stats) {
            let origin = Origin::Process { number, age: published.age };
            return Ok(Figures { stats: parse(stats)?, origin });
        }
        let reader = match &self.reader {
            Some(reader) => {
                reader.catch_up()?;
                reader
            }
            None => {
                let reader = Reader::open(&self.store.runtime()?, &self.dir, Some(CACHE_BYTES))?;
                self.reader.insert(reader)
            }
        };
        Ok(Figures { stats: parse(&reader.stats()?)?, origin: Origin::Files { number: running } })
    }
}

/// The object in these bytes.
pub fn parse(json: &str) -> Outcome<Map<String, Value>> {
    serde_json::from_str(json)
        .map_err(|cause| Failure::other(format!("the component's figures are no JSON object: {cause}")))
}

/// The number at a place: member names and indexes, joined by `.`. 0 where there is none.
pub fn at(stats: &Map<String, Value>, place: &str) -> f64 {
    let mut steps = place.split('.');
    let first = steps.next().and_then(|name| stats.get(name));
    let found = steps.fold(first, |value, step| match value {
        Some(Value::Array(values)) => step.parse::<usize>().ok().and_then(|at| values.get(at)),
        Some(value) => value.get(step),
        None => None,
    });
    found.and_then(Value::as_f64).unwrap_or(0.0)
}

/// How much the number at a place has grown in a second, from one look to another.
pub fn rate(before: &Map<String, Value>, after: &Map<String, Value>, place: &str, between: Duration) -> f64 {
    let grown = (at(after, place) - at(before, place)).max(0.0);
    if between.is_zero() { 0.0 } else { grown / between.as_secs_f64() }
}
