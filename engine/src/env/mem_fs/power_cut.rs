//! What a power cut leaves of a [`Disk`]: everything durable, and of the rest what chance decides.
//!
//! Independent dice for each append would nearly always damage the first of many, and a log with a long good
//! tail would hardly ever be seen. So each file, and the directory, first draws a [`Luck`].

use std::collections::BTreeMap;

use super::{Disk, Node, NodeId};

/// The disk as it is found after the power failed.
pub(super) fn after(disk: &Disk, seed: u64) -> Disk {
    let mut dice = Dice(seed);
    let names = surviving_names(disk, &mut dice);
    let mut nodes = BTreeMap::new();
    for id in names.values() {
        let node = &disk.nodes[id];
        nodes.entry(*id).or_insert_with(|| surviving_node(disk, node, &mut dice));
    }
    Disk {
        nodes,
        next_node: disk.next_node,
        durable_names: names.clone(),
        names,
        capacity: disk.capacity,
        ..Disk::default()
    }
}

/// How the changes since the last sync of one file, or of the directory, fare together.
enum Luck {
    /// All are kept.
    Good,
    /// None is.
    Bad,
    /// So many are kept, and what comes next meets a fate of its own.
    GoodUntil(usize),
    /// Each meets a fate of its own.
    Mixed,
}

impl Luck {
    fn draw(changes: usize, dice: &mut Dice) -> Self {
        match dice.below(5) {
            0 => Self::Good,
            1 => Self::Bad,
            2 | 3 => Self::GoodUntil(dice.below(changes + 1)),
            _ => Self::Mixed,
        }
    }
}

/// What becomes of one append.
enum Fate {
    Kept,
    /// Not there: the file is shorter, or has zeros where a later append was kept.
    Missing,
    /// The file has its length, but the bytes never arrived.
    Zeros,
    /// So many of its bytes arrived.
    Torn(usize),
    /// Random bytes.
    Noise,
    /// What some file held before: sectors are not wiped when they change hands.
    Stale,
}

impl Fate {
    fn draw(length: usize, dice: &mut Dice) -> Self {
        match dice.below(6) {
            0 => Self::Kept,
            1 => Self::Missing,
            2 => Self::Zeros,
            3 => Self::Torn(dice.below(length)),
            4 => Self::Noise,
            _ => Self::Stale,
        }
    }
}

fn surviving_names(disk: &Disk, dice: &mut Dice) -> BTreeMap<String, NodeId> {
    let luck = Luck::draw(disk.changes.len(), dice);
    let mut names = disk.durable_names.clone();
    for (index, change) in disk.changes.iter().enumerate() {
        let kept = match luck {
            Luck::Good => true,
            Luck::Bad => false,
            Luck::GoodUntil(end) => index < end,
            Luck::Mixed => dice.below(2) == 0,
        };
        if kept {
            change.apply(&mut names);
        }
    }
    names
}

fn surviving_node(disk: &Disk, node: &Node, dice: &mut Dice) -> Node {
    let luck = Luck::draw(node.appends.len(), dice);
    let mut bytes = node.bytes[..node.durable].to_vec();
    let mut start = node.durable;
    for (index, &end) in node.appends.iter().enumerate() {
        let fate = match luck {
            Luck::Good => Fate::Kept,
            Luck::Bad => Fate::Missing,
            Luck::GoodUntil(end) if index < end => Fate::Kept,
            Luck::GoodUntil(end) if index > end => Fate::Missing,
            Luck::GoodUntil(_) | Luck::Mixed => Fate::draw(end - start, dice),
        };
        let arrived = arrived(disk, &node.bytes[start..end], &fate, dice);
        if !arrived.is_empty() {
            bytes.resize(start, 0);
            bytes.extend_from_slice(&arrived);
        }
        start = end;
    }
    let mut survivor = Node { bytes, ..Node::default() };
    survivor.sync();
    survivor
}

/// What is found where `written` was appended.
fn arrived(disk: &Disk, written: &[u8], fate: &Fate, dice: &mut Dice) -> Vec<u8> {
    match fate {
        Fate::Kept => written.to_vec(),
        Fate::Missing => Vec::new(),
        Fate::Zeros => vec![0; written.len()],
        Fate::Torn(length) => written[..*length].to_vec(),
        Fate::Noise => written.iter().map(|_| dice.byte()).collect(),
        Fate::Stale => stale(disk, written.len(), dice),
    }
}

fn stale(disk: &Disk, length: usize, dice: &mut Dice) -> Vec<u8> {
    let donor =
        disk.nodes.values().nth(dice.below(disk.nodes.len())).expect("the damaged file is one of them");
    let start = dice.below(donor.bytes.len() + 1);
    donor.bytes[start..].iter().copied().chain(std::iter::repeat(0)).take(length).collect()
}

/// A small generator (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`. REQUIRES: `limit` is not 0.
    fn below(&mut self, limit: usize) -> usize {
        // The remainder is below a usize; the bias of a few in 2^64 does not matter here.
        (self.next() % limit as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
