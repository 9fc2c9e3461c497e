//! `esker verify`: check every file of the store.

use std::io::{self, Write};

use esker_host::Verification;

use super::failure::{Failure, Outcome};
use super::number;
use super::store::StoreArgs;

/// Read every file and check every checksum, every order and every reference
///
/// Problems are listed on standard output, each with its file and offset, and the exit code is 3. Nothing is
/// repaired or overwritten.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

const EXAMPLES: &str = "\
Examples:
  esker verify
  esker --dir /srv/names verify && echo 'all is well'";

/// Runs the command.
pub fn run(store: &StoreArgs, _: &Args) -> Outcome {
    let found = store.read(|store| Ok(store.verify()?))?;
    print(&found).map_err(Failure::stdout)?;
    match found.problems.len() as u64 {
        0 => Ok(()),
        problems => Err(Failure::Other(format!(
            "{} found; nothing was changed. Copy the directory before anything else, then `esker export` what can \
             still be read",
            number::counted(problems, "problem"),
        ))),
    }
}

fn print(found: &Verification) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for problem in &found.problems {
        writeln!(stdout, "{problem}")?;
    }
    let end = if found.problems.is_empty() { "all is well" } else { "not all is well" };
    writeln!(
        stdout,
        "checked {}, {}, {}: {end}",
        number::counted(found.files, "file"),
        number::bytes(found.bytes),
        number::counted_as(found.entries, "entry", "entries"),
    )
}
