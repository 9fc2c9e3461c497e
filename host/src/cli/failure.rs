//! Why a command did not end well, and the exit code that tells it.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::output::tell;

/// What a command ends with.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not end well.
#[derive(Debug)]
pub enum Failure {
    /// The key is not in the store. Nothing is printed: scripts ask this way.
    Absent,
    /// Whoever read our output has gone (`esker scan | head`): nobody is left to tell, and nothing is wrong.
    ReaderGone,
    /// The command was called wrongly in a way that the argument parser cannot see.
    Usage(String),
    /// Anything else: what went wrong and what to do about it.
    Other(String),
}

impl Failure {
    /// Any other failure.
    pub fn other(message: impl fmt::Display) -> Self {
        Self::Other(message.to_string())
    }

    /// Writing to standard output failed.
    pub fn stdout(cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Other(format!("cannot write to standard output: {cause}")),
        }
    }

    /// Doing something to a file failed; `action` completes "cannot …".
    pub fn file(action: &str, path: &Path, cause: &io::Error) -> Self {
        Self::Other(format!("cannot {action} {}: {cause}", path.display()))
    }

    /// The first line of what there is to say.
    pub fn words(&self) -> &str {
        match self {
            Self::Absent => "the key is absent",
            Self::ReaderGone => "nobody reads the output",
            Self::Usage(message) | Self::Other(message) => message.lines().next().unwrap_or_default(),
        }
    }

    /// Prints the failure where it needs words, and gives its exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Absent => ExitCode::from(1),
            Self::ReaderGone => ExitCode::SUCCESS,
            Self::Usage(message) => {
                // A write to a closed standard error cannot be reported anywhere.
                let _ = super::Cli::command().error(ErrorKind::ValueValidation, message).print();
                ExitCode::from(2)
            }
            Self::Other(message) => {
                tell(format!("esker: {message}"));
                ExitCode::from(3)
            }
        }
    }
}

impl From<esker_host::Error> for Failure {
    fn from(error: esker_host::Error) -> Self {
        use esker_host::Error;
        let advice = match &error {
            Error::Corrupt(_) => {
                "\nNothing was overwritten. Copy the directory before anything else; `esker verify` lists all damage."
            }
            Error::NoSpace(_) => {
                "\nWhat was acknowledged is safe. Free some space, then run the command again; until then `--read-only` reads."
            }
            Error::Reopen(_) | Error::Trap(_) => "\nWhat was acknowledged is safe; run the command again.",
            _ => "",
        };
        Self::Other(format!("{error}{advice}"))
    }
}
