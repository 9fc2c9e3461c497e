//! The parts of a table that are not entries: handles, trailers, properties, footer.

use crate::base::checksum::{crc32, fits};
use crate::base::coding::{Decoder, put_bytes, put_u32, put_u64, put_varint};
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::base::key::is_internal_key;

/// ON DISK: the format version of tables.
const VERSION: u32 = 1;
/// ON DISK: the footer's last bytes.
const MAGIC: [u8; 8] = *b"eskertbl";
/// ON DISK: the footer's length.
pub const FOOTER_BYTES: usize = 64;
/// ON DISK: codec and checksum after each block.
pub const TRAILER_BYTES: usize = 9;
/// An entry of a data block is a restart where so many entries stand before it since the last one, or so many bytes: a
/// search walks from a restart. A restart takes the bytes that a key shares with the one before, and four.
pub const RESTART_INTERVAL: usize = 16;
pub const RESTART_BYTES: usize = 512;

/// ON DISK: how a block's payload is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    None = 0,
    Lz4 = 1,
}

impl Codec {
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::None),
            1 => Some(Self::Lz4),
            _ => None,
        }
    }
}

/// Where a block stands: its offset, and the length of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handle {
    pub offset: u64,
    pub length: u64,
}

impl Handle {
    /// The handle in an index entry's value.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(bytes);
        Some(Self { offset: decoder.varint()?, length: decoder.varint()? })
    }

    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(10);
        put_varint(&mut out, self.offset);
        put_varint(&mut out, self.length);
        out
    }
}

/// What a table says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// The number of entries, tombstones included.
    pub entries: u64,
    /// The number of tombstones.
    pub tombstones: u64,
    /// The number of different user keys.
    pub keys: u64,
    /// The least sequence number.
    pub sequence_min: u64,
    /// The greatest sequence number.
    pub sequence_max: u64,
    /// Bytes of all internal keys, uncompressed.
    pub key_bytes: u64,
    /// Bytes of all values, uncompressed.
    pub value_bytes: u64,
    /// The number of data blocks.
    pub blocks: u64,
    /// The number of data blocks of which at least half of the entries are tombstones.
    pub tombstone_blocks: u64,
    /// The digest of the data blocks' checksums: what tells the table from all others that ever had its number.
    pub digest: u64,
    /// The least internal key.
    pub smallest: Vec<u8>,
    /// The greatest internal key.
    pub largest: Vec<u8>,
}

impl Properties {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let numbers = [
            (2, self.entries),
            (4, self.tombstones),
            (6, self.sequence_min),
            (8, self.sequence_max),
            (10, self.key_bytes),
            (12, self.value_bytes),
            (14, self.blocks),
            (16, self.tombstone_blocks),
            (18, self.keys),
            (20, self.digest),
        ];
        for (tag, value) in numbers {
            put_varint(&mut out, tag);
            put_varint(&mut out, value);
        }
        for (tag, key) in [(1, &self.smallest), (3, &self.largest)] {
            put_varint(&mut out, tag);
            put_bytes(&mut out, key);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(bytes);
        let mut found = Self::default();
        while !decoder.is_empty() {
            let tag = decoder.varint()?;
            if tag % 2 == 1 {
                let value = decoder.bytes()?;
                match tag {
                    1 => found.smallest = value.to_vec(),
                    3 => found.largest = value.to_vec(),
                    _ => {}
                }
                continue;
            }
            let value = decoder.varint()?;
            match tag {
                2 => found.entries = value,
                4 => found.tombstones = value,
                6 => found.sequence_min = value,
                8 => found.sequence_max = value,
                10 => found.key_bytes = value,
                12 => found.value_bytes = value,
                14 => found.blocks = value,
                16 => found.tombstone_blocks = value,
                18 => found.keys = value,
                20 => found.digest = value,
                _ => {}
            }
        }
        (is_internal_key(&found.smallest) && is_internal_key(&found.largest)).then_some(found)
    }
}

