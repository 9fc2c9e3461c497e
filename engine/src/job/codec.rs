//! Jobs and their results as bytes, for whoever runs them elsewhere.
//!
//! ```text
//! message = magic: 8 bytes | version: u8 | body | checksum of all before: u64
//! job     = `eskerjob` message: epoch | kind: u8 | work | snapshots: numbers | dropped buckets: numbers
//!         | outputs: numbers | table bytes | block bytes | bloom bits | compression: u8
//! work    = flush:    segments: count | (number | bytes | digest) each | after | flushed | log
//!         | compact:  reason: u8 | output level | inputs: tables | levels: varint | tables for each
//!         | clean up: names to remove
//! result  = `eskerout` message: id | job's digest: u64 | entries dropped | tables
//!         | unsynced: 0: u8, or 1: u8 | why: `bytes`
//! names   = count | each as `bytes`                                   numbers = count | each
//! tables  = count | each as `bytes` (docs/format.md, *Manifest*)
//! ```
//!
//! Numbers are varints. It is no disk format: both sides run the same build, or the version differs and the message is
//! refused, whatever else has changed in it.

use super::{Job, JobResult, Work};
use crate::base::checksum::{fits, message_checksum};
use crate::base::coding::{Decoder, put_bytes, put_u64, put_varint};
use crate::base::error::{Error, Result};
use crate::base::file_name::{FileName, NUMBER_MAX};
use crate::base::key::SEQUENCE_MAX;
use crate::base::options::Compression;
use crate::compaction::{Plan, Reason};
use crate::sstable::TableOptions;
use crate::version::{COUNT_MAX, LEVELS, TableMeta};
use crate::wal::Seal;
use std::sync::Arc;

const VERSION: u8 = 1;
const JOB: Kind = Kind { magic: *b"eskerjob", name: "job" };
const RESULT: Kind = Kind { magic: *b"eskerout", name: "outcome of a job" };
const HEAD_BYTES: usize = 9;
const FLUSH: u8 = 0;
const COMPACT: u8 = 1;
const CLEAN_UP: u8 = 2;

/// What a message is.
struct Kind {
    magic: [u8; 8],
    name: &'static str,
}

impl Kind {
    fn begin(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.push(VERSION);
        out
    }

    /// The message's body, if it is one of this kind and version that has come as it was sent.
    fn open<'a>(&self, bytes: &'a [u8]) -> Result<Decoder<'a>> {
        let name = self.name;
        let Some(version) = bytes.strip_prefix(&self.magic).and_then(|rest| rest.first()) else {
            return Err(Error::invalid(format!("the bytes ({} of them) are no {name}", bytes.len())));
        };
        if *version != VERSION {
            return Err(Error::invalid(format!(
                "the {name} has version {version} of its encoding, and this build knows version {VERSION}: run jobs \
                 with the build of Esker that their store is open in"
            )));
        }
        let damaged = |found: &str| Error::invalid(format!("the {name} was damaged on its way: {found}"));
        let (covered, checksum) =
            bytes.split_last_chunk::<8>().ok_or_else(|| damaged("it has been cut short"))?;
        let (expected, found) = (u64::from_le_bytes(*checksum), message_checksum(covered));
        if !fits(expected, found) {
            let message = format!("its checksum is {expected:#018x}, its bytes have {found:#018x}");
            return Err(damaged(&message));
        }
        Ok(Decoder::new(covered.get(HEAD_BYTES..).ok_or_else(|| damaged("it has been cut short"))?))
    }

    fn malformed(&self) -> Error {
        Error::invalid(format!("the {} is malformed, though its checksum is right", self.name))
    }
}

fn finish(mut out: Vec<u8>) -> Vec<u8> {
    let checksum = message_checksum(&out);
    put_u64(&mut out, checksum);
    out
}

