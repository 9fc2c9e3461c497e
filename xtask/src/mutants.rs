//! `cargo xtask mutants`: puts bugs into a copy of the tree, one at a time, and sees that a suite turns red.
//!
//! A suite that is green proves something only if it would not be green without the code that it tests. Each file in
//! `tests/mutants/` is such a bug:
//!
//! ```text
//! What it breaks, in a sentence.
//!
//! file: engine/src/wal/writer.rs
//! suites: rounds crash
//! ---- find
//! text that is there exactly once
//! ---- replace
//! what is there instead
//! ---- end
//! ```
//!
//! The first of its suites that fails has caught it. A suite is a test of the `tests` package by name, `engine` for
//! the engine's own tests, `host` for the host's, or `component`: the simulation with the component built from the copy.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::build::HOST_CRATES;
use crate::toolchain::{self, Toolchain};
use crate::workspace::Workspace;
use crate::{component, process, sim};

/// A suite that takes longer hangs, and has caught the bug by that.
const LIMIT: Duration = Duration::from_secs(900);
/// So long the simulation looks for a bug in the component, in minutes.
const SIM_MINUTES: &str = "1.5";
/// What is not copied.
const NOT_COPIED: [&str; 4] = ["target", ".git", "node_modules", "pkg"];

/// What `mutants` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Only the bugs whose names contain one of these
    names: Vec<String>,
    /// Take it for granted that the suites are green without a bug
    #[arg(long)]
    no_baseline: bool,
}

/// Puts in each bug in turn, and fails if one is not caught.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let bugs = Bug::all(workspace)?;
    let wanted =
        |bug: &&Bug| args.names.is_empty() || args.names.iter().any(|name| bug.name.contains(name.as_str()));
    let bugs: Vec<&Bug> = bugs.iter().filter(wanted).collect();
    ensure!(!bugs.is_empty(), "no bug in tests/mutants has such a name");
    let bench = Bench::new(workspace)?;
    for bug in &bugs {
        bug.mutated(&workspace.root)?;
    }
    if !args.no_baseline {
        bench.check_baseline(&bugs)?;
    }

    let mut survivors = Vec::new();
    for bug in &bugs {
        match bench.catch(bug)? {
            Some(by) => println!("caught    {:<42} {by}", bug.name),
            None => {
                println!("SURVIVED  {:<42} {}", bug.name, bug.what);
                survivors.push(bug.name.as_str());
            }
        }
    }
    println!("{} of {} bugs caught", bugs.len() - survivors.len(), bugs.len());
    ensure!(survivors.is_empty(), "not caught: {}", survivors.join(", "));
    Ok(())
}

/// A bug to put in.
struct Bug {
    name: String,
    what: String,
    file: PathBuf,
    suites: Vec<String>,
    find: String,
    replace: String,
}

impl Bug {
    fn all(workspace: &Workspace) -> Result<Vec<Self>> {
        let directory = workspace.root.join("tests/mutants");
        let mut bugs = Vec::new();
        for entry in
            fs::read_dir(&directory).with_context(|| format!("cannot list {}", directory.display()))?
        {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new("txt")) {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let text = fs::read_to_string(&path)?;
                bugs.push(Self::parse(name, &text).with_context(|| format!("{}", workspace.shown(&path)))?);
            }
        }
        bugs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(bugs)
    }

    fn parse(name: String, text: &str) -> Result<Self> {
        let (head, rest) = text.split_once("---- find\n").context("a line `---- find` is missing")?;
        let (find, rest) = rest.split_once("\n---- replace\n").context("a line `---- replace` is missing")?;
        let replace = rest.strip_suffix("---- end\n").context("the last line is not `---- end`")?;
        let replace = replace.strip_suffix('\n').unwrap_or(replace);
        let field = |key: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(key));
            line.map(str::trim).with_context(|| format!("a line `{key}` is missing"))
        };
        Ok(Self {
            name,
            what: head.lines().next().unwrap_or_default().to_owned(),
            file: field("file:")?.into(),
            suites: field("suites:")?.split_whitespace().map(str::to_owned).collect(),
            find: find.to_owned(),
            replace: replace.to_owned(),
        })
    }

    /// The text of its file below `root` with the bug in it.
    fn mutated(&self, root: &Path) -> Result<String> {
        let text = fs::read_to_string(root.join(&self.file))
            .with_context(|| format!("{}: cannot read {}", self.name, self.file.display()))?;
        let found = text.matches(&self.find).count();
        ensure!(
            found == 1,
            "{}: the text to find is {found} times in {}, not once: adapt tests/mutants/{}.txt",
            self.name,
            self.file.display(),
            self.name
        );
        Ok(text.replacen(&self.find, &self.replace, 1))
    }
}

/// The copy of the tree, and what runs suites on it.
struct Bench<'a> {
    workspace: &'a Workspace,
    /// The copy, with a target directory of its own, in which the engine's crates are soon built.
    copy: Workspace,
    toolchain: Toolchain,
}

impl<'a> Bench<'a> {
    fn new(workspace: &'a Workspace) -> Result<Self> {
        let toolchain = process::step("find a compiler for wasm", || toolchain::find(workspace))?;
        let directory = workspace.target.join("mutants");
        let copy = Workspace { root: directory.join("tree"), target: directory.join("target") };
        process::step("copy the tree", || synchronise(&workspace.root, &copy.root))?;
        Ok(Self { workspace, copy, toolchain })
    }

