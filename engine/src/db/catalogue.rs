//! Which buckets a state has.
//!
//! The catalogue is data like any other: records in a bucket of its own, written by ordinary batches. So the log, a
//! snapshot, a reader and a recovery have the buckets that belong to the rest of their state.
//!
//! ON DISK, as keys and values of bucket 1, numbers big-endian:
//!
//! ```text
//! "b" | number u32   name      a bucket, by its number
//! "n"                u32       the number of the bucket that is created next
//! "d" | number u32             a bucket that was dropped, while there may still be keys of it (dropped.rs)
//! ```
//!
//! A number is never given again: whoever still holds the number of a bucket that was dropped, or whose record was lost
//! to damage, must not reach another bucket by it.

use super::cursor::Cursor;
use super::view::View;
use super::{Db, Snapshot};
use crate::base::batch::Batch;
use crate::base::bucket::{Bucket, Key};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::options::Durability;
use crate::base::range::{KeyRange, ScanOptions};
use crate::env::{Clock, Fs};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest name of a bucket in bytes.
pub const BUCKET_NAME_BYTES_MAX: usize = 255;
/// The name of [`Bucket::DEFAULT`].
pub const DEFAULT_BUCKET_NAME: &str = "default";

const BUCKET_RECORD: u8 = b'b';
const NEXT_RECORD: &[u8] = b"n";
const DROPPED_RECORD: u8 = b'd';

/// The buckets of a state. Each is a key space of its own: a batch may write to several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// The buckets by their numbers, ascending.
    names: Vec<(u32, String)>,
    numbers: BTreeMap<String, u32>,
    next: u32,
    /// The numbers of buckets that were dropped and of which there may still be keys, ascending.
    dropped: Vec<u32>,
    /// Why it could not be read, if it could not. The default bucket is there all the same.
    unread: Option<Error>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            numbers: BTreeMap::new(),
            next: Bucket::FIRST.number(),
            dropped: Vec::new(),
            unread: None,
        }
    }
}

/// What a catalogue was read from: while it stays the same, so does the catalogue. Tables have what was written until
/// the sequence number that is flushed, whichever tables they are; what came later is in memory, and only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    records: Option<(u64, u64, u64)>,
}

impl Catalogue {
    /// What the catalogue of a view is read from, whose tables have the writes until `flushed` in this epoch.
    pub(super) fn source<F: Fs>(view: &View<F>, epoch: u64, flushed: u64) -> Source {
        if !view.may_hold(Bucket::CATALOGUE) {
            return Source { records: None };
        }
        let byte = Bucket::CATALOGUE.number() as u8;
        let in_memory = view.memtables().map(|memtable| memtable.entries_of(byte)).sum();
        Source { records: Some((epoch, flushed, in_memory)) }
    }

    /// The catalogue of what `sequence` sees of a view. One that cannot be read says so when a bucket is asked for that
    /// is not the default one: what is damaged should not take with it what is not.
    pub(super) fn of<F: Fs>(view: &Arc<View<F>>, sequence: u64) -> Self {
        Self::read(view, sequence).unwrap_or_else(|error| Self { unread: Some(error), ..Self::default() })
    }

    fn read<F: Fs>(view: &Arc<View<F>>, sequence: u64) -> Result<Self> {
        let mut catalogue = Self::default();
        if !view.may_hold(Bucket::CATALOGUE) {
            return Ok(catalogue);
        }
        let options = ScanOptions { bucket: Bucket::CATALOGUE, ..ScanOptions::default() };
        let mut records = Cursor::new(Arc::clone(view), sequence, KeyRange::all(), options)?;
        while let Some((key, value)) = records.next()? {
            match (key.split_first(), <[u8; 4]>::try_from(value)) {
                (Some((&BUCKET_RECORD, number)), _) => {
                    let number = number.try_into().map_err(|_| unsound(key))?;
                    let name = str::from_utf8(value).map_err(|_| unsound(key))?;
                    catalogue.insert(u32::from_be_bytes(number), name.to_owned());
                }
                (Some((&DROPPED_RECORD, number)), _) => {
                    let number = number.try_into().map_err(|_| unsound(key))?;
                    catalogue.note_drop(u32::from_be_bytes(number));
                }
                (_, Ok(next)) if key == NEXT_RECORD => {
                    catalogue.next = catalogue.next.max(u32::from_be_bytes(next));
                }
                _ => return Err(unsound(key)),
            }
        }
        Ok(catalogue)
    }