impl Job {
    /// The job as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = JOB.begin();
        put_varint(&mut out, self.epoch);
        match &self.work {
            Work::Flush { segments, after, flushed, log } => {
                out.push(FLUSH);
                put_seals(&mut out, segments);
                for number in [after, flushed, log] {
                    put_varint(&mut out, *number);
                }
            }
            Work::Compact { plan, deeper } => {
                out.push(COMPACT);
                out.push(plan.reason as u8);
                put_varint(&mut out, plan.output_level as u64);
                put_tables(&mut out, plan.inputs.iter().map(|(level, table)| (*level, table)));
                put_varint(&mut out, deeper.len() as u64);
                for tables in deeper {
                    put_tables(&mut out, tables.iter().map(|table| (0, table)));
                }
            }
            Work::CleanUp { remove } => {
                out.push(CLEAN_UP);
                put_varint(&mut out, remove.len() as u64);
                for name in remove {
                    put_bytes(&mut out, name.to_string().as_bytes());
                }
            }
        }
        put_numbers(&mut out, self.snapshots.iter().copied());
        put_numbers(&mut out, self.dropped_buckets.iter().map(|&bucket| u64::from(bucket)));
        put_numbers(&mut out, self.outputs.iter().copied());
        put_varint(&mut out, self.table_bytes);
        put_varint(&mut out, u64::from(self.options.block_bytes));
        put_varint(&mut out, u64::from(self.options.bloom_bits));
        out.push(u8::from(self.options.compression == Compression::Lz4));
        finish(out)
    }

    /// The job in these bytes.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where they are no job, one of another version, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut decoder = JOB.open(bytes)?;
        let job = decode_job(&mut decoder).filter(|job| decoder.is_empty() && !job.outputs.is_empty());
        job.ok_or_else(|| JOB.malformed())
    }
}

impl JobResult {
    /// The result as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = RESULT.begin();
        put_varint(&mut out, self.id);
        put_u64(&mut out, self.job);
        put_varint(&mut out, self.entries_dropped);
        put_tables(&mut out, self.tables.iter().map(|table| (0, table)));
        out.push(u8::from(self.unsynced.is_some()));
        if let Some(why) = &self.unsynced {
            put_bytes(&mut out, why.as_bytes());
        }
        finish(out)
    }

    /// The result in these bytes.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where they are no result, one of another version, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut decoder = RESULT.open(bytes)?;
        let result = decode_result(&mut decoder).filter(|_| decoder.is_empty());
        result.ok_or_else(|| RESULT.malformed())
    }
}

fn decode_job(decoder: &mut Decoder<'_>) -> Option<Job> {
    let epoch = decoder.varint_up_to(NUMBER_MAX)?;
    let work = match decoder.u8()? {
        FLUSH => Work::Flush {
            segments: seals(decoder)?,
            after: decoder.varint_up_to(SEQUENCE_MAX)?,
            flushed: decoder.varint_up_to(SEQUENCE_MAX)?,
            log: decoder.varint_up_to(NUMBER_MAX)?,
        },
        COMPACT => {
            let reason = Reason::from_byte(decoder.u8()?)?;
            let output_level = decoder.varint32()? as usize;
            let inputs = tables(decoder)?;
            let levels = decoder.varint32()? as usize;
            if output_level >= LEVELS {
                return None;
            }
            let mut deeper = Vec::new();
            for _ in 0..levels {
                deeper.push(tables(decoder)?.into_iter().map(|(_, table)| table).collect());
            }
            Work::Compact { plan: Plan { reason, inputs, output_level }, deeper }
        }
        CLEAN_UP => Work::CleanUp { remove: names(decoder)? },
        _ => return None,
    };
    Some(Job {
        epoch,
        work,
        snapshots: numbers(decoder, |decoder| decoder.varint_up_to(SEQUENCE_MAX))?,
        dropped_buckets: numbers(decoder, Decoder::varint32)?,
        outputs: numbers(decoder, |decoder| decoder.varint_up_to(NUMBER_MAX))?,
        table_bytes: decoder.varint()?,
        options: TableOptions {
            block_bytes: decoder.varint32()?,
            bloom_bits: decoder.varint32()?,
            compression: match decoder.u8()? {
                0 => Compression::None,
                1 => Compression::Lz4,
                _ => return None,
            },
        },
    })
}

fn decode_result(decoder: &mut Decoder<'_>) -> Option<JobResult> {
    let (id, job, entries_dropped) = (decoder.varint()?, decoder.u64()?, decoder.varint()?);
    let tables = tables(decoder)?.into_iter().map(|(_, table)| table).collect();
    let unsynced = match decoder.u8()? {
        0 => None,
        1 => Some(String::from_utf8(decoder.bytes()?.to_vec()).ok()?),
        _ => return None,
    };
    Some(JobResult { id, job, tables, entries_dropped, unsynced })
}

