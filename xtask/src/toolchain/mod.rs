//! Who can compile for wasm32-unknown-unknown: finds such a compiler, or sets one up.
//!
//! In this order, the first that works:
//!
//! 1. a toolchain that has the target's standard library already (a few milliseconds);
//! 2. the one that step 4 laid out in an earlier run;
//! 3. `rustup target add`, for a minute at most; a failure is remembered for some hours;
//! 4. Debian's `rustc-web` with a standard library built here from `rust-web-src`, once.
//!
//! Neither the environment nor rustup's settings are changed, except that step 3 adds the target
//! to the toolchain in use.

#[cfg(target_os = "linux")]
mod debian;
mod rustup;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// The target that the component's core module is built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A compiler for [`TARGET`], and how to call it.
pub struct Toolchain {
    /// The cargo to use; `None` is the one that runs this program.
    cargo: Option<PathBuf>,
    /// Variables that select the compiler; `None` unsets one.
    env: Vec<(&'static str, Option<OsString>)>,
    /// The compiler's sysroot.
    sysroot: PathBuf,
}

impl Toolchain {
    /// A cargo that compiles for [`TARGET`] in a target directory of its own: its compiler may be
    /// another one than the host's, and the two must not invalidate each other's work.
    pub fn cargo(&self, workspace: &Workspace) -> Command {
        let mut command = match &self.cargo {
            None => process::cargo(workspace),
            Some(program) => {
                let mut command = Command::new(program);
                command.current_dir(&workspace.root);
                process::clean(&mut command, workspace);
                command
            }
        };
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("CARGO_TARGET_DIR", workspace.target.join("wasm"));
        command
    }

    /// Where this toolchain keeps the sources of the standard library, if it has them. Paths below
    /// it can end up in panic messages.
    pub fn std_sources(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust")
    }

    /// Whether clippy can check code for [`TARGET`].
    pub fn has_clippy(&self) -> bool {
        let program = format!("cargo-clippy{}", std::env::consts::EXE_SUFFIX);
        self.sysroot.join("bin").join(program).is_file()
    }
}

/// Finds a toolchain for [`TARGET`] or sets one up; fails with what the user can install.
pub fn find(workspace: &Workspace) -> Result<Toolchain> {
    if let Some(found) = ready(workspace) {
        return Ok(found);
    }
    let directory = workspace.target.join("wasm-toolchain");
    fs::create_dir_all(&directory)?;
    // Two commands started together set up one toolchain: the second waits, then finds it.
    let lock = File::create(directory.join("lock"))?;
    lock.lock()?;
    if let Some(found) = ready(workspace) {
        return Ok(found);
    }
    let rustup = match rustup::add_target(&directory) {
        Ok(()) => match rustup::installed() {
            Some(found) => return Ok(found),
            None => anyhow::anyhow!("rustup added the target, but no toolchain has it"),
        },
        Err(error) => error,
    };
    let debian = match make_debian(workspace, &directory) {
        Ok(made) => return Ok(made),
        Err(error) => error,
    };
    bail!(
        "no Rust compiler here can build for {TARGET}.\n\
         Install one of these, then run the command again:\n  \
           with rustup:         rustup target add {TARGET}\n  \
           on Debian, as root:  apt-get update && apt-get install --no-install-recommends \
         rustc-web cargo-web rust-web-src\n\
         What was tried:\n  \
           rustup: {rustup:#}\n  \
           Debian: {debian:#}"
    )
}

/// A toolchain that needs no work, if there is one.
fn ready(workspace: &Workspace) -> Option<Toolchain> {
    rustup::installed().or_else(|| ready_debian(workspace))
}

#[cfg(target_os = "linux")]
fn ready_debian(workspace: &Workspace) -> Option<Toolchain> {
    debian::ready(&workspace.target.join("wasm-toolchain"))
}

#[cfg(target_os = "linux")]
fn make_debian(workspace: &Workspace, directory: &Path) -> Result<Toolchain> {
    debian::make(workspace, directory)
}

#[cfg(not(target_os = "linux"))]
fn ready_debian(_: &Workspace) -> Option<Toolchain> {
    None
}

#[cfg(not(target_os = "linux"))]
fn make_debian(_: &Workspace, _: &Path) -> Result<Toolchain> {
    bail!("this is another system")
}

/// Whether `sysroot` has a standard library for [`TARGET`].
fn has_target(sysroot: &Path) -> bool {
    let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    fs::read_dir(libraries).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sysroot_has_the_target_when_it_has_its_std() {
        let sysroot = std::env::temp_dir().join(format!("xtask-sysroot-{}", std::process::id()));
        let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
        fs::create_dir_all(&libraries).unwrap();
        assert!(!has_target(&sysroot), "an empty directory is no library");
        fs::write(libraries.join("libcore-1.rlib"), "").unwrap();
        assert!(!has_target(&sysroot), "core alone is not enough");
        fs::write(libraries.join("libstd-1.rlib"), "").unwrap();
        assert!(has_target(&sysroot));
        fs::remove_dir_all(&sysroot).unwrap();
    }
}
