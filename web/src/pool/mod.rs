//! The pool of slots as the engine's file system: names are mapped to slots, bytes are not (docs/browser.md).
//!
//! All handles are open beforehand, so that every call is synchronous. The pool knows nothing of the browser: slots are
//! added by whoever can open files (`opfs`), and the tests cut the power of slots that live in memory.

mod handle;
mod header;
#[cfg(any(test, fuzzing))]
pub mod machine;
mod slot;
#[cfg(test)]
mod tests;

pub use handle::{Failure, Handle};

use esker_engine::env::{File, Fs};
use esker_engine::{Error, ErrorKind, Result};
use header::{DATA, NAME_BYTES_MAX};
use slot::Slot;
use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::rc::Rc;

/// No store has more slots: Safari opens 252 handles in all.
pub const SLOTS_MAX: usize = 240;
/// Names that begin so belong to an import that is not finished.
pub const STAGED: &str = "import/";
/// The file whose presence says that an import is complete and the old files are to be freed...
const COMMIT: &str = "import/COMMIT";
/// ... and then, that this is done and the imported files are to be renamed.
const COMMIT_RENAMES: &str = "import/RENAME";
/// How many bytes a copy moves at a time.
const COPY_BYTES: usize = 256 << 10;

/// The slots of one store, as a file system. Clones are the same one.
pub struct SlotFs<H: Handle> {
    pool: Rc<RefCell<Pool<H>>>,
    /// What all names of this view begin with, in the slots.
    prefix: &'static str,
}

#[derive(Debug)]
struct Pool<H: Handle> {
    slots: Vec<Slot<H>>,
    next_generation: u64,
    scratch: Vec<u8>,
}

/// How the slots of a store are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStats {
    /// All slots.
    pub slots: u64,
    /// Those that a file can be created in.
    pub free: u64,
    /// Those whose header is damaged.
    pub damaged: u64,
    /// What all of them take up, in bytes.
    pub bytes: u64,
}

impl<H: Handle> SlotFs<H> {
    /// The file system that is in these slots, with the names that the platform calls them by. Finishes an import that
    /// was complete, and throws one away that was not.
    ///
    /// # Errors
    ///
    /// `CannotOpen` for slots of a newer version, and those of the platform.
    pub fn open(slots: impl IntoIterator<Item = (String, H)>) -> Result<Self> {
        let slots = slots.into_iter().map(|(title, handle)| Slot::open(title, handle));
        let mut pool =
            Pool { slots: slots.collect::<Result<Vec<_>>>()?, next_generation: 1, scratch: Vec::new() };
        pool.free_older()?;
        pool.finish_import()?;
        Ok(Self { pool: Rc::new(RefCell::new(pool)), prefix: "" })
    }

    /// Adds a slot that the platform has opened.
    ///
    /// # Errors
    ///
    /// As [`SlotFs::open`].
    pub fn add(&self, title: String, handle: H) -> Result<()> {
        let slot = Slot::open(title, handle)?;
        self.change().slots.push(slot);
        Ok(())
    }

    /// How the slots are used.
    pub fn stats(&self) -> PoolStats {
        let pool = self.look();
        let count = |of: fn(&Slot<H>) -> bool| pool.slots.iter().filter(|slot| of(slot)).count() as u64;
        PoolStats {
            slots: pool.slots.len() as u64,
            free: count(|slot| slot.is_free()),
            damaged: count(|slot| slot.damage().is_some()),
            bytes: pool.slots.iter().map(Slot::size).sum(),
        }
    }

    /// Checks that at least so many files can be created.
    ///
    /// # Errors
    ///
    /// `Busy`; `NoSpace` where the store has all the slots that it may have.
    pub fn check_free(&self, count: usize) -> Result<()> {
        let pool = self.look();
        // At the limit the last slot is of use too.
        let count = if pool.slots.len() >= SLOTS_MAX { 1 } else { count };
        let found = pool.slots.iter().filter(|slot| slot.is_free()).take(count).count();
        if found < count { Err(pool.no_slot("another file")) } else { Ok(()) }
    }

    /// The slots that must not be used, and why.
    pub fn damaged(&self) -> Vec<(String, String)> {
        let told = |slot: &Slot<H>| Some((slot.title().to_owned(), slot.damage()?.to_owned()));
        self.look().slots.iter().filter_map(told).collect()
    }

    /// Whether there is no file at all.
    pub fn is_unused(&self) -> bool {
        self.look().names().next().is_none()
    }

    /// Empties free slots, so that creating a file finds one that is ready.
    pub fn tidy(&self) {
        for slot in &mut self.change().slots {
            if slot.is_free() && slot.size() > DATA {
                // What fails here fails again, and is told, when the slot is taken.
                let _tried_again = slot.settle().and_then(|()| slot.empty());
            }
        }
    }

