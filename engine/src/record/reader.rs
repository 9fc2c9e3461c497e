//! Reads the records of a log file, and says where it is damaged.

use super::{BLOCK_BYTES, HEADER_BYTES, Part};
use crate::base::checksum::{chain, fits, record_checksum};
use crate::base::coding::Decoder;
use crate::base::error::Result;
use crate::env::File;

/// So much is read at once of a file that is being written, where its end was seen: a few records. Twice as much each
/// time that more is there.
const FOLLOWING_BYTES: usize = 1 << 10;

/// What a reader finds next.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A sound record; its payload is in [`RecordReader::payload`].
    Record {
        /// Where its first fragment begins.
        offset: u64,
    },
    /// Bytes that are no sound record. The reader goes on after them.
    Damage {
        /// Where they begin.
        offset: u64,
        /// Where reading goes on.
        end: u64,
        /// What was expected and what was found.
        reason: String,
    },
    /// The end of the records: the file's end, or zeros up to there, which a writer has allocated ahead. More may
    /// follow when the file grows.
    End {
        /// Where the records end.
        offset: u64,
    },
}

/// A reader over the records of one file, front to back.
#[derive(Debug)]
pub struct RecordReader<F> {
    file: F,
    number: u64,
    /// What is read of the current block, and where it begins in the file.
    block: Vec<u8>,
    block_start: u64,
    /// Whether the file has more of the block, which the next read gets.
    has_more: bool,
    /// How much the next read of the file gets.
    read_bytes: usize,
    /// The next fragment's place in the block.
    at: usize,
    payload: Vec<u8>,
    digest: u64,
    /// Whether the file is still written to.
    follows: bool,
}

/// A place between two records of a file.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    block_start: u64,
    at: usize,
}

/// What stands at a place in a block.
enum Fragment {
    Sound {
        part: Part,
        checksum: u32,
        start: usize,
        end: usize,
    },
    Padding,
    End,
    /// Zeros where a header should be; and whether only zeros follow in the block.
    Zeros {
        only: bool,
    },
    Damaged {
        reason: String,
        next: Option<usize>,
    },
}

impl<F: File> RecordReader<F> {
    /// A reader at the start of `file`, which has this number in its name.
    pub fn new(file: F, number: u64) -> Self {
        Self {
            file,
            number,
            block: Vec::new(),
            block_start: 0,
            has_more: false,
            read_bytes: BLOCK_BYTES,
            at: 0,
            payload: Vec::new(),
            digest: 0,
            follows: false,
        }
    }

    /// A reader of a file that is being written: zeros where a record should begin are then its end for now, whatever
    /// follows, since that may have been written just after they were read.
    pub fn following(file: F, number: u64) -> Self {
        Self { follows: true, read_bytes: FOLLOWING_BYTES, ..Self::new(file, number) }
    }