    /// Never gives out the number of a bucket of which a view may still hold keys.
    pub(super) fn pass_over<F: Fs>(&mut self, view: &View<F>) {
        let greatest = view.greatest_user_key();
        if let Some(key) = greatest.as_deref().and_then(Key::of_user_key) {
            self.next = self.next.max(key.bucket.number().saturating_add(1));
        }
    }

    fn insert(&mut self, number: u32, name: String) {
        self.next = self.next.max(number.saturating_add(1));
        self.numbers.insert(name.clone(), number);
        match self.place(number) {
            Ok(at) => self.names[at].1 = name,
            Err(at) => self.names.insert(at, (number, name)),
        }
    }

    fn remove(&mut self, bucket: Bucket) {
        if let Ok(at) = self.place(bucket.number()) {
            let (_, name) = self.names.remove(at);
            self.numbers.remove(&name);
        }
        self.note_drop(bucket.number());
    }

    /// Where the bucket with this number stands, or would.
    #[inline]
    fn place(&self, number: u32) -> Result<usize, usize> {
        self.names.binary_search_by_key(&number, |&(number, _)| number)
    }

    fn note_drop(&mut self, number: u32) {
        if let Err(at) = self.dropped.binary_search(&number) {
            self.dropped.insert(at, number);
        }
    }

    /// The buckets that were dropped and of which there may still be keys.
    pub(super) fn dropped(&self) -> impl Iterator<Item = Bucket> {
        self.dropped.iter().copied().map(Bucket::new)
    }

    /// The bucket of this name.
    ///
    /// # Errors
    ///
    /// That with which the catalogue was read: `Corrupt`, and those of the file system. So do the other calls.
    pub fn bucket(&self, name: &str) -> Result<Option<Bucket>> {
        if name == DEFAULT_BUCKET_NAME {
            return Ok(Some(Bucket::DEFAULT));
        }
        self.check_read()?;
        Ok(self.numbers.get(name).copied().map(Bucket::new))
    }

    /// Whether it could be read.
    pub(super) fn is_read(&self) -> bool {
        self.unread.is_none()
    }

    fn check_read(&self) -> Result<()> {
        match &self.unread {
            None => Ok(()),
            Some(error) => Err(error.clone().context("the store's buckets are not known")),
        }
    }

    /// Whether there is this bucket.
    #[inline]
    pub fn contains(&self, bucket: Bucket) -> bool {
        bucket == Bucket::DEFAULT || self.place(bucket.number()).is_ok()
    }

    /// All buckets with their names, in the order of their numbers: the default one first.
    ///
    /// # Errors
    ///
    /// As [`Catalogue::bucket`].
    pub fn buckets(&self) -> Result<impl Iterator<Item = (Bucket, &str)>> {
        self.check_read()?;
        let named = self.names.iter().map(|(number, name)| (Bucket::new(*number), name.as_str()));
        Ok(std::iter::once((Bucket::DEFAULT, DEFAULT_BUCKET_NAME)).chain(named))
    }

    /// Checks that there is this bucket.
    ///
    /// # Errors
    ///
    /// `NoSuchBucket`, and as [`Catalogue::bucket`].
    #[inline]
    pub fn check(&self, bucket: Bucket) -> Result<()> {
        if self.contains(bucket) {
            return Ok(());
        }
        self.check_read()?;
        Err(no_such_bucket(bucket))
    }
}

fn no_such_bucket(bucket: Bucket) -> Error {
    Error::new(
        ErrorKind::NoSuchBucket,
        format!("there is no bucket with number {bucket}: it was dropped, or comes from another store"),
    )
}

fn unsound(key: &[u8]) -> Error {
    Error::bug(format!(
        "the catalogue of buckets has a record that this version does not write: {}",
        key.escape_ascii()
    ))
}

fn record_key(record: u8, bucket: Bucket) -> [u8; 5] {
    let mut key = [record; 5];
    key[1..].copy_from_slice(&bucket.number().to_be_bytes());
    key
}

