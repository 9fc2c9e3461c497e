//! The store behind the calls: carries frames out, commits what waits together, and mends itself.
//!
//! It knows neither JavaScript nor messages, so that it is tested where the slots are in memory.

mod held;

use crate::archive::{self, Piece, Splitter};
use crate::call_error::{CallError, Result};
use crate::frame::{self, Answer, Call, Calls};
use crate::pool::{Handle, SlotFile, SlotFs};
use esker_engine::base::batch::check_value;
use esker_engine::base::coding::put_bytes;
use esker_engine::base::json::Json;
use esker_engine::env::{Clock, File, Fs};
use esker_engine::{
    Batch, Bucket, Condition, ConditionalWrite, Cursor, Db, Durability, ErrorKind, Key, KeyRange, Options,
    Reader, ScanOptions, Snapshot, Verification,
};
use held::Held;

/// What waits is committed at this size, in packed bytes, though more may follow.
const COMMIT_BYTES: usize = 1 << 20;
/// A page of a scan is full with so many bytes of keys and values.
const PAGE_BYTES: usize = 64 << 10;
/// A store at rest keeps a memtable of less than this: to flush a few writes would cost more than it is worth.
const REST_BYTES: u64 = 1 << 20;
/// A write is refused where fewer slots are free: it may need one for the log and one for a table.
const SLOTS_MIN: usize = 3;
/// So many snapshots and scans have names of their own before one of the next epoch may be taken for one of this.
const IDS_PER_EPOCH: u64 = 1 << 24;
/// Bytes of a file are exported in pieces of this length.
const EXPORT_BYTES: usize = 1 << 20;

type SlotDb<H, C> = Db<SlotFs<H>, C>;

/// Whoever sends calls: 0 for the own page, another number for each other tab.
pub type Owner = u32;

/// An open store, or one that was closed.
#[derive(Debug)]
pub struct Core<H: Handle, C: Clock + Clone> {
    fs: SlotFs<H>,
    clock: C,
    options: Options,
    db: Option<SlotDb<H, C>>,
    /// Whether a write has failed, so that the engine takes no more before it was opened anew.
    failed: bool,
    /// What callers hold, each with the caller that it belongs to.
    snapshots: Held<Snapshot>,
    cursors: Held<Cursor<SlotFs<H>>>,
    next_id: u64,
    /// Whose call is carried out.
    owner: Owner,
    pauses: Pauses,
}

/// Slices of maintenance, in microseconds.
#[derive(Debug, Default, Clone, Copy)]
struct Pauses {
    count: u64,
    micros: u64,
    micros_max: u64,
}

/// The writes of a frame.
#[derive(Debug, Default)]
struct Waiting {
    /// Not committed yet: the operations, and the answers that depend on them.
    batch: Batch,
    answers: Vec<usize>,
    /// Whether they may all stay in memory for a while.
    deferred: bool,
    /// The answers that also wait for a sync, which comes once, at the end.
    synced: Vec<usize>,
}

impl<H: Handle, C: Clock + Clone> Core<H, C> {
    /// Opens the store in `fs`.
    ///
    /// # Errors
    ///
    /// Those of [`Db::open`].
    pub fn open(fs: SlotFs<H>, clock: C, options: Options) -> Result<Self> {
        let db = Db::open(fs.clone(), clock.clone(), options.clone())?;
        Ok(Self {
            fs,
            clock,
            options: Options { error_if_exists: false, ..options },
            db: Some(db),
            failed: false,
            snapshots: Held::new(),
            cursors: Held::new(),
            next_id: 1,
            owner: 0,
            pauses: Pauses::default(),
        })
    }

