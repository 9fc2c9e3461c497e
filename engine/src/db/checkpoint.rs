//! A checkpoint: the files that make up what a reader sees, as a store of their own.
//!
//! Tables are immutable, and the log is only appended to, so a state is a list of tables, the log up to a place, and a
//! manifest that names the tables. Whoever asks copies them, or links the tables, while the primary goes on; it may
//! remove a file before it was copied, and then the reader catches up and tells again.

use super::Reader;
use crate::base::file_name::FileName;
use crate::env::Fs;
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
    /// The primary may have removed some meanwhile: then catch up and ask again.
    pub fn checkpoint(&self) -> Checkpoint {
        let state = self.state();
        let mut bytes = Vec::new();
        let name = FileName::Manifest(self.epoch());
        Framer::new(name.record_number()).frame(&VersionEdit::from_state(state).encode(), &mut bytes);
        let table = |number: u64, size: u64| (FileName::Table(number).to_string(), size);
        let mut segments: Vec<_> =
            self.log_positions().map(|(number, end)| (FileName::Wal(number).to_string(), end)).collect();
        if segments.is_empty() {
            // Reading has not come to the segment with which the manifest says that the log begins: it adds nothing.
            segments.push((FileName::Wal(state.log).to_string(), 0));
        }
        Checkpoint {
            sequence: self.last_sequence(),
            manifest: (name.to_string(), bytes),
            tables: state.version.tables().map(|(_, meta)| table(meta.number, meta.size)).collect(),
            segments,
        }
    }
}
