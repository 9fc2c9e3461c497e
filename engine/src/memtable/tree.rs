//! A B+tree: leaves in chunks, inner nodes in a vector, entries in an arena, joined by 32-bit numbers.
//!
//! ```text
//! inner:  separators  s1 s2 .. sn      each the least entry below the child to its right
//!         children   c0 c1 c2 .. cn
//! leaf:   entries in order, and the leaves beside it
//! entry:  key length u32 | value length u32 | trailer u64 | key | value       in the arena
//! ```
//!
//! All keys of a tree begin with the same byte. Beside each reference stand the 16 bytes after it as a number, so that
//! a search rarely leaves the node. Entries are never removed.

use super::arena::{Arena, Ref};
use super::leaves::Leaves;
use crate::base::coding::Decoder;
use crate::base::key::compare_parts;
use std::cmp::Ordering;

/// The most entries in a leaf, and the most separators in an inner node.
const NODE_ENTRIES: usize = 64;
const HEADER_BYTES: usize = 16;
/// "No leaf".
const NONE: u32 = u32::MAX;

/// A sorted multiset of entries.
#[derive(Debug)]
pub struct Tree {
    arena: Arena,
    leaves: Leaves<Leaf>,
    inners: Vec<Inner>,
    root: u32,
    /// How many inner nodes stand above each leaf.
    height: usize,
    last_leaf: u32,
    entries: u64,
}

/// An entry's place: a leaf and an index in it. It holds until the next insert.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    leaf: u32,
    index: usize,
}

/// An entry.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The user's key.
    pub key: &'a [u8],
    /// Sequence number and kind.
    pub trailer: u64,
    /// The value.
    pub value: &'a [u8],
}

impl Place {
    /// A place without an entry, in any tree.
    pub const NOWHERE: Self = Self { leaf: NONE, index: 0 };
}

/// Sorted references to entries, each with its key's head.
#[derive(Debug)]
struct Slots {
    count: usize,
    heads: [u128; NODE_ENTRIES],
    refs: [Ref; NODE_ENTRIES],
}

#[derive(Debug)]
struct Leaf {
    slots: Slots,
    before: u32,
    after: u32,
}

#[derive(Debug)]
struct Inner {
    separators: Slots,
    children: [u32; NODE_ENTRIES + 1],
}

/// What is looked for.
struct Probe<'a> {
    head: u128,
    key: &'a [u8],
    trailer: u64,
}

