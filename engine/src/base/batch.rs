//! A batch: operations that are applied together or not at all.
//!
//! ON DISK and in the WIT: the packed form, operations one after the other. It is checked once, where it enters
//! the engine, goes into the log as it is, and is read from there into the memtable.
//!
//! ```text
//! operation = kind (1 byte: 1 put, 0 delete) | varint user key length | user key
//!             for a put: | varint value length | value
//! ```
//!
//! A user key is a bucket's number and a key in it ([`bucket`](super::bucket)): it goes into the tree as it is.

use super::bucket::{Bucket, Key};
use super::coding::{Decoder, put_bytes, put_varint};
use super::error::{Error, Result};
use super::key::{KEY_BYTES_MAX, Kind, VALUE_BYTES_MAX};

/// The longest batch in bytes of its packed form: the largest key and value fit, with their lengths.
pub const BATCH_BYTES_MAX: usize = VALUE_BYTES_MAX + 2 * KEY_BYTES_MAX;

/// Operations that are applied together or not at all, in order; a later one on the same key wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    packed: Vec<u8>,
    count: u64,
}

/// One step of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Set the key to the value.
    Put {
        /// The key, with its bucket.
        user_key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// Remove the key.
    Delete {
        /// The key, with its bucket.
        user_key: &'a [u8],
    },
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a put. Limits are checked when the batch is written.
    pub fn put<'k>(&mut self, key: impl Into<Key<'k>>, value: &[u8]) {
        self.add(Kind::Put, key.into());
        put_bytes(&mut self.packed, value);
    }

    /// Adds a delete. Limits are checked when the batch is written.
    pub fn delete<'k>(&mut self, key: impl Into<Key<'k>>) {
        self.add(Kind::Delete, key.into());
    }

    fn add(&mut self, kind: Kind, key: Key<'_>) {
        self.packed.push(kind as u8);
        put_varint(&mut self.packed, (key.bucket.encoded_bytes() + key.bytes.len()) as u64);
        key.bucket.put(&mut self.packed);
        self.packed.extend_from_slice(key.bytes);
        self.count += 1;
    }

    /// Adds the operations of another batch.
    pub fn append(&mut self, other: &Self) {
        self.packed.extend_from_slice(&other.packed);
        self.count += other.count;
    }

    /// The number of operations.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether it has no operations.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Removes all operations; keeps the memory.
    pub fn clear(&mut self) {
        self.packed.clear();
        self.count = 0;
    }

    /// The packed form.
    pub fn as_packed(&self) -> &[u8] {
        &self.packed
    }

    /// A batch from its packed form.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, with the offset, where the bytes are no batch or a limit is exceeded.
    pub fn from_packed(packed: Vec<u8>) -> Result<Self> {
        let count = check(&packed, &mut |_| Ok(()))?;
        Ok(Self { packed, count })
    }

    /// The same, in the place of the operations that it has; it has none after an error.
    ///
    /// # Errors
    ///
    /// As those of [`from_packed`](Self::from_packed).
    pub fn read_packed(&mut self, packed: &[u8]) -> Result<()> {
        self.clear();
        let count = check(packed, &mut |_| Ok(()))?;
        self.packed.extend_from_slice(packed);
        self.count = count;
        Ok(())
    }

    /// Checks the limits of every key and value.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`.
    pub fn check(&self) -> Result<()> {
        self.check_buckets(&mut |_| Ok(()))
    }

    /// Checks the limits of every key and value, and each operation's bucket with `check_bucket`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, and those of `check_bucket`.
    pub fn check_buckets(&self, check_bucket: &mut dyn FnMut(Bucket) -> Result<()>) -> Result<()> {
        check(&self.packed, check_bucket).map(|_| ())
    }

    /// The operations in order.
    pub fn operations(&self) -> Operations<'_> {
        Operations::new(&self.packed)
    }
}

