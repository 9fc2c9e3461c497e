//! [`MemFs`]: a file system in memory that remembers what a crash would leave behind.
//!
//! For every file it keeps how much is durable and where each append since the last sync ends; for the
//! directory it keeps the durable names and the changes since, in order:
//!
//! ```text
//! file       |=== durable ===|- append -|--- append ---|        sync: all of it is durable
//! directory  durable names  + create c + remove a + link d      sync_dir: so are these
//! ```
//!
//! [`MemFs::kill`] is the disk as the next process finds it after this one has died, [`MemFs::power_cut`] the
//! disk as the machine finds it after the power has come back. Every call has a number, and from the call
//! that [`MemFs::crash_at`] names, all fail: so a test can crash a store at each point of its life in turn.
//!
//! It is as good for stores that need not outlive their process, and it knows nothing of what is in its files.

mod power_cut;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Call, File, Fs};
use crate::base::error::{Error, ErrorKind, Result};

/// A file system in memory. Clones share one disk.
#[derive(Clone, Default)]
pub struct MemFs {
    disk: Arc<Mutex<Disk>>,
}

impl MemFs {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as the next process finds it when this one dies now: everything handed to the operating
    /// system is there, and what was not yet durable still is not. The two disks share nothing, so this is
    /// the way to copy one as well.
    pub fn kill(&self) -> Self {
        Self::with(self.lock().after_kill())
    }

    /// The disk as it is found after the power failed now. Of each file what was synced is there; each append
    /// since then is kept, missing, zeros, cut short, or garbage, and each change of the directory since its
    /// last sync is kept or lost. `seed` decides; all that is found is durable.
    pub fn power_cut(&self, seed: u64) -> Self {
        Self::with(power_cut::after(&self.lock(), seed))
    }

    /// Lets all calls from the `number`-th on fail (the first has number 1), as if the machine were gone.
    pub fn crash_at(&self, number: u64) {
        self.lock().crash_at = Some(number);
    }

    /// Whether a call has met the crash.
    pub fn crashed(&self) -> bool {
        let disk = self.lock();
        disk.crash_at.is_some_and(|number| disk.calls >= number)
    }

    /// The number of calls so far.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Starts to list the calls. (It is not done unasked, since the list only grows.)
    pub fn start_log(&self) {
        self.lock().log = Some(Vec::new());
    }

    /// The calls since [`MemFs::start_log`], in order.
    pub fn log(&self) -> Vec<LoggedCall> {
        self.lock().log.clone().unwrap_or_default()
    }

    /// Gives the disk a size. An append that does not fit writes what does and fails with `NoSpace`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// The bytes that files take up, those that are removed but open included.
    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    /// The files' names, in order.
    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// A copy of a file's bytes, `None` when it is not there.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.lock();
        let id = disk.names.get(name)?;
        disk.nodes.get(id).map(|node| node.bytes.clone())
    }

    /// Damages a file behind the back of whoever uses it. The result is durable.
    pub fn damage(&self, name: &str, damage: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut disk = self.lock();
        let id = disk.find(Call::Open, name)?;
        let node = disk.node(id);
        damage(&mut node.bytes);
        node.sync();
        Ok(())
    }

    fn with(disk: Disk) -> Self {
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    fn handle(&self, disk: &mut Disk, id: NodeId, name: &str) -> MemFile {
        disk.node(id).handles += 1;
        MemFile { disk: Arc::clone(&self.disk), id, name: name.into() }
    }
}

impl fmt::Debug for MemFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = self.lock();
        let lengths =
            disk.names.iter().map(|(name, id)| (name, disk.nodes.get(id).map(|node| node.bytes.len())));
        f.debug_map().entries(lengths).finish()
    }
}

impl Fs for MemFs {
    type File = MemFile;

    fn create(&self, name: &str) -> Result<MemFile> {
        let mut disk = self.lock();
        disk.begin(Call::Create, name, 0)?;
        disk.ensure_absent(Call::Create, name)?;
        let id = disk.add_node();
        disk.change(Change::Add(name.to_owned(), id));
        Ok(self.handle(&mut disk, id, name))
    }

