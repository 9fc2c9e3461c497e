//! Reads a log back, in order and without gaps, and decides what damage means.
//!
//! The next record must begin at the sequence number `e` after the last one. Where it does not, or where the log
//! ends in damage, there is a *hole at e*. If any sound record of the log knows `e` to have been durable, the hole
//! is **corruption**; else it is a **torn tail**, and the log ends there, so that unsynced writes survive a crash
//! as a prefix. What becomes of either is for the [`RecoveryMode`] to say:
//!
//! ```text
//!                      torn tail      corruption
//! skip-corrupted       ends the log   is skipped
//! point-in-time        ends the log   ends the log
//! tolerate-torn-tail   ends the log   refuses
//! absolute             refuses        refuses
//! ```

use super::{Header, Seal, decode};
use crate::base::batch::Batch;
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::base::json::Json;
use crate::base::options::RecoveryMode;
use crate::env::Fs;
use crate::record::{Item, RecordReader};
use std::sync::Arc;

/// A walk over the records of a log.
pub struct Replay<F: Fs> {
    // Fixed from the start.
    fs: Arc<F>,
    segments: Vec<u64>,
    mode: RecoveryMode,
    // Moved by `advance`.
    /// The index of the segment that is read.
    at: usize,
    reader: Option<RecordReader<F::File>>,
    header: Header,
    batch: Batch,
    expected: u64,
    /// The segment that has ended since the last record, and its length.
    ended: Option<(u64, u64)>,
    /// Damage since the last record.
    damage: Vec<Damage>,
    /// The greatest sequence number that any sound record knows to have been durable, once it was asked for.
    durable_max: Option<u64>,
    /// The same of the records read so far.
    durable_seen: u64,
    done: bool,
    seals: Vec<Seal>,
    report: ReplayReport,
}

/// Whether lost data had been durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossKind {
    /// Cut off or garbled by a crash, and never known durable.
    TornTail,
    /// Damage to what had been durable.
    Corruption,
    /// Damaged bytes that held nothing: the records before and after them are consecutive.
    Harmless,
}

/// A part of the log that was not replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Torn tail or corruption.
    pub kind: LossKind,
    /// The segment's file name.
    pub file: String,
    /// Where the part begins.
    pub offset: u64,
    /// How many damaged bytes were passed over.
    pub bytes: u64,
    /// The first sequence number that is missing.
    pub sequence: u64,
    /// How many operations are missing, where the record after the hole tells.
    pub operations: Option<u64>,
    /// What was expected and what was found.
    pub reason: String,
}

/// What a replay has read, skipped and left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Segments read.
    pub segments: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Records replayed.
    pub records: u64,
    /// Operations in them.
    pub operations: u64,
    /// Parts that were not replayed.
    pub losses: Vec<Loss>,
    /// Sound records after the end of the log that were therefore not applied.
    pub records_dropped: u64,
    /// Operations in them.
    pub operations_dropped: u64,
}

impl ReplayReport {
    /// Whether anything that may matter to somebody is missing: corruption, or sound records that were dropped.
    pub fn lost_data(&self) -> bool {
        self.records_dropped > 0 || self.losses.iter().any(|loss| loss.kind == LossKind::Corruption)
    }
}

impl Loss {
    /// As a JSON object (docs/recovery.md).
    pub fn to_json(&self) -> Json {
        let kind = match self.kind {
            LossKind::TornTail => "torn-tail",
            LossKind::Corruption => "corruption",
            LossKind::Harmless => "harmless",
        };
        Json::object()
            .member("kind", kind)
            .member("file", self.file.as_str())
            .member("offset", self.offset)
            .member("bytes", self.bytes)
            .member("sequence", self.sequence)
            .member("operations", self.operations)
            .member("reason", self.reason.as_str())
    }
}

#[derive(Debug, Clone)]
struct Damage {
    /// The segment's number.
    segment: u64,
    offset: u64,
    bytes: u64,
    reason: String,
}

/// Whether a replay goes on after a hole.
enum Verdict {
    GoOn,
    Stop,
}

impl<F: Fs> Replay<F> {
    /// A replay of `segments`, ascending, of which everything up to sequence number `flushed` is in tables.
    pub fn new(fs: Arc<F>, segments: Vec<u64>, flushed: u64, mode: RecoveryMode) -> Self {
        Self {
            fs,
            segments,
            mode,
            at: 0,
            reader: None,
            header: Header { sequence: flushed + 1, durable: flushed, count: 0 },
            batch: Batch::new(),
            expected: flushed + 1,
            ended: None,
            damage: Vec::new(),
            durable_max: None,
            durable_seen: 0,
            done: false,
            seals: Vec::new(),
            report: ReplayReport::default(),
        }
    }