/// Checks a packed batch and counts its operations.
fn check(packed: &[u8], check_bucket: &mut dyn FnMut(Bucket) -> Result<()>) -> Result<u64> {
    if packed.len() > BATCH_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the batch has {} bytes, the limit is {BATCH_BYTES_MAX}: split it",
            packed.len()
        )));
    }
    let mut operations = Operations::new(packed);
    let mut count = 0;
    // Most batches stay in one bucket.
    let mut bucket = None;
    for operation in operations.by_ref() {
        let user_key = match operation {
            Operation::Put { user_key, value } => {
                check_value(value)?;
                user_key
            }
            Operation::Delete { user_key } => user_key,
        };
        let key = Key::of_user_key(user_key).ok_or_else(|| no_bucket(user_key, count))?;
        key.check()?;
        if bucket != Some(key.bucket) {
            check_bucket(key.bucket)?;
            bucket = Some(key.bucket);
        }
        count += 1;
    }
    match operations.malformed_at() {
        Some(offset) => Err(Error::invalid(format!(
            "the batch is malformed at offset {offset} of {} bytes: expected a kind byte of 0 or 1, a key length, \
             the bucket's number and the key, and for a put a value length and the value",
            packed.len()
        ))),
        None => Ok(count),
    }
}

fn no_bucket(user_key: &[u8], operation: u64) -> Error {
    Error::invalid(format!(
        "the key of operation {operation} does not begin with a bucket's number: its first bytes are {:?}",
        &user_key[..user_key.len().min(5)]
    ))
}

/// Checks a value against its limit.
///
/// # Errors
///
/// `InvalidArgument`.
#[inline]
pub fn check_value(value: &[u8]) -> Result<()> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Error::invalid(format!(
            "the value has {} bytes: a value has at most {VALUE_BYTES_MAX}",
            value.len()
        )));
    }
    Ok(())
}

/// The operations of a packed batch. Ends at the end of the bytes or where they are malformed.
#[derive(Debug, Clone)]
pub struct Operations<'a> {
    decoder: Decoder<'a>,
    length: usize,
    malformed_at: Option<usize>,
}

impl<'a> Operations<'a> {
    /// The operations in `packed`.
    pub fn new(packed: &'a [u8]) -> Self {
        Self { decoder: Decoder::new(packed), length: packed.len(), malformed_at: None }
    }

    /// The offset at which the bytes stopped making sense, if they did.
    pub fn malformed_at(&self) -> Option<usize> {
        self.malformed_at
    }

    fn decode(&mut self) -> Option<Operation<'a>> {
        let kind = Kind::from_byte(self.decoder.u8()?)?;
        let user_key = self.decoder.bytes()?;
        match kind {
            Kind::Put => Some(Operation::Put { user_key, value: self.decoder.bytes()? }),
            Kind::Delete => Some(Operation::Delete { user_key }),
        }
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Operation<'a>;

    #[inline]
    fn next(&mut self) -> Option<Operation<'a>> {
        if self.decoder.is_empty() || self.malformed_at.is_some() {
            return None;
        }
        let start = self.length - self.decoder.rest().len();
        let operation = self.decode();
        if operation.is_none() {
            self.malformed_at = Some(start);
        }
        operation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;

    #[test]
    fn a_batch_reads_back() {
        let mut batch = Batch::new();
        batch.put(b"a", b"1");
        batch.delete(b"b");
        batch.put((Bucket::new(7), b"c"), b"");
        let again = Batch::from_packed(batch.as_packed().to_vec()).expect("well-formed");
        assert_eq!(again, batch);
        assert_eq!(
            again.operations().collect::<Vec<_>>(),
            [
                Operation::Put { user_key: b"\0a", value: b"1" },
                Operation::Delete { user_key: b"\0b" },
                Operation::Put { user_key: b"\x07c", value: b"" }
            ]
        );
    }

    #[test]
    fn malformed_and_oversized_batches_are_refused() {
        let refused = |packed: Vec<u8>| {
            let error = Batch::from_packed(packed).expect_err("refused");
            assert_eq!(*error.kind(), ErrorKind::InvalidArgument);
            error.message().to_owned()
        };
        assert!(refused(vec![2, 2, 0, b'a']).contains("offset 0"));
        assert!(refused(vec![0, 2, 0, b'a', 1, 2, 0, b'a', 5, b'x']).contains("offset 4"));
        assert!(refused(vec![0, 1, 0]).contains("0 bytes"));
        assert!(refused(vec![0, 2, 0, b'a', 0, 0]).contains("operation 1 does not begin with a bucket"));
        assert!(refused(vec![0, 2, 240, 1]).contains("[240, 1]"));
        let mut long = Batch::new();
        long.delete(&[7; KEY_BYTES_MAX + 1]);
        assert!(refused(long.as_packed().to_vec()).contains("65537"));
    }
}
