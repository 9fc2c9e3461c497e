//! The demo's page, laid out as it is served: files only, and the package as a directory beside them.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::{npm, package};
use crate::names;
use crate::workspace::Workspace;

/// Where the page is laid out.
pub fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("web/site")
}

/// Lays the page out from web/demo, web/bench, the package and the names of Unicode's characters. The benchmark gets
/// SQLite where npm has brought it.
pub fn lay_out(workspace: &Workspace) -> Result<()> {
    let site = directory(workspace);
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    package::copy_directory(&workspace.root.join("web/demo"), &site)?;
    package::copy_directory(&workspace.root.join("web/bench"), &site.join("bench"))?;
    package::copy_directory(&package::directory(workspace), &site.join("esker"))?;
    let sqlite = npm::directory(workspace).join("node_modules/@sqlite.org/sqlite-wasm/dist");
    if sqlite.is_dir() {
        package::copy_directory(&sqlite, &site.join("bench/sqlite"))?;
    }
    fs::write(site.join("names.tsv"), names::for_page_tsv(&names::all()))?;
    eprintln!("    {} is ready to be served by any web server", workspace.shown(&site));
    Ok(())
}
