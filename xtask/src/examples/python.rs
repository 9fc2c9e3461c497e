//! The example in Python: componentize-py from PyPI, in a virtual environment of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{apt, process};

/// Builds it into `parts`.
pub fn build(workspace: &Workspace, parts: &Path) -> Result<()> {
    let sources = workspace.root.join("examples/python");
    let environment = environment(workspace, &sources)?;
    let mut componentize = Command::new(environment.join("bin/componentize-py"));
    componentize.current_dir(&sources);
    componentize.arg("-d").arg(super::interfaces(workspace)).args([
        "-w",
        "journal",
        "componentize",
        "journal",
    ]);
    process::output(componentize.arg("-o").arg(parts.join("journal.wasm"))).map(drop)
}

/// The environment with what requirements.txt lists.
fn environment(workspace: &Workspace, sources: &Path) -> Result<PathBuf> {
    let environment = super::directory(workspace).join("python");
    let wanted = fs::read(sources.join("requirements.txt"))?;
    let stamp = environment.join("installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(environment);
    }
    eprintln!("    fetching componentize-py from PyPI, once");
    if make(&environment).is_err() {
        let lacking =
            "Python 3.10 or newer with its module venv is needed (Debian: apt-get install python3-venv)";
        apt::install(&["python3-venv"]).and_then(|()| make(&environment)).context(lacking)?;
    }
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    process::output(pip.arg(sources.join("requirements.txt")))?;
    fs::write(stamp, wanted)?;
    Ok(environment)
}

fn make(environment: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    process::output(python.args(["-m", "venv", "--clear"]).arg(environment)).map(drop)
}
