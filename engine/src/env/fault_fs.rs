//! [`FaultFs`]: any file system, with faults on demand.
//!
//! One [`Fault`] at a time is armed: the n-th call that it concerns fails, or all from the n-th on. What a
//! failed sync covered stays in doubt, as on a real machine, where the system reports a failed sync once and a
//! second try succeeds without having written anything: on a file or file system that has failed to sync, later
//! syncs succeed and do nothing.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Call, File, Fs};
use crate::base::error::{Error, ErrorKind, Result};

/// A file system whose calls fail as armed. Clones share the fault and the count of calls, but a clone stands for
/// another process: it can sync the directory where this one could not.
#[derive(Debug)]
pub struct FaultFs<F> {
    inner: F,
    faults: Arc<Mutex<Faults>>,
    sync_dir_failed: AtomicBool,
}

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub effect: Effect,
    /// Only calls of this kind count; `None` counts every call that the effect can strike.
    pub call: Option<Call>,
    /// The n-th of the calls that count, the first after arming being 1.
    pub nth: u64,
    /// Whether all later calls that count fail, too.
    pub lasting: bool,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It fails with `Io` and does nothing.
    Io,
    /// It fails with `NoSpace` and does nothing. Strikes calls that need space.
    NoSpace,
    /// It writes half of the bytes and fails with `Io`. Strikes appends.
    ShortAppend,
    /// It succeeds, and one bit of what it read is wrong. Strikes reads.
    FlippedRead,
}

impl Fault {
    /// `effect` on the `nth` call that it can strike.
    pub fn once(effect: Effect, nth: u64) -> Self {
        Self { effect, call: None, nth, lasting: false }
    }

    /// `effect` on the `nth` call that it can strike, and on all such calls after it.
    pub fn lasting(effect: Effect, nth: u64) -> Self {
        Self { lasting: true, ..Self::once(effect, nth) }
    }

    /// The same fault, but counting and striking only calls of one kind.
    pub fn on(self, call: Call) -> Self {
        Self { call: Some(call), ..self }
    }

    fn concerns(&self, call: Call) -> bool {
        let possible = match self.effect {
            Effect::Io => true,
            Effect::NoSpace => call.needs_space(),
            Effect::ShortAppend => call == Call::Append,
            Effect::FlippedRead => call == Call::Read,
        };
        possible && self.call.is_none_or(|only| only == call)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effect, call, nth, lasting } = self;
        write!(f, "{effect:?} on call {nth}")?;
        if let Some(call) = call {
            write!(f, " of those that {call}")?;
        }
        f.write_str(if *lasting { " and all later ones" } else { "" })
    }
}

impl<F: Clone> Clone for FaultFs<F> {
    fn clone(&self) -> Self {
        let (inner, faults) = (self.inner.clone(), Arc::clone(&self.faults));
        Self { inner, faults, sync_dir_failed: AtomicBool::new(false) }
    }
}

impl<F> FaultFs<F> {
    /// `inner`, as yet without a fault.
    pub fn new(inner: F) -> Self {
        Self { inner, faults: Arc::default(), sync_dir_failed: AtomicBool::new(false) }
    }

    /// The file system beneath.
    pub fn inner(&self) -> &F {
        &self.inner
    }

    /// Arms `fault` in place of the one before; calls count from now.
    pub fn arm(&self, fault: Fault) {
        *self.lock() = Faults { armed: Some(fault), ..Faults::default() };
    }

    /// Lets all calls succeed again.
    pub fn disarm(&self) {
        self.lock().armed = None;
    }

    /// How many calls have met the fault that was armed last.
    pub fn struck(&self) -> u64 {
        self.lock().struck
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    fn check(&self, call: Call, file: &str) -> Result<()> {
        match self.lock().strike(call) {
            Some(effect) => Err(failure(effect, call, file)),
            None => Ok(()),
        }
    }
}

impl<F: Fs> FaultFs<F> {
    fn file(&self, name: &str, inner: F::File) -> FaultFile<F::File> {
        FaultFile { inner, name: name.into(), sync_failed: false, faults: Arc::clone(&self.faults) }
    }
}

impl<F: Fs> Fs for FaultFs<F> {
    type File = FaultFile<F::File>;

    fn create(&self, name: &str) -> Result<Self::File> {
        self.check(Call::Create, name)?;
        Ok(self.file(name, self.inner.create(name)?))
    }

    fn open(&self, name: &str) -> Result<Self::File> {
        self.check(Call::Open, name)?;
        Ok(self.file(name, self.inner.open(name)?))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        self.check(Call::Exists, name)?;
        self.inner.exists(name)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.check(Call::Remove, name)?;
        self.inner.remove(name)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.check(Call::List, "the directory")?;
        self.inner.list()
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        self.check(Call::Link, to)?;
        self.inner.link(from, to)
    }

    fn sync_dir(&self) -> Result<()> {
        if let Err(error) = self.check(Call::SyncDir, "the directory") {
            self.sync_dir_failed.store(true, Ordering::Relaxed);
            return Err(error);
        }
        if self.sync_dir_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.inner.sync_dir()
    }
}

/// An open file of a [`FaultFs`].
#[derive(Debug)]
pub struct FaultFile<F> {
    inner: F,
    name: Box<str>,
    sync_failed: bool,
    faults: Arc<Mutex<Faults>>,
}

impl<F> FaultFile<F> {
    fn strike(&self, call: Call) -> Option<Effect> {
        lock(&self.faults).strike(call)
    }

