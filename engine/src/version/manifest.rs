//! The manifest: a log of version edits, one file for each epoch.
//!
//! Opening a store as its primary takes the next epoch:
//!
//! 1. create the next epoch's manifest, empty: whoever was primary is fenced from here on;
//! 2. read the newest manifest that begins with a complete snapshot;
//! 3. recover the log, then write the complete state as the new manifest's first record;
//! 4. remove the older manifests, oldest first.
//!
//! A crash in between leaves an empty or torn manifest, which the next opening passes over.

use super::{State, VersionEdit};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::file_name::FileName;
use crate::env::{File, Fs};
use crate::record::{Framer, Item, RecordReader};
use std::sync::Arc;

/// The open manifest of a primary. After an error it must not be used again.
#[derive(Debug)]
pub struct Manifest<F: Fs> {
    fence: Fence<F>,
    file: F::File,
    framer: Framer,
}

/// Where a primary sees whether another one has replaced it.
#[derive(Debug)]
pub struct Fence<F> {
    fs: Arc<F>,
    epoch: u64,
}

/// What the manifests of a directory say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The state after the last edit; `None` where no manifest begins with a snapshot.
    pub state: Option<State>,
    /// The epoch whose manifest that was.
    pub epoch: u64,
    /// A torn end of that manifest: its file, the offset, and the reason.
    pub torn: Option<(String, u64, String)>,
}

impl<F: Fs> Manifest<F> {
    /// Takes `epoch` by creating its manifest.
    ///
    /// # Errors
    ///
    /// `Busy` where another primary takes it at the same time, and those of the file system.
    pub fn claim(fs: Arc<F>, epoch: u64) -> Result<Self> {
        let name = FileName::Manifest(epoch).to_string();
        let file = match fs.create(&name) {
            Ok(file) => file,
            Err(error) if *error.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!("another primary has just taken epoch {epoch} ({name}): it is opening the store"),
                ));
            }
            Err(error) => return Err(error),
        };
        fs.sync_dir()?;
        let framer = Framer::new(FileName::Manifest(epoch).record_number());
        Ok(Self { fence: Fence { fs, epoch }, file, framer })
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.fence.epoch
    }

    /// Where this primary sees whether another one has replaced it.
    pub fn fence(&self) -> &Fence<F> {
        &self.fence
    }

    /// Whether this is still the newest epoch.
    ///
    /// # Errors
    ///
    /// As [`Fence::check`].
    pub fn check_fence(&self) -> Result<()> {
        self.fence.check()
    }

    /// Checks that `epoch` is the newest in `fs`, for whoever is no primary: a worker, before it makes files.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where it is not, and those of the file system.
    pub fn check_newest(fs: &F, epoch: u64) -> Result<()> {
        let is_there = |epoch| fs.exists(&FileName::Manifest(epoch).to_string());
        if is_there(epoch)? && !is_there(epoch + 1)? {
            return Ok(());
        }
        let newest = fs.list()?.into_iter().filter_map(|name| match FileName::parse(&name) {
            Some(FileName::Manifest(epoch)) => Some(epoch),
            _ => None,
        });
        Err(Error::invalid(match newest.max() {
            None => "the directory holds no store".into(),
            Some(newest) if newest > epoch => format!(
                "it is from epoch {epoch} of its store, and the directory's store is at epoch {newest}: another \
                 primary has opened it since"
            ),
            Some(newest) => format!(
                "it is from epoch {epoch} of its store, and the directory's store is at epoch {newest} only: it is \
                 another one"
            ),
        }))
    }

    /// Appends an edit, after [`Manifest::sync`] of the one before. Files that it adds must be durable already, names
    /// included; files that it makes obsolete may be removed only after it is durable. A new primary that claims its
    /// epoch after this has returned reads the edit; one that has claimed it before may not.
    ///
    /// # Errors
    ///
    /// `Reopen` where another primary has taken over, and those of the file system.
    pub fn append(&mut self, edit: &VersionEdit) -> Result<()> {
        self.check_fence()?;
        let mut bytes = Vec::new();
        self.framer.frame(&edit.encode(), &mut bytes);
        self.file.append(&bytes)?;
        self.check_fence()
    }

    /// Makes every edit durable.
    ///
    /// # Errors
    ///
    /// `Reopen` where another primary has taken over, and those of the file system.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync()?;
        self.check_fence()
    }

    /// Reads the newest manifest of `epochs` (ascending) that begins with a complete snapshot.
    ///
    /// # Errors
    ///
    /// `Corrupt` where an edit is damaged and others follow it, or where no manifest begins with a snapshot though
    /// one has bytes that were not torn off; `CannotOpen` for a newer format; and those of the file system.
    pub fn load(fs: &Arc<F>, epochs: &[u64]) -> Result<Loaded> {
        let mut passed_over = None;
        for &epoch in epochs.iter().rev() {
            let loaded = load_one(fs, epoch)?;
            if loaded.state.is_some() {
                return Ok(loaded);
            }
            passed_over = passed_over.or(loaded.torn);
        }
        Ok(Loaded { state: None, epoch: 0, torn: passed_over })
    }
}

impl<F: Fs> Fence<F> {
    /// Whether the epoch is still the newest.
    ///
    /// # Errors
    ///
    /// `Reopen` where it is not, and those of the file system.
    pub fn check(&self) -> Result<()> {
        let (own, next) =
            (FileName::Manifest(self.epoch).to_string(), FileName::Manifest(self.epoch + 1).to_string());
        if self.fs.exists(&own)? && !self.fs.exists(&next)? {
            return Ok(());
        }
        Err(Error::reopen(format!(
            "another primary has taken over the store (epoch {} after this one's {}): this handle writes no more",
            self.epoch + 1,
            self.epoch
        )))
    }

