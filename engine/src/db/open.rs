//! Opens a store: claims it, reads its manifest, replays its log.
//!
//! 1. Look at the directory without touching it: is it a store, of a known format, with all its tables?
//! 2. Claim the next epoch. Whoever was primary is fenced from here on.
//! 3. Look again, now that nobody else writes, and replay the log into a memtable; full memtables are
//!    flushed on the way.
//! 4. Make what was replayed durable in a place of its own, so that nothing depends on segments that a crash may
//!    have garbled: a little of it is copied to the new segment, more is flushed to a table.
//! 5. Write the complete state to the new manifest. The store is open.
//! 6. Remove what is no longer needed: older manifests, orphans, old segments.
//!
//! A crash before step 5 changes nothing: the next open does the same again.

use super::Db;
use super::catalogue::Catalogue;
use super::dropped::Drops;
use super::install::Unneeded;
use super::maintain::Maintenance;
use super::pace::MemtableSize;
use super::report::RecoveryReport;
use super::snapshot::Snapshots;
use super::stats::Counters;
use super::view::View;
use crate::base::batch::Batch;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::file_name::FileName;
use crate::base::options::{Options, RecoveryMode};
use crate::compaction::Picker;
use crate::env::{Clock, File, Fs};
use crate::job::{Job, Runner, Work};
use crate::memtable::Memtable;
use crate::sstable::{TableCache, TableOptions};
use crate::version::{Loaded, Manifest, State, Version, VersionEdit};
use crate::wal::{Header, Loss, LossKind, Replay, ReplayReport, Writer};
use std::collections::VecDeque;
use std::sync::Arc;

/// What was replayed is copied to the new segment up to this size, and flushed to a table beyond.
const COPY_BYTES_MAX: u64 = 1 << 20;
/// So often an open begins anew where another primary has taken a file number before it.
const ATTEMPTS: u32 = 5;
/// The host's lock file, which is no part of the format.
const LOCK: &str = "LOCK";

/// The files of a directory, by kind, each ascending.
#[derive(Debug, Default)]
struct Listing {
    epochs: Vec<u64>,
    segments: Vec<u64>,
    tables: Vec<u64>,
    lost: Vec<u64>,
    foreign: Vec<String>,
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// Opens the store in `fs` as its primary, and recovers it.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for an option beyond its limits; `CannotOpen` where the directory is no store, must not be
    /// created, or has a newer format; `Corrupt` where the manifest is damaged, a table is missing, or the log is
    /// damaged and the recovery mode refuses it: nothing has been changed then; `Busy` where another primary is
    /// opening the store; and those of the file system.
    pub fn open(fs: F, clock: C, options: Options) -> Result<Self> {
        options.check()?;
        let start = clock.now_micros();
        let fs = Arc::new(fs);
        let (listing, loaded) = look_twice(&fs, &options)?;
        if loaded.state.is_none() && !options.create_if_missing {
            return Err(Error::cannot_open(
                "the directory is empty: there is no store, and none is to be created",
            ));
        }
        let mut epoch = listing.epochs.last().map_or(1, |last| last + 1);
        let mut attempts = 0;
        loop {
            let manifest = Manifest::claim(Arc::clone(&fs), epoch)?;
            let claimed = FileName::Manifest(epoch).to_string();
            match recover(&fs, &options, manifest) {
                Ok(recovered) => {
                    let mut db = recovered.into_db(clock, options);
                    db.report.micros = db.clock.now_micros().saturating_sub(start);
                    return Ok(db);
                }
                // A primary that this claim has replaced, and that has not noticed yet, has taken a number since the
                // directory was listed. It notices before it takes many more.
                Err(error) if *error.kind() == ErrorKind::AlreadyExists && attempts < ATTEMPTS => {
                    attempts += 1;
                    epoch += 1;
                }
                Err(error) => {
                    // Nothing was removed, the older manifest holds: the claim goes, so that the directory is as it
                    // was.
                    let _passed_over_by_the_next_open = fs.remove(&claimed);
                    return Err(error);
                }
            }
        }
    }
}

