//! `esker completions`: a script that teaches a shell the commands and options.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::failure::{Failure, Outcome};

/// Print a script that completes commands and options in a shell
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  eval \"$(esker completions bash)\"
  esker completions zsh > ~/.zfunc/_esker
  esker completions fish > ~/.config/fish/completions/esker.fish";

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "esker", &mut script);
    io::stdout().write_all(&script).map_err(Failure::stdout)
}
