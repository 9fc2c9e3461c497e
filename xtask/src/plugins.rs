//! `cargo xtask plugins`: a program that runs two plugins on one store, one of which does its worst (`examples/plugin-host`).

use std::fs;

use anyhow::Result;

use crate::build::{self, HOST_CRATES};
use crate::toolchain::{self, TARGET, Toolchain};
use crate::workspace::Workspace;
use crate::{component, process};

/// The package of the plugins.
pub const PACKAGE: &str = "esker-plugin-guests";

/// The plugins, each a component.
const PLUGINS: [&str; 3] = ["orders", "intruder", "every_call"];

/// Builds everything, and runs the program.
pub fn run(workspace: &Workspace) -> Result<()> {
    build::run(workspace, &build::Args { component_only: true, ..Default::default() })?;
    let toolchain = toolchain::find(workspace)?;
    process::step("build the plugins", || build(workspace, &toolchain))?;
    process::step("build the program that runs them", || {
        process::run(process::cargo(workspace).arg("build").args(HOST_CRATES).args(["--bin", "plugin-host"]))
    })?;
    let program = workspace.binary().with_file_name(format!("plugin-host{}", std::env::consts::EXE_SUFFIX));
    process::run(std::process::Command::new(program).env("ESKER_PLUGINS", workspace.plugins()))
}

/// Builds the plugins.
pub fn build(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let mut cargo = toolchain.cargo(workspace);
    cargo.args(["build", "--locked", "--package", PACKAGE, "--examples"]);
    cargo.args(["--target", TARGET, "--profile", component::PROFILE]);
    process::run(cargo.env("CARGO_ENCODED_RUSTFLAGS", component::rustflags(workspace, toolchain)))?;
    let modules = workspace.target.join("wasm").join(TARGET).join(component::PROFILE).join("examples");
    fs::create_dir_all(workspace.plugins())?;
    for plugin in PLUGINS {
        let file = format!("{plugin}.wasm");
        component::encode_file(workspace, &modules.join(&file), &workspace.plugins().join(file))?;
    }
    Ok(())
}