    fn open(&self, name: &str) -> Result<MemFile> {
        let mut disk = self.lock();
        disk.begin(Call::Open, name, 0)?;
        let id = disk.find(Call::Open, name)?;
        Ok(self.handle(&mut disk, id, name))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let mut disk = self.lock();
        disk.begin(Call::Exists, name, 0)?;
        Ok(disk.names.contains_key(name))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut disk = self.lock();
        disk.begin(Call::Remove, name, 0)?;
        disk.find(Call::Remove, name)?;
        disk.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>> {
        let mut disk = self.lock();
        disk.begin(Call::List, "the directory", 0)?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        let mut disk = self.lock();
        disk.begin(Call::Link, to, 0)?;
        let id = disk.find(Call::Link, from)?;
        disk.ensure_absent(Call::Link, to)?;
        disk.change(Change::Add(to.to_owned(), id));
        Ok(())
    }

    fn sync_dir(&self) -> Result<()> {
        let mut disk = self.lock();
        disk.begin(Call::SyncDir, "the directory", 0)?;
        disk.sync_names();
        Ok(())
    }
}

/// An open file of a [`MemFs`].
pub struct MemFile {
    disk: Arc<Mutex<Disk>>,
    id: NodeId,
    name: Box<str>,
}

impl MemFile {
    fn begin(&self, call: Call, length: usize) -> Result<MutexGuard<'_, Disk>> {
        let mut disk = lock(&self.disk);
        disk.begin(call, &self.name, length)?;
        Ok(disk)
    }
}

impl fmt::Debug for MemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemFile").field("name", &self.name).finish_non_exhaustive()
    }
}

impl File for MemFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let mut disk = self.begin(Call::Append, bytes.len())?;
        let (room, used) = (disk.room(), disk.used());
        let fitting = bytes.len().min(room);
        disk.node(self.id).append(&bytes[..fitting]);
        if fitting < bytes.len() {
            let message = format!(
                "{} {}: the disk holds {used} bytes and has room for {room} more, not for {}",
                Call::Append,
                self.name,
                bytes.len()
            );
            return Err(Error::new(ErrorKind::NoSpace, message));
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut disk = self.begin(Call::Read, buffer.len())?;
        let bytes = &disk.node(self.id).bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let found = &bytes[start..];
        let count = found.len().min(buffer.len());
        buffer[..count].copy_from_slice(&found[..count]);
        Ok(count)
    }

    fn len(&self) -> Result<u64> {
        let mut disk = self.begin(Call::Len, 0)?;
        Ok(disk.node(self.id).bytes.len() as u64)
    }

    fn sync(&mut self) -> Result<()> {
        let mut disk = self.begin(Call::Sync, 0)?;
        disk.node(self.id).sync();
        Ok(())
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        let mut disk = lock(&self.disk);
        disk.node(self.id).handles -= 1;
        disk.drop_if_unused(self.id);
    }
}

/// A call that a [`MemFs`] has seen; it displays as `append to 000007.wal (130 bytes)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCall {
    /// The call.
    pub call: Call,
    /// The file it was about.
    pub file: String,
    /// How many bytes were to be appended or read; 0 for other calls.
    pub bytes: usize,
}

impl fmt::Display for LoggedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.call, self.file)?;
        match self.call {
            Call::Append | Call::Read => write!(f, " ({} bytes)", self.bytes),
            _ => Ok(()),
        }
    }
}

/// A file apart from its names, of which it may have several, or none while it is only open.
type NodeId = u64;

#[derive(Default)]
struct Disk {
    // What the running system sees.
    nodes: BTreeMap<NodeId, Node>,
    next_node: NodeId,
    names: BTreeMap<String, NodeId>,
    // What a power cut goes back to: the names at the last sync_dir, and the changes since.
    durable_names: BTreeMap<String, NodeId>,
    changes: Vec<Change>,
    // What tests set and watch.
    capacity: Option<u64>,
    calls: u64,
    crash_at: Option<u64>,
    log: Option<Vec<LoggedCall>>,
}

/// A change of the directory.
#[derive(Clone)]
enum Change {
    Add(String, NodeId),
    Remove(String),
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, NodeId>) {
        match self {
            Self::Add(name, id) => names.insert(name.clone(), *id),
            Self::Remove(name) => names.remove(name),
        };
    }
}

