//! The interface `kv-store`: the resources `store`, `cursor` and `snapshot` over one [`Db`], and `reader`, which
//! needs none.
//!
//! A component is entered by one call at a time and the engine calls nothing back, so no two borrows of a
//! `RefCell` here ever meet.

use crate::bindings::exports::esker::kv::kv_store as wit;
use crate::bindings::exports::esker::kv::kv_store::{
    Bucket, BucketInfo, Entry, Error, GuestCursor, GuestReader, GuestSnapshot, GuestStore,
};
use crate::wasi_clock::WasiClock;
use crate::wasi_fs::WasiFs;
use crate::{Component, convert, directory, panic_message};
use esker_engine::base::coding::put_bytes;
use esker_engine::{
    Batch, Bucket as EngineBucket, Catalogue, Cursor as EngineCursor, Db, KeyRange, Reader as EngineReader,
    ScanOptions, Snapshot as EngineSnapshot,
};
use std::cell::{Ref, RefCell, RefMut};
use std::rc::{Rc, Weak};

/// The bytes that one answer carries at most, beside its last entry. wasmtime lifts at most 128 MiB in a call, and
/// what is in flight here is not part of the memory that the engine plans with.
const ANSWER_BYTES_MAX: usize = 32 << 20;

type WasiDb = Db<WasiFs, WasiClock>;

impl wit::Guest for Component {
    type Store = Store;
    type Cursor = Cursor;
    type Snapshot = Snapshot;
    type Reader = Reader;

    fn open(path: String, options: wit::Options) -> Result<wit::Store, Error> {
        panic_message::install();
        Store::open(&path, convert::options(options)).map(wit::Store::new).map_err(convert::error)
    }

    fn open_reader(path: String, cache_bytes: Option<u64>) -> Result<wit::Reader, Error> {
        panic_message::install();
        Reader::open(&path, cache_bytes).map(wit::Reader::new).map_err(convert::error)
    }
}

/// An open store.
pub struct Store {
    db: Rc<RefCell<WasiDb>>,
    fs: WasiFs,
}

impl Store {
    fn open(path: &str, options: esker_engine::Options) -> esker_engine::Result<Self> {
        let fs = WasiFs::new(directory::open(path, options.create_if_missing)?);
        let db = Db::open(fs.clone(), WasiClock, options)?;
        Ok(Self { db: Rc::new(RefCell::new(db)), fs })
    }

    fn write_batch_if(
        &self,
        batch: &Batch,
        conditions: &[wit::Condition],
        durability: wit::Durability,
    ) -> Result<u64, Error> {
        let conditions: Vec<_> = conditions.iter().map(convert::condition).collect();
        let durability = convert::durability(durability);
        convert::conditional(self.write_access().write_if(batch, &conditions, durability))
    }

    /// The engine, to read.
    pub fn read_access(&self) -> Ref<'_, WasiDb> {
        self.db.borrow()
    }

    /// The engine, to change.
    pub fn write_access(&self) -> RefMut<'_, WasiDb> {
        self.db.borrow_mut()
    }
}

impl GuestStore for Store {
    fn get(&self, bucket: Bucket, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        self.read_access().get(convert::in_bucket(bucket, &key)).map_err(convert::error)
    }

    fn get_with_sequence(&self, bucket: Bucket, key: Vec<u8>) -> Result<Option<wit::Versioned>, Error> {
        let found = self.read_access().get_with_sequence(convert::in_bucket(bucket, &key));
        found.map(convert::versioned).map_err(convert::error)
    }

    fn get_many(&self, bucket: Bucket, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        values(self.read_access().get_many(EngineBucket::new(bucket), &keys))
    }

    fn contains(&self, bucket: Bucket, key: Vec<u8>) -> Result<bool, Error> {
        self.read_access().contains(convert::in_bucket(bucket, &key)).map_err(convert::error)
    }

