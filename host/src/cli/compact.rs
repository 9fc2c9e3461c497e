//! `esker compact`: merge the whole store.

use esker_host::KvStore;

use super::failure::Outcome;
use super::output::tell;
use super::store::{Expect, StoreArgs};
use super::{number, progress};

/// How much one slice reads and writes before progress is shown again.
const SLICE_BYTES: u64 = 8 * 1024 * 1024;

/// Merge the whole store into its deepest level: no tombstones, no replaced values
///
/// The store does this by itself, bit by bit, where it pays. Doing it all at once makes reads as quick and the
/// directory as small as they get; it needs free space for a second copy of the data.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
Examples:
  esker compact
  esker --dir /srv/names compact";

/// Runs the command.
pub fn run(store: &StoreArgs, _: &Args) -> Outcome {
    let bytes = store.run(Expect::Store, merge)?;
    tell(format!("compacted: {} read and written", number::bytes(bytes)));
    Ok(())
}

/// Merges slice by slice and returns the bytes read and written.
fn merge(store: &KvStore) -> Outcome<u64> {
    let bar = progress::of_work();
    let mut bytes = 0;
    loop {
        let slice = store.compact(SLICE_BYTES)?;
        bytes += slice.bytes;
        if !slice.more {
            bar.finish_and_clear();
            return Ok(bytes);
        }
        bar.set_message(format!("{} read and written", number::bytes(bytes)));
    }
}
