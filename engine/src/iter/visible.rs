//! What one sequence number sees of a sorted run: for each user key its newest version that is not newer than
//! that, unless it is a tombstone.

use super::InternalIterator;
use crate::base::error::Result;
use crate::base::key::{
    Kind, SEQUENCE_MAX, compare_bytes, internal_key, kind_of, same_bytes, seek_trailer, sequence_of, split,
};
use crate::base::range::KeyRange;

/// Whether `user` is less than a bound. Most bounds of a whole bucket differ from its keys in the first byte.
#[inline]
fn is_before(user: &[u8], bound: &[u8]) -> bool {
    match (user.first(), bound.first()) {
        (Some(first), Some(other)) if first != other => first < other,
        _ => compare_bytes(user, bound).is_lt(),
    }
}

/// A walk over the visible entries of a range, one way.
#[derive(Debug)]
pub struct Visible<I> {
    // Fixed from the start.
    run: I,
    sequence: u64,
    range: KeyRange,
    reverse: bool,
    // Changed by `advance`.
    started: bool,
    key: Vec<u8>,
    /// The entry's value when walking backward: the run has then moved on already.
    value: Vec<u8>,
}

impl<I: InternalIterator> Visible<I> {
    /// What `sequence` sees of `range` in `run`, from the last key to the first if `reverse`.
    pub fn new(run: I, sequence: u64, range: KeyRange, reverse: bool) -> Self {
        Self { run, sequence, range, reverse, started: false, key: Vec::new(), value: Vec::new() }
    }

    /// To the next visible entry: its user key and value.
    ///
    /// # Errors
    ///
    /// Those of the run. After one, the walk is over.
    pub fn advance(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.reverse { self.next_backward() } else { self.next_forward() }
    }

    fn next_forward(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if !self.started {
            self.started = true;
            match &self.range.start {
                Some(start) => self.run.seek(&internal_key(start, seek_trailer(SEQUENCE_MAX)))?,
                None => self.run.seek_to_first()?,
            }
        } else if self.run.valid() {
            self.run.next()?;
            self.skip_versions()?;
        }
        loop {
            if !self.run.valid() {
                return Ok(None);
            }
            let (user, trailer) = split(self.run.key());
            if self.range.end.as_deref().is_some_and(|end| !is_before(user, end)) {
                return Ok(None);
            }
            if sequence_of(trailer) > self.sequence {
                self.run.next()?;
                continue;
            }
            self.key.clear();
            self.key.extend_from_slice(user);
            if kind_of(trailer) == Some(Kind::Put) {
                return Ok(Some((&self.key, self.run.value())));
            }
            self.run.next()?;
            self.skip_versions()?;
        }
    }

    /// Past the older versions of the current key.
    fn skip_versions(&mut self) -> Result<()> {
        while self.run.valid() && same_bytes(split(self.run.key()).0, &self.key) {
            self.run.next()?;
        }
        Ok(())
    }

    fn next_backward(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if !self.started {
            self.started = true;
            match &self.range.end {
                Some(end) => self.run.seek_before(&internal_key(end, seek_trailer(SEQUENCE_MAX)))?,
                None => self.run.seek_to_last()?,
            }
        }
        // Backward the versions of a key come oldest first: the last one that is not too new holds.
        while self.run.valid() {
            let (user, _) = split(self.run.key());
            if self.range.start.as_deref().is_some_and(|start| is_before(user, start)) {
                return Ok(None);
            }
            self.key.clear();
            self.key.extend_from_slice(user);
            let mut found = None;
            while self.run.valid() {
                let (user, trailer) = split(self.run.key());
                if !same_bytes(user, &self.key) {
                    break;
                }
                if sequence_of(trailer) <= self.sequence {
                    found = kind_of(trailer);
                    self.value.clear();
                    self.value.extend_from_slice(self.run.value());
                }
                self.run.prev()?;
            }
            if found == Some(Kind::Put) {
                return Ok(Some((&self.key, &self.value)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Entries;
    use super::*;

    fn walk(sequence: u64, range: KeyRange, reverse: bool) -> Vec<String> {
        let entries = Entries::new(&[
            ("a", 9, Some("a9")),
            ("a", 2, Some("a2")),
            ("b", 8, None),
            ("b", 3, Some("b3")),
            ("c", 4, Some("c4")),
            ("d", 7, Some("d7")),
            ("d", 6, None),
            ("d", 5, Some("d5")),
        ]);
        let mut visible = Visible::new(entries, sequence, range, reverse);
        let mut seen = Vec::new();
        while let Some((key, value)) = visible.advance().expect("in memory") {
            assert!(value.starts_with(key));
            seen.push(String::from_utf8(value.to_vec()).expect("text"));
        }
        assert_eq!(visible.advance(), Ok(None), "it stays at its end");
        seen
    }

    #[test]
    fn each_sequence_has_its_view() {
        let views: [(u64, &[&str]); 8] = [
            (1, &[]),
            (2, &["a2"]),
            (3, &["a2", "b3"]),
            (4, &["a2", "b3", "c4"]),
            (5, &["a2", "b3", "c4", "d5"]),
            (6, &["a2", "b3", "c4"]),
            (8, &["a2", "c4", "d7"]),
            (9, &["a9", "c4", "d7"]),
        ];
        for (sequence, expected) in views {
            assert_eq!(walk(sequence, KeyRange::all(), false), expected, "at {sequence}");
            let mut backward = walk(sequence, KeyRange::all(), true);
            backward.reverse();
            assert_eq!(backward, expected, "backward at {sequence}");
        }
    }

    #[test]
    fn ranges_are_half_open() {
        let range = KeyRange { start: Some(b"b".to_vec()), end: Some(b"d".to_vec()) };
        assert_eq!(walk(5, range.clone(), false), ["b3", "c4"]);
        assert_eq!(walk(5, range, true), ["c4", "b3"]);
    }
}
