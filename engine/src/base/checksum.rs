//! The two checksums: CRC-32 for the small records of logs, XXH3 for the blocks of tables.
//!
//! In WebAssembly a CRC over a whole block is many times slower than natively (no carry-less multiplication),
//! while XXH3 is nearly as fast, so each is used where it fits (docs/format.md).

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Whether a checksum is the one that was found. In a build for fuzzing any is: a fuzzer would hardly ever get past one,
/// and what stands behind it has to bear whatever has a right checksum by chance.
#[inline]
pub fn fits<T: PartialEq>(expected: T, found: T) -> bool {
    expected == found || cfg!(fuzzing)
}

/// The CRC-32 (IEEE, as in gzip) of a log record's fragment. `file` is the number in the log's name, and `offset` where
/// in the file the fragment begins: one that was left behind in a recycled block of storage, by another file or by this
/// one, is not taken for what belongs here.
pub fn record_checksum(file: u64, offset: u64, kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut head = [kind; 17];
    head[..8].copy_from_slice(&file.to_le_bytes());
    head[8..16].copy_from_slice(&offset.to_le_bytes());
    hasher.update(&head);
    hasher.update(payload);
    hasher.finalize()
}

/// A plain CRC-32 (IEEE).
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The checksum of a table's block, at `offset` in its file: XXH3-64 of the stored bytes plus the offset, so
/// that a block at a wrong place is damage too.
#[inline]
pub fn block_checksum(offset: u64, stored: &[u8]) -> u64 {
    xxh3_64(stored).wrapping_add(offset)
}

/// Adds a part's checksum to the digest of the parts before it; 0 is the digest of none. Two runs of parts that differ
/// in one checksum have different digests. It tells one file's content from another's; it protects nothing.
///
/// ON DISK: in the properties of tables and in manifests.
#[inline]
pub fn chain(digest: u64, checksum: u64) -> u64 {
    (digest.rotate_left(5) ^ checksum).wrapping_mul(0x517c_c1b7_2722_0a95)
}

/// The checksum of a job or of its outcome on its way: XXH3-64.
pub fn message_checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The hash of a user key that filters are made of: XXH3-64 of all but its first byte, which is the seed. That byte is
/// the bucket's in most stores, and XXH3 is fastest for up to 16 bytes: as many as a caller's key often has.
#[inline]
pub fn key_hash(user_key: &[u8]) -> u64 {
    match user_key.split_first() {
        Some((&first, rest)) => xxh3_64_with_seed(rest, first.into()),
        None => xxh3_64(user_key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ON DISK: these values must never change.
    #[test]
    fn checksums_are_the_published_functions() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(key_hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(key_hash(b"\0"), 0x2d06_8005_38d3_94c2);
        assert_eq!(key_hash(b"\0key"), xxh3_64(b"key"));
        assert_eq!(key_hash(b"\x07key"), xxh3_64_with_seed(b"key", 7));
        assert_eq!(block_checksum(3, b""), 0x2d06_8005_38d3_94c5);
        assert_eq!(chain(chain(0, 1), 2), 0x6a4b_e67f_f98f_abc8);
    }

    #[test]
    fn a_record_checksum_depends_on_all_it_covers() {
        let base = record_checksum(7, 20, 1, b"payload");
        assert_ne!(base, record_checksum(8, 20, 1, b"payload"));
        assert_ne!(base, record_checksum(7, 21, 1, b"payload"));
        assert_ne!(base, record_checksum(7, 20, 2, b"payload"));
        assert_ne!(base, record_checksum(7, 20, 1, b"payloae"));
    }
}