    /// The files of an import that is being made ready, as a file system of its own.
    pub fn staged(&self) -> Self {
        Self { pool: Rc::clone(&self.pool), prefix: STAGED }
    }

    /// Throws away what was staged.
    ///
    /// # Errors
    ///
    /// Those of the platform.
    pub fn discard_import(&self) -> Result<()> {
        self.change().free_where(|name| name.starts_with(STAGED))
    }

    /// Puts the staged files in the place of all others: all of them or none, whenever a crash comes.
    ///
    /// REQUIRES: the staged files are synced, and no file is open.
    ///
    /// # Errors
    ///
    /// Those of the platform. Whether the import took place shows at the next opening.
    pub fn commit_import(&self) -> Result<()> {
        self.staged().sync_dir()?;
        let mut pool = self.change();
        let commit = pool.create(COMMIT)?;
        let generation = pool.generation();
        pool.slot(commit).sync(generation)?;
        pool.finish_import()
    }

    fn look(&self) -> Ref<'_, Pool<H>> {
        self.pool.borrow()
    }

    fn change(&self) -> RefMut<'_, Pool<H>> {
        self.pool.borrow_mut()
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn file(&self, pool: &mut Pool<H>, slot: usize, name: &str, appends: bool) -> SlotFile<H> {
        pool.slot(slot).used(true);
        SlotFile { pool: Rc::clone(&self.pool), slot, name: name.into(), appends }
    }
}

impl<H: Handle> Clone for SlotFs<H> {
    fn clone(&self) -> Self {
        Self { pool: Rc::clone(&self.pool), prefix: self.prefix }
    }
}

impl<H: Handle> fmt::Debug for SlotFs<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotFs").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<H: Handle> Pool<H> {
    /// The names of all files.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(Slot::name).filter(|name| !name.is_empty())
    }

    /// The slot of the file `name`: there are too few for a map to be quicker.
    fn slot_of(&self, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.name() == name).filter(|_| !name.is_empty())
    }

    /// Of two slots with one name frees the older: its removal had not become durable.
    fn free_older(&mut self) -> Result<()> {
        let newest = self.slots.iter().map(Slot::generation).max();
        self.next_generation = newest.map_or(1, |newest| newest + 1);
        for at in 0..self.slots.len() {
            let slot = &self.slots[at];
            let Some(first) = self.slot_of(slot.name()).filter(|&first| first < at) else { continue };
            let older = if self.slots[first].generation() > slot.generation() { at } else { first };
            let generation = self.generation();
            self.slots[older].rename("", generation)?;
        }
        Ok(())
    }

    /// Takes the staged files over if their import is complete, else throws them away. The commit slot's name says how
    /// far that has come; what a crash interrupts is finished at the next opening.
    fn finish_import(&mut self) -> Result<()> {
        if self.slot_of(COMMIT).is_some() {
            self.free_where(|name| !name.starts_with(STAGED))?;
            self.move_name(COMMIT, COMMIT_RENAMES)?;
            self.settle()?;
        }
        if self.slot_of(COMMIT_RENAMES).is_some() {
            for from in self.names_where(|name| name.starts_with(STAGED) && name != COMMIT_RENAMES) {
                let to = from.strip_prefix(STAGED).unwrap_or(&from).to_owned();
                self.move_name(&from, &to)?;
            }
            self.settle()?;
        }
        self.free_where(|name| name.starts_with(STAGED))
    }

    fn names_where(&self, which: impl Fn(&str) -> bool) -> Vec<String> {
        self.names().filter(|name| which(name)).map(str::to_owned).collect()
    }

    /// Gives up all files whose names `which` picks, for good.
    fn free_where(&mut self, which: impl Fn(&str) -> bool) -> Result<()> {
        let names = self.names_where(which);
        if names.is_empty() {
            return Ok(());
        }
        for name in &names {
            self.remove(name)?;
        }
        self.settle()
    }

    /// The slot of the file `name`.
    fn find(&self, operation: &str, name: &str) -> Result<usize> {
        let missing =
            || Error::new(ErrorKind::NotFound, format!("{operation} {name}: there is no such file"));
        self.slot_of(name).ok_or_else(missing)
    }

    fn ensure_absent(&self, operation: &str, name: &str) -> Result<()> {
        if self.slot_of(name).is_some() {
            let message = format!("{operation} {name}: the file is there already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let message = format!("{operation} {name}: a name has 1 to {NAME_BYTES_MAX} bytes");
            return Err(Error::invalid(message));
        }
        Ok(())
    }

    /// Makes the empty file `name`; returns its slot.
    fn create(&mut self, name: &str) -> Result<usize> {
        self.ensure_absent("create", name)?;
        let slot = self.free_slot().ok_or_else(|| self.no_slot(name))?;
        let (generation, _) = (self.generation(), self.generation());
        self.slot(slot).take(name, generation)?;
        Ok(slot)
    }

    /// A free slot, if there is one; rather one that costs no flush to be taken.
    fn free_slot(&self) -> Option<usize> {
        let free = || self.slots.iter().enumerate().filter(|(_, slot)| slot.is_free());
        let ready = free().find(|(_, slot)| slot.is_settled());
        ready.or_else(|| free().next()).map(|(at, _)| at)
    }

    fn no_slot(&self, name: &str) -> Error {
        let count = self.slots.len();
        if count >= SLOTS_MAX {
            let message = format!(
                "create {name}: all {count} files that a store may have in the browser are in use; larger tables make fewer files"
            );
            return Error::new(ErrorKind::NoSpace, message);
        }
        let message = format!(
            "create {name}: all {count} slots are in use, and more are opened between calls: await ready()"
        );
        Error::new(ErrorKind::Busy, message)
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        let slot = self.find("remove", name)?;
        let generation = self.generation();
        self.slot(slot).rename("", generation)
    }

    fn move_name(&mut self, from: &str, to: &str) -> Result<()> {
        let slot = self.find("rename", from)?;
        self.ensure_absent("rename", to)?;
        let generation = self.generation();
        self.slot(slot).rename(to, generation)
    }

    /// Makes every header durable.
    fn settle(&mut self) -> Result<()> {
        self.slots.iter_mut().try_for_each(Slot::settle)
    }

    fn generation(&mut self) -> u64 {
        let generation = self.next_generation;
        self.next_generation += 1;
        generation
    }

    fn slot(&mut self, slot: usize) -> &mut Slot<H> {
        &mut self.slots[slot]
    }
}

