//! The examples in Rust: a workspace of its own, compiled like the store's component and encoded likewise.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::Workspace;
use crate::{component, process};

/// The packages of examples/components.
const PACKAGES: [&str; 4] = ["word-counter", "page-views", "wasi-keyvalue-guest", "get-bench"];

/// Builds each into `parts`.
pub fn build(workspace: &Workspace, toolchain: &Toolchain, parts: &Path) -> Result<()> {
    let mut cargo = in_workspace(workspace, toolchain.cargo(workspace));
    cargo.args(["build", "--locked", "--quiet", "--release", "--target", TARGET]);
    process::run(cargo.env("CARGO_ENCODED_RUSTFLAGS", component::rustflags(workspace, toolchain)))?;
    for package in PACKAGES {
        let module = format!("{}.wasm", package.replace('-', "_"));
        let module = target(workspace).join(TARGET).join("release").join(module);
        component::encode_file(workspace, &module, &parts.join(format!("{package}.wasm")))?;
    }
    Ok(())
}

/// Clippy on them, by the host's compiler where the one for wasm has none.
pub fn clippy(workspace: &Workspace, toolchain: &Toolchain) -> Command {
    let mut cargo = if toolchain.has_clippy() {
        let mut cargo = in_workspace(workspace, toolchain.cargo(workspace));
        cargo.env("CARGO_ENCODED_RUSTFLAGS", component::rustflags(workspace, toolchain));
        cargo.args(["clippy", "--target", TARGET]);
        cargo
    } else {
        let mut cargo = host_cargo(workspace);
        cargo.arg("clippy");
        cargo
    };
    cargo.args(["--locked", "--quiet", "--release", "--", "-Dwarnings"]);
    cargo
}

/// The host's cargo in the examples' workspace.
pub fn host_cargo(workspace: &Workspace) -> Command {
    in_workspace(workspace, process::cargo(workspace))
}

fn in_workspace(workspace: &Workspace, mut cargo: Command) -> Command {
    cargo.current_dir(workspace.root.join("examples/components"));
    cargo.env("CARGO_TARGET_DIR", target(workspace));
    cargo
}

fn target(workspace: &Workspace) -> PathBuf {
    workspace.target.join("examples/cargo")
}
