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
//!
//! A store writes on its own account, too: at its own time it forgets that a bucket was dropped, when nothing of it is
//! left. Such a write changes nothing that is seen, but for the sequence number and the count of dropped buckets. It is
//! noticed by the first and checked by the second, and there is at most one for each drop.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use esker_engine::{Batch, Bucket, Durability, Key, Result};

/// What a bucket holds: keys and values.
pub type Entries = BTreeMap<Vec<u8>, Value>;

/// A value; cheap to copy, since states are.
pub type Value = Rc<[u8]>;

/// A key in a bucket.
pub type OwnedKey = (Bucket, Vec<u8>);

/// The name of the bucket that every store has.
const DEFAULT_NAME: &str = "default";
/// The number of the first bucket that is created.
const FIRST: u32 = 2;
/// What becomes durable with a bucket that is created or dropped: so many operations.
const CATALOGUE_OPERATIONS: u64 = 2;

/// What a store holds: buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    buckets: BTreeMap<Bucket, Contents>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Contents {
    name: String,
    entries: Entries,
}

impl Default for State {
    fn default() -> Self {
        let mut state = Self { buckets: BTreeMap::new() };
        state.create(Bucket::DEFAULT, DEFAULT_NAME);
        state
    }
}

impl State {
    /// The bucket of this name.
    pub fn bucket(&self, name: &str) -> Option<Bucket> {
        self.buckets.iter().find(|(_, contents)| contents.name == name).map(|(&bucket, _)| bucket)
    }

    /// All buckets with their names, in the order of their numbers.
    pub fn buckets(&self) -> impl Iterator<Item = (Bucket, &str)> {
        self.buckets.iter().map(|(&bucket, contents)| (bucket, contents.name.as_str()))
    }

    /// What a bucket holds, if it is there.
    pub fn entries(&self, bucket: Bucket) -> Option<&Entries> {
        self.buckets.get(&bucket).map(|contents| &contents.entries)
    }

    /// The value of a key.
    pub fn get(&self, bucket: Bucket, key: &[u8]) -> Option<&Value> {
        self.entries(bucket)?.get(key)
    }

    /// The number of entries in all buckets.
    pub fn len(&self) -> u64 {
        self.buckets.values().map(|contents| contents.entries.len() as u64).sum()
    }

    /// Whether nothing is in any bucket.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an empty bucket.
    pub fn create(&mut self, bucket: Bucket, name: &str) {
        self.buckets.insert(bucket, Contents { name: name.to_owned(), entries: Entries::new() });
    }

    /// Sets or removes a key. Without its bucket nobody sees it.
    pub fn set(&mut self, bucket: Bucket, key: Vec<u8>, value: Option<Value>) {
        let Some(contents) = self.buckets.get_mut(&bucket) else { return };
        match value {
            Some(value) => contents.entries.insert(key, value),
            None => contents.entries.remove(&key),
        };
    }
}

/// A change of the store that is there as a whole or not at all.
#[derive(Debug, Clone)]
pub enum Write {
    /// Puts (`Some`) and deletes (`None`), in order.
    Batch(Vec<(OwnedKey, Option<Value>)>),
    /// A bucket of this name was made.
    CreateBucket(Bucket, String),
    /// A bucket was dropped.
    DropBucket(Bucket),
    /// The store has forgotten that a bucket was dropped.
    Forget,
}

impl Write {
    /// As the batch that the engine takes; an empty one for what callers do not write by a batch.
    pub fn to_batch(&self) -> Batch {
        let mut batch = Batch::new();
        for ((bucket, key), value) in self.operations() {
            match value {
                Some(value) => batch.put((*bucket, key), value),
                None => batch.delete((*bucket, key)),
            }
        }
        batch
    }

    /// Does it to a state.
    pub fn apply(&self, state: &mut State) {
        match self {
            Self::Batch(operations) => {
                for ((bucket, key), value) in operations {
                    state.set(*bucket, key.clone(), value.clone());
                }
            }
            Self::CreateBucket(bucket, name) => state.create(*bucket, name),
            Self::DropBucket(bucket) => drop(state.buckets.remove(bucket)),
            Self::Forget => {}
        }
    }