    /// Carries frames out, in order; returns the frames of their answers. Their writes are committed together as far as
    /// reads between them allow, and synced once, at the end: no answer leaves before.
    pub fn execute(&mut self, frames: &[(Owner, Vec<u8>)]) -> Vec<Vec<u8>> {
        let mut answers = Vec::new();
        let mut ends = Vec::new();
        let mut waiting = Waiting::default();
        for (owner, frame) in frames {
            self.owner = *owner;
            for call in Calls::new(frame) {
                let answer = call.and_then(|call| self.call(call, &mut waiting, &mut answers));
                answers.push(answer.unwrap_or_else(Answer::Failed));
            }
            ends.push(answers.len());
        }
        self.owner = 0;
        self.commit(&mut waiting, &mut answers);
        if !waiting.synced.is_empty()
            && let Err(error) = self.sync()
        {
            fail(&mut answers, &waiting.synced, &error);
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts.zip(&ends).map(|(start, &end)| frame::encode(&answers[start..end])).collect()
    }

    fn call(&mut self, call: Call<'_>, waiting: &mut Waiting, answers: &mut [Answer]) -> Result<Answer> {
        match call {
            Call::Put(durability, key, value) => {
                self.check_key(key)?;
                check_value(value)?;
                self.make_way(key.bytes.len() + value.len(), waiting, answers)?;
                waiting.batch.put(key, value);
                waiting.add(durability, answers.len());
                return Ok(Answer::Done);
            }
            Call::Delete(durability, key) => {
                self.check_key(key)?;
                self.make_way(key.bytes.len(), waiting, answers)?;
                waiting.batch.delete(key);
                waiting.add(durability, answers.len());
                return Ok(Answer::Done);
            }
            Call::Write(durability, packed) => {
                let batch = self.unpacked(packed)?;
                self.make_way(packed.len(), waiting, answers)?;
                waiting.append(batch);
                waiting.add(durability, answers.len());
                return Ok(Answer::Done);
            }
            _ => self.commit(waiting, answers),
        }
        Ok(match call {
            Call::Get(snapshot, key) => Answer::Value(self.get(snapshot, key)?),
            Call::GetMany(snapshot, keys) => {
                Answer::Values(keys.into_iter().map(|key| self.get(snapshot, key)).collect::<Result<_>>()?)
            }
            Call::Scan(snapshot, range, options) => {
                let mut page = Vec::new();
                Answer::Page(self.scan(snapshot, range, options, &mut page)?, page)
            }
            Call::Page(cursor) => {
                let mut page = Vec::new();
                Answer::Page(self.page(cursor, &mut page)?, page)
            }
            Call::CloseCursor(cursor) => {
                self.close_cursor(cursor);
                Answer::Done
            }
            Call::Snapshot => Answer::Number(self.snapshot()?),
            Call::Release(snapshot) => {
                self.release(snapshot);
                Answer::Done
            }
            Call::Sync => {
                self.sync()?;
                Answer::Done
            }
            Call::Stats => Answer::Text(self.stats()?),
            Call::Report => Answer::Text(self.report()?),
            Call::Verify => Answer::Text(self.verify()?),
            Call::WriteIf(durability, packed, conditions) => {
                let batch = self.unpacked(packed)?;
                self.write_if(&batch, &conditions, at_once(durability))?;
                waiting.add_sync(durability, answers.len());
                Answer::Done
            }
            Call::Increment(durability, key, delta) => {
                let delta = str::from_utf8(delta).ok().and_then(|digits| digits.parse().ok());
                let delta = delta.ok_or_else(|| {
                    CallError::new("invalid-argument", "what is added must be a whole number of 64 bits")
                })?;
                let sum = self.increment(key, delta, at_once(durability))?;
                waiting.add_sync(durability, answers.len());
                Answer::Text(sum.to_string())
            }
            Call::GetWithSequence(key) => Answer::Versioned(self.get_with_sequence(key)?),
            Call::CreateBucket(name) => Answer::Number(self.create_bucket(name)?.number().into()),
            Call::DropBucket(name) => Answer::Truth(self.drop_bucket(name)?),
            Call::Buckets(snapshot) => Answer::Buckets(self.buckets(snapshot)?),
            Call::Put(..) | Call::Delete(..) | Call::Write(..) => Answer::Done,
        })
    }

    /// Checks the key of a write that is to wait: what is committed together must not fail for one of them.
    fn check_key(&self, key: Key<'_>) -> Result<()> {
        key.check()?;
        Ok(self.db()?.buckets().check(key.bucket)?)
    }

    /// A batch that is to wait, checked as [`Core::check_key`] does.
    fn unpacked(&self, packed: &[u8]) -> Result<Batch> {
        let batch = Batch::from_packed(packed.to_vec())?;
        let buckets = self.db()?.buckets();
        batch.check_buckets(&mut |bucket| buckets.check(bucket))?;
        Ok(batch)
    }

    /// Commits what waits where `bytes` more would make it too much.
    fn make_way(&mut self, bytes: usize, waiting: &mut Waiting, answers: &mut [Answer]) -> Result<()> {
        if !waiting.batch.is_empty() && waiting.batch.as_packed().len() + bytes > COMMIT_BYTES {
            self.commit(waiting, answers);
        }
        Ok(())
    }

    /// Commits what waits; where that fails, so do the calls that it came from.
    fn commit(&mut self, waiting: &mut Waiting, answers: &mut [Answer]) {
        if waiting.answers.is_empty() {
            return;
        }
        let durability = if waiting.deferred { Durability::Deferred } else { Durability::Buffered };
        if let Err(error) = self.write(&waiting.batch, durability) {
            fail(answers, &waiting.answers, &error);
            waiting.synced.retain(|at| !waiting.answers.contains(at));
        }
        waiting.batch.clear();
        waiting.answers.clear();
    }

    /// Applies a batch.
    ///
    /// # Errors
    ///
    /// Those of [`Db::write`]; `busy` where too few slots are free.
    pub fn write(&mut self, batch: &Batch, durability: Durability) -> Result<()> {
        self.writing(|db| db.write(batch, durability).map(drop))
    }

    /// Sets a key.
    ///
    /// # Errors
    ///
    /// As [`Core::write`].
    pub fn put<'k>(&mut self, key: impl Into<Key<'k>>, value: &[u8], durability: Durability) -> Result<()> {
        self.writing(|db| db.put(key, value, durability).map(drop))
    }

