//! The store behind `wasi:keyvalue`: opened when it is first needed, and shared by all that comes after.
//!
//! A store that can do nothing more (another primary has taken it over, or a sync has failed) stays as it is for the
//! handles that have it; the next `open` of a bucket opens it anew.

use super::settings::Settings;
use super::{Failure, Result};
use crate::bindings::wasi::cli::environment;
use crate::wasi_clock::WasiClock;
use crate::wasi_fs::WasiFs;
use crate::{directory, panic_message};
use esker_engine::{Bucket, Db, Durability, ErrorKind};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

type WasiDb = Db<WasiFs, WasiClock>;

thread_local! {
    static OPENED: RefCell<Option<Rc<Provider>>> = const { RefCell::new(None) };
}

/// An open store with its settings.
pub struct Provider {
    db: RefCell<WasiDb>,
    settings: Settings,
    /// Whether the store can do nothing more.
    spent: Cell<bool>,
}

impl Provider {
    /// The store, opened if there is none that can be used.
    pub fn get() -> Result<Rc<Self>> {
        OPENED.with_borrow_mut(|opened| match opened {
            Some(provider) if !provider.spent.get() => Ok(Rc::clone(provider)),
            _ => Ok(Rc::clone(opened.insert(Rc::new(Self::open()?)))),
        })
    }

    fn open() -> Result<Self> {
        panic_message::install();
        let settings = Settings::read(&environment::get_environment())?;
        let fs = WasiFs::new(directory::open(&settings.path, true)?);
        let db = Db::open(fs, WasiClock, settings.options.clone())?;
        Ok(Self { db: RefCell::new(db), settings, spent: Cell::new(false) })
    }

    /// The bucket that the application calls `name`; the empty name is the default bucket's, too.
    pub fn bucket(&self, name: &str) -> Result<Bucket> {
        let name = if name.is_empty() { "default" } else { name };
        if !self.settings.grants(name) {
            return Err(Failure::AccessDenied);
        }
        if let Some(bucket) = self.read(|db| db.buckets().bucket(name))? {
            return Ok(bucket);
        }
        match &self.settings.granted {
            Some(_) => self.write(|db, _| db.create_bucket(name)),
            None => Err(Failure::NoSuchStore),
        }
    }

    /// Reads from the store.
    pub fn read<T>(&self, read: impl FnOnce(&WasiDb) -> esker_engine::Result<T>) -> Result<T> {
        self.noting(read(&self.db.borrow()))
    }

    /// Changes the store, as durably as the settings ask for.
    pub fn write<T>(
        &self,
        write: impl FnOnce(&mut WasiDb, Durability) -> esker_engine::Result<T>,
    ) -> Result<T> {
        self.noting(write(&mut self.db.borrow_mut(), self.settings.durability))
    }

    fn noting<T>(&self, outcome: esker_engine::Result<T>) -> Result<T> {
        if outcome.as_ref().is_err_and(|error| *error.kind() == ErrorKind::Reopen) {
            self.spent.set(true);
        }
        Ok(outcome?)
    }
}
