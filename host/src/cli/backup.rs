//! `esker backup`: a copy of the store, made while it may be in use.

use std::path::PathBuf;

use esker_host::Reader;

use super::failure::{Failure, Outcome};
use super::number;
use super::output::tell;
use super::store::StoreArgs;

/// Copy the store into a new directory, while another process may write to it
///
/// The copy is a store of its own with everything that was acknowledged as buffered or synced when it was begun. It is
/// verified, unless --hard-links shares its tables with the store. To restore it, copy it back, or use it where it is.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The directory to make; it must not be there, or be empty
    #[arg(value_name = "DIRECTORY")]
    to: PathBuf,
    /// Link tables instead of copying them: at once, and without space of its own, on the same file system only
    #[arg(long)]
    hard_links: bool,
}

const EXAMPLES: &str = "\
Examples:
  esker backup /mnt/backups/names-$(date +%F)
  esker --dir /srv/names backup --hard-links /srv/names-before-the-upgrade";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let runtime = store.runtime()?;
    let backup = Reader::open(&runtime, store.dir(), None)?.backup(&args.to, args.hard_links)?;
    let checked = if backup.linked_bytes > 0 {
        format!("{} of them shared by hard links", number::bytes(backup.linked_bytes))
    } else {
        let found = Reader::open(&runtime, &args.to, None)?.verify()?;
        if let Some(problem) = found.problems.first() {
            return Err(Failure::other(format!(
                "the backup in {} is damaged, as the store may be: {problem}",
                args.to.display()
            )));
        }
        "verified".to_owned()
    };
    tell(format!(
        "backed up {}, {} ({checked}), up to write {}",
        number::counted(backup.tables, "table"),
        number::bytes(backup.bytes),
        backup.sequence
    ));
    Ok(())
}
