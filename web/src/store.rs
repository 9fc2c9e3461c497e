//! What JavaScript sees of the module: a class per thing that is open. Conversions only; errors are thrown as objects
//! with `code`, which `js/` turns into an `EskerError`.
//!
//! The calls of which a program makes many a second carry over numbers alone. Their arguments are what JavaScript has
//! written to the inbox, and their answers are in the outbox, both in the module's memory (`js/exchange.js`); where one
//! fails, its error waits to be asked for.

use crate::call_error::CallError;
use crate::clock::BrowserClock;
use crate::core::{self, Core, Owner};
use crate::opfs_fs::{self, Folder, OpfsHandle};
use crate::{frame, options, panic_message};
use esker_engine::{Batch, Bucket, Durability};
use js_sys::{Reflect, Uint8Array};
use std::cell::{Cell, RefCell};
use wasm_bindgen::prelude::*;

type Result<T> = std::result::Result<T, JsValue>;

/// The size of the inbox: the longest keys fit, two of them, and most values.
const INBOX_BYTES: usize = 256 << 10;
/// An outbox that has grown beyond this is given back.
const OUTBOX_BYTES_MAX: usize = 1 << 20;
/// Where an answer is the length of something: that there is none.
const ABSENT: f64 = -1.0;
/// ... and that the call has failed.
const FAILED: f64 = -2.0;
/// ... and what is added to the length of a page after which there may be another.
const MORE: f64 = 4_294_967_296.0;

/// A store, opened in this worker.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Store {
    folder: Folder,
    core: RefCell<Core<OpfsHandle, BrowserClock>>,
    inbox: Vec<u8>,
    outbox: RefCell<Vec<u8>>,
    /// The cursor of the page in the outbox.
    cursor: Cell<u64>,
    failure: RefCell<Option<CallError>>,
}

#[wasm_bindgen]
impl Store {
    /// Opens the store `name`.
    ///
    /// # Errors
    ///
    /// Those of `Esker.open`.
    pub async fn open(name: String, options: JsValue) -> Result<Store> {
        panic_message::install();
        let options = options::read(&options).map_err(thrown)?;
        let folder = Folder::open(&name, options.create_if_missing).await.map_err(thrown)?;
        match Core::open(folder.fs().clone(), BrowserClock, options) {
            Ok(core) => Ok(Self {
                folder,
                core: RefCell::new(core),
                inbox: vec![0; INBOX_BYTES],
                outbox: RefCell::default(),
                cursor: Cell::default(),
                failure: RefCell::default(),
            }),
            Err(mut error) => {
                if let [(slot, reason), ..] = &folder.fs().damaged()[..] {
                    error.message = format!("{} ({slot} is damaged: {reason})", error.message);
                }
                folder.close();
                Err(thrown(error))
            }
        }
    }

    /// Carries out frames of calls, each of the tab with the number beside it; returns the frames of their answers.
    pub fn execute(&self, frames: Vec<Uint8Array>, owners: Vec<Owner>) -> Vec<Uint8Array> {
        let frames: Vec<(Owner, Vec<u8>)> =
            owners.into_iter().zip(frames.iter().map(Uint8Array::to_vec)).collect();
        let answers = self.core.borrow_mut().execute(&frames);
        answers.iter().map(|answer| Uint8Array::from(&answer[..])).collect()
    }

    /// Lets go of the snapshots and scans of a tab that is gone.
    pub fn forget(&self, owner: Owner) {
        self.core.borrow_mut().forget(owner);
    }

    /// Where the inbox is.
    pub fn inbox(&self) -> *const u8 {
        self.inbox.as_ptr()
    }

    /// The size of the inbox.
    #[wasm_bindgen(js_name = inboxBytes)]
    pub fn inbox_bytes(&self) -> usize {
        self.inbox.len()
    }

    /// Where the outbox is. It may move when it grows.
    pub fn outbox(&self) -> *const u8 {
        self.outbox.borrow().as_ptr()
    }

    /// Up to which length answers are found there. One that is longer is where [`Store::outbox`] says after its call.
    #[wasm_bindgen(js_name = outboxBytes)]
    pub fn outbox_bytes(&self) -> usize {
        Some(self.outbox.borrow().capacity()).filter(|&bytes| bytes <= OUTBOX_BYTES_MAX).unwrap_or(0)
    }

    /// Why the last call has failed that said so.
    pub fn failure(&self) -> JsValue {
        self.failure.take().map_or(JsValue::UNDEFINED, thrown)
    }

    /// Carries out a call whose answer goes to the outbox, and is told as a number.
    fn answer(&self, call: impl FnOnce(&mut Vec<u8>) -> std::result::Result<f64, CallError>) -> f64 {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.capacity() > OUTBOX_BYTES_MAX {
            *outbox = Vec::new();
        }
        outbox.clear();
        call(&mut outbox).unwrap_or_else(|error| {
            self.failure.replace(Some(error));
            FAILED
        })
    }