/// Names of tables and log segments: nothing else is ever cleaned up.
fn names(decoder: &mut Decoder<'_>) -> Option<Vec<FileName>> {
    let count = decoder.varint32()?;
    let name = |bytes: &[u8]| match FileName::parse(std::str::from_utf8(bytes).ok()?)? {
        name @ (FileName::Table(_) | FileName::Wal(_)) => Some(name),
        FileName::Manifest(_) | FileName::Lost(_) => None,
    };
    (0..count).map(|_| name(decoder.bytes()?)).collect()
}

fn put_numbers(out: &mut Vec<u8>, numbers: impl ExactSizeIterator<Item = u64>) {
    put_varint(out, numbers.len() as u64);
    for number in numbers {
        put_varint(out, number);
    }
}

fn numbers<'a, N>(
    decoder: &mut Decoder<'a>,
    mut number: impl FnMut(&mut Decoder<'a>) -> Option<N>,
) -> Option<Vec<N>> {
    let count = decoder.varint32()?;
    // Collected one by one: a count that lies ends at the bytes' end, and reserves nothing.
    (0..count).map(|_| number(decoder)).collect()
}

fn put_seals(out: &mut Vec<u8>, seals: &[Seal]) {
    put_varint(out, seals.len() as u64);
    for seal in seals {
        for number in [seal.number, seal.bytes, seal.digest] {
            put_varint(out, number);
        }
    }
}

fn seals(decoder: &mut Decoder<'_>) -> Option<Vec<Seal>> {
    let count = decoder.varint32()?;
    let mut seal = || {
        Some(Seal {
            number: decoder.varint_up_to(NUMBER_MAX)?,
            bytes: decoder.varint_up_to(COUNT_MAX)?,
            digest: decoder.varint()?,
        })
    };
    (0..count).map(|_| seal()).collect()
}

fn put_tables<'a>(out: &mut Vec<u8>, tables: impl ExactSizeIterator<Item = (usize, &'a Arc<TableMeta>)>) {
    put_varint(out, tables.len() as u64);
    for (level, table) in tables {
        put_bytes(out, &table.encode(level));
    }
}

