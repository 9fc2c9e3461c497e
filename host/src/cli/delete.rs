//! `esker delete`: remove a key.

use std::ffi::OsString;

use esker_host::Durability;

use super::buckets::BucketArgs;
use super::failure::Outcome;
use super::input::TextArgs;
use super::store::{Expect, StoreArgs};

/// Remove a key
///
/// Removing an absent key is no error. When the command returns, the removal is on stable storage.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The key
    key: OsString,

    #[command(flatten)]
    bucket: BucketArgs,

    #[command(flatten)]
    text: TextArgs,
}

const EXAMPLES: &str = "\
Examples:
  esker delete greeting
  esker delete --escaped 'id\\x00\\x07'";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let key = args.text.bytes(&args.key)?;
    store.run(Expect::Store, |store| {
        store.delete((args.bucket.find(store)?, &key), Durability::Synced)?;
        Ok(())
    })
}
