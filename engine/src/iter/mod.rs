//! Iterators over entries in the order of internal keys, and what is built from them: the merging of several,
//! and the view of one sequence number. They know neither files nor memory: whoever has entries implements
//! [`InternalIterator`].

mod merging;
mod visible;

pub use merging::Merging;
pub use visible::Visible;

use crate::base::error::Result;

/// A position in a sorted run of entries. After an error, and before the first seek, it is not valid.
///
/// It moves one way at a time: forward after [`seek`](Self::seek) and
/// [`seek_to_first`](Self::seek_to_first), backward after [`seek_before`](Self::seek_before) and
/// [`seek_to_last`](Self::seek_to_last).
pub trait InternalIterator {
    /// Whether it stands on an entry.
    fn valid(&self) -> bool;

    /// The entry's internal key. REQUIRES: valid.
    fn key(&self) -> &[u8];

    /// The entry's value. REQUIRES: valid.
    fn value(&self) -> &[u8];

    /// To the first entry.
    fn seek_to_first(&mut self) -> Result<()>;

    /// To the last entry.
    fn seek_to_last(&mut self) -> Result<()>;

    /// To the first entry whose internal key is not less than `target`.
    fn seek(&mut self, target: &[u8]) -> Result<()>;

    /// To the last entry whose internal key is less than `target`.
    fn seek_before(&mut self, target: &[u8]) -> Result<()>;

    /// To the next entry. REQUIRES: valid, moving forward.
    fn next(&mut self) -> Result<()>;

    /// To the entry before. REQUIRES: valid, moving backward.
    fn prev(&mut self) -> Result<()>;
}

#[cfg(test)]
pub(crate) mod tests {
    use super::InternalIterator;
    use crate::base::error::Result;
    use crate::base::key::{Kind, compare, internal_key, trailer};

    /// Entries in a vector.
    #[derive(Debug, Default, Clone)]
    pub struct Entries {
        pub entries: Vec<(Vec<u8>, Vec<u8>)>,
        at: Option<usize>,
    }

    impl Entries {
        /// From `(user key, sequence, value)`; `None` is a tombstone.
        pub fn new(list: &[(&str, u64, Option<&str>)]) -> Self {
            let mut entries: Vec<_> = list
                .iter()
                .map(|(key, sequence, value)| {
                    let kind = if value.is_some() { Kind::Put } else { Kind::Delete };
                    let key = internal_key(key.as_bytes(), trailer(*sequence, kind));
                    (key, value.unwrap_or_default().as_bytes().to_vec())
                })
                .collect();
            entries.sort_by(|a, b| compare(&a.0, &b.0));
            Self { entries, at: None }
        }

        fn place(&mut self, at: usize) {
            self.at = (at < self.entries.len()).then_some(at);
        }

        fn entry(&self) -> &(Vec<u8>, Vec<u8>) {
            self.at.and_then(|at| self.entries.get(at)).expect("valid")
        }
    }

    impl InternalIterator for Entries {
        fn valid(&self) -> bool {
            self.at.is_some()
        }
        fn key(&self) -> &[u8] {
            &self.entry().0
        }
        fn value(&self) -> &[u8] {
            &self.entry().1
        }
        fn seek_to_first(&mut self) -> Result<()> {
            self.place(0);
            Ok(())
        }
        fn seek_to_last(&mut self) -> Result<()> {
            self.at = self.entries.len().checked_sub(1);
            Ok(())
        }
        fn seek(&mut self, target: &[u8]) -> Result<()> {
            self.place(self.entries.partition_point(|entry| compare(&entry.0, target).is_lt()));
            Ok(())
        }
        fn seek_before(&mut self, target: &[u8]) -> Result<()> {
            self.at = self.entries.partition_point(|entry| compare(&entry.0, target).is_lt()).checked_sub(1);
            Ok(())
        }
        fn next(&mut self) -> Result<()> {
            let next = self.at.map_or(usize::MAX, |at| at + 1);
            self.place(next);
            Ok(())
        }
        fn prev(&mut self) -> Result<()> {
            self.at = self.at.and_then(|at| at.checked_sub(1));
            Ok(())
        }
    }
}