/// The end of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    pub filter: Handle,
    pub properties: Handle,
    pub index: Handle,
}

impl Footer {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        for handle in [self.filter, self.properties, self.index] {
            put_u64(&mut out, handle.offset);
            put_u64(&mut out, handle.length);
        }
        put_u32(&mut out, VERSION);
        let checksum = crc32(&out);
        put_u32(&mut out, checksum);
        out.extend_from_slice(&MAGIC);
        out
    }

    /// Reads the footer of table `number`, the last bytes of a file of `size` bytes.
    pub fn decode(number: u64, size: u64, bytes: &[u8]) -> Result<Self> {
        let offset = size.saturating_sub(FOOTER_BYTES as u64);
        let damaged = |message: String| Error::corrupt(FileName::Table(number).to_string(), offset, message);
        let mut decoder = Decoder::new(bytes);
        let mut handle = || Some(Handle { offset: decoder.u64()?, length: decoder.u64()? });
        let (filter, properties, index) = (handle(), handle(), handle());
        let (version, checksum, magic) = (decoder.u32(), decoder.u32(), decoder.take(8));
        let (Some(filter), Some(properties), Some(index), Some(version), Some(checksum), Some(magic)) =
            (filter, properties, index, version, checksum, magic)
        else {
            return Err(damaged(format!(
                "a table ends with {FOOTER_BYTES} bytes of footer, the file has {size}"
            )));
        };
        if magic != MAGIC {
            return Err(damaged(format!("the footer ends with {magic:02x?}, a table's with {MAGIC:02x?}")));
        }
        let found = crc32(bytes.get(..FOOTER_BYTES - 12).unwrap_or_default());
        if !fits(checksum, found) {
            return Err(damaged(format!(
                "the footer's checksum is {checksum:#010x}, its bytes have {found:#010x}"
            )));
        }
        if version != VERSION {
            return Err(Error::cannot_open(format!(
                "{} has format version {version}, this build reads version {VERSION}: use a newer Esker",
                FileName::Table(number)
            )));
        }
        for (name, handle) in [("filter", filter), ("properties", properties), ("index", index)] {
            let end = handle
                .offset
                .checked_add(handle.length)
                .and_then(|end| end.checked_add(TRAILER_BYTES as u64));
            if end.is_none_or(|end| end > offset) {
                return Err(damaged(format!("the {name} would lie beyond the footer: {handle:?}")));
            }
        }
        Ok(Self { filter, properties, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::{Kind, internal_key, trailer};

    #[test]
    fn properties_read_back() {
        let properties = Properties {
            entries: 7,
            tombstones: 300,
            keys: 6,
            sequence_min: 1,
            sequence_max: 1 << 50,
            key_bytes: 10,
            value_bytes: 11,
            blocks: 12,
            tombstone_blocks: 13,
            digest: u64::MAX,
            smallest: internal_key(b"a", trailer(1, Kind::Put)),
            largest: internal_key(b"b", trailer(2, Kind::Delete)),
        };
        let mut bytes = properties.encode();
        assert_eq!(Properties::decode(&bytes), Some(properties.clone()));
        put_varint(&mut bytes, 1001);
        put_bytes(&mut bytes, b"of a newer writer");
        assert_eq!(Properties::decode(&bytes), Some(properties));
    }

    #[test]
    fn a_footer_is_checked() {
        let handle = |offset| Handle { offset, length: 10 };
        let footer = Footer { filter: handle(0), properties: handle(100), index: handle(200) };
        let bytes = footer.encode();
        assert_eq!(bytes.len(), FOOTER_BYTES);
        assert_eq!(Footer::decode(1, 1000, &bytes), Ok(footer));
        assert!(Footer::decode(1, 270, &bytes).is_err(), "the index would lie beyond");
        for at in 0..FOOTER_BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(Footer::decode(1, 1000, &damaged).is_err(), "flip at {at}");
            assert!(Footer::decode(1, 1000, &bytes[..at]).is_err());
        }
    }
}
