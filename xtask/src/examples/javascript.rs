//! The example in JavaScript: componentize-js and jco from npm, in the versions of the lock file.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::web::{npm, tools};
use crate::workspace::Workspace;

/// Builds it into `parts`.
pub fn build(workspace: &Workspace, parts: &Path) -> Result<()> {
    let directory = super::directory(workspace).join("javascript");
    let sources = workspace.root.join("examples/javascript");
    npm::install_listed(&sources, &directory, "componentize-js and jco")?;
    let mut node = Command::new(tools::node()?);
    // The tools are found from where the script is.
    std::fs::copy(sources.join("build.js"), directory.join("build.js"))?;
    node.arg(directory.join("build.js")).arg(sources.join("todo.js")).arg(super::interfaces(workspace));
    process::run(node.arg("todo").arg(parts.join("todo.wasm")))
}
