//! The engine's file system on the origin private file system: opens the slots of a store, and adds more.
//!
//! ```text
//! OPFS root / esker / NAME, escaped / slot-000, slot-001, ...
//! ```
//!
//! Everything that OPFS does only asynchronously stands here: finding and making folders and files, and opening them.
//! What is done with an open slot is synchronous, and `pool`'s.

use crate::call_error::{CallError, Result};
use crate::pool::{Failure, Handle, SLOTS_MAX, SlotFs};
use js_sys::{AsyncIterator, Function, IteratorNext, Promise};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    DedicatedWorkerGlobalScope, DomException, FileSystemDirectoryHandle, FileSystemFileHandle,
    FileSystemGetDirectoryOptions, FileSystemGetFileOptions, FileSystemReadWriteOptions,
    FileSystemRemoveOptions, FileSystemSyncAccessHandle,
};

/// The slots of a store as the engine's file system.
pub type OpfsFs = SlotFs<OpfsHandle>;

/// The folder of all stores.
const ROOT: &str = "esker";
/// A new store gets so many slots, and an old one has at least so many free ones after [`Folder::tend`].
const SLOTS_AT_FIRST: usize = 24;
const FREE_MIN: u64 = 12;
/// The longest name of a store, in characters.
const NAME_CHARS_MAX: usize = 100;
/// A worker that has just died holds its slots a little longer: so often, at this distance, opening tries again.
const ATTEMPTS: u32 = 150;
const ATTEMPT_MILLIS: i32 = 20;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(then: &Function, millis: i32);
}

/// The folder of a store, with its slots open. Closing them is up to [`Folder::close`], or the end of the worker.
#[derive(Debug)]
pub struct Folder {
    handle: FileSystemDirectoryHandle,
    fs: OpfsFs,
    open: RefCell<Vec<FileSystemSyncAccessHandle>>,
    /// The number in the title of the next slot.
    next_title: Cell<usize>,
    adding: Cell<bool>,
}

impl Folder {
    /// Opens the slots of the store `name`; makes the first ones if `create` says so and there are none.
    ///
    /// # Errors
    ///
    /// `unsupported` where there is no OPFS; `cannot-open` where there is no such store and none is to be made;
    /// `invalid-argument` for a name beyond its limits; `no-space`; `io`.
    pub async fn open(name: &str, create: bool) -> Result<Self> {
        let handle = folder(name, create).await?.ok_or_else(|| {
            CallError::new("cannot-open", format!("there is no store {name}, and none is to be made"))
        })?;
        let mut titles = names(&handle).await?;
        titles.retain(|title| slot_number(title).is_some());
        let next_title =
            titles.iter().filter_map(|title| slot_number(title)).max().map_or(0, |last| last + 1);
        let slots = open_slots(&handle, titles, false).await?;
        let open = slots.iter().map(|(_, handle)| handle.clone()).collect();
        let fs = OpfsFs::open(slots.into_iter().map(|(title, handle)| (title, OpfsHandle::new(handle))));
        let folder = match fs {
            Ok(fs) => Self {
                handle,
                fs,
                open: RefCell::new(open),
                next_title: Cell::new(next_title),
                adding: Cell::new(false),
            },
            Err(error) => {
                open.iter().for_each(FileSystemSyncAccessHandle::close);
                return Err(error.into());
            }
        };
        let missing = SLOTS_AT_FIRST.saturating_sub(next_title);
        match folder.add(missing).await {
            Err(error) if next_title == 0 => {
                folder.close();
                Err(error)
            }
            // A store that is there already opens though the quota is full.
            _ => Ok(folder),
        }
    }

    /// The file system in the slots.
    pub fn fs(&self) -> &OpfsFs {
        &self.fs
    }

    /// Makes sure that some slots are free and empty.
    ///
    /// # Errors
    ///
    /// `no-space`, `io`.
    pub async fn tend(&self) -> Result<()> {
        self.fs.tidy();
        let free = self.fs.stats().free;
        if free >= FREE_MIN || self.adding.get() {
            return Ok(());
        }
        self.add((FREE_MIN - free) as usize).await
    }

    /// Whether [`Folder::tend`] would add slots.
    pub fn wants_slots(&self) -> bool {
        self.fs.check_free(FREE_MIN as usize / 2).is_err()
    }

    async fn add(&self, count: usize) -> Result<()> {
        let first = self.next_title.get();
        let last = (first + count).min(SLOTS_MAX);
        if first == last {
            return Ok(());
        }
        self.next_title.set(last);
        self.adding.set(true);
        let slots = open_slots(&self.handle, (first..last).map(title).collect(), true).await;
        self.adding.set(false);
        let slots = slots.inspect_err(|_| self.next_title.set(first))?;
        for (title, handle) in slots {
            self.open.borrow_mut().push(handle.clone());
            self.fs.add(title, OpfsHandle::new(handle))?;
        }
        Ok(())
    }

