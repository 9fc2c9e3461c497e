//! Reads every file and checks every checksum, order and reference.

use super::Db;
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::base::key::{Kind, compare, is_internal_key, kind_of, sequence_of, split};
use crate::env::{Clock, Fs};
use crate::iter::InternalIterator;
use crate::record::{Item, RecordReader};
use crate::sstable::{BlockCache, ReadMode, Table};
use crate::version::TableMeta;
use std::sync::Arc;

/// What [`Db::verify`] has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Entries seen in tables.
    pub entries: u64,
    /// Every problem: file, offset, what is wrong. Empty means that all is well.
    pub problems: Vec<String>,
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// Reads every file and checks every checksum, order and reference. Damage is an answer, not an error.
    ///
    /// # Errors
    ///
    /// Those of the file system, and `Reopen` after [`Db::close`].
    pub fn verify(&self) -> Result<Verification> {
        self.check_open()?;
        let mut found = Verification::default();
        for (level, table) in self.view.version.tables() {
            found.files += 1;
            found.bytes += table.size;
            if let Err(error) = self.verify_table(table, &mut found.entries) {
                found.note(&error.context(format!("level {level}")))?;
            }
        }
        for level in 1..crate::version::LEVELS {
            for pair in self.view.version.level(level).windows(2) {
                if let [left, right] = pair
                    && left.last_key() >= right.first_key()
                {
                    found.problems.push(format!(
                        "{} and {} overlap in level {level}",
                        FileName::Table(left.number),
                        FileName::Table(right.number)
                    ));
                }
            }
        }
        for &segment in self.segments.iter().chain([&self.wal.number()]) {
            // An old segment may have been damaged before recovery set its contents aside.
            if segment >= self.state.log {
                self.verify_log(FileName::Wal(segment), &mut found)?;
            }
        }
        self.verify_log(FileName::Manifest(self.manifest.epoch()), &mut found)?;
        Ok(found)
    }

    fn verify_table(&self, meta: &TableMeta, entries: &mut u64) -> Result<()> {
        let name = FileName::Table(meta.number).to_string();
        let wrong = |what: String| Error::corrupt(name.clone(), 0, what);
        let table = Arc::new(Table::open(self.fs.open(&name)?, meta.number)?);
        if table.size() != meta.size {
            return Err(wrong(format!(
                "the file has {} bytes, the manifest says {}",
                table.size(),
                meta.size
            )));
        }
        // A cache of its own that holds nothing: every block is read from the file.
        let mut iter = table.iter(&Arc::new(BlockCache::new(0)), ReadMode::Sequential);
        let mut last: Vec<u8> = Vec::new();
        let (mut count, mut tombstones, mut keys) = (0, 0, 0);
        iter.seek_to_first()?;
        while iter.valid() {
            let key = iter.key();
            let (user, trailer) = split(key);
            if !is_internal_key(key) {
                return Err(wrong(format!("entry {count} has no sound key")));
            }
            if count == 0 && key != meta.smallest {
                return Err(wrong("the first key is not the one in the manifest".into()));
            }
            if count > 0 && !compare(&last, key).is_lt() {
                return Err(wrong(format!("entry {count} does not come after the one before it")));
            }
            if !(meta.sequence_min..=meta.sequence_max).contains(&sequence_of(trailer)) {
                return Err(wrong(format!("entry {count} has a sequence number beyond the table's")));
            }
            if !table.may_contain(crate::base::checksum::key_hash(user)) {
                return Err(wrong(format!("the filter does not know the key of entry {count}")));
            }
            keys += u64::from(count == 0 || user != split(&last).0);
            tombstones += u64::from(kind_of(trailer) == Some(Kind::Delete));
            count += 1;
            last.clear();
            last.extend_from_slice(key);
            iter.next()?;
        }
        *entries += count;
        if (count, tombstones, keys) != (meta.entries, meta.tombstones, meta.keys) || last != meta.largest {
            return Err(wrong(format!(
                "the table has {count} entries, {tombstones} tombstones and {keys} keys, the manifest says {}, {} and {}",
                meta.entries, meta.tombstones, meta.keys
            )));
        }
        Ok(())
    }

    /// Checks the framing of a log.
    fn verify_log(&self, file: FileName, found: &mut Verification) -> Result<()> {
        let name = file.to_string();
        let mut reader = RecordReader::new(self.fs.open(&name)?, file.record_number());
        found.files += 1;
        loop {
            match reader.read()? {
                Item::Record { .. } => {}
                Item::Damage { offset, reason, .. } => {
                    found.note(&Error::corrupt(name.clone(), offset, reason))?
                }
                Item::End { offset } => {
                    found.bytes += offset;
                    return Ok(());
                }
            }
        }
    }
}

impl Verification {
    /// Notes damage as a problem; any other error is returned.
    fn note(&mut self, error: &Error) -> Result<()> {
        if !error.is_corrupt() {
            return Err(error.clone());
        }
        self.problems.push(error.to_string());
        Ok(())
    }
}
