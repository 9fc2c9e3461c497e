//! A tree's leaves, named by numbers from 0 on, in chunks that never move.
//!
//! In one vector a new leaf now and then had all others moved to twice the room, in the middle of a write: of a memtable
//! of 64 MiB, 10 MB in 4 ms.

use std::ops::{Index, IndexMut};

/// A chunk holds so many leaves.
const CHUNK_LEAVES: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 6;

/// Leaves that are added and never removed.
#[derive(Debug)]
pub struct Leaves<T> {
    /// All are full but the last.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Leaves<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> Leaves<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK_LEAVES + last.len())
    }

    /// Adds a leaf. Returns its number.
    pub fn push(&mut self, leaf: T) -> u32 {
        let number = u32::try_from(self.len()).expect("fewer leaves than entries");
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_LEAVES => last.push(leaf),
            // The first one grows, since most trees are small.
            last => {
                let room = if last.is_some() { CHUNK_LEAVES } else { 1 };
                let mut chunk = Vec::with_capacity(room);
                chunk.push(leaf);
                self.chunks.push(chunk);
            }
        }
        number
    }

    #[inline]
    pub fn get(&self, number: u32) -> Option<&T> {
        let (chunk, at) = place(number);
        self.chunks.get(chunk)?.get(at)
    }

    #[inline]
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (chunk, at) = place(number);
        self.chunks.get_mut(chunk)?.get_mut(at)
    }
}

/// A leaf's chunk, and where it is in there.
#[inline]
fn place(number: u32) -> (usize, usize) {
    ((number >> CHUNK_BITS) as usize, number as usize & (CHUNK_LEAVES - 1))
}

impl<T> Index<u32> for Leaves<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: u32) -> &T {
        let (chunk, at) = place(number);
        &self.chunks[chunk][at]
    }
}

impl<T> IndexMut<u32> for Leaves<T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        let (chunk, at) = place(number);
        &mut self.chunks[chunk][at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_keep_their_numbers_and_their_places() {
        let mut leaves = Leaves::default();
        assert_eq!((leaves.len(), leaves.get(0)), (0, None));
        let count = 3 * CHUNK_LEAVES as u32 + 7;
        let mut places = Vec::new();
        for number in 0..count {
            assert_eq!(leaves.push(number), number);
            // Only those of the first chunk may still move.
            let settled = number as usize >= CHUNK_LEAVES;
            places.push(settled.then(|| std::ptr::from_ref(&leaves[number])));
        }
        assert_eq!(leaves.len(), count as usize);
        for (number, place) in (0..count).zip(places) {
            assert_eq!((leaves[number], leaves.get(number)), (number, Some(&number)));
            assert!(place.is_none_or(|place| std::ptr::eq(place, &leaves[number])), "{number} has moved");
        }
        assert_eq!(leaves.get(count), None);
        assert_eq!(leaves.get_mut(u32::MAX), None, "a tree's word for none");
        leaves[70] = 1;
        assert_eq!(leaves.get_mut(70), Some(&mut 1));
    }
}