    /// The first bytes of the inbox, and those after them.
    fn arguments(&self, first: usize, second: usize) -> (&[u8], &[u8]) {
        let (first, rest) = self.inbox.split_at(first);
        (first, &rest[..second])
    }

    /// Sets a key, which comes first in the inbox, to the value after it. `durability`: 0 deferred, 1 buffered, 2
    /// synced. Answers 0.
    pub fn put(&self, bucket: u32, key_bytes: usize, value_bytes: usize, durability: u8) -> f64 {
        let (key, value) = self.arguments(key_bytes, value_bytes);
        let key = (Bucket::new(bucket), key);
        self.answer(|_| self.core.borrow_mut().put(key, value, level(durability)).map(|()| 0.0))
    }

    /// Removes a key. Answers 0.
    pub fn delete(&self, bucket: u32, key_bytes: usize, durability: u8) -> f64 {
        let key = (Bucket::new(bucket), self.arguments(key_bytes, 0).0);
        self.answer(|_| self.core.borrow_mut().delete(key, level(durability)).map(|()| 0.0))
    }

    /// A value of a snapshot, or of the latest state (0). Answers its length.
    pub fn get(&self, snapshot: f64, bucket: u32, key_bytes: usize) -> f64 {
        let key = (Bucket::new(bucket), self.arguments(key_bytes, 0).0);
        self.answer(|value| {
            let found = self.core.borrow().get_into(snapshot as u64, key, value)?;
            Ok(if found { value.len() as f64 } else { ABSENT })
        })
    }

    /// Begins a scan of a snapshot, or of the latest state (0): `flags` as in a frame, and the bounds that they tell of
    /// in the inbox. A `limit` below 0 is none. Answers the length of the first page.
    pub fn scan(
        &self,
        snapshot: f64,
        bucket: u32,
        flags: u8,
        limit: f64,
        first_bytes: usize,
        second_bytes: usize,
    ) -> f64 {
        let (first, second) = self.arguments(first_bytes, second_bytes);
        let limit = (limit >= 0.0).then_some(limit as u64);
        let (range, options) = frame::scan(Bucket::new(bucket), flags, limit, first, second);
        self.next_page(|core, page| core.scan(snapshot as u64, range, options, page))
    }

    /// Goes on with a scan. Answers the length of the next page.
    pub fn page(&self, cursor: f64) -> f64 {
        self.next_page(|core, page| core.page(cursor as u64, page))
    }

    fn next_page(
        &self,
        read: impl FnOnce(
            &mut Core<OpfsHandle, BrowserClock>,
            &mut Vec<u8>,
        ) -> std::result::Result<u64, CallError>,
    ) -> f64 {
        self.answer(|page| {
            let cursor = read(&mut self.core.borrow_mut(), page)?;
            self.cursor.set(cursor);
            Ok(page.len() as f64 + if cursor == 0 { 0.0 } else { MORE })
        })
    }

    /// The cursor that goes on after the last page.
    pub fn cursor(&self) -> f64 {
        self.cursor.get() as f64
    }

