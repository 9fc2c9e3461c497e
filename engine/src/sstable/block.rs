//! A block of entries with shared prefixes, its builder and its iterator.
//!
//! ```text
//! entry   = shared: varint | unshared: varint | value length: varint | unshared key bytes | value
//! block   = entries | restart offsets: u32 each | number of restarts: u32
//! ```
//!
//! The layout is LevelDB's (doc/table_format.md). A search halves the restarts, then walks.

use crate::base::coding::{Decoder, put_u32, put_varint};
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::base::key::{TRAILER_BYTES, compare, shared_bytes};
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// Builds a block from entries in order.
#[derive(Debug)]
pub struct BlockBuilder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    restart_interval: usize,
    since_restart: usize,
    last_key: Vec<u8>,
}

impl BlockBuilder {
    /// An empty block in which every so many-th entry shares nothing.
    pub fn new(restart_interval: usize) -> Self {
        let (bytes, restarts, last_key) = (Vec::new(), Vec::new(), Vec::new());
        Self { bytes, restarts, restart_interval, since_restart: restart_interval, last_key }
    }

    /// Adds an entry. REQUIRES: its key is greater than the one before.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        let shared = if self.since_restart >= self.restart_interval {
            // A block is cut soon after 64 KiB, and one entry has at most 64 MiB and a key.
            self.restarts.push(u32::try_from(self.bytes.len()).expect("a block is shorter than 4 GiB"));
            self.since_restart = 0;
            0
        } else {
            shared_bytes(&self.last_key, key)
        };
        let unshared = key.get(shared..).unwrap_or_default();
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, unshared.len() as u64);
        put_varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(unshared);
        self.bytes.extend_from_slice(value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(unshared);
        self.since_restart += 1;
    }

    /// The length that the finished block would have now.
    pub fn len(&self) -> usize {
        self.bytes.len() + 4 * self.restarts.len() + 4
    }

    /// Whether no entry was added.
    pub fn is_empty(&self) -> bool {
        self.restarts.is_empty()
    }

    /// The greatest key. REQUIRES: not empty.
    pub fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// Finishes the block, lends its bytes to `take`, and begins the next one.
    pub fn finish<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> T {
        for restart in &self.restarts {
            put_u32(&mut self.bytes, *restart);
        }
        put_u32(&mut self.bytes, u32::try_from(self.restarts.len()).expect("fewer restarts than bytes"));
        let taken = take(&self.bytes);
        self.bytes.clear();
        self.restarts.clear();
        self.last_key.clear();
        self.since_restart = self.restart_interval;
        taken
    }
}

/// A block in memory, decompressed, its checksum verified.
#[derive(Debug)]
pub struct Block {
    bytes: Vec<u8>,
    /// Where the entries end and the restarts begin.
    entries_end: usize,
    restarts: usize,
    /// Where it stands, for messages.
    table: u64,
    offset: u64,
}

/// An entry as it stands in a block.
struct Raw<'a> {
    shared: usize,
    unshared: &'a [u8],
    value: Range<usize>,
    end: usize,
}

impl Block {
    /// The block with these bytes at `offset` of `table`.
    ///
    /// # Errors
    ///
    /// `Corrupt` where the bytes are no block.
    pub fn new(table: u64, offset: u64, bytes: Vec<u8>) -> Result<Self> {
        let mut block = Self { bytes, entries_end: 0, restarts: 0, table, offset };
        let found = block.bytes.split_last_chunk::<4>().and_then(|(_, count)| {
            let restarts = u32::from_le_bytes(*count) as usize;
            let entries_end = block.bytes.len().checked_sub(4)?.checked_sub(restarts.checked_mul(4)?)?;
            (restarts > 0).then_some((entries_end, restarts))
        });
        let Some((entries_end, restarts)) = found else {
            return Err(block.damaged("the number of restarts does not fit the block"));
        };
        (block.entries_end, block.restarts) = (entries_end, restarts);
        Ok(block)
    }

    /// The memory that it takes, in bytes.
    pub fn weight(&self) -> u64 {
        (self.bytes.capacity() + size_of::<Self>()) as u64
    }

