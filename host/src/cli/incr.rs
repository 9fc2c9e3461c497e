//! `esker incr`: add to the number that a key holds.

use std::ffi::OsString;
use std::io::{self, Write};

use esker_host::Durability;

use super::buckets::BucketArgs;
use super::failure::{Failure, Outcome};
use super::input::TextArgs;
use super::store::{Expect, StoreArgs};

/// Add to the number that a key holds in decimal digits, and print the sum
///
/// An absent key counts as 0. A value that is no whole number of 64 bits, and a sum that does not fit, are errors, and
/// nothing is changed. When the command returns, the sum is on stable storage.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The key
    key: OsString,

    /// What to add
    #[arg(default_value_t = 1, allow_hyphen_values = true)]
    delta: i64,

    #[command(flatten)]
    bucket: BucketArgs,

    #[command(flatten)]
    text: TextArgs,
}

const EXAMPLES: &str = "\
Examples:
  esker incr visits
  esker incr stock -3";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let key = args.text.bytes(&args.key)?;
    let sum = store.run(Expect::StoreOrNothing, |store| {
        Ok(store.increment((args.bucket.find(store)?, &key), args.delta, Durability::Synced)?)
    })?;
    writeln!(io::stdout(), "{sum}").map_err(Failure::stdout)
}