    /// Closes all slots.
    pub fn close(&self) {
        self.open.borrow_mut().drain(..).for_each(|handle| handle.close());
    }
}

/// An open slot in OPFS.
pub struct OpfsHandle {
    handle: FileSystemSyncAccessHandle,
    /// Handed to every call, to say where.
    options: FileSystemReadWriteOptions,
}

impl OpfsHandle {
    fn new(handle: FileSystemSyncAccessHandle) -> Self {
        Self { handle, options: FileSystemReadWriteOptions::new() }
    }
}

impl std::fmt::Debug for OpfsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpfsHandle")
    }
}

impl Handle for OpfsHandle {
    fn size(&self) -> std::result::Result<u64, Failure> {
        self.handle.get_size().map(|size| size as u64).map_err(failure)
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> std::result::Result<usize, Failure> {
        self.options.set_at_f64(at as f64);
        let read = self.handle.read_with_u8_array_and_options(buffer, &self.options);
        read.map(|count| count as usize).map_err(failure)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> std::result::Result<usize, Failure> {
        self.options.set_at_f64(at as f64);
        let written = self.handle.write_with_u8_array_and_options(bytes, &self.options);
        written.map(|count| count as usize).map_err(failure)
    }

    fn truncate(&self, size: u64) -> std::result::Result<(), Failure> {
        self.handle.truncate_with_f64(size as f64).map_err(failure)
    }

    fn flush(&self) -> std::result::Result<(), Failure> {
        self.handle.flush().map_err(failure)
    }
}

/// The names of this origin's stores.
///
/// # Errors
///
/// `unsupported`, `io`.
pub async fn list() -> Result<Vec<String>> {
    let Some(root) = root(false).await? else { return Ok(Vec::new()) };
    let mut stores: Vec<String> = names(&root).await?.iter().filter_map(|name| unescape(name)).collect();
    stores.sort_unstable();
    Ok(stores)
}

/// Removes the folder of a store, whose slots are closed.
///
/// # Errors
///
/// `unsupported`, `io`.
pub async fn remove(name: &str) -> Result<()> {
    let Some(root) = root(false).await? else { return Ok(()) };
    let options = FileSystemRemoveOptions::new();
    options.set_recursive(true);
    let removed = JsFuture::from(root.remove_entry_with_options(&escape(name)?, &options)).await;
    match removed {
        Err(error) if !is(&error, "NotFoundError") => Err(failed("remove", name, error)),
        _ => Ok(()),
    }
}

/// The folder of all stores; `None` where there is none and none is to be made.
async fn root(create: bool) -> Result<Option<FileSystemDirectoryHandle>> {
    let unsupported = |why: String| {
        let message = format!(
            "this browser gives the page no origin private file system ({why}): it is too old, the window is a private one, or the page is not served over https"
        );
        CallError::new("unsupported", message)
    };
    let scope: DedicatedWorkerGlobalScope =
        js_sys::global().dyn_into().map_err(|_| unsupported("not in a dedicated worker".into()))?;
    let navigator = scope.navigator();
    let storage = js_sys::Reflect::get(&navigator, &"storage".into()).unwrap_or(JsValue::UNDEFINED);
    let has = |object: &JsValue, name: &str| {
        object.is_object()
            && js_sys::Reflect::get(object, &name.into()).is_ok_and(|found| found.is_function())
    };
    if !has(&storage, "getDirectory") {
        return Err(unsupported("navigator.storage.getDirectory is missing".into()));
    }
    let top = JsFuture::from(navigator.storage().get_directory()).await;
    let top: FileSystemDirectoryHandle = top.map_err(|error| unsupported(told(&error)))?.unchecked_into();
    subfolder(&top, ROOT, create).await
}

async fn folder(name: &str, create: bool) -> Result<Option<FileSystemDirectoryHandle>> {
    let escaped = escape(name)?;
    match root(create).await? {
        Some(root) => subfolder(&root, &escaped, create).await,
        None => Ok(None),
    }
}

async fn subfolder(
    parent: &FileSystemDirectoryHandle,
    name: &str,
    create: bool,
) -> Result<Option<FileSystemDirectoryHandle>> {
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(create);
    match JsFuture::from(parent.get_directory_handle_with_options(name, &options)).await {
        Ok(handle) => Ok(Some(handle.unchecked_into())),
        Err(error) if is(&error, "NotFoundError") => Ok(None),
        Err(error) => Err(failed("open folder", name, error)),
    }
}

async fn names(folder: &FileSystemDirectoryHandle) -> Result<Vec<String>> {
    let entries: AsyncIterator = folder.keys();
    let mut names = Vec::new();
    loop {
        let next = entries.next().map_err(|error| failed("list", "the folder", error))?;
        let next = JsFuture::from(next).await.map_err(|error| failed("list", "the folder", error))?;
        let next: IteratorNext = next.unchecked_into();
        if next.done() {
            return Ok(names);
        }
        names.extend(next.value().as_string());
    }
}

/// Opens slots side by side. All of them or none.
async fn open_slots(
    folder: &FileSystemDirectoryHandle,
    titles: Vec<String>,
    create: bool,
) -> Result<Vec<(String, FileSystemSyncAccessHandle)>> {
    let opened = Rc::new(RefCell::new(Vec::new()));
    let failure = Rc::new(RefCell::new(None));
    let count = titles.len();
    let all = Promise::new(&mut |resolve, _| {
        let left = Rc::new(Cell::new(count));
        for title in titles.iter().cloned() {
            let (folder, opened, failure) = (folder.clone(), Rc::clone(&opened), Rc::clone(&failure));
            let (left, resolve) = (Rc::clone(&left), resolve.clone());
            spawn_local(async move {
                match open_slot(&folder, &title, create).await {
                    Ok(handle) => opened.borrow_mut().push((title, handle)),
                    Err(error) => *failure.borrow_mut() = Some(failed("open", &title, error)),
                }
                left.set(left.get() - 1);
                if left.get() == 0 {
                    let _cannot_throw = resolve.call0(&JsValue::UNDEFINED);
                }
            });
        }
        if count == 0 {
            let _cannot_throw = resolve.call0(&JsValue::UNDEFINED);
        }
    });
    JsFuture::from(all).await.map_err(|error| failed("open", "the slots", error))?;
    let opened = opened.take();
    if let Some(error) = failure.take() {
        opened.iter().for_each(|(_, handle)| handle.close());
        return Err(error);
    }
    Ok(opened)
}

async fn open_slot(
    folder: &FileSystemDirectoryHandle,
    title: &str,
    create: bool,
) -> std::result::Result<FileSystemSyncAccessHandle, JsValue> {
    let options = FileSystemGetFileOptions::new();
    options.set_create(create);
    let file = JsFuture::from(folder.get_file_handle_with_options(title, &options)).await?;
    let file: FileSystemFileHandle = file.unchecked_into();
    let mut attempt = 0;
    loop {
        match JsFuture::from(file.create_sync_access_handle()).await {
            Ok(handle) => return Ok(handle.unchecked_into()),
            Err(error) if attempt < ATTEMPTS && is(&error, "NoModificationAllowedError") => {
                attempt += 1;
                let wait = Promise::new(&mut |resolve, _| set_timeout(&resolve, ATTEMPT_MILLIS));
                JsFuture::from(wait).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

fn title(number: usize) -> String {
    format!("slot-{number:03}")
}

fn slot_number(title: &str) -> Option<usize> {
    title.strip_prefix("slot-")?.parse().ok()
}

/// A store's name as a folder's: every byte but letters, digits, `-` and `_` as `%` and two digits.
fn escape(name: &str) -> Result<String> {
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        let count = name.chars().count();
        let message = format!("a store's name has 1 to {NAME_CHARS_MAX} characters, this one has {count}");
        return Err(CallError::new("invalid-argument", message));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    Ok(name.bytes().map(escaped).collect())
}

fn unescape(folder: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = folder.as_bytes();
    while let Some((&first, more)) = rest.split_first() {
        rest = more;
        if first == b'%' {
            let (digits, more) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = more;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn is(error: &JsValue, name: &str) -> bool {
    error.dyn_ref::<DomException>().is_some_and(|exception| exception.name() == name)
}

fn told(error: &JsValue) -> String {
    match error.dyn_ref::<DomException>() {
        Some(exception) => format!("{}: {}", exception.name(), exception.message()),
        None => String::from(js_sys::Object::from(error.clone()).to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn failure(error: JsValue) -> Failure {
    Failure { full: is(&error, "QuotaExceededError"), message: told(&error) }
}

fn failed(operation: &str, what: &str, error: JsValue) -> CallError {
    failure(error).into_error(operation, what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_stores_are_names_of_folders() {
        for (name, folder) in [
            ("fruit", "fruit"),
            ("..", "%2E%2E"),
            ("a/b c", "a%2Fb%20c"),
            ("Süd", "S%C3%BCd"),
            ("100%", "100%25"),
        ] {
            assert_eq!(escape(name).expect("short"), folder);
            assert_eq!(unescape(folder).as_deref(), Some(name));
        }
        assert_eq!(escape("").expect_err("empty").code, "invalid-argument");
        assert_eq!(escape(&"x".repeat(101)).expect_err("long").code, "invalid-argument");
        assert_eq!(unescape("%2"), None);
    }
}
