//! Writes a table, front to back.

use super::block::BlockBuilder;
use super::filter;
use super::format::{Codec, Footer, Handle, Properties, TRAILER_BYTES};
use crate::base::checksum::{block_checksum, chain, key_hash};
use crate::base::coding::put_varint;
use crate::base::error::Result;
use crate::base::key::{Kind, kind_of, same_bytes, separator, sequence_of, split};
use crate::base::options::{Compression, Options};
use crate::env::File;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

/// Bytes are handed to the file in pieces of this size.
const WRITE_BYTES: usize = 256 * 1024;
/// The file is synced each time it has grown by so much, so that the last sync is a short one.
const SYNC_BYTES: u64 = 4 << 20;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// A data block is cut when it reaches this size, in bytes.
    pub block_bytes: u32,
    /// Bits of filter for each key.
    pub bloom_bits: u32,
    /// How data blocks are compressed.
    pub compression: Compression,
}

impl TableOptions {
    /// The part of a store's options that concerns tables.
    pub fn new(options: &Options) -> Self {
        Self {
            block_bytes: options.block_bytes,
            bloom_bits: options.bloom_bits,
            compression: options.compression,
        }
    }
}

/// A table under construction.
pub struct TableBuilder<F> {
    // Fixed from the start.
    options: TableOptions,
    // The file: what it has, what waits to be written to it.
    file: F,
    unwritten: Vec<u8>,
    /// The length of the file once everything is written.
    offset: u64,
    unsynced: u64,
    // The parts that grow with the entries.
    block: BlockBuilder,
    block_tombstones: u64,
    block_entries: u64,
    /// The last block's greatest key and handle, until the next key tells where its index entry separates.
    pending: Option<(Vec<u8>, Handle)>,
    index: BlockBuilder,
    hashes: Vec<u64>,
    last_user_key: Vec<u8>,
    properties: Properties,
    compressor: Option<CompressTable>,
    compressed: Vec<u8>,
    /// The checksum of the block that was put last.
    last_checksum: u64,
}

impl<F: File> TableBuilder<F> {
    /// A table to be written to `file`, which is empty.
    pub fn new(file: F, options: TableOptions) -> Self {
        Self {
            options,
            file,
            unwritten: Vec::with_capacity(WRITE_BYTES + options.block_bytes as usize),
            offset: 0,
            unsynced: 0,
            block: BlockBuilder::new(),
            block_tombstones: 0,
            block_entries: 0,
            pending: None,
            index: BlockBuilder::index(),
            hashes: Vec::new(),
            last_user_key: Vec::new(),
            properties: Properties { sequence_min: u64::MAX, ..Properties::default() },
            compressor: (options.compression == Compression::Lz4).then(CompressTable::default),
            compressed: Vec::new(),
            last_checksum: 0,
        }
    }