    /// Removes a key.
    ///
    /// # Errors
    ///
    /// As [`Core::write`].
    pub fn delete<'k>(&mut self, key: impl Into<Key<'k>>, durability: Durability) -> Result<()> {
        self.writing(|db| db.delete(key, durability).map(drop))
    }

    /// Applies a batch if every condition holds.
    ///
    /// # Errors
    ///
    /// `condition-failed` where one does not, and as [`Core::write`].
    pub fn write_if(
        &mut self,
        batch: &Batch,
        conditions: &[Condition<'_>],
        durability: Durability,
    ) -> Result<()> {
        match self.writing(|db| db.write_if(batch, conditions, durability))? {
            ConditionalWrite::Written(_) => Ok(()),
            ConditionalWrite::Failed(places) => Err(CallError::condition_failed(places)),
        }
    }

    /// Adds to the number that a key holds in decimal digits. Returns the sum.
    ///
    /// # Errors
    ///
    /// Those of [`Db::increment`], and as [`Core::write`].
    pub fn increment<'k>(
        &mut self,
        key: impl Into<Key<'k>>,
        delta: i64,
        durability: Durability,
    ) -> Result<i64> {
        self.writing(|db| db.increment(key, delta, durability).map(|(sum, _)| sum))
    }

    /// The bucket of this name, which is made where there is none.
    ///
    /// # Errors
    ///
    /// Those of [`Db::create_bucket`], and as [`Core::write`].
    pub fn create_bucket(&mut self, name: &str) -> Result<Bucket> {
        self.writing(|db| db.create_bucket(name))
    }

    /// Drops the bucket of this name. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// Those of [`Db::drop_bucket`], and as [`Core::write`].
    pub fn drop_bucket(&mut self, name: &str) -> Result<bool> {
        self.writing(|db| db.drop_bucket(name))
    }

    /// Makes everything durable.
    ///
    /// # Errors
    ///
    /// Those of [`Db::sync`].
    pub fn sync(&mut self) -> Result<()> {
        self.working(Db::sync)
    }

    /// Runs something that may need slots.
    fn writing<T>(&mut self, write: impl FnOnce(&mut SlotDb<H, C>) -> esker_engine::Result<T>) -> Result<T> {
        self.db()?;
        self.fs.check_free(SLOTS_MIN)?;
        self.working(write)
    }

    /// Runs something on an engine that takes writes.
    fn working<T>(&mut self, work: impl FnOnce(&mut SlotDb<H, C>) -> esker_engine::Result<T>) -> Result<T> {
        if self.failed {
            self.reopen()?;
        }
        let Some(db) = &mut self.db else { return Err(CallError::closed()) };
        work(db).map_err(|error| {
            let refused = matches!(
                error.kind(),
                ErrorKind::InvalidArgument | ErrorKind::NoSuchBucket | ErrorKind::Busy
            );
            self.failed = !refused;
            error.into()
        })
    }

    /// Opens the engine anew: after a failed write it takes no more. What was acknowledged as synced is in the log.
    fn reopen(&mut self) -> Result<()> {
        if self.db.is_none() {
            return Err(CallError::closed());
        }
        let db = Db::open(self.fs.clone(), self.clock.clone(), self.options.clone())?;
        self.forget_readers();
        self.db = Some(db);
        self.failed = false;
        Ok(())
    }

    /// Lets go of all that a caller holds, who is gone.
    pub fn forget(&mut self, gone: Owner) {
        self.cursors.forget(gone);
        self.snapshots.forget(gone);
    }

    fn forget_readers(&mut self) {
        self.cursors.clear();
        self.snapshots.clear();
    }

    fn db(&self) -> Result<&SlotDb<H, C>> {
        self.db.as_ref().ok_or_else(CallError::closed)
    }

    /// Whether it was not closed.
    pub fn is_open(&self) -> bool {
        self.db.is_some()
    }

    /// The value of a key in a snapshot, or (0) in the latest state.
    ///
    /// # Errors
    ///
    /// Those of [`Db::get`]; `snapshot-lost`.
    pub fn get<'k>(&self, snapshot: u64, key: impl Into<Key<'k>>) -> Result<Option<Vec<u8>>> {
        let mut value = Vec::new();
        Ok(self.get_into(snapshot, key, &mut value)?.then_some(value))
    }

    /// As [`Core::get`], the value appended to `value`. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// As [`Core::get`].
    pub fn get_into<'k>(&self, snapshot: u64, key: impl Into<Key<'k>>, value: &mut Vec<u8>) -> Result<bool> {
        let db = self.db()?;
        Ok(match self.state(snapshot)? {
            None => db.get_into(key, value)?,
            Some(state) => db.get_at_into(state, key, value)?,
        })
    }

    /// The value of a key in the latest state, and the sequence number of the write that made it.
    ///
    /// # Errors
    ///
    /// Those of [`Db::get_with_sequence`].
    pub fn get_with_sequence<'k>(&self, key: impl Into<Key<'k>>) -> Result<Option<(Vec<u8>, u64)>> {
        Ok(self.db()?.get_with_sequence(key)?)
    }

    /// The buckets of a snapshot, or (0) of the latest state, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// Those of [`Db::buckets_at`]; `snapshot-lost`.
    pub fn buckets(&self, snapshot: u64) -> Result<Vec<(Bucket, String)>> {
        let db = self.db()?;
        let owned = |(bucket, name): (Bucket, &str)| (bucket, name.to_owned());
        Ok(match self.state(snapshot)? {
            None => db.buckets().buckets()?.map(owned).collect(),
            Some(state) => db.buckets_at(state)?.buckets()?.map(owned).collect(),
        })
    }

    fn state(&self, snapshot: u64) -> Result<Option<&Snapshot>> {
        if snapshot == 0 {
            return Ok(None);
        }
        self.snapshots.get(snapshot).map(Some).ok_or_else(|| {
            CallError::new(
                "snapshot-lost",
                "the snapshot was released, or lost with the state that it was of",
            )
        })
    }

    /// Begins a scan. Appends its first page to `page`, and returns its cursor; 0 where that is all.
    ///
    /// # Errors
    ///
    /// Those of [`Db::scan`]; `snapshot-lost`.
    pub fn scan(
        &mut self,
        snapshot: u64,
        range: KeyRange,
        options: ScanOptions,
        page: &mut Vec<u8>,
    ) -> Result<u64> {
        let db = self.db()?;
        let mut cursor = match self.state(snapshot)? {
            None => db.scan(range, options)?,
            Some(state) => db.scan_at(state, range, options)?,
        };
        if !fill_page(&mut cursor, page)? {
            return Ok(0);
        }
        let id = self.new_id()?;
        self.cursors.insert(id, self.owner, cursor);
        Ok(id)
    }

    /// Goes on with a scan, as [`Core::scan`].
    ///
    /// # Errors
    ///
    /// Those of [`Cursor::next`]; `snapshot-lost`.
    pub fn page(&mut self, cursor: u64, page: &mut Vec<u8>) -> Result<u64> {
        self.db()?;
        let Some(found) = self.cursors.get_mut(cursor) else {
            return Err(CallError::new("snapshot-lost", "the scan's state was lost: begin it anew"));
        };
        let filled = fill_page(found, page);
        if filled != Ok(true) {
            self.cursors.remove(cursor);
        }
        Ok(if filled? { cursor } else { 0 })
    }

    /// Ends a scan.
    pub fn close_cursor(&mut self, cursor: u64) {
        self.cursors.remove(cursor);
    }

    /// Pins the latest state.
    ///
    /// # Errors
    ///
    /// `closed`.
    pub fn snapshot(&mut self) -> Result<u64> {
        let state = self.db()?.snapshot();
        let id = self.new_id()?;
        self.snapshots.insert(id, self.owner, state);
        Ok(id)
    }

    /// Lets go of a pinned state.
    pub fn release(&mut self, snapshot: u64) {
        self.snapshots.remove(snapshot);
    }

    /// A name for a snapshot or scan that no other has, not even one of a tab that had the store before.
    fn new_id(&mut self) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        Ok(self.db()?.recovery_report().epoch * IDS_PER_EPOCH + id % IDS_PER_EPOCH)
    }

    /// Does a slice of maintenance. Returns whether more is left.
    pub fn maintain(&mut self, budget_bytes: u64) -> bool {
        self.slice(|db| db.maintain(budget_bytes).map(|progress| progress.more)).unwrap_or(false)
    }

    /// Nothing was written for a while: seals a memtable that is worth it, so that the next open is quick and deletes
    /// reach the tables, and has level 0 merged where that costs little. Returns whether there is something to maintain.
    pub fn rest(&mut self) -> bool {
        self.slice(|db| db.rest(REST_BYTES)).unwrap_or(false)
    }

    /// Merges everything, in slices: call it until it returns false.
    ///
    /// # Errors
    ///
    /// Those of [`Db::compact`].
    pub fn compact(&mut self, budget_bytes: u64) -> Result<bool> {
        if self.failed {
            self.reopen()?;
        }
        self.slice(|db| db.compact(budget_bytes).map(|progress| progress.more))
    }

    /// Times a slice.
    fn slice(&mut self, work: impl FnOnce(&mut SlotDb<H, C>) -> esker_engine::Result<bool>) -> Result<bool> {
        let Some(db) = &mut self.db else { return Err(CallError::closed()) };
        if self.failed || self.fs.check_free(SLOTS_MIN).is_err() {
            return Ok(false);
        }
        let start = self.clock.now_micros();
        let more = work(db);
        let micros = self.clock.now_micros().saturating_sub(start);
        self.pauses.count += 1;
        self.pauses.micros += micros;
        self.pauses.micros_max = self.pauses.micros_max.max(micros);
        Ok(more?)
    }

    /// Figures, as JSON.
    ///
    /// # Errors
    ///
    /// `closed`.
    pub fn stats(&self) -> Result<String> {
        let pool = self.fs.stats();
        let pool = Json::object()
            .member("slots", pool.slots)
            .member("slots_max", crate::pool::SLOTS_MAX as u64)
            .member("free", pool.free)
            .member("damaged", pool.damaged)
            .member("bytes", pool.bytes);
        let pauses = Json::object()
            .member("count", self.pauses.count)
            .member("micros", self.pauses.micros)
            .member("micros_max", self.pauses.micros_max);
        let own = Json::object().member("pool", pool).member("pauses", pauses).finish();
        Ok(joined(self.db()?.stats().to_json(), &own))
    }

    /// What recovery found, as JSON.
    ///
    /// # Errors
    ///
    /// `closed`.
    pub fn report(&self) -> Result<String> {
        let slots = self.fs.damaged().iter().fold(Json::array(), |list, (slot, reason)| {
            list.element(Json::object().member("slot", slot.as_str()).member("reason", reason.as_str()))
        });
        let own = Json::object().member("damaged_slots", slots).finish();
        Ok(joined(&self.db()?.recovery_report().to_json(), &own))
    }

    /// Checks everything; what was found is JSON.
    ///
    /// # Errors
    ///
    /// Those of [`Db::verify`].
    pub fn verify(&self) -> Result<String> {
        let Verification { files, bytes, entries, problems } = self.db()?.verify()?;
        let problems = problems.iter().fold(Json::array(), |list, problem| list.element(problem.as_str()));
        let found = Json::object().member("files", files).member("bytes", bytes).member("entries", entries);
        Ok(found.member("problems", problems).finish())
    }

    /// Makes everything durable and lets go of the engine.
    ///
    /// # Errors
    ///
    /// Those of [`Db::close`]. It is closed all the same.
    pub fn close(&mut self) -> Result<()> {
        self.forget_readers();
        match self.db.take() {
            Some(mut db) if !self.failed => Ok(db.close()?),
            _ => Ok(()),
        }
    }

    /// Closes the store and removes all of it, at once.
    ///
    /// # Errors
    ///
    /// Those of the slots.
    pub fn destroy(&mut self) -> Result<()> {
        self.forget_readers();
        self.db = None;
        self.fs.discard_import()?;
        // An import of nothing: all files go, or none.
        Ok(self.fs.commit_import()?)
    }

    /// Begins to export the state of this moment. What is written meanwhile is not in it.
    ///
    /// # Errors
    ///
    /// Those of [`Db::sync`].
    pub fn export(&mut self) -> Result<Export<H>> {
        self.sync()?;
        let names = self.fs.list()?;
        let open = |name: String| {
            let file = self.fs.open(&name)?;
            Ok(ExportFile { size: file.len()?, file, name })
        };
        Ok(Export {
            files: names.into_iter().rev().map(open).collect::<Result<_>>()?,
            at: None,
            ended: false,
        })
    }

    /// Begins an import; [`Core::finish_import`] makes it hold.
    ///
    /// # Errors
    ///
    /// Those of the slots.
    pub fn import(&self) -> Result<Import<H>> {
        self.db()?;
        self.fs.discard_import()?;
        Ok(Import {
            staged: self.fs.staged(),
            splitter: Splitter::default(),
            file: None,
            any_manifest: false,
        })
    }

    /// Throws an import away.
    ///
    /// # Errors
    ///
    /// Those of the slots.
    pub fn discard_import(&self) -> Result<()> {
        Ok(self.fs.discard_import()?)
    }

    /// Checks that what was imported is a store, and puts it in the place of this one.
    ///
    /// # Errors
    ///
    /// `foreign-archive`, and those of [`Reader::open`]: nothing was changed then.
    pub fn finish_import(&mut self, mut import: Import<H>) -> Result<()> {
        let checked =
            import.close().and_then(|()| Reader::open(import.staged, &self.options).map_err(CallError::from));
        if let Err(error) = checked.map(drop) {
            self.fs.discard_import()?;
            return Err(error);
        }
        self.forget_readers();
        self.db = None;
        self.fs.commit_import()?;
        self.db = Some(Db::open(self.fs.clone(), self.clock.clone(), self.options.clone())?);
        self.failed = false;
        Ok(())
    }
}

