//! Reads every file and checks every checksum, order and reference.

use super::{Db, Reader};
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::base::key::{Kind, compare, is_internal_key, kind_of, sequence_of, split};
use crate::env::{Clock, File, Fs};
use crate::iter::InternalIterator;
use crate::record::{Item, RecordReader};
use crate::sstable::{BlockCache, ReadMode, Table};
use crate::version::{LEVELS, TableMeta, Version};
use std::sync::Arc;

/// What [`Db::verify`] or [`Reader::verify`] has found.
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

/// Whether somebody may be appending to a log while it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// All of it must be sound.
    Whole,
    /// What is not sound at its end may be a record on its way to the file, or one that a crash has cut off.
    Growing,
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
        let open = |number: u64| {
            let file = self.fs.open(&FileName::Table(number).to_string())?;
            Table::open(file, number).map(Arc::new)
        };
        found.verify_tables(&self.view.version, open)?;
        // What a failed call has left behind the last record is no damage: the next open passes over it.
        let tail = if self.poisoned.is_some() { Tail::Growing } else { Tail::Whole };
        for &segment in self.segments.iter().chain([&self.wal.number()]) {
            // An old segment may have been damaged before recovery set its contents aside.
            if segment >= self.state.log {
                found.verify_log(&*self.fs, FileName::Wal(segment), tail)?;
            }
        }
        found.verify_log(&*self.fs, FileName::Manifest(self.manifest.epoch()), tail)?;
        Ok(found)
    }
}

impl<F: Fs> Reader<F> {
    /// Reads every file of the state that is seen and checks every checksum, order and reference. A primary may go on
    /// meanwhile: what it removes was either read before, or is a log segment that is no longer needed. Damage is an
    /// answer, not an error.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn verify(&self) -> Result<Verification> {
        let mut found = Verification::default();
        // The tables are open: index and filter were checked when they were opened.
        found.verify_tables(self.version(), |number| self.table(number))?;
        let mut segments = self.segments()?;
        segments.sort_unstable();
        let last = segments.last().copied();
        for segment in segments {
            let tail = if Some(segment) == last { Tail::Growing } else { Tail::Whole };
            found.verify_log(self.fs(), FileName::Wal(segment), tail).or_else(if_removed)?;
        }
        let manifest = FileName::Manifest(self.epoch());
        found.verify_log(self.fs(), manifest, Tail::Growing).or_else(if_removed)?;
        Ok(found)
    }
}

/// A file that a primary has removed meanwhile is none to be checked.
fn if_removed(error: Error) -> Result<()> {
    if error.is_not_found() { Ok(()) } else { Err(error) }
}

/// Checks a table against what the manifest says of it.
fn verify_table<T: File>(table: &Arc<Table<T>>, meta: &TableMeta, entries: &mut u64) -> Result<()> {
    let wrong = |what: String| Error::corrupt(FileName::Table(meta.number).to_string(), 0, what);
    if table.size() != meta.size {
        return Err(wrong(format!("the file has {} bytes, the manifest says {}", table.size(), meta.size)));
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

impl Verification {
    /// Checks the tables of a version, and that those of a level do not overlap.
    fn verify_tables<T: File>(
        &mut self,
        version: &Version,
        open: impl Fn(u64) -> Result<Arc<Table<T>>>,
    ) -> Result<()> {
        for (level, table) in version.tables() {
            self.files += 1;
            self.bytes += table.size;
            let verified =
                open(table.number).and_then(|opened| verify_table(&opened, table, &mut self.entries));
            if let Err(error) = verified {
                self.note(&error.context(format!("level {level}")))?;
            }
        }
        for level in 1..LEVELS {
            for pair in version.level(level).windows(2) {
                if let [left, right] = pair
                    && left.last_key() >= right.first_key()
                {
                    self.problems.push(format!(
                        "{} and {} overlap in level {level}",
                        FileName::Table(left.number),
                        FileName::Table(right.number)
                    ));
                }
            }
        }
        Ok(())
    }

    /// Checks the framing of a log.
    fn verify_log<F: Fs>(&mut self, fs: &F, file: FileName, tail: Tail) -> Result<()> {
        let name = file.to_string();
        let mut reader = RecordReader::new(fs.open(&name)?, file.record_number());
        self.files += 1;
        // Damage is the tail's as long as nothing sound follows it.
        let mut unsound = Vec::new();
        loop {
            match reader.read()? {
                Item::Record { .. } => {
                    unsound.drain(..).try_for_each(|damage| self.note(&damage))?;
                }
                Item::Damage { offset, reason, .. } => {
                    unsound.push(Error::corrupt(name.clone(), offset, reason));
                }
                Item::End { offset } => {
                    self.bytes += offset;
                    if tail == Tail::Whole {
                        unsound.drain(..).try_for_each(|damage| self.note(&damage))?;
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Notes damage as a problem; any other error is returned.
    fn note(&mut self, error: &Error) -> Result<()> {
        if !error.is_corrupt() {
            return Err(error.clone());
        }
        self.problems.push(error.to_string());
        Ok(())
    }
}