    /// What it does to keys.
    pub fn operations(&self) -> &[(OwnedKey, Option<Value>)] {
        match self {
            Self::Batch(operations) => operations,
            Self::CreateBucket(..) | Self::DropBucket(_) | Self::Forget => &[],
        }
    }

    fn sequences(&self) -> u64 {
        match self {
            Self::Batch(operations) => operations.len() as u64,
            Self::CreateBucket(..) | Self::DropBucket(_) => CATALOGUE_OPERATIONS,
            Self::Forget => 1,
        }
    }

    /// The sequence number of its last put of a key, where its first operation has the one after `before`; the inner
    /// `None` if it is a delete.
    fn last_put(&self, key: Key<'_>, before: u64) -> Option<Option<u64>> {
        let numbered = (before + 1..).zip(self.operations());
        let of_key = numbered.filter(|(_, ((bucket, bytes), _))| Key::from((*bucket, bytes)) == key);
        of_key.last().map(|(sequence, (_, value))| value.is_some().then_some(sequence))
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

/// What a store that was opened again says of itself.
#[derive(Debug)]
pub struct Found {
    /// The last sequence number.
    pub sequence: u64,
    /// All that it holds.
    pub state: State,
    /// So many buckets were dropped, and that is not forgotten yet.
    pub dropped_buckets: u64,
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

/// A point that the history may have come to.
struct Point {
    /// So many acknowledged writes.
    kept: usize,
    /// And after all of them these: writes in doubt, and what the store has done by itself since.
    tail: Vec<Write>,
    state: State,
}

impl Point {
    /// Whether the store says the same of which write gave keys their values. In what is in doubt, nothing else tells
    /// where the store's own writes are.
    fn agrees(
        &self,
        sequence: u64,
        sequence_of: &mut impl FnMut(Key<'_>) -> Result<Option<u64>>,
    ) -> Result<bool> {
        for ((bucket, key), _) in self.tail.iter().flat_map(Write::operations) {
            let key = Key::from((*bucket, key));
            let is_there = self.state.get(key.bucket, key.bytes).is_some();
            if is_there && sequence_of(key)? != last_put(&self.tail, sequence, key).flatten() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Journal {
    /// What the store holds now.
    pub fn live(&self) -> &State {
        &self.live
    }

    /// The sequence number of the last acknowledged operation.
    pub fn sequence(&self) -> u64 {
        sequences(&self.acknowledged)
    }

    /// All acknowledged writes.
    pub fn writes(&self) -> &[Write] {
        &self.acknowledged
    }

    /// So many buckets were dropped, and the store has not forgotten that yet.
    pub fn dropped_buckets(&self) -> u64 {
        drops(self.acknowledged.iter())
    }

    /// So many operations are the store's own, and not a user's.
    pub fn forgotten(&self) -> u64 {
        self.acknowledged.iter().filter(|write| matches!(write, Write::Forget)).count() as u64
    }

    /// The number that the next bucket gets.
    pub fn next_bucket(&self) -> Bucket {
        let created = self.acknowledged.iter().filter_map(|write| match write {
            Write::CreateBucket(bucket, _) => Some(bucket.number() + 1),
            _ => None,
        });
        Bucket::new(created.max().unwrap_or(FIRST))
    }

    /// So many entries say which buckets there are: one for each that has or had a name and is not forgotten, and one for
    /// the next number, once it was needed.
    pub fn catalogue_entries(&self) -> u64 {
        let named = self.live.buckets().count() as u64 - 1;
        named + self.dropped_buckets() + u64::from(self.next_bucket().number() > FIRST)
    }

    /// Numbers by which there is no bucket: one that no caller reaches, those of the dropped ones, and one that was not
    /// given yet.
    pub fn missing_buckets(&self) -> Vec<Bucket> {
        let numbers = (1..=self.next_bucket().number()).map(Bucket::new);
        numbers.filter(|&bucket| self.live.entries(bucket).is_none()).collect()
    }

    /// The sequence number of the write that gave a key its value.
    pub fn written(&self, key: Key<'_>) -> Option<u64> {
        last_put(&self.acknowledged, self.sequence(), key).flatten()
    }

    /// A write was acknowledged, with the sequence number of its last operation.
    ///
    /// # Panics
    ///
    /// When that number is not the next.
    pub fn acknowledge(&mut self, write: Write, durability: Durability, sequence: u64) {
        self.see_sequence(sequence.saturating_sub(write.sequences()));
        self.add(write, durability);
    }

    /// A bucket was created or dropped, durably.
    pub fn acknowledge_in_catalogue(&mut self, write: Write) {
        self.add(write, Durability::Synced);
    }

    fn add(&mut self, write: Write, durability: Durability) {
        self.doubtful.clear();
        write.apply(&mut self.live);
        self.acknowledged.push(write);
        match durability {
            Durability::Deferred => {}
            Durability::Buffered => self.all_handed_over(),
            Durability::Synced => self.all_durable(),
        }
    }

    /// This is the store's last sequence number. What is beyond the last write is what the store has forgotten, and
    /// that was handed over.
    ///
    /// # Panics
    ///
    /// When there is more of it than there is to forget.
    pub fn see_sequence(&mut self, sequence: u64) {
        let (known, dropped) = (self.sequence(), self.dropped_buckets());
        assert!(
            (known..=known + dropped).contains(&sequence),
            "sequence numbers have no gaps: {known} is followed by {sequence}, with {dropped} dropped buckets to forget"
        );
        if sequence > known {
            self.acknowledged.extend((known..sequence).map(|_| Write::Forget));
            self.all_handed_over();
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

    /// The store was opened again. Judges what is found, and goes on from there. `deferred_bytes` is how much the dead
    /// process may have held back; `sequence_of` asks the store which write gave a key its value.
    ///
    /// # Errors
    ///
    /// Those of `sequence_of`.
    ///
    /// # Panics
    ///
    /// When that is no state that such an end may leave.
    pub fn recover(
        &mut self,
        end: End,
        deferred_bytes: u64,
        found: &Found,
        sequence_of: impl FnMut(Key<'_>) -> Result<Option<u64>>,
    ) -> Result<()> {
        let least = match end {
            End::Kill => self.handed_over,
            End::PowerCut => self.durable,
        };
        let acknowledged = self.acknowledged.len();
        let points = self.points(found.sequence);
        let kept = points[0].kept;
        assert!(
            kept >= least,
            "lost: after {end:?}, {least} of {acknowledged} acknowledged writes must be there; sequence number {} \
             means that only {kept} are",
            found.sequence
        );
        let point = self.choose(points, found, end, sequence_of)?;
        if end == End::Kill {
            let lost: usize =
                self.acknowledged[kept..].iter().map(|write| write.to_batch().as_packed().len()).sum();
            assert!(
                lost as u64 <= deferred_bytes,
                "a kill may lose {deferred_bytes} bytes of deferred writes and has lost {lost}"
            );
        }
        self.doubtful.clear();
        self.acknowledged.truncate(kept);
        self.acknowledged.extend(point.tail);
        self.live = point.state;
        self.handed_over = self.acknowledged.len();
        // What is found after a power cut was on the disk, and must stay there.
        self.durable =
            if end == End::PowerCut { self.acknowledged.len() } else { self.durable.min(self.handed_over) };
        Ok(())
    }

    /// The point that explains what was found in every respect.
    fn choose(
        &self,
        points: Vec<Point>,
        found: &Found,
        end: End,
        mut sequence_of: impl FnMut(Key<'_>) -> Result<Option<u64>>,
    ) -> Result<Point> {
        let acknowledged = self.acknowledged.len();
        let kept = points[0].kept + points[0].tail.len();
        let when = format!("after {end:?}, with {kept} of {acknowledged} acknowledged writes");
        if points.iter().all(|point| point.state != found.state) {
            assert_same(&found.state, &points[0].state, &when);
        }
        for point in points.into_iter().filter(|point| point.state == found.state) {
            let dropped = drops(self.acknowledged[..point.kept].iter().chain(&point.tail));
            if dropped == found.dropped_buckets && point.agrees(found.sequence, &mut sequence_of)? {
                return Ok(point);
            }
        }
        panic!(
            "sequence number {} and {} dropped buckets belong to no point of the history {when}",
            found.sequence, found.dropped_buckets
        )
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

    /// How many writes end with `sequence`, and the state after them, where `found` is what a reader has found there.
    /// Those in doubt count as well.
    ///
    /// # Panics
    ///
    /// When that number is not the end of a write.
    pub fn point(&self, sequence: u64, found: &State) -> (usize, State) {
        let mut points = self.points(sequence);
        let fitting = points.iter().position(|point| point.state == *found);
        let point = points.swap_remove(fitting.unwrap_or(0));
        (point.kept + point.tail.len(), point.state)
    }

    /// The points of the history that have this sequence number: one among the acknowledged writes, and after them as
    /// many as there are ways to have some of the writes in doubt and some that are the store's own.
    fn points(&self, sequence: u64) -> Vec<Point> {
        let (mut state, mut reached, mut kept) = (State::default(), 0, 0);
        for write in &self.acknowledged {
            if reached + write.sequences() > sequence {
                break;
            }
            reached += write.sequences();
            write.apply(&mut state);
            kept += 1;
        }
        let beyond = sequence - reached;
        if beyond > 0 && kept == self.acknowledged.len() {
            return self.points_beyond(&state, beyond);
        }
        assert_eq!(beyond, 0, "the store's sequence number is not the end of any write: a torn batch");
        vec![Point { kept, tail: Vec::new(), state }]
    }

    /// So many operations follow those that were acknowledged.
    fn points_beyond(&self, state: &State, beyond: u64) -> Vec<Point> {
        let mut points = Vec::new();
        // A handle whose log has failed writes no more: one of the writes in doubt may be there, or none.
        let one = self.doubtful.iter().map(std::slice::from_ref);
        for writes in one.rev().chain([&[][..]]) {
            let Some(forgotten) = beyond.checked_sub(sequences(writes)) else { continue };
            if forgotten > drops(self.acknowledged.iter().chain(writes)) {
                continue;
            }
            let mut state = state.clone();
            writes.iter().for_each(|write| write.apply(&mut state));
            // What is forgotten lies before the writes, after them, or both.
            let before = if writes.is_empty() { forgotten..=forgotten } else { 0..=forgotten };
            for before in before.rev() {
                let forget = |count: u64| (0..count).map(|_| Write::Forget);
                let tail =
                    forget(before).chain(writes.iter().cloned()).chain(forget(forgotten - before)).collect();
                points.push(Point { kept: self.acknowledged.len(), tail, state: state.clone() });
            }
        }
        assert!(
            !points.is_empty(),
            "the store's sequence number is {beyond} beyond the last acknowledged write, which is not the end of any \
             write: a torn batch"
        );
        points
    }
}

fn sequences(writes: &[Write]) -> u64 {
    writes.iter().map(Write::sequences).sum()
}

/// So many buckets were dropped by these writes, less those that they forget.
fn drops<'a>(writes: impl Iterator<Item = &'a Write>) -> u64 {
    let (mut dropped, mut forgotten) = (0, 0);
    for write in writes {
        match write {
            Write::DropBucket(_) => dropped += 1,
            Write::Forget => forgotten += 1,
            Write::Batch(_) | Write::CreateBucket(..) => {}
        }
    }
    dropped - forgotten
}

/// The sequence number of the last put of a key in writes that end with `end`: `None` if they do not touch it, an inner
/// `None` if they delete it.
fn last_put(writes: &[Write], mut end: u64, key: Key<'_>) -> Option<Option<u64>> {
    for write in writes.iter().rev() {
        end -= write.sequences();
        if let Some(answer) = write.last_put(key, end) {
            return Some(answer);
        }
    }
    None
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
    let buckets = found.buckets.keys().chain(expected.buckets.keys()).collect::<BTreeSet<_>>();
    for bucket in buckets {
        match (found.buckets.get(bucket), expected.buckets.get(bucket)) {
            (Some(found), Some(expected)) => {
                if found.name != expected.name {
                    message +=
                        &format!("\n  bucket {bucket} is named {:?}, not {:?}", found.name, expected.name);
                }
                message += &differences(*bucket, &found.entries, &expected.entries);
            }
            (Some(found), None) => message += &format!("\n  found bucket {bucket}, {:?}", found.name),
            (None, expected) => message += &format!("\n  no bucket {bucket}, expected {expected:?}"),
        }
    }
    panic!("{message}");
}

fn differences(bucket: Bucket, found: &Entries, expected: &Entries) -> String {
    let mut message = String::new();
    for key in found.keys().chain(expected.keys().filter(|key| !found.contains_key(*key))) {
        let (found, expected) = (found.get(key), expected.get(key));
        if found != expected {
            let (found, expected) = (show_value(found), show_value(expected));
            message += &format!("\n  {} of bucket {bucket}: found {found}, expected {expected}", show(key));
        }
    }
    message
}

/// Bytes as text, short.
pub fn show(bytes: &[u8]) -> String {
    let shown = bytes[..bytes.len().min(24)].escape_ascii();
    if bytes.len() > 24 { format!("{shown}… ({} bytes)", bytes.len()) } else { shown.to_string() }
}

fn show_value(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| format!("{:?}", show(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: Bucket = Bucket::new(FIRST);

    fn put(key: u8) -> ((Bucket, Vec<u8>), Option<Value>) {
        ((Bucket::DEFAULT, vec![key]), Some([key].into()))
    }

    /// Two synced puts in a batch (1, 2), a bucket made (3, 4) and dropped (5, 6), and a buffered put (7).
    fn journal() -> Journal {
        let mut journal = Journal::default();
        journal.acknowledge(Write::Batch(vec![put(1), put(2)]), Durability::Synced, 2);
        journal.acknowledge_in_catalogue(Write::CreateBucket(BUCKET, "b".into()));
        journal.acknowledge_in_catalogue(Write::DropBucket(BUCKET));
        journal.acknowledge(Write::Batch(vec![put(3)]), Durability::Buffered, 7);
        journal
    }

    fn state(keys: &[u8]) -> State {
        let mut state = State::default();
        keys.iter().for_each(|&key| state.set(Bucket::DEFAULT, vec![key], Some([key].into())));
        state
    }

    /// Recovers from a power cut with this; returns what is then known of key 4, if the store says that of it.
    fn recover(
        journal: &mut Journal,
        sequence: u64,
        keys: &[u8],
        dropped_buckets: u64,
        of_4: Option<u64>,
    ) -> Option<u64> {
        let found = Found { sequence, state: state(keys), dropped_buckets };
        journal.recover(End::PowerCut, 0, &found, |_| Ok(of_4)).expect("no file fails");
        journal.written(Key::from(&[4]))
    }

    #[test]
    fn what_was_synced_must_be_there_and_the_rest_may() {
        recover(&mut journal(), 7, &[1, 2, 3], 1, None);
        recover(&mut journal(), 6, &[1, 2], 1, None);
    }

    #[test]
    #[should_panic(expected = "lost")]
    fn a_drop_that_is_gone_is_a_loss() {
        recover(&mut journal(), 4, &[1, 2], 0, None);
    }

    #[test]
    #[should_panic(expected = "a torn batch")]
    fn half_of_a_batch_is_torn() {
        recover(&mut journal(), 1, &[1], 0, None);
    }

    #[test]
    fn a_drop_is_forgotten_once() {
        let mut journal = journal();
        recover(&mut journal, 8, &[1, 2, 3], 0, None);
        assert_eq!((journal.dropped_buckets(), journal.forgotten()), (0, 1));
        journal.acknowledge(Write::Batch(vec![put(4)]), Durability::Synced, 9);
    }

    #[test]
    #[should_panic(expected = "have no gaps")]
    fn a_gap_is_no_forgotten_drop_once_all_are_forgotten() {
        let mut journal = journal();
        journal.see_sequence(8);
        journal.acknowledge(Write::Batch(vec![put(4)]), Durability::Synced, 10);
    }

    #[test]
    #[should_panic(expected = "belong to no point")]
    fn a_forgotten_drop_that_is_still_counted_is_something_else() {
        recover(&mut journal(), 8, &[1, 2, 3], 1, None);
    }

    #[test]
    fn a_write_in_doubt_lies_where_its_sequence_number_says() {
        for of_4 in [8, 9] {
            let mut journal = journal();
            journal.doubt(Write::Batch(vec![put(4)]));
            assert_eq!(recover(&mut journal, 9, &[1, 2, 3, 4], 0, Some(of_4)), Some(of_4));
        }
        let mut journal = journal();
        journal.doubt(Write::Batch(vec![put(4)]));
        assert_eq!(recover(&mut journal, 8, &[1, 2, 3], 0, None), None, "only the drop was forgotten");
    }

    #[test]
    #[should_panic(expected = "wrong contents")]
    fn what_was_never_written_is_wrong() {
        recover(&mut journal(), 7, &[1, 2, 3, 9], 1, None);
    }
}
