//! Keys as the tree stores them.
//!
//! A *user key* is a bucket's number and the caller's key in it ([`bucket`](super::bucket)); most of the tree takes it
//! for plain bytes. An *internal key* is the user key followed by a *trailer* of eight bytes: the sequence number of the write
//! (56 bits) and the kind of operation (8 bits). Internal keys are ordered by user key, ascending, and then by
//! trailer, **descending**: of several versions of a key, the newest comes first.
//!
//! ON DISK: the trailer is a little-endian u64, `sequence << 8 | kind`.

use super::bucket::USER_KEY_BYTES_MAX;
use std::cmp::Ordering;

/// The longest key in bytes, without its bucket's number.
pub const KEY_BYTES_MAX: usize = 64 * 1024;
/// The longest value in bytes.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The greatest sequence number.
pub const SEQUENCE_MAX: u64 = (1 << 56) - 1;
/// The length of a trailer in bytes.
pub const TRAILER_BYTES: usize = 8;

/// What an entry does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A tombstone: the key is gone.
    Delete = 0,
    /// The key has a value.
    Put = 1,
}

impl Kind {
    /// Reads the kind's byte.
    #[inline]
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Delete),
            1 => Some(Self::Put),
            _ => None,
        }
    }
}

/// A trailer of a sequence number and a kind.
#[inline]
pub fn trailer(sequence: u64, kind: Kind) -> u64 {
    sequence << 8 | kind as u64
}

/// The trailer that sorts before all versions that `sequence` can see, or at the first of them.
#[inline]
pub fn seek_trailer(sequence: u64) -> u64 {
    sequence << 8 | 0xff
}

/// The sequence number in a trailer.
#[inline]
pub fn sequence_of(trailer: u64) -> u64 {
    trailer >> 8
}

/// The kind in a trailer; `None` for a byte that is no kind.
#[inline]
pub fn kind_of(trailer: u64) -> Option<Kind> {
    Kind::from_byte((trailer & 0xff) as u8)
}

/// Appends the internal key to `out`.
pub fn put_internal_key(out: &mut Vec<u8>, user_key: &[u8], trailer: u64) {
    out.extend_from_slice(user_key);
    out.extend_from_slice(&trailer.to_le_bytes());
}

/// The internal key as a vector.
pub fn internal_key(user_key: &[u8], trailer: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(user_key.len() + TRAILER_BYTES);
    put_internal_key(&mut out, user_key, trailer);
    out
}

/// Splits an internal key into user key and trailer. What is shorter than a trailer reads as an empty key of
/// trailer 0; decoders refuse such keys before they get here.
#[inline]
pub fn split(internal: &[u8]) -> (&[u8], u64) {
    match internal.split_last_chunk::<TRAILER_BYTES>() {
        Some((user, trailer)) => (user, u64::from_le_bytes(*trailer)),
        None => (&[], 0),
    }
}

/// The user's part of an internal key.
#[inline]
pub fn user_key(internal: &[u8]) -> &[u8] {
    split(internal).0
}

/// Whether these bytes can be an internal key: a user key within its limits, and a known kind.
pub fn is_internal_key(bytes: &[u8]) -> bool {
    let (user, trailer) = split(bytes);
    !user.is_empty() && user.len() <= USER_KEY_BYTES_MAX && kind_of(trailer).is_some()
}

/// The order of internal keys.
#[inline]
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a_user, a_trailer) = split(a);
    let (b_user, b_trailer) = split(b);
    compare_parts(a_user, a_trailer, b_user, b_trailer)
}

/// The order of internal keys, given in parts.
#[inline]
pub fn compare_parts(a_user: &[u8], a_trailer: u64, b_user: &[u8], b_trailer: u64) -> Ordering {
    compare_bytes(a_user, b_user).then(compare_trailers(a_trailer, b_trailer))
}

/// The order of internal keys with the same user key, given their trailers.
#[inline]
pub fn compare_trailers(a: u64, b: u64) -> Ordering {
    b.cmp(&a)
}

