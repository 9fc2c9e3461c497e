//! A batch: operations that are applied together or not at all, held in the contract's packed form.
//!
//! ```text
//! operation = kind (1 byte: 1 put, 0 delete) | length | bucket | key | for a put: length | value
//! ```

use crate::bucket::Key;
use crate::error::{Error, Result};
use crate::packed::{put_bytes, take_bytes};

/// The contract's limits.
pub mod limits {
    /// The longest key in bytes.
    pub const KEY_BYTES_MAX: usize = 65_536;
    /// The longest value in bytes.
    pub const VALUE_BYTES_MAX: usize = 67_108_864;
    /// The longest batch in bytes of its packed form: the largest put fits.
    pub const BATCH_BYTES_MAX: usize = VALUE_BYTES_MAX + 2 * KEY_BYTES_MAX;
}

use limits::{BATCH_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

const DELETE: u8 = 0;
const PUT: u8 = 1;

/// Operations that are applied together or not at all, in order; a later one on the same key wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    packed: Vec<u8>,
    operations: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: set `key` to `value`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` beyond a limit; the batch is as it was.
    pub fn put<'k>(&mut self, key: impl Into<Key<'k>>, value: &[u8]) -> Result<()> {
        let key = key.into();
        check_key(key.bytes)?;
        check_value(value)?;
        self.check_room(key.bytes.len() + value.len())?;
        self.packed.push(PUT);
        key.put_packed(&mut self.packed);
        put_bytes(&mut self.packed, value);
        self.operations += 1;
        Ok(())
    }

    /// Adds: remove `key`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` beyond a limit; the batch is as it was.
    pub fn delete<'k>(&mut self, key: impl Into<Key<'k>>) -> Result<()> {
        let key = key.into();
        check_key(key.bytes)?;
        self.check_room(key.bytes.len())?;
        self.packed.push(DELETE);
        key.put_packed(&mut self.packed);
        self.operations += 1;
        Ok(())
    }

    /// The operations in order: a key, and what it is set to; `None` removes it.
    pub fn operations(&self) -> impl Iterator<Item = (Key<'_>, Option<&[u8]>)> {
        let mut rest = self.packed.as_slice();
        std::iter::from_fn(move || {
            let (&kind, after) = rest.split_first()?;
            rest = after;
            let key = Key::from_packed(take_bytes(&mut rest)?)?;
            let value = if kind == PUT { Some(take_bytes(&mut rest)?) } else { None };
            Some((key, value))
        })
    }

    /// The number of operations.
    pub fn len(&self) -> usize {
        self.operations
    }

    /// Whether it has no operations.
    pub fn is_empty(&self) -> bool {
        self.operations == 0
    }

    /// Removes all operations; keeps the memory.
    pub fn clear(&mut self) {
        self.packed.clear();
        self.operations = 0;
    }

    /// The size of its packed form in bytes.
    pub fn packed_bytes(&self) -> usize {
        self.packed.len()
    }

    /// Its packed form.
    pub fn as_packed(&self) -> &[u8] {
        &self.packed
    }

    pub(crate) fn into_packed(self) -> Vec<u8> {
        self.packed
    }

    /// A batch from its packed form.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, with the offset, where the bytes are no batch or exceed a limit.
    pub fn from_packed(packed: Vec<u8>) -> Result<Self> {
        if packed.len() > BATCH_BYTES_MAX {
            return Err(too_large(packed.len()));
        }
        let mut rest = packed.as_slice();
        let mut operations = 0;
        while !rest.is_empty() {
            let offset = packed.len() - rest.len();
            check_operation(&mut rest).ok_or_else(|| malformed(offset, packed.len()))??;
            operations += 1;
        }
        Ok(Self { packed, operations })
    }

    fn check_room(&self, bytes: usize) -> Result<()> {
        // A kind byte, a bucket's number and two lengths of five bytes at most come on top.
        let size = self.packed.len() + bytes + 16;
        if size > BATCH_BYTES_MAX { Err(too_large(size)) } else { Ok(()) }
    }
}

/// Takes one operation off the front of `rest`; `None` if it is malformed.
fn check_operation(rest: &mut &[u8]) -> Option<Result<()>> {
    let (&kind, after) = rest.split_first()?;
    *rest = after;
    let key = Key::from_packed(take_bytes(rest)?)?.bytes;
    match kind {
        PUT => {
            let value = take_bytes(rest)?;
            Some(check_key(key).and_then(|()| check_value(value)))
        }
        DELETE => Some(check_key(key)),
        _ => None,
    }
}

/// Checks a key against its limits.
fn check_key(key: &[u8]) -> Result<()> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Error::InvalidArgument(format!(
            "the key has {} bytes: a key has 1 to {KEY_BYTES_MAX}",
            key.len()
        )));
    }
    Ok(())
}

/// Checks a value against its limit.
fn check_value(value: &[u8]) -> Result<()> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Error::InvalidArgument(format!(
            "the value has {} bytes: a value has at most {VALUE_BYTES_MAX}",
            value.len()
        )));
    }
    Ok(())
}

fn too_large(bytes: usize) -> Error {
    Error::InvalidArgument(format!("the batch has {bytes} bytes, the limit is {BATCH_BYTES_MAX}: split it"))
}

fn malformed(offset: usize, bytes: usize) -> Error {
    Error::InvalidArgument(format!(
        "the operation at offset {offset} of the batch's {bytes} bytes is malformed"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_reads_back_from_its_packed_form() {
        let mut batch = Batch::new();
        batch.put(b"k", &[1; 300]).expect("within the limits");
        batch.delete(b"gone").expect("within the limits");
        batch.put(b"empty", b"").expect("within the limits");
        assert_eq!(batch.len(), 3);
        let operations: Vec<_> = batch.operations().collect();
        let expected: [(Key<'_>, Option<&[u8]>); 3] =
            [(b"k".into(), Some(&[1; 300])), (b"gone".into(), None), (b"empty".into(), Some(b""))];
        assert_eq!(operations, expected);
        assert_eq!(Batch::from_packed(batch.as_packed().to_vec()), Ok(batch));
    }

    #[test]
    fn every_cut_of_a_batch_is_refused_or_a_shorter_batch() {
        let mut batch = Batch::new();
        batch.put(b"key", b"value").expect("within the limits");
        batch.delete(b"other").expect("within the limits");
        for length in 0..batch.packed_bytes() {
            match Batch::from_packed(batch.as_packed()[..length].to_vec()) {
                Ok(shorter) => assert!([0, 12].contains(&length) && shorter.len() == length / 12, "{length}"),
                Err(error) => assert!(matches!(error, Error::InvalidArgument(_)), "{error}"),
            }
        }
    }

    #[test]
    fn what_exceeds_a_limit_is_refused_and_changes_nothing() {
        let mut batch = Batch::new();
        assert!(batch.put(b"", b"v").is_err());
        assert!(batch.put(&vec![0; KEY_BYTES_MAX + 1], b"v").is_err());
        assert!(batch.delete(b"").is_err());
        assert!(batch.put(b"k", &vec![0; VALUE_BYTES_MAX + 1]).is_err());
        assert_eq!(batch, Batch::new());
        batch.put(&vec![0; KEY_BYTES_MAX], b"").expect("the longest key is allowed");
    }
}
