//! The oracle: every write of a history in order, how safe it is, and what a store may hold after a crash.
//!
//! ```text
//! writes   | 1  2  3  4 | 5  6 | 7  8  9 | 10 in doubt
//!          |---durable--|      |         |            survives a power cut
//!          |---handed over-----|         |            survives the death of the process
//!          |---acknowledged--------------|            visible now
//! ```
//!
//! After a crash a store holds the writes up to some point, whole and in order: none missing from the range
//! that its kind of crash must leave, nothing beyond the last that was begun. Sequence numbers have no gaps, so
//! the store's own tells which point it is, and the contents are compared with exactly that one.

use std::collections::BTreeMap;
use std::rc::Rc;

use esker_engine::{Batch, Durability};

/// What a store holds: keys and values.
pub type State = BTreeMap<Vec<u8>, Value>;

/// A value; cheap to copy, since states are.
pub type Value = Rc<[u8]>;

/// A write: an atomic sequence of puts (`Some`) and deletes (`None`).
#[derive(Debug, Clone, Default)]
pub struct Write {
    /// The operations, in order.
    pub ops: Vec<(Vec<u8>, Option<Value>)>,
}

impl Write {
    /// As the batch that the engine takes.
    pub fn to_batch(&self) -> Batch {
        let mut batch = Batch::new();
        for (key, value) in &self.ops {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch
    }

    /// Does the operations on a state.
    pub fn apply(&self, state: &mut State) {
        for (key, value) in &self.ops {
            match value {
                Some(value) => state.insert(key.clone(), Rc::clone(value)),
                None => state.remove(key),
            };
        }
    }

    fn sequences(&self) -> u64 {
        self.ops.len() as u64
    }
}

/// What has ended the life of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its process: what was handed to the operating system is there.
    Kill,
    /// The power: what was synced is there.
    PowerCut,
}

/// All writes so far, and how safe they are.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    acknowledged: Vec<Write>,
    /// Failed writes that may or may not be found after a crash.
    doubtful: Vec<Write>,
    live: State,
    handed_over: usize,
    durable: usize,
}

impl Journal {
    /// What the store holds now.
    pub fn live(&self) -> &State {
        &self.live
    }

    /// The sequence number of the last acknowledged operation.
    pub fn sequence(&self) -> u64 {
        self.acknowledged.iter().map(Write::sequences).sum()
    }

    /// All acknowledged writes.
    pub fn writes(&self) -> &[Write] {
        &self.acknowledged
    }

    /// A write was acknowledged, with the sequence number of its last operation.
    ///
    /// # Panics
    ///
    /// When that number is not the next.
    pub fn acknowledge(&mut self, write: Write, durability: Durability, sequence: u64) {
        assert_eq!(sequence, self.sequence() + write.sequences(), "sequence numbers have no gaps");
        self.doubtful.clear();
        write.apply(&mut self.live);
        self.acknowledged.push(write);
        match durability {
            Durability::Deferred => {}
            Durability::Buffered => self.all_handed_over(),
            Durability::Synced => self.all_durable(),
        }
    }

    /// A write failed in a way that leaves its fate open.
    pub fn doubt(&mut self, write: Write) {
        self.doubtful.push(write);
    }

    /// Everything acknowledged would survive the process.
    pub fn all_handed_over(&mut self) {
        self.handed_over = self.acknowledged.len();
    }

    /// Everything acknowledged would survive a power cut.
    pub fn all_durable(&mut self) {
        self.all_handed_over();
        self.durable = self.acknowledged.len();
    }

    /// The store was opened again and holds this. Judges it, and goes on from there. `deferred_bytes` is how
    /// much the dead process may have held back.
    ///
    /// # Panics
    ///
    /// When that is no state that such an end may leave.
    pub fn recover(&mut self, end: End, deferred_bytes: u64, sequence: u64, found: &State) {
        let least = match end {
            End::Kill => self.handed_over,
            End::PowerCut => self.durable,
        };
        let acknowledged = self.acknowledged.len();
        self.acknowledged.append(&mut self.doubtful);
        let (kept, state) = self.point(sequence);
        assert!(
            kept >= least,
            "lost: after {end:?}, {least} of {acknowledged} acknowledged writes must be there; sequence number \
             {sequence} means that only {kept} are"
        );
        assert_same(
            found,
            &state,
            &format!("after {end:?}, with {kept} of {acknowledged} acknowledged writes"),
        );
        if end == End::Kill && kept < acknowledged {
            let lost: usize = self.acknowledged[kept..acknowledged]
                .iter()
                .map(|write| write.to_batch().as_packed().len())
                .sum();
            assert!(
                lost as u64 <= deferred_bytes,
                "a kill may lose {deferred_bytes} bytes of deferred writes and has lost {lost}"
            );
        }
        self.acknowledged.truncate(kept);
        self.live = state;
        self.handed_over = kept;
        // What is found after a power cut was on the disk, and must stay there.
        self.durable = if end == End::PowerCut { kept } else { self.durable.min(kept) };
    }

    /// How many writes would survive the process.
    pub fn handed_over(&self) -> usize {
        self.handed_over
    }

    /// How many writes would survive the machine.
    pub fn durable(&self) -> usize {
        self.durable
    }

    /// The sequence number with which the first `writes` end.
    pub fn end_of(&self, writes: usize) -> u64 {
        self.acknowledged.iter().take(writes).map(Write::sequences).sum()
    }

    /// How many writes end with `sequence`, and the state after them. Those in doubt count as well.
    ///
    /// # Panics
    ///
    /// When that number is not the end of a write.
    pub fn point(&self, sequence: u64) -> (usize, State) {
        let (mut state, mut reached, mut kept) = (State::new(), 0, 0);
        for write in self.acknowledged.iter().chain(&self.doubtful) {
            if reached + write.sequences() > sequence {
                break;
            }
            reached += write.sequences();
            write.apply(&mut state);
            kept += 1;
        }
        assert_eq!(
            reached, sequence,
            "the store's sequence number is not the end of any write: a torn batch"
        );
        (kept, state)
    }
}

/// Compares two states and shows where they differ.
///
/// # Panics
///
/// When they do.
pub fn assert_same(found: &State, expected: &State, when: &str) {
    if found == expected {
        return;
    }
    let mut message = format!("wrong contents {when}:");
    for key in found.keys().chain(expected.keys().filter(|key| !found.contains_key(*key))) {
        let (found, expected) = (found.get(key), expected.get(key));
        if found != expected {
            message +=
                &format!("\n  {}: found {}, expected {}", show(key), show_value(found), show_value(expected));
        }
    }
    panic!("{message}");
}

/// Bytes as text, short.
pub fn show(bytes: &[u8]) -> String {
    let shown = bytes[..bytes.len().min(24)].escape_ascii();
    if bytes.len() > 24 { format!("{shown}… ({} bytes)", bytes.len()) } else { shown.to_string() }
}

fn show_value(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| format!("{:?}", show(value)))
}
