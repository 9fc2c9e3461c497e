//! Ranges of keys, and how they are scanned.

use super::bucket::Bucket;

/// The keys from `start` (inclusive; `None` is the first) to `end` (exclusive; `None` is after the last).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that belongs to the range.
    pub start: Option<Vec<u8>>,
    /// The first key after the range.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self::default()
    }

    /// Whether `key` belongs to it.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_deref().is_none_or(|start| start <= key)
            && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: Some(prefix.to_vec()), end: successor(prefix) }
    }
}

/// The least key greater than all keys that begin with `prefix`; `None` where there is none (all bytes 0xff).
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

/// What a scan reads and in which order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// The bucket whose keys are read.
    pub bucket: Bucket,
    /// From the last key to the first.
    pub reverse: bool,
    /// Leave the values out: they read as empty.
    pub keys_only: bool,
    /// At most this many entries.
    pub limit: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_range() {
        assert_eq!(KeyRange::prefix(b"ab").end, Some(b"ac".to_vec()));
        assert_eq!(KeyRange::prefix(b"a\xff\xff").end, Some(b"b".to_vec()));
        assert_eq!(KeyRange::prefix(b"\xff").end, None);
        assert_eq!(KeyRange::prefix(b"").end, None);
    }
}
