//! `esker stats`: what the store holds and has done.
//!
//! ```text
//! readable     for people           metrics       which figure is which metric
//! prometheus   for Prometheus       watch         a line every few seconds
//! ```
//!
//! The figures are a JSON object (docs/stats.md). They come from the store itself where nobody has it open, else from
//! what the process that has it open publishes.

mod metrics;
mod prometheus;
mod readable;
mod watch;

use std::io::{self, Write};
use std::time::Duration;

use esker_host::Published;
use serde_json::{Map, Value};

use super::failure::{Failure, Outcome};
use super::figures::{self, Watched};
use super::output::tell;
use super::store::StoreArgs;

/// Show what the store holds, what it has done since it was opened, and what recovery found then
///
/// Where another process has the store open, its figures are shown, which are a second old at most while it is in use.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print one JSON object
    #[arg(long, conflicts_with = "prometheus")]
    json: bool,

    /// Print metrics in Prometheus' text format
    #[arg(long)]
    prometheus: bool,

    /// Look every so many seconds, without opening the store, and print a line each time: rates since the last one
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400), conflicts_with = "prometheus")]
    watch: Option<u64>,

    /// End after so many lines
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  esker stats
  esker stats --json | jq .recovery
  esker stats --watch 1                      while another process writes
  esker stats --prometheus > esker.prom";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    if let Some(seconds) = args.watch {
        let watched = Watched::new(store);
        return watch::run(watched, Duration::from_secs(seconds), args.count.unwrap_or(u64::MAX), args.json);
    }
    let elsewhere = || Published::read(store.dir()).is_ok_and(|published| published.running);
    let stats = if !store.is_read_only() && elsewhere() { look(store)? } else { open(store)? };
    let text = match (args.json, args.prometheus) {
        (true, _) => format!("{}\n", Value::Object(stats)),
        (_, true) => prometheus::text(&stats),
        (false, false) => readable::text(&stats),
    };
    io::stdout().write_all(text.as_bytes()).map_err(Failure::stdout)
}

/// The figures of a store that another process has open.
fn look(store: &StoreArgs) -> Outcome<Map<String, Value>> {
    let figures = Watched::new(store).look()?;
    tell(format!("esker: {}", figures.origin));
    Ok(figures.stats)
}

/// The figures of a store that nobody has open, or what its files tell.
fn open(store: &StoreArgs) -> Outcome<Map<String, Value>> {
    let (stats, recovery) = store.read(|store| Ok((store.stats()?, store.recovery_report()?)))?;
    let mut stats = figures::parse(&stats)?;
    if let Some(recovery) = recovery {
        stats.entry("recovery").or_insert(Value::Object(figures::parse(&recovery)?));
    }
    Ok(stats)
}