    /// Adds an entry. REQUIRES: its internal key is greater than the one before.
    ///
    /// # Errors
    ///
    /// Those of the file; the table is then of no use.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (user, trailer) = split(key);
        if let Some((last, handle)) = self.pending.take() {
            self.index.add(&separator(&last, key), &handle.encode());
        }
        if self.properties.entries == 0 {
            self.properties.smallest = key.to_vec();
        }
        if self.properties.entries == 0 || !same_bytes(user, &self.last_user_key) {
            self.hashes.push(key_hash(user));
            self.properties.keys += 1;
            self.last_user_key.clear();
            self.last_user_key.extend_from_slice(user);
        }
        self.count(trailer, key, value);
        self.block.add(key, value);
        if self.block.len() >= self.options.block_bytes as usize {
            self.finish_block()?;
        }
        Ok(())
    }

    fn count(&mut self, trailer: u64, key: &[u8], value: &[u8]) {
        let tombstone = u64::from(kind_of(trailer) == Some(Kind::Delete));
        let sequence = sequence_of(trailer);
        self.block_entries += 1;
        self.block_tombstones += tombstone;
        let found = &mut self.properties;
        found.entries += 1;
        found.tombstones += tombstone;
        found.sequence_min = found.sequence_min.min(sequence);
        found.sequence_max = found.sequence_max.max(sequence);
        found.key_bytes += key.len() as u64;
        found.value_bytes += value.len() as u64;
    }

    /// About how long the file would be if it ended here, in bytes.
    pub fn estimated_bytes(&self) -> u64 {
        self.offset + self.block.len() as u64
    }

    /// Writes the rest and makes the file durable (its name is not, until the directory is synced). Returns the
    /// file's length and properties.
    ///
    /// # Errors
    ///
    /// Those of the file; the table is then of no use. REQUIRES: at least one entry was added.
    pub fn finish(mut self) -> Result<(u64, Properties)> {
        if !self.block.is_empty() {
            self.finish_block()?;
        }
        if let Some((last, handle)) = self.pending.take() {
            self.index.add(&last, &handle.encode());
        }
        let filter = filter::build(&self.hashes, self.options.bloom_bits);
        let filter = self.put_block(&filter);
        let properties = self.properties.encode();
        let properties = self.put_block(&properties);
        let mut index = std::mem::replace(&mut self.index, BlockBuilder::index());
        let index = index.finish(|bytes| self.put_block(bytes));
        let footer = Footer { filter, properties, index }.encode();
        self.offset += footer.len() as u64;
        self.unwritten.extend_from_slice(&footer);
        self.write()?;
        self.file.sync()?;
        Ok((self.offset, self.properties))
    }

    fn finish_block(&mut self) -> Result<()> {
        let last = self.block.last_key().to_vec();
        let mut block = std::mem::replace(&mut self.block, BlockBuilder::new());
        let handle = block.finish(|bytes| match self.compress(bytes) {
            true => self.put_compressed(),
            false => self.put_block(bytes),
        });
        self.block = block;
        self.properties.digest = chain(self.properties.digest, self.last_checksum);
        self.properties.largest.clone_from(&last);
        self.properties.blocks += 1;
        self.properties.tombstone_blocks += u64::from(self.block_tombstones * 2 >= self.block_entries);
        (self.block_entries, self.block_tombstones) = (0, 0);
        self.pending = Some((last, handle));
        if self.unwritten.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Compresses `block`. False where that saves less than an eighth: it is then not worth reading.
    fn compress(&mut self, block: &[u8]) -> bool {
        let Some(table) = &mut self.compressor else { return false };
        self.compressed.clear();
        put_varint(&mut self.compressed, block.len() as u64);
        let start = self.compressed.len();
        self.compressed.resize(start + get_maximum_output_size(block.len()), 0);
        let Ok(length) = compress_into_with_table(block, &mut self.compressed[start..], table) else {
            return false;
        };
        self.compressed.truncate(start + length);
        self.compressed.len() <= block.len() / 8 * 7
    }

    fn put_compressed(&mut self) -> Handle {
        let payload = std::mem::take(&mut self.compressed);
        let handle = self.put(&payload, Codec::Lz4);
        self.compressed = payload;
        handle
    }

    fn put_block(&mut self, payload: &[u8]) -> Handle {
        self.put(payload, Codec::None)
    }

    fn put(&mut self, payload: &[u8], codec: Codec) -> Handle {
        let handle = Handle { offset: self.offset, length: payload.len() as u64 };
        let start = self.unwritten.len();
        self.unwritten.extend_from_slice(payload);
        self.unwritten.push(codec as u8);
        let checksum = block_checksum(handle.offset, &self.unwritten[start..]);
        self.unwritten.extend_from_slice(&checksum.to_le_bytes());
        self.last_checksum = checksum;
        self.offset += (payload.len() + TRAILER_BYTES) as u64;
        handle
    }

    fn write(&mut self) -> Result<()> {
        self.file.append(&self.unwritten)?;
        self.unsynced += self.unwritten.len() as u64;
        self.unwritten.clear();
        if self.unsynced >= SYNC_BYTES {
            self.file.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

impl<F> std::fmt::Debug for TableBuilder<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableBuilder").field("offset", &self.offset).finish_non_exhaustive()
    }
}
