//! A tree for each first byte of a key, in their order.
//!
//! A user key begins with its bucket's number, and most stores have a few buckets. A tree whose keys all begin with the
//! same byte can leave it out of the 16 bytes by which it searches: they are then the first 16 of the caller's key.

use super::tree::{self, Entry, Tree};
use std::cmp::Ordering;

/// A sorted multiset of entries.
#[derive(Debug, Default)]
pub struct Forest {
    /// None is empty.
    trees: Vec<(u8, Tree)>,
}

/// An entry's place: a tree and a place in it. It holds until the next insert.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// `trees.len()` after the last entry, `usize::MAX` before the first.
    tree: usize,
    place: tree::Place,
}

/// The byte that says to which tree a key belongs.
#[inline]
fn first_byte(key: &[u8]) -> u8 {
    key.first().copied().unwrap_or(0)
}

impl Forest {
    pub fn entries(&self) -> u64 {
        self.trees.iter().map(|(_, tree)| tree.entries()).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.trees.iter().map(|(_, tree)| tree.bytes()).sum()
    }

    /// The entries whose keys begin with `byte`.
    pub fn entries_of(&self, byte: u8) -> u64 {
        self.find(byte).map_or(0, |at| self.trees[at].1.entries())
    }

    /// Adds an entry.
    #[inline]
    pub fn insert(&mut self, key: &[u8], trailer: u64, value: &[u8]) {
        let byte = first_byte(key);
        let at = self.find(byte).unwrap_or_else(|at| {
            self.trees.insert(at, (byte, Tree::default()));
            at
        });
        self.trees[at].1.insert(key, trailer, value);
    }

    /// The tree for `byte`, or where it would be.
    #[inline]
    fn find(&self, byte: u8) -> Result<usize, usize> {
        for (at, &(other, _)) in self.trees.iter().enumerate() {
            match other.cmp(&byte) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(at),
                Ordering::Greater => return Err(at),
            }
        }
        Err(self.trees.len())
    }

    /// The first entry that is not less than this key and trailer.
    #[inline]
    pub fn lower_bound(&self, key: &[u8], trailer: u64) -> Place {
        match self.find(first_byte(key)) {
            Ok(tree) => self.settle(Place { tree, place: self.trees[tree].1.lower_bound(key, trailer) }),
            Err(tree) => self.first_from(tree),
        }
    }

    /// The first entry.
    pub fn first(&self) -> Place {
        self.first_from(0)
    }

    /// The last entry.
    pub fn last(&self) -> Place {
        self.last_before(self.trees.len())
    }

    /// The place after `place`.
    pub fn next(&self, place: Place) -> Place {
        match self.trees.get(place.tree) {
            Some((_, tree)) => self.settle(Place { place: tree.next(place.place), ..place }),
            None => self.first(),
        }
    }

    /// The place before `place`.
    pub fn prev(&self, place: Place) -> Place {
        let Some((_, tree)) = self.trees.get(place.tree) else { return self.last() };
        let before = tree.prev(place.place);
        match tree.entry(before) {
            Some(_) => Place { place: before, ..place },
            None => self.last_before(place.tree),
        }
    }

    /// The entry at `place`; `None` before the first and after the last.
    #[inline]
    pub fn entry(&self, place: Place) -> Option<Entry<'_>> {
        self.trees.get(place.tree)?.1.entry(place.place)
    }

    /// From a tree's end to the start of the next tree.
    #[inline]
    fn settle(&self, place: Place) -> Place {
        match self.entry(place) {
            Some(_) => place,
            None => self.first_from(place.tree + 1),
        }
    }

    fn first_from(&self, tree: usize) -> Place {
        let place = self.trees.get(tree).map_or(tree::Place::NOWHERE, |(_, tree)| tree.first());
        Place { tree, place }
    }

    fn last_before(&self, tree: usize) -> Place {
        match tree.checked_sub(1) {
            Some(tree) => Place { tree, place: self.trees[tree].1.last() },
            None => Place { tree: usize::MAX, place: tree::Place::NOWHERE },
        }
    }
}
