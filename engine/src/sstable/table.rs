//! An open table: its index and filter in memory, its blocks read as they are needed.

use super::block::{Block, BlockIter, Found};
use super::cache::BlockCache;
use super::filter;
use super::format::{Codec, FOOTER_BYTES, Footer, Handle, Properties, TRAILER_BYTES};
use super::iter::{ReadMode, TableIter};
use crate::base::checksum::{block_checksum, fits};
use crate::base::coding::Decoder;
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::base::key::{self, Kind, seek_trailer};
use crate::env::File;
use std::sync::Arc;

/// The longest block: one entry of the largest key and value, with room to spare.
const BLOCK_BYTES_MAX: u64 = 128 << 20;

/// An open table.
#[derive(Debug)]
pub struct Table<F> {
    file: F,
    number: u64,
    size: u64,
    footer: Footer,
    properties: Properties,
    index: Arc<Block>,
    filter: Vec<u8>,
}

impl<F: File> Table<F> {
    /// Opens the table `number` in `file`: reads its footer, properties, index and filter.
    ///
    /// # Errors
    ///
    /// `Corrupt` where one of them is damaged, `CannotOpen` for a newer format, and those of the file.
    pub fn open(file: F, number: u64) -> Result<Self> {
        let size = file.len()?;
        let footer = file.read(size.saturating_sub(FOOTER_BYTES as u64), FOOTER_BYTES)?;
        let footer = Footer::decode(number, size, &footer)?;
        let filter = read_block(&file, number, footer.filter)?;
        let properties = read_block(&file, number, footer.properties)?;
        let properties = Properties::decode(&properties).ok_or_else(|| {
            let name = FileName::Table(number).to_string();
            Error::corrupt(name, footer.properties.offset, "the properties are malformed")
        })?;
        let index = read_block(&file, number, footer.index)?;
        let index = Arc::new(Block::new(number, footer.index.offset, index)?);
        Ok(Self { file, number, size, footer, properties, index, filter })
    }

    /// The number in the table's name.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The file's length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the table says of itself.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The memory that index and filter take, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.index.weight() + self.filter.capacity() as u64 + size_of::<Self>() as u64
    }

    /// Whether a key with this hash can be in the table.
    #[inline]
    pub fn may_contain(&self, hash: u64) -> bool {
        filter::may_contain(&self.filter, hash)
    }

    /// The newest version of `user_key` that `sequence` sees: its kind; `read` is given the sequence number and the
    /// value of a put.
    ///
    /// # Errors
    ///
    /// `Corrupt` where a block is damaged, and those of the file.
    pub fn get(
        &self,
        cache: &BlockCache,
        user_key: &[u8],
        sequence: u64,
        read: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<Option<Kind>> {
        let target = seek_trailer(sequence);
        let Some(index) = self.index.find(user_key, target)? else { return Ok(None) };
        let mut block = self.block(cache, self.handle(index.value)?)?;
        let mut found = block.find(user_key, target)?;
        if found.is_none() {
            // The index key may be greater than the block's last: what is sought can begin the next block.
            let Some(handle) = self.handle_after(user_key, target)? else { return Ok(None) };
            block = self.block(cache, handle)?;
            found = block.find(user_key, target)?;
        }
        let Some(Found { trailer: Some(trailer), value }) = found else { return Ok(None) };
        let kind = key::kind_of(trailer).ok_or_else(|| self.index.damaged("an entry's kind is unknown"))?;
        if kind == Kind::Put {
            read(key::sequence_of(trailer), value);
        }
        Ok(Some(kind))
    }

    /// An iterator over all entries, which reads blocks in this mode.
    pub fn iter(self: &Arc<Self>, cache: &Arc<BlockCache>, mode: ReadMode) -> TableIter<F> {
        TableIter::new(Arc::clone(self), Arc::clone(cache), mode)
    }

    pub(super) fn index_iter(&self) -> BlockIter {
        BlockIter::new(Arc::clone(&self.index))
    }

    /// The handle of the block after the one that can hold this key first, if there is one.
    fn handle_after(&self, user_key: &[u8], trailer: u64) -> Result<Option<Handle>> {
        let mut index = self.index_iter();
        index.seek_to(user_key, trailer)?;
        index.next()?;
        index.valid().then(|| self.handle(index.value())).transpose()
    }

    /// The handle that an index entry holds.
    pub(super) fn handle(&self, value: &[u8]) -> Result<Handle> {
        Handle::decode(value)
            .filter(|handle| {
                handle.offset.checked_add(handle.length).is_some_and(|end| end <= self.footer.index.offset)
            })
            .ok_or_else(|| self.index.damaged("an index entry's handle is malformed"))
    }

    /// The block at `handle`, from the cache or from the file.
    pub(super) fn block(&self, cache: &BlockCache, handle: Handle) -> Result<Arc<Block>> {
        if let Some(block) = cache.get((self.number, handle.offset)) {
            return Ok(block);
        }
        let bytes = read_block(&self.file, self.number, handle)?;
        let block = Arc::new(Block::new(self.number, handle.offset, bytes)?);
        cache.insert((self.number, handle.offset), Arc::clone(&block));
        Ok(block)
    }

    /// The block at `handle`, if the cache has it.
    pub(super) fn cached(&self, cache: &BlockCache, handle: Handle) -> Option<Arc<Block>> {
        cache.get((self.number, handle.offset))
    }

    /// Reads the file's bytes from `offset` on: as many as fill `buffer`, fewer at the end of the data.
    pub(super) fn read_ahead(&self, offset: u64, buffer: &mut Vec<u8>, bytes: usize) -> Result<()> {
        buffer.resize(bytes, 0);
        let read = self.file.read_at(offset, buffer)?;
        buffer.truncate(read);
        Ok(())
    }

    /// A block from its stored bytes.
    pub(super) fn decode(&self, handle: Handle, stored: &[u8]) -> Result<Arc<Block>> {
        let bytes = match check_block(self.number, handle, stored)? {
            (Codec::None, payload) => payload.to_vec(),
            (Codec::Lz4, payload) => decompress(self.number, handle, payload)?,
        };
        Ok(Arc::new(Block::new(self.number, handle.offset, bytes)?))
    }
}

