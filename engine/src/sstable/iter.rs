//! Iterates over a table: over its index, and in each entry's block.

use super::block::{Block, BlockIter};
use super::cache::BlockCache;
use super::format::{Handle, TRAILER_BYTES};
use super::table::Table;
use crate::base::error::Result;
use crate::env::File;
use crate::iter::InternalIterator;
use std::sync::Arc;

/// How an iterator reads blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadMode {
    /// Through the cache, leaving there what was read.
    Cached,
    /// In large pieces ahead of need, past the cache: for whoever reads a whole table once.
    Sequential,
}

/// A sequential iterator reads at least so much at once.
const READ_AHEAD_BYTES: usize = 256 * 1024;

/// A position in a table.
pub struct TableIter<F> {
    table: Arc<Table<F>>,
    cache: Arc<BlockCache>,
    mode: ReadMode,
    index: BlockIter,
    block: Option<BlockIter>,
    /// The file's bytes from `ahead_start` on.
    ahead: Vec<u8>,
    ahead_start: u64,
}

impl<F: File> TableIter<F> {
    pub(super) fn new(table: Arc<Table<F>>, cache: Arc<BlockCache>, mode: ReadMode) -> Self {
        let index = table.index_iter();
        Self { table, cache, mode, index, block: None, ahead: Vec::new(), ahead_start: 0 }
    }

    /// Loads the block that the index stands on. False where it stands nowhere.
    fn load(&mut self) -> Result<bool> {
        if !self.index.valid() {
            self.block = None;
            return Ok(false);
        }
        let handle = self.table.handle(self.index.value())?;
        let block = match self.mode {
            ReadMode::Cached => self.table.block(&self.cache, handle),
            ReadMode::Sequential => self.block_ahead(handle),
        };
        match (block, &mut self.block) {
            (Ok(block), Some(iter)) => iter.reset(block),
            (Ok(block), none) => *none = Some(BlockIter::new(block)),
            (Err(error), any) => {
                *any = None;
                return Err(error);
            }
        }
        Ok(true)
    }

    fn block_ahead(&mut self, handle: Handle) -> Result<Arc<Block>> {
        if let Some(block) = self.table.cached(&self.cache, handle) {
            return Ok(block);
        }
        let length = handle.length as usize + TRAILER_BYTES;
        let inside = |start: u64, ahead: &[u8]| {
            let from = usize::try_from(handle.offset.checked_sub(start)?).ok()?;
            (from + length <= ahead.len()).then_some(from)
        };
        let from = match inside(self.ahead_start, &self.ahead) {
            Some(from) => from,
            None => {
                self.table.read_ahead(handle.offset, &mut self.ahead, length.max(READ_AHEAD_BYTES))?;
                self.ahead_start = handle.offset;
                0
            }
        };
        self.table.decode(handle, self.ahead.get(from..from + length).unwrap_or(&self.ahead))
    }

    fn current(&self) -> &BlockIter {
        self.block.as_ref().expect("the caller checked valid()")
    }

    fn block_valid(&self) -> bool {
        self.block.as_ref().is_some_and(BlockIter::valid)
    }

    /// While the block has no entry here, to the first of the next block.
    fn settle_forward(&mut self) -> Result<()> {
        while !self.block_valid() && self.index.valid() {
            self.index.next()?;
            if self.load()?
                && let Some(block) = &mut self.block
            {
                block.seek_to_first()?;
            }
        }
        Ok(())
    }

    /// While the block has no entry here, to the last of the block before.
    fn settle_backward(&mut self) -> Result<()> {
        while !self.block_valid() && self.index.valid() {
            self.index.prev()?;
            if self.load()?
                && let Some(block) = &mut self.block
            {
                block.seek_to_last()?;
            }
        }
        Ok(())
    }
}

impl<F: File> InternalIterator for TableIter<F> {
    fn valid(&self) -> bool {
        self.block_valid()
    }

    fn key(&self) -> &[u8] {
        self.current().key()
    }

    fn value(&self) -> &[u8] {
        self.current().value()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.index.seek_to_first()?;
        if self.load()?
            && let Some(block) = &mut self.block
        {
            block.seek_to_first()?;
        }
        self.settle_forward()
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.index.seek_to_last()?;
        if self.load()?
            && let Some(block) = &mut self.block
        {
            block.seek_to_last()?;
        }
        self.settle_backward()
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        self.index.seek(target)?;
        if self.load()?
            && let Some(block) = &mut self.block
        {
            block.seek(target)?;
        }
        self.settle_forward()
    }

    fn seek_before(&mut self, target: &[u8]) -> Result<()> {
        self.index.seek(target)?;
        if !self.index.valid() {
            return self.seek_to_last();
        }
        if self.load()?
            && let Some(block) = &mut self.block
        {
            block.seek_before(target)?;
        }
        self.settle_backward()
    }

    fn next(&mut self) -> Result<()> {
        if let Some(block) = &mut self.block {
            block.next()?;
        }
        if self.block_valid() { Ok(()) } else { self.settle_forward() }
    }