    /// Where a file is missing or damaged because another primary has taken the store over, says that instead.
    pub fn explain(&self, error: Error) -> Error {
        if !error.is_corrupt() {
            return error;
        }
        match self.check() {
            Err(fenced) if *fenced.kind() == ErrorKind::Reopen => fenced,
            _ => error,
        }
    }
}

impl<F> Clone for Fence<F> {
    fn clone(&self) -> Self {
        Self { fs: Arc::clone(&self.fs), epoch: self.epoch }
    }
}

fn load_one<F: Fs>(fs: &Arc<F>, epoch: u64) -> Result<Loaded> {
    let name = FileName::Manifest(epoch).to_string();
    let mut reader = RecordReader::new(fs.open(&name)?, FileName::Manifest(epoch).record_number());
    let mut loaded = Loaded { state: None, epoch, torn: None };
    loop {
        match reader.read()? {
            Item::End { .. } => return Ok(loaded),
            Item::Damage { offset, reason, .. } => {
                loaded.torn = loaded.torn.or(Some((name.clone(), offset, reason)))
            }
            Item::Record { offset } => {
                if let Some((file, offset, reason)) = loaded.torn {
                    return Err(Error::corrupt(file, offset, format!("{reason}, and sound edits follow")));
                }
                let edit =
                    VersionEdit::decode(reader.payload()).map_err(|error| error.at(name.clone(), offset))?;
                let state = match &loaded.state {
                    Some(state) if !edit.snapshot => edit.apply(state),
                    None => edit.to_state().unwrap_or_else(|| Err(Error::bug("no snapshot"))),
                    Some(_) => Err(Error::bug("a second snapshot")),
                };
                loaded.state = Some(state.map_err(|error| misfit(name.clone(), offset, &error))?);
            }
        }
    }
}

/// An edit that a manifest holds and that does not fit the state before it is damage, whatever its checksum says.
pub fn misfit(file: String, offset: u64, error: &Error) -> Error {
    Error::corrupt(file, offset, format!("the edit does not fit: {}", error.message()))
}

#[cfg(test)]
mod tests {
    use super::super::Version;
    use super::*;
    use crate::env::MemFs;

    fn state(log: u64) -> State {
        State { version: Arc::new(Version::default()), log, flushed: 5, next_file: 9 }
    }

    fn edit(log: u64) -> VersionEdit {
        VersionEdit { log: Some(log), ..VersionEdit::default() }
    }

    fn manifest(fs: &Arc<MemFs>, epoch: u64) -> Manifest<MemFs> {
        let mut manifest = Manifest::claim(Arc::clone(fs), epoch).expect("free");
        manifest.append(&VersionEdit::from_state(&state(1))).expect("in memory");
        manifest
    }

    #[test]
    fn edits_read_back() {
        let fs = Arc::new(MemFs::new());
        let mut manifest = manifest(&fs, 3);
        manifest.append(&edit(7)).expect("in memory");
        manifest.append(&edit(8)).expect("in memory");
        let loaded = Manifest::load(&fs, &[3]).expect("sound");
        assert_eq!(loaded, Loaded { state: Some(state(8)), epoch: 3, torn: None });
    }

    #[test]
    fn an_epoch_without_a_snapshot_is_passed_over() {
        let fs = Arc::new(MemFs::new());
        manifest(&fs, 3);
        Manifest::claim(Arc::clone(&fs), 4).expect("free");
        let loaded = Manifest::load(&fs, &[3, 4]).expect("sound");
        assert_eq!((loaded.epoch, loaded.state), (3, Some(state(1))));
    }

    #[test]
    fn a_torn_end_ends_the_log_and_damage_before_the_end_is_an_error() {
        let fs = Arc::new(MemFs::new());
        let mut manifest = manifest(&fs, 3);
        let first = fs.bytes("000003.manifest").expect("there").len();
        manifest.append(&edit(7)).expect("in memory");
        let second = fs.bytes("000003.manifest").expect("there").len();
        manifest.append(&edit(8)).expect("in memory");
        fs.damage("000003.manifest", |bytes| bytes[second + 8] ^= 1).expect("there");
        let loaded = Manifest::load(&fs, &[3]).expect("a torn end");
        assert_eq!(loaded.state, Some(state(7)));
        assert_eq!(loaded.torn.map(|(_, offset, _)| offset), Some(second as u64));
        fs.damage("000003.manifest", |bytes| {
            bytes[second + 8] ^= 1;
            bytes[first + 8] ^= 1;
        })
        .expect("there");
        let error = Manifest::load(&fs, &[3]).expect_err("damage in the middle");
        assert!(error.to_string().contains("000003.manifest is damaged at offset"), "{error}");
    }

    #[test]
    fn a_new_epoch_fences_the_old_one() {
        let fs = Arc::new(MemFs::new());
        let mut old = manifest(&fs, 3);
        old.check_fence().expect("newest");
        let new = Manifest::claim(Arc::clone(&fs), 4).expect("free");
        assert_eq!(*old.append(&edit(7)).expect_err("fenced").kind(), ErrorKind::Reopen);
        new.check_fence().expect("newest");
        assert_eq!(*Manifest::claim(Arc::clone(&fs), 4).expect_err("taken").kind(), ErrorKind::Busy);
        fs.remove("000003.manifest").expect("there");
        fs.remove("000004.manifest").expect("there");
        assert!(old.check_fence().is_err(), "its own manifest is gone");
    }
}
