//! A reader: follows a primary, in this process or another one, by reading its manifest and its log.
//!
//! It writes nothing, locks nothing and asks nobody. What it sees is the state of the primary at some moment, whole
//! batches only; [`Reader::catch_up`] moves that moment on:
//!
//! 1. Read on in the log, into a memtable of the reader's own.
//! 2. Read on in the manifest.
//! 3. Open the tables that are new. One that is missing was removed since: the manifest says so by now; go to 1.
//! 4. Where tables hold more than was read of the log, go on with the log where they end.
//! 5. Where another primary has taken over by now, begin anew.
//!
//! Every table that a view refers to is open, so it can be read though the primary has removed its file. Writes that a
//! primary has deferred are not seen until they are handed to the operating system.

use super::catalogue::{Catalogue, Source};
use super::cursor::Cursor;
use super::stats::Counter;
use super::view::View;
use crate::base::batch::Batch;
use crate::base::bucket::{Bucket, Key};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::file_name::FileName;
use crate::base::options::Options;
use crate::base::range::{KeyRange, ScanOptions};
use crate::env::{File, Fs};
use crate::memtable::Memtable;
use crate::record::{Item, Mark, RecordReader};
use crate::sstable::{Table, TableCache};
use crate::version::{State, TableMeta, Version, VersionEdit, misfit};
use crate::wal;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// So often a reader begins again where the primary has moved on under it, before it says so.
const ATTEMPTS: u32 = 100;
/// A memtable of this size is sealed at the end of a log segment, so that it can go once tables hold what it holds.
const MEMTABLE_BYTES: u64 = 1 << 20;
/// So many operations are sooner read from the log than a look at the directory and the manifest takes. Where more are
/// missing, tables may hold them by now.
const NEAR_OPERATIONS: u64 = 512;

/// Follows a store that a primary has open, or that nobody has.
#[derive(Debug)]
pub struct Reader<F: Fs> {
    fs: Arc<F>,
    pub(super) tables: Arc<TableCache<F>>,
    cache_bytes: u64,
    // What was read of the manifest.
    pub(super) epoch: u64,
    manifest: RecordReader<F::File>,
    state: State,
    // What was read of the log.
    pub(super) segment: u64,
    log: RecordReader<F::File>,
    /// The segments that were read before it, and where their records end.
    ends: BTreeMap<u64, u64>,
    /// Sealed memtables and the last sequence number in each, oldest first.
    pub(super) sealed: VecDeque<(u64, Arc<Memtable>)>,
    // What reads see.
    pub(super) view: ReadView<F>,
    /// What the catalogue was read from.
    catalogue_source: Option<Source>,
    /// Tables that are no longer live, until nobody reads them.
    pub(super) obsolete: Vec<Arc<TableMeta>>,
    pub(super) gets: Counter,
    pub(super) scans: Counter,
}

/// A state of the store that does not change. It pins the files that it needs until it is dropped.
#[derive(Debug)]
pub struct ReadView<F: Fs> {
    pub(super) view: Arc<View<F>>,
    sequence: u64,
    catalogue: Arc<Catalogue>,
}

/// Why a step of following has to be begun anew.
enum Moved {
    /// The files that it needed are gone: read the manifest on.
    On,
    /// The log does not go on where it was left: another primary has taken over, or part of the log is lost.
    Away(Gap),
}

/// What a step of reading the log comes to.
enum Reading {
    /// There may be more.
    On,
    /// At what is wanted, or at the log's present end.
    Ends,
    /// The log does not go on.
    Breaks(Gap),
}

/// Where the log does not go on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Gap {
    epoch: u64,
    segment: u64,
    offset: u64,
    /// The last sequence number before it.
    last: u64,
    /// The sequence number that comes next instead.
    next: u64,
}

impl Gap {
    fn error(self) -> Error {
        let Self { segment, offset, last, next, .. } = self;
        Error::corrupt(
            FileName::Wal(segment).to_string(),
            offset,
            format!(
                "a record of the log begins at sequence number {next}, and what comes before ends at {last}: \
                 what is between is lost. Open the store once for writing, so that it is recovered"
            ),
        )
    }
}

