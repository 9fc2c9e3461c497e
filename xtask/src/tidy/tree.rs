//! The source tree as the rules see it: paths and texts.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// All files of the project: those that git tracks, and new ones that it would track.
pub struct Tree {
    /// By path from the root, with `/` on every platform. `None` for a file that is not text.
    pub files: BTreeMap<String, Option<String>>,
}

/// One place that breaks a rule.
#[derive(Debug)]
pub struct Violation {
    pub path: String,
    /// Counted from 1.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

impl Tree {
    /// Reads the tree at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut git = Command::new("git");
        git.current_dir(root);
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let list = process::output(&mut git).context("tidy asks git for the project's files")?;
        let mut files = BTreeMap::new();
        for path in list.split_terminator('\0') {
            // A file that is in git's index may have been removed from the directory.
            if let Ok(bytes) = fs::read(root.join(path)) {
                files.insert(path.to_owned(), String::from_utf8(bytes).ok());
            }
        }
        Ok(Self { files })
    }

    /// A tree for a test.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let own = |(path, text): &(&str, &str)| ((*path).to_owned(), Some((*text).to_owned()));
        Self { files: files.iter().map(own).collect() }
    }

    /// The text files, with their paths.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// Whether there is a file or a directory at `path`.
    pub fn has(&self, path: &str) -> bool {
        let directory = format!("{path}/");
        path.is_empty()
            || self.files.contains_key(path)
            || self
                .files
                .range(directory.clone()..)
                .next()
                .is_some_and(|(next, _)| next.starts_with(&directory))
    }
}

/// Whether a text is kept as somebody else wrote it or as a program did: vendored interfaces, lock
/// files, test data.
pub fn is_foreign(path: &str) -> bool {
    path.ends_with(".lock")
        || path.ends_with("package-lock.json")
        || path.split('/').any(|part| matches!(part, "deps" | "testdata" | "fixtures"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_exist_by_their_files() {
        let tree = Tree::of(&[("docs/format.md", ""), ("docs-old.md", "")]);
        assert!(tree.has("docs") && tree.has("docs/format.md"));
        assert!(!tree.has("doc") && !tree.has("docs/format"));
    }
}
