//! Merges sorted runs into one, with a binary heap of their positions.

use super::InternalIterator;
use crate::base::error::Result;
use crate::base::key::compare;
use std::cmp::Ordering;

/// One sorted run made of several. Internal keys are unique within a store, so no two runs are ever equal.
#[derive(Debug)]
pub struct Merging<I> {
    runs: Vec<I>,
    /// The valid runs as a heap: the one whose entry comes next stands first.
    heap: Vec<usize>,
    /// Where in the heap the run stands that would come next without the first one, if that is known: as long as one
    /// run leads, a step costs one comparison.
    rival: Option<usize>,
    forward: bool,
}

impl<I: InternalIterator> Merging<I> {
    /// Merges `runs`.
    pub fn new(runs: Vec<I>) -> Self {
        let heap = Vec::with_capacity(runs.len());
        Self { runs, heap, rival: None, forward: true }
    }

    fn rebuild(&mut self, forward: bool) {
        self.forward = forward;
        self.rival = None;
        self.heap.clear();
        let valid = self.runs.iter().enumerate().filter(|(_, run)| run.valid()).map(|(index, _)| index);
        self.heap.extend(valid);
        for at in (0..self.heap.len() / 2).rev() {
            self.sift_down(at);
        }
    }

    /// Whether the run at `a` of the heap comes before that at `b`.
    fn before(&self, a: usize, b: usize) -> bool {
        let order = compare(self.runs[self.heap[a]].key(), self.runs[self.heap[b]].key());
        if self.forward { order == Ordering::Less } else { order == Ordering::Greater }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut child = 2 * at + 1;
            if child >= self.heap.len() {
                return;
            }
            if child + 1 < self.heap.len() && self.before(child + 1, child) {
                child += 1;
            }
            if !self.before(child, at) {
                return;
            }
            self.heap.swap(child, at);
            at = child;
        }
    }

    fn each(&mut self, forward: bool, mut seek: impl FnMut(&mut I) -> Result<()>) -> Result<()> {
        self.heap.clear();
        for run in &mut self.runs {
            seek(run)?;
        }
        self.rebuild(forward);
        Ok(())
    }

    fn step(&mut self, step: impl FnOnce(&mut I) -> Result<()>) -> Result<()> {
        let Some(&top) = self.heap.first() else { return Ok(()) };
        if let Err(error) = step(&mut self.runs[top]) {
            self.heap.clear();
            return Err(error);
        }
        if self.runs[top].valid() {
            self.settle_top();
        } else {
            self.heap.swap_remove(0);
            self.rival = None;
            self.sift_down(0);
        }
        Ok(())
    }

    /// Finds the place of the first run, which has moved on.
    fn settle_top(&mut self) {
        let rival = match self.rival {
            Some(rival) => rival,
            None if self.heap.len() < 2 => return,
            None if self.heap.len() > 2 && self.before(2, 1) => 2,
            None => 1,
        };
        if self.before(rival, 0) {
            self.heap.swap(rival, 0);
            self.rival = None;
            self.sift_down(rival);
        } else {
            self.rival = Some(rival);
        }
    }

    fn top(&self) -> &I {
        let first = *self.heap.first().expect("the caller checked valid()");
        &self.runs[first]
    }
}

impl<I: InternalIterator> InternalIterator for Merging<I> {
    fn valid(&self) -> bool {
        !self.heap.is_empty()
    }

    fn key(&self) -> &[u8] {
        self.top().key()
    }

    fn value(&self) -> &[u8] {
        self.top().value()
    }

    fn seek_to_first(&mut self) -> Result<()> {
        self.each(true, I::seek_to_first)
    }

    fn seek_to_last(&mut self) -> Result<()> {
        self.each(false, I::seek_to_last)
    }

    fn seek(&mut self, target: &[u8]) -> Result<()> {
        self.each(true, |run| run.seek(target))
    }

    fn seek_before(&mut self, target: &[u8]) -> Result<()> {
        self.each(false, |run| run.seek_before(target))
    }

    fn next(&mut self) -> Result<()> {
        self.step(I::next)
    }

    fn prev(&mut self) -> Result<()> {
        self.step(I::prev)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Entries;
    use super::*;

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    fn runs() -> (Vec<Entries>, Pairs) {
        let runs = vec![
            Entries::new(&[("a", 9, Some("9")), ("c", 8, None), ("z", 7, Some("7"))]),
            Entries::new(&[("a", 6, Some("6")), ("b", 5, Some("5"))]),
            Entries::new(&[]),
            Entries::new(&[("a", 4, None), ("c", 3, Some("3")), ("y", 2, Some("2"))]),
        ];
        let mut all: Pairs = runs.iter().flat_map(|run| run.entries.clone()).collect();
        all.sort_by(|a, b| compare(&a.0, &b.0));
        (runs, all)
    }

    #[test]
    fn merges_both_ways() {
        let (runs, all) = runs();
        let mut merging = Merging::new(runs);
        let mut seen = Vec::new();
        merging.seek_to_first().expect("in memory");
        while merging.valid() {
            seen.push((merging.key().to_vec(), merging.value().to_vec()));
            merging.next().expect("in memory");
        }
        assert_eq!(seen, all);
        merging.seek_to_last().expect("in memory");
        while merging.valid() {
            assert_eq!(seen.pop().expect("as many backward as forward").0, merging.key());
            merging.prev().expect("in memory");
        }
        assert!(seen.is_empty());
    }

    #[test]
    fn seeks_to_every_entry() {
        let (runs, all) = runs();
        let mut merging = Merging::new(runs);
        for (index, (key, _)) in all.iter().enumerate() {
            merging.seek(key).expect("in memory");
            assert_eq!(merging.key(), key);
            merging.seek_before(key).expect("in memory");
            match index.checked_sub(1).and_then(|before| all.get(before)) {
                Some(before) => assert_eq!(merging.key(), before.0),
                None => assert!(!merging.valid()),
            }
        }
    }
}