    fn failure(&self, effect: Effect, call: Call) -> Error {
        failure(effect, call, &self.name)
    }
}

impl<F: File> File for FaultFile<F> {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        match self.strike(Call::Append) {
            None => self.inner.append(bytes),
            Some(effect) => {
                if effect == Effect::ShortAppend {
                    self.inner.append(&bytes[..bytes.len() / 2])?;
                }
                Err(self.failure(effect, Call::Append))
            }
        }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match self.strike(Call::Read) {
            None => self.inner.read_at(offset, buffer),
            Some(Effect::FlippedRead) => {
                let count = self.inner.read_at(offset, buffer)?;
                flip_a_bit(&mut buffer[..count], offset);
                Ok(count)
            }
            Some(effect) => Err(self.failure(effect, Call::Read)),
        }
    }

    fn len(&self) -> Result<u64> {
        match self.strike(Call::Len) {
            None => self.inner.len(),
            Some(effect) => Err(self.failure(effect, Call::Len)),
        }
    }

    fn sync(&mut self) -> Result<()> {
        if let Some(effect) = self.strike(Call::Sync) {
            self.sync_failed = true;
            return Err(self.failure(effect, Call::Sync));
        }
        if self.sync_failed {
            return Ok(());
        }
        self.inner.sync()
    }
}

#[derive(Debug, Default)]
struct Faults {
    armed: Option<Fault>,
    counted: u64,
    struck: u64,
}

impl Faults {
    /// Counts a call, and says what goes wrong with it.
    fn strike(&mut self, call: Call) -> Option<Effect> {
        let fault = self.armed.filter(|fault| fault.concerns(call))?;
        self.counted += 1;
        let hit = self.counted == fault.nth || (fault.lasting && self.counted > fault.nth);
        hit.then(|| {
            self.struck += 1;
            fault.effect
        })
    }
}

fn failure(effect: Effect, call: Call, file: &str) -> Error {
    let kind = if effect == Effect::NoSpace { ErrorKind::NoSpace } else { ErrorKind::Io };
    Error::new(kind, format!("{call} {file}: an injected fault ({effect:?})"))
}

/// Which bit it is depends on where the bytes are, so that a loop over the calls meets different ones.
fn flip_a_bit(bytes: &mut [u8], offset: u64) {
    let bits = bytes.len() as u64 * 8;
    if bits > 0 {
        let bit = offset.wrapping_add(bits).wrapping_mul(0x9E37_79B9_7F4A_7C15) % bits;
        bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    }
}

fn lock(faults: &Mutex<Faults>) -> MutexGuard<'_, Faults> {
    faults.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::MemFs;

    fn faulty() -> FaultFs<MemFs> {
        FaultFs::new(MemFs::new())
    }

    #[test]
    fn the_nth_call_fails_once() {
        let fs = faulty();
        fs.arm(Fault::once(Effect::Io, 2));
        let mut file = fs.create("a").expect("the first call is fine");
        let error = file.append(b"lost").expect_err("the second is not");
        assert_eq!(error.kind(), &ErrorKind::Io);
        file.append(b"kept").expect("the third is");
        assert_eq!(fs.inner().bytes("a").as_deref(), Some(&b"kept"[..]));
        assert_eq!(fs.struck(), 1);
    }

    #[test]
    fn a_lasting_fault_on_one_kind_of_call_leaves_the_others_alone() {
        let fs = faulty();
        fs.arm(Fault::lasting(Effect::NoSpace, 2).on(Call::Append));
        let mut file = fs.create("a").expect("create");
        file.append(b"1").expect("the first append");
        for _ in 0..2 {
            assert_eq!(file.append(b"2").expect_err("full").kind(), &ErrorKind::NoSpace);
        }
        file.sync().expect("not an append");
        fs.disarm();
        file.append(b"3").expect("disarmed");
        assert_eq!(fs.inner().bytes("a").as_deref(), Some(&b"13"[..]));
    }

    #[test]
    fn a_short_append_leaves_half() {
        let fs = faulty();
        let mut file = fs.create("a").expect("create");
        fs.arm(Fault::once(Effect::ShortAppend, 1));
        file.append(b"123456").expect_err("short");
        assert_eq!(fs.inner().bytes("a").as_deref(), Some(&b"123"[..]));
    }

    #[test]
    fn a_flipped_read_has_one_wrong_bit() {
        let fs = faulty();
        let mut file = fs.create("a").expect("create");
        file.append(&[0; 100]).expect("append");
        fs.arm(Fault::once(Effect::FlippedRead, 1));
        let mut bytes = [0; 100];
        file.read_at(0, &mut bytes).expect("it looks fine");
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        file.read_at(0, &mut bytes).expect("the next one is");
        assert_eq!(bytes, [0; 100]);
    }

    #[test]
    fn a_directory_that_failed_to_sync_is_synced_by_another_process_only() {
        let fs = faulty();
        drop(fs.create("a").expect("create"));
        fs.arm(Fault::once(Effect::Io, 1).on(Call::SyncDir));
        fs.sync_dir().expect_err("armed");
        fs.sync_dir().expect("it claims to be well");
        assert!((0..100).any(|seed| fs.inner().power_cut(seed).names().is_empty()));
        fs.clone().sync_dir().expect("the fault is over");
        assert!((0..100).all(|seed| fs.inner().power_cut(seed).names() == ["a"]));
    }

    #[test]
    fn what_a_failed_sync_covered_is_not_made_durable_by_the_next() {
        let fs = faulty();
        let mut file = fs.create("a").expect("create");
        fs.sync_dir().expect("sync_dir");
        file.append(b"in doubt").expect("append");
        fs.arm(Fault::once(Effect::Io, 1).on(Call::Sync));
        file.sync().expect_err("armed");
        file.sync().expect("it claims to be well");
        assert!(
            (0..100).any(|seed| fs.inner().power_cut(seed).bytes("a").is_some_and(|bytes| bytes.is_empty()))
        );
    }
}
