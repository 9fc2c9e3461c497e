//! Where output goes: rows to a file that appears under its name only when it is whole, words
//! to standard error.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::failure::{Failure, Outcome};

/// How much is gathered before it is written.
pub const BUFFER_BYTES: usize = 128 * 1024;

/// A file in the making: it is written under another name beside its own and renamed when it is whole, so that
/// nobody ever sees half of it, not even after a kill. Dropped before [`PendingFile::commit`], it is removed.
pub struct PendingFile {
    target: PathBuf,
    temporary: PathBuf,
    committed: bool,
}

impl PendingFile {
    /// Begins the file that is to be `path`.
    pub fn create(path: &Path) -> Outcome<(Self, File)> {
        // A link stays a link: the file that it leads to is the one to replace.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = target
            .file_name()
            .ok_or_else(|| Failure::other(format!("{} is no file name", path.display())))?;
        let mut temporary_name = name.to_owned();
        temporary_name.push(format!(".{}.part", std::process::id()));
        let temporary = target.with_file_name(temporary_name);
        let file = File::create(&temporary).map_err(|cause| Failure::file("create", path, &cause))?;
        Ok((Self { target, temporary, committed: false }, file))
    }

    /// Makes the file durable and gives it its name.
    pub fn commit(mut self, file: &File) -> Outcome {
        file.sync_all().map_err(|cause| Failure::file("write to", &self.target, &cause))?;
        fs::rename(&self.temporary, &self.target)
            .map_err(|cause| Failure::file("create", &self.target, &cause))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        if !self.committed {
            // The failure that led here is what is reported; a leftover file does no harm.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Says something on standard error. Where nobody reads that any more, the command goes on all the same: `eprintln!`
/// would panic, and end an import in the middle.
pub fn tell(message: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// Whether rows can only be written straight to `path`: a terminal, a pipe, `/dev/null`.
pub fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file())
}