    /// The payload of the last record.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The digest of all fragments of records so far, where nothing was read twice.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The next record, damage, or the end.
    ///
    /// # Errors
    ///
    /// Only those of the file system: damage is an answer.
    pub fn read(&mut self) -> Result<Item> {
        self.payload.clear();
        let mut record: Option<u64> = None;
        let mut fresh = false;
        loop {
            if self.at >= self.block.len() {
                if !self.load()? {
                    return Ok(match record {
                        Some(offset) => self.damage(offset, "the file ends within a record".into()),
                        None => Item::End { offset: self.position() },
                    });
                }
                fresh = true;
            }
            let here = self.position();
            match self.fragment(self.at) {
                Fragment::Padding => self.at = self.block.len(),
                Fragment::Zeros { .. } if self.follows && !fresh => {
                    // What was not written when they were read may be by now.
                    self.forget_rest();
                }
                Fragment::End | Fragment::Damaged { .. } if self.has_more => {
                    self.load()?;
                    fresh = true;
                }
                Fragment::End => {
                    let offset = record.unwrap_or(here);
                    self.at = self.block.len();
                    return Ok(self.damage(offset, "the file ends within a record's fragment".into()));
                }
                Fragment::Zeros { only } if self.follows || (only && self.zeros_to_the_end()?) => {
                    // What is not written yet may be by the next call: it reads the block again.
                    self.forget_rest();
                    return Ok(match record {
                        Some(offset) => self.damage(offset, "the file ends within a record".into()),
                        None => Item::End { offset: here },
                    });
                }
                Fragment::Zeros { .. } => {
                    self.at = self.block.len();
                    return Ok(
                        self.damage(record.unwrap_or(here), "zeros where a record should begin".into())
                    );
                }
                Fragment::Damaged { reason, next } => {
                    self.at = next.unwrap_or(self.block.len());
                    return Ok(self.damage(record.unwrap_or(here), reason));
                }
                Fragment::Sound { part, checksum, start, end } => match (part, record) {
                    // A record begins where another has not ended: the first one's end is missing. The second
                    // is found by the next call.
                    (Part::Whole | Part::First, Some(offset)) => {
                        return Ok(self.damage(offset, "a record has no last fragment".into()));
                    }
                    (Part::Middle | Part::Last, None) => {
                        self.at = end;
                        return Ok(self.damage(here, "a fragment has no first fragment before it".into()));
                    }
                    (Part::Whole | Part::Last, _) => {
                        self.take(checksum, start, end);
                        return Ok(Item::Record { offset: record.unwrap_or(here) });
                    }
                    (Part::First | Part::Middle, _) => {
                        self.take(checksum, start, end);
                        record = record.or(Some(here));
                    }
                },
            }
        }
    }

    /// The place that the next call of [`RecordReader::read`] begins at.
    pub fn mark(&self) -> Mark {
        Mark { block_start: self.block_start, at: self.at }
    }

    /// Goes back to a place, to read it again: what was damage there may have been a record on its way to the file.
    pub fn rewind(&mut self, mark: Mark) {
        // The next call reads the block again, and goes on where these bytes end.
        self.block.clear();
        self.block.resize(mark.at, 0);
        self.block_start = mark.block_start;
        self.at = mark.at;
        self.forget_rest();
    }

    /// Where the next call of [`RecordReader::read`] begins, in bytes from the file's start.
    pub fn position(&self) -> u64 {
        self.block_start + self.at as u64
    }

    fn damage(&self, offset: u64, reason: String) -> Item {
        Item::Damage { offset, end: self.position(), reason }
    }

    fn take(&mut self, checksum: u32, start: usize, end: usize) {
        self.digest = chain(self.digest, u64::from(checksum));
        self.payload.extend_from_slice(self.block.get(start..end).unwrap_or_default());
        self.at = end;
    }

    /// Reads on in the block, or the next block where it is full. False at the file's end.
    fn load(&mut self) -> Result<bool> {
        let full = self.block.len() == BLOCK_BYTES;
        let (start, keep) = match full {
            true => (self.block_start + BLOCK_BYTES as u64, 0),
            false => (self.block_start, self.block.len()),
        };
        let wanted = self.read_bytes.min(BLOCK_BYTES - keep);
        let bytes = self.file.read(start + keep as u64, wanted)?;
        self.has_more = bytes.len() == wanted && keep + wanted < BLOCK_BYTES;
        if bytes.is_empty() {
            return Ok(false);
        }
        if full {
            (self.block_start, self.at) = (start, 0);
        }
        self.block.truncate(keep);
        self.block.extend_from_slice(&bytes);
        self.read_bytes = (2 * self.read_bytes).min(BLOCK_BYTES);
        Ok(true)
    }

    /// Forgets what was read from the present place on.
    fn forget_rest(&mut self) {
        self.block.truncate(self.at);
        self.has_more = false;
        if self.follows {
            self.read_bytes = FOLLOWING_BYTES;
        }
    }

    /// Whether nothing but zeros follows the current block. REQUIRES: it ends in zeros.
    fn zeros_to_the_end(&self) -> Result<bool> {
        let mut bytes = vec![0; BLOCK_BYTES];
        let mut at = self.block_start + self.block.len() as u64;
        loop {
            let read = self.file.read_at(at, &mut bytes)?;
            if bytes.get(..read).unwrap_or_default().iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            if read < bytes.len() {
                return Ok(true);
            }
            at += read as u64;
        }
    }

