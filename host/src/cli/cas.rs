//! `esker cas`: change a key only if it is as expected.

use std::ffi::OsString;

use esker_host::Durability;

use super::buckets::BucketArgs;
use super::failure::{Failure, Outcome};
use super::input::TextArgs;
use super::store::{Expect, StoreArgs};

/// Set a key to a value, if it has another one now: compare and swap
///
/// The exit code is 1, and nothing is changed, when the key does not have the expected value. When the command returns
/// 0, the value is on stable storage.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, group = clap::ArgGroup::new("expected").args(["expect", "absent"]).required(true))]
pub struct Args {
    /// The key
    key: OsString,

    /// The value to set
    value: OsString,

    /// The value that the key must have
    #[arg(long, value_name = "VALUE")]
    expect: Option<OsString>,

    /// The key must not be there
    #[arg(long)]
    absent: bool,

    #[command(flatten)]
    bucket: BucketArgs,

    #[command(flatten)]
    text: TextArgs,
}

const EXAMPLES: &str = "\
Examples:
  esker cas lock \"$HOSTNAME\" --absent && echo 'it is ours'
  esker cas state running --expect idle || echo 'somebody was quicker'";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let (key, value) = (args.text.bytes(&args.key)?, args.text.bytes(&args.value)?);
    let expected = args.expect.as_ref().map(|expected| args.text.bytes(expected)).transpose()?;
    let swapped = store.run(Expect::StoreOrNothing, |store| {
        let key = (args.bucket.find(store)?, &key);
        Ok(store.compare_and_swap(key, expected.as_deref(), Some(&value), Durability::Synced)?)
    })?;
    if swapped { Ok(()) } else { Err(Failure::Absent) }
}
