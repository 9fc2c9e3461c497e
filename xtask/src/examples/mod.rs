//! `cargo xtask examples`: components that use a store, composed with one and run by `wasmtime`.
//!
//! ```text
//! examples/components  --cargo-------------->  component --wac plug esker.wasm-->  target/examples/NAME.wasm
//! examples/javascript  --componentize-js---->      or esker-keyvalue.wasm
//! examples/python      --componentize-py---->
//! ```
//!
//! `tests/tests/composition.rs` then plays sessions with them. The tools come from their registries once, each in one
//! version, and stay in target/. Last comes the program of `cargo xtask plugins`.

mod bench;
mod javascript;
mod python;
pub mod rust;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::HOST_CRATES;
use crate::cargo_tools::{WAC, WASMTIME};
use crate::toolchain::{self, Toolchain};
use crate::workspace::Workspace;
use crate::{build, component, plugins, process};

/// What is plugged into a component.
#[derive(Clone, Copy)]
enum Store {
    /// `esker:kv` alone.
    Kv,
    /// `wasi:keyvalue` as well.
    KeyValue,
}

/// The composed examples, with the store that each needs.
const COMPOSED: [(&str, Store); 6] = [
    ("word-counter", Store::Kv),
    ("page-views", Store::KeyValue),
    ("wasi-keyvalue-guest", Store::KeyValue),
    ("get-bench", Store::KeyValue),
    ("todo", Store::KeyValue),
    ("journal", Store::Kv),
];

/// What `examples` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Measure a `get` in a composition beside one through the host, instead of playing the sessions
    #[arg(long)]
    bench: bool,
}

/// Builds the components and the `esker` program, composes the examples, and plays the sessions.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let toolchain = process::step("find a compiler for wasm", || toolchain::find(workspace))?;
    process::step("build the components", || {
        component::build(workspace, &toolchain)?;
        component::build_keyvalue(workspace, &toolchain)
    })?;
    process::step("build the host", || build::host(workspace))?;
    process::step("compose the examples", || compose(workspace, &toolchain))?;
    if args.bench {
        return process::step("measure", || bench::run(workspace));
    }
    process::step("play the sessions", || process::run(&mut sessions(workspace)?))?;
    plugins::run(workspace)
}

/// Makes target/examples/NAME.wasm of each example; the components of the store must be there.
pub fn compose(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let parts = directory(workspace).join("parts");
    fs::create_dir_all(&parts)?;
    lay_out_interfaces(workspace)?;
    rust::build(workspace, toolchain, &parts)?;
    javascript::build(workspace, &parts)?;
    python::build(workspace, &parts)?;
    for (name, store) in COMPOSED {
        plug(workspace, &parts.join(format!("{name}.wasm")), store, &composed(workspace, name))?;
    }
    command(workspace, toolchain)?;
    fs::copy(workspace.command(), composed(workspace, "esker-cli"))?;
    Ok(())
}

/// Makes target/esker-cli.wasm: the command line with a store, by the same tools.
pub fn command(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let parts = directory(workspace).join("parts");
    fs::create_dir_all(&parts)?;
    let part = parts.join("esker-command.wasm");
    component::build_command(workspace, toolchain, &part)?;
    plug(workspace, &part, Store::Kv, &workspace.command())
}

/// Plugs a store into a component.
fn plug(workspace: &Workspace, part: &Path, store: Store, finished: &Path) -> Result<()> {
    let plug = match store {
        Store::Kv => workspace.component(),
        Store::KeyValue => workspace.keyvalue(),
    };
    let mut wac = Command::new(WAC.program(workspace)?);
    process::run(wac.arg("plug").arg(part).arg("--plug").arg(plug).arg("-o").arg(finished))?;
    let bytes = fs::metadata(finished)?.len();
    eprintln!("    {} is {} KiB", workspace.shown(finished), bytes.div_ceil(1024));
    Ok(())
}

fn composed(workspace: &Workspace, name: &str) -> PathBuf {
    directory(workspace).join(format!("{name}.wasm"))
}

/// The test that plays the sessions of tests/composition.
pub fn sessions(workspace: &Workspace) -> Result<Command> {
    let mut cargo = process::cargo(workspace);
    cargo.arg("test").args(HOST_CRATES).args(["--features=esker-tests/examples", "--test", "composition"]);
    cargo.env("ESKER_BIN", workspace.binary()).env("ESKER_EXAMPLES", directory(workspace));
    let tools = WASMTIME.directory(workspace)?;
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(tools).chain(env::split_paths(&path)))?;
    cargo.env("PATH", path);
    Ok(cargo)
}

/// Where everything of the examples is made.
fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("examples")
}

/// The interfaces as one directory of files, for tools that follow no links out of it.
fn lay_out_interfaces(workspace: &Workspace) -> Result<()> {
    let laid_out = interfaces(workspace);
    if laid_out.exists() {
        fs::remove_dir_all(&laid_out)?;
    }
    copy_followed(&workspace.root.join("examples/wit"), &laid_out)
}

fn interfaces(workspace: &Workspace) -> PathBuf {
    directory(workspace).join("wit")
}

/// Copies a directory with what its links lead to.
fn copy_followed(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let path = entry?.path();
        let target = to.join(path.file_name().context("an entry has a name")?);
        if fs::metadata(&path)?.is_dir() {
            copy_followed(&path, &target)?;
        } else {
            fs::copy(&path, target)?;
        }
    }
    Ok(())
}
