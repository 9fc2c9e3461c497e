//! `cargo xtask build`: target/esker.wasm, and target/release/esker with it embedded.

use anyhow::{Result, ensure};

use crate::workspace::Workspace;
use crate::{component, process, toolchain};

/// What `build` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Build target/esker.wasm and leave the host alone
    #[arg(long)]
    pub component_only: bool,
}

/// Builds the component and, unless told otherwise, the host.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let toolchain = process::step("find a compiler for wasm", || toolchain::find(workspace))?;
    process::step("build the component", || component::build(workspace, &toolchain))?;
    if !args.component_only {
        process::step("build the host", || host(workspace))?;
    }
    Ok(())
}

/// Builds the `esker` program around the component.
pub fn host(workspace: &Workspace) -> Result<()> {
    process::run(process::cargo(workspace).args(["build", "--release", "--package", "esker-host"]))?;
    let binary = workspace.binary();
    ensure!(binary.is_file(), "the host crate left no {}", binary.display());
    eprintln!("    {} is ready", workspace.shown(&binary));
    Ok(())
}
