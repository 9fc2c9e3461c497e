//! `cargo xtask fuzz`: feeds every decoder, and directories of any files, with bytes that nobody wrote.
//!
//! The targets are in `fuzz/`, a workspace of its own, since all of it is compiled with flags that let libFuzzer see
//! which code its bytes reach. What is found stays in the target directory, and the next run goes on from there; what
//! made a target fail goes into `fuzz/regressions/` by hand, with its mending, and is tried first by every later run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{apt, process};

/// What `fuzz` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Go on for so many minutes, shared by the targets
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Only this target
    #[arg(long)]
    target: Option<String>,
    /// Try one input again, as a failure names it
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "minutes")]
    replay: Option<PathBuf>,
}

/// The targets, with the share of the time that each has.
const TARGETS: [(&str, u64); 9] = [
    ("directory", 4),
    ("batch", 1),
    ("log", 1),
    ("table", 2),
    ("edit", 1),
    ("job", 1),
    ("slots", 1),
    ("frame", 2),
    ("archive", 1),
];

/// One input must end within this time, in seconds, and stay within so much memory, in MiB: all of it, and in one piece.
const INPUT_SECONDS: u64 = 20;
const MEMORY_MIB: u64 = 1024;
const PIECE_MIB: u64 = 256;
const INPUT_BYTES: u64 = 16 << 10;

/// The rustc flags by which libFuzzer sees what is reached.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Builds the fuzzer and runs it.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let chosen: Vec<_> =
        TARGETS.iter().filter(|(name, _)| args.target.as_deref().is_none_or(|only| only == *name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        bail!("there is no such target; there are {}", names.join(", "));
    }
    let fuzzer = build(workspace)?;
    if let (Some(input), Some(target)) = (&args.replay, &args.target) {
        let file = fs::canonicalize(input).with_context(|| format!("cannot find {}", input.display()))?;
        return process::run(fuzzer.command(target).arg(file));
    }
    fuzzer.run(&chosen, Duration::from_secs(60 * args.minutes), None)
}

/// A short run of every target, from the same beginning each time: part of `cargo xtask test`.
pub fn try_all(workspace: &Workspace) -> Result<()> {
    let all: Vec<_> = TARGETS.iter().collect();
    build(workspace)?.run(&all, Duration::from_secs(56), Some(1))
}

/// The program and its directories.
struct Fuzzer {
    program: PathBuf,
    seeds: PathBuf,
    found: PathBuf,
    failures: PathBuf,
    regressions: PathBuf,
}

/// Builds the fuzzer and has it write its seeds.
fn build(workspace: &Workspace) -> Result<Fuzzer> {
    let target = workspace.target.join("fuzz");
    let source = workspace.root.join("fuzz");
    process::step("build the fuzzer", || {
        // libFuzzer is C++.
        if !process::on_path("c++") {
            apt::install(&["g++"])?;
        }
        let host = host_triple()?;
        let mut cargo = process::cargo(workspace);
        cargo.args(["build", "--release", "--quiet", "--locked", "--target", &host]);
        cargo.arg("--manifest-path").arg(source.join("Cargo.toml"));
        process::run(cargo.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &target))?;
        let fuzzer = Fuzzer {
            program: target.join(&host).join("release").join("esker-fuzz"),
            seeds: target.join("seeds"),
            found: target.join("found"),
            failures: target.join("failures"),
            regressions: source.join("regressions"),
        };
        if fuzzer.seeds.exists() {
            fs::remove_dir_all(&fuzzer.seeds)?;
        }
        fs::create_dir_all(&fuzzer.failures)?;
        process::run(Command::new(&fuzzer.program).env("ESKER_FUZZ_SEEDS", &fuzzer.seeds))?;
        Ok(fuzzer)
    })
}

/// Cargo in the fuzzer's workspace, for what needs no coverage.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut cargo = process::cargo(workspace);
    cargo.current_dir(workspace.root.join("fuzz"));
    cargo.env("CARGO_TARGET_DIR", workspace.target.join("fuzz").join("lint"));
    cargo
}

fn host_triple() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("cannot start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV does not name its host")?.to_owned())
}

impl Fuzzer {
    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env("ESKER_FUZZ_TARGET", target);
        command.arg(format!("-timeout={INPUT_SECONDS}"));
        command.args([format!("-rss_limit_mb={MEMORY_MIB}"), format!("-malloc_limit_mb={PIECE_MIB}")]);
        command
    }

    /// Runs the targets one after the other; with a seed it begins from the beginning.
    fn run(&self, targets: &[&(&str, u64)], time: Duration, seed: Option<u32>) -> Result<()> {
        let shares: u64 = targets.iter().map(|(_, share)| share).sum();
        let mut failed = Vec::new();
        for (target, share) in targets {
            let seconds = (time.as_secs() * share / shares).max(1);
            let began = Instant::now();
            let outcome = process::step(&format!("fuzz {target} for {seconds} s"), || {
                process::run(&mut self.fuzzing(target, seconds, seed)?)
            });
            if let Err(error) = outcome {
                eprintln!("error: {target} failed after {} s: {error:#}", began.elapsed().as_secs());
                failed.push(*target);
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        bail!(
            "{} failed. The inputs are in {}; try one again by cargo xtask fuzz --target NAME --replay FILE",
            failed.join(", "),
            self.failures.display()
        )
    }

    fn fuzzing(&self, target: &str, seconds: u64, seed: Option<u32>) -> Result<Command> {
        let found = if seed.is_some() { self.found.join("tried") } else { self.found.clone() }.join(target);
        if seed.is_some() && found.exists() {
            fs::remove_dir_all(&found)?;
        }
        fs::create_dir_all(&found)?;
        let mut command = self.command(target);
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES}"));
        command.arg(format!("-artifact_prefix={}", prefix(&self.failures, target)));
        command.args(["-print_final_stats=1", "-verbosity=0"]);
        command.args(seed.map(|seed| format!("-seed={seed}")));
        command.arg(&found).arg(self.seeds.join(target));
        let regressions = self.regressions.join(target);
        command.args(regressions.exists().then_some(regressions));
        Ok(command)
    }
}

/// What the names of failing inputs begin with.
fn prefix(dir: &Path, target: &str) -> String {
    format!("{}{}{target}-", dir.display(), std::path::MAIN_SEPARATOR)
}
