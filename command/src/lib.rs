//! Esker's command line as a component: `wasmtime run --dir DATA esker-cli.wasm get KEY`.
//!
//! ```text
//! wasi:cli/run ─► args ─► write: put, delete, import, buckets   ─► esker:kv, as the store's primary
//!                    └──► read:  get, scan, export, stats, verify ─► esker:kv, as a reader
//! ```
//!
//! It holds no store: `cargo xtask build --command` plugs one into it, and both see the directory that
//! the program is given. What reads never writes, and goes on while another process has the store open. What writes
//! must be alone: WASI has no locks, and whoever else has the store open for writing is told to open it anew.
#![deny(unsafe_code)]

mod args;
mod bindings;
mod failure;
mod read;
mod write;

use args::{Cli, Command};
use clap::Parser;
use failure::{Failure, Outcome};
use std::io::Write as _;
use wasip2::cli::{environment, stderr, stdout};

/// The program.
struct Program;

wasip2::cli::command::export!(Program);

impl wasip2::exports::cli::run::Guest for Program {
    /// Runs the command that the arguments name. The exit code is 1 where it has not done what it should: portable
    /// hosts know no other.
    fn run() -> Result<(), ()> {
        let message = match Cli::try_parse_from(environment::get_arguments()) {
            Ok(cli) => match run(&cli.command) {
                Ok(()) | Err(Failure::ReaderGone) => return Ok(()),
                Err(Failure::Absent) => return Err(()),
                Err(Failure::Other(message)) => format!("esker: {message}\n"),
            },
            Err(words) if words.use_stderr() => words.to_string(),
            Err(help) => {
                // Nobody is left to tell that the help found no reader.
                let _ = stdout::get_stdout().write_all(help.to_string().as_bytes());
                return Ok(());
            }
        };
        tell(&message);
        Err(())
    }
}

fn run(command: &Command) -> Outcome {
    match command {
        Command::Put(args) => write::put(args),
        Command::Delete(args) => write::delete(args),
        Command::Import(args) => write::import(args),
        Command::Buckets(args) => write::buckets(args),
        Command::Get(args) => read::get(args),
        Command::Scan(args) => read::scan(args),
        Command::Export(args) => read::export(args),
        Command::Stats => read::stats(),
        Command::Verify => read::verify(),
    }
}

/// Says something on standard error, if there is one.
fn tell(message: &str) {
    let _ = stderr::get_stderr().write_all(message.as_bytes());
}

fn no_bucket(name: &str) -> Failure {
    Failure::other(format!(
        "there is no bucket {name:?}: `buckets` lists them, `buckets --create {name}` makes it"
    ))
}