    fn fragment(&self, at: usize) -> Fragment {
        let rest = self.block.get(at..).unwrap_or_default();
        if BLOCK_BYTES - at < HEADER_BYTES {
            return match rest.iter().all(|&byte| byte == 0) {
                true => Fragment::Padding,
                false => Fragment::Damaged { reason: "a block's padding is not zero".into(), next: None },
            };
        }
        let zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        let Some((header, after)) = rest.split_at_checked(HEADER_BYTES) else {
            let zeros = zero(rest) && !self.has_more;
            return if zeros { Fragment::Zeros { only: true } } else { Fragment::End };
        };
        if zero(header) {
            return Fragment::Zeros { only: zero(after) };
        }
        let mut decoder = Decoder::new(header);
        let (Some(expected), Some(length), Some(kind)) = (decoder.u32(), decoder.u16(), decoder.u8()) else {
            return Fragment::End;
        };
        let length = usize::from(length);
        let start = at + HEADER_BYTES;
        let Some(payload) = after.get(..length) else {
            return match start + length > BLOCK_BYTES {
                true => Fragment::Damaged {
                    reason: format!(
                        "a fragment's length is {length}, its block has room for {}",
                        BLOCK_BYTES - start
                    ),
                    next: None,
                },
                false => Fragment::End,
            };
        };
        let found = record_checksum(self.number, self.block_start + at as u64, kind, payload);
        match Part::from_byte(kind) {
            Some(part) if fits(expected, found) => {
                Fragment::Sound { part, checksum: found, start, end: start + length }
            }
            _ => Fragment::Damaged {
                reason: format!(
                    "a fragment's checksum is {expected:#010x} where its bytes have {found:#010x}"
                ),
                next: self.sound_at(start + length),
            },
        }
    }

