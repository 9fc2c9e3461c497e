//! A checkpoint: the files that make up what a reader sees, as a store of their own.
//!
//! Tables are immutable, and the log is only appended to, so a state is a list of tables, the log up to a place, and a
//! manifest that names the tables. Whoever asks copies them, or links the tables, while the primary goes on; it may
//! remove a file before it was copied, and then the reader catches up and tells again.

use super::Reader;
use crate::base::error::Result;
use crate::base::file_name::FileName;
use crate::env::{File, Fs};
use crate::record::Framer;
use crate::version::VersionEdit;

/// The files of a state. With these and no others a directory is a store that holds the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The sequence number of the last write in it.
    pub sequence: u64,
    /// The manifest's name and bytes; it is no file yet.
    pub manifest: (String, Vec<u8>),
    /// The tables' names and lengths.
    pub tables: Vec<(String, u64)>,
    /// The names of the log's segments, and how much of each belongs to the state.
    pub segments: Vec<(String, u64)>,
}

impl<F: Fs> Reader<F> {
    /// The files of the state that is seen.
    ///
    /// # Errors
    ///
    /// `NotFound` where the primary has removed one meanwhile: catch up and ask again; and those of the file system.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let state = self.state();
        let mut bytes = Vec::new();
        let name = FileName::Manifest(self.epoch());
        Framer::new(name.record_number()).frame(&VersionEdit::from_state(state).encode(), &mut bytes);
        let table = |number: u64, size: u64| (FileName::Table(number).to_string(), size);
        Ok(Checkpoint {
            sequence: self.last_sequence(),
            manifest: (name.to_string(), bytes),
            tables: state.version.tables().map(|(_, meta)| table(meta.number, meta.size)).collect(),
            segments: self.checkpoint_segments()?,
        })
    }

    fn checkpoint_segments(&self) -> Result<Vec<(String, u64)>> {
        let (last, end) = self.log_position();
        let first = self.state().log;
        // Reading has not come to the segment with which the manifest says that the log begins: it adds nothing.
        if last < first {
            return Ok(vec![(FileName::Wal(first).to_string(), 0)]);
        }
        let mut segments = Vec::new();
        for number in self.segments()?.into_iter().filter(|&number| number < last) {
            let name = FileName::Wal(number).to_string();
            let length = self.fs().open(&name)?.len()?;
            segments.push((name, length));
        }
        segments.sort_unstable();
        segments.push((FileName::Wal(last).to_string(), end));
        Ok(segments)
    }
}
