//! `esker put`: set a key to a value.

use std::ffi::OsString;

use esker_host::Durability;

use super::buckets::BucketArgs;
use super::failure::Outcome;
use super::input::{TextArgs, ValueArgs};
use super::store::{Expect, StoreArgs};

/// Set a key to a value
///
/// The store is made when the directory is missing or empty. When the command returns, the value is on stable
/// storage.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "esker put [OPTIONS] <KEY> <VALUE | - | --file FILE>")]
pub struct Args {
    /// The key: 1 to 65,536 bytes
    key: OsString,

    #[command(flatten)]
    value: ValueArgs,

    #[command(flatten)]
    bucket: BucketArgs,

    #[command(flatten)]
    text: TextArgs,
}

const EXAMPLES: &str = "\
Examples:
  esker put greeting 'hello, world'
  esker put photo --file photo.jpg
  date | esker put now -
  esker put --escaped 'id\\x00\\x07' 'two\\nlines'
  esker put -- -5 'a key that begins with a hyphen'";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let key = args.text.bytes(&args.key)?;
    let value = args.value.read(&args.text)?;
    store.run(Expect::StoreOrNothing, |store| {
        store.put((args.bucket.find(store)?, &key), &value, Durability::Synced)?;
        Ok(())
    })
}
