//! Buckets: named key spaces of one store.
//!
//! A store has one log, one set of memtables and one set of tables, whatever it has of buckets: a bucket is a number,
//! and what the tree calls a *user key* is the bucket's number followed by the key in it. So a batch over several
//! buckets is atomic, a snapshot sees all of them, and below [`Db`](crate::Db) only the memtable and compaction know that there are any.
//!
//! ON DISK: the number in as few bytes as it needs, ordered as the numbers are and never one the beginning of another:
//!
//! ```text
//! 0 to 239               the number itself, one byte
//! 240 to 4,294,967,295   239 + n (one byte) | the number, big-endian, in the n bytes that it needs
//! ```

use super::error::{Error, Result};
use super::key::KEY_BYTES_MAX;
use super::range::KeyRange;
use std::fmt;

/// The longest encoding of a bucket's number, in bytes.
pub const BUCKET_BYTES_MAX: usize = 5;
/// The longest user key in bytes: a bucket's number and the longest key.
pub const USER_KEY_BYTES_MAX: usize = BUCKET_BYTES_MAX + KEY_BYTES_MAX;
/// Numbers below this one are their own encoding.
const PLAIN_MAX: u32 = 240;
/// A key of fewer bytes is put together on the stack.
const INLINE_KEY_BYTES: usize = 64;

/// A bucket, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bucket(u32);

/// A key in a bucket. Bytes alone are a key of the default bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key<'a> {
    /// The bucket.
    pub bucket: Bucket,
    /// The key in it.
    pub bytes: &'a [u8],
}

impl Bucket {
    /// The bucket that every store has, and that whoever names none uses.
    pub const DEFAULT: Self = Self(0);
    /// Holds the store's own records about its buckets. Callers cannot reach it.
    pub(crate) const CATALOGUE: Self = Self(1);
    /// The first number that is given to a bucket that is created.
    pub(crate) const FIRST: Self = Self(2);

    /// The bucket with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Appends its encoding.
    #[inline]
    pub fn put(self, out: &mut Vec<u8>) {
        let (bytes, length) = self.encode();
        out.extend_from_slice(&bytes[..length]);
    }

    /// The length of its encoding.
    #[inline]
    pub fn encoded_bytes(self) -> usize {
        self.encode().1
    }

    #[inline]
    fn encode(self) -> ([u8; BUCKET_BYTES_MAX], usize) {
        if self.0 < PLAIN_MAX {
            return ([self.0 as u8, 0, 0, 0, 0], 1);
        }
        let number = self.0.to_be_bytes();
        let skipped = (self.0.leading_zeros() / 8) as usize;
        let length = number.len() - skipped;
        let mut bytes = [0; BUCKET_BYTES_MAX];
        bytes[0] = (PLAIN_MAX - 1) as u8 + length as u8;
        bytes[1..=length].copy_from_slice(&number[skipped..]);
        (bytes, length + 1)
    }