    /// To the next record. False at the end of the log.
    ///
    /// # Errors
    ///
    /// `Corrupt` where the mode refuses damage, and those of the file system.
    pub fn advance(&mut self) -> Result<bool> {
        while !self.done {
            let Some(reader) = &mut self.reader else {
                self.open_segment()?;
                continue;
            };
            let segment = self.segments[self.at];
            match reader.read()? {
                Item::End { offset } => self.end_segment(offset)?,
                Item::Damage { offset, end, reason } => {
                    self.damage.push(Damage { segment, offset, bytes: end - offset, reason });
                }
                Item::Record { offset } => {
                    let bytes = reader.payload().len() as u64;
                    let Some(header) = decode(reader.payload(), &mut self.batch) else {
                        let reason = "a record holds no batch".into();
                        self.damage.push(Damage { segment, offset, bytes, reason });
                        continue;
                    };
                    if self.accept(header, segment, offset, bytes)? {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// The current record: its header and its batch. REQUIRES: `advance` returned true.
    pub fn record(&self) -> (Header, &Batch) {
        (self.header, &self.batch)
    }

    /// The segments that have been read to their ends, as they were found.
    pub fn seals(&self) -> &[Seal] {
        &self.seals
    }

    /// What has been read, skipped and left so far.
    pub fn report(&self) -> &ReplayReport {
        &self.report
    }

    /// Whether to apply the record with this header.
    fn accept(&mut self, header: Header, segment: u64, offset: u64, bytes: u64) -> Result<bool> {
        self.durable_seen = self.durable_seen.max(header.durable);
        if header.count == 0 || header.last() < self.expected {
            // It only says what is durable, or repeats what has been replayed.
            return Ok(false);
        }
        if header.sequence < self.expected {
            let reason = format!("a record begins at {}, {} was expected", header.sequence, self.expected);
            self.damage.push(Damage { segment, offset, bytes, reason });
            return Ok(false);
        }
        let missing = header.sequence - self.expected;
        if missing > 0 || !self.damage.is_empty() {
            if missing > 0 && self.damage.is_empty() {
                self.damage.push(self.gap(header, segment, offset));
            }
            if let Verdict::Stop = self.judge(Some(missing))? {
                self.drop_record(header);
                self.drop_rest()?;
                return Ok(false);
            }
        }
        self.ended = None;
        self.header = header;
        self.expected = header.last() + 1;
        self.report.records += 1;
        self.report.operations += header.count;
        Ok(true)
    }

    /// Describes a gap before a record without any damage. Where the record is the first of its segment, what is
    /// missing is the end of the segment before.
    fn gap(&self, header: Header, segment: u64, offset: u64) -> Damage {
        let (found, expected) = (header.sequence, self.expected);
        match self.ended {
            Some((before, length)) => {
                let file = FileName::Wal(segment);
                let reason = format!("the file ends before {expected}, and {file} begins at {found}");
                Damage { segment: before, offset: length, bytes: 0, reason }
            }
            None => {
                let reason = format!("a record begins at {found}, {expected} was expected");
                Damage { segment, offset, bytes: 0, reason }
            }
        }
    }

    /// Judges the damage since the last record. `missing` operations are known to be lost, if that is known.
    fn judge(&mut self, missing: Option<u64>) -> Result<Verdict> {
        let Some(first) = self.damage.first().cloned() else { return Ok(Verdict::GoOn) };
        let file = FileName::Wal(first.segment).to_string();
        let kind = match missing {
            Some(0) => LossKind::Harmless,
            _ if self.expected <= self.durable_max()? => LossKind::Corruption,
            _ => LossKind::TornTail,
        };
        let refuses = match self.mode {
            RecoveryMode::Absolute => true,
            RecoveryMode::TolerateTornTail => kind == LossKind::Corruption,
            RecoveryMode::SkipCorrupted | RecoveryMode::PointInTime => false,
        };
        if refuses {
            return Err(Error::corrupt(
                file,
                first.offset,
                format!(
                    "{}; sequence number {} is missing from the log. Recovery mode {} refuses that: nothing was \
                     changed; open with skip-corrupted or point-in-time to recover what is sound",
                    first.reason,
                    self.expected,
                    mode_name(self.mode),
                ),
            ));
        }
        let bytes = self.damage.iter().map(|damage| damage.bytes).sum();
        self.damage.clear();
        self.report.losses.push(Loss {
            kind,
            file,
            offset: first.offset,
            bytes,
            sequence: self.expected,
            operations: missing,
            reason: first.reason,
        });
        let stops = match kind {
            LossKind::Harmless => false,
            LossKind::TornTail => true,
            LossKind::Corruption => self.mode == RecoveryMode::PointInTime,
        };
        Ok(if stops { Verdict::Stop } else { Verdict::GoOn })
    }

    fn open_segment(&mut self) -> Result<()> {
        let Some(&number) = self.segments.get(self.at) else {
            self.expect_durable();
            self.judge(None)?;
            self.done = true;
            return Ok(());
        };
        let file = self.fs.open(&FileName::Wal(number).to_string())?;
        self.reader = Some(RecordReader::new(file, number));
        self.report.segments += 1;
        Ok(())
    }

    /// At the log's end: what was known durable must have been there.
    fn expect_durable(&mut self) {
        if !self.damage.is_empty() || self.expected > self.durable_seen {
            return;
        }
        let Some(&segment) = self.segments.last() else { return };
        let (expected, durable) = (self.expected, self.durable_seen);
        let reason = format!(
            "the log ends before {expected}, and a record in it knows {durable} to have been durable"
        );
        self.damage.push(Damage { segment, offset: 0, bytes: 0, reason });
    }

    fn end_segment(&mut self, length: u64) -> Result<()> {
        self.report.bytes += length;
        if let (Some(&number), Some(reader)) = (self.segments.get(self.at), &self.reader) {
            self.seals.push(Seal { number, bytes: length, digest: reader.digest() });
        }
        self.ended = self.segments.get(self.at).map(|&segment| (segment, length));
        self.reader = None;
        self.at += 1;
        Ok(())
    }

    /// The greatest sequence number that any sound record knows to have been durable.
    fn durable_max(&mut self) -> Result<u64> {
        if let Some(known) = self.durable_max {
            return Ok(known);
        }
        let mut max = 0;
        for &number in &self.segments {
            let file = self.fs.open(&FileName::Wal(number).to_string())?;
            for_each_header(&mut RecordReader::new(file, number), |header| max = max.max(header.durable))?;
        }
        self.durable_max = Some(max);
        Ok(max)
    }

    fn drop_record(&mut self, header: Header) {
        self.report.records_dropped += 1;
        self.report.operations_dropped += header.count;
    }

    /// Counts what stands after the end of the log.
    fn drop_rest(&mut self) -> Result<()> {
        let mut dropped = Vec::new();
        if let Some(reader) = &mut self.reader {
            for_each_header(reader, |header| dropped.push(header))?;
        }
        for &number in self.segments.get(self.at + 1..).unwrap_or_default() {
            let file = self.fs.open(&FileName::Wal(number).to_string())?;
            self.report.segments += 1;
            for_each_header(&mut RecordReader::new(file, number), |header| dropped.push(header))?;
        }
        let expected = self.expected;
        for header in dropped.into_iter().filter(|header| header.count > 0 && header.last() >= expected) {
            self.drop_record(header);
        }
        self.done = true;
        Ok(())
    }
}

fn for_each_header<F: crate::env::File>(
    reader: &mut RecordReader<F>,
    mut each: impl FnMut(Header),
) -> Result<()> {
    let mut batch = Batch::new();
    loop {
        match reader.read()? {
            Item::End { .. } => return Ok(()),
            Item::Damage { .. } => {}
            Item::Record { .. } => {
                if let Some(header) = decode(reader.payload(), &mut batch) {
                    each(header);
                }
            }
        }
    }
}

fn mode_name(mode: RecoveryMode) -> &'static str {
    match mode {
        RecoveryMode::SkipCorrupted => "skip-corrupted",
        RecoveryMode::PointInTime => "point-in-time",
        RecoveryMode::TolerateTornTail => "tolerate-torn-tail",
        RecoveryMode::Absolute => "absolute",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::*;
    use crate::env::MemFs;

    fn batch(sequence: u64) -> Batch {
        let mut batch = Batch::new();
        batch.put(&sequence.to_le_bytes(), b"value");
        batch
    }

    /// Writes ten records of one operation each, five a segment; everything up to `durable` was synced before
    /// the eighth was written. Returns where each record of the first segment ends.
    fn log(durable: u64) -> (Arc<MemFs>, Vec<u64>) {
        let fs = Arc::new(MemFs::new());
        let mut writer = Writer::create(Arc::clone(&fs), 1).expect("in memory");
        let mut ends = Vec::new();
        for sequence in 1..=10 {
            if sequence == 6 {
                writer.rotate(2).expect("in memory");
            }
            let durable = if sequence >= 8 { durable } else { 0 };
            writer.append(Header { sequence, durable, count: 1 }, batch(sequence).as_packed(), 0);
            ends.push(writer.length());
        }
        writer.sync().expect("in memory");
        (fs, ends)
    }

    fn replay(fs: &Arc<MemFs>, mode: RecoveryMode) -> Result<(Vec<u64>, ReplayReport)> {
        let mut replay = Replay::new(Arc::clone(fs), vec![1, 2], 0, mode);
        let mut seen = Vec::new();
        while replay.advance()? {
            let (header, batch) = replay.record();
            assert_eq!(*batch, self::batch(header.sequence));
            seen.push(header.sequence);
        }
        Ok((seen, replay.report().clone()))
    }

    const MODES: [RecoveryMode; 4] = [
        RecoveryMode::SkipCorrupted,
        RecoveryMode::PointInTime,
        RecoveryMode::TolerateTornTail,
        RecoveryMode::Absolute,
    ];

    #[test]
    fn a_sound_log_replays_whole_in_every_mode() {
        let (fs, _) = log(5);
        for mode in MODES {
            let (seen, report) = replay(&fs, mode).expect("sound");
            assert_eq!(seen, (1..=10).collect::<Vec<_>>());
            assert!(report.losses.is_empty() && !report.lost_data());
        }
    }

    #[test]
    fn damage_to_what_was_durable_is_corruption() {
        let (fs, ends) = log(5);
        fs.damage("000001.wal", |bytes| bytes[ends[1] as usize + 20] ^= 0x10).expect("there");
        let (seen, report) = replay(&fs, RecoveryMode::SkipCorrupted).expect("skips");
        assert_eq!(seen, [1, 2, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(report.losses.len(), 1);
        assert_eq!(report.losses[0].kind, LossKind::Corruption);
        assert_eq!((report.losses[0].sequence, report.losses[0].operations), (3, Some(1)));
        assert_eq!((report.losses[0].file.as_str(), report.losses[0].offset), ("000001.wal", ends[1]));
        let (seen, report) = replay(&fs, RecoveryMode::PointInTime).expect("stops");
        assert_eq!((seen, report.records_dropped), (vec![1, 2], 7));
        for mode in [RecoveryMode::TolerateTornTail, RecoveryMode::Absolute] {
            let error = replay(&fs, mode).expect_err("refuses");
            assert!(error.is_corrupt() && error.to_string().contains("000001.wal"), "{error}");
        }
    }

    #[test]
    fn damage_to_what_was_never_durable_ends_the_log() {
        let (fs, ends) = log(2);
        fs.damage("000001.wal", |bytes| bytes[ends[1] as usize + 20] ^= 0x10).expect("there");
        for mode in [RecoveryMode::SkipCorrupted, RecoveryMode::PointInTime, RecoveryMode::TolerateTornTail] {
            let (seen, report) = replay(&fs, mode).expect("a torn tail");
            assert_eq!(seen, [1, 2]);
            assert_eq!(report.losses[0].kind, LossKind::TornTail);
            assert_eq!(report.records_dropped, 7);
        }
        assert!(replay(&fs, RecoveryMode::Absolute).expect_err("refuses").is_corrupt());
    }

    #[test]
    fn a_missing_segment_is_a_hole() {
        for (durable, expected) in [(5, vec![6, 7, 8, 9, 10]), (0, vec![])] {
            let (fs, _) = log(durable);
            let mut replay = Replay::new(fs, vec![2], 0, RecoveryMode::SkipCorrupted);
            let mut seen = Vec::new();
            while replay.advance().expect("skips or stops") {
                seen.push(replay.record().0.sequence);
            }
            assert_eq!(seen, expected);
            assert_eq!(replay.report().losses.len(), 1);
        }
    }

    /// A log whose durable end is missing was taken for a shorter, sound one: the record that a clean close
    /// leaves behind has no operations, and was not asked what it knows.
    #[test]
    fn a_missing_durable_end_is_corruption() {
        let fs = Arc::new(MemFs::new());
        let mut writer = Writer::create(Arc::clone(&fs), 1).expect("in memory");
        writer.append(Header { sequence: 1, durable: 0, count: 1 }, batch(1).as_packed(), 0);
        writer.rotate(2).expect("in memory");
        writer.append(Header { sequence: 2, durable: 0, count: 1 }, batch(2).as_packed(), 0);
        writer.rotate(3).expect("in memory");
        writer.append(Header { sequence: 3, durable: 2, count: 0 }, &[], 0);
        writer.sync().expect("in memory");
        let mut replay = Replay::new(Arc::clone(&fs), vec![1, 3], 0, RecoveryMode::SkipCorrupted);
        assert_eq!((replay.advance(), replay.advance()), (Ok(true), Ok(false)));
        assert!(replay.report().lost_data());
        let mut replay = Replay::new(fs, vec![1, 3], 0, RecoveryMode::TolerateTornTail);
        assert_eq!(replay.advance(), Ok(true));
        assert!(replay.advance().expect_err("refuses").is_corrupt());
    }

    #[test]
    fn what_is_in_tables_is_not_replayed_again() {
        let (fs, _) = log(5);
        let mut replay = Replay::new(fs, vec![1, 2], 7, RecoveryMode::Absolute);
        let mut seen = Vec::new();
        while replay.advance().expect("sound") {
            seen.push(replay.record().0.sequence);
        }
        assert_eq!(seen, [8, 9, 10]);
    }
}