impl Listing {
    fn read<F: Fs>(fs: &F) -> Result<Self> {
        let mut listing = Self::default();
        for name in fs.list()? {
            match FileName::parse(&name) {
                Some(FileName::Manifest(number)) => listing.epochs.push(number),
                Some(FileName::Wal(number)) => listing.segments.push(number),
                Some(FileName::Table(number)) => listing.tables.push(number),
                Some(FileName::Lost(number)) => listing.lost.push(number),
                None if name == LOCK => {}
                None => listing.foreign.push(name),
            }
        }
        for numbers in [&mut listing.epochs, &mut listing.segments, &mut listing.tables, &mut listing.lost] {
            numbers.sort_unstable();
        }
        listing.foreign.sort_unstable();
        Ok(listing)
    }

    /// No file of the store has this number or a greater one.
    fn next_file(&self) -> u64 {
        let numbers = self.segments.iter().chain(&self.tables).chain(&self.lost);
        numbers.max().map_or(1, |last| last.saturating_add(1))
    }
}

/// Looks at the directory, and again where that finds damage: another primary, still at work, may have removed a file
/// between its being listed and its being missed. Damage that is found twice alike is damage.
fn look_twice<F: Fs>(fs: &Arc<F>, options: &Options) -> Result<(Listing, Loaded)> {
    let mut refused = None;
    loop {
        let listing = Listing::read(&**fs)?;
        match look(fs, &listing, options) {
            Ok(loaded) => return Ok((listing, loaded)),
            Err(error) if !error.is_corrupt() || refused.as_ref() == Some(&error) => return Err(error),
            Err(error) => refused = Some(error),
        }
    }
}

/// Reads the manifest without touching anything, and checks that the directory can be opened.
fn look<F: Fs>(fs: &Arc<F>, listing: &Listing, options: &Options) -> Result<Loaded> {
    let loaded = Manifest::load(fs, &listing.epochs)?;
    let Some(state) = &loaded.state else {
        check_empty(fs, listing, &loaded)?;
        return Ok(loaded);
    };
    if options.error_if_exists {
        return Err(Error::cannot_open("the directory already holds a store, and a new one was to be made"));
    }
    if let Some((file, offset, reason)) = &loaded.torn
        && options.recovery == RecoveryMode::Absolute
    {
        let message =
            format!("{reason}; recovery mode absolute refuses even a torn end: nothing was changed");
        return Err(Error::corrupt(file.clone(), *offset, message));
    }
    check_references(&loaded, state, listing)?;
    Ok(loaded)
}

/// Checks that every file is there that the state refers to. The log's first segment is one of them: its name is
/// durable before an edit names it, and it is removed only after a later one.
fn check_references(loaded: &Loaded, state: &State, listing: &Listing) -> Result<()> {
    let missing = |file: FileName| {
        let manifest = FileName::Manifest(loaded.epoch);
        match &loaded.torn {
            // The edit that was torn off had been synced: it made the file obsolete.
            Some((damaged, offset, reason)) => Error::corrupt(
                damaged.clone(),
                *offset,
                format!("{reason}; {file}, to which the edits before refer, is missing: nothing was changed"),
            ),
            None => Error::corrupt(
                file.to_string(),
                0,
                format!(
                    "the file is missing though {manifest} refers to it, or the end of {manifest} is: nothing was changed"
                ),
            ),
        }
    };
    for (_, table) in state.version.tables() {
        if listing.tables.binary_search(&table.number).is_err() {
            return Err(missing(FileName::Table(table.number)));
        }
    }
    match listing.segments.binary_search(&state.log) {
        Ok(_) => Ok(()),
        Err(_) => Err(missing(FileName::Wal(state.log))),
    }
}

