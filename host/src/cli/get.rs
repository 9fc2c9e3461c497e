//! `esker get`: print a value.

use std::ffi::OsString;
use std::io::{self, Write};

use super::buckets::BucketArgs;
use super::failure::{Failure, Outcome};
use super::input::TextArgs;
use super::store::StoreArgs;

/// Print the value of a key as it is, nothing added
///
/// The exit code is 1, and nothing is printed, when the key is absent.
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
  esker get greeting
  esker get photo > photo.jpg
  esker get greeting || echo 'no greeting'";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let key = args.text.bytes(&args.key)?;
    let value =
        store.read(|store| Ok(store.get((args.bucket.find_in(store)?, &key))?))?.ok_or(Failure::Absent)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&value).and_then(|()| stdout.flush()).map_err(Failure::stdout)
}
