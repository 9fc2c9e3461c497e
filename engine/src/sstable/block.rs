//! A block of entries with shared prefixes, its builder and its iterator.
//!
//! ```text
//! entry   = shared: varint | unshared: varint | value length: varint | unshared key bytes | value
//! block   = entries | restart offsets: u32 each | number of restarts: u32
//! ```
//!
//! The layout is LevelDB's (doc/table_format.md). A search halves the restarts, then walks. For that, a block in memory
//! also has the first bytes of the restarts' keys side by side ([`Restarts`]).

use super::format::{RESTART_BYTES, RESTART_INTERVAL};
use super::restarts::Restarts;
use crate::base::coding::{Decoder, put_first, put_u32, put_varint};
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::base::key::{
    TRAILER_BYTES, compare_parts, compare_trailers, same_bytes, shared_bytes, split, user_key,
};
use std::cmp::Ordering;
use std::ops::{Range, RangeInclusive};
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
    /// An empty block of entries.
    pub fn new() -> Self {
        Self::with_interval(RESTART_INTERVAL)
    }

    /// An empty block in which every entry is a restart.
    pub fn index() -> Self {
        Self::with_interval(1)
    }

    /// An empty block in which at the latest every so many-th entry is a restart.
    fn with_interval(restart_interval: usize) -> Self {
        let (bytes, restarts, last_key) = (Vec::new(), Vec::new(), Vec::new());
        Self { bytes, restarts, restart_interval, since_restart: restart_interval, last_key }
    }

    /// Adds an entry. REQUIRES: its key is greater than the one before.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        let shared =
            if self.since_restart >= self.restart_interval || self.bytes_since_restart() >= RESTART_BYTES {
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

    fn bytes_since_restart(&self) -> usize {
        self.bytes.len() - self.restarts.last().map_or(0, |&restart| restart as usize)
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
    restarts: Restarts,
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

/// What a search for a key comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The trailer, if the user key is the one that was sought.
    pub trailer: Option<u64>,
    pub value: &'a [u8],
}

/// How much is known of an entry before the key that is sought.
struct Before {
    /// How many first bytes of its user key are those of the one that is sought.
    same: usize,
    /// Whether its user key goes on, then with a byte that is less than the one that is sought.
    differs: bool,
}

impl Block {
    /// The block with these bytes at `offset` of `table`.
    ///
    /// # Errors
    ///
    /// `Corrupt` where the bytes are no block.
    pub fn new(table: u64, offset: u64, bytes: Vec<u8>) -> Result<Self> {
        let found = bytes.split_last_chunk::<4>().and_then(|(rest, count)| {
            let count = u32::from_le_bytes(*count) as usize;
            let (entries, offsets) = rest.split_at_checked(rest.len().checked_sub(count.checked_mul(4)?)?)?;
            Some((entries, offsets.as_chunks::<4>().0))
        });
        let damaged = |what| Err(damaged(table, offset, bytes.len(), what));
        let Some((entries, offsets)) = found else {
            return damaged("the number of restarts does not fit the block");
        };
        let restart = |index| {
            let offset = u32::from_le_bytes(*offsets.get(index)?);
            let raw = raw(entries, offset as usize)?;
            ((offset as usize) < entries.len() && raw.shared == 0).then_some((offset, user_key(raw.unshared)))
        };
        let Some(restarts) = Restarts::new(offsets.len(), restart) else {
            return damaged("a restart is malformed");
        };
        Ok(Self { entries_end: entries.len(), restarts, bytes, table, offset })
    }

    /// The memory that it takes, in bytes.
    pub fn weight(&self) -> u64 {
        (self.bytes.capacity() + self.restarts.weight() + size_of::<Self>()) as u64
    }

    pub(super) fn damaged(&self, what: &str) -> Error {
        damaged(self.table, self.offset, self.bytes.len(), what)
    }

    fn bad_entry(&self, at: usize) -> Error {
        self.damaged(&format!("the entry at byte {at} of the block is malformed"))
    }

    fn bad_restart(&self) -> Error {
        self.damaged("a restart is malformed")
    }

    #[inline]
    fn raw(&self, at: usize) -> Option<Raw<'_>> {
        raw(self.bytes.get(..self.entries_end)?, at)
    }

    /// Where the last restart stands whose key is less than this one, or the first restart. `None` where one that was
    /// looked at is malformed.
    #[inline]
    fn restart_before(&self, user: &[u8], trailer: u64) -> Option<usize> {
        let found = self.search(self.restarts.before(user), user, trailer)?;
        let key = self.raw(found)?.unshared;
        // What the restarts know of their keys is what follows the bytes that all share.
        if self.restarts.prefix(key) == self.restarts.prefix(user) {
            return Some(found);
        }
        self.search(0..=self.restarts.len() - 1, user, trailer)
    }

    /// The first entry whose key is not less than this one. What a [`BlockIter`] finds too, but that puts together the
    /// key of each entry on its way.
    ///
    /// # Errors
    ///
    /// `Corrupt` where what is looked at is malformed.
    #[inline]
    pub fn find(self: &Arc<Self>, user: &[u8], trailer: u64) -> Result<Option<Found<'_>>> {
        let mut at = self.restart_before(user, trailer).ok_or_else(|| self.bad_restart())?;
        let mut before = Before { same: 0, differs: false };
        while at < self.entries_end {
            let raw = self.raw(at).ok_or_else(|| self.bad_entry(at))?;
            if raw.shared > before.same {
                if !before.differs {
                    return self.find_by_keys(user, trailer);
                }
                // It shares the byte that makes the entry before less.
                at = raw.end;
                continue;
            }
            let Some((rest, found)) = raw.unshared.split_last_chunk::<TRAILER_BYTES>() else {
                return self.find_by_keys(user, trailer);
            };
            if raw.shared + rest.len() == 0 {
                return Err(self.bad_entry(at));
            }
            let sought = &user[raw.shared..];
            let more = shared_bytes(rest, sought);
            let order = match (rest.get(more), sought.get(more)) {
                (None, None) => compare_trailers(u64::from_le_bytes(*found), trailer),
                (found, sought) => found.cmp(&sought),
            };
            if order.is_ge() {
                let same = rest.len() == more && sought.len() == more;
                let trailer = same.then_some(u64::from_le_bytes(*found));
                return Ok(Some(Found { trailer, value: &self.bytes[raw.value] }));
            }
            before = Before { same: raw.shared + more, differs: more < rest.len() };
            at = raw.end;
        }
        Ok(None)
    }

    /// The same, where keys must be put together: the versions of one key share part of their trailers.
    #[cold]
    fn find_by_keys(self: &Arc<Self>, user: &[u8], trailer: u64) -> Result<Option<Found<'_>>> {
        let mut iter = BlockIter::new(Arc::clone(self));
        iter.seek_to(user, trailer)?;
        Ok(iter.valid().then(|| {
            let (found, trailer) = split(iter.key());
            Found {
                trailer: same_bytes(found, user).then_some(trailer),
                value: &self.bytes[iter.value.clone()],
            }
        }))
    }

    /// The same, among these restarts.
    #[inline]
    fn search(&self, among: RangeInclusive<usize>, user: &[u8], trailer: u64) -> Option<usize> {
        let (mut low, mut high) = among.into_inner();
        while low < high {
            let middle = (low + high).div_ceil(2);
            let (found, found_trailer) = split(self.raw(self.restarts.offset(middle))?.unshared);
            match compare_parts(found, found_trailer, user, trailer) {
                Ordering::Less => low = middle,
                _ => high = middle - 1,
            }
        }
        Some(self.restarts.offset(low))
    }
}