/// Checks the name of a bucket that is to be created.
fn check_name(name: &str) -> Result<()> {
    let refused = |why: String| {
        Err(Error::invalid(format!(
            "a bucket's name has 1 to {BUCKET_NAME_BYTES_MAX} bytes of UTF-8 without control characters: {why}"
        )))
    };
    match name {
        "" => refused("this one is empty".into()),
        name if name.len() > BUCKET_NAME_BYTES_MAX => refused(format!("this one has {} bytes", name.len())),
        name => match name.char_indices().find(|(_, char)| char.is_control()) {
            Some((at, char)) => refused(format!("this one has U+{:04X} at byte {at}", u32::from(char))),
            None => Ok(()),
        },
    }
}

impl<F: Fs> View<F> {
    /// Whether there may be keys of a bucket whose number is its own encoding.
    fn may_hold(&self, bucket: Bucket) -> bool {
        let byte = u8::try_from(bucket.number()).expect("one byte encodes it");
        let in_memory = self.memtables().any(|memtable| memtable.entries_of(byte) > 0);
        in_memory || self.version.tables().any(|(_, table)| table.overlaps(&[byte], &[byte, 0xff]))
    }

    /// No user key here is greater than this one.
    fn greatest_user_key(&self) -> Option<Vec<u8>> {
        let in_memory = self.memtables().filter_map(|memtable| memtable.last_user_key());
        let in_tables = self.version.tables().map(|(_, table)| table.last_key().to_vec());
        in_memory.chain(in_tables).max()
    }
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// The buckets.
    pub fn buckets(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The buckets of the state that `snapshot` pins.
    ///
    /// # Errors
    ///
    /// `Reopen` after [`Db::close`].
    pub fn buckets_at(&self, snapshot: &Snapshot) -> Result<Catalogue> {
        self.check_open()?;
        Ok(Catalogue::of(&self.view, snapshot.sequence()))
    }

    /// The bucket of this name, which is made where there is none; it is durable then.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a name beyond its limits, and those of [`Db::write`].
    pub fn create_bucket(&mut self, name: &str) -> Result<Bucket> {
        self.check_writable()?;
        if let Some(bucket) = self.catalogue.bucket(name)? {
            return Ok(bucket);
        }
        check_name(name)?;
        let number = self.catalogue.next;
        let next = number.checked_add(1).ok_or_else(|| {
            Error::invalid("the store has used up its numbers for buckets: export it and import it anew")
        })?;
        let mut batch = Batch::new();
        batch.put((Bucket::CATALOGUE, &record_key(BUCKET_RECORD, Bucket::new(number))), name.as_bytes());
        batch.put((Bucket::CATALOGUE, NEXT_RECORD), &next.to_be_bytes());
        self.commit(&batch, Durability::Synced)?;
        self.catalogue.insert(number, name.to_owned());
        Ok(Bucket::new(number))
    }

    /// Drops the bucket of this name with all that it holds. It is gone for good then, also after a crash; snapshots and
    /// cursors that saw it still do. Its space comes back by maintenance, once the drop is in tables and no older
    /// snapshot is left. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for the default bucket, and those of [`Db::write`].
    pub fn drop_bucket(&mut self, name: &str) -> Result<bool> {
        self.check_writable()?;
        let Some(bucket) = self.catalogue.bucket(name)? else { return Ok(false) };
        if bucket == Bucket::DEFAULT {
            return Err(Error::invalid("the default bucket cannot be dropped: delete what it holds"));
        }
        let mut batch = Batch::new();
        batch.delete((Bucket::CATALOGUE, &record_key(BUCKET_RECORD, bucket)));
        batch.put((Bucket::CATALOGUE, &record_key(DROPPED_RECORD, bucket)), b"");
        let sequence = self.commit(&batch, Durability::Synced)?;
        self.catalogue.remove(bucket);
        self.drops.add(bucket, sequence);
        // Space comes back when the drop is in a table. Where it has to wait, so has the space.
        let _sealed_later = self.seal_memtable(0);
        Ok(true)
    }

    /// Forgets that these buckets were dropped: there are no keys of them any more.
    pub(super) fn forget_dropped(&mut self, buckets: &[Bucket]) -> Result<()> {
        let mut batch = Batch::new();
        for &bucket in buckets {
            batch.delete((Bucket::CATALOGUE, &record_key(DROPPED_RECORD, bucket)));
            self.catalogue.dropped.retain(|&number| number != bucket.number());
        }
        self.apply(&batch, Durability::Buffered)
    }
}
