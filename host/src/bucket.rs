//! Buckets: named key spaces of one store, and keys in them.

use std::fmt;

/// A number up to this one is its own encoding (wit/esker.wit, `write-packed`).
const PLAIN_MAX: u32 = 239;

/// A bucket, by its number. [`KvStore::create_bucket`](crate::KvStore::create_bucket) and
/// [`KvStore::bucket`](crate::KvStore::bucket) give it; it means nothing in another store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bucket(u32);

/// A key in a bucket. Bytes alone are a key of the default bucket; `(bucket, bytes)` is one of `bucket`.
///
/// ```
/// use esker_host::{Batch, Bucket};
/// # let users = Bucket::DEFAULT;
/// let mut batch = Batch::new();
/// batch.put(b"plain", b"in the default bucket")?;
/// batch.put((users, b"ann"), b"in another one")?;
/// # Ok::<_, esker_host::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key<'a> {
    /// The bucket.
    pub bucket: Bucket,
    /// The key in it.
    pub bytes: &'a [u8],
}

/// A bucket with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketInfo {
    /// The bucket.
    pub bucket: Bucket,
    /// Its name.
    pub name: String,
}

impl Bucket {
    /// The bucket that every store has, and that whoever names none uses. Its name is `default`.
    pub const DEFAULT: Self = Self(0);

    /// The bucket with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'a> Key<'a> {
    /// Appends the key as a batch holds it: the length of all, the bucket's number, the key.
    pub(crate) fn put_packed(self, out: &mut Vec<u8>) {
        let number = self.bucket.0.to_be_bytes();
        if self.bucket.0 <= PLAIN_MAX {
            crate::packed::put_length(out, 1 + self.bytes.len());
            out.push(number[3]);
        } else {
            let skipped = (self.bucket.0.leading_zeros() / 8) as usize;
            let length = number.len() - skipped;
            crate::packed::put_length(out, 1 + length + self.bytes.len());
            out.push(PLAIN_MAX as u8 + length as u8);
            out.extend_from_slice(&number[skipped..]);
        }
        out.extend_from_slice(self.bytes);
    }

    /// The key that a batch holds in these bytes; `None` where they begin with no bucket's number.
    pub(crate) fn from_packed(packed: &'a [u8]) -> Option<Self> {
        let (&first, rest) = packed.split_first()?;
        let Some(length) = u32::from(first).checked_sub(PLAIN_MAX).filter(|&length| length > 0) else {
            return Some(Self { bucket: Bucket(first.into()), bytes: rest });
        };
        let (encoded, bytes) = rest.split_at_checked(length as usize)?;
        let mut number = [0; 4];
        number.get_mut(4usize.checked_sub(encoded.len())?..)?.copy_from_slice(encoded);
        let number = u32::from_be_bytes(number);
        let fewest = encoded[0] != 0 && number > PLAIN_MAX;
        fewest.then_some(Self { bucket: Bucket(number), bytes })
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

    #[test]
    fn keys_read_back_from_their_packed_form() {
        for number in [0, 1, 239, 240, 255, 256, 65_535, 65_536, 0xff_ffff, 0x100_0000, u32::MAX] {
            let key = Key::from((Bucket::new(number), b"key"));
            let mut packed = Vec::new();
            key.put_packed(&mut packed);
            let mut rest = packed.as_slice();
            let bytes = crate::packed::take_bytes(&mut rest).expect("whole");
            assert_eq!((Key::from_packed(bytes), rest), (Some(key), &[][..]), "{number}");
        }
        for bytes in [&[][..], &[240], &[240, 239], &[241, 0, 255], &[244, 1, 2, 3, 4, 5]] {
            assert_eq!(Key::from_packed(bytes), None, "{bytes:?}");
        }
    }
}