impl<F: Fs> Reader<F> {
    /// Begins to read the store in `fs`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for an option beyond its limits, `CannotOpen` where there is no store or its format is newer,
    /// `Corrupt` where a file is damaged or a power cut has left a gap in the log that no primary has recovered, `Busy` where the primary moves on faster than the reader follows, and those
    /// of the file system.
    pub fn open(fs: F, options: &Options) -> Result<Self> {
        options.check()?;
        let fs = Arc::new(fs);
        let mut reader = Self::begin(fs, options.cache_bytes())?;
        reader.catch_up()?;
        Ok(reader)
    }

    /// Sees what the primary has handed to the operating system by now. Returns the last sequence number.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`]. The reader then sees what it saw before, or some of what was written since.
    pub fn catch_up(&mut self) -> Result<u64> {
        self.follow_to(u64::MAX)
    }

    /// Sees the writes up to `sequence`, a number that their writer was told when they were acknowledged, as far as
    /// they have been handed to the operating system; and no later ones, but where it sees them already or finds them
    /// in tables. Returns the last sequence number. Quicker than [`Reader::catch_up`] where little is missing: it then
    /// reads on in the log and does not look whether another primary has taken over.
    ///
    /// # Errors
    ///
    /// As [`Reader::catch_up`].
    pub fn catch_up_to(&mut self, sequence: u64) -> Result<u64> {
        match self.view.sequence {
            seen if seen >= sequence => Ok(seen),
            _ => self.follow_to(sequence),
        }
    }

    fn follow_to(&mut self, limit: u64) -> Result<u64> {
        let followed = self.follow_rounds(limit);
        // Also after a failure: what was read until then is seen.
        self.read_catalogue();
        followed
    }