    pub(super) fn damaged(&self, what: &str) -> Error {
        let length = self.bytes.len();
        Error::corrupt(
            FileName::Table(self.table).to_string(),
            self.offset,
            format!("{what} (block of {length} bytes)"),
        )
    }

    fn restart(&self, index: usize) -> Option<usize> {
        let at = self.entries_end + 4 * index;
        let bytes = self.bytes.get(at..at + 4)?;
        let offset = Decoder::new(bytes).u32()? as usize;
        (offset < self.entries_end).then_some(offset)
    }

    #[inline]
    fn raw(&self, at: usize) -> Option<Raw<'_>> {
        let entries = self.bytes.get(..self.entries_end)?;
        let mut decoder = Decoder::new(entries.get(at..)?);
        let (shared, unshared, value) = match decoder.short_varints() {
            Some([shared, unshared, value]) => (shared.into(), unshared.into(), value.into()),
            None => {
                (decoder.varint32()? as usize, decoder.varint32()? as usize, decoder.varint32()? as usize)
            }
        };
        let unshared = decoder.take(unshared)?;
        let start = self.entries_end - decoder.rest().len();
        decoder.take(value)?;
        Some(Raw { shared, unshared, value: start..start + value, end: start + value })
    }

    /// The last restart whose key is less than `target`, or the first one.
    fn restart_before(&self, target: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.restarts - 1);
        while low < high {
            let middle = (low + high).div_ceil(2);
            let raw = self.raw(self.restart(middle)?)?;
            match compare(raw.unshared, target) {
                Ordering::Less => low = middle,
                _ => high = middle - 1,
            }
        }
        self.restart(low)
    }
}

/// A position in a block.
#[derive(Debug)]
pub struct BlockIter {
    block: Arc<Block>,
    /// Where the current entry begins; the entries' end when not valid.
    at: usize,
    next: usize,
    key: Vec<u8>,
    value: Range<usize>,
}

impl BlockIter {
    /// An iterator that stands nowhere yet.
    pub fn new(block: Arc<Block>) -> Self {
        let at = block.entries_end;
        Self { block, at, next: at, key: Vec::new(), value: 0..0 }
    }

    /// The same iterator over another block, standing nowhere; keeps its memory.
    pub fn reset(&mut self, block: Arc<Block>) {
        self.at = block.entries_end;
        self.next = self.at;
        self.block = block;
    }

    #[inline]
    pub fn valid(&self) -> bool {
        self.at < self.block.entries_end
    }

    #[inline]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    #[inline]
    pub fn value(&self) -> &[u8] {
        &self.block.bytes[self.value.clone()]
    }

    pub fn seek_to_first(&mut self) -> Result<()> {
        self.key.clear();
        self.read(0)
    }

    pub fn seek_to_last(&mut self) -> Result<()> {
        let restart = self.block.restart(self.block.restarts - 1).ok_or_else(|| self.bad_restart())?;
        self.key.clear();
        self.read(restart)?;
        while self.next < self.block.entries_end {
            self.read(self.next)?;
        }
        Ok(())
    }

    /// To the first entry whose key is not less than `target`.
    pub fn seek(&mut self, target: &[u8]) -> Result<()> {
        let restart = self.block.restart_before(target).ok_or_else(|| self.bad_restart())?;
        self.key.clear();
        self.read(restart)?;
        while self.valid() && compare(&self.key, target).is_lt() {
            self.read(self.next)?;
        }
        Ok(())
    }

    /// To the last entry whose key is less than `target`.
    pub fn seek_before(&mut self, target: &[u8]) -> Result<()> {
        self.seek(target)?;
        if self.valid() { self.prev() } else { self.seek_to_last() }
    }

    #[inline]
    pub fn next(&mut self) -> Result<()> {
        self.read(self.next)
    }

