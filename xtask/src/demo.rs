//! `cargo xtask demo`: builds everything, then shows what was built.

use anyhow::Result;

use crate::build;
use crate::workspace::Workspace;

/// Builds the store and says where it is.
pub fn run(workspace: &Workspace) -> Result<()> {
    build::run(workspace, &build::Args { component_only: false })?;
    println!("The store is built: try {} --help", workspace.shown(&workspace.binary()));
    Ok(())
}
