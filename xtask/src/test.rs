//! `cargo xtask test`: every check and every test, as continuous integration runs them.
//!
//! Everything that links wasmtime is built in one profile and with the crates always chosen together
//! (`HOST_CRATES`), so that it is compiled once. All steps run even if one fails, except that no test
//! can run without the component. The last line counts the tests; a failed step that has no failed
//! tests of its own counts as one.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::build::HOST_CRATES;
use crate::toolchain::{self, TARGET, Toolchain};
use crate::workspace::Workspace;
use crate::{
    bench, build, component, examples, fuzz, package, plugins, process, simulate_compaction, tidy, web,
};

/// Runs everything; the count is the last thing printed, also when something failed.
pub fn run(workspace: &Workspace) -> ExitCode {
    let mut report = Report::default();
    report.step("check the formatting", |_| {
        process::run(process::cargo(workspace).args(["fmt", "--all", "--check"]))?;
        process::run(bench::cargo(workspace).args(["fmt", "--check"]))?;
        process::run(fuzz::cargo(workspace).args(["fmt", "--check"]))?;
        process::run(examples::rust::host_cargo(workspace).args(["fmt", "--check"]))
    });
    report.step("tidy", |_| tidy::run(workspace));
    let toolchain = report.step("find a compiler for wasm", |_| toolchain::find(workspace));
    let built = report.step("build the component", |_| {
        let toolchain = toolchain.as_ref().context("there is no compiler for wasm")?;
        component::build(workspace, toolchain)?;
        component::build_keyvalue(workspace, toolchain)?;
        component::build_conformance(workspace, toolchain)?;
        plugins::build(workspace, toolchain)
    });
    if built.is_some() {
        report.step("build the host", |_| build::host(workspace));
        report.step("run the tests", |counts| {
            let mut cargo = process::cargo(workspace);
            cargo.args(["test", "--no-fail-fast"]).args(HOST_CRATES).env("ESKER_BIN", workspace.binary());
            cargo.env("ESKER_CONFORMANCE", workspace.conformance());
            cargo.env("ESKER_KEYVALUE", workspace.keyvalue());
            cargo.env("ESKER_PLUGINS", workspace.plugins());
            counted(&mut cargo, counts)
        });
    }
    if built.is_some() {
        report.step("package the interface and the crates, and try the crates", |counts| {
            package::interface(workspace)?;
            package::crates(workspace)?;
            counted(&mut package::Trial::lay_out(workspace)?.tests(workspace), counts)
        });
    }
    if built.is_some() {
        let composed = report.step("compose the examples", |_| {
            examples::compose(workspace, toolchain.as_ref().context("there is no compiler for wasm")?)
        });
        if composed.is_some() {
            report.step("run the examples", |counts| counted(&mut examples::sessions(workspace)?, counts));
        }
    }
    report.step("test the browser's crate in Chromium", |counts| {
        let toolchain = toolchain.as_ref().context("there is no compiler for wasm")?;
        counted(&mut web::test::crate_tests(workspace, toolchain)?, counts)
    });
    let page = report.step("prepare the page", |_| {
        web::test::Page::prepare(workspace, toolchain.as_ref().context("there is no compiler for wasm")?)
    });
    if let Some(page) = page {
        report.step("test the page in Chromium", |counts| counted(&mut page.tests(workspace), counts));
    }
    report.step("run xtask's own tests", |counts| {
        let arguments = ["test", "--locked", "--package=xtask"];
        counted(process::cargo(workspace).args(arguments), counts)
    });
    report.step("test the browser's crate without a browser", |counts| {
        let arguments = ["test", "--locked", "--package=esker-web", "--lib"];
        counted(process::cargo(workspace).args(arguments), counts)
    });
    report.step("test the simulator of compactions", |counts| {
        let arguments = ["test", "--release", "--locked", simulate_compaction::PACKAGE];
        counted(process::cargo(workspace).args(arguments), counts)
    });
    report.step("fuzz for a minute", |_| fuzz::try_all(workspace));
    report.step("lint", |_| lint(workspace));
    for (step, package, targets) in [
        ("lint the component", "esker-component", &["--lib", "--examples"][..]),
        ("lint the component with wasi:keyvalue", "esker-component", &["--lib", "--features=keyvalue"]),
        ("lint the command line as a component", "esker-command", &["--lib"]),
        ("lint the plugins", plugins::PACKAGE, &["--lib", "--examples"]),
        ("lint the browser's crate", "esker-web", &["--lib", "--tests"]),
    ] {
        report.step(step, |_| lint_for_wasm(workspace, toolchain.as_ref(), package, targets));
    }
    report.step("lint the examples", |_| {
        let toolchain = toolchain.as_ref().context("there is no compiler for wasm")?;
        process::run(&mut examples::rust::clippy(workspace, toolchain))
    });
    report.step("lint the bench, without the engines that Esker is compared with", |_| {
        let arguments = ["clippy", "--release", "--quiet", "--locked", "--all-targets", "--", "-Dwarnings"];
        process::run(bench::cargo(workspace).args(arguments))
    });
    report.step("lint the fuzzer", |_| {
        let arguments = ["clippy", "--release", "--quiet", "--locked", "--", "-Dwarnings"];
        process::run(fuzz::cargo(workspace).args(arguments).env("RUSTFLAGS", "--cfg fuzzing"))
    });
    report.step("build the documentation", |_| {
        let mut cargo = process::cargo(workspace);
        cargo.args(["doc", "--quiet", "--no-deps"]).args(HOST_CRATES);
        process::run(cargo.env("RUSTDOCFLAGS", "-Dwarnings"))
    });
    report.finish()
}