    fn put(
        &self,
        bucket: Bucket,
        key: Vec<u8>,
        value: Vec<u8>,
        durability: wit::Durability,
    ) -> Result<u64, Error> {
        let key = convert::in_bucket(bucket, &key);
        self.write_access().put(key, &value, convert::durability(durability)).map_err(convert::error)
    }

    fn delete(&self, bucket: Bucket, key: Vec<u8>, durability: wit::Durability) -> Result<u64, Error> {
        let key = convert::in_bucket(bucket, &key);
        self.write_access().delete(key, convert::durability(durability)).map_err(convert::error)
    }

    fn write(&self, operations: Vec<wit::Operation>, durability: wit::Durability) -> Result<u64, Error> {
        let batch = convert::batch(operations);
        self.write_access().write(&batch, convert::durability(durability)).map_err(convert::error)
    }

    fn write_packed(&self, operations: Vec<u8>, durability: wit::Durability) -> Result<u64, Error> {
        let batch = Batch::from_packed(operations).map_err(convert::error)?;
        self.write_access().write(&batch, convert::durability(durability)).map_err(convert::error)
    }

    fn write_if(
        &self,
        operations: Vec<wit::Operation>,
        conditions: Vec<wit::Condition>,
        durability: wit::Durability,
    ) -> Result<u64, Error> {
        self.write_batch_if(&convert::batch(operations), &conditions, durability)
    }

    fn write_packed_if(
        &self,
        operations: Vec<u8>,
        conditions: Vec<wit::Condition>,
        durability: wit::Durability,
    ) -> Result<u64, Error> {
        self.write_batch_if(&Batch::from_packed(operations).map_err(convert::error)?, &conditions, durability)
    }

    fn increment(
        &self,
        bucket: Bucket,
        key: Vec<u8>,
        delta: i64,
        durability: wit::Durability,
    ) -> Result<(i64, u64), Error> {
        let key = convert::in_bucket(bucket, &key);
        self.write_access().increment(key, delta, convert::durability(durability)).map_err(convert::error)
    }

    fn drop_bucket(&self, name: String) -> Result<bool, Error> {
        self.write_access().drop_bucket(&name).map_err(convert::error)
    }

    fn create_bucket(&self, name: String) -> Result<Bucket, Error> {
        self.write_access().create_bucket(&name).map(EngineBucket::number).map_err(convert::error)
    }

    fn bucket(&self, name: String) -> Result<Option<Bucket>, Error> {
        convert::bucket(self.read_access().buckets(), &name)
    }

    fn buckets(&self) -> Result<Vec<BucketInfo>, Error> {
        convert::buckets(self.read_access().buckets())
    }

    fn scan(
        &self,
        bucket: Bucket,
        range: wit::KeyRange,
        options: wit::ScanOptions,
    ) -> Result<wit::Cursor, Error> {
        let options = convert::scan_options(bucket, options);
        let cursor = self.read_access().scan(convert::key_range(range), options);
        cursor.map(Cursor::resource).map_err(convert::error)
    }

    fn read_key_range(
        &self,
        bucket: Bucket,
        start: Vec<u8>,
        end: Vec<u8>,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        let (range, options) = first_of_range(bucket, start, end, limit);
        entries(self.read_access().scan(range, options))
    }

    fn snapshot(&self) -> Result<wit::Snapshot, Error> {
        let state = self.read_access().snapshot();
        Ok(wit::Snapshot::new(Snapshot { db: Rc::downgrade(&self.db), state }))
    }

    fn sync(&self) -> Result<(), Error> {
        self.write_access().sync().map_err(convert::error)
    }

    fn flush_deferred(&self) -> Result<(), Error> {
        self.write_access().flush_deferred().map_err(convert::error)
    }

    fn stats(&self) -> Result<String, Error> {
        let stats = self.read_access().stats();
        Ok(with_directory_sync(stats.to_json(), self.fs.directory_sync()))
    }

    fn close(&self) -> Result<(), Error> {
        self.write_access().close().map_err(convert::error)
    }
}

/// A position in a scan.
pub struct Cursor {
    engine: RefCell<EngineCursor<WasiFs>>,
    keys_only: bool,
}

