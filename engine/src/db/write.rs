//! The write path, and what makes writes durable.

use super::Db;
use super::view::View;
use crate::base::batch::{Batch, check_value};
use crate::base::bucket::Key;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::key::SEQUENCE_MAX;
use crate::base::options::Durability;
use crate::env::{Clock, Fs};
use crate::memtable::Memtable;
use crate::wal::Header;
use std::sync::Arc;

/// A batch of one operation keeps its memory for the next one up to this size.
const SCRATCH_BYTES_MAX: usize = 1 << 20;
/// A memtable of more than this is flushed by a clean close, so that the next open has little to replay.
const CLOSE_FLUSH_BYTES: u64 = 1 << 20;

impl<F: Fs, C: Clock> Db<F, C> {
    /// Sets `key` to `value`. Returns the write's sequence number.
    ///
    /// # Errors
    ///
    /// As [`Db::write`].
    pub fn put<'k>(&mut self, key: impl Into<Key<'k>>, value: &[u8], durability: Durability) -> Result<u64> {
        let key = self.checked(key.into())?;
        check_value(value)?;
        self.write_one(durability, |batch| batch.put(key, value))
    }

    /// Removes `key`; removing an absent key is no error. Returns the write's sequence number.
    ///
    /// # Errors
    ///
    /// As [`Db::write`].
    pub fn delete<'k>(&mut self, key: impl Into<Key<'k>>, durability: Durability) -> Result<u64> {
        let key = self.checked(key.into())?;
        self.write_one(durability, |batch| batch.delete(key))
    }

    fn checked<'k>(&self, key: Key<'k>) -> Result<Key<'k>> {
        key.check()?;
        self.check_bucket(key.bucket)?;
        Ok(key)
    }

    /// Writes a batch of one operation, whose limits have been checked.
    fn write_one(&mut self, durability: Durability, add: impl FnOnce(&mut Batch)) -> Result<u64> {
        let mut batch = std::mem::take(&mut self.scratch);
        batch.clear();
        add(&mut batch);
        let outcome = self.commit(&batch, durability);
        // One large value should not hold its memory for ever.
        if batch.as_packed().len() <= SCRATCH_BYTES_MAX {
            self.scratch = batch;
        }
        outcome
    }

    /// Applies a batch: all of it, or none. Returns the sequence number of its last operation; that of the last
    /// write where it is empty.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where a limit is exceeded, and `NoSuchBucket`: nothing was changed; `NoSpace` and `Io` where the log could
    /// not be written: the handle then writes no more, and whether the batch survives is open; `Reopen` where it
    /// was of no use before.
    pub fn write(&mut self, batch: &Batch, durability: Durability) -> Result<u64> {
        self.check_batch(batch)?;
        self.commit(batch, durability)
    }

    pub(super) fn check_batch(&self, batch: &Batch) -> Result<()> {
        batch.check_buckets(&mut |bucket| self.check_bucket(bucket))
    }

    /// Writes a batch that was checked.
    pub(super) fn commit(&mut self, batch: &Batch, durability: Durability) -> Result<u64> {
        self.check_writable()?;
        if batch.is_empty() {
            return self.commit_nothing(durability);
        }
        self.maintenance.wake();
        self.make_room()?;
        self.apply(batch, durability)?;
        let last = self.last_sequence;
        self.pace(batch.as_packed().len() as u64);
        Ok(last)
    }

    /// Writes a batch without doing any maintenance.
    pub(super) fn apply(&mut self, batch: &Batch, durability: Durability) -> Result<()> {
        let sequence = self.last_sequence + 1;
        if batch.len() > SEQUENCE_MAX.saturating_sub(sequence) {
            return Err(Error::invalid(
                "the store has used up its sequence numbers: export it and import it anew",
            ));
        }
        let header = Header { sequence, durable: self.durable_sequence, count: batch.len() };
        self.log(header, batch.as_packed(), durability)?;
        self.view.active.apply(sequence, batch);
        self.last_sequence = header.last();
        if durability == Durability::Synced {
            self.durable_sequence = self.last_sequence;
        }
        self.counters.written(batch.len(), batch.as_packed().len() as u64);
        Ok(())
    }

    fn commit_nothing(&mut self, durability: Durability) -> Result<u64> {
        match durability {
            Durability::Deferred => {}
            Durability::Buffered => self.flush_deferred()?,
            Durability::Synced => self.sync()?,
        }
        Ok(self.last_sequence)
    }

    /// Appends a record to the log, and takes it as far as `durability` asks.
    fn log(&mut self, header: Header, packed: &[u8], durability: Durability) -> Result<()> {
        let now = if durability == Durability::Deferred { self.clock.now_micros() } else { 0 };
        self.wal.append(header, packed, now);
        let written = match durability {
            Durability::Deferred if self.deferral_ends(now) => self.wal.flush(),
            Durability::Deferred => Ok(()),
            Durability::Buffered => self.wal.flush(),
            Durability::Synced => self.sync_log(),
        };
        written.map_err(|error| self.poison("the write-ahead log could not be written", error))
    }

    fn deferral_ends(&self, now: u64) -> bool {
        let age = now.saturating_sub(self.wal.pending_since());
        self.wal.pending_bytes() >= u64::from(self.options.deferred_bytes)
            || age >= u64::from(self.options.deferred_millis) * 1000
    }

    /// Syncs the log, and makes sure that nobody has taken the store over: a new primary claims its epoch before
    /// it reads the log, so what is durable while the claim is not there is what it will read.
    fn sync_log(&mut self) -> Result<()> {
        self.wal.sync()?;
        self.manifest.check_fence()?;
        self.counters.syncs.add(1);
        Ok(())
    }

    /// Makes every write so far durable.
    ///
    /// # Errors
    ///
    /// `Reopen` where another primary has taken the store over, and those of the file system. The handle is then of
    /// no more use.
    pub fn sync(&mut self) -> Result<()> {
        self.check_writable()?;
        self.sync_log().map_err(|error| self.poison("the write-ahead log could not be synced", error))?;
        self.durable_sequence = self.last_sequence;
        Ok(())
    }

    /// Hands deferred writes to the operating system.
    ///
    /// # Errors
    ///
    /// Those of the file system. The handle is then of no more use.
    pub fn flush_deferred(&mut self) -> Result<()> {
        self.check_writable()?;
        self.wal.flush().map_err(|error| self.poison("the write-ahead log could not be written", error))
    }

    /// Makes everything durable, flushes a large memtable so that the next open is quick, and refuses all later
    /// calls.
    ///
    /// # Errors
    ///
    /// Those of [`Db::sync`]. A flush that fails costs only time: the log has its data.
    pub fn close(&mut self) -> Result<()> {
        self.sync()?;
        if self.view.active.bytes() > CLOSE_FLUSH_BYTES || !self.view.sealed.is_empty() {
            let _the_log_has_it = self.flush();
        }
        // A record that says what is durable: with it recovery can tell damage to the log's end from a crash.
        let header = Header { sequence: self.last_sequence + 1, durable: self.durable_sequence, count: 0 };
        self.check_writable()?;
        self.wal.append(header, &[], 0);
        self.sync_log().map_err(|error| self.poison("the write-ahead log could not be synced", error))?;
        self.closed = Some("the store was closed: open it anew".into());
        Ok(())
    }

    /// Remembers that the handle writes no more, and returns the error that made it so. A handle that another
    /// primary has replaced does not read either: its files may go at any moment.
    pub(super) fn poison(&mut self, what: &str, error: Error) -> Error {
        if *error.kind() == ErrorKind::Reopen {
            self.closed = Some(error.message().to_owned());
            return error;
        }
        self.poisoned = Some(format!("an earlier call failed ({what}: {error}): open the store anew"));
        error.context(what)
    }

    /// Seals what is full, and waits for maintenance where too much of it is pending.
    fn make_room(&mut self) -> Result<()> {
        let active = &self.view.active;
        // An empty memtable has a size as well, which may be above the smallest limits.
        let full = active.entries() > 0 && active.bytes() >= self.memtable_size.bytes()
            || self.options.memtable_entries.is_some_and(|entries| active.entries() >= entries);
        if full {
            self.wait_for_maintenance()?;
            return self.seal();
        }
        if self.wal.length() >= self.options.wal_segment_bytes {
            return self.rotate_log();
        }
        Ok(())
    }

    fn rotate_log(&mut self) -> Result<()> {
        self.check_primary()?;
        let sealed = self.wal.number();
        loop {
            let number = self.new_file_number();
            match self.wal.rotate(number) {
                Ok(()) => break,
                // A primary that this one has replaced, and that has not noticed yet, has taken the number. It
                // notices before it takes another.
                Err(error) if *error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.poison("a log segment could not be begun", error)),
            }
        }
        self.segments.push_back(sealed);
        Ok(())
    }

    /// Makes sure, before a file is made, that nobody has taken the store over.
    pub(super) fn check_primary(&mut self) -> Result<()> {
        self.manifest
            .check_fence()
            .map_err(|error| self.poison("the manifest could not be looked for", error))
    }

    /// Seals the active memtable. The log moves to a new segment with it, so that a memtable covers whole segments.
    pub(super) fn seal(&mut self) -> Result<()> {
        self.rotate_log()?;
        self.adapt_memtable();
        self.maintenance.memtable_sealed(self.last_sequence, self.wal.number());
        let mut sealed = self.view.sealed.clone();
        sealed.insert(0, Arc::clone(&self.view.active));
        self.view = Arc::new(View {
            active: Arc::new(Memtable::new()),
            sealed,
            version: Arc::clone(&self.view.version),
            tables: Arc::clone(&self.tables),
        });
        Ok(())
    }

    pub(super) fn new_file_number(&mut self) -> u64 {
        let number = self.state.next_file;
        self.state.next_file += 1;
        number
    }
}