    /// `at`, if a sound fragment stands there.
    fn sound_at(&self, at: usize) -> Option<usize> {
        let rest = self.block.get(at..)?;
        let (header, after) = rest.split_at_checked(HEADER_BYTES)?;
        let mut decoder = Decoder::new(header);
        let (expected, length, kind) = (decoder.u32()?, decoder.u16()?, decoder.u8()?);
        let payload = after.get(..usize::from(length))?;
        let found = record_checksum(self.number, self.block_start + at as u64, kind, payload);
        let sound = Part::from_byte(kind).is_some() && fits(expected, found);
        sound.then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Framer;
    use super::*;
    use std::cell::Cell;

    /// A file that is a byte string.
    #[derive(Debug)]
    struct Bytes(Vec<u8>);

    impl File for Bytes {
        fn append(&mut self, bytes: &[u8]) -> Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
        fn len(&self) -> Result<u64> {
            Ok(self.0.len() as u64)
        }
        fn sync(&mut self) -> Result<()> {
            Ok(())
        }
    }

    const LENGTHS: [usize; 8] = [0, 1, 100, 32_754, 32_768, 3, 100_000, 7];

    fn payload(index: usize) -> Vec<u8> {
        (0..LENGTHS[index]).map(|i| (i * 31 + index) as u8).collect()
    }

    fn log() -> (Vec<u8>, Vec<usize>) {
        let mut framer = Framer::new(9);
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for index in 0..LENGTHS.len() {
            framer.frame(&payload(index), &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    /// The records that are read from `bytes`, and how often damage was reported.
    fn read(bytes: Vec<u8>) -> (Vec<Vec<u8>>, usize) {
        let mut reader = RecordReader::new(Bytes(bytes), 9);
        let (mut records, mut damages) = (Vec::new(), 0);
        loop {
            match reader.read().expect("no I/O error") {
                Item::Record { .. } => records.push(reader.payload().to_vec()),
                Item::Damage { offset, end, .. } => {
                    assert!(end >= offset);
                    damages += 1;
                }
                Item::End { .. } => return (records, damages),
            }
        }
    }

    #[test]
    fn records_read_back() {
        let (bytes, _) = log();
        let (records, damages) = read(bytes);
        assert_eq!(damages, 0);
        assert_eq!(records, (0..LENGTHS.len()).map(payload).collect::<Vec<_>>());
    }

    #[test]
    fn a_cut_file_gives_a_prefix() {
        let (bytes, ends) = log();
        for cut in
            (0..bytes.len()).step_by(37).chain(ends.iter().copied()).chain(ends.iter().map(|end| end - 1))
        {
            let (records, damages) = read(bytes[..cut].to_vec());
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(records, (0..whole).map(payload).collect::<Vec<_>>(), "cut at {cut}");
            assert!(damages <= 1);
        }
    }

    #[test]
    fn a_flipped_byte_is_reported_and_invents_nothing() {
        let (bytes, _) = log();
        for at in (0..bytes.len()).step_by(53) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            let (records, damages) = read(damaged);
            assert!(damages > 0, "flip at {at}");
            let mut originals = (0..LENGTHS.len()).map(payload);
            assert!(
                records.iter().all(|record| originals.any(|original| original == *record)),
                "flip at {at}"
            );
        }
    }

    /// A power cut left, in the place of a manifest's last edit, what had stood in the place of the one before it: the
    /// same edit held twice.
    #[test]
    fn a_record_of_another_place_in_the_file_is_damage() {
        let mut bytes = Vec::new();
        let mut framer = Framer::new(9);
        for payload in [b"first", b"again", b"third"] {
            framer.frame(payload, &mut bytes);
        }
        let length = bytes.len() / 3;
        bytes.copy_within(length..2 * length, 2 * length);
        assert_eq!(read(bytes), (vec![b"first".to_vec(), b"again".to_vec()], 1));
    }

    #[test]
    fn another_files_records_are_damage() {
        let mut bytes = Vec::new();
        Framer::new(8).frame(b"not ours", &mut bytes);
        assert_eq!(read(bytes), (vec![], 1));
    }

    /// A writer may allocate a file's end ahead of what it writes; a killed one leaves it.
    #[test]
    fn zeros_at_the_end_are_no_damage_and_zeros_before_records_are() {
        let (bytes, ends) = log();
        for end in [0, ends[1], ends[5], ends[7]] {
            for zeros in [1, 6, 7, 100, BLOCK_BYTES, 3 * BLOCK_BYTES + 5] {
                let mut tail = bytes[..end].to_vec();
                tail.resize(end + zeros, 0);
                let (records, damages) = read(tail.clone());
                let whole = ends.iter().filter(|&&at| at <= end).count();
                assert_eq!((records.len(), damages), (whole, 0), "{zeros} zeros at {end}");
                *tail.last_mut().expect("not empty") = 1;
                assert!(read(tail).1 > 0, "{zeros} zeros at {end}, and something at last");
            }
        }
        let mut hole = bytes.clone();
        hole[ends[1]..ends[2]].fill(0);
        assert!(read(hole).1 > 0, "a record of zeros with others behind it");
    }

    /// A reader that follows a writer sees zeros where the next record will be, and later the record.
    #[test]
    fn a_file_that_is_allocated_ahead_is_followed() {
        let (bytes, ends) = log();
        let mut reader = RecordReader::following(Bytes(vec![0; bytes.len() + 5000]), 9);
        let mut start = 0;
        for (index, &end) in ends.iter().enumerate() {
            assert!(matches!(reader.read(), Ok(Item::End { .. })), "before record {index}");
            reader.file.0[start..end].copy_from_slice(&bytes[start..end]);
            assert!(matches!(reader.read(), Ok(Item::Record { .. })), "record {index}");
            assert_eq!(reader.payload(), payload(index));
            start = end;
        }
        assert!(matches!(reader.read(), Ok(Item::End { .. })));
    }

    /// A reader that follows a writer may see a record before all of it is there.
    #[test]
    fn a_record_that_is_being_written_is_read_later() {
        let (bytes, ends) = log();
        for ahead in [0, 100, 40_000] {
            let file = || Bytes(vec![0; ahead]);
            read_while_it_is_written(RecordReader::following(file(), 9), &bytes, &ends, ahead);
        }
        read_while_it_is_written(RecordReader::new(Bytes(Vec::new()), 9), &bytes, &ends, 0);
    }

    fn read_while_it_is_written(mut reader: RecordReader<Bytes>, bytes: &[u8], ends: &[usize], ahead: usize) {
        let mut whole = 0;
        for cut in (0..bytes.len()).step_by(97).chain([bytes.len()]) {
            reader.file.0 = bytes[..cut].to_vec();
            reader.file.0.resize(cut + ahead, 0);
            loop {
                let mark = reader.mark();
                match reader.read().expect("no I/O error") {
                    Item::Record { .. } => {
                        assert_eq!(reader.payload(), payload(whole));
                        whole += 1;
                    }
                    Item::End { .. } => break,
                    Item::Damage { .. } => {
                        reader.rewind(mark);
                        break;
                    }
                }
            }
            assert_eq!(whole, ends.iter().filter(|&&end| end <= cut).count(), "at {cut} of {ahead} more");
        }
    }

    #[test]
    fn a_growing_file_is_followed() {
        let (bytes, ends) = log();
        for mut reader in [RecordReader::new as fn(_, _) -> _, RecordReader::following]
            .map(|open| open(Bytes(Vec::new()), 9))
        {
            let mut start = 0;
            for (index, &end) in ends.iter().enumerate() {
                assert!(matches!(reader.read(), Ok(Item::End { .. })));
                reader.file.0.extend_from_slice(&bytes[start..end]);
                assert!(matches!(reader.read(), Ok(Item::Record { .. })), "record {index}");
                assert_eq!(reader.payload(), payload(index));
                start = end;
            }
        }
    }

    /// A file of which every read is counted, with the bytes that it asks for.
    #[derive(Debug)]
    struct Counted {
        bytes: Vec<u8>,
        reads: Cell<usize>,
        asked: Cell<usize>,
    }

    impl File for Counted {
        fn append(&mut self, _: &[u8]) -> Result<()> {
            unreachable!("it is only read")
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            self.reads.set(self.reads.get() + 1);
            self.asked.set(self.asked.get() + buffer.len());
            Bytes(self.bytes.clone()).read_at(offset, buffer)
        }
        fn len(&self) -> Result<u64> {
            Ok(self.bytes.len() as u64)
        }
        fn sync(&mut self) -> Result<()> {
            unreachable!("it is only read")
        }
    }

    #[test]
    fn each_record_that_has_come_costs_a_small_read_and_many_cost_large_ones() {
        let mut framer = Framer::new(9);
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..2_000 {
            framer.frame(&payload(2), &mut bytes);
            ends.push(bytes.len());
        }
        let file = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.resize(300_000, 0);
            Counted { bytes, reads: Cell::new(0), asked: Cell::new(0) }
        };
        let mut reader = RecordReader::following(file(&[]), 9);
        assert!(matches!(reader.read(), Ok(Item::End { .. })));
        for end in &ends[..500] {
            reader.file = file(&bytes[..*end]);
            assert!(matches!(reader.read(), Ok(Item::Record { .. })), "up to {end}");
            // One where a block of the file ends, and what follows it is read, too.
            assert!(
                reader.file.reads.get() <= 2 && reader.file.asked.get() <= 3 * FOLLOWING_BYTES,
                "up to {end}"
            );
        }
        reader.file = file(&bytes);
        for end in &ends[500..] {
            assert!(matches!(reader.read(), Ok(Item::Record { .. })), "up to {end}");
        }
        let rest = bytes.len() - ends[499];
        assert!(reader.file.reads.get() <= rest / BLOCK_BYTES + 10, "{} reads", reader.file.reads.get());
        assert!(reader.file.asked.get() <= rest + BLOCK_BYTES, "{} bytes", reader.file.asked.get());
    }
}
