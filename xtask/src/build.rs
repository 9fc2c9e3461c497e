//! `cargo xtask build`: target/esker.wasm, and target/release/esker with it embedded.
//!
//! With `--keyvalue` also target/esker-keyvalue.wasm, for compositions; with `--command` also target/esker-cli.wasm,
//! the command line for whoever has a runtime for WASI and nothing else.

use anyhow::{Result, ensure};

use crate::workspace::Workspace;
use crate::{component, examples, process, toolchain};

/// What the host's crates are to cargo, in every command: all packages but the guests' and the browser's,
/// which are built for wasm, this one, which is built in the `dev` profile (it runs at this moment), and the
/// simulator of compactions, whose libraries nothing else needs.
///
/// Compiling wasmtime takes minutes. Which features its dependencies get depends on the packages that are
/// chosen (the engine's cache switches on one of hashbrown's), so choosing the host alone here and all of
/// them for the tests would compile it twice, like another profile would.
pub const HOST_CRATES: [&str; 10] = [
    "--release",
    "--locked",
    "--workspace",
    "--exclude=esker-component",
    "--exclude=esker-command",
    "--exclude=esker-web",
    "--exclude=xtask",
    "--exclude=esker-compaction-sim",
    "--exclude=esker-plugin-guests",
    "--features=esker-tests/component",
];

/// What `build` can be told.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Build target/esker.wasm and leave the host alone
    #[arg(long)]
    pub component_only: bool,
    /// Build target/esker-keyvalue.wasm as well: the component that also exports wasi:keyvalue
    #[arg(long)]
    pub keyvalue: bool,
    /// Build target/esker-cli.wasm as well: the command line, composed with a store, for `wasmtime run`
    #[arg(long)]
    pub command: bool,
}

/// Builds the component and, unless told otherwise, the host.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let toolchain = process::step("find a compiler for wasm", || toolchain::find(workspace))?;
    process::step("build the component", || component::build(workspace, &toolchain))?;
    if args.keyvalue {
        process::step("build the component with wasi:keyvalue", || {
            component::build_keyvalue(workspace, &toolchain)
        })?;
    }
    if args.command {
        process::step("build the command line as a component", || examples::command(workspace, &toolchain))?;
    }
    if !args.component_only {
        process::step("build the host", || host(workspace))?;
    }
    Ok(())
}

/// Builds the `esker` program around the component.
pub fn host(workspace: &Workspace) -> Result<()> {
    process::run(process::cargo(workspace).arg("build").args(HOST_CRATES).args(["--bin", "esker"]))?;
    let binary = workspace.binary();
    ensure!(binary.is_file(), "the host crate left no {}", binary.display());
    eprintln!("    {} is ready", workspace.shown(&binary));
    Ok(())
}
