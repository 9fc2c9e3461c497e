//! One change of the set of live tables, and its encoding (docs/format.md, *Manifest*).

use super::{State, TableMeta, Version};
use crate::base::coding::{Decoder, put_bytes, put_varint};
use crate::base::error::{Error, Result};
use crate::base::file_name::NUMBER_MAX;
use crate::base::key::SEQUENCE_MAX;
use std::sync::Arc;

/// ON DISK: the directory's format version.
const FORMAT_VERSION: u64 = 1;
/// ON DISK: the first bytes of a snapshot field.
const MAGIC: &[u8] = b"eskerkv";

/// ON DISK: the tags of fields.
mod tag {
    pub const SNAPSHOT: u64 = 1;
    pub const LOG: u64 = 2;
    pub const FLUSHED: u64 = 4;
    pub const NEXT_FILE: u64 = 6;
    pub const REMOVED: u64 = 3;
    pub const ADDED: u64 = 5;
}

/// One change. Fields that are `None` stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionEdit {
    /// Whether this is the complete state, not a change.
    pub snapshot: bool,
    /// See [`State::log`].
    pub log: Option<u64>,
    /// See [`State::flushed`].
    pub flushed: Option<u64>,
    /// See [`State::next_file`].
    pub next_file: Option<u64>,
    /// Tables that are no longer live: level and number.
    pub removed: Vec<(usize, u64)>,
    /// Tables that are live from now on, with their level.
    pub added: Vec<(usize, Arc<TableMeta>)>,
}

/// Why bytes are no edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditError {
    /// They make no sense.
    Malformed,
    /// They are of a newer format: what they have that is unknown.
    Newer(String),
}

impl VersionEdit {
    /// The edit that makes `state` from nothing.
    pub fn from_state(state: &State) -> Self {
        Self {
            snapshot: true,
            log: Some(state.log),
            flushed: Some(state.flushed),
            next_file: Some(state.next_file),
            removed: Vec::new(),
            added: state.version.tables().map(|(level, table)| (level, Arc::clone(table))).collect(),
        }
    }

    /// The state after the edit.
    ///
    /// # Errors
    ///
    /// `Bug` where the edit does not fit the state.
    pub fn apply(&self, state: &State) -> Result<State> {
        Ok(State {
            version: Arc::new(state.version.apply(self)?),
            log: self.log.unwrap_or(state.log),
            flushed: self.flushed.unwrap_or(state.flushed),
            next_file: self.next_file.unwrap_or(state.next_file),
        })
    }

    /// The state that a snapshot edit holds; `None` where it is no complete one.
    pub fn to_state(&self) -> Option<Result<State>> {
        if !self.snapshot || !self.removed.is_empty() {
            return None;
        }
        let state = State {
            version: Arc::new(Version::default()),
            log: self.log?,
            flushed: self.flushed?,
            next_file: self.next_file?,
        };
        Some(self.apply(&state))
    }

    /// The edit as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.snapshot {
            let mut field = MAGIC.to_vec();
            put_varint(&mut field, FORMAT_VERSION);
            put_varint(&mut out, tag::SNAPSHOT);
            put_bytes(&mut out, &field);
        }
        for (tag, value) in
            [(tag::LOG, self.log), (tag::FLUSHED, self.flushed), (tag::NEXT_FILE, self.next_file)]
        {
            if let Some(value) = value {
                put_varint(&mut out, tag);
                put_varint(&mut out, value);
            }
        }
        for &(level, number) in &self.removed {
            let mut field = Vec::new();
            put_varint(&mut field, level as u64);
            put_varint(&mut field, number);
            put_varint(&mut out, tag::REMOVED);
            put_bytes(&mut out, &field);
        }
        for (level, table) in &self.added {
            put_varint(&mut out, tag::ADDED);
            put_bytes(&mut out, &table.encode(*level));
        }
        out
    }

    /// The edit in these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, EditError> {
        let mut edit = Self::default();
        let mut decoder = Decoder::new(bytes);
        while !decoder.is_empty() {
            edit.decode_field(&mut decoder)?;
        }
        Ok(edit)
    }

    fn decode_field(&mut self, decoder: &mut Decoder<'_>) -> Result<(), EditError> {
        let tag = decoder.varint().ok_or(EditError::Malformed)?;
        if tag % 2 == 0 {
            let mut value = |max| decoder.varint_up_to(max).ok_or(EditError::Malformed);
            match tag {
                tag::LOG => self.log = Some(value(NUMBER_MAX)?),
                tag::FLUSHED => self.flushed = Some(value(SEQUENCE_MAX)?),
                tag::NEXT_FILE => self.next_file = Some(value(NUMBER_MAX)?),
                unknown => return Err(EditError::Newer(format!("a field with tag {unknown}"))),
            }
            return Ok(());
        }
        let field = decoder.bytes().ok_or(EditError::Malformed)?;
        match tag {
            tag::SNAPSHOT => {
                decode_snapshot(field)?;
                self.snapshot = true;
            }
            tag::REMOVED => self.removed.push(decode_removed(field).ok_or(EditError::Malformed)?),
            tag::ADDED => {
                let (level, table) = TableMeta::decode(field).ok_or(EditError::Malformed)?;
                self.added.push((level, Arc::new(table)));
            }
            unknown => return Err(EditError::Newer(format!("a field with tag {unknown}"))),
        }
        Ok(())
    }
}

