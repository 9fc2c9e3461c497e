//! Bytes that are added and never removed, in chunks that never move, named by numbers of 32 bits.

/// The length of a chunk; a larger piece gets a chunk of its own.
const CHUNK_BYTES: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 18;

/// Where a piece lies: the chunk's index, shifted, and the offset in the chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ref(u32);

/// An append-only store of byte pieces.
#[derive(Debug, Default)]
pub struct Arena {
    chunks: Vec<Vec<u8>>,
    /// The chunk that small pieces go to.
    current: usize,
    bytes: u64,
}

impl Arena {
    /// Adds a piece made of `parts`.
    pub fn add(&mut self, parts: &[&[u8]]) -> Ref {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let fits =
            self.chunks.get(self.current).is_some_and(|chunk| chunk.capacity() - chunk.len() >= length);
        let index = if fits { self.current } else { self.add_chunk(length) };
        self.bytes += length as u64;
        let chunk = &mut self.chunks[index];
        let offset = chunk.len();
        for part in parts {
            chunk.extend_from_slice(part);
        }
        // A chunk has at least 64 KiB, so 2^14 of them are 1 GiB: twice what the options allow a memtable.
        let chunk = u32::try_from(index).expect("fewer than 2^14 chunks");
        Ref(chunk << CHUNK_BITS | u32::try_from(offset).expect("an offset is less than a chunk"))
    }

    /// The bytes from a piece's start to its chunk's end.
    #[inline]
    pub fn from(&self, piece: Ref) -> &[u8] {
        let chunk = &self.chunks[(piece.0 >> CHUNK_BITS) as usize];
        &chunk[(piece.0 & (CHUNK_BYTES as u32 - 1)) as usize..]
    }

    /// The bytes of all pieces. The chunks take at most a chunk more, and what large pieces leave unused.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn add_chunk(&mut self, length: usize) -> usize {
        let large = length > CHUNK_BYTES / 4;
        let capacity = if large { length } else { CHUNK_BYTES };
        self.chunks.push(Vec::with_capacity(capacity));
        let index = self.chunks.len() - 1;
        if !large {
            self.current = index;
        }
        index
    }
}