impl Waiting {
    fn add(&mut self, durability: Durability, answer: usize) {
        self.deferred = durability == Durability::Deferred && (self.answers.is_empty() || self.deferred);
        self.answers.push(answer);
        self.add_sync(durability, answer);
    }

    fn add_sync(&mut self, durability: Durability, answer: usize) {
        if durability == Durability::Synced {
            self.synced.push(answer);
        }
    }

    fn append(&mut self, batch: Batch) {
        if self.batch.is_empty() {
            self.batch = batch;
            return;
        }
        self.batch.append(&batch);
    }
}

/// How far a write goes before the sync at the end, which it may share.
fn at_once(durability: Durability) -> Durability {
    if durability == Durability::Synced { Durability::Buffered } else { durability }
}

fn fail(answers: &mut [Answer], which: &[usize], error: &CallError) {
    for &at in which {
        answers[at] = Answer::Failed(error.clone());
    }
}

/// Two JSON objects as one.
fn joined(first: &str, second: &str) -> String {
    let first = first.strip_suffix('}').unwrap_or(first);
    let second = second.strip_prefix('{').unwrap_or(second);
    format!("{first},{second}")
}

/// Appends the next page of a scan to `page`, which is empty. Returns whether there may be another.
fn fill_page<F: Fs>(cursor: &mut Cursor<F>, page: &mut Vec<u8>) -> Result<bool> {
    let keys_only = cursor.keys_only();
    while page.len() < PAGE_BYTES {
        let Some((key, value)) = cursor.next()? else { return Ok(false) };
        put_bytes(page, key);
        if !keys_only {
            put_bytes(page, value);
        }
    }
    Ok(true)
}