    pub fn prev(&mut self) -> Result<()> {
        let here = self.at;
        if here == 0 {
            self.at = self.block.entries_end;
            return Ok(());
        }
        let (mut low, mut high) = (0, self.block.restarts - 1);
        while low < high {
            let middle = (low + high).div_ceil(2);
            match self.block.restart(middle).ok_or_else(|| self.bad_restart())? < here {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        let restart = self.block.restart(low).ok_or_else(|| self.bad_restart())?;
        self.key.clear();
        self.read(restart)?;
        while self.next < here {
            self.read(self.next)?;
        }
        // Restarts out of order would lead forward, and a walk backward round in circles.
        if self.next == here { Ok(()) } else { Err(self.bad_restart()) }
    }

    /// Reads the entry at `at`, whose predecessor's key is in `self.key`.
    #[inline]
    fn read(&mut self, at: usize) -> Result<()> {
        self.at = at;
        if at >= self.block.entries_end {
            self.at = self.block.entries_end;
            return Ok(());
        }
        let Some(raw) = self.block.raw(at) else { return Err(self.bad_entry(at)) };
        if raw.shared > self.key.len() {
            return Err(self.bad_entry(at));
        }
        self.key.truncate(raw.shared);
        self.key.extend_from_slice(raw.unshared);
        self.value = raw.value;
        self.next = raw.end;
        if self.key.len() <= TRAILER_BYTES {
            return Err(self.bad_entry(at));
        }
        Ok(())
    }

    fn bad_entry(&self, at: usize) -> Error {
        self.block.damaged(&format!("the entry at byte {at} of the block is malformed"))
    }

    fn bad_restart(&self) -> Error {
        self.block.damaged("a restart is malformed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::{Kind, internal_key, trailer};

    fn key(i: usize) -> Vec<u8> {
        internal_key(format!("key{:05}", i * 2).as_bytes(), trailer(i as u64 + 1, Kind::Put))
    }

    fn block(count: usize, interval: usize) -> Arc<Block> {
        let mut builder = BlockBuilder::new(interval);
        for i in 0..count {
            builder.add(&key(i), format!("value {i}").as_bytes());
        }
        let length = builder.len();
        let bytes = builder.finish(<[u8]>::to_vec);
        assert_eq!(bytes.len(), length);
        Arc::new(Block::new(1, 0, bytes).expect("well-formed"))
    }

    #[test]
    fn every_position_is_found_from_both_sides() {
        for (count, interval) in
            [(1, 16), (2, 1), (15, 16), (16, 16), (17, 16), (100, 16), (100, 1), (100, 3)]
        {
            let mut iter = BlockIter::new(block(count, interval));
            for i in 0..count {
                iter.seek(&key(i)).expect("sound");
                assert_eq!(iter.key(), key(i));
                assert_eq!(iter.value(), format!("value {i}").as_bytes());
                iter.seek_before(&key(i)).expect("sound");
                assert_eq!(iter.valid(), i > 0);
                if i > 0 {
                    assert_eq!(iter.key(), key(i - 1));
                }
            }
            iter.seek(&key(count)).expect("sound");
            assert!(!iter.valid());
            iter.seek_before(&key(count)).expect("sound");
            for i in (0..count).rev() {
                assert_eq!(iter.key(), key(i));
                iter.prev().expect("sound");
            }
            assert!(!iter.valid());
            iter.seek_to_first().expect("sound");
            for i in 0..count {
                assert_eq!(iter.key(), key(i));
                iter.next().expect("sound");
            }
            assert!(!iter.valid());
        }
    }

    #[test]
    fn damaged_blocks_are_errors_not_panics() {
        let mut builder = BlockBuilder::new(4);
        for i in 0..20 {
            builder.add(&key(i), b"value");
        }
        let bytes = builder.finish(<[u8]>::to_vec);
        let mut errors = 0;
        for at in 0..bytes.len() {
            for bit in [0x01, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= bit;
                let walk = || -> Result<()> {
                    let mut iter = BlockIter::new(Arc::new(Block::new(1, 0, damaged.clone())?));
                    iter.seek(&key(7))?;
                    iter.seek_to_last()?;
                    while iter.valid() {
                        iter.prev()?;
                    }
                    iter.seek_to_first()?;
                    while iter.valid() {
                        iter.next()?;
                    }
                    Ok(())
                };
                errors += usize::from(walk().is_err());
            }
        }
        assert!(errors > 0);
        assert!(Block::new(1, 0, vec![]).is_err());
        assert!(Block::new(1, 0, vec![0; 4]).is_err());
        assert!(Block::new(1, 0, vec![0xff; 8]).is_err());
    }
}