/// Clippy on the host's crates and on the simulator, in the profile of their tests, and on xtask in its own.
fn lint(workspace: &Workspace) -> Result<()> {
    let mut cargo = process::cargo(workspace);
    cargo.arg("clippy").args(HOST_CRATES).arg("--features=esker-tests/examples");
    cargo.args(["--quiet", "--all-targets", "--", "-Dwarnings"]);
    process::run(&mut cargo)?;
    let mut cargo = process::cargo(workspace);
    cargo.args(["clippy", "--release", "--quiet", "--locked", simulate_compaction::PACKAGE, "--all-targets"]);
    process::run(cargo.args(["--", "-Dwarnings"]))?;
    let mut cargo = process::cargo(workspace);
    cargo.args(["clippy", "--quiet", "--locked", "--package=xtask", "--all-targets"]);
    process::run(cargo.args(["--", "-Dwarnings"]))
}

/// Clippy on a crate that is built for wasm. Where the wasm toolchain has no clippy, the host's checks the same
/// code as if it were for the host: generated bindings compile there, though they cannot run.
fn lint_for_wasm(
    workspace: &Workspace,
    toolchain: Option<&Toolchain>,
    package: &str,
    targets: &[&str],
) -> Result<()> {
    let mut cargo = match toolchain.filter(|toolchain| toolchain.has_clippy()) {
        Some(toolchain) => {
            let mut cargo = toolchain.cargo(workspace);
            cargo.args(["clippy", "--target", TARGET, "--profile", component::PROFILE]);
            cargo.env("CARGO_ENCODED_RUSTFLAGS", component::rustflags(workspace, toolchain));
            cargo
        }
        None => {
            eprintln!("    the wasm toolchain has no clippy: linting with the host's");
            let mut cargo = process::cargo(workspace);
            cargo.args(["clippy", "--release"]);
            cargo
        }
    };
    cargo.args(["--quiet", "--locked", "--package", package]).args(targets);
    process::run(cargo.args(["--", "-Dwarnings"]))
}