/// Checks that a directory without a manifest is one in which a store may be made.
fn check_empty<F: Fs>(fs: &Arc<F>, listing: &Listing, loaded: &Loaded) -> Result<()> {
    if let Some(name) = listing.foreign.first() {
        return Err(Error::cannot_open(format!(
            "the directory is not a store: it has no manifest, but other files ({name}{}); use an empty directory",
            if listing.foreign.len() > 1 { ", ..." } else { "" }
        )));
    }
    let Some(file) = first_data(fs, listing)? else { return Ok(()) };
    match &loaded.torn {
        Some((manifest, offset, reason)) => Err(Error::corrupt(
            manifest.clone(),
            *offset,
            format!("{reason}; no sound manifest is left, though there is data ({file})"),
        )),
        None => Err(Error::corrupt(
            FileName::Manifest(listing.epochs.last().copied().unwrap_or(1)).to_string(),
            0,
            format!("the manifest is missing or empty, though there is data ({file}): nothing was changed"),
        )),
    }
}

/// A file that holds data, if there is one. A segment without bytes holds none: a crash during the first open leaves
/// one behind.
fn first_data<F: Fs>(fs: &Arc<F>, listing: &Listing) -> Result<Option<FileName>> {
    for &number in &listing.segments {
        if !fs.open(&FileName::Wal(number).to_string())?.is_empty()? {
            return Ok(Some(FileName::Wal(number)));
        }
    }
    Ok(listing.tables.first().map(|&number| FileName::Table(number)))
}

/// A store on its way to being open.
struct Recovered<F: Fs> {
    fs: Arc<F>,
    manifest: Manifest<F>,
    tables: Arc<TableCache<F>>,
    state: State,
    memtable: Arc<Memtable>,
    last_sequence: u64,
    wal: Writer<F>,
    segments: VecDeque<u64>,
    report: RecoveryReport,
}

/// Steps 3 to 6. After an error everything that the older manifest refers to is still there.
fn recover<F: Fs>(fs: &Arc<F>, options: &Options, mut manifest: Manifest<F>) -> Result<Recovered<F>> {
    // Only what is read after the claim counts: until then another primary may have written.
    let mut listing = Listing::read(&**fs)?;
    listing.epochs.retain(|&epoch| epoch < manifest.epoch());
    let listing = &listing;
    let loaded = look(fs, listing, options)?;
    let mut report =
        RecoveryReport { epoch: manifest.epoch(), created: loaded.state.is_none(), ..Default::default() };
    report.manifest_torn = loaded.torn.filter(|_| loaded.state.is_some());
    let mut state = loaded.state.unwrap_or_else(|| State {
        version: Arc::new(Version::default()),
        log: 0,
        flushed: 0,
        next_file: 1,
    });
    state.next_file = state.next_file.max(listing.next_file());
    let tables = Arc::new(TableCache::new(Arc::clone(fs), options.cache_bytes()));

    let mut replayed = Replayed::new(fs, options, manifest.epoch(), state);
    let flushed = replayed.state.flushed;
    replayed.replay(listing)?;
    check_torn_manifest(&report, flushed, &replayed.report)?;
    let damaged = replayed.report.lost_data() || report.manifest_torn.is_some();
    let copied = replayed.settle(damaged)?;
    let Replayed { mut state, memtable, last_sequence, tables_written, report: log, .. } = replayed;

    let number = state.next_file;
    state.next_file += 1;
    let mut wal = Writer::create(Arc::clone(fs), number)?;
    for (header, packed) in &copied {
        wal.append(*header, packed, 0);
    }
    wal.sync()?;
    if memtable.entries() == 0 {
        state.flushed = last_sequence;
    }
    state.log = number;
    if damaged {
        report.set_aside = set_aside(fs, listing, &log)?;
    }
    manifest.append(&VersionEdit::from_state(&state))?;
    manifest.sync()?;

    report.log = log;
    report.tables_written = tables_written;
    let segments = clean_up(fs, options, listing, &state, damaged, &mut report);
    Ok(Recovered {
        fs: Arc::clone(fs),
        manifest,
        tables,
        state,
        memtable,
        last_sequence,
        wal,
        segments,
        report,
    })
}