#[derive(Clone, Default)]
struct Node {
    bytes: Vec<u8>,
    /// So many of the bytes are durable.
    durable: usize,
    /// Where each append since the last sync ends.
    appends: Vec<usize>,
    handles: usize,
}

impl Node {
    fn append(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes.extend_from_slice(bytes);
            self.appends.push(self.bytes.len());
        }
    }

    fn sync(&mut self) {
        self.durable = self.bytes.len();
        self.appends.clear();
    }
}

impl Disk {
    /// Counts and lists a call; fails once the machine has crashed.
    fn begin(&mut self, call: Call, file: &str, bytes: usize) -> Result<()> {
        self.calls += 1;
        if let Some(log) = &mut self.log {
            log.push(LoggedCall { call, file: file.to_owned(), bytes });
        }
        match self.crash_at {
            Some(number) if self.calls >= number => {
                Err(Error::io(&call.to_string(), file, "the machine has crashed"))
            }
            _ => Ok(()),
        }
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node stays while a name or a handle leads to it")
    }

    fn add_node(&mut self) -> NodeId {
        let id = self.next_node;
        self.next_node += 1;
        self.nodes.insert(id, Node::default());
        id
    }

    fn find(&self, call: Call, name: &str) -> Result<NodeId> {
        let missing = || Error::new(ErrorKind::NotFound, format!("{call} {name}: there is no such file"));
        self.names.get(name).copied().ok_or_else(missing)
    }

    fn ensure_absent(&self, call: Call, name: &str) -> Result<()> {
        if self.names.contains_key(name) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("{call} {name}: the file is there already"),
            ));
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn sync_names(&mut self) {
        self.durable_names.clone_from(&self.names);
        self.changes.clear();
        self.drop_unused_nodes();
    }

    fn used(&self) -> u64 {
        self.nodes.values().map(|node| node.bytes.len() as u64).sum()
    }

    fn room(&self) -> usize {
        let room = self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()));
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    fn after_kill(&self) -> Self {
        let mut left = Self {
            nodes: self.nodes.clone(),
            next_node: self.next_node,
            names: self.names.clone(),
            durable_names: self.durable_names.clone(),
            changes: self.changes.clone(),
            capacity: self.capacity,
            ..Self::default()
        };
        for node in left.nodes.values_mut() {
            node.handles = 0;
        }
        left.drop_unused_nodes();
        left
    }

    /// Forgets the files that no handle has open and that no name leads to, be it only after a power cut.
    fn drop_unused_nodes(&mut self) {
        let closed = self.nodes.iter().filter(|(_, node)| node.handles == 0).map(|(id, _)| *id);
        for id in closed.collect::<Vec<_>>() {
            self.drop_if_unused(id);
        }
    }

    fn drop_if_unused(&mut self, id: NodeId) {
        let added = |change: &Change| matches!(change, Change::Add(_, added) if *added == id);
        let used = self.node(id).handles > 0
            || self.names.values().chain(self.durable_names.values()).any(|named| *named == id)
            || self.changes.iter().any(added);
        if !used {
            self.nodes.remove(&id);
        }
    }
}

