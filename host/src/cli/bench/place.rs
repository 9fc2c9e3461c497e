//! The directory that a bench works in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::tell;

/// The directory that a bench works in. A fresh one is removed when this is dropped.
pub struct Place {
    dir: PathBuf,
    /// What to remove in the end: the directory with all in it, and then those above it that were made for it.
    made: Vec<PathBuf>,
}

impl Place {
    /// The user's own directory, which stays.
    pub fn existing(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), made: Vec::new() }
    }

    /// A fresh directory under `parent`, which is made as well if it is missing.
    pub fn fresh(parent: &Path) -> Outcome<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("bench-{}-{number}", std::process::id()));
        let made = dir
            .ancestors()
            .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
            .map(Path::to_owned);
        let place = Self { made: made.collect(), dir };
        fs::create_dir_all(&place.dir).map_err(|cause| Failure::file("create", &place.dir, &cause))?;
        Ok(place)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The size of all files in it.
    pub fn bytes(&self) -> u64 {
        let Ok(entries) = fs::read_dir(&self.dir) else { return 0 };
        entries
            .flatten()
            .filter_map(|entry| entry.metadata().ok())
            .filter(fs::Metadata::is_file)
            .map(|file| file.len())
            .sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((dir, above)) = self.made.split_first() else { return };
        if let Err(cause) = fs::remove_dir_all(dir) {
            tell(format!("esker: cannot remove {}: {cause}", dir.display()));
        }
        // What somebody else put something into in the meantime stays.
        let _ = above.iter().try_for_each(fs::remove_dir);
    }
}
