//! Appends batches to the log's newest segment.

use super::{Header, Seal};
use crate::base::error::Result;
use crate::base::file_name::FileName;
use crate::env::{File, Fs};
use crate::record::Framer;
use std::sync::Arc;

/// The log's open end. After an error it must not be used again.
#[derive(Debug)]
pub struct Writer<F: Fs> {
    fs: Arc<F>,
    // The newest segment.
    number: u64,
    file: F::File,
    framer: Framer,
    /// The segment's length, what waits in `pending` included.
    length: u64,
    /// Framed records that the operating system has not been given yet.
    pending: Vec<u8>,
    pending_since: u64,
    record: Vec<u8>,
    /// The segments that this writer has sealed and that are not forgotten, oldest first.
    sealed: Vec<Seal>,
    // What a sync must cover.
    /// Sealed segments that have not been synced, oldest first, by their numbers.
    unsynced: Vec<(u64, F::File)>,
    dirty: bool,
    names_dirty: bool,
}

impl<F: Fs> Writer<F> {
    /// Begins a log at segment `number`.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn create(fs: Arc<F>, number: u64) -> Result<Self> {
        let file = fs.create(&FileName::Wal(number).to_string())?;
        Ok(Self {
            fs,
            number,
            file,
            framer: Framer::new(number),
            length: 0,
            pending: Vec::new(),
            pending_since: 0,
            record: Vec::new(),
            sealed: Vec::new(),
            unsynced: Vec::new(),
            dirty: false,
            names_dirty: true,
        })
    }

    /// The newest segment's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The newest segment's length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes wait to be handed to the operating system.
    pub fn pending_bytes(&self) -> u64 {
        self.pending.len() as u64
    }

    /// When the oldest of them was added. Meaningful where there are some.
    pub fn pending_since(&self) -> u64 {
        self.pending_since
    }

    /// Adds a record to what waits to be written. `now` is the time in microseconds.
    pub fn append(&mut self, header: Header, packed: &[u8], now: u64) {
        if self.pending.is_empty() {
            self.pending_since = now;
        }
        self.record.clear();
        header.encode(&mut self.record);
        self.record.extend_from_slice(packed);
        let before = self.pending.len();
        self.framer.frame(&self.record, &mut self.pending);
        self.length += (self.pending.len() - before) as u64;
    }

    /// Hands what waits to the operating system.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn flush(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        self.file.append(&self.pending)?;
        self.pending.clear();
        // One large batch should not hold its memory for ever.
        self.pending.shrink_to(1 << 20);
        self.record.shrink_to(1 << 20);
        Ok(())
    }

    /// Makes every record so far durable, in whatever segment it is.
    ///
    /// # Errors
    ///
    /// Those of the file system. What is durable is then unknown.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        for (_, file) in &mut self.unsynced {
            file.sync()?;
        }
        self.unsynced.clear();
        if self.dirty {
            self.file.sync()?;
            self.dirty = false;
        }
        if self.names_dirty {
            self.fs.sync_dir()?;
            self.names_dirty = false;
        }
        Ok(())
    }

    /// Seals the newest segment and begins the next, `number`.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn rotate(&mut self, number: u64) -> Result<()> {
        self.flush()?;
        let file = self.fs.create(&FileName::Wal(number).to_string())?;
        let sealed = std::mem::replace(&mut self.file, file);
        if self.dirty {
            self.unsynced.push((self.number, sealed));
        }
        self.sealed.push(Seal { number: self.number, bytes: self.length, digest: self.framer.digest() });
        self.number = number;
        self.framer = Framer::new(number);
        self.length = 0;
        self.dirty = false;
        self.names_dirty = true;
        Ok(())
    }

    /// The sealed segments from `from` to `before` (exclusive) that this writer has written, oldest first.
    pub fn seals(&self, from: u64, before: u64) -> Vec<Seal> {
        self.sealed.iter().copied().filter(|seal| (from..before).contains(&seal.number)).collect()
    }

    /// Forgets sealed segments below `number`, whose data is durable in tables: a sync need not cover them.
    pub fn forget_below(&mut self, number: u64) {
        self.unsynced.retain(|&(segment, _)| segment >= number);
        self.sealed.retain(|seal| seal.number >= number);
    }
}