/// A torn edit was never synced, and then all that the state before it needs is still there. Where the log does not
/// go on from that state, the edit was damaged later: going on would lose what it had added.
fn check_torn_manifest(report: &RecoveryReport, flushed: u64, log: &ReplayReport) -> Result<()> {
    let Some((file, offset, reason)) = &report.manifest_torn else { return Ok(()) };
    let gone = |loss: &Loss| loss.sequence == flushed + 1 && loss.kind == LossKind::Corruption;
    if !log.losses.iter().any(gone) {
        return Ok(());
    }
    let sequence = flushed + 1;
    let message = format!(
        "{reason}; the log does not go on at sequence number {sequence}, where the state before ends"
    );
    Err(Error::corrupt(file.clone(), *offset, message))
}

/// What has been replayed so far.
struct Replayed<'a, F: Fs> {
    fs: &'a Arc<F>,
    options: &'a Options,
    epoch: u64,
    state: State,
    memtable: Arc<Memtable>,
    last_sequence: u64,
    /// The records in the memtable, while they are few.
    records: Vec<(Header, Vec<u8>)>,
    record_bytes: u64,
    tables_written: u64,
    report: ReplayReport,
}

impl<'a, F: Fs> Replayed<'a, F> {
    fn new(fs: &'a Arc<F>, options: &'a Options, epoch: u64, state: State) -> Self {
        let last_sequence = state.flushed;
        Self {
            fs,
            options,
            epoch,
            state,
            memtable: Arc::new(Memtable::new()),
            last_sequence,
            records: Vec::new(),
            record_bytes: 0,
            tables_written: 0,
            report: Default::default(),
        }
    }

    fn replay(&mut self, listing: &Listing) -> Result<()> {
        let segments: Vec<u64> =
            listing.segments.iter().copied().filter(|&number| number >= self.state.log).collect();
        let mut replay =
            Replay::new(Arc::clone(self.fs), segments, self.state.flushed, self.options.recovery);
        while replay.advance()? {
            let (header, batch) = replay.record();
            self.add(header, batch)?;
        }
        self.report = replay.report().clone();
        Ok(())
    }

    fn add(&mut self, header: Header, batch: &Batch) -> Result<()> {
        self.memtable.apply(header.sequence, batch);
        self.last_sequence = header.last();
        self.record_bytes += batch.as_packed().len() as u64;
        if self.record_bytes <= COPY_BYTES_MAX {
            self.records.push((header, batch.as_packed().to_vec()));
        } else {
            self.records = Vec::new();
        }
        if self.memtable.bytes() >= self.options.memtable_bytes() {
            self.flush()?;
        }
        Ok(())
    }

    /// Decides what becomes of what is left in the memtable: the records to copy to the new segment, or a table.
    fn settle(&mut self, damaged: bool) -> Result<Vec<(Header, Vec<u8>)>> {
        // Records around a hole would be a hole again in the new segment.
        if damaged || self.record_bytes > COPY_BYTES_MAX {
            self.flush()?;
        }
        Ok(std::mem::take(&mut self.records))
    }

    /// Flushes the memtable to a table.
    fn flush(&mut self) -> Result<()> {
        if self.memtable.entries() == 0 {
            return Ok(());
        }
        let number = self.state.next_file;
        self.state.next_file += 1;
        // The log stays the same: until the new manifest is written, every segment of it may be needed again.
        let (after, flushed, log) = (self.state.flushed, self.last_sequence, self.state.log);
        let job = Job {
            epoch: self.epoch,
            work: Work::Flush { segments: Vec::new(), after, flushed, log },
            snapshots: Vec::new(),
            dropped_buckets: Vec::new(),
            outputs: vec![number],
            table_bytes: self.options.table_bytes,
            options: TableOptions::new(self.options),
        };
        let mut runner = Runner::flush(Arc::clone(self.fs), job, &self.memtable);
        if let Some(result) = runner.step(u64::MAX)?.result {
            self.state = runner.job().edit(&result)?.apply(&self.state)?;
        }
        self.tables_written += 1;
        self.memtable = Arc::new(Memtable::new());
        self.records = Vec::new();
        self.record_bytes = 0;
        Ok(())
    }
}

