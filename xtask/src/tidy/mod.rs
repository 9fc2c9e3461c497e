//! `cargo xtask tidy`: the rules of the source tree that no compiler knows.
//!
//! | rule | file |
//! |---|---|
//! | a module of the engine uses only modules of lower rank | `ranks` |
//! | crates depend on each other only along the drawn arrows | `arrows` |
//! | no unfinished work, no trace of the machine that a file was written on | `words` |
//! | every source file opens with its documentation; no trailing white space | `text` |
//! | links between documents lead somewhere | `links` |
//!
//! Each rule is a function from a [`Tree`] to violations and reads no file itself, so that its tests
//! are small trees.

mod arrows;
mod links;
mod ranks;
mod text;
mod tree;
mod words;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use tree::{Tree, Violation};

type Rule = fn(&Tree) -> Vec<Violation>;

/// All the rules, in the order in which their violations are shown.
const RULES: [Rule; 5] = [ranks::check, arrows::check, words::check, text::check, links::check];

/// Checks the tree; prints each violation as `file:line: what`.
pub fn run(workspace: &Workspace) -> Result<()> {
    let tree = Tree::read(&workspace.root)?;
    let violations: Vec<_> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    for violation in &violations {
        eprintln!("{violation}");
    }
    match violations.len() {
        0 => Ok(()),
        1 => bail!("tidy found 1 violation"),
        count => bail!("tidy found {count} violations"),
    }
}
