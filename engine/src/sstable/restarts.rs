//! Where a block's restarts stand and what their keys begin with, side by side.
//!
//! A binary search over keys that stand in a block reads a line of memory or two for each key that it looks at, and few
//! of those are in the processor's caches. Here it reads eight bytes for each.
//!
//! ```text
//! keys    user00017  user00023  user00140         the prefix user00, and the words
//!               └┬┘        └┬┘        └┬┘         "017" "023" "140", each filled up to eight bytes
//! ```

use crate::base::key::shared_bytes;
use std::ops::RangeInclusive;

/// The restarts of a block; there is at least one.
#[derive(Debug)]
pub struct Restarts {
    /// How many first bytes all keys share.
    prefix_bytes: usize,
    count: usize,
    /// Of each key the eight bytes behind the prefix, as a number of the same order; then all offsets, two to a word.
    packed: Box<[u64]>,
}

impl Restarts {
    /// `count` restarts, each with its offset and its user key, in the order of their keys. `None` where there are none,
    /// or one cannot be had.
    pub fn new<'a>(count: usize, restart: impl Fn(usize) -> Option<(u32, &'a [u8])>) -> Option<Self> {
        let (_, first) = restart(0)?;
        let (_, last) = restart(count.checked_sub(1)?)?;
        let prefix_bytes = shared_bytes(first, last);
        let mut packed = vec![0; count + count.div_ceil(2)].into_boxed_slice();
        for index in 0..count {
            let (offset, key) = restart(index)?;
            packed[index] = word(key, prefix_bytes);
            packed[count + index / 2] |= u64::from(offset) << (32 * (index % 2));
        }
        Some(Self { prefix_bytes, count, packed })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The memory that they take beside themselves, in bytes.
    pub fn weight(&self) -> usize {
        size_of_val(&*self.packed)
    }

    /// Where the restart stands in the block.
    #[inline]
    pub fn offset(&self, index: usize) -> usize {
        (self.packed[self.count + index / 2] >> (32 * (index % 2))) as u32 as usize
    }

    /// The part of a key that all restarts share, if the key is long enough.
    #[inline]
    pub fn prefix<'a>(&self, key: &'a [u8]) -> Option<&'a [u8]> {
        key.get(..self.prefix_bytes)
    }

    /// Between which restarts the last one is whose key is less than `target`, or the first restart where none is less.
    /// REQUIRES: `target` begins with the prefix.
    #[inline]
    pub fn before(&self, target: &[u8]) -> RangeInclusive<usize> {
        let words = &self.packed[..self.count];
        let word = word(target, self.prefix_bytes);
        let less = words.partition_point(|&other| other < word);
        let rest = &words[less..];
        // Mostly one key at most has this word.
        let same = match rest {
            [first, second, ..] if *first == word && *second == word => {
                rest.partition_point(|&other| other == word)
            }
            [first, ..] if *first == word => 1,
            _ => 0,
        };
        less.saturating_sub(1)..=(less + same).saturating_sub(1)
    }
}

/// The eight bytes of `key` from `from` on as a number of the same order; fewer are filled up with zeros.
#[inline]
fn word(key: &[u8], from: usize) -> u64 {
    let rest = key.get(from..).unwrap_or_default();
    match (rest.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(bytes), _) => u64::from_be_bytes(*bytes),
        (None, Some(bytes)) if !rest.is_empty() => u64::from_be_bytes(*bytes) << (8 * (8 - rest.len())),
        _ => (0..8).fold(0, |word, at| word << 8 | u64::from(rest.get(at).copied().unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restarts(keys: &[&[u8]]) -> Restarts {
        Restarts::new(keys.len(), |index| Some((7 * index as u32, *keys.get(index)?)))
            .expect("there are keys")
    }

    /// Checks the restarts of `keys` with every target that differs from one of them in little.
    fn check(keys: &[&[u8]]) {
        let restarts = restarts(keys);
        let prefix = restarts.prefix(keys[0]).expect("of all keys");
        let targets = keys.iter().flat_map(|key| {
            let shorter = &key[..key.len().saturating_sub(1)];
            let changed = |key: &[u8], add: &[u8]| [key, add].concat();
            [key.to_vec(), shorter.to_vec(), changed(key, b"\0"), changed(key, b"~"), changed(shorter, b"~")]
        });
        for target in targets.filter(|target| restarts.prefix(target) == Some(prefix)) {
            let before = keys.iter().filter(|key| **key < &target[..]).count().saturating_sub(1);
            let found = restarts.before(&target);
            assert!(found.contains(&before), "{target:?} of {keys:?}: {found:?}, not {before}");
        }
        for index in 0..keys.len() {
            assert_eq!(restarts.offset(index), 7 * index);
        }
    }

    #[test]
    fn the_key_before_is_where_they_say() {
        check(&[b"a"]);
        check(&[b"", b"\0", b"\0\0", b"a"]);
        check(&[b"user00017", b"user00023", b"user0002301", b"user00140"]);
        check(&[b"samebegin", b"samebegin\0", b"samebegin12345678", b"samebegin123456789", b"samebegin2"]);
        check(&[b"k", b"k", b"k", b"kk"]);
    }

    #[test]
    fn different_words_leave_one_key() {
        let keys: Vec<String> = (0..1000).map(|i| format!("0000000000{:06}", 2 * i)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
        assert_eq!(restarts(&keys).before(b"0000000000000301"), 150..=150);
        assert_eq!(restarts(&keys).before(b"0000000000000300"), 149..=150);
    }

    #[test]
    fn none_or_a_bad_one_are_none() {
        assert!(Restarts::new(0, |_| Some((0, &b"a"[..]))).is_none());
        assert!(Restarts::new(3, |index| (index < 2).then_some((0, &b"a"[..]))).is_none());
    }
}
