//! The `esker` command: a store on the command line.
//!
//! Everything it does to a store goes through [`esker_host::KvStore`], and so through the sandboxed component.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