impl EditError {
    /// As an error about `file` at `offset`.
    pub fn at(self, file: String, offset: u64) -> Error {
        match self {
            Self::Malformed => Error::corrupt(file, offset, "a version edit is malformed"),
            Self::Newer(what) => Error::cannot_open(format!(
                "{file} has {what} at offset {offset}; this build reads format version {FORMAT_VERSION}: use a newer Esker"
            )),
        }
    }
}

fn decode_snapshot(field: &[u8]) -> Result<(), EditError> {
    let version = field.strip_prefix(MAGIC).and_then(|rest| Decoder::new(rest).varint());
    match version {
        Some(FORMAT_VERSION) => Ok(()),
        Some(newer) => Err(EditError::Newer(format!("format version {newer}"))),
        None => Err(EditError::Malformed),
    }
}

fn decode_removed(field: &[u8]) -> Option<(usize, u64)> {
    let mut decoder = Decoder::new(field);
    let removed = (decoder.varint32()? as usize, decoder.varint_up_to(NUMBER_MAX)?);
    decoder.is_empty().then_some(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::{Kind, internal_key, trailer};

    fn table(number: u64, first: &str, last: &str) -> Arc<TableMeta> {
        Arc::new(TableMeta {
            number,
            size: 1000 + number,
            entries: 10,
            tombstones: 1,
            keys: 9,
            blocks: 3,
            tombstone_blocks: 0,
            sequence_min: number * 10,
            sequence_max: number * 10 + 9,
            digest: u64::MAX - number,
            smallest: internal_key(first.as_bytes(), trailer(number * 10, Kind::Put)),
            largest: internal_key(last.as_bytes(), trailer(number * 10 + 1, Kind::Delete)),
        })
    }

    fn state() -> State {
        let edit = VersionEdit {
            snapshot: true,
            log: Some(7),
            flushed: Some(99),
            next_file: Some(12),
            removed: vec![],
            added: vec![
                (0, table(5, "a", "m")),
                (0, table(6, "b", "z")),
                (1, table(4, "n", "p")),
                (1, table(3, "a", "c")),
            ],
        };
        edit.to_state().expect("complete").expect("fits")
    }

    #[test]
    fn a_state_reads_back() {
        let edit = VersionEdit::from_state(&state());
        let again = VersionEdit::decode(&edit.encode()).expect("sound");
        assert_eq!(again, edit);
        assert_eq!(again.to_state().expect("complete").expect("fits"), state());
    }

    #[test]
    fn levels_are_ordered() {
        let numbers =
            |level: usize| state().version.level(level).iter().map(|table| table.number).collect::<Vec<_>>();
        assert_eq!(numbers(0), [6, 5], "newest first");
        assert_eq!(numbers(1), [3, 4], "by key");
        assert_eq!(state().version.table_for(1, b"b").map(|table| table.number), Some(3));
        assert_eq!(state().version.table_for(1, b"d").map(|table| table.number), None);
    }

    #[test]
    fn an_edit_that_does_not_fit_is_refused() {
        let version = state().version;
        let removes = VersionEdit { removed: vec![(1, 5)], ..VersionEdit::default() };
        assert!(version.apply(&removes).is_err(), "table 5 is in level 0");
        let overlaps = VersionEdit { added: vec![(1, table(9, "c", "d"))], ..VersionEdit::default() };
        assert!(version.apply(&overlaps).is_err());
    }

    #[test]
    fn bytes_that_are_no_edit_are_refused() {
        let bytes = VersionEdit::from_state(&state()).encode();
        for at in 0..bytes.len() {
            // Whatever comes out must come out without a panic.
            let _outcome = VersionEdit::decode(bytes.get(..at).unwrap_or_default());
        }
        let mut newer = Vec::new();
        put_varint(&mut newer, 100);
        put_varint(&mut newer, 1);
        assert!(matches!(VersionEdit::decode(&newer), Err(EditError::Newer(_))));
        let mut field = MAGIC.to_vec();
        put_varint(&mut field, FORMAT_VERSION + 1);
        let mut newer = vec![tag::SNAPSHOT as u8];
        put_bytes(&mut newer, &field);
        assert!(matches!(VersionEdit::decode(&newer), Err(EditError::Newer(_))));
    }
}
