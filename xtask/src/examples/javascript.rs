//! What JavaScript has to do with it: a component made of JavaScript, and the store's component made JavaScript. The
//! tools come from npm, in the versions of the lock file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::web::{npm, tools};
use crate::workspace::Workspace;

/// Builds the example into `parts`, and lays out the one that runs in Node.js.
pub fn build(workspace: &Workspace, parts: &Path) -> Result<()> {
    let directory = directory(workspace);
    let sources = workspace.root.join("examples/javascript");
    npm::install_listed(&sources, &directory, "componentize-js and jco")?;
    // The tools are found from where a script is.
    for script in ["build.js", "node.js"] {
        fs::copy(sources.join(script), directory.join(script))?;
    }
    let mut node = Command::new(tools::node()?);
    node.arg(directory.join("build.js")).arg(sources.join("todo.js")).arg(super::interfaces(workspace));
    process::run(node.arg("todo").arg(parts.join("todo.wasm")))?;
    transpile(workspace, &directory)
}

/// Makes JavaScript of the store's component.
fn transpile(workspace: &Workspace, directory: &Path) -> Result<()> {
    let mut jco = Command::new(directory.join("node_modules/.bin/jco"));
    jco.args(["transpile", "--quiet", "--name", "esker", "--out-dir"]).arg(directory.join("esker"));
    process::output(jco.arg(workspace.keyvalue())).map(drop)
}

fn directory(workspace: &Workspace) -> PathBuf {
    super::directory(workspace).join("javascript")
}
