//! The live tables, by level.

use super::VersionEdit;
use crate::base::coding::{Decoder, put_bytes, put_varint};
use crate::base::error::{Error, Result};
use crate::base::file_name::{FileName, NUMBER_MAX};
use crate::base::key::{SEQUENCE_MAX, compare_bytes, is_internal_key, user_key};
use crate::sstable::Properties;
use std::sync::Arc;

/// The number of levels.
pub const LEVELS: usize = 7;
/// The largest size of a file and count of what it holds. Sums over a million files fit 64 bits then.
pub const COUNT_MAX: u64 = (1 << 44) - 1;

/// What is known of a table without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableMeta {
    /// The number in its name.
    pub number: u64,
    /// The file's length in bytes.
    pub size: u64,
    /// The number of entries, tombstones included.
    pub entries: u64,
    /// The number of tombstones.
    pub tombstones: u64,
    /// The number of different user keys.
    pub keys: u64,
    /// The number of data blocks.
    pub blocks: u64,
    /// The number of data blocks of which at least half of the entries are tombstones.
    pub tombstone_blocks: u64,
    /// The least sequence number.
    pub sequence_min: u64,
    /// The greatest sequence number.
    pub sequence_max: u64,
    /// The digest of its data blocks' checksums.
    pub digest: u64,
    /// The least internal key.
    pub smallest: Vec<u8>,
    /// The greatest internal key.
    pub largest: Vec<u8>,
}

impl TableMeta {
    /// Of the finished table `number`.
    pub fn new(number: u64, size: u64, properties: Properties) -> Self {
        Self {
            number,
            size,
            entries: properties.entries,
            tombstones: properties.tombstones,
            keys: properties.keys,
            blocks: properties.blocks,
            tombstone_blocks: properties.tombstone_blocks,
            sequence_min: properties.sequence_min,
            sequence_max: properties.sequence_max,
            digest: properties.digest,
            smallest: properties.smallest,
            largest: properties.largest,
        }
    }

    /// The table and its level as bytes (docs/format.md, *Manifest*).
    pub fn encode(&self, level: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let numbers = [
            level as u64,
            self.number,
            self.size,
            self.entries,
            self.tombstones,
            self.keys,
            self.blocks,
            self.tombstone_blocks,
            self.sequence_min,
            self.sequence_max,
            self.digest,
        ];
        for number in numbers {
            put_varint(&mut out, number);
        }
        put_bytes(&mut out, &self.smallest);
        put_bytes(&mut out, &self.largest);
        out
    }

    /// The level and the table in these bytes.
    pub fn decode(bytes: &[u8]) -> Option<(usize, Self)> {
        let mut decoder = Decoder::new(bytes);
        let level = decoder.varint32()? as usize;
        let table = Self {
            number: decoder.varint_up_to(NUMBER_MAX)?,
            size: decoder.varint_up_to(COUNT_MAX)?,
            entries: decoder.varint_up_to(COUNT_MAX)?,
            tombstones: decoder.varint_up_to(COUNT_MAX)?,
            keys: decoder.varint_up_to(COUNT_MAX)?,
            blocks: decoder.varint_up_to(COUNT_MAX)?,
            tombstone_blocks: decoder.varint_up_to(COUNT_MAX)?,
            sequence_min: decoder.varint_up_to(SEQUENCE_MAX)?,
            sequence_max: decoder.varint_up_to(SEQUENCE_MAX)?,
            digest: decoder.varint()?,
            smallest: decoder.bytes()?.to_vec(),
            largest: decoder.bytes()?.to_vec(),
        };
        let sound = decoder.is_empty() && is_internal_key(&table.smallest) && is_internal_key(&table.largest);
        sound.then_some((level, table))
    }

    /// The least user key.
    pub fn first_key(&self) -> &[u8] {
        user_key(&self.smallest)
    }

    /// The greatest user key.
    pub fn last_key(&self) -> &[u8] {
        user_key(&self.largest)
    }