fn damaged(table: u64, offset: u64, length: usize, what: &str) -> Error {
    Error::corrupt(FileName::Table(table).to_string(), offset, format!("{what} (block of {length} bytes)"))
}

/// The entry at `at` of a block's entries.
#[inline]
fn raw(entries: &[u8], at: usize) -> Option<Raw<'_>> {
    let mut decoder = Decoder::new(entries.get(at..)?);
    let (shared, unshared, value) = match decoder.short_varints() {
        Some([shared, unshared, value]) => (shared.into(), unshared.into(), value.into()),
        None => (decoder.varint32()? as usize, decoder.varint32()? as usize, decoder.varint32()? as usize),
    };
    let unshared = decoder.take(unshared)?;
    let start = entries.len() - decoder.rest().len();
    decoder.take(value)?;
    Some(Raw { shared, unshared, value: start..start + value, end: start + value })
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
    /// The entries before the current one, as far as they were read to walk back.
    behind: Vec<Behind>,
    behind_keys: Vec<u8>,
}

/// An entry that a walk back comes to.
#[derive(Debug)]
struct Behind {
    at: usize,
    next: usize,
    /// Where its key begins in `behind_keys`. It ends where that does when the entry is the last.
    key: usize,
    value: Range<usize>,
}

impl BlockIter {
    /// An iterator that stands nowhere yet.
    pub fn new(block: Arc<Block>) -> Self {
        let at = block.entries_end;
        Self {
            block,
            at,
            next: at,
            key: Vec::new(),
            value: 0..0,
            behind: Vec::new(),
            behind_keys: Vec::new(),
        }
    }

