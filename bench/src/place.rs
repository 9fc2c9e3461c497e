//! The directory that a store works in: a fresh one each time, removed with all in it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// A directory that is removed when this is dropped.
pub struct Place(PathBuf);

impl Place {
    /// A fresh directory under `parent`, or where the system keeps temporary files.
    pub fn fresh(parent: Option<&Path>) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let dir = parent.join(format!("esker-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        Ok(Self(dir))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// What the files in it take on the disk, in bytes: holes and what is only allocated are counted as the file system
    /// counts them.
    pub fn bytes(&self) -> u64 {
        bytes_below(&self.0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(cause) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {cause}", self.0.display());
        }
    }
}

fn bytes_below(dir: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |path: PathBuf| match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => bytes_below(&path),
        Ok(metadata) => metadata.blocks() * BLOCK,
        // Removed since the directory was read.
        Err(_) => 0,
    };
    entries.flatten().map(|entry| size(entry.path())).sum()
}
