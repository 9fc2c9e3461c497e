//! Backups: a copy of a store in another directory, made while a primary may write.
//!
//! A reader says which files make up what it sees; they are copied, or the tables linked, natively. Where the primary
//! removes one before it was copied, the reader catches up and says anew. All is put together under another name and
//! renamed when it is durable, so that a directory with the backup's name is whole.

use crate::error::{Error, Result};
use crate::reader::Reader;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// So often a backup is begun anew where the primary removes what it needs.
const ATTEMPTS: u32 = 100;

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The sequence number of the last write in it.
    pub sequence: u64,
    /// How many tables it has.
    pub tables: u64,
    /// The bytes of all its files.
    pub bytes: u64,
    /// The bytes that are shared with the store by hard links.
    pub linked_bytes: u64,
}

/// A file of a state, and how much of it belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateFile {
    pub name: String,
    pub bytes: u64,
}

/// The files of a state.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub sequence: u64,
    pub manifest: (String, Vec<u8>),
    pub tables: Vec<StateFile>,
    pub segments: Vec<StateFile>,
}

/// Makes a backup of what `reader` sees in the directory `from`.
pub(crate) fn make(reader: &Reader, from: &Path, to: &Path, hard_links: bool) -> Result<Backup> {
    check_free(to)?;
    let part = PartialBackup::begin(to)?;
    for _ in 0..ATTEMPTS {
        match part.fill(&reader.checkpoint()?, from, hard_links) {
            Ok(backup) => {
                part.finish(to)?;
                return Ok(backup);
            }
            Err(Trouble::Removed) => {
                part.clear()?;
                reader.catch_up()?;
            }
            Err(Trouble::Other(error)) => return Err(error),
        }
    }
    Err(Error::Busy(format!(
        "the primary has removed files before they were copied {ATTEMPTS} times in a row: try again when it has less to \
         do, or with hard links"
    )))
}

/// A backup goes into a directory of its own.
fn check_free(to: &Path) -> Result<()> {
    let error = |message: &str| Err(Error::Directory { path: to.to_path_buf(), message: message.into() });
    match fs::read_dir(to) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => {
            error("it is there and no directory: a backup makes a directory of its own")
        }
        Err(cause) => error(&format!("it cannot be read: {cause}")),
        Ok(entries) => match entries.count() {
            0 => Ok(()),
            _ => error("there is something in it: a backup makes a directory of its own"),
        },
    }
}

/// Why files could not be copied.
enum Trouble {
    /// The primary has removed one.
    Removed,
    Other(Error),
}

/// A backup on its way, in a directory of another name. Dropped before its end it goes.
struct PartialBackup {
    dir: PathBuf,
}

impl PartialBackup {
    fn begin(to: &Path) -> Result<Self> {
        let mut name = to.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".part-{}", std::process::id()));
        let part = Self { dir: to.with_file_name(name) };
        part.clear()?;
        Ok(part)
    }

    /// Makes the directory, empty.
    fn clear(&self) -> Result<()> {
        if self.dir.exists() {
            fs::remove_dir_all(&self.dir).map_err(|cause| failed("remove", &self.dir, &cause))?;
        }
        fs::create_dir_all(&self.dir).map_err(|cause| failed("make", &self.dir, &cause))
    }

    fn fill(&self, state: &Checkpoint, from: &Path, hard_links: bool) -> Result<Backup, Trouble> {
        let (name, manifest) = &state.manifest;
        let mut backup = Backup {
            sequence: state.sequence,
            tables: state.tables.len() as u64,
            bytes: manifest.len() as u64,
            linked_bytes: 0,
        };
        for file in &state.tables {
            let linked =
                hard_links && fs::hard_link(from.join(&file.name), self.dir.join(&file.name)).is_ok();
            if linked {
                backup.linked_bytes += file.bytes;
            } else {
                self.copy(file, from)?;
            }
            backup.bytes += file.bytes;
        }
        for file in &state.segments {
            self.copy(file, from)?;
            backup.bytes += file.bytes;
        }
        let path = self.dir.join(name);
        let written = fs::write(&path, manifest).and_then(|()| File::open(&path)?.sync_all());
        written.map_err(|cause| Trouble::Other(failed("write", &path, &cause)))?;
        Ok(backup)
    }

    /// Copies the part of a file that belongs to the state.
    fn copy(&self, file: &StateFile, from: &Path) -> Result<(), Trouble> {
        let (source, copy) = (from.join(&file.name), self.dir.join(&file.name));
        let opened = match File::open(&source) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(Trouble::Removed),
            opened => opened.map_err(|cause| Trouble::Other(failed("read", &source, &cause)))?,
        };
        let copied = File::create(&copy).and_then(|mut target| {
            let copied = io::copy(&mut opened.take(file.bytes), &mut target)?;
            target.sync_all()?;
            Ok(copied)
        });
        match copied {
            Ok(bytes) if bytes == file.bytes => Ok(()),
            Ok(bytes) => Err(Trouble::Other(Error::Io(format!(
                "{} has {bytes} bytes, and {} of them belong to the store's state: is somebody else changing it?",
                source.display(),
                file.bytes
            )))),
            Err(cause) => Err(Trouble::Other(failed("write", &copy, &cause))),
        }
    }

    /// Gives the backup its name, when all of it is durable.
    fn finish(self, to: &Path) -> Result<()> {
        let sync = |dir: &Path| File::open(dir).and_then(|dir| dir.sync_all());
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync(&self.dir).map_err(|cause| failed("sync", &self.dir, &cause))?;
        // Takes the place of an empty directory.
        fs::rename(&self.dir, to).map_err(|cause| failed("rename", &self.dir, &cause))?;
        sync(parent).map_err(|cause| failed("sync", parent, &cause))
    }
}

impl Drop for PartialBackup {
    fn drop(&mut self) {
        // After its end it is not there any more.
        let _whoever_looks_sees_by_its_name_what_it_is = fs::remove_dir_all(&self.dir);
    }
}

fn failed(action: &str, path: &Path, cause: &io::Error) -> Error {
    let message = format!("cannot {action} {}: {cause}", path.display());
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace(message),
        _ => Error::Io(message),
    }
}