/// Reads a block's bytes, and checks and decompresses them.
fn read_block<F: File>(file: &F, number: u64, handle: Handle) -> Result<Vec<u8>> {
    if handle.length > BLOCK_BYTES_MAX {
        let reason = format!("a block of {} bytes: the limit is {BLOCK_BYTES_MAX}", handle.length);
        return Err(damaged(number, handle, reason));
    }
    let stored_length = handle.length as usize + TRAILER_BYTES;
    let mut stored = file.read(handle.offset, stored_length)?;
    if stored.len() < stored_length {
        let reason = format!("a block of {stored_length} bytes, the file has {} more", stored.len());
        return Err(damaged(number, handle, reason));
    }
    match check_block(number, handle, &stored)? {
        (Codec::None, payload) => {
            // They stay where they are.
            stored.truncate(payload.len());
            Ok(stored)
        }
        (Codec::Lz4, payload) => decompress(number, handle, payload),
    }
}

/// Checks a block's stored bytes, payload and trailer. Returns how the payload is compressed, and the payload.
fn check_block(number: u64, handle: Handle, stored: &[u8]) -> Result<(Codec, &[u8])> {
    let Some((covered, checksum)) = stored.split_last_chunk::<8>() else {
        return Err(damaged(number, handle, "a block without a trailer"));
    };
    let expected = u64::from_le_bytes(*checksum);
    let found = block_checksum(handle.offset, covered);
    if !fits(expected, found) {
        let reason = format!("the block's checksum is {expected:#018x}, its bytes have {found:#018x}");
        return Err(damaged(number, handle, reason));
    }
    let Some((&codec, payload)) = covered.split_last() else {
        return Err(damaged(number, handle, "a block without a codec"));
    };
    match Codec::from_byte(codec) {
        Some(codec) => Ok((codec, payload)),
        None => {
            Err(damaged(number, handle, format!("the block's codec is {codec}: this build knows 0 and 1")))
        }
    }
}

fn decompress(number: u64, handle: Handle, payload: &[u8]) -> Result<Vec<u8>> {
    let mut decoder = Decoder::new(payload);
    let length = decoder.varint().filter(|&length| length <= BLOCK_BYTES_MAX);
    let Some(length) = length else {
        return Err(damaged(number, handle, "a compressed block's length is malformed"));
    };
    let mut bytes = vec![0; length as usize];
    match lz4_flex::block::decompress_into(decoder.rest(), &mut bytes) {
        Ok(found) if found == bytes.len() => Ok(bytes),
        Ok(found) => {
            let reason = format!("a compressed block has {found} bytes, its header says {length}");
            Err(damaged(number, handle, reason))
        }
        Err(error) => {
            Err(damaged(number, handle, format!("a compressed block does not decompress: {error}")))
        }
    }
}

fn damaged(number: u64, handle: Handle, reason: impl Into<String>) -> Error {
    Error::corrupt(FileName::Table(number).to_string(), handle.offset, reason)
}
