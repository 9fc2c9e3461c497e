//! `esker run-job`: do one flush or compaction for a store that another process has open.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use esker_host::{JobKind, Worker};

use super::failure::{Failure, Outcome};
use super::store::StoreArgs;

/// The longest job: it names its files, and for each table its least and greatest keys.
const JOB_BYTES_MAX: u64 = 256 << 20;

/// Do one flush or compaction for a store that another process has open
///
/// Reads a job from standard input, runs it in a sandbox on the files in DIR, and writes its outcome to standard
/// output: what a store opened with --worker-command asks for. It takes no lock; it reads the files that the job
/// names, makes the files that are reserved for the job, and can open nothing else in DIR. A job of another store, or
/// of one that was opened again since, is refused.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The store's directory, as it is called here [default: that of --dir]
    directory: Option<PathBuf>,

    /// Read the job from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,

    /// Write the outcome to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    outcome: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  esker --workers 2 --worker-command 'esker run-job ./esker-data' import names.tsv
  esker --workers 1 --worker-command 'ssh other esker run-job /srv/names' import names.tsv
  esker run-job --job job.bin --outcome outcome.bin ./esker-data";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let bytes = read_job(args.job.as_deref())?;
    let directory = args.directory.as_deref().unwrap_or(store.dir());
    let mut worker = Worker::new(&store.runtime()?, store.sandbox(directory));
    let job = worker.describe(&bytes)?;
    if job.kind == JobKind::CleanUp {
        return Err(Failure::other(
            "the job is a clean-up: it syncs what the primary has written, so only the primary's own process runs it",
        ));
    }
    let outcome = worker.run(&job)?;
    match &args.outcome {
        Some(file) => {
            fs::write(file, outcome).map_err(|cause| Failure::file("write the outcome to", file, &cause))
        }
        None => {
            let mut stdout = io::stdout();
            stdout.write_all(&outcome).and_then(|()| stdout.flush()).map_err(Failure::stdout)
        }
    }
}

fn read_job(file: Option<&Path>) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    match file {
        Some(path) => File::open(path)
            .and_then(|file| file.take(JOB_BYTES_MAX).read_to_end(&mut bytes))
            .map_err(|cause| Failure::file("read the job in", path, &cause))?,
        None => io::stdin()
            .take(JOB_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(|cause| Failure::other(format!("cannot read the job from standard input: {cause}")))?,
    };
    Ok(bytes)
}