    /// The same iterator over another block, standing nowhere; keeps its memory.
    pub fn reset(&mut self, block: Arc<Block>) {
        self.at = block.entries_end;
        self.next = self.at;
        self.block = block;
        self.key.clear();
        self.behind.clear();
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
        self.read_restart(0)
    }

    pub fn seek_to_last(&mut self) -> Result<()> {
        let restart = self.block.restarts.offset(self.block.restarts.len() - 1);
        self.read_restart(restart)?;
        while self.next < self.block.entries_end {
            self.read(self.next)?;
        }
        Ok(())
    }

    /// To the first entry whose key is not less than `target`.
    pub fn seek(&mut self, target: &[u8]) -> Result<()> {
        let (user, trailer) = split(target);
        self.seek_to(user, trailer)
    }

    /// The same, with the target's parts.
    pub fn seek_to(&mut self, user: &[u8], trailer: u64) -> Result<()> {
        let restart = self.block.restart_before(user, trailer).ok_or_else(|| self.block.bad_restart())?;
        self.read_restart(restart)?;
        while self.valid() {
            let (found, found_trailer) = split(self.key());
            if compare_parts(found, found_trailer, user, trailer).is_ge() {
                break;
            }
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
        if self.behind.last().is_none_or(|entry| entry.next != here) {
            self.gather_behind(here)?;
        }
        let Some(entry) = self.behind.pop() else { return Err(self.block.bad_restart()) };
        (self.at, self.next, self.value) = (entry.at, entry.next, entry.value);
        self.key.clear();
        self.key.extend_from_slice(&self.behind_keys[entry.key..]);
        self.behind_keys.truncate(entry.key);
        Ok(())
    }

    /// Reads the entries from the last restart before `here` to `here`: a key can only be had from the one before.
    fn gather_behind(&mut self, here: usize) -> Result<()> {
        let (mut low, mut high) = (0, self.block.restarts.len() - 1);
        while low < high {
            let middle = (low + high).div_ceil(2);
            match self.block.restarts.offset(middle) < here {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        let restart = self.block.restarts.offset(low);
        self.behind.clear();
        self.behind_keys.clear();
        self.read_restart(restart)?;
        self.push_behind();
        while self.next < here {
            self.read(self.next)?;
            self.push_behind();
        }
        // Restarts out of order would lead forward, and a walk backward round in circles.
        if self.next == here { Ok(()) } else { Err(self.block.bad_restart()) }
    }

    fn push_behind(&mut self) {
        let key = self.behind_keys.len();
        self.behind_keys.extend_from_slice(&self.key);
        self.behind.push(Behind { at: self.at, next: self.next, key, value: self.value.clone() });
    }

    /// Reads the entry at `at`, which needs no other.
    fn read_restart(&mut self, at: usize) -> Result<()> {
        self.key.clear();
        self.read(at)
    }

    /// Reads the entry at `at`, whose predecessor is the current one.
    #[inline]
    fn read(&mut self, at: usize) -> Result<()> {
        self.at = at;
        if at >= self.block.entries_end {
            self.at = self.block.entries_end;
            return Ok(());
        }
        let Some(raw) = self.block.raw(at) else { return Err(self.block.bad_entry(at)) };
        if raw.shared > self.key.len() {
            return Err(self.block.bad_entry(at));
        }
        self.key.truncate(raw.shared);
        let unshared_at = raw.value.start - raw.unshared.len();
        put_first(&mut self.key, &self.block.bytes[unshared_at..], raw.unshared.len());
        self.value = raw.value;
        self.next = raw.end;
        if self.key.len() <= TRAILER_BYTES {
            return Err(self.block.bad_entry(at));
        }
        Ok(())
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
        let mut builder = BlockBuilder::with_interval(interval);
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

    /// Keys that are prefixes of each other, and versions: all that makes the two searches differ.
    #[test]
    fn a_search_without_keys_finds_what_one_with_keys_does() {
        let letters = [b"".as_slice(), b"a", b"b", b"\x01", b"\xff"];
        let mut users: Vec<Vec<u8>> = Vec::new();
        for first in letters {
            for second in letters {
                for third in [b"".as_slice(), b"a", b"\0\0\0\0\0\0\0\0", b"longer than a word"] {
                    users.push([b"k".as_slice(), first, second, third].concat());
                }
            }
        }
        let trailers = [3 << 8 | 1, 2 << 8, 1 << 8 | 1, 0x6161_6161_6161 << 8 | 1];
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for (i, user) in users.iter().enumerate() {
            keys.extend(trailers[..1 + i % 4].iter().map(|&trailer| internal_key(user, trailer)));
        }
        keys.sort_by(|a, b| crate::base::key::compare(a, b));
        keys.dedup();
        for interval in [1, 2, 5, 16] {
            let mut builder = BlockBuilder::with_interval(interval);
            keys.iter().for_each(|key| builder.add(key, key));
            let block = Arc::new(Block::new(1, 0, builder.finish(<[u8]>::to_vec)).expect("well-formed"));
            let mut iter = BlockIter::new(Arc::clone(&block));
            let more: Vec<Vec<u8>> = users.iter().map(|user| [user.as_slice(), b"~"].concat()).collect();
            for user in users.iter().chain(&more) {
                for trailer in trailers.iter().flat_map(|&trailer| [trailer - 1, trailer, trailer + 1]) {
                    iter.seek_to(user, trailer).expect("sound");
                    let expected = iter.valid().then(|| {
                        let (found, trailer) = split(iter.key());
                        Found { trailer: (found == user).then_some(trailer), value: iter.value() }
                    });
                    let found = block.find(user, trailer).expect("sound");
                    assert_eq!(found, expected, "{user:?} {trailer:#x}, a restart each {interval}");
                }
            }
        }
    }

    #[test]
    fn keys_that_begin_otherwise_are_before_or_after_all() {
        let mut iter = BlockIter::new(block(100, 3));
        for (user, first) in [
            ("", true),
            ("a", true),
            ("ke", true),
            ("key0", true),
            ("key1", false),
            ("kez", false),
            ("z", false),
        ] {
            iter.seek(&internal_key(user.as_bytes(), trailer(9, Kind::Put))).expect("sound");
            assert_eq!(iter.valid(), first, "{user}");
            assert!(!first || iter.key() == key(0), "{user}");
        }
    }

    #[test]
    fn large_entries_are_restarts_sooner() {
        let restarts = |value: usize| {
            let mut builder = BlockBuilder::new();
            (0..64).for_each(|i| builder.add(&key(i), &vec![0; value]));
            let bytes = builder.finish(<[u8]>::to_vec);
            Block::new(1, 0, bytes).expect("well-formed").restarts.len()
        };
        assert_eq!(restarts(1), 64 / RESTART_INTERVAL);
        assert_eq!(restarts(RESTART_BYTES), 64);
        assert!((10..20).contains(&restarts(100)), "{} of 64 entries of some 110 bytes", restarts(100));
    }

    #[test]
    fn damaged_blocks_are_errors_not_panics() {
        let mut builder = BlockBuilder::with_interval(4);
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
                    let block = Arc::new(Block::new(1, 0, damaged.clone())?);
                    for i in 0..20 {
                        let _another_answer = block.find(user_key(&key(i)), i as u64)?;
                    }
                    let mut iter = BlockIter::new(block);
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
