//! What becomes of a job's result: an edit of the manifest, a new view, and in time the removal of what it replaces.
//!
//! ```text
//! 1. the names of new tables are durable     (the worker's business, where a worker has made them)
//! 2. the edit is appended to the manifest    a crash from here on may find it, or not
//! 3. reads see the new version
//! 4. the edit is made durable                (a worker's business, where there are any: a clean-up)
//! 5. what it has replaced is removed
//! ```
//!
//! At most one edit is not durable. So a damaged end of the manifest is the end of one edit, and all that the state
//! before it needs is still there.

use super::Db;
use super::view::View;
use crate::base::error::Result;
use crate::base::file_name::FileName;
use crate::env::{Clock, Fs};
use crate::job::{Job, Work};
use crate::version::{State, TableMeta, VersionEdit};
use std::sync::Arc;

/// What the manifest does not need any more, or will not when its last edit is durable.
#[derive(Debug, Default)]
pub(super) struct Unneeded {
    /// Whether the last edit may not be durable. Nothing is removed while it may not.
    edit_pending: bool,
    /// How many edits there have been.
    edits: u64,
    /// How many there had been when the last clean-up was given away.
    edits_cleaned: u64,
    /// Tables that are no longer live, until nobody reads them.
    tables: Vec<Arc<TableMeta>>,
    /// Files that nobody reads.
    files: Vec<FileName>,
}

impl Unneeded {
    /// Whether the last edit may not be durable.
    pub fn edit_pending(&self) -> bool {
        self.edit_pending
    }

    /// The number of tables that wait for the last one who reads them, or for their removal.
    pub fn tables(&self) -> u64 {
        let removable = self.files.iter().filter(|name| matches!(name, FileName::Table(_))).count();
        (self.tables.len() + removable) as u64
    }

    /// Takes back what a clean-up was to remove, which was given up.
    pub fn give_back(&mut self, files: Vec<FileName>) {
        self.files.extend(files);
    }
}

/// Whether an edit refers to files whose names may not be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    New,
    Durable,
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// Writes an edit down and makes its version the one that reads see, above the `sealed` newest sealed memtables.
    pub(super) fn install(&mut self, mut edit: VersionEdit, sealed: usize, names: Names) -> Result<()> {
        edit.next_file = Some(self.state.next_file.max(self.maintenance.numbers_reserved));
        let state = State { next_file: self.state.next_file, ..edit.apply(&self.state)? };
        self.sync_edit()?;
        self.append(&edit, names).map_err(|error| self.poison("the manifest could not be written", error))?;
        for (level, number) in &edit.removed {
            let table = self.view.version.level(*level).iter().find(|table| table.number == *number);
            let moved = edit.added.iter().any(|(_, added)| added.number == *number);
            self.unneeded.tables.extend(table.filter(|_| !moved).cloned());
        }
        self.state = state;
        let mut memtables = self.view.sealed.clone();
        memtables.truncate(sealed);
        self.view = Arc::new(View {
            active: Arc::clone(&self.view.active),
            sealed: memtables,
            version: Arc::clone(&self.state.version),
            tables: Arc::clone(&self.tables),
        });
        self.maintenance.failure = None;
        self.maintenance.version_changed(self.picker.pending_bytes(&self.state.version));
        if self.maintenance.helped() {
            return Ok(());
        }
        self.sync_edit()
    }

    /// Appends an edit. After a failed sync of the directory nobody knows which names are durable: that, too, makes the
    /// handle useless.
    fn append(&mut self, edit: &VersionEdit, names: Names) -> Result<()> {
        if names == Names::New {
            self.fs.sync_dir()?;
        }
        self.manifest.append(edit)?;
        self.unneeded.edit_pending = true;
        self.unneeded.edits += 1;
        Ok(())
    }

    /// Makes the last edit durable, unless it is, and removes what it has replaced.
    pub(super) fn sync_edit(&mut self) -> Result<()> {
        if !self.unneeded.edit_pending {
            return Ok(());
        }
        // After a failed sync another one would succeed without having written anything.
        self.check_writable()?;
        self.manifest.sync().map_err(|error| self.poison("the manifest could not be written", error))?;
        self.edit_is_durable();
        self.remove_unneeded();
        Ok(())
    }

    fn edit_is_durable(&mut self) {
        self.unneeded.edit_pending = false;
        self.durable_sequence = self.durable_sequence.max(self.state.flushed);
        self.wal.forget_below(self.state.log);
    }

    /// Removes what neither the manifest nor a cursor nor a job needs. What cannot be removed is found as an orphan at
    /// the next open.
    pub(super) fn remove_unneeded(&mut self) {
        if self.unneeded.edit_pending {
            return;
        }
        for name in self.take_removable() {
            let _left_as_an_orphan = self.fs.remove(&name.to_string());
        }
    }

    /// The files that can be removed once the last edit is durable: tables that nobody reads any more, and log segments
    /// whose data is in tables, but for the newest few.
    fn take_removable(&mut self) -> Vec<FileName> {
        let mut files = std::mem::take(&mut self.unneeded.files);
        let tables = &self.tables;
        self.unneeded.tables.retain(|table| {
            if Arc::strong_count(table) > 1 {
                return true;
            }
            tables.forget(table.number);
            files.push(FileName::Table(table.number));
            false
        });
        let done = self.segments.iter().take_while(|&&segment| segment < self.state.log).count();
        let removable = done.saturating_sub(self.options.wal_segments_kept as usize);
        files.extend(self.segments.drain(..removable).map(FileName::Wal));
        files
    }

    /// The job of making the last edit durable and removing files, where there is something to do and nobody has it.
    pub(super) fn clean_up_job(&mut self) -> Result<Option<Job>> {
        if self.maintenance.clean_up_taken() {
            return Ok(None);
        }
        // One or the other: a worker removes nothing on the strength of its own sync (job/running.rs).
        let remove = if self.unneeded.edit_pending { Vec::new() } else { self.take_removable() };
        if remove.is_empty() && !self.unneeded.edit_pending {
            return Ok(None);
        }
        if let Err(error) = self.check_primary() {
            self.unneeded.give_back(remove);
            return Err(error);
        }
        self.unneeded.edits_cleaned = self.unneeded.edits;
        Ok(Some(self.job(Work::CleanUp { remove }, 1)))
    }

    /// A clean-up has ended well.
    pub(super) fn cleaned_up(&mut self) {
        if self.unneeded.edits == self.unneeded.edits_cleaned {
            self.edit_is_durable();
        }
    }
}