    /// Applies a packed batch.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub fn write(&self, packed: Vec<u8>, durability: u8) -> Result<()> {
        let batch = Batch::from_packed(packed).map_err(|error| thrown(error.into()))?;
        self.core.borrow_mut().write(&batch, level(durability)).map_err(thrown)
    }

    /// Makes everything durable.
    ///
    /// # Errors
    ///
    /// Those of `sync`.
    pub fn sync(&self) -> Result<()> {
        self.core.borrow_mut().sync().map_err(thrown)
    }

    /// Ends a scan.
    #[wasm_bindgen(js_name = closeCursor)]
    pub fn close_cursor(&self, cursor: f64) {
        self.core.borrow_mut().close_cursor(cursor as u64);
    }

    /// Pins the latest state.
    ///
    /// # Errors
    ///
    /// `closed`.
    pub fn snapshot(&self) -> Result<f64> {
        self.core.borrow_mut().snapshot().map(|id| id as f64).map_err(thrown)
    }

    /// Lets go of a pinned state.
    pub fn release(&self, snapshot: f64) {
        self.core.borrow_mut().release(snapshot as u64);
    }

    /// Figures, as JSON.
    ///
    /// # Errors
    ///
    /// `closed`.
    pub fn stats(&self) -> Result<String> {
        self.core.borrow().stats().map_err(thrown)
    }

    /// What recovery found, as JSON.
    ///
    /// # Errors
    ///
    /// `closed`.
    pub fn report(&self) -> Result<String> {
        self.core.borrow().report().map_err(thrown)
    }

    /// Checks everything; what was found is JSON.
    ///
    /// # Errors
    ///
    /// Those of `verify`.
    pub fn verify(&self) -> Result<String> {
        self.core.borrow().verify().map_err(thrown)
    }

    /// Does a slice of maintenance. Returns whether more is left.
    pub fn maintain(&self, budget_bytes: f64) -> bool {
        self.core.borrow_mut().maintain(budget_bytes as u64)
    }

    /// Nothing was written for a while. Returns whether there is something to maintain.
    pub fn rest(&self) -> bool {
        self.core.borrow_mut().rest()
    }

    /// Does a slice of a merge of everything. Returns whether more is left.
    ///
    /// # Errors
    ///
    /// Those of `compact`.
    pub fn compact(&self, budget_bytes: f64) -> Result<bool> {
        self.core.borrow_mut().compact(budget_bytes as u64).map_err(thrown)
    }

    /// Whether slots are so few that [`Store::tend`] should run before the next write.
    #[wasm_bindgen(js_name = wantsSlots)]
    pub fn wants_slots(&self) -> bool {
        self.folder.wants_slots()
    }

    /// Makes sure that some slots are free.
    ///
    /// # Errors
    ///
    /// `no-space`, `io`.
    pub async fn tend(&self) -> Result<()> {
        self.folder.tend().await.map_err(thrown)
    }

    /// Begins to export the state of this moment.
    ///
    /// # Errors
    ///
    /// Those of `sync`.
    pub fn export(&self) -> Result<Export> {
        self.core.borrow_mut().export().map(Export).map_err(thrown)
    }

    /// Begins an import.
    ///
    /// # Errors
    ///
    /// `closed`, `io`.
    pub fn import(&self) -> Result<Import> {
        self.core.borrow().import().map(Import).map_err(thrown)
    }

    /// Makes an import hold.
    ///
    /// # Errors
    ///
    /// Those of `importArchive`.
    #[wasm_bindgen(js_name = finishImport)]
    pub fn finish_import(&self, import: Import) -> Result<()> {
        self.core.borrow_mut().finish_import(import.0).map_err(thrown)
    }

    /// Throws an import away.
    ///
    /// # Errors
    ///
    /// `io`.
    #[wasm_bindgen(js_name = discardImport)]
    pub fn discard_import(&self) -> Result<()> {
        self.core.borrow().discard_import().map_err(thrown)
    }

    /// Makes everything durable and closes the slots.
    ///
    /// # Errors
    ///
    /// Those of `close`. The slots are closed all the same.
    pub fn close(&self) -> Result<()> {
        let closed = self.core.borrow_mut().close();
        self.folder.close();
        closed.map_err(thrown)
    }

    /// Removes all of the store's files, at once, and closes the slots; [`destroy`] removes these.
    ///
    /// # Errors
    ///
    /// `io`, `no-space`.
    pub fn clear(&self) -> Result<()> {
        let cleared = self.core.borrow_mut().destroy();
        self.folder.close();
        cleared.map_err(thrown)
    }
}

/// A store on its way into an archive.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Export(core::Export<OpfsHandle>);

#[wasm_bindgen]
impl Export {
    /// The next bytes; `undefined` after the end.
    ///
    /// # Errors
    ///
    /// `io`.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>> {
        self.0.next_piece().map_err(thrown)
    }
}

/// An archive on its way into the slots.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Import(core::Import<OpfsHandle>);

#[wasm_bindgen]
impl Import {
    /// Takes more bytes. Returns false where slots must be added first; call it again then, with none.
    ///
    /// # Errors
    ///
    /// `foreign-archive`, `no-space`, `io`.
    pub fn push(&mut self, bytes: &[u8]) -> Result<bool> {
        self.0.push(bytes).map_err(thrown)
    }
}

/// The names of this origin's stores.
///
/// # Errors
///
/// `unsupported`, `io`.
#[wasm_bindgen(js_name = listStores)]
pub async fn list_stores() -> Result<Vec<String>> {
    panic_message::install();
    opfs_fs::list().await.map_err(thrown)
}

/// Removes the store `name`, which nobody has open.
///
/// # Errors
///
/// `unsupported`, `io`.
pub async fn destroy(name: String) -> Result<()> {
    panic_message::install();
    match Folder::open(&name, false).await {
        // All files go at once, so that a crash on the way leaves an empty store and not half of one.
        Ok(folder) => {
            let emptied = folder.fs().discard_import().and_then(|()| folder.fs().commit_import());
            folder.close();
            emptied.map_err(|error| thrown(error.into()))?;
        }
        Err(error) if error.code == "cannot-open" => {}
        Err(error) => return Err(thrown(error)),
    }
    opfs_fs::remove(&name).await.map_err(thrown)
}

/// Removes the store `name`, which nobody has open; no error if there is none.
///
/// # Errors
///
/// `unsupported`, `io`.
#[wasm_bindgen(js_name = destroyStore)]
pub async fn destroy_store(name: String) -> Result<()> {
    destroy(name).await
}

fn level(durability: u8) -> Durability {
    match durability {
        0 => Durability::Deferred,
        1 => Durability::Buffered,
        _ => Durability::Synced,
    }
}

/// The error as JavaScript throws it.
fn thrown(error: CallError) -> JsValue {
    let thrown = js_sys::Error::new(&error.message);
    let set = |name: &str, value: JsValue| {
        let _plain_object = Reflect::set(&thrown, &name.into(), &value);
    };
    set("code", error.code.into());
    if let Some((file, offset)) = error.place {
        set("file", file.into());
        set("offset", (offset as f64).into());
    }
    thrown.into()
}
