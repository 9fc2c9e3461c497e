//! Two parties at work on one disk: whatever one does can happen just before any call of the other.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use esker_engine::Result;
use esker_engine::env::{File, Fs, MemFile, MemFs};

/// A disk that does something else just before one of the calls.
#[derive(Debug, Clone)]
pub struct InterruptedFs {
    inner: MemFs,
    interruption: Rc<Interruption>,
}

#[derive(Default)]
struct Interruption {
    calls: Cell<u64>,
    at: Cell<u64>,
    action: RefCell<Option<Box<dyn FnOnce()>>>,
}

/// An open file of an [`InterruptedFs`].
#[derive(Debug)]
pub struct InterruptedFile {
    inner: MemFile,
    interruption: Rc<Interruption>,
}

impl fmt::Debug for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interruption")
            .field("calls", &self.calls)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Interruption {
    fn before_call(&self) {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.at.get()
            && let Some(action) = self.action.take()
        {
            action();
        }
    }
}

impl InterruptedFs {
    /// `inner`, as yet without an interruption.
    pub fn new(inner: MemFs) -> Self {
        Self { inner, interruption: Rc::default() }
    }

    /// Does `action` just before the `call`-th call from now, the next one being 1.
    pub fn before(&self, call: u64, action: impl FnOnce() + 'static) {
        self.interruption.at.set(self.interruption.calls.get() + call);
        *self.interruption.action.borrow_mut() = Some(Box::new(action));
    }

    /// Whether that call has come.
    pub fn was_interrupted(&self) -> bool {
        self.interruption.action.borrow().is_none()
    }

    fn file(&self, inner: MemFile) -> InterruptedFile {
        InterruptedFile { inner, interruption: Rc::clone(&self.interruption) }
    }
}

impl Fs for InterruptedFs {
    type File = InterruptedFile;

    fn create(&self, name: &str) -> Result<InterruptedFile> {
        self.interruption.before_call();
        Ok(self.file(self.inner.create(name)?))
    }

    fn open(&self, name: &str) -> Result<InterruptedFile> {
        self.interruption.before_call();
        Ok(self.file(self.inner.open(name)?))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        self.interruption.before_call();
        self.inner.exists(name)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.interruption.before_call();
        self.inner.remove(name)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.interruption.before_call();
        self.inner.list()
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        self.interruption.before_call();
        self.inner.link(from, to)
    }

    fn sync_dir(&self) -> Result<()> {
        self.interruption.before_call();
        self.inner.sync_dir()
    }
}

impl File for InterruptedFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.interruption.before_call();
        self.inner.append(bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.interruption.before_call();
        self.inner.read_at(offset, buffer)
    }

    fn len(&self) -> Result<u64> {
        self.interruption.before_call();
        self.inner.len()
    }

    fn sync(&mut self) -> Result<()> {
        self.interruption.before_call();
        self.inner.sync()
    }
}
