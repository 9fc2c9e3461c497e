//! Where things are: the root of the source tree and the directory for everything that is built.

use std::env;
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context, Result};

/// The places that the commands work on. All paths are absolute.
pub struct Workspace {
    /// The directory of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target directory; nothing is written anywhere else.
    pub target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this program was built from. `CARGO_TARGET_DIR` is honoured, and
    /// handed to every child, so that parent and children agree on where results are.
    pub fn locate() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("the xtask package has no parent directory")?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(directory) if !directory.is_empty() => absolute(directory)?,
            _ => root.join("target"),
        };
        Ok(Self { root: root.to_owned(), target })
    }

    /// The finished component.
    pub fn component(&self) -> PathBuf {
        self.target.join("esker.wasm")
    }

    /// The command line as a component, composed with a store.
    pub fn command(&self) -> PathBuf {
        self.target.join("esker-cli.wasm")
    }

    /// The component that exports `wasi:keyvalue` as well.
    pub fn keyvalue(&self) -> PathBuf {
        self.target.join("esker-keyvalue.wasm")
    }

    /// The directory of the example's plugins.
    pub fn plugins(&self) -> PathBuf {
        self.target.join("plugins")
    }

    /// The component that checks the component's file system.
    pub fn conformance(&self) -> PathBuf {
        self.target.join("esker-conformance.wasm")
    }

    /// The finished command-line program.
    pub fn binary(&self) -> PathBuf {
        self.target.join("release").join(format!("esker{}", env::consts::EXE_SUFFIX))
    }

    /// `path` as a reader wants to see it: relative to where the command was started, if below.
    pub fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}
