//! `esker bench`: how fast the store is here.
//!
//! The workloads are those of LevelDB's and RocksDB's `db_bench`, by the same names: keys of 16 decimal digits,
//! values that compress to half, everything drawn from a seed. A line of results stands for one workload.
//!
//! ```text
//! workload   what one operation of each workload does
//! sample     keys, values and random numbers
//! measure    time each operation, put the threads' histograms together
//! report     a table, or JSON
//! place      the directory: a fresh one that is removed again, or the user's own
//! ```

mod measure;
mod place;
mod report;
mod sample;
mod workload;

use esker_host::{KvStore, Runtime};
use indicatif::ProgressBar;

use self::place::Place;
use self::report::Report;
use self::workload::Workload;
use super::failure::{Failure, Outcome};
use super::store::{DurabilityArg, Expect, StoreArgs};
use super::{number, progress, top};

/// Measure how fast the store is here
///
/// Without workloads, all of them run. fillseq, fillrandom and fillsync begin with an empty store in a directory
/// of their own under --dir, which is removed in the end; the other workloads use what the fill before them
/// wrote. fillsync writes a thousandth of --num.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to measure, in this order
    workloads: Vec<Workload>,

    /// Operations in each workload, over all threads, and the number of different keys
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=sample::KEYS_MAX))]
    num: u64,

    /// Operations in the workloads that read [default: as --num]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    reads: Option<u64>,

    /// The size of a value in bytes; keys have 16
    #[arg(long, default_value = "100", value_name = "SIZE", value_parser = value_size)]
    value_size: usize,

    /// Threads that share the operations of a workload
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: u64,

    /// How far a write has gone when it is acknowledged; fillsync is always synced
    #[arg(long, value_enum, default_value = "buffered", value_name = "LEVEL")]
    durability: DurabilityArg,

    /// Entries that seekrandom reads after the one it seeks
    #[arg(long, default_value_t = 0, value_name = "N")]
    seek_nexts: u64,

    /// The seed of all random choices: the same one, the same operations
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Work on the store in --dir itself and leave it there; only an empty one or one of a bench is written to
    #[arg(long)]
    use_existing: bool,

    /// Print one JSON object a line
    #[arg(long)]
    json: bool,

    /// Show the store live meanwhile, as `esker top` does, and print the results in the end; q ends the view
    #[arg(long)]
    top: bool,
}

const EXAMPLES: &str = "\
Examples:
  esker bench fillrandom readrandom
  esker bench --threads 4 --num 10000000 fillseq readwhilewriting
  esker bench --top --num 10000000 fillrandom
  esker --dir /mnt/disk/b bench --use-existing fillrandom
  esker --dir /mnt/disk/b bench --use-existing --json readrandom seekrandom";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let workloads = if args.workloads.is_empty() { Workload::ALL } else { &args.workloads };
    if !args.use_existing {
        require_fill_first(workloads)?;
    }
    let runtime = store.runtime()?;
    let mut report = Report::new(args.json, args.top);
    if args.use_existing {
        let place = Place::existing(store.dir());
        run_all(store, &runtime, args, &place, workloads, &mut report)?;
        return report.end();
    }
    for workloads in workloads.chunk_by(|_, next| !next.begins_empty()) {
        let place = Place::fresh(store.dir())?;
        run_all(store, &runtime, args, &place, workloads, &mut report)?;
    }
    report.end()
}

/// Runs `workloads` one after the other on one open store.
fn run_all(
    store: &StoreArgs,
    runtime: &Runtime,
    args: &Args,
    place: &Place,
    workloads: &[Workload],
    report: &mut Report,
) -> Outcome {
    store.run_in(place.dir(), runtime, Expect::StoreOrNothing, |store| {
        if workloads.iter().any(|workload| workload.writes()) {
            require_own_keys(store)?;
        }
        if args.top {
            return top::beside(store, place.dir(), || measure_all(store, args, place, workloads, report));
        }
        measure_all(store, args, place, workloads, report)
    })
}

fn measure_all(
    store: &KvStore,
    args: &Args,
    place: &Place,
    workloads: &[Workload],
    report: &mut Report,
) -> Outcome {
    for &workload in workloads {
        let bar = if args.top { ProgressBar::hidden() } else { progress::of_work() };
        bar.set_message(workload.name());
        let measured = measure::measure(store, args, workload)?;
        bar.finish_and_clear();
        report.add(args, workload, &measured, place)?;
    }
    Ok(())
}

fn require_fill_first(workloads: &[Workload]) -> Outcome {
    match workloads.first() {
        Some(first) if !first.begins_empty() => Err(Failure::Usage(format!(
            "{} needs a store to work on: name fillseq or fillrandom before it, or pass --use-existing",
            first.name(),
        ))),
        _ => Ok(()),
    }
}

/// Refuses a store that holds anything but keys of a bench: its first and its last key tell.
fn require_own_keys(store: &KvStore) -> Outcome {
    for reverse in [false, true] {
        let options =
            esker_host::ScanOptions { reverse, keys_only: true, limit: Some(1), ..Default::default() };
        let mut scan = store.scan(esker_host::KeyRange::all(), options)?;
        if let Some((key, _)) = scan.next_entry()?
            && !sample::is_key(key)
        {
            return Err(Failure::Other(format!(
                "the store holds the key {:?}, which no bench wrote: a bench would overwrite your data. Name another \
                 directory with --dir, or leave --use-existing out",
                String::from_utf8_lossy(key),
            )));
        }
    }
    Ok(())
}

fn value_size(text: &str) -> Result<usize, String> {
    let most = esker_host::limits::VALUE_BYTES_MAX;
    match number::parse_bytes(text).map(usize::try_from)? {
        Ok(bytes) if bytes <= most => Ok(bytes),
        _ => Err(format!("a value has at most {most} bytes")),
    }
}
