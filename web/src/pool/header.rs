//! The header of a slot: which file lives in it, and how long it is known to be (docs/browser.md).
//!
//! ON DISK. A slot begins with two copies of its header, of which the sound one of the greater generation holds. This
//! file turns headers into bytes and back; which copy may be written when is decided in `slot`.

use esker_engine::base::checksum::crc32;
use esker_engine::base::coding::{Decoder, put_u32, put_u64};

/// ON DISK: where the copies begin: far enough apart that no torn sector or page concerns both.
pub const COPIES: [u64; 2] = [0, 4096];
/// ON DISK: where the file's bytes begin.
pub const DATA: u64 = 8192;
/// ON DISK: the bytes of a copy.
pub const COPY_BYTES: usize = 256;
/// ON DISK: the byte that follows the file's last one; what comes after it is zero.
pub const MARK: u8 = 1;
/// The longest name in bytes.
pub const NAME_BYTES_MAX: usize = 200;

const MAGIC: [u8; 8] = *b"eskrslot";
const VERSION: u32 = 1;
/// Where the checksum stands.
const CHECKSUM: usize = COPY_BYTES - 4;

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Raised with every header that is written, over all slots of a store.
    pub generation: u64,
    /// So many bytes of the file are known durable.
    pub length: u64,
    /// The file's name; empty for a free slot.
    pub name: String,
}

/// What stands at the place of one copy.
#[derive(Debug, PartialEq, Eq)]
enum Copy {
    Sound(Header),
    /// Only zeros: never written.
    Blank,
    Unsound,
    /// Of this version, which is newer.
    Newer(u32),
}

/// What the two copies together say.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The copy with this index holds.
    Header(Header, usize),
    /// No file was ever here: the slot is free.
    Blank,
    /// No copy is sound.
    Damaged,
    /// The slot was written by a newer Esker, in this version.
    Newer(u32),
}

impl Header {
    /// The bytes of a copy.
    pub fn encode(&self) -> Vec<u8> {
        debug_assert!(self.name.len() <= NAME_BYTES_MAX, "names are checked where they enter");
        let mut out = MAGIC.to_vec();
        put_u32(&mut out, VERSION);
        put_u64(&mut out, self.generation);
        put_u64(&mut out, self.length);
        put_u32(&mut out, self.name.len() as u32);
        out.extend_from_slice(self.name.as_bytes());
        out.resize(CHECKSUM, 0);
        let checksum = crc32(&out);
        put_u32(&mut out, checksum);
        out
    }
}

impl Copy {
    fn decode(bytes: &[u8]) -> Self {
        if bytes.iter().all(|&byte| byte == 0) {
            return Self::Blank;
        }
        Self::decode_written(bytes).unwrap_or(Self::Unsound)
    }

    fn decode_written(bytes: &[u8]) -> Option<Self> {
        let covered = bytes.get(..CHECKSUM)?;
        if Decoder::new(bytes.get(CHECKSUM..COPY_BYTES)?).u32()? != crc32(covered) {
            return None;
        }
        let mut decoder = Decoder::new(covered);
        if decoder.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let version = decoder.u32()?;
        if version != VERSION {
            return Some(Self::Newer(version));
        }
        let (generation, length) = (decoder.u64()?, decoder.u64()?);
        let name_bytes = usize::try_from(decoder.u32()?).ok()?;
        let name = String::from_utf8(decoder.take(name_bytes)?.to_vec()).ok()?;
        Some(Self::Sound(Header { generation, length, name }))
    }
}

/// Judges the beginning of a slot. `bytes` holds what there is of its first [`DATA`] bytes.
pub fn find(bytes: &[u8]) -> Found {
    let [first, second] = COPIES.map(|at| {
        let at = at as usize;
        Copy::decode(bytes.get(at..(at + COPY_BYTES).min(bytes.len())).unwrap_or(&[]))
    });
    match (first, second) {
        (Copy::Newer(version), _) | (_, Copy::Newer(version)) => Found::Newer(version),
        (Copy::Sound(a), Copy::Sound(b)) if b.generation > a.generation => Found::Header(b, 1),
        (Copy::Sound(a), _) => Found::Header(a, 0),
        (_, Copy::Sound(b)) => Found::Header(b, 1),
        // The first header of a slot's life goes to the second copy, and says that the slot is free.
        (Copy::Blank, Copy::Blank | Copy::Unsound) => Found::Blank,
        _ => Found::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(generation: u64, name: &str) -> Header {
        Header { generation, length: 7, name: name.into() }
    }

    fn slot(copies: [Option<Vec<u8>>; 2]) -> Vec<u8> {
        let mut bytes = vec![0; DATA as usize];
        for (at, copy) in COPIES.iter().zip(copies) {
            let copy = copy.unwrap_or_default();
            bytes[*at as usize..][..copy.len()].copy_from_slice(&copy);
        }
        bytes
    }

    #[test]
    fn the_newer_sound_copy_holds() {
        let (old, new) = (header(3, "000001.wal"), header(4, ""));
        let bytes = slot([Some(old.encode()), Some(new.encode())]);
        assert_eq!(find(&bytes), Found::Header(new.clone(), 1));
        let bytes = slot([Some(new.encode()), Some(old.encode())]);
        assert_eq!(find(&bytes), Found::Header(new.clone(), 0));
        assert_eq!(find(&slot([None, Some(old.encode())])), Found::Header(old, 1));
    }

    #[test]
    fn a_copy_with_any_flipped_bit_gives_way_to_the_other() {
        let (old, new) = (header(3, "000001.wal"), header(4, "000002.wal"));
        for bit in 0..COPY_BYTES * 8 {
            let mut torn = new.encode();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(find(&slot([Some(old.encode()), Some(torn)])), Found::Header(old.clone(), 0));
        }
    }

    #[test]
    fn a_slot_without_a_sound_copy_is_damaged_unless_it_is_blank() {
        assert_eq!(find(&[]), Found::Blank);
        assert_eq!(find(&[0; 100]), Found::Blank);
        assert_eq!(find(&slot([None, None])), Found::Blank);
        assert_eq!(find(&slot([None, Some(b"torn".to_vec())])), Found::Blank, "the first header of all");
        assert_eq!(find(&slot([Some(b"garbage".to_vec()), None])), Found::Damaged);
        assert_eq!(find(&header(1, "x").encode()[..100]), Found::Damaged, "cut short");
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = header(1, "x").encode();
        bytes[8] = 2;
        let checksum = crc32(&bytes[..CHECKSUM]).to_le_bytes();
        bytes[CHECKSUM..].copy_from_slice(&checksum);
        assert_eq!(find(&slot([Some(bytes), Some(header(9, "y").encode())])), Found::Newer(2));
    }

    /// ON DISK: these bytes must never change.
    #[test]
    fn the_bytes_are_those_of_the_document() {
        let bytes = Header { generation: 5, length: 258, name: "000007.wal".into() }.encode();
        assert_eq!(bytes.len(), COPY_BYTES);
        assert_eq!(&bytes[..8], b"eskrslot");
        assert_eq!(&bytes[8..12], [1, 0, 0, 0]);
        assert_eq!(&bytes[12..20], [5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[20..28], [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[28..32], [10, 0, 0, 0]);
        assert_eq!(&bytes[32..42], b"000007.wal");
        assert!(bytes[42..CHECKSUM].iter().all(|&byte| byte == 0));
    }
}