/// A store on its way into an archive.
#[derive(Debug)]
pub struct Export<H: Handle> {
    /// Those that are still to come, the next one last.
    files: Vec<ExportFile<H>>,
    /// How far the next one has come; `None` before its header.
    at: Option<u64>,
    ended: bool,
}

#[derive(Debug)]
struct ExportFile<H: Handle> {
    name: String,
    file: SlotFile<H>,
    size: u64,
}

impl<H: Handle> Export<H> {
    /// The next bytes of the archive; `None` after its end.
    ///
    /// # Errors
    ///
    /// `io`.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(ExportFile { name, file, size }) = self.files.last() else {
            let end = (!self.ended).then(|| archive::END.to_vec());
            self.ended = true;
            return Ok(end);
        };
        let Some(at) = self.at else {
            self.at = Some(0);
            let header = archive::header(name, *size).ok_or_else(|| {
                CallError::new("io", format!("{name} has {size} bytes, too many for an archive"))
            })?;
            return Ok(Some(header.to_vec()));
        };
        let count = usize::try_from(*size - at).unwrap_or(usize::MAX).min(EXPORT_BYTES);
        let mut piece = vec![0; count];
        let read = file.read_at(at, &mut piece)?;
        if read != count {
            return Err(CallError::new("io", format!("{name} gave {read} of {count} bytes at {at}")));
        }
        let at = at + count as u64;
        if at < *size {
            self.at = Some(at);
        } else {
            piece.resize(count + archive::padding(*size), 0);
            self.at = None;
            self.files.pop();
        }
        Ok(Some(piece))
    }
}