    fn follow_rounds(&mut self, limit: u64) -> Result<u64> {
        // The gap that the round before has met, and whether the last round met the same.
        let (mut gap, mut stays) = (None, false);
        for _ in 0..ATTEMPTS {
            let moved = self.follow(limit)?;
            let met = match moved {
                Some(Moved::Away(gap)) => Some(gap),
                Some(Moved::On) | None => None,
            };
            stays = met.is_some() && met == gap;
            gap = met;
            // A writer's word for `limit` is enough; else it is asked after reading: a primary that takes over removes
            // log segments, and with them what was not read yet.
            let reached = moved.is_none() && self.view.sequence >= limit;
            if !reached && (met.is_some() || self.is_replaced()?) {
                let (gets, scans) = (std::mem::take(&mut self.gets), std::mem::take(&mut self.scans));
                *self = Self { gets, scans, ..Self::begin(Arc::clone(&self.fs), self.cache_bytes)? };
            } else if moved.is_none() {
                return Ok(self.view.sequence);
            }
        }
        if let (Some(gap), true) = (gap, stays) {
            return Err(gap.error());
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!("the primary has removed what a reader needed {ATTEMPTS} times in a row: try again"),
        ))
    }

    /// Reads the catalogue of what is seen, where it may have changed.
    fn read_catalogue(&mut self) {
        let source = Catalogue::source(&self.view.view, self.epoch, self.state.flushed);
        if self.catalogue_source.as_ref() != Some(&source) {
            let catalogue = Catalogue::of(&self.view.view, self.view.sequence);
            self.catalogue_source = catalogue.is_read().then_some(source);
            self.view.catalogue = Arc::new(catalogue);
        }
    }

    /// The sequence number of the last write that is seen.
    pub fn last_sequence(&self) -> u64 {
        self.view.sequence
    }

    /// The primary whose manifest is read.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn fs(&self) -> &F {
        &self.fs
    }

    /// The tables that are seen. They are open.
    pub(super) fn version(&self) -> &Version {
        &self.view.view.version
    }

    pub(super) fn table(&self, number: u64) -> Result<Arc<Table<F::File>>> {
        self.tables.table(number)
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// The segments that were read and whose data is not wholly in tables, and how far.
    pub(super) fn log_positions(&self) -> impl Iterator<Item = (u64, u64)> {
        let ended = self.ends.iter().map(|(&segment, &end)| (segment, end));
        ended.chain([(self.segment, self.log.position())]).filter(|&(segment, _)| segment >= self.state.log)
    }

    /// The log segments on disk whose data is not wholly in tables.
    pub(super) fn segments(&self) -> Result<Vec<u64>> {
        let names = self.fs.list()?;
        let segment = |name: &String| match FileName::parse(name) {
            Some(FileName::Wal(number)) if number >= self.state.log => Some(number),
            _ => None,
        };
        Ok(names.iter().filter_map(segment).collect())
    }

    /// The buckets.
    pub fn buckets(&self) -> &Catalogue {
        self.view.buckets()
    }

    /// The value of `key`, and the sequence number of the write that made it.
    ///
    /// # Errors
    ///
    /// As [`ReadView::get`].
    pub fn get_with_sequence<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<(Vec<u8>, u64)>> {
        self.gets.add(1);
        self.view.get_with_sequence(key)
    }

    /// Pins what is seen now.
    pub fn view(&self) -> ReadView<F> {
        ReadView {
            view: Arc::clone(&self.view.view),
            sequence: self.view.sequence,
            catalogue: Arc::clone(&self.view.catalogue),
        }
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// As [`ReadView::get`].
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        self.gets.add(1);
        self.view.get(key)
    }

    /// The values of a bucket's `keys`, in their order.
    ///
    /// # Errors
    ///
    /// As [`ReadView::get`].
    pub fn get_many<K: AsRef<[u8]>>(&self, bucket: Bucket, keys: &[K]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|key| self.get((bucket, key))).collect()
    }

    /// Whether `key` is there.
    ///
    /// # Errors
    ///
    /// As [`ReadView::get`].
    pub fn contains<'k>(&self, key: impl Into<Key<'k>>) -> Result<bool> {
        self.gets.add(1);
        self.view.contains(key)
    }

    /// Reads a range.
    ///
    /// # Errors
    ///
    /// As [`ReadView::scan`].
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Cursor<F>> {
        self.scans.add(1);
        self.view.scan(range, options)
    }

    /// Reads the newest manifest that begins with a snapshot; sees nothing of the log yet.
    fn begin(fs: Arc<F>, cache_bytes: u64) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let mut epochs = Vec::new();
            for name in fs.list()? {
                if let Some(FileName::Manifest(epoch)) = FileName::parse(&name) {
                    epochs.push(epoch);
                }
            }
            epochs.sort_unstable();
            if epochs.is_empty() {
                return Err(Error::cannot_open("there is no store to read: the directory has no manifest"));
            }
            for &epoch in epochs.iter().rev() {
                if let Some(reader) = Self::begin_at(&fs, cache_bytes, epoch)? {
                    return Ok(reader);
                }
            }
        }
        Err(Error::cannot_open("there is no store to read yet: no manifest begins with a complete state"))
    }

    /// `None` where the epoch's manifest is gone or does not begin with a snapshot, or the log that it names is gone.
    fn begin_at(fs: &Arc<F>, cache_bytes: u64, epoch: u64) -> Result<Option<Self>> {
        let name = FileName::Manifest(epoch).to_string();
        let Some(file) = found(fs.open(&name))? else { return Ok(None) };
        let mut manifest = RecordReader::following(file, FileName::Manifest(epoch).record_number());
        let Item::Record { offset } = manifest.read()? else { return Ok(None) };
        let edit = VersionEdit::decode(manifest.payload()).map_err(|error| error.at(name, offset))?;
        let Some(state) = edit.to_state() else { return Ok(None) };
        let mut state =
            state.map_err(|error| misfit(FileName::Manifest(epoch).to_string(), offset, &error))?;
        read_edits(&mut manifest, epoch, &mut state)?;
        let segment = state.log;
        let Some(file) = found(fs.open(&FileName::Wal(segment).to_string()))? else { return Ok(None) };
        let tables = Arc::new(TableCache::pinning(Arc::clone(fs), cache_bytes));
        let view = View {
            active: Arc::new(Memtable::new()),
            sealed: Vec::new(),
            version: Arc::clone(&state.version),
            tables: Arc::clone(&tables),
        };
        let reader = Self {
            fs: Arc::clone(fs),
            tables,
            cache_bytes,
            epoch,
            manifest,
            segment,
            log: RecordReader::following(file, segment),
            ends: BTreeMap::new(),
            sealed: VecDeque::new(),
            view: ReadView { view: Arc::new(view), sequence: state.flushed, catalogue: Arc::default() },
            catalogue_source: None,
            state,
            obsolete: Vec::new(),
            gets: Counter::default(),
            scans: Counter::default(),
        };
        Ok(reader.pin_tables(&reader.state)?.then_some(reader))
    }

    /// Whether another primary has taken over. A claim without a complete state is passed over: its primary is still
    /// reading the log.
    fn is_replaced(&self) -> Result<bool> {
        let own = self.fs.exists(&FileName::Manifest(self.epoch).to_string())?;
        let next = FileName::Manifest(self.epoch + 1).to_string();
        Ok(!own || (self.fs.exists(&next)? && Self::begin_at(&self.fs, 0, self.epoch + 1)?.is_some()))
    }

    /// One round of following, of the log up to `limit`; `None` when it is done.
    fn follow(&mut self, limit: u64) -> Result<Option<Moved>> {
        let missing = limit.saturating_sub(self.view.sequence);
        if missing <= NEAR_OPERATIONS {
            if let Some(gap) = self.read_log(limit)? {
                return Ok(Some(Moved::Away(gap)));
            }
            if self.view.sequence >= limit {
                return Ok(None);
            }
        }
        // The log before the manifest where its end is wanted; else what tables hold need not be read from it.
        let log_first = limit == u64::MAX;
        if log_first && let Some(gap) = self.read_log(limit)? {
            return Ok(Some(Moved::Away(gap)));
        }
        // Edits that a failure leaves without effect are read again by the next call.
        let mark = self.manifest.mark();
        let followed = self.follow_manifest();
        if followed.is_err() {
            self.manifest.rewind(mark);
        }
        let moved = followed?;
        if moved.is_none()
            && !log_first
            && let Some(gap) = self.read_log(limit)?
        {
            return Ok(Some(Moved::Away(gap)));
        }
        Ok(moved)
    }

    /// Reads on in the manifest and shows what has changed.
    fn follow_manifest(&mut self) -> Result<Option<Moved>> {
        let mut state = self.state.clone();
        read_edits(&mut self.manifest, self.epoch, &mut state)?;
        if Arc::ptr_eq(&state.version, &self.view.view.version) {
            return Ok(None);
        }
        self.follow_edits(state)
    }

    fn follow_edits(&mut self, state: State) -> Result<Option<Moved>> {
        if !self.pin_tables(&state)? {
            // Removed since: a later edit says so, and the reader has the edits before it.
            self.state = state;
            return Ok(Some(Moved::On));
        }
        self.install(state)
    }

    /// Opens all tables of a state. False where one is gone.
    fn pin_tables(&self, state: &State) -> Result<bool> {
        for (_, table) in state.version.tables() {
            match self.tables.table(table.number) {
                Ok(_) => {}
                Err(_) if !self.fs.exists(&FileName::Table(table.number).to_string())? => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Makes a state, whose tables are open, the one that reads see.
    fn install(&mut self, state: State) -> Result<Option<Moved>> {
        let mut active = Arc::clone(&self.view.view.active);
        if state.flushed > self.view.sequence {
            // Tables hold more than was read of the log: what was read is among it.
            let Some(file) = found(self.fs.open(&FileName::Wal(state.log).to_string()))? else {
                self.state = state;
                return Ok(Some(Moved::On));
            };
            self.segment = state.log;
            self.log = RecordReader::following(file, state.log);
            self.view.sequence = state.flushed;
            self.sealed.clear();
            active = Arc::new(Memtable::new());
        }
        self.sealed.retain(|(last, _)| *last > state.flushed);
        let live = |number: u64| state.version.tables().any(|(_, table)| table.number == number);
        let before = self.view.view.version.tables().map(|(_, table)| table);
        self.obsolete.extend(before.filter(|table| !live(table.number)).cloned());
        self.state = state;
        self.show(active);
        // The log may have gone on since: one more round makes sure that what an edit tells is seen whole.
        Ok(Some(Moved::On))
    }

    fn show(&mut self, active: Arc<Memtable>) {
        self.view.view = Arc::new(View {
            active,
            sealed: self.sealed.iter().rev().map(|(_, memtable)| Arc::clone(memtable)).collect(),
            version: Arc::clone(&self.state.version),
            tables: Arc::clone(&self.tables),
        });
        let tables = &self.tables;
        self.obsolete.retain(|table| {
            let read = Arc::strong_count(table) > 1;
            if !read {
                tables.forget(table.number);
            }
            read
        });
    }

    /// Reads on in the log up to `limit` or to its present end. Returns where it does not go on.
    fn read_log(&mut self, limit: u64) -> Result<Option<Gap>> {
        while self.view.sequence < limit {
            let mark = self.log.mark();
            match self.read_record(limit) {
                Ok(Reading::On) => {}
                Ok(Reading::Ends) => return Ok(None),
                Ok(Reading::Breaks(gap)) => return Ok(Some(gap)),
                Err(error) => {
                    // The next call begins at a record, not within the one that could not be read.
                    self.log.rewind(mark);
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Reads the log's next record, or goes on with the next segment.
    fn read_record(&mut self, limit: u64) -> Result<Reading> {
        let mark = self.log.mark();
        match self.log.read()? {
            Item::Record { offset } => {
                let mut batch = Batch::new();
                let Some(header) = wal::decode(self.log.payload(), &mut batch) else {
                    return Err(self.damaged(offset, "a record holds no batch"));
                };
                if header.count == 0 || header.last() <= self.view.sequence {
                    return Ok(Reading::On);
                }
                if header.sequence != self.view.sequence + 1 {
                    let (last, next) = (self.view.sequence, header.sequence);
                    let Self { epoch, segment, .. } = *self;
                    return Ok(Reading::Breaks(Gap { epoch, segment, offset, last, next }));
                }
                if header.last() > limit {
                    self.log.rewind(mark);
                    return Ok(Reading::Ends);
                }
                self.view.view.active.apply(header.sequence, &batch);
                self.view.sequence = header.last();
            }
            Item::Damage { .. } => match look_again(&mut self.log, mark)? {
                Damage::Growing => return Ok(Reading::Ends),
                Damage::Gone => {}
                Damage::Stays { offset, reason } => return Err(self.damaged(offset, &reason)),
            },
            Item::End { .. } => match self.next_segment()? {
                // Rotation came after the segment's last record: look once more before leaving it.
                Some(next) if matches!(self.peek()?, Item::End { .. }) => {
                    if !self.enter(next)? {
                        return Ok(Reading::Ends);
                    }
                }
                Some(_) => {}
                None => return Ok(Reading::Ends),
            },
        }
        Ok(Reading::On)
    }

    /// What stands at the place that reading has come to.
    fn peek(&mut self) -> Result<Item> {
        let mark = self.log.mark();
        let item = self.log.read()?;
        self.log.rewind(mark);
        Ok(item)
    }

    fn next_segment(&self) -> Result<Option<u64>> {
        Ok(self.segments()?.into_iter().filter(|&number| number > self.segment).min())
    }

    /// Goes on with the next segment. False where it is gone already.
    fn enter(&mut self, segment: u64) -> Result<bool> {
        let Some(file) = found(self.fs.open(&FileName::Wal(segment).to_string()))? else { return Ok(false) };
        self.ends.insert(self.segment, self.log.position());
        self.ends.retain(|&number, _| number >= self.state.log);
        self.segment = segment;
        self.log = RecordReader::following(file, segment);
        let active = &self.view.view.active;
        if active.bytes() >= MEMTABLE_BYTES {
            self.sealed.push_back((self.view.sequence, Arc::clone(active)));
            self.show(Arc::new(Memtable::new()));
        }
        Ok(true)
    }

    fn damaged(&self, offset: u64, reason: &str) -> Error {
        Error::corrupt(FileName::Wal(self.segment).to_string(), offset, reason)
    }
}

impl<F: Fs> ReadView<F> {
    /// The sequence number of the last write that is seen.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a key beyond its limits, `NoSuchBucket`, `Corrupt` where a block is damaged, and those of
    /// the file system.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        let found = self.read(key.into(), &mut |_, bytes| value.extend_from_slice(bytes))?;
        Ok(found.then_some(value))
    }

    /// The value of `key`, and the sequence number of the write that made it.
    ///
    /// # Errors
    ///
    /// As [`ReadView::get`].
    pub fn get_with_sequence<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<(Vec<u8>, u64)>> {
        let mut value = Vec::new();
        let mut sequence = 0;
        let found = self.read(key.into(), &mut |written, bytes| {
            sequence = written;
            value.extend_from_slice(bytes);
        })?;
        Ok(found.then_some((value, sequence)))
    }

    fn read(&self, key: Key<'_>, read: &mut dyn FnMut(u64, &[u8])) -> Result<bool> {
        key.check()?;
        self.catalogue.check(key.bucket)?;
        key.with_user_key(|user_key| self.view.get(user_key, self.sequence, read))
    }

    /// The buckets.
    pub fn buckets(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Whether `key` is there.
    ///
    /// # Errors
    ///
    /// As [`ReadView::get`].
    pub fn contains<'k>(&self, key: impl Into<Key<'k>>) -> Result<bool> {
        self.read(key.into(), &mut |_, _| {})
    }

    /// Reads a range.
    ///
    /// # Errors
    ///
    /// `NoSuchBucket`, and those of the file system; the cursor's own come from its [`Cursor::next`].
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> Result<Cursor<F>> {
        self.catalogue.check(options.bucket)?;
        Cursor::new(Arc::clone(&self.view), self.sequence, range, options)
    }
}

/// What damage turns out to be in a file to which records are being appended.
enum Damage {
    /// A record on its way to the file.
    Growing,
    /// One that was on its way, and has arrived.
    Gone,
    /// Damage.
    Stays { offset: u64, reason: String },
}

/// Looks again at what stands at `mark`, after damage was read there. A record that sound ones follow was written whole
/// before them; but it may have been read in two pieces while it was on its way, the second one newer than the first.
fn look_again<T: File>(log: &mut RecordReader<T>, mark: Mark) -> Result<Damage> {
    let followed = matches!(log.read()?, Item::Record { .. });
    log.rewind(mark);
    if !followed {
        return Ok(Damage::Growing);
    }
    let again = log.read()?;
    log.rewind(mark);
    Ok(match again {
        Item::Damage { offset, reason, .. } => Damage::Stays { offset, reason },
        Item::Record { .. } | Item::End { .. } => Damage::Gone,
    })
}

/// Reads the edits that the manifest has by now into `state`.
fn read_edits<T: File>(manifest: &mut RecordReader<T>, epoch: u64, state: &mut State) -> Result<()> {
    let name = FileName::Manifest(epoch).to_string();
    loop {
        let mark = manifest.mark();
        match manifest.read()? {
            Item::End { .. } => return Ok(()),
            Item::Damage { .. } => match look_again(manifest, mark)? {
                Damage::Growing => return Ok(()),
                Damage::Gone => {}
                Damage::Stays { offset, reason } => return Err(Error::corrupt(name, offset, reason)),
            },
            Item::Record { offset } => {
                let edit = VersionEdit::decode(manifest.payload())
                    .map_err(|error| error.at(name.clone(), offset))?;
                *state = edit.apply(state).map_err(|error| misfit(name.clone(), offset, &error))?;
            }
        }
    }
}

/// `None` where the file is not there.
fn found<T>(opened: Result<T>) -> Result<Option<T>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
