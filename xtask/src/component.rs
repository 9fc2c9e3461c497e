//! The component: the core module that cargo builds, encoded to target/esker.wasm.
//!
//! ```text
//! component/  --cargo-->  esker_component.wasm (core module)  --wit-component-->  esker.wasm
//! ```
//!
//! The module is the same whoever builds it where: no path of the building machine gets into it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use wit_component::ComponentEncoder;

use crate::private_paths::{self, cargo_home};
use crate::process;
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::Workspace;

/// The cargo profile that the component is built with.
pub const PROFILE: &str = "component";

/// Builds the component.
pub fn build(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let target = ["--package=esker-component", "--lib"];
    build_target(workspace, toolchain, "wasm", &target, "esker_component.wasm", &workspace.component())
}

/// Builds the component that exports `wasi:keyvalue` as well. It has a directory of its own: to cargo both are one file,
/// and each would be compiled anew after the other.
pub fn build_keyvalue(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let target = ["--package=esker-component", "--lib", "--features=keyvalue"];
    let module = "esker_component.wasm";
    build_target(workspace, toolchain, "wasm-keyvalue", &target, module, &workspace.keyvalue())
}

/// Builds the component that checks the component's file system, for the tests.
pub fn build_conformance(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let target = ["--package=esker-component", "--example=conformance"];
    let module = "examples/conformance.wasm";
    build_target(workspace, toolchain, "wasm", &target, module, &workspace.conformance())
}

/// Builds the command line, which imports a store, as the component `finished`.
pub fn build_command(workspace: &Workspace, toolchain: &Toolchain, finished: &Path) -> Result<()> {
    let target = ["--package=esker-command", "--lib"];
    build_target(workspace, toolchain, "wasm", &target, "esker_command.wasm", finished)
}

/// Builds one target in a directory of target/, and makes a component of the module that
/// cargo leaves there.
fn build_target(
    workspace: &Workspace,
    toolchain: &Toolchain,
    directory: &str,
    target: &[&str],
    module: &str,
    finished: &Path,
) -> Result<()> {
    let mut cargo = toolchain.cargo(workspace);
    cargo
        .args(["build", "--locked"])
        .args(["--target", TARGET, "--profile", PROFILE])
        .args(target)
        .env("CARGO_TARGET_DIR", workspace.target.join(directory))
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(workspace, toolchain));
    process::run(&mut cargo)?;

    let module = workspace.target.join(directory).join(TARGET).join(PROFILE).join(module);
    encode_file(workspace, &module, finished)
}

/// Makes a component of the module that cargo left, and says how large it is. The file keeps its time of change if
/// its bytes have not changed, so that the host, which embeds one of them, is not built again for nothing.
pub fn encode_file(workspace: &Workspace, module: &Path, finished: &Path) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let component =
        encode(&bytes).with_context(|| format!("cannot make a component of {}", workspace.shown(module)))?;
    check_paths(workspace, &component)?;
    let changed = replace(finished, &component)?;
    eprintln!(
        "    {} is {} KiB{}",
        workspace.shown(finished),
        component.len().div_ceil(1024),
        if changed { "" } else { ", as before" }
    );
    Ok(())
}

/// The compiler flags of the component, in cargo's encoding for arguments that have spaces.
pub fn rustflags(workspace: &Workspace, toolchain: &Toolchain) -> OsString {
    // xxh3, the checksum of every block, is twice as fast with it, and every WASI host has it.
    let mut flags = OsString::from("-Ctarget-feature=+simd128");
    let own = [
        (workspace.root.clone(), "/esker"),
        (workspace.target.clone(), "/esker/target"),
        (toolchain.std_sources(), "/rust"),
    ];
    flags.push(private_paths::renamed(own));
    flags
}

/// Wraps a core module, which carries its WIT world in custom sections, into a component.
fn encode(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default().module(module)?.validate(true).encode()
}

/// Fails if the building machine shows through: then the same sources would give other bytes
/// elsewhere, and users would see directories that are not theirs.
fn check_paths(workspace: &Workspace, component: &[u8]) -> Result<()> {
    for path in [workspace.root.clone(), cargo_home().join("registry")] {
        let needle = path.to_string_lossy();
        let found = component.windows(needle.len()).any(|window| window == needle.as_bytes());
        ensure!(!found, "the component contains the path {needle}; see xtask/src/private_paths.rs");
    }
    Ok(())
}

/// Writes `path` by way of a temporary file, unless it has these bytes already. Returns whether it
/// was written.
fn replace(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;

    #[test]
    fn a_file_with_the_same_bytes_is_left_alone() {
        let path = env::temp_dir().join(format!("xtask-replace-{}.wasm", std::process::id()));
        assert!(replace(&path, b"one").unwrap());
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!replace(&path, b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
        assert!(replace(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(encode(b"not wasm").is_err());
    }
}
