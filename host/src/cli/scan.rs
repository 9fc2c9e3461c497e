//! `esker scan`: print a range of keys.

use std::io::{self, BufWriter, Write};

use esker_host::ScanOptions;
use esker_rows::{RowWriter, Shape};

use super::buckets::BucketArgs;
use super::failure::{Failure, Outcome};
use super::input::TextArgs;
use super::output::BUFFER_BYTES;
use super::range::RangeArgs;
use super::store::{Readable, StoreArgs};

/// Print a range of keys with their values, in order
///
/// Each line is the key, a tab and the value. A backslash, control characters and bytes that are no valid UTF-8
/// are written as \\ \t \n \r or \xNN, so that a line stays a line and `esker import` reads it back exactly.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    range: RangeArgs,

    /// From the last key to the first
    #[arg(long)]
    reverse: bool,

    /// At most this many rows
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Leave the values out
    #[arg(long)]
    keys_only: bool,

    /// Print lines of JSON: {"key":…,"value":…}, or key_base64 and value_base64 for what is no valid UTF-8
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    bucket: BucketArgs,

    #[command(flatten)]
    text: TextArgs,
}

const EXAMPLES: &str = "\
Examples:
  esker scan --prefix user/
  esker scan --from U+1F600 --to U+1F650
  esker scan --reverse --limit 1              the last key
  esker scan --keys-only | wc -l
  esker scan --json | jq -r .value";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let range = args.range.read(&args.text)?;
    let shape = if args.json { Shape::Jsonl } else { Shape::Tsv };
    let options = ScanOptions {
        reverse: args.reverse,
        keys_only: args.keys_only,
        limit: args.limit,
        ..ScanOptions::default()
    };
    store.read(|store| {
        let bucket = args.bucket.find_in(store)?;
        print(store, range, ScanOptions { bucket, ..options }, shape)
    })
}

fn print(store: &Readable, range: esker_host::KeyRange, options: ScanOptions, shape: Shape) -> Outcome {
    let keys_only = options.keys_only;
    let mut scan = store.scan(range, options)?;
    let stdout = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    let mut rows = RowWriter::new(shape, stdout).map_err(Failure::stdout)?;
    while let Some((key, value)) = scan.next_entry()? {
        rows.write(key, (!keys_only).then_some(value)).map_err(Failure::stdout)?;
    }
    rows.into_inner().flush().map_err(Failure::stdout)
}