/// Keeps what recovery did not use and what a person may still want: damaged segments and, where the manifest may
/// have forgotten them, tables, as `.lost` files.
fn set_aside<F: Fs>(fs: &Arc<F>, listing: &Listing, log: &ReplayReport) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if log.lost_data() {
        names.extend(log.losses.iter().map(|loss| loss.file.clone()));
        if log.records_dropped > 0 {
            names.extend(listing.segments.iter().map(|&number| FileName::Wal(number).to_string()));
        }
    }
    names.sort_unstable();
    names.dedup();
    let mut set_aside = Vec::new();
    for name in names {
        let Some(file) = FileName::parse(&name) else { continue };
        if listing.lost.binary_search(&file.number()).is_ok() {
            continue;
        }
        let lost = FileName::Lost(file.number()).to_string();
        fs.link(&name, &lost)?;
        set_aside.push(lost);
    }
    fs.sync_dir()?;
    Ok(set_aside)
}

/// Removes what the new manifest does not need. Returns the old log segments that are kept. What cannot be removed
/// now is found again by the next open.
fn clean_up<F: Fs>(
    fs: &Arc<F>,
    options: &Options,
    listing: &Listing,
    state: &State,
    damaged: bool,
    report: &mut RecoveryReport,
) -> VecDeque<u64> {
    // Oldest first: a fenced primary knows by its own manifest's absence that it was replaced.
    for &epoch in &listing.epochs {
        let _left_for_the_next_open = fs.remove(&FileName::Manifest(epoch).to_string());
    }
    let mut live: Vec<u64> = state.version.tables().map(|(_, table)| table.number).collect();
    live.sort_unstable();
    for number in listing.tables.iter().filter(|number| live.binary_search(number).is_err()) {
        let name = FileName::Table(*number).to_string();
        let lost = FileName::Lost(*number).to_string();
        // After damage a table that nothing refers to may hold what is missing.
        if damaged && fs.link(&name, &lost).is_ok() {
            report.set_aside.push(lost);
        }
        if fs.remove(&name).is_ok() {
            report.orphans_removed += 1;
        }
    }
    let mut segments: VecDeque<u64> = listing.segments.iter().copied().collect();
    while segments.len() > options.wal_segments_kept as usize {
        if let Some(segment) = segments.pop_front() {
            let _left_for_the_next_open = fs.remove(&FileName::Wal(segment).to_string());
        }
    }
    segments
}

impl<F: Fs> Recovered<F> {
    fn into_db<C: Clock>(self, clock: C, options: Options) -> Db<F, C> {
        let picker = Picker::new(&options);
        let memtable_size = MemtableSize::new(&options);
        let mut maintenance = Maintenance::new();
        maintenance.version_changed(picker.pending_bytes(&self.state.version));
        let view = View {
            active: self.memtable,
            sealed: Vec::new(),
            version: Arc::clone(&self.state.version),
            tables: Arc::clone(&self.tables),
        };
        let view = Arc::new(view);
        let mut catalogue = Catalogue::of(&view, self.last_sequence);
        catalogue.pass_over(&view);
        Db {
            fs: self.fs,
            clock,
            table_options: TableOptions::new(&options),
            picker,
            options,
            tables: self.tables,
            snapshots: Arc::new(Snapshots::default()),
            report: self.report,
            wal: self.wal,
            last_sequence: self.last_sequence,
            durable_sequence: self.last_sequence,
            view,
            drops: Drops::new(catalogue.dropped(), self.last_sequence),
            catalogue,
            closed: None,
            poisoned: None,
            scratch: Batch::new(),
            manifest: self.manifest,
            state: self.state,
            maintenance,
            debt: 0,
            memtable_size,
            segments: self.segments,
            unneeded: Unneeded::default(),
            counters: Counters::default(),
        }
    }
}
