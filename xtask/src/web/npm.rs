//! npm: what the tests need from it, and the package's tarball for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{package, tools};
use crate::process;
use crate::workspace::Workspace;

/// How long npm may take to fetch what a lock file lists; that is some 100 MB at most.
const FETCH_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Where [`install`] puts what it installs.
pub fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("web/npm")
}

/// Installs what web/npm/package-lock.json lists.
pub fn install(workspace: &Workspace) -> Result<()> {
    let sources = workspace.root.join("web/npm");
    install_listed(&sources, &directory(workspace), "playwright-core, vite and SQLite")
}

/// Installs in `directory` what the package-lock.json of `sources` lists: `what`, to people.
pub fn install_listed(sources: &Path, directory: &Path, what: &str) -> Result<()> {
    let wanted = fs::read(sources.join("package-lock.json"))?;
    let stamp = directory.join("installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    package::copy_directory(sources, directory)?;
    tools::node()?;
    eprintln!("    fetching {what} from npm, once");
    let mut npm = npm();
    npm.current_dir(directory).args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]);
    match process::run_for(npm.stdout(Stdio::null()), FETCH_LIMIT)? {
        Some(status) if status.success() => {}
        Some(status) => bail!("`npm ci` in {} failed ({status})", directory.display()),
        None => bail!("`npm ci` was not done in {} minutes", FETCH_LIMIT.as_secs() / 60),
    }
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Packs the package as npm would publish it: target/web/esker-VERSION.tgz.
pub fn pack(workspace: &Workspace) -> Result<PathBuf> {
    tools::node()?;
    let place = workspace.target.join("web");
    let mut npm = npm();
    npm.current_dir(&place).args(["pack", "--silent", "--ignore-scripts", "./package"]);
    let said = process::output(&mut npm)?;
    let tarball = place.join(said.lines().last().context("`npm pack` named no file")?);
    let bytes = fs::metadata(&tarball).with_context(|| format!("no {}", tarball.display()))?.len();
    eprintln!("    {} has {} KiB", workspace.shown(&tarball), bytes.div_ceil(1024));
    Ok(tarball)
}

/// npm, which asks nobody whether it is out of date.
fn npm() -> Command {
    let mut npm = Command::new("npm");
    npm.env("npm_config_update_notifier", "false").stdin(Stdio::null());
    npm
}