/// The 16 bytes after a key's first one, as a number of the same order; shorter keys are filled up with zeros.
#[inline]
fn head(key: &[u8]) -> u128 {
    let key = key.get(1..).unwrap_or_default();
    if let Some(bytes) = key.first_chunk::<16>() {
        return u128::from_be_bytes(*bytes);
    }
    let mut bytes = [0; 16];
    bytes[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(bytes)
}

impl Default for Tree {
    fn default() -> Self {
        let mut leaves = Leaves::default();
        let root = leaves.push(Leaf { slots: Slots::new(), before: NONE, after: NONE });
        Self {
            arena: Arena::default(),
            leaves,
            inners: Vec::new(),
            root,
            height: 0,
            last_leaf: root,
            entries: 0,
        }
    }
}

impl Slots {
    fn new() -> Self {
        Self { count: 0, heads: [0; NODE_ENTRIES], refs: [Ref::default(); NODE_ENTRIES] }
    }

    fn insert(&mut self, at: usize, head: u128, piece: Ref) {
        self.heads.copy_within(at..self.count, at + 1);
        self.refs.copy_within(at..self.count, at + 1);
        self.heads[at] = head;
        self.refs[at] = piece;
        self.count += 1;
    }

    /// Moves the slots from `at` on into a new node's.
    fn split_off(&mut self, at: usize) -> Self {
        let mut right = Self::new();
        right.count = self.count - at;
        right.heads[..right.count].copy_from_slice(&self.heads[at..self.count]);
        right.refs[..right.count].copy_from_slice(&self.refs[at..self.count]);
        self.count = at;
        right
    }

    /// How many slots are less than `probe`, or not greater if `or_equal`.
    #[inline]
    fn rank(&self, arena: &Arena, probe: &Probe<'_>, or_equal: bool) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = (low + high) / 2;
            let order = match self.heads[middle].cmp(&probe.head) {
                Ordering::Equal => {
                    let entry = entry_at(arena, self.refs[middle]);
                    compare_parts(entry.key, entry.trailer, probe.key, probe.trailer)
                }
                order => order,
            };
            match order {
                Ordering::Less => low = middle + 1,
                Ordering::Equal if or_equal => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

#[inline]
fn entry_at(arena: &Arena, piece: Ref) -> Entry<'_> {
    let mut decoder = Decoder::new(arena.from(piece));
    let decode = |decoder: &mut Decoder<'_>| -> Option<(u32, u32, u64)> {
        Some((decoder.u32()?, decoder.u32()?, decoder.u64()?))
    };
    let (key, value, trailer) = decode(&mut decoder).expect("the tree wrote the entry's header");
    let key = decoder.take(key as usize).expect("the tree wrote the entry's key");
    let value = decoder.take(value as usize).expect("the tree wrote the entry's value");
    Entry { key, trailer, value }
}

impl Tree {
    pub fn entries(&self) -> u64 {
        self.entries
    }

    pub fn bytes(&self) -> u64 {
        let nodes = self.leaves.len() * size_of::<Leaf>() + self.inners.len() * size_of::<Inner>();
        self.arena.bytes() + nodes as u64
    }

    /// Adds an entry.
    pub fn insert(&mut self, key: &[u8], trailer: u64, value: &[u8]) {
        let probe = Probe { head: head(key), key, trailer };
        let mut path = [(0u32, 0usize); 8];
        let mut node = self.root;
        for step in path.iter_mut().take(self.height) {
            let inner = &self.inners[node as usize];
            let child = inner.separators.rank(&self.arena, &probe, true);
            *step = (node, child);
            node = inner.children[child];
        }
        let leaf = &mut self.leaves[node];
        let at = leaf.slots.rank(&self.arena, &probe, false);
        let mut header = [0; HEADER_BYTES];
        let key_length = u32::try_from(key.len()).expect("keys have at most 64 KiB");
        let value_length = u32::try_from(value.len()).expect("values have at most 64 MiB");
        header[..4].copy_from_slice(&key_length.to_le_bytes());
        header[4..8].copy_from_slice(&value_length.to_le_bytes());
        header[8..].copy_from_slice(&trailer.to_le_bytes());
        let piece = self.arena.add(&[&header, key, value]);
        self.entries += 1;
        if leaf.slots.count < NODE_ENTRIES {
            leaf.slots.insert(at, probe.head, piece);
            return;
        }
        let right = self.split_leaf(node, at, probe.head, piece);
        self.add_child(&path, right);
    }

    /// Splits a full leaf in two while adding an entry; returns the new right one.
    fn split_leaf(&mut self, node: u32, at: usize, head: u128, piece: Ref) -> u32 {
        let leaf = &mut self.leaves[node];
        // Ascending inserts, the common bulk load, leave full leaves behind.
        let ascending = node == self.last_leaf && at == NODE_ENTRIES;
        let middle = if ascending { NODE_ENTRIES } else { NODE_ENTRIES / 2 };
        let mut slots = leaf.slots.split_off(middle);
        if at < middle {
            leaf.slots.insert(at, head, piece);
        } else {
            slots.insert(at - middle, head, piece);
        }
        let after = leaf.after;
        let index = self.leaves.push(Leaf { slots, before: node, after });
        self.leaves[node].after = index;
        match self.leaves.get_mut(after) {
            Some(next) => next.before = index,
            None => self.last_leaf = index,
        }
        index
    }

    /// Puts a new right sibling beside the node at the end of `path`, splitting upward where it is full.
    fn add_child(&mut self, path: &[(u32, usize); 8], new_leaf: u32) {
        let slots = &self.leaves[new_leaf].slots;
        let (mut head, mut piece, mut right) = (slots.heads[0], slots.refs[0], new_leaf);
        for &(node, child) in path[..self.height].iter().rev() {
            let inner = &mut self.inners[node as usize];
            if inner.separators.count < NODE_ENTRIES {
                inner.insert(child, head, piece, right);
                return;
            }
            let middle = NODE_ENTRIES / 2;
            let (up_head, up_piece, mut sibling) = inner.split(middle);
            if child <= middle {
                inner.insert(child, head, piece, right);
            } else {
                sibling.insert(child - middle - 1, head, piece, right);
            }
            (head, piece, right) = (up_head, up_piece, self.add_inner(sibling));
        }
        let mut root = Inner { separators: Slots::new(), children: [0; NODE_ENTRIES + 1] };
        root.children[0] = self.root;
        root.insert(0, head, piece, right);
        self.root = self.add_inner(root);
        self.height += 1;
    }

    fn add_inner(&mut self, inner: Inner) -> u32 {
        self.inners.push(inner);
        u32::try_from(self.inners.len() - 1).expect("fewer inner nodes than entries")
    }

    /// The first entry that is not less than this key and trailer.
    #[inline]
    pub fn lower_bound(&self, key: &[u8], trailer: u64) -> Place {
        let probe = Probe { head: head(key), key, trailer };
        let mut node = self.root;
        for _ in 0..self.height {
            let inner = &self.inners[node as usize];
            node = inner.children[inner.separators.rank(&self.arena, &probe, true)];
        }
        let index = self.leaves[node].slots.rank(&self.arena, &probe, false);
        self.settle(Place { leaf: node, index })
    }

    /// The first entry.
    pub fn first(&self) -> Place {
        // Splits put the new node to the right: leaf 0 stays the first.
        Place { leaf: 0, index: 0 }
    }

    /// The last entry.
    pub fn last(&self) -> Place {
        let index = self.leaves[self.last_leaf].slots.count.wrapping_sub(1);
        Place { leaf: self.last_leaf, index }
    }

    /// The place after `place`.
    pub fn next(&self, place: Place) -> Place {
        self.settle(Place { leaf: place.leaf, index: place.index.wrapping_add(1) })
    }

    /// The place before `place`.
    pub fn prev(&self, place: Place) -> Place {
        if place.leaf == NONE {
            return self.last();
        }
        if let Some(index) = place.index.checked_sub(1) {
            return Place { leaf: place.leaf, index };
        }
        let before = self.leaves[place.leaf].before;
        let index = self.leaves.get(before).map_or(0, |leaf| leaf.slots.count - 1);
        Place { leaf: if before == NONE { NONE - 1 } else { before }, index }
    }

    /// The entry at `place`; `None` before the first and after the last.
    #[inline]
    pub fn entry(&self, place: Place) -> Option<Entry<'_>> {
        let slots = &self.leaves.get(place.leaf)?.slots;
        (place.index < slots.count).then(|| entry_at(&self.arena, slots.refs[place.index]))
    }

    /// From a leaf's end to the start of the next leaf.
    #[inline]
    fn settle(&self, place: Place) -> Place {
        match self.leaves.get(place.leaf) {
            Some(leaf) if place.index >= leaf.slots.count => Place { leaf: leaf.after, index: 0 },
            _ => place,
        }
    }
}

impl Inner {
    /// Puts a separator and the child to its right after child `at`.
    fn insert(&mut self, at: usize, head: u128, piece: Ref, right: u32) {
        let count = self.separators.count;
        self.children.copy_within(at + 1..count + 1, at + 2);
        self.children[at + 1] = right;
        self.separators.insert(at, head, piece);
    }

    /// Splits at separator `middle`, which goes up.
    fn split(&mut self, middle: usize) -> (u128, Ref, Self) {
        let separators = self.separators.split_off(middle + 1);
        let mut children = [0; NODE_ENTRIES + 1];
        children[..=separators.count]
            .copy_from_slice(&self.children[middle + 1..middle + 2 + separators.count]);
        self.separators.count = middle;
        (self.separators.heads[middle], self.separators.refs[middle], Self { separators, children })
    }
}