    /// Whether the table's keys and `first..=last` have any in common.
    pub fn overlaps(&self, first: &[u8], last: &[u8]) -> bool {
        compare_bytes(self.first_key(), last).is_le() && compare_bytes(self.last_key(), first).is_ge()
    }
}

/// The live tables. Those of level 0 may overlap and stand newest first; those of a deeper level do not overlap
/// and stand in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version {
    levels: [Vec<Arc<TableMeta>>; LEVELS],
}

impl Version {
    /// The tables of a level.
    pub fn level(&self, level: usize) -> &[Arc<TableMeta>] {
        self.levels.get(level).map(Vec::as_slice).unwrap_or_default()
    }

    /// All tables with their levels.
    pub fn tables(&self) -> impl Iterator<Item = (usize, &Arc<TableMeta>)> {
        self.levels
            .iter()
            .enumerate()
            .flat_map(|(level, tables)| tables.iter().map(move |table| (level, table)))
    }

    /// The bytes of a level's tables.
    pub fn level_bytes(&self, level: usize) -> u64 {
        self.level(level).iter().map(|table| table.size).sum()
    }

    /// The deepest level that has tables; 0 where there are none.
    pub fn deepest(&self) -> usize {
        self.levels.iter().rposition(|tables| !tables.is_empty()).unwrap_or(0)
    }

    /// The tables of a level that have keys in `first..=last`.
    pub fn overlapping(&self, level: usize, first: &[u8], last: &[u8]) -> Vec<Arc<TableMeta>> {
        self.level(level).iter().filter(|table| table.overlaps(first, last)).cloned().collect()
    }

    /// The one table of a level below 0 that can hold `key`.
    #[inline]
    pub fn table_for(&self, level: usize, key: &[u8]) -> Option<&Arc<TableMeta>> {
        let tables = self.level(level);
        let at = tables.partition_point(|table| compare_bytes(table.last_key(), key).is_lt());
        tables.get(at).filter(|table| compare_bytes(table.first_key(), key).is_le())
    }

    /// The version after `edit`.
    ///
    /// # Errors
    ///
    /// `Bug` where the edit does not fit: it removes what is not there, or makes tables overlap.
    pub fn apply(&self, edit: &VersionEdit) -> Result<Self> {
        let mut next = self.clone();
        let mut moved: Vec<Arc<TableMeta>> = Vec::new();
        for &(level, number) in &edit.removed {
            let tables = next.levels.get_mut(level).ok_or_else(|| no_level(level))?;
            let before = tables.len();
            moved.extend(tables.iter().filter(|table| table.number == number).cloned());
            tables.retain(|table| table.number != number);
            if tables.len() == before {
                let name = FileName::Table(number);
                return Err(Error::bug(format!(
                    "an edit removes {name} from level {level}, where it is not"
                )));
            }
        }
        for (level, table) in &edit.added {
            // A table that only moves stays the same one: whoever counts its readers counts them all.
            let table = moved.iter().find(|known| *known == table).unwrap_or(table);
            next.insert(*level, Arc::clone(table))?;
        }
        Ok(next)
    }

    /// Puts a table into its place in a level.
    fn insert(&mut self, level: usize, table: Arc<TableMeta>) -> Result<()> {
        let tables = self.levels.get_mut(level).ok_or_else(|| no_level(level))?;
        let at = tables.partition_point(|other| match level {
            0 => (other.sequence_max, other.number) > (table.sequence_max, table.number),
            _ => other.first_key() <= table.first_key(),
        });
        let overlaps = |other: &&Arc<TableMeta>| other.overlaps(table.first_key(), table.last_key());
        let neighbours = [at.checked_sub(1), Some(at)].into_iter().flatten().filter_map(|at| tables.get(at));
        if level > 0
            && let Some(other) = neighbours.clone().find(overlaps)
        {
            let (other, table) = (FileName::Table(other.number), FileName::Table(table.number));
            return Err(Error::bug(format!("{table} overlaps {other} in level {level}")));
        }
        tables.insert(at, table);
        Ok(())
    }
}

fn no_level(level: usize) -> Error {
    Error::bug(format!("an edit names level {level}; there are {LEVELS}"))
}
