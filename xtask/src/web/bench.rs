//! `cargo xtask web-bench`: the benchmark's page in a headless browser, for Esker, SQLite and IndexedDB.

use anyhow::Result;

use super::test::Page;
use crate::workspace::Workspace;
use crate::{process, toolchain};

/// What `web-bench` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Measure everything this many times, in turn, and take the medians
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Measure each workload for so long
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Measure only the stores whose name has this in it, like `Esker` or `page`
    #[arg(long, default_value = "")]
    only: String,
}

/// Builds the page, measures, prints the table, and leaves JSON and a picture of the charts.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let toolchain = process::step("find a compiler for wasm", || toolchain::find(workspace))?;
    let page = process::step("prepare the page", || Page::prepare(workspace, &toolchain))?;
    let mut node = page.node(workspace);
    node.arg("web/bench/run.mjs").args([
        args.rounds.to_string(),
        args.seconds.to_string(),
        args.only.clone(),
    ]);
    process::step("measure", || process::run(&mut node))
}
