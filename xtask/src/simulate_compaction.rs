//! `cargo xtask simulate-compaction`: hands its arguments to the simulator, which is a crate of its own, since it
//! drives the engine's pickers.

use std::ffi::OsString;

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// How cargo is told which package the simulator is.
pub const PACKAGE: &str = "--package=esker-compaction-sim";

/// What the simulator can be told: it says so itself.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs the simulator.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let mut cargo = process::cargo(workspace);
    cargo.args(["run", "--release", "--quiet", "--locked", PACKAGE, "--"]).args(&args.arguments);
    process::run(&mut cargo)
}