impl Cursor {
    fn resource(cursor: EngineCursor<WasiFs>) -> wit::Cursor {
        wit::Cursor::new(Self { keys_only: cursor.keys_only(), engine: RefCell::new(cursor) })
    }

    /// Feeds the entries of one page to `take`.
    fn page(&self, max_items: u32, max_bytes: u32, mut take: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        let mut cursor = self.engine.borrow_mut();
        let max_bytes = (max_bytes as usize).min(ANSWER_BYTES_MAX);
        let mut bytes = 0;
        for _ in 0..max_items {
            let Some((key, value)) = cursor.next().map_err(convert::error)? else { break };
            take(key, value);
            bytes += key.len() + value.len();
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(())
    }
}

impl GuestCursor for Cursor {
    fn next(&self, max_items: u32, max_bytes: u32) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        self.page(max_items, max_bytes, |key, value| {
            entries.push(Entry { key: key.to_vec(), value: value.to_vec() });
        })?;
        Ok(entries)
    }

    fn next_packed(&self, max_items: u32, max_bytes: u32) -> Result<Vec<u8>, Error> {
        let mut packed = Vec::new();
        self.page(max_items, max_bytes, |key, value| {
            put_bytes(&mut packed, key);
            if !self.keys_only {
                put_bytes(&mut packed, value);
            }
        })?;
        Ok(packed)
    }
}

/// A pinned state of a store. It does not keep the store open: a store that was dropped is closed.
pub struct Snapshot {
    db: Weak<RefCell<WasiDb>>,
    state: EngineSnapshot,
}

impl Snapshot {
    fn db(&self) -> Result<Rc<RefCell<WasiDb>>, Error> {
        self.db
            .upgrade()
            .ok_or_else(|| Error::Reopen("the snapshot's store was dropped: open it anew".into()))
    }

    fn catalogue(&self) -> Result<Catalogue, Error> {
        self.db()?.borrow().buckets_at(&self.state).map_err(convert::error)
    }
}

impl GuestSnapshot for Snapshot {
    fn sequence(&self) -> u64 {
        self.state.sequence()
    }

    fn get(&self, bucket: Bucket, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        let key = convert::in_bucket(bucket, &key);
        self.db()?.borrow().get_at(&self.state, key).map_err(convert::error)
    }

    fn bucket(&self, name: String) -> Result<Option<Bucket>, Error> {
        convert::bucket(&self.catalogue()?, &name)
    }

    fn buckets(&self) -> Result<Vec<BucketInfo>, Error> {
        convert::buckets(&self.catalogue()?)
    }

    fn scan(
        &self,
        bucket: Bucket,
        range: wit::KeyRange,
        options: wit::ScanOptions,
    ) -> Result<wit::Cursor, Error> {
        let db = self.db()?;
        let options = convert::scan_options(bucket, options);
        let cursor = db.borrow().scan_at(&self.state, convert::key_range(range), options);
        cursor.map(Cursor::resource).map_err(convert::error)
    }
}

/// A store that is followed by its files.
pub struct Reader {
    engine: RefCell<EngineReader<WasiFs>>,
}

impl Reader {
    fn open(path: &str, cache_bytes: Option<u64>) -> esker_engine::Result<Self> {
        let fs = WasiFs::new(directory::open(path, false)?);
        let options = esker_engine::Options { cache_bytes, ..Default::default() };
        Ok(Self { engine: RefCell::new(EngineReader::open(fs, &options)?) })
    }

    /// The engine's reader, to read.
    pub fn read_access(&self) -> Ref<'_, EngineReader<WasiFs>> {
        self.engine.borrow()
    }
}

impl GuestReader for Reader {
    fn catch_up(&self) -> Result<u64, Error> {
        self.engine.borrow_mut().catch_up().map_err(convert::error)
    }

    fn catch_up_to(&self, sequence: u64) -> Result<u64, Error> {
        self.engine.borrow_mut().catch_up_to(sequence).map_err(convert::error)
    }

