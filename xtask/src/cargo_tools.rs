//! Programs of others that cargo compiles: found where they may be, or else installed once, into target/tools.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::private_paths::cargo_home;
use crate::process;
use crate::workspace::Workspace;

/// How long cargo may take to compile one; on two cores it is some minutes.
const COMPILE_LIMIT: Duration = Duration::from_secs(40 * 60);

/// Runs components: `wasmtime run`. Only what that needs of its features, which takes half the time to compile.
pub const WASMTIME: Tool<'_> = Tool {
    package: "wasmtime-cli",
    version: "48.0.8",
    flags: &[
        "--locked",
        "--no-default-features",
        "--features=run,compile,component-model,parallel-compilation,pooling-allocator,cache",
    ],
    programs: &["wasmtime"],
};

/// Plugs components into one another: `wac plug`.
pub const WAC: Tool<'_> = Tool {
    package: "wac-cli",
    version: "0.12.0",
    flags: &["--locked", "--no-default-features", "--features=wit"],
    programs: &["wac"],
};

/// Programs of one package on crates.io.
pub struct Tool<'a> {
    /// The package.
    pub package: &'a str,
    /// Its version; no other will do.
    pub version: &'a str,
    /// Flags of `cargo install`.
    pub flags: &'a [&'a str],
    /// What it installs. Each answers `--version` with its name and the version.
    pub programs: &'a [&'a str],
}

impl Tool<'_> {
    /// The first of the programs, installed if it is nowhere.
    pub fn program(&self, workspace: &Workspace) -> Result<PathBuf> {
        Ok(self.directory(workspace)?.join(self.programs[0]))
    }

    /// A directory that holds all of the programs.
    pub fn directory(&self, workspace: &Workspace) -> Result<PathBuf> {
        let own = workspace.target.join("tools");
        let on_path: Vec<PathBuf> =
            env::var_os("PATH").map(|list| env::split_paths(&list).collect()).unwrap_or_default();
        let mut places = on_path.into_iter().chain([cargo_home().join("bin"), own.join("bin")]);
        match places.find(|place| self.is_in(place)) {
            Some(place) => Ok(place),
            None => self.install(workspace, &own),
        }
    }

    fn install(&self, workspace: &Workspace, own: &Path) -> Result<PathBuf> {
        let Self { package, version, .. } = self;
        eprintln!("    compiling {package} {version}, once: this takes some minutes");
        let mut cargo = process::cargo(workspace);
        cargo
            .args(["install", "--quiet", package, "--version", &format!("={version}"), "--root"])
            .arg(own)
            .args(self.flags)
            .env("CARGO_TARGET_DIR", own.join("build"))
            // Where no lock file says which: dependencies in versions that this compiler can build.
            .env("CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS", "fallback");
        match process::run_for(&mut cargo, COMPILE_LIMIT)? {
            Some(status) if status.success() => {}
            Some(status) => bail!("`cargo install {package} --version {version}` failed ({status})"),
            None => bail!("{package} was not compiled in {} minutes", COMPILE_LIMIT.as_secs() / 60),
        }
        fs::remove_dir_all(own.join("build"))?;
        let place = own.join("bin");
        ensure!(self.is_in(&place), "cargo left no {} {version} in {}", self.programs[0], place.display());
        Ok(place)
    }

    fn is_in(&self, directory: &Path) -> bool {
        self.programs.iter().all(|program| directory.join(program).is_file())
            && process::output(Command::new(directory.join(self.programs[0])).arg("--version"))
                .is_ok_and(|said| said.split_whitespace().nth(1) == Some(self.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_another_version_is_not_taken() {
        let tool = |version| Tool { package: "cargo", version, flags: &[], programs: &["cargo"] };
        let place = PathBuf::from(env!("CARGO")).parent().expect("a file is in a directory").to_owned();
        let said = process::output(Command::new(place.join("cargo")).arg("--version")).unwrap();
        let version = said.split_whitespace().nth(1).unwrap();
        assert!(tool(version).is_in(&place));
        assert!(!tool("0.0.1").is_in(&place));
        assert!(!Tool { programs: &["cargo", "no-such-program"], ..tool(version) }.is_in(&place));
    }
}
