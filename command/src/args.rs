//! The command line.

use crate::failure::{Failure, Outcome};
use clap::{Parser, Subcommand, ValueEnum};
use esker_rows::Format;
use esker_rows::escape::unescape;

use crate::bindings::esker::kv::types::KeyRange;

/// An ordered, durable key/value store in the directory that the program is given
///
/// The store is in the first directory that the program is given, as in `wasmtime run --dir DATA esker-cli.wasm scan`.
/// The exit code is 0, or 1 where the command has not done what it should. Commands that read never change a file, and
/// may run while another process has the store open. Before one that writes, whoever else writes must have ended.
#[derive(Parser)]
#[command(name = "esker", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Set a key to a value; when the command returns, it is on stable storage
    Put(Put),
    /// Remove a key; an absent one is no error
    Delete(Key),
    /// Print the value of a key as it is, nothing added; the exit code is 1 when the key is absent
    Get(Key),
    /// Print a range of keys with their values, in order: KEY TAB VALUE, with \\ \t \n \r and \xNN
    Scan(Scan),
    /// Read rows from standard input; importing the same rows again ends with the same content
    Import(Import),
    /// Write rows to standard output: the state of one moment
    Export(Export),
    /// List the store's buckets, make one, or drop one
    Buckets(Buckets),
    /// Print figures of the store, as JSON
    Stats,
    /// Read every file and check every checksum, every order and every reference
    Verify,
}

/// How text on the command line is read.
#[derive(clap::Args)]
pub struct Text {
    /// Read keys and values on the command line with escapes: \\ \t \n \r and \xNN for any byte
    #[arg(short, long)]
    escaped: bool,
}

impl Text {
    /// The bytes that an argument stands for.
    pub fn bytes(&self, argument: &str) -> Outcome<Vec<u8>> {
        if !self.escaped {
            return Ok(argument.as_bytes().to_vec());
        }
        let mut bytes = Vec::with_capacity(argument.len());
        unescape(argument.as_bytes(), &mut bytes)
            .map_err(|why| Failure::other(format!("'{argument}': {why}")))?;
        Ok(bytes)
    }
}

/// Where keys are.
#[derive(clap::Args)]
pub struct InBucket {
    /// The bucket whose keys are meant [default: the one that every store has]
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
}

/// A key.
#[derive(clap::Args)]
pub struct Key {
    /// The key: 1 to 65,536 bytes
    pub key: String,
    #[command(flatten)]
    pub bucket: InBucket,
    #[command(flatten)]
    pub text: Text,
}

/// A key and a value.
#[derive(clap::Args)]
pub struct Put {
    /// The key: 1 to 65,536 bytes
    pub key: String,
    /// The value; - reads it from standard input, to its end and as it is
    pub value: String,
    #[command(flatten)]
    pub bucket: InBucket,
    #[command(flatten)]
    pub text: Text,
}

/// Which keys; all of them when nothing is given.
#[derive(clap::Args)]
pub struct Range {
    /// The first key; without it, from the beginning
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// The first key that is left out; without it, to the end
    #[arg(long, value_name = "KEY")]
    to: Option<String>,
    /// Only keys that begin with this
    #[arg(long, conflicts_with_all = ["from", "to"])]
    prefix: Option<String>,
    #[command(flatten)]
    text: Text,
}

impl Range {
    /// The range.
    pub fn read(&self) -> Outcome<KeyRange> {
        let bytes = |argument: &Option<String>| argument.as_deref().map(|a| self.text.bytes(a)).transpose();
        match bytes(&self.prefix)? {
            Some(prefix) => Ok(KeyRange { end: successor(prefix.clone()), start: Some(prefix) }),
            None => Ok(KeyRange { start: bytes(&self.from)?, end: bytes(&self.to)? }),
        }
    }
}

/// The first key that does not begin with `prefix` and comes after those that do, if there is one.
fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return Some(prefix);
        }
    }
    None
}

/// What to print of a range.
#[derive(clap::Args)]
pub struct Scan {
    #[command(flatten)]
    pub range: Range,
    /// From the last key to the first
    #[arg(long)]
    pub reverse: bool,
    /// At most this many rows
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Leave the values out
    #[arg(long)]
    pub keys_only: bool,
    /// Print lines of JSON: {"key":…,"value":…}, or key_base64 and value_base64 for what is no valid UTF-8
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub bucket: InBucket,
}

/// What to read.
#[derive(clap::Args)]
pub struct Import {
    /// The format: tsv, csv or jsonl, with .gz after it if packed
    #[arg(long, default_value = "tsv")]
    pub format: Format,
    /// The column of a CSV file that holds the key [default: the first]
    #[arg(long, value_name = "COLUMN")]
    pub key: Option<String>,
    /// What to do about a line that is malformed or beyond the store's limits
    #[arg(long, value_enum, default_value = "stop", value_name = "WHAT")]
    pub on_error: OnError,
    #[command(flatten)]
    pub bucket: InBucket,
}

/// What to do about a malformed line.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Keep what came before it and end
    Stop,
    /// Leave it out, count it, go on
    Skip,
}

/// What to write.
#[derive(clap::Args)]
pub struct Export {
    #[command(flatten)]
    pub range: Range,
    /// The format: tsv, csv or jsonl, with .gz after it if packed
    #[arg(long, default_value = "tsv")]
    pub format: Format,
    #[command(flatten)]
    pub bucket: InBucket,
}

/// What to do with buckets.
#[derive(clap::Args)]
pub struct Buckets {
    /// Make this bucket, unless it is there; the store is made when the directory is empty
    #[arg(long, value_name = "NAME", conflicts_with = "drop")]
    pub create: Option<String>,
    /// Drop this bucket with all that it holds; there must be one
    #[arg(long, value_name = "NAME")]
    pub drop: Option<String>,
}
