//! The `esker` program as the demo uses it: commands that are shown, commands that are asked, one that is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, ensure};

use super::{Rows, process};
use crate::workspace::Workspace;

/// The program, and the store that it works on.
pub struct Esker<'a> {
    workspace: &'a Workspace,
    dir: PathBuf,
}

/// An import that did not live to its end.
pub struct KilledImport {
    /// The rows that it had acknowledged.
    pub acknowledged: usize,
    /// How it ended.
    pub status: ExitStatus,
}

impl<'a> Esker<'a> {
    /// The program of `workspace` on the store in `dir`.
    pub fn new(workspace: &'a Workspace, dir: PathBuf) -> Self {
        Self { workspace, dir }
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Prints a command as a user would type it.
    pub fn announce(&self, arguments: &[&str]) {
        let words: Vec<_> =
            arguments.iter().map(|word| self.workspace.shown(Path::new(word)).to_string()).collect();
        println!("$ esker {}", words.join(" "));
    }

    /// Runs a command before the user's eyes, and returns what it printed.
    pub fn show(&self, arguments: &[&str]) -> Result<String> {
        self.announce(arguments);
        let output = self.output(arguments)?;
        println!("{output}");
        Ok(output)
    }

    /// Runs a command and returns what it printed, without the last line end.
    pub fn output(&self, arguments: &[&str]) -> Result<String> {
        process::output(self.command().args(arguments).stderr(Stdio::inherit()))
    }

    /// Runs a command that prints rows, and returns them.
    pub fn rows(&self, arguments: &[&str]) -> Result<Rows> {
        rows_of(&self.output(arguments)?)
    }

    /// Imports `tsv` through a pipe and kills the process once it has acknowledged `enough` rows. It cannot have
    /// ended before: the pipe stays open until it is dead, and some rows are held back.
    pub fn import_and_kill(&self, tsv: &str, enough: usize) -> Result<KilledImport> {
        self.announce(&["import", "--acknowledge", "-"]);
        let mut child = self
            .command()
            .args(["import", "--acknowledge", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start esker")?;
        let stdin = child.stdin.take().context("a piped child has its input")?;
        let stdout = child.stdout.take().context("a piped child has its output")?;
        thread::scope(|scope| {
            let (dead, killed) = mpsc::channel();
            let feeder = scope.spawn(move || feed(stdin, tsv, enough, &killed));
            let mut acknowledgements = BufReader::new(stdout);
            let reached = wait_for(&mut acknowledgements, enough);
            child.kill().context("cannot kill the import")?;
            let status = child.wait()?;
            // What it had acknowledged between our looking and its death counts as well.
            let last = last_number(acknowledgements)?;
            drop(dead);
            feeder.join().map_err(|_| anyhow::anyhow!("the thread that feeds the import panicked"))?;
            let acknowledged = last.unwrap_or(0).max(reached?);
            ensure!(!status.success(), "the import ended before it was killed");
            Ok(KilledImport { acknowledged, status })
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.workspace.binary());
        command.env("ESKER_DIR", &self.dir);
        command
    }
}

/// Reads rows as `scan` and `export` print them. The demo's rows need no escapes.
pub fn rows_of(tsv: &str) -> Result<Rows> {
    let row = |line: &str| {
        let (key, value) = line.split_once('\t').with_context(|| format!("{line:?} is no row"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    tsv.lines().map(row).collect()
}

/// Writes rows, a fifth more than `enough`, and then holds the pipe open until `killed` says that its reader is
/// dead.
fn feed(mut stdin: ChildStdin, tsv: &str, enough: usize, killed: &mpsc::Receiver<()>) {
    for line in tsv.split_inclusive('\n').take(enough + enough / 5) {
        // A broken pipe: the reader is dead, as it is meant to be.
        if stdin.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    // Nothing is ever sent; the other end is dropped.
    let _ = killed.recv();
}

/// Reads acknowledgements until one reaches `enough`, and returns it.
fn wait_for(acknowledgements: &mut BufReader<ChildStdout>, enough: usize) -> Result<usize> {
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(acknowledgements.read_line(&mut line)? > 0, "the import ended before {enough} rows");
        let acknowledged =
            line.trim_end().parse().with_context(|| format!("{line:?} is no acknowledgement"))?;
        if acknowledged >= enough {
            return Ok(acknowledged);
        }
    }
}

/// The last number that is still to be read; a last line without its end was cut off and does not count.
fn last_number(mut acknowledgements: BufReader<ChildStdout>) -> Result<Option<usize>> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut acknowledgements, &mut text)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    Ok(whole.lines().last().map(str::parse).transpose()?)
}