/// The order of byte strings, found eight bytes at a time: in WebAssembly the `memcmp` that slices are compared with
/// goes byte by byte, and most keys share their first bytes.
#[inline]
pub fn compare_bytes(a: &[u8], b: &[u8]) -> Ordering {
    let shorter = a.len().min(b.len());
    let (Some(a_last), Some(b_last)) = (a[..shorter].last_chunk::<8>(), b[..shorter].last_chunk::<8>())
    else {
        return a.cmp(b);
    };
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    for (a_word, b_word) in a_words.iter().zip(b_words) {
        if a_word != b_word {
            return u64::from_be_bytes(*a_word).cmp(&u64::from_be_bytes(*b_word));
        }
    }
    // What is left is less than a word: the last one before the shorter's end covers it, and some of what is equal.
    u64::from_be_bytes(*a_last).cmp(&u64::from_be_bytes(*b_last)).then(a.len().cmp(&b.len()))
}

/// How many first bytes two byte strings share.
#[inline]
pub fn shared_bytes(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0).take_while(|(a, b)| a == b).count();
    let rest = a[words * 8..].iter().zip(&b[words * 8..]);
    words * 8 + rest.take_while(|(a, b)| a == b).count()
}

/// Whether byte strings are the same, found as in [`compare_bytes`].
#[inline]
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && compare_bytes(a, b).is_eq()
}

/// A short internal key `k` with `last <= k < next`, for an index: the shortest user key that does, with the
/// trailer that sorts before all its versions; or `last` itself where no shorter one exists.
pub fn separator(last: &[u8], next: &[u8]) -> Vec<u8> {
    let (last_user, _) = split(last);
    let (next_user, _) = split(next);
    let shared = shared_bytes(last_user, next_user);
    if let (Some(&low), Some(&high)) = (last_user.get(shared), next_user.get(shared))
        && low < high
        && low + 1 < high
        && shared + 1 < last_user.len()
    {
        let mut short = last_user.get(..shared).unwrap_or_default().to_vec();
        short.push(low + 1);
        return internal_key(&short, seek_trailer(SEQUENCE_MAX));
    }
    last.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(user: &str, sequence: u64) -> Vec<u8> {
        internal_key(user.as_bytes(), trailer(sequence, Kind::Put))
    }

    #[test]
    fn newer_versions_come_first() {
        let mut keys = vec![put("b", 1), put("a", 1), put("ab", 9), put("a", 3), put("a", 2)];
        keys.sort_by(|a, b| compare(a, b));
        assert_eq!(keys, vec![put("a", 3), put("a", 2), put("a", 1), put("ab", 9), put("b", 1)]);
    }

    #[test]
    fn words_compare_as_bytes_do() {
        let mut strings = Vec::new();
        for length in 0..20u8 {
            let plain: Vec<u8> = (0..length).collect();
            for at in 0..plain.len() {
                for byte in [0, 0x7f, 0x80, 0xff] {
                    let mut other = plain.clone();
                    other[at] = byte;
                    strings.push(other);
                }
            }
            strings.push(plain);
        }
        for a in &strings {
            for b in &strings {
                assert_eq!(compare_bytes(a, b), a.cmp(b), "{a:?} {b:?}");
                assert_eq!(same_bytes(a, b), a == b, "{a:?} {b:?}");
                let shared = a.iter().zip(b).take_while(|(a, b)| a == b).count();
                assert_eq!(shared_bytes(a, b), shared, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_separator_separates() {
        let pairs =
            [("apple", "apricot"), ("a", "b"), ("abc", "abd"), ("abcx", "abz"), ("ab", "abc"), ("a", "a\0")];
        for (last, next) in pairs {
            let (last, next) = (put(last, 5), put(next, 4));
            let between = separator(&last, &next);
            assert_ne!(compare(&last, &between), Ordering::Greater, "{last:?} {between:?}");
            assert_eq!(compare(&between, &next), Ordering::Less, "{between:?} {next:?}");
            assert!(between.len() <= last.len());
        }
        assert_eq!(user_key(&separator(&put("abcxyz", 5), &put("abz", 4))), b"abd");
        assert_eq!(separator(&put("a", 5), &put("a", 4)), put("a", 5));
    }

    #[test]
    fn seeking_finds_what_a_sequence_sees() {
        let seek = internal_key(b"a", seek_trailer(2));
        assert_eq!(compare(&seek, &put("a", 3)), Ordering::Greater);
        assert_eq!(compare(&seek, &put("a", 2)), Ordering::Less);
    }
}