/// An archive on its way into the slots.
#[derive(Debug)]
pub struct Import<H: Handle> {
    staged: SlotFs<H>,
    splitter: Splitter,
    file: Option<SlotFile<H>>,
    any_manifest: bool,
}

impl<H: Handle> Import<H> {
    /// Takes more bytes of the archive. Returns false where slots must be added first; call it again then, with none.
    ///
    /// # Errors
    ///
    /// `foreign-archive`, and those of the slots.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool> {
        self.splitter.push(bytes);
        loop {
            match self.staged.check_free(SLOTS_MIN) {
                Err(error) if *error.kind() == ErrorKind::Busy => return Ok(false),
                checked => checked?,
            }
            match self.splitter.piece().map_err(|why| CallError::foreign_archive(&why))? {
                Piece::File(name) => {
                    self.end_file()?;
                    self.any_manifest |= name.ends_with(".manifest");
                    let created = self.staged.create(&name);
                    self.file = Some(created.map_err(|error| match error.kind() {
                        ErrorKind::AlreadyExists => {
                            CallError::foreign_archive(&format!("{name} is in it twice"))
                        }
                        _ => error.into(),
                    })?);
                }
                Piece::Bytes(count) => {
                    let bytes = self.splitter.take(count);
                    if let Some(file) = &mut self.file {
                        file.append(bytes)?;
                    }
                }
                Piece::More | Piece::End => return Ok(true),
            }
        }
    }

    fn end_file(&mut self) -> Result<()> {
        match self.file.take() {
            Some(mut file) => Ok(file.sync()?),
            None => Ok(()),
        }
    }

    fn close(&mut self) -> Result<()> {
        self.end_file()?;
        if !self.splitter.is_whole() {
            return Err(CallError::foreign_archive("it is cut short"));
        }
        if !self.any_manifest {
            return Err(CallError::foreign_archive("it has no manifest"));
        }
        Ok(self.staged.sync_dir()?)
    }
}

#[cfg(test)]
mod tests;