fn tables(decoder: &mut Decoder<'_>) -> Option<Vec<(usize, Arc<TableMeta>)>> {
    let count = decoder.varint32()?;
    let mut tables = Vec::new();
    for _ in 0..count {
        let (level, table) = TableMeta::decode(decoder.bytes()?)?;
        tables.push((level, Arc::new(table)));
    }
    Some(tables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::ErrorKind;
    use crate::base::key::{Kind, internal_key, trailer};

    fn table(number: u64) -> Arc<TableMeta> {
        let key = internal_key(&number.to_be_bytes(), trailer(number, Kind::Put));
        let (smallest, largest) = (key.clone(), key);
        Arc::new(TableMeta { number, size: 10 * number, smallest, largest, ..TableMeta::default() })
    }

    fn jobs() -> Vec<Job> {
        let options = TableOptions { block_bytes: 4096, bloom_bits: 10, compression: Compression::Lz4 };
        let job = |work| Job {
            epoch: 2,
            work,
            snapshots: vec![3, 300],
            dropped_buckets: vec![2, 240],
            outputs: vec![9, 10],
            table_bytes: 1 << 25,
            options,
        };
        let inputs = vec![(0, table(7)), (1, table(5))];
        let plan = Plan { reason: Reason::Level0, inputs, output_level: 1 };
        let seal = |number| Seal { number, bytes: 1000 * number, digest: u64::MAX / number };
        vec![
            job(Work::Flush { segments: vec![seal(4), seal(6)], after: 100, flushed: 200, log: 8 }),
            job(Work::Compact { plan, deeper: vec![vec![table(1)], vec![table(2), table(3)]] }),
            job(Work::CleanUp { remove: vec![FileName::Table(7), FileName::Wal(8)] }),
        ]
    }

    fn refusal(job: &[u8]) -> String {
        let error = Job::decode(job).expect_err("no job");
        assert_eq!(*error.kind(), ErrorKind::InvalidArgument);
        error.message().to_owned()
    }

    #[test]
    fn jobs_and_results_read_back() {
        for job in jobs() {
            assert_eq!(Job::decode(&job.encode()), Ok(job));
        }
        for unsynced in [None, Some("no".to_owned())] {
            let result =
                JobResult { id: 9, job: 1 << 63, tables: vec![table(9)], entries_dropped: 5, unsynced };
            assert_eq!(JobResult::decode(&result.encode()), Ok(result));
        }
    }

    #[test]
    fn a_clean_up_removes_nothing_but_tables_and_log_segments() {
        let mut job = jobs().remove(2);
        for name in [FileName::Manifest(3), FileName::Lost(3)] {
            job.work = Work::CleanUp { remove: vec![name] };
            assert!(Job::decode(&job.encode()).is_err(), "{name}");
        }
    }

    #[test]
    fn bytes_that_are_no_job_are_refused_with_the_reason() {
        for job in jobs() {
            let bytes = job.encode();
            for cut in 0..bytes.len() {
                let why = refusal(bytes.get(..cut).expect("in bounds"));
                assert!(
                    why.contains(if cut < HEAD_BYTES { "are no job" } else { "damaged" }),
                    "{cut}: {why}"
                );
            }
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x20;
                let expected = match at {
                    0..8 => "are no job",
                    8 => "version 33 of its encoding, and this build knows version 1",
                    _ => "its checksum is",
                };
                let why = refusal(&flipped);
                assert!(why.contains(expected), "flip at {at}: {why}");
            }
            assert!(JobResult::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_count_of_four_thousand_million_reserves_nothing() {
        let mut bytes = JOB.begin();
        bytes.extend_from_slice(&[2, FLUSH, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(refusal(&finish(bytes)).contains("malformed"));
    }

    /// The fuzzer made sizes that added up to more than 64 bits hold, and stopped whoever described the job; and an
    /// epoch of 2^64 - 1, and whoever was to run it looked for the manifest of the epoch after it.
    #[test]
    fn numbers_that_no_store_reaches_are_refused() {
        let [flush, compact, _] = jobs().try_into().expect("three jobs");
        let with_epoch = |epoch| Job { epoch, ..flush.clone() };
        let with_seal = |bytes| {
            let mut job = flush.clone();
            let Work::Flush { segments, .. } = &mut job.work else { panic!("the first is a flush") };
            segments.iter_mut().for_each(|seal| seal.bytes = bytes);
            job
        };
        let with_table = |size| {
            let mut job = compact.clone();
            let Work::Compact { plan, .. } = &mut job.work else { panic!("the second is a compaction") };
            for (_, table) in &mut plan.inputs {
                *table = Arc::new(TableMeta { size, ..TableMeta::clone(table) });
            }
            job
        };
        let decoded = |job: Job| Job::decode(&job.encode());
        assert!(decoded(with_epoch(NUMBER_MAX)).is_ok());
        assert_eq!(decoded(with_seal(COUNT_MAX)).expect("within").input_bytes(), 2 * COUNT_MAX);
        assert_eq!(decoded(with_table(COUNT_MAX)).expect("within").input_bytes(), 2 * COUNT_MAX);
        for beyond in
            [with_epoch(NUMBER_MAX + 1), with_epoch(u64::MAX), with_seal(COUNT_MAX + 1), with_table(u64::MAX)]
        {
            assert!(refusal(&beyond.encode()).contains("malformed"));
        }
    }

    #[test]
    fn a_result_of_another_job_is_refused() {
        let job = jobs().remove(1);
        let of = |job: &Job, tables| JobResult {
            id: 9,
            job: job.digest(),
            tables,
            entries_dropped: 0,
            unsynced: None,
        };
        let edit = job.edit(&of(&job, vec![table(10)])).expect("of this job");
        assert_eq!(edit.removed, [(0, 7), (1, 5)]);
        assert!(job.edit(&JobResult { id: 8, ..of(&job, vec![]) }).is_err(), "another id");
        assert!(job.edit(&of(&job, vec![table(11)])).is_err(), "a number that was not reserved");
        let other = Job { epoch: 3, ..job.clone() };
        assert_eq!(other.id(), job.id());
        assert!(other.edit(&of(&job, vec![table(10)])).is_err(), "the same id in another epoch");
        let clean_up = jobs().remove(2);
        assert!(clean_up.edit(&of(&clean_up, vec![table(9)])).is_err(), "a clean-up makes no table");
    }
}