impl<H: Handle> Fs for SlotFs<H> {
    type File = SlotFile<H>;

    fn create(&self, name: &str) -> Result<SlotFile<H>> {
        let mut pool = self.change();
        let slot = pool.create(&self.full_name(name))?;
        Ok(self.file(&mut pool, slot, name, true))
    }

    fn open(&self, name: &str) -> Result<SlotFile<H>> {
        let mut pool = self.change();
        let slot = pool.find("open", &self.full_name(name))?;
        Ok(self.file(&mut pool, slot, name, false))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.look().slot_of(&self.full_name(name)).is_some())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.change().remove(&self.full_name(name))
    }

    fn list(&self) -> Result<Vec<String>> {
        let pool = self.look();
        let ours = |name: &str| {
            let name = name.strip_prefix(self.prefix)?;
            (!self.prefix.is_empty() || !name.starts_with(STAGED)).then(|| name.to_owned())
        };
        let mut names: Vec<_> = pool.names().filter_map(ours).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        let source = self.open(from)?;
        let mut target = self.create(to)?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut offset = 0;
        loop {
            let count = source.read_at(offset, &mut buffer)?;
            if count == 0 {
                return target.sync();
            }
            target.append(&buffer[..count])?;
            offset += count as u64;
        }
    }

    fn sync_dir(&self) -> Result<()> {
        self.change().settle()
    }
}

/// An open file of a [`SlotFs`].
pub struct SlotFile<H: Handle> {
    pool: Rc<RefCell<Pool<H>>>,
    slot: usize,
    name: Box<str>,
    /// Whether this handle created the file.
    appends: bool,
}

impl<H: Handle> fmt::Debug for SlotFile<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotFile").field("name", &self.name).field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl<H: Handle> File for SlotFile<H> {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.appends {
            return Err(Error::bug(format!("append to {}, which was opened for reading", self.name)));
        }
        let Pool { slots, scratch, .. } = &mut *self.pool.borrow_mut();
        slots[self.slot].append(bytes, scratch)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.pool.borrow().slots[self.slot].read_at(offset, buffer)
    }

    fn len(&self) -> Result<u64> {
        Ok(self.pool.borrow().slots[self.slot].length())
    }

    fn sync(&mut self) -> Result<()> {
        let mut pool = self.pool.borrow_mut();
        let generation = pool.generation();
        pool.slot(self.slot).sync(generation)
    }
}

impl<H: Handle> Drop for SlotFile<H> {
    fn drop(&mut self) {
        let mut pool = self.pool.borrow_mut();
        let slot = pool.slot(self.slot);
        slot.used(false);
        if self.appends {
            slot.finish();
        }
    }
}