    fn prev(&mut self) -> Result<()> {
        if let Some(block) = &mut self.block {
            block.prev()?;
        }
        if self.block_valid() { Ok(()) } else { self.settle_backward() }
    }
}

impl<F> std::fmt::Debug for TableIter<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableIter").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TableBuilder, TableOptions};
    use super::*;
    use crate::base::checksum::key_hash;
    use crate::base::key::{Kind, internal_key, kind_of, split, trailer};
    use crate::base::options::Compression;
    use crate::env::{Fs, MemFs};

    fn key(i: u64) -> Vec<u8> {
        // Every third user key has two versions.
        let (user, version) = (i - i % 3 / 2, 10 - i % 3);
        let kind = if i.is_multiple_of(5) { Kind::Delete } else { Kind::Put };
        internal_key(format!("key{:06}", user * 2).as_bytes(), trailer(version, kind))
    }

    fn value(i: u64) -> Vec<u8> {
        if i.is_multiple_of(5) {
            Vec::new()
        } else {
            format!("value {i} {}", "x".repeat(i as usize % 200)).into_bytes()
        }
    }

    fn table(fs: &MemFs, count: u64, options: TableOptions) -> Arc<Table<<MemFs as Fs>::File>> {
        let mut builder = TableBuilder::new(fs.create("000001.sst").expect("new"), options);
        for i in 0..count {
            builder.add(&key(i), &value(i)).expect("in memory");
        }
        let (size, properties) = builder.finish().expect("in memory");
        let table = Table::open(fs.open("000001.sst").expect("there"), 1).expect("sound");
        assert_eq!(table.size(), size);
        assert_eq!(table.properties(), &properties);
        assert_eq!(properties.entries, count);
        assert_eq!((properties.smallest, properties.largest), (key(0), key(count - 1)));
        fs.remove("000001.sst").expect("there");
        Arc::new(table)
    }

    fn options() -> Vec<TableOptions> {
        let mut all = Vec::new();
        for compression in [Compression::None, Compression::Lz4] {
            for (block_bytes, bloom_bits) in [(256, 0), (4096, 10), (65_536, 10)] {
                all.push(TableOptions { block_bytes, bloom_bits, compression });
            }
        }
        all
    }

    #[test]
    fn every_entry_is_found_from_both_sides() {
        let fs = MemFs::new();
        for options in options() {
            for count in [1, 2, 3, 500, 3000] {
                let table = table(&fs, count, options);
                for mode in [ReadMode::Cached, ReadMode::Sequential] {
                    let cache = Arc::new(BlockCache::new(1 << 20));
                    let mut iter = table.iter(&cache, mode);
                    iter.seek_to_first().expect("sound");
                    for i in 0..count {
                        assert_eq!((iter.key(), iter.value()), (&key(i)[..], &value(i)[..]));
                        iter.next().expect("sound");
                    }
                    assert!(!iter.valid());
                    iter.seek_to_last().expect("sound");
                    for i in (0..count).rev() {
                        assert_eq!((iter.key(), iter.value()), (&key(i)[..], &value(i)[..]));
                        iter.prev().expect("sound");
                    }
                    assert!(!iter.valid());
                }
                let cache = Arc::new(BlockCache::new(1 << 20));
                let mut iter = table.iter(&cache, ReadMode::Cached);
                for i in 0..count {
                    iter.seek(&key(i)).expect("sound");
                    assert_eq!(iter.key(), key(i));
                    iter.seek_before(&key(i)).expect("sound");
                    assert_eq!(iter.valid(), i > 0);
                    assert!(i == 0 || iter.key() == key(i - 1));
                }
                let past = internal_key(b"z", 0);
                iter.seek(&past).expect("sound");
                assert!(!iter.valid());
                iter.seek_before(&past).expect("sound");
                assert_eq!(iter.key(), key(count - 1));
            }
        }
    }

    #[test]
    fn gets_see_what_their_sequence_sees() {
        let fs = MemFs::new();
        for options in options() {
            let cache = BlockCache::new(1 << 20);
            let count = 2000;
            let table = table(&fs, count, options);
            for i in 0..count {
                let (user, stored) = (key(i)[..9].to_vec(), split(&key(i)).1);
                assert!(table.may_contain(key_hash(&user)));
                let mut found = None;
                let kind =
                    table.get(&cache, &user, stored >> 8, &mut |_, bytes| found = Some(bytes.to_vec()));
                assert_eq!(kind, Ok(kind_of(stored)));
                assert_eq!(found, (!i.is_multiple_of(5)).then(|| value(i)));
            }
            assert_eq!(
                table.get(&cache, b"key000000", 1, &mut |_, _| {}),
                Ok(None),
                "before its first version"
            );
            assert_eq!(table.get(&cache, b"key000001", 99, &mut |_, _| {}), Ok(None));
            assert_eq!(table.get(&cache, b"zzz", 99, &mut |_, _| {}), Ok(None));
        }
    }
}
