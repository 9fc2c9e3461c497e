//! The command line: what `esker` accepts, and how a command's outcome becomes an exit code.
//!
//! One file per command, each with its arguments (`Args`) and one function (`run`) that reads from top to
//! bottom. What several commands share:
//!
//! ```text
//! store      --dir, --component, --memory, --recovery: open, run the command, close
//! input      keys and values as they are typed, piped or read from a file
//! range      --from, --to, --prefix
//! progress   bars on standard error
//! figures    of a store that another process has open
//! failure    why a command ended, and its exit code
//! ```
//!
//! The text form of bytes, and files of rows, are the crate `esker_rows`.
//!
//! A command prints what it was asked for on standard output, and everything else on standard error.

mod backup;
mod batch;
mod bench;
mod buckets;
mod cas;
mod compact;
mod completions;
mod delete;
mod export;
mod failure;
mod figures;
mod get;
mod import;
mod incr;
mod input;
mod number;
mod output;
mod progress;
mod put;
mod range;
mod recovery;
mod run_job;
mod scan;
mod stats;
mod store;
mod top;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use esker_host::limits;

use failure::Outcome;
use store::StoreArgs;

// What a file of rows may hold is what a store takes.
const _: () = assert!(esker_rows::KEY_BYTES_MAX == limits::KEY_BYTES_MAX);
const _: () = assert!(esker_rows::VALUE_BYTES_MAX == limits::VALUE_BYTES_MAX);

/// Reads the arguments, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.run(&cli.store) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[derive(Parser)]
#[command(name = "esker", version, about = ABOUT, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    store: StoreArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Put(put::Args),
    Get(get::Args),
    Delete(delete::Args),
    Scan(scan::Args),
    Cas(cas::Args),
    Incr(incr::Args),
    Batch(batch::Args),
    Import(import::Args),
    Export(export::Args),
    Buckets(buckets::Args),
    Stats(stats::Args),
    Top(top::Args),
    Backup(backup::Args),
    Compact(compact::Args),
    Verify(verify::Args),
    Bench(bench::Args),
    RunJob(run_job::Args),
    Completions(completions::Args),
}

impl Command {
    fn run(&self, store: &StoreArgs) -> Outcome {
        match self {
            Self::Put(args) => put::run(store, args),
            Self::Get(args) => get::run(store, args),
            Self::Delete(args) => delete::run(store, args),
            Self::Scan(args) => scan::run(store, args),
            Self::Cas(args) => cas::run(store, args),
            Self::Incr(args) => incr::run(store, args),
            Self::Batch(args) => batch::run(store, args),
            Self::Import(args) => import::run(store, args),
            Self::Export(args) => export::run(store, args),
            Self::Buckets(args) => buckets::run(store, args),
            Self::Stats(args) => stats::run(store, args),
            Self::Top(args) => top::run(store, args),
            Self::Backup(args) => backup::run(store, args),
            Self::Compact(args) => compact::run(store, args),
            Self::Verify(args) => verify::run(store, args),
            Self::Bench(args) => bench::run(store, args),
            Self::RunJob(args) => run_job::run(store, args),
            Self::Completions(args) => completions::run(args),
        }
    }
}

const ABOUT: &str =
    "An ordered, durable key/value store in one directory, its engine in a WebAssembly sandbox";

const EXAMPLES: &str = "\
Examples:
  esker put greeting 'hello, world'       store a value in ./esker-data
  esker get greeting                      print it
  esker scan --prefix gr                  print every key that begins with gr
  esker --dir /srv/names import names.tsv.gz
  eval \"$(esker completions bash)\"        complete commands and options in this shell

Exit codes: 0 fine, 1 the key is absent, 2 the command was called wrongly, 3 anything else went wrong.
The directory is --dir, else the environment's ESKER_DIR, else ./esker-data.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_argument_definitions_are_consistent() {
        Cli::command().debug_assert();
    }
}
