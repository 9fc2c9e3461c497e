//! `cargo xtask fixture`: writes the stores of this version for later ones to be tried on (tests/fixtures/README.md).

use std::fs;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build::{self, HOST_CRATES};
use crate::process;
use crate::workspace::Workspace;

/// Builds the program that writes them, and runs it. What is there is never overwritten.
pub fn run(workspace: &Workspace) -> Result<()> {
    let fixtures = workspace.root.join("tests").join("fixtures");
    let dir = fixtures.join(env!("CARGO_PKG_VERSION"));
    if dir.exists() {
        bail!(
            "{} is there. If version {} was released, its files must stay as they are; if not, remove it first",
            dir.display(),
            env!("CARGO_PKG_VERSION")
        );
    }
    build::run(workspace, &build::Args { component_only: true, ..Default::default() })?;
    process::step("write the stores", || {
        process::run(
            process::cargo(workspace).arg("build").args(HOST_CRATES).args(["--bin", "esker-fixture"]),
        )?;
        let program = workspace.target.join("release").join("esker-fixture");
        process::run(Command::new(program).arg(&dir))?;
        for entry in fs::read_dir(&dir)? {
            println!("    {}", entry?.path().display());
        }
        Ok(())
    })
}