/// A panic of another thread has broken nothing here: no call leaves the disk half changed.
fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: std::ops::Range<u64> = 0..200;

    /// A disk with one durable file of `synced` and these appends after it.
    fn disk(synced: &[u8], appends: &[&[u8]]) -> (MemFs, MemFile) {
        let fs = MemFs::new();
        let mut file = fs.create("a").expect("create");
        file.append(synced).expect("append");
        file.sync().expect("sync");
        fs.sync_dir().expect("sync_dir");
        for bytes in appends {
            file.append(bytes).expect("append");
        }
        (fs, file)
    }

    #[test]
    fn a_kill_keeps_all_and_makes_nothing_durable() {
        let (fs, _file) = disk(b"synced", &[b"not"]);
        drop(fs.create("b").expect("create"));

        let killed = fs.kill();
        assert_eq!(killed.bytes("a").as_deref(), Some(&b"syncednot"[..]));
        assert_eq!(killed.names(), ["a", "b"]);

        let cut: Vec<MemFs> = SEEDS.map(|seed| killed.power_cut(seed)).collect();
        assert!(cut.iter().any(|disk| disk.bytes("b").is_none()), "b was never synced into the directory");
        assert!(
            cut.iter().any(|disk| disk.bytes("a").as_deref() == Some(b"synced")),
            "so many seeds lose an append"
        );
    }

    #[test]
    fn a_power_cut_keeps_what_was_synced_and_shows_every_kind_of_damage_after_it() {
        let (fs, _file) = disk(b"synced", &[b"first", b"second"]);
        let found: Vec<Vec<u8>> =
            SEEDS.map(|seed| fs.power_cut(seed).bytes("a").expect("a is durable")).collect();
        assert!(
            found
                .iter()
                .all(|bytes| bytes.starts_with(b"synced") && bytes.len() <= b"syncedfirstsecond".len())
        );

        let seen = |what: &str, shape: &dyn Fn(&[u8]) -> bool| {
            assert!(found.iter().any(|bytes| shape(&bytes[6..])), "no seed shows: {what}");
        };
        seen("all kept", &|tail| tail == b"firstsecond");
        seen("all lost", &|tail| tail.is_empty());
        seen("a prefix of whole appends", &|tail| tail == b"first");
        seen("an append cut short", &|tail| tail == b"fi");
        seen("the earlier lost, the later kept", &|tail| tail == b"\0\0\0\0\0second");
        seen("zeros", &|tail| tail == b"first\0\0\0\0\0\0");
        seen("garbage", &|tail| tail.len() == 11 && tail[..5] == *b"first" && !b"\0s".contains(&tail[5]));
    }

    #[test]
    fn a_power_cut_is_a_function_of_the_seed() {
        let (fs, _file) = disk(b"synced", &[b"first", b"second", b"third"]);
        for seed in SEEDS {
            assert_eq!(fs.power_cut(seed).bytes("a"), fs.power_cut(seed).bytes("a"));
        }
    }

    #[test]
    fn names_are_durable_after_the_directory_was_synced() {
        let (fs, _file) = disk(b"synced", &[]);
        drop(fs.create("b").expect("create"));
        fs.remove("a").expect("remove");
        let found: Vec<Vec<String>> = SEEDS.map(|seed| fs.power_cut(seed).names()).collect();
        for names in [vec!["a"], vec!["b"], vec!["a", "b"], vec![]] {
            assert!(found.iter().any(|found| *found == names), "no seed leaves {names:?}");
        }

        fs.sync_dir().expect("sync_dir");
        assert!(SEEDS.map(|seed| fs.power_cut(seed)).all(|disk| disk.names() == ["b"]));
    }

    #[test]
    fn from_the_crash_on_every_call_fails() {
        let (fs, mut file) = disk(b"synced", &[]);
        fs.start_log();
        fs.crash_at(fs.calls() + 2);
        file.append(b"before").expect("the crash is one call away");
        assert!(!fs.crashed());
        assert_eq!(file.append(b"lost").expect_err("crashed").kind(), &ErrorKind::Io);
        assert_eq!(fs.list().expect_err("crashed").kind(), &ErrorKind::Io);
        assert!(fs.crashed());

        let log: Vec<String> = fs.log().iter().map(LoggedCall::to_string).collect();
        assert_eq!(log, ["append to a (6 bytes)", "append to a (4 bytes)", "list the directory"]);
        assert_eq!(fs.kill().bytes("a").as_deref(), Some(&b"syncedbefore"[..]));
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_reads_on() {
        let (fs, mut file) = disk(b"synced", &[]);
        fs.set_capacity(Some(8));
        let error = file.append(b"more").expect_err("only two bytes are left");
        assert_eq!(error.kind(), &ErrorKind::NoSpace);
        assert_eq!(fs.bytes("a").as_deref(), Some(&b"syncedmo"[..]));
        fs.set_capacity(None);
        file.append(b"re").expect("there is room again");
        assert_eq!(fs.used(), 10);
    }

    #[test]
    fn a_removed_file_takes_up_room_until_it_is_closed_and_its_removal_durable() {
        let (fs, file) = disk(b"synced", &[]);
        fs.remove("a").expect("remove");
        fs.sync_dir().expect("sync_dir");
        assert_eq!(fs.used(), 6);
        drop(file);
        assert_eq!(fs.used(), 0);
    }
}
