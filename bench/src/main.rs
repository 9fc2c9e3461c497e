//! Measures Esker, through its component and natively, beside other storage engines: the same work, one process, one
//! run. `cargo xtask bench` builds it with the engines that build here, and runs it.
//!
//! ```text
//! stores     each store's configuration, behind two small traits
//! sample     keys, values and random numbers (the esker command's own)
//! workload   what one operation of each workload does
//! measure    time each operation on its threads
//! usage      processor time, memory, bytes written
//! run        which workload on which store, in which order
//! sandbox    what single steps cost in the sandbox and outside
//! growth     the same work on stores of growing size
//! results    the measurements, kept as JSON; medians
//! tables     the same for people, as Markdown
//! plots      and as pictures
//! ```
//!
//! Rounds are interleaved: every store does a group of workloads before any does it again. Each group begins in a fresh
//! directory, which is removed after it.

mod growth;
mod measure;
mod place;
mod plots;
mod results;
mod run;
#[path = "../../host/src/cli/bench/sample.rs"]
#[cfg_attr(not(test), expect(dead_code, reason = "the esker command also checks keys"))]
mod sample;
mod sandbox;
mod stores;
mod tables;
mod usage;
mod workload;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::measure::INTERRUPTED;
use crate::results::{Results, Run};
use crate::run::Plan;
use crate::stores::Kind;
use crate::workload::Workload;

/// Measure Esker beside other storage engines
///
/// Leaves results.json, results.md and pictures (*.svg) in --out. Ctrl-C ends the run and keeps what is complete.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub struct Args {
    /// A short run: smaller stores, one or two rounds; within 20 minutes on 2 cores once everything is built
    #[arg(long)]
    quick: bool,

    /// Only these stores: esker, native, rocksdb, leveldb, fjall, redb, lmdb, sqlite
    #[arg(long, value_name = "STORES", value_delimiter = ',', value_parser = stores::NAMES)]
    only: Vec<String>,

    /// Only these workloads; what they need is done before them
    #[arg(long, value_name = "WORKLOADS", value_delimiter = ',')]
    workloads: Vec<Workload>,

    /// Only these scenarios: inside (the data fits the cache), standard (a million rows), lz4 (the same, compressed),
    /// tenfold (the data is ten times the cache)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = run::SCENARIOS)]
    scenarios: Vec<String>,

    /// How often everything is done [default: 3, with --quick 2 if there is time]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,

    /// Begin no further round that would end after so many minutes, judging by those before [default: none, with --quick
    /// 18]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,

    /// One scenario of so many rows instead
    #[arg(long, value_name = "N", conflicts_with = "scenarios", value_parser = clap::value_parser!(u64).range(1000..))]
    rows: Option<u64>,

    /// How many threads do each workload, one number after the other [default: 1,2]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,

    /// Background threads of Esker, natively too
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: u32,

    /// The longest that a workload runs, unless others need what it writes, in seconds [default: 30, with --quick 5]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Only what single steps cost in the sandbox and outside
    #[arg(long)]
    sandbox: bool,

    /// Only the growth of stores: load and read 100,000 to 50,000,000 rows (--rows N: up to N); takes hours for all
    /// stores, so name some with --only
    #[arg(long)]
    growth: bool,

    /// Name the component's functions for `perf record`
    #[arg(long)]
    perfmap: bool,

    /// Add to the results that are in --out, instead of beginning anew
    #[arg(long)]
    add: bool,

    /// Where the stores work: a directory on the disk to measure [default: that of --out]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Where the results go
    #[arg(
        long,
        value_name = "DIR",
        env = "ESKER_BENCH_OUT",
        hide_env = true,
        default_value = "target/bench"
    )]
    out: PathBuf,

    /// The seed of all random choices: the same one, the same operations
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match bench(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<()> {
    fs::create_dir_all(&args.out).with_context(|| format!("create {}", args.out.display()))?;
    let kinds = chosen(args)?;
    stores::PERFMAP.store(args.perfmap, Ordering::Relaxed);
    // The second Ctrl-C is not caught here any more: it ends the process at once.
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nending; again to end at once");
    })?;
    let file = args.out.join("results.json");
    let mut results = if args.add { Results::load(&file)? } else { Results::default() };
    results.runs.push(this_run(&kinds));
    // Whatever happens, what is complete is kept.
    let outcome = measure_all(args, &kinds, &mut results);
    results.save(&file)?;
    let tables = tables::all(&results);
    let markdown = args.out.join("results.md");
    fs::write(&markdown, &tables).with_context(|| format!("write {}", markdown.display()))?;
    let pictures = plots::all(&results, &args.out)?;
    println!("{tables}");
    for written in [file, markdown].into_iter().chain(pictures) {
        println!("wrote {}", written.display());
    }
    match outcome {
        Err(_) if INTERRUPTED.load(Ordering::Relaxed) => Ok(()),
        outcome => outcome,
    }
}

fn measure_all(args: &Args, kinds: &[Kind], results: &mut Results) -> Result<()> {
    if args.growth {
        return growth::run(args, kinds, results);
    }
    if !args.sandbox {
        Plan::new(args, kinds)?.run(results)?;
    }
    if args.sandbox || args.only.is_empty() && args.workloads.is_empty() {
        results.steps = sandbox::steps(args.dir())?;
    }
    Ok(())
}

impl Args {
    /// Where the stores work.
    fn dir(&self) -> &std::path::Path {
        self.dir.as_deref().unwrap_or(&self.out)
    }
}

/// The stores to measure; says which are left out.
fn chosen(args: &Args) -> Result<Vec<Kind>> {
    let built = stores::all();
    for name in stores::NAMES {
        let wanted = args.only.is_empty() || args.only.iter().any(|only| only == name);
        if wanted && !built.iter().any(|kind| kind.name == name) {
            eprintln!("{name} is left out: this build does not have it");
        }
    }
    let wanted = |kind: &Kind| args.only.is_empty() || args.only.iter().any(|name| name == kind.name);
    let chosen: Vec<Kind> = built.into_iter().filter(wanted).collect();
    ensure!(!chosen.is_empty(), "none of the stores is in this build");
    Ok(chosen)
}

fn this_run(kinds: &[Kind]) -> Run {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    Run {
        command: ["cargo xtask bench".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" "),
        date: run::date(),
        machine: run::machine(),
        stores: kinds.iter().map(|kind| format!("{} {}", kind.name, (kind.version)())).collect(),
    }
}
