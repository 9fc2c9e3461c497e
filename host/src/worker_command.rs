//! A command that runs jobs: another process, on this machine or, by `ssh`, on one that has the same files.
//!
//! ```text
//! host ── the job ──► standard input    command    standard output ── the outcome ──► host
//! ```
//!
//! The command is started once for each job, in a process group of its own. It has a bounded time; whatever is wrong
//! with it (it cannot be started, ends with another exit code than 0, dies, is too slow, says too much) is an error,
//! and the whole group is killed. What it answers is judged by the store that gave the job away.

use crate::error::{Error, Result};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a command may take for one job, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(600);
/// How much longer it may take once its store is to be closed.
const CLOSING: Duration = Duration::from_secs(10);
/// How often the command is looked after.
const LOOK: Duration = Duration::from_millis(5);
/// The longest outcome: about 100 bytes for each table that a job makes, and twice its keys.
const OUTCOME_BYTES_MAX: u64 = 64 << 20;
/// How much of what the command has said on standard error is kept for the reason.
const WORDS_BYTES_MAX: u64 = 4 << 10;

/// A command that reads a job from its standard input, runs it, and writes the outcome to its standard output, as
/// `esker run-job` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCommand {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it may take for one job; then it is killed, and the job is begun again. It is also killed 10 seconds
    /// after its store began to be closed.
    pub timeout: Duration,
}

impl WorkerCommand {
    /// A program with arguments, which may take 10 minutes for a job.
    pub fn new<A: Into<String>>(program: impl Into<String>, arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, timeout: TIMEOUT }
    }

    /// A line for the shell (`sh -c`).
    pub fn shell(line: impl Into<String>) -> Self {
        Self::new("sh", ["-c".into(), line.into()])
    }

    /// The same, but it may take this long for a job.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Lets the command run a job, until `stop` is set. Returns what it has answered.
    pub(crate) fn run(&self, job: &[u8], stop: &AtomicBool) -> Result<Vec<u8>> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| self.failed(&format!("cannot be started: {error}")))?;
        let answer = self.converse(&mut child, job, stop);
        if answer.is_err() {
            end(&mut child);
        }
        answer
    }

    fn converse(&self, child: &mut Child, job: &[u8], stop: &AtomicBool) -> Result<Vec<u8>> {
        let mut input = child.stdin.take().expect("it is piped");
        let job = job.to_vec();
        // A command that reads no more says by its end what was wrong.
        spawn(move || drop(input.write_all(&job)))?;
        let outcome = collect(child.stdout.take().expect("it is piped"), OUTCOME_BYTES_MAX + 1)?;
        let words = collect(child.stderr.take().expect("it is piped"), WORDS_BYTES_MAX)?;
        let mut deadline = Deadline { at: Instant::now() + self.timeout, stop, stopped: false };

        let status = loop {
            if let Some(status) = child.try_wait().map_err(|error| self.failed(&error.to_string()))? {
                break status;
            }
            if deadline.is_over() {
                return Err(self.failed(&deadline.message(self.timeout)));
            }
            thread::sleep(LOOK);
        };
        if !status.success() {
            let words = words.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
            return Err(self.failed(&how_it_ended(status, &words)));
        }
        // A child of the command's may have its output still open.
        let outcome = loop {
            match outcome.recv_timeout(LOOK) {
                Ok(outcome) => break outcome,
                Err(RecvTimeoutError::Timeout) if !deadline.is_over() => {}
                Err(_) => return Err(self.failed(&deadline.message(self.timeout))),
            }
        };
        if outcome.len() as u64 > OUTCOME_BYTES_MAX {
            return Err(self.failed(&format!("answered more than {OUTCOME_BYTES_MAX} bytes")));
        }
        Ok(outcome)
    }

    fn failed(&self, how: &str) -> Error {
        Error::Io(format!("the worker command `{self}` {how}"))
    }
}