    /// Sees that all suites are green without a bug.
    fn check_baseline(&self, bugs: &[&Bug]) -> Result<()> {
        let mut suites: Vec<&str> =
            bugs.iter().flat_map(|bug| bug.suites.iter().map(String::as_str)).collect();
        suites.sort_unstable();
        suites.dedup();
        for suite in suites {
            process::step(&format!("without a bug: {suite}"), || match self.run(suite)? {
                None => Ok(()),
                Some(failure) => bail!("{suite} is red without a bug: {failure}"),
            })?;
        }
        Ok(())
    }

    /// What catches the bug, if anything does.
    fn catch(&self, bug: &Bug) -> Result<Option<String>> {
        let path = self.copy.root.join(&bug.file);
        let sound = fs::read_to_string(&path)?;
        fs::write(&path, bug.mutated(&self.copy.root)?)?;
        let caught = self.try_suites(bug);
        fs::write(&path, sound)?;
        caught.with_context(|| bug.name.clone())
    }

    fn try_suites(&self, bug: &Bug) -> Result<Option<String>> {
        for suite in &bug.suites {
            if let Some(by) = self.run(suite)? {
                return Ok(Some(by));
            }
        }
        Ok(None)
    }

    /// Runs a suite on the copy. What has failed, if something has.
    fn run(&self, suite: &str) -> Result<Option<String>> {
        let native = ["test", "--release", "--locked", "--quiet"];
        match suite {
            "component" => self.simulate(),
            "engine" => {
                let mut cargo = self.cargo();
                cargo.args(native).args(["--package=esker-engine", "--lib"]);
                run_tests(suite, cargo)
            }
            "host" => {
                // wasmtime is built already in the workspace's own target directory, and its tests are no program.
                let mut cargo = process::cargo(self.workspace);
                cargo.current_dir(&self.copy.root).args(["test", "--quiet", "--lib"]).args(HOST_CRATES);
                run_tests(suite, cargo)
            }
            test => {
                let mut cargo = self.cargo();
                cargo.args(native).args(["--package=esker-tests", "--test", test]);
                run_tests(suite, cargo)
            }
        }
    }

    /// Cargo for the copy, in which a bug changes one function at a time.
    fn cargo(&self) -> Command {
        let mut cargo = process::cargo(&self.copy);
        cargo.env("CARGO_INCREMENTAL", "1");
        cargo
    }

    /// Builds the component from the copy and plays the workspace's simulation with it.
    fn simulate(&self) -> Result<Option<String>> {
        component::build(&self.copy, &self.toolchain)?;
        let mut command = Command::new(sim::program(self.workspace)?);
        command.env("ESKER_COMPONENT", self.copy.component());
        command.args(["--only", "component", "--from", "1", "--minutes", SIM_MINUTES]);
        let output = command.stdin(Stdio::null()).output().context("cannot start the simulation")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let failed = said.lines().find_map(|line| line.strip_suffix(" fails:"));
        Ok((!output.status.success()).then(|| format!("the simulation, round {}", failed.unwrap_or("?"))))
    }
}

/// Runs the tests that `cargo` stands for. The first that has failed, if one has; a bug that does not compile is no
/// bug.
fn run_tests(suite: &str, mut cargo: Command) -> Result<Option<String>> {
    let mut build = Command::new(cargo.get_program());
    build.args(cargo.get_args()).arg("--no-run");
    build.current_dir(cargo.get_current_dir().context("the directory is set")?);
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => build.env(name, value),
            None => build.env_remove(name),
        };
    }
    process::run(&mut build).context("it does not compile")?;
    let log = std::env::temp_dir().join(format!("xtask-mutants-{}.log", std::process::id()));
    cargo.stdout(fs::File::create(&log)?).stderr(Stdio::null());
    let status = process::run_for(&mut cargo, LIMIT)?;
    let said = fs::read_to_string(&log).unwrap_or_default();
    fs::remove_file(&log)?;
    Ok(match status {
        None => Some(format!("{suite}: it hangs")),
        Some(status) if status.success() => None,
        Some(_) => {
            // Below the line `failures:` come the names, indented.
            let name = said.lines().rev().find(|line| line.starts_with("    ")).unwrap_or("?").trim();
            Some(format!("{suite}: {name}"))
        }
    })
}

/// Makes `to` a copy of `from`. A file that has not changed keeps its time, so that cargo builds only what has.
fn synchronise(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if NOT_COPIED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        let target = to.join(&name);
        // Also where it is a link: `host/wit` leads to the interface.
        if entry.path().is_dir() {
            synchronise(&entry.path(), &target)?;
        } else {
            let bytes = fs::read(entry.path())?;
            if fs::read(&target).ok().as_deref() != Some(&bytes) {
                fs::write(&target, bytes)?;
            }
        }
        names.push(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_read_and_put_in_once() {
        let text = "It breaks.\n\nfile: a.rs\nsuites: x y\n---- find\n  one\n---- replace\n---- end\n";
        let bug = Bug::parse("b".into(), text).unwrap();
        assert_eq!((bug.what.as_str(), bug.find.as_str(), bug.replace.as_str()), ("It breaks.", "  one", ""));
        assert_eq!(bug.suites, ["x", "y"]);
        let root = std::env::temp_dir().join(format!("xtask-mutants-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("a.rs"), "two\n  one\n").unwrap();
        assert_eq!(bug.mutated(&root).unwrap(), "two\n\n");
        fs::write(root.join("a.rs"), "  one  one").unwrap();
        assert!(bug.mutated(&root).unwrap_err().to_string().contains("2 times"));
        fs::remove_dir_all(&root).unwrap();
        assert!(Bug::parse("b".into(), "no case").is_err());
    }
}
