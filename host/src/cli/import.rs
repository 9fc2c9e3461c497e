//! `esker import`: read rows from a file into the store.
//!
//! Rows go in as batches, each acknowledged as a whole; at the end one sync makes all of them durable. Since a
//! row is a plain put, importing the same file again, after a kill or after mending a line, ends with the same
//! content.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::ValueEnum;
use esker_host::{Batch, Bucket, KvStore};
use esker_rows::{Format, Row, RowError, Rows, unpack};
use indicatif::ProgressBar;

use super::buckets::BucketArgs;
use super::failure::{Failure, Outcome};
use super::output::tell;
use super::store::{DurabilityArg, Expect, StoreArgs};
use super::{number, progress};

/// Skipped lines are named up to this many, then only counted.
const SKIPPED_NAMED_MAX: u64 = 10;

/// Read rows from a file or from standard input
///
/// The store is made when the directory is missing or empty. A key that is there already gets the new value, so
/// the same file can be imported again after a kill: the content in the end is the same.
///
/// Formats: tsv (KEY TAB VALUE, with the escapes \\ \t \n \r and \xNN), csv (with a header; a single other column
/// is the value as it is, several become a JSON object), jsonl ({"key":…,"value":…}, or key_base64 and
/// value_base64), each also packed as .gz or .zst.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file; - reads standard input
    file: PathBuf,

    /// The format: tsv, csv or jsonl, with .gz or .zst after it if packed [default: by the file's ending, else tsv]
    #[arg(long)]
    format: Option<Format>,

    /// The column of a CSV file that holds the key [default: the first]
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,

    /// What to do about a line that is malformed or beyond the store's limits
    #[arg(long, value_enum, default_value = "stop", value_name = "WHAT")]
    on_error: OnError,

    /// How far a batch has gone when it is acknowledged; the end of the import is synced in any case
    #[arg(long, value_enum, default_value = "buffered", value_name = "LEVEL")]
    durability: DurabilityArg,

    /// Write a batch at this many rows
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch_rows: u64,

    /// ... or at this many bytes
    #[arg(long, default_value = "256KiB", value_name = "SIZE", value_parser = number::parse_bytes)]
    batch_bytes: u64,

    #[command(flatten)]
    bucket: BucketArgs,

    /// Print on standard output, after each batch, how many rows have been acknowledged so far
    #[arg(long)]
    acknowledge: bool,
}

/// What to do about a malformed line.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnError {
    /// Keep what came before it and end with exit code 3
    Stop,
    /// Leave it out, count it, go on
    Skip,
}

const EXAMPLES: &str = "\
Examples:
  esker import names.tsv.gz
  esker import --key id users.csv
  esker import --on-error skip events.jsonl.zst
  awk -v OFS='\\t' '{print $1, $2}' table.txt | esker import -";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let source = Source::open(&args.file)?;
    let format = args.format.unwrap_or_else(|| Format::of_file(&args.file));
    let bar = progress::of_reading(source.bytes);
    let text = unpack(format.packing, bar.wrap_read(source.read))
        .map_err(|cause| Failure::other(format!("{}: {cause}", source.name)))?;
    let rows = Rows::new(format.shape, text, args.key.as_deref())
        .map_err(|error| Failure::other(format!("{}, {error}", source.name)))?;
    store.run(Expect::StoreOrNothing, |store| {
        let bucket = args.bucket.find(store)?;
        Import::new(store, bucket, args, &source.name, bar).run(rows)
    })
}

/// The file to import.
struct Source {
    name: String,
    read: Box<dyn Read>,
    /// Its size, where it has one.
    bytes: Option<u64>,
}

impl Source {
    fn open(path: &Path) -> Outcome<Self> {
        if path == Path::new("-") {
            return Ok(Self { name: "standard input".to_owned(), read: Box::new(io::stdin()), bytes: None });
        }
        let failed = |cause| Failure::file("open", path, &cause);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let bytes = metadata.is_file().then_some(metadata.len());
        Ok(Self { name: path.display().to_string(), read: Box::new(file), bytes })
    }
}

/// An import under way.
struct Import<'a> {
    store: &'a KvStore,
    bucket: Bucket,
    args: &'a Args,
    name: &'a str,
    bar: ProgressBar,
    batch: Batch,
    /// Rows that the store has acknowledged.
    written: u64,
    /// Lines that were left out.
    skipped: u64,
}

impl<'a> Import<'a> {
    fn new(store: &'a KvStore, bucket: Bucket, args: &'a Args, name: &'a str, bar: ProgressBar) -> Self {
        Self { store, bucket, args, name, bar, batch: Batch::new(), written: 0, skipped: 0 }
    }

    fn run(mut self, mut rows: Rows) -> Outcome {
        let started = Instant::now();
        let mut row = Row::default();
        let end = loop {
            match rows.next_row(&mut row) {
                Ok(true) => self.add(&row)?,
                Ok(false) => break Ok(()),
                Err(error @ RowError::Malformed { .. }) if self.args.on_error == OnError::Skip => {
                    self.skip(&error)
                }
                Err(error) => break Err(error),
            }
        };
        self.write_batch()?;
        self.store.sync()?;
        self.bar.finish_and_clear();
        end.map_err(|error| self.stopped(&error))?;
        self.report(started);
        Ok(())
    }

    /// Adds a row to the batch, and writes the batch as soon as it is full: from a pipe, the next row may be long
    /// in coming.
    fn add(&mut self, row: &Row) -> Outcome {
        if self.batch.packed_bytes() as u64 + row.bytes() > self.args.batch_bytes {
            self.write_batch()?;
        }
        self.batch.put((self.bucket, &row.key), &row.value)?;
        if self.batch.len() as u64 >= self.args.batch_rows { self.write_batch() } else { Ok(()) }
    }

    fn write_batch(&mut self) -> Outcome {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.store.write(&self.batch, self.args.durability.into())?;
        self.written += self.batch.len() as u64;
        self.batch.clear();
        progress::show_rows(&self.bar, self.written);
        if self.args.acknowledge { self.acknowledge() } else { Ok(()) }
    }

    fn acknowledge(&self) -> Outcome {
        // An import must not end as if it were complete because nobody listens: a closed pipe is an error here.
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", self.written)
            .and_then(|()| stdout.flush())
            .map_err(|cause| Failure::other(format!("cannot acknowledge rows on standard output: {cause}")))
    }

    fn skip(&mut self, error: &RowError) {
        self.skipped += 1;
        if self.skipped <= SKIPPED_NAMED_MAX {
            self.bar.suspend(|| tell(format!("skipped {}, {error}", self.name)));
        }
    }

    fn stopped(&self, error: &RowError) -> Failure {
        let advice = match error {
            RowError::Malformed { .. } => "Mend the line or pass --on-error skip, then import the file again",
            RowError::Unreadable { .. } => {
                "Is the file complete, and of this format? Import it again when it is"
            }
        };
        let before = number::counted(self.written, "row");
        Failure::Other(format!("{}, {error}\nImported before it: {before}. {advice}.", self.name))
    }

    fn report(&self, started: Instant) {
        let rows = number::counted(self.written, "row");
        tell(format!("imported {rows} in {:.1} s", started.elapsed().as_secs_f64()));
        if self.skipped > 0 {
            tell(format!("skipped {}", number::counted(self.skipped, "line")));
        }
    }
}