    fn sequence(&self) -> u64 {
        self.engine.borrow().last_sequence()
    }

    fn get(&self, bucket: Bucket, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        self.read_access().get(convert::in_bucket(bucket, &key)).map_err(convert::error)
    }

    fn get_with_sequence(&self, bucket: Bucket, key: Vec<u8>) -> Result<Option<wit::Versioned>, Error> {
        let found = self.read_access().get_with_sequence(convert::in_bucket(bucket, &key));
        found.map(convert::versioned).map_err(convert::error)
    }

    fn get_many(&self, bucket: Bucket, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        values(self.read_access().get_many(EngineBucket::new(bucket), &keys))
    }

    fn contains(&self, bucket: Bucket, key: Vec<u8>) -> Result<bool, Error> {
        self.read_access().contains(convert::in_bucket(bucket, &key)).map_err(convert::error)
    }

    fn scan(
        &self,
        bucket: Bucket,
        range: wit::KeyRange,
        options: wit::ScanOptions,
    ) -> Result<wit::Cursor, Error> {
        let options = convert::scan_options(bucket, options);
        let cursor = self.read_access().scan(convert::key_range(range), options);
        cursor.map(Cursor::resource).map_err(convert::error)
    }

    fn read_key_range(
        &self,
        bucket: Bucket,
        start: Vec<u8>,
        end: Vec<u8>,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        let (range, options) = first_of_range(bucket, start, end, limit);
        entries(self.read_access().scan(range, options))
    }

    fn bucket(&self, name: String) -> Result<Option<Bucket>, Error> {
        convert::bucket(self.read_access().buckets(), &name)
    }

    fn buckets(&self) -> Result<Vec<BucketInfo>, Error> {
        convert::buckets(self.read_access().buckets())
    }

    fn stats(&self) -> Result<String, Error> {
        Ok(self.engine.borrow().stats())
    }
}

/// What `get-many` answers.
fn values(found: esker_engine::Result<Vec<Option<Vec<u8>>>>) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let values = found.map_err(convert::error)?;
    let bytes: usize = values.iter().flatten().map(Vec::len).sum();
    if bytes > ANSWER_BYTES_MAX && values.len() > 1 {
        return Err(too_much("get-many", bytes));
    }
    Ok(values)
}

/// What `read-key-range` reads.
fn first_of_range(bucket: Bucket, start: Vec<u8>, end: Vec<u8>, limit: u32) -> (KeyRange, ScanOptions) {
    let range = KeyRange { start: Some(start), end: Some(end) };
    let bucket = EngineBucket::new(bucket);
    (range, ScanOptions { bucket, limit: Some(limit.into()), ..ScanOptions::default() })
}

/// What `read-key-range` answers.
fn entries(scan: esker_engine::Result<EngineCursor<WasiFs>>) -> Result<Vec<Entry>, Error> {
    let mut cursor = scan.map_err(convert::error)?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    while let Some((key, value)) = cursor.next().map_err(convert::error)? {
        bytes += key.len() + value.len();
        if bytes > ANSWER_BYTES_MAX && !entries.is_empty() {
            return Err(too_much("read-key-range", bytes));
        }
        entries.push(Entry { key: key.to_vec(), value: value.to_vec() });
    }
    Ok(entries)
}

fn too_much(call: &str, bytes: usize) -> Error {
    Error::InvalidArgument(format!(
        "the answer to {call} has {bytes} bytes or more, and one answer carries at most {ANSWER_BYTES_MAX}: ask for \
         less at a time, or scan"
    ))
}

/// The engine's stats with one more member, which only the component knows: whether the host makes directory
/// entries durable.
fn with_directory_sync(stats: &str, directory_sync: Option<bool>) -> String {
    let told = directory_sync.map_or("null".into(), |works| works.to_string());
    let members = stats.strip_suffix('}').expect("the engine's stats are a JSON object");
    let comma = if members.ends_with('{') { "" } else { "," };
    format!("{members}{comma}\"directory_sync\":{told}}}")
}