    /// The user keys of a range of this bucket's keys.
    pub(crate) fn user_keys(self, range: &KeyRange) -> KeyRange {
        let user_key = |bytes: &[u8]| {
            let mut key = Vec::with_capacity(BUCKET_BYTES_MAX + bytes.len());
            self.put(&mut key);
            key.extend_from_slice(bytes);
            key
        };
        let start = range.start.as_deref().unwrap_or_default();
        let end = match &range.end {
            Some(end) => Some(user_key(end)),
            None => self.0.checked_add(1).map(|next| {
                let mut key = Vec::with_capacity(BUCKET_BYTES_MAX);
                Self(next).put(&mut key);
                key
            }),
        };
        KeyRange { start: Some(user_key(start)), end }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'a> Key<'a> {
    /// Takes a user key apart; `None` where it does not begin with a bucket's number.
    #[inline]
    pub fn of_user_key(user_key: &'a [u8]) -> Option<Self> {
        let (&first, rest) = user_key.split_first()?;
        if u32::from(first) < PLAIN_MAX {
            return Some(Self { bucket: Bucket(first.into()), bytes: rest });
        }
        let length = usize::from(first) - (PLAIN_MAX as usize - 1);
        let (encoded, bytes) = rest.split_at_checked(length)?;
        let mut number = [0; 4];
        number.get_mut(4usize.checked_sub(length)?..)?.copy_from_slice(encoded);
        let bucket = Bucket(u32::from_be_bytes(number));
        (bucket.encoded_bytes() == length + 1 && bucket.0 >= PLAIN_MAX).then_some(Self { bucket, bytes })
    }

    /// Calls `work` with the user key.
    #[inline]
    pub fn with_user_key<T>(self, work: impl FnOnce(&[u8]) -> T) -> T {
        let (bucket, bucket_bytes) = self.bucket.encode();
        let length = bucket_bytes + self.bytes.len();
        if self.bytes.len() < INLINE_KEY_BYTES {
            let mut room = [0; BUCKET_BYTES_MAX + INLINE_KEY_BYTES];
            room[..BUCKET_BYTES_MAX].copy_from_slice(&bucket);
            room[bucket_bytes..length].copy_from_slice(self.bytes);
            return work(&room[..length]);
        }
        let mut user_key = Vec::with_capacity(length);
        user_key.extend_from_slice(&bucket[..bucket_bytes]);
        user_key.extend_from_slice(self.bytes);
        work(&user_key)
    }

    /// Checks the key against its limits.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`.
    #[inline]
    pub fn check(self) -> Result<()> {
        if self.bytes.is_empty() || self.bytes.len() > KEY_BYTES_MAX {
            return Err(Error::invalid(format!(
                "the key has {} bytes: a key has 1 to {KEY_BYTES_MAX}",
                self.bytes.len()
            )));
        }
        Ok(())
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for Key<'a> {
    fn from(bytes: &'a T) -> Self {
        Self { bucket: Bucket::DEFAULT, bytes: bytes.as_ref() }
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> From<(Bucket, &'a T)> for Key<'a> {
    fn from((bucket, bytes): (Bucket, &'a T)) -> Self {
        Self { bucket, bytes: bytes.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [u32; 14] = [
        0,
        1,
        2,
        239,
        240,
        255,
        256,
        65_535,
        65_536,
        0xff_ffff,
        0x100_0000,
        0x7fff_ffff,
        u32::MAX - 1,
        u32::MAX,
    ];

    fn user_key(number: u32, key: &[u8]) -> Vec<u8> {
        Key::from((Bucket::new(number), key)).with_user_key(<[u8]>::to_vec)
    }

    #[test]
    fn user_keys_are_ordered_by_bucket_and_then_by_key() {
        let mut keys = Vec::new();
        for number in NUMBERS {
            for key in [&b""[..], b"\0", b"a", b"a\xff", b"\xff\xff\xff\xff\xff", &[7; 100]] {
                keys.push(user_key(number, key));
            }
        }
        let mut sorted = keys.clone();
        sorted.sort();
        sorted.dedup();
        let by_bucket: Vec<_> =
            NUMBERS.iter().flat_map(|&n| keys.iter().filter(move |k| bucket_of(k) == n)).collect();
        assert_eq!(sorted.len(), keys.len());
        assert_eq!(
            sorted.iter().map(|k| bucket_of(k)).collect::<Vec<_>>(),
            by_bucket.iter().map(|k| bucket_of(k)).collect::<Vec<_>>()
        );
    }

    fn bucket_of(user_key: &[u8]) -> u32 {
        Key::of_user_key(user_key).expect("begins with a bucket").bucket.number()
    }

    #[test]
    fn a_user_key_comes_apart_again() {
        for number in NUMBERS {
            for key in [&b"k"[..], &[9; 63], &[9; 64], &[9; 1000]] {
                let user_key = user_key(number, key);
                assert_eq!(Key::of_user_key(&user_key), Some(Key::from((Bucket::new(number), key))));
            }
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        for bytes in [
            &b""[..],
            &[240],
            &[240, 239],
            &[241, 0, 255],
            &[241, 1],
            &[243, 0, 1, 2, 3],
            &[244, 1, 2, 3, 4, 5],
        ] {
            assert_eq!(Key::of_user_key(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_range_stays_within_its_bucket() {
        for number in NUMBERS {
            let all = Bucket::new(number).user_keys(&KeyRange::all());
            for other in NUMBERS {
                for key in [&b"\0"[..], b"m", &[0xff; 9]] {
                    let user_key = user_key(other, key);
                    let within = all.start.as_ref().is_none_or(|start| *start <= user_key)
                        && all.end.as_ref().is_none_or(|end| user_key < *end);
                    assert_eq!(within, number == other, "{number} {other}");
                }
            }
        }
    }
}
