//! A machine in memory whose slots can be killed with, or lose their power, at any call: the platform of the tests.
//!
//! Every file keeps what is durable and what was done to it since its last flush. At a power cut each of those changes
//! is, file by file and by the seed, kept, dropped, or (a write) kept in some of its sectors only.

use super::handle::{Failure, Handle};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const SECTOR: usize = 512;

/// What was done to a file since its last flush.
#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Resize(u64),
}

/// A file.
#[derive(Debug, Clone, Default)]
struct Disk {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
}

/// The machine.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    files: Rc<RefCell<Vec<Disk>>>,
    calls: Rc<Cell<u64>>,
    flushes: Rc<Cell<u64>>,
    crash_at: Rc<Cell<Option<u64>>>,
    /// So many bytes fit on the disk.
    quota: Rc<Cell<Option<u64>>>,
}

/// A handle on one of its files.
#[derive(Debug)]
pub struct MachineHandle {
    machine: Machine,
    file: usize,
}

impl Machine {
    /// A machine with so many empty files.
    pub fn new(files: usize) -> Self {
        let machine = Self::default();
        machine.files.borrow_mut().resize(files, Disk::default());
        machine
    }

    /// Handles on all files.
    pub fn handles(&self) -> Vec<(String, MachineHandle)> {
        let handle = |file| (format!("slot-{file:03}"), MachineHandle { machine: self.clone(), file });
        (0..self.files.borrow().len()).map(handle).collect()
    }

    /// Adds an empty file.
    pub fn add(&self) -> (String, MachineHandle) {
        let mut files = self.files.borrow_mut();
        files.push(Disk::default());
        let file = files.len() - 1;
        (format!("slot-{file:03}"), MachineHandle { machine: self.clone(), file })
    }

    /// How many calls changed or flushed a file.
    pub fn calls(&self) -> u64 {
        self.calls.get()
    }

    /// How many of them flushed one.
    pub fn flushes(&self) -> u64 {
        self.flushes.get()
    }

    /// From the call with this number on everything fails; a write that is the first to fail is carried out in part.
    pub fn crash_at(&self, call: u64) {
        self.crash_at.set(Some(call));
    }

    /// So many bytes fit on the disk, or any number.
    pub fn set_quota(&self, quota: Option<u64>) {
        self.quota.set(quota);
    }

    /// The machine after its only process was killed.
    pub fn kill(&self) -> Self {
        Self { files: Rc::new(RefCell::new(self.files.borrow().clone())), ..Self::default() }
    }

    /// The machine after it lost its power.
    pub fn power_cut(&self, seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let after = |disk: &Disk| {
            let mut bytes = disk.durable.clone();
            // Half of the time a file keeps all that was done to it, or nothing.
            let fate = random.below(4);
            for change in &disk.changes {
                match (change, if fate < 2 { fate } else { random.below(3) }) {
                    (_, 0) => {}
                    (Change::Resize(size), _) => bytes.resize(*size as usize, 0),
                    (Change::Write(at, new), 1) => overwrite(&mut bytes, *at, new),
                    (Change::Write(at, new), _) => tear(&mut bytes, *at, new, &mut random),
                }
            }
            Disk { durable: bytes.clone(), bytes, changes: Vec::new() }
        };
        let files = self.files.borrow().iter().map(after).collect();
        Self { files: Rc::new(RefCell::new(files)), ..Self::default() }
    }

    /// Changes a file's bytes behind everybody's back.
    pub fn damage(&self, file: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let disk = &mut self.files.borrow_mut()[file];
        change(&mut disk.bytes);
        disk.durable = disk.bytes.clone();
        disk.changes.clear();
    }

    fn crashed(&self) -> bool {
        let call = self.calls.get();
        self.calls.set(call + 1);
        self.crash_at.get().is_some_and(|at| call >= at)
    }

    fn check_quota(&self, file: usize, size: u64) -> Result<(), Failure> {
        let files = self.files.borrow();
        let others: u64 = files.iter().map(|disk| disk.bytes.len() as u64).sum();
        let now = files[file].bytes.len() as u64;
        match self.quota.get() {
            Some(quota) if size > now && others - now + size > quota => {
                Err(Failure { full: true, message: "QuotaExceededError".into() })
            }
            _ => Ok(()),
        }
    }
}

impl Handle for MachineHandle {
    fn size(&self) -> Result<u64, Failure> {
        Ok(self.machine.files.borrow()[self.file].bytes.len() as u64)
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> Result<usize, Failure> {
        let files = self.machine.files.borrow();
        let bytes = &files[self.file].bytes;
        let found = bytes.get(at as usize..).unwrap_or(&[]);
        let count = found.len().min(buffer.len());
        buffer[..count].copy_from_slice(&found[..count]);
        Ok(count)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<usize, Failure> {
        if self.machine.crashed() {
            if self.machine.crash_at.get() == Some(self.machine.calls.get() - 1) {
                let disk = &mut self.machine.files.borrow_mut()[self.file];
                let part = &bytes[..bytes.len() / 2];
                overwrite(&mut disk.bytes, at, part);
                disk.changes.push(Change::Write(at, part.to_vec()));
            }
            return Err(dead());
        }
        self.machine.check_quota(self.file, at + bytes.len() as u64)?;
        let disk = &mut self.machine.files.borrow_mut()[self.file];
        overwrite(&mut disk.bytes, at, bytes);
        disk.changes.push(Change::Write(at, bytes.to_vec()));
        Ok(bytes.len())
    }

    fn truncate(&self, size: u64) -> Result<(), Failure> {
        if self.machine.crashed() {
            return Err(dead());
        }
        self.machine.check_quota(self.file, size)?;
        let disk = &mut self.machine.files.borrow_mut()[self.file];
        disk.bytes.resize(size as usize, 0);
        disk.changes.push(Change::Resize(size));
        Ok(())
    }

    fn flush(&self) -> Result<(), Failure> {
        if self.machine.crashed() {
            return Err(dead());
        }
        self.machine.flushes.set(self.machine.flushes.get() + 1);
        let disk = &mut self.machine.files.borrow_mut()[self.file];
        disk.durable = disk.bytes.clone();
        disk.changes.clear();
        Ok(())
    }
}

fn dead() -> Failure {
    Failure { full: false, message: "the machine has crashed".into() }
}

fn overwrite(bytes: &mut Vec<u8>, at: u64, new: &[u8]) {
    let at = at as usize;
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// Writes some of the sectors that `new` touches, and garbage into some.
fn tear(bytes: &mut Vec<u8>, at: u64, new: &[u8], random: &mut Random) {
    let mut done = 0;
    while done < new.len() {
        let here = at as usize + done;
        let count = (SECTOR - here % SECTOR).min(new.len() - done);
        let piece = &new[done..done + count];
        match random.below(4) {
            0 => {}
            1 => overwrite(bytes, here as u64, &vec![0xa5; count]),
            _ => overwrite(bytes, here as u64, piece),
        }
        done += count;
    }
}

/// Xorshift: enough to pick.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