impl fmt::Display for WorkerCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.program.as_str(), self.arguments.as_slice()) {
            ("sh", [dash_c, line]) if dash_c == "-c" => f.write_str(line),
            (program, arguments) => {
                f.write_str(program)?;
                arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
            }
        }
    }
}

/// When a command has had its time.
struct Deadline<'a> {
    at: Instant,
    stop: &'a AtomicBool,
    stopped: bool,
}

impl Deadline<'_> {
    fn is_over(&mut self) -> bool {
        if !self.stopped && self.stop.load(Ordering::Relaxed) {
            self.stopped = true;
            self.at = self.at.min(Instant::now() + CLOSING);
        }
        Instant::now() >= self.at
    }

    fn message(&self, timeout: Duration) -> String {
        match self.stopped {
            true => "had not ended when the store was closed, and was killed".into(),
            false => format!("had not ended after {} s, and was killed", timeout.as_secs_f64()),
        }
    }
}

/// Kills the command and all that it has started in its process group.
fn end(child: &mut Child) {
    // The number is the child's until it has been waited for, which `try_wait` may have done: then the group lives on
    // only where the command has left somebody behind in it.
    if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
        let _gone_already = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _gone_already = child.wait();
}

/// Reads at most `limit` bytes from what the command says, and passes the rest over.
fn collect(mut source: impl Read + Send + 'static, limit: u64) -> Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = channel();
    spawn(move || {
        let mut bytes = Vec::new();
        let _what_there_was = source.by_ref().take(limit).read_to_end(&mut bytes);
        let _nobody_waits = sender.send(bytes);
        let _closed = std::io::copy(&mut source, &mut std::io::sink());
    })?;
    Ok(receiver)
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name("esker-worker-pipe".into()).spawn(work);
    thread.map(drop).map_err(|error| Error::Io(format!("start a thread for a worker command: {error}")))
}

fn how_it_ended(status: ExitStatus, words: &[u8]) -> String {
    let words = String::from_utf8_lossy(words);
    match words.trim() {
        "" => format!("ended with {status}"),
        words => format!("ended with {status}: {words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Vec<u8>> {
        WorkerCommand::shell(line).run(b"the job", &AtomicBool::new(false))
    }

    fn failure(line: &str) -> String {
        match run(line) {
            Err(Error::Io(message)) => message,
            other => panic!("`{line}` answers {other:?}"),
        }
    }

    #[test]
    fn a_command_gets_the_job_and_gives_the_outcome() {
        assert_eq!(run("cat"), Ok(b"the job".to_vec()));
        assert_eq!(run("echo words >&2; echo done"), Ok(b"done\n".to_vec()), "it need not read");
        let large = vec![7; 3 << 20];
        assert_eq!(WorkerCommand::shell("cat").run(&large, &AtomicBool::new(false)), Ok(large));
    }

    #[test]
    fn a_command_that_fails_says_why() {
        assert!(failure("echo no such store >&2; exit 3").ends_with("exit status: 3: no such store"));
        assert!(failure("kill -9 $$").contains("signal: 9"));
        let missing = WorkerCommand::new("esker-no-such-program", ["x"]);
        let error = missing.run(b"", &AtomicBool::new(false)).expect_err("there is none");
        assert!(error.to_string().contains("`esker-no-such-program x` cannot be started"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let hangs =
            WorkerCommand::shell("sleep 1000 & echo $!; sleep 1000; echo").timeout(Duration::from_millis(50));
        let error = hangs.run(b"", &AtomicBool::new(false)).expect_err("hangs");
        assert!(error.to_string().contains("had not ended after 0.05 s, and was killed"), "{error}");
    }

    #[test]
    fn a_child_that_keeps_the_output_open_hangs_too() {
        let hangs = WorkerCommand::shell("sleep 1000 &").timeout(Duration::from_millis(50));
        let error = hangs.run(b"", &AtomicBool::new(false)).expect_err("hangs");
        assert!(error.to_string().contains("was killed"), "{error}");
    }
}
