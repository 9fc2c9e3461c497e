//! What one instance of a plugin has open: the handles that its resources stand for.
//!
//! A call takes what it needs out of the table and lets go of the table before it asks the store, so that calls need
//! nothing of the instance, and can be made on another thread.

use super::confined::Plugin;
use crate::error::{Error, Result};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::{Resource, ResourceTable};

/// What one instance of a plugin has open. It belongs into the data of the instance's wasmtime `Store`; clones share it.
///
/// With the last clone everything is closed that the instance has left open. That asks the store, as a call does: async
/// code drops it where it may block.
#[derive(Clone)]
pub struct Session {
    plugin: Plugin,
    table: Arc<Mutex<ResourceTable>>,
}

impl Session {
    pub(super) fn new(plugin: Plugin, handles: usize) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles);
        Self { plugin, table: Arc::new(Mutex::new(table)) }
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Opens a handle.
    pub(super) fn open<R: Send + 'static>(&self, opened: R) -> Result<Resource<R>> {
        self.table().push(opened).map_err(|_| {
            let message = "the plugin has too many handles open: drop stores, snapshots, cursors or buckets";
            self.plugin.refuse(Error::Busy(message.into()))
        })
    }

    /// What a handle stands for. A handle that the instance does not have is a trap.
    pub(super) fn opened<R: Clone + 'static>(&self, handle: &Resource<R>) -> wasmtime::Result<R> {
        Ok(self.table().get(handle)?.clone())
    }

    /// Closes a handle.
    pub(super) fn close<R: 'static>(&self, handle: Resource<R>) -> wasmtime::Result<()> {
        // A statement of its own: what is dropped may ask the store, and the table is free by then.
        let closed = self.table().delete(handle)?;
        drop(closed);
        Ok(())
    }

    fn table(&self) -> MutexGuard<'_, ResourceTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}
