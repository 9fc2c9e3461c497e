//! `cargo xtask sim`: the simulation with fresh seeds, for as long as one likes.
//!
//! The rounds themselves are in the `tests` package; this builds what they need and runs them.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::build::{self, HOST_CRATES};
use crate::process;
use crate::workspace::Workspace;

/// What `sim` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Go on for so many minutes
    #[arg(long, default_value = "1")]
    minutes: String,
    /// Use so many threads; all cores by default
    #[arg(long)]
    threads: Option<String>,
    /// Begin at this seed instead of a fresh one
    #[arg(long, value_name = "SEED")]
    from: Option<String>,
    /// Play one round again, as a failure names it: native:SEED, component:SEED
    #[arg(long, value_name = "ROUND", conflicts_with_all = ["minutes", "threads", "from"])]
    replay: Option<String>,
}

/// Builds the component and the simulation, and runs it. A clean run leaves a summary in the target directory.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build::run(workspace, &build::Args { component_only: true, ..Default::default() })?;
    let program = program(workspace)?;
    let mut command = std::process::Command::new(program);
    command.env("ESKER_COMPONENT", workspace.component());
    if let Some(round) = &args.replay {
        command.args(["--replay", round]);
    } else {
        let summary = workspace.target.join("sim-summary.txt");
        command.args(["--minutes", &args.minutes]).arg("--summary").arg(&summary);
        for (name, value) in [("--threads", &args.threads), ("--from", &args.from)] {
            command.args(value.iter().flat_map(|value| [name, value.as_str()]));
        }
    }
    if !command.status()?.success() {
        bail!("the simulation has failed; what it says is above");
    }
    Ok(())
}

/// Builds the program that plays rounds.
pub fn program(workspace: &Workspace) -> Result<PathBuf> {
    process::step("build the simulation", || {
        process::run(process::cargo(workspace).arg("build").args(HOST_CRATES).args(["--bin", "esker-sim"]))?;
        Ok(workspace.target.join("release").join(format!("esker-sim{}", std::env::consts::EXE_SUFFIX)))
    })
}