/// Runs a `cargo test` or node's tests, passes its output on, and adds its result lines to `counts`.
fn counted(tests: &mut Command, counts: &mut Counts) -> Result<()> {
    let mut child = tests.stdout(Stdio::piped()).spawn().context("cannot start the tests")?;
    let output = child.stdout.take().context("a piped child has its output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let mut out = std::io::stdout().lock();
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        if let Some(more) = Counts::of_line(&String::from_utf8_lossy(&line)) {
            counts.add(more);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the tests failed ({status}); failed tests: {}", counts.failed);
    }
    Ok(())
}

/// How many tests did what.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    /// Reads a line with which a test program ends: one of Rust's,
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`, or those of node's, `# pass 3`.
    fn of_line(line: &str) -> Option<Self> {
        Self::of_rust(line).or_else(|| Self::of_node(line))
    }

    fn of_node(line: &str) -> Option<Self> {
        let (name, figure) = line.strip_prefix("# ")?.split_once(' ')?;
        let figure = figure.parse().ok()?;
        match name {
            "pass" => Some(Self { passed: figure, ..Self::default() }),
            "fail" | "cancelled" => Some(Self { failed: figure, ..Self::default() }),
            "skipped" => Some(Self { skipped: figure, ..Self::default() }),
            _ => None,
        }
    }

    fn of_rust(line: &str) -> Option<Self> {
        let (_, figures) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let figure = |name: &str| {
            let of_name = |part: &str| part.trim().strip_suffix(name)?.trim().parse().ok();
            figures.split(';').find_map(of_name)
        };
        Some(Self { passed: figure("passed")?, failed: figure("failed")?, skipped: figure("ignored")? })
    }

    fn add(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }
}

/// What has happened so far.
#[derive(Default)]
struct Report {
    counts: Counts,
    /// The headings of the steps that failed.
    failed: Vec<&'static str>,
}

impl Report {
    /// Runs one step; a failure is noted, not passed on.
    fn step<T>(&mut self, heading: &'static str, work: impl FnOnce(&mut Counts) -> Result<T>) -> Option<T> {
        let mut counts = Counts::default();
        let result = process::step(heading, || work(&mut counts));
        if let Err(error) = &result {
            eprintln!("error: {error:#}");
            self.failed.push(heading);
            // A step can fail without a failed test: a lint, a crash, code that does not compile.
            counts.failed = counts.failed.max(1);
        }
        self.counts.add(counts);
        result.ok()
    }

    /// Prints the closing lines.
    fn finish(self) -> ExitCode {
        let Counts { passed, failed, skipped } = self.counts;
        if !self.failed.is_empty() {
            eprintln!("failed steps: {}", self.failed.join(", "));
        }
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let line = "test result: FAILED. 12 passed; 1 failed; 3 ignored; 0 measured; \
                    5 filtered out; finished in 0.02s";
        let counts = Counts { passed: 12, failed: 1, skipped: 3 };
        assert_eq!(Counts::of_line(line), Some(counts));
        assert_eq!(Counts::of_line("# pass 7"), Some(Counts { passed: 7, failed: 0, skipped: 0 }));
        assert_eq!(Counts::of_line("# cancelled 1"), Some(Counts { passed: 0, failed: 1, skipped: 0 }));
        assert_eq!(Counts::of_line("# tests 7"), None, "they are counted by what became of them");
        assert_eq!(Counts::of_line("test result: nothing"), None);
        assert_eq!(Counts::of_line("test a_test ... ok"), None);
    }

    #[test]
    fn a_failed_step_without_failed_tests_counts_as_one() {
        let mut report = Report::default();
        report.step("passes", |counts| {
            counts.passed = 2;
            Ok(())
        });
        report.step("breaks", |_| -> Result<()> { bail!("does not compile") });
        report.step("fails", |counts| -> Result<()> {
            counts.add(Counts { passed: 4, failed: 3, skipped: 1 });
            bail!("tests failed")
        });
        assert_eq!(report.counts, Counts { passed: 6, failed: 4, skipped: 1 });
        assert_eq!(report.failed, ["breaks", "fails"]);
        assert_eq!(report.finish(), ExitCode::FAILURE);
    }
}
