//! Jobs and their results as bytes, for whoever runs them elsewhere.
//!
//! ```text
//! job    = 1: u8 | kind: u8 | work | snapshots: numbers | outputs: numbers | table bytes | block bytes | bloom bits
//!        | compression: u8
//! work   = flush:   segments: numbers | after | flushed | log
//!        | compact: reason: u8 | output level | inputs: tables | levels: varint | tables for each
//!        | clean up: epoch | names to remove
//! result = 1: u8 | id | entries dropped | tables | unsynced: 0: u8, or 1: u8 | why: `bytes`
//! names  = count | each as `bytes`
//! tables = count | each as `bytes` (docs/format.md, *Manifest*)       numbers = count | each
//! ```
//!
//! The first byte is the encoding's version; numbers are varints. It is no disk format: both sides run the same build,
//! or the version differs and the job is refused.

use super::{Job, JobResult, Work};
use crate::base::coding::{Decoder, put_bytes, put_varint};
use crate::base::error::{Error, Result};
use crate::base::file_name::FileName;
use crate::base::options::Compression;
use crate::compaction::{Plan, Reason};
use crate::sstable::TableOptions;
use crate::version::{LEVELS, TableMeta};
use std::sync::Arc;

const VERSION: u8 = 1;
const FLUSH: u8 = 0;
const COMPACT: u8 = 1;
const CLEAN_UP: u8 = 2;

impl Job {
    /// The job as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match &self.work {
            Work::Flush { segments, after, flushed, log } => {
                out.push(FLUSH);
                put_numbers(&mut out, segments);
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
            Work::CleanUp { epoch, remove } => {
                out.push(CLEAN_UP);
                put_varint(&mut out, *epoch);
                put_varint(&mut out, remove.len() as u64);
                for name in remove {
                    put_bytes(&mut out, name.to_string().as_bytes());
                }
            }
        }
        put_numbers(&mut out, &self.snapshots);
        put_numbers(&mut out, &self.outputs);
        put_varint(&mut out, self.table_bytes);
        put_varint(&mut out, u64::from(self.options.block_bytes));
        put_varint(&mut out, u64::from(self.options.bloom_bits));
        out.push(u8::from(self.options.compression == Compression::Lz4));
        out
    }

    /// The job in these bytes.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where they are no job, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut decoder = Decoder::new(bytes);
        let job = decode_job(&mut decoder).filter(|job| decoder.is_empty() && !job.outputs.is_empty());
        job.ok_or_else(|| Error::invalid("the bytes are no job, or one of another version of Esker"))
    }
}

impl JobResult {
    /// The result as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(&mut out, self.id);
        put_varint(&mut out, self.entries_dropped);
        put_tables(&mut out, self.tables.iter().map(|table| (0, table)));
        out.push(u8::from(self.unsynced.is_some()));
        if let Some(why) = &self.unsynced {
            put_bytes(&mut out, why.as_bytes());
        }
        out
    }

    /// The result in these bytes.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where they are no result, or one of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut decoder = Decoder::new(bytes);
        let result = decode_result(&mut decoder).filter(|_| decoder.is_empty());
        result.ok_or_else(|| {
            Error::invalid("the bytes are no result of a job, or one of another version of Esker")
        })
    }
}

fn decode_job(decoder: &mut Decoder<'_>) -> Option<Job> {
    if decoder.u8()? != VERSION {
        return None;
    }
    let work = match decoder.u8()? {
        FLUSH => Work::Flush {
            segments: numbers(decoder)?,
            after: decoder.varint()?,
            flushed: decoder.varint()?,
            log: decoder.varint()?,
        },
        COMPACT => {
            let reason = Reason::from_byte(decoder.u8()?)?;
            let output_level = decoder.varint32()? as usize;
            let inputs = tables(decoder)?;
            let levels = decoder.varint32()? as usize;
            if levels > LEVELS || output_level >= LEVELS {
                return None;
            }
            let mut deeper = Vec::new();
            for _ in 0..levels {
                deeper.push(tables(decoder)?.into_iter().map(|(_, table)| table).collect());
            }
            Work::Compact { plan: Plan { reason, inputs, output_level }, deeper }
        }
        CLEAN_UP => Work::CleanUp { epoch: decoder.varint()?, remove: names(decoder)? },
        _ => return None,
    };
    Some(Job {
        work,
        snapshots: numbers(decoder)?,
        outputs: numbers(decoder)?,
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
    if decoder.u8()? != VERSION {
        return None;
    }
    let (id, entries_dropped) = (decoder.varint()?, decoder.varint()?);
    let tables = tables(decoder)?.into_iter().map(|(_, table)| table).collect();
    let unsynced = match decoder.u8()? {
        0 => None,
        1 => Some(String::from_utf8(decoder.bytes()?.to_vec()).ok()?),
        _ => return None,
    };
    Some(JobResult { id, tables, entries_dropped, unsynced })
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

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    put_varint(out, numbers.len() as u64);
    for &number in numbers {
        put_varint(out, number);
    }
}

fn numbers(decoder: &mut Decoder<'_>) -> Option<Vec<u64>> {
    let count = decoder.varint32()?;
    // Collected one by one: a count that lies ends at the bytes' end, and reserves nothing.
    (0..count).map(|_| decoder.varint()).collect()
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
    use crate::base::key::{Kind, internal_key, trailer};

    fn table(number: u64) -> Arc<TableMeta> {
        let key = internal_key(&number.to_be_bytes(), trailer(number, Kind::Put));
        let (smallest, largest) = (key.clone(), key);
        Arc::new(TableMeta { number, size: 10 * number, smallest, largest, ..TableMeta::default() })
    }

    fn jobs() -> Vec<Job> {
        let options = TableOptions { block_bytes: 4096, bloom_bits: 10, compression: Compression::Lz4 };
        let job =
            |work| Job { work, snapshots: vec![3, 300], outputs: vec![9, 10], table_bytes: 1 << 25, options };
        let inputs = vec![(0, table(7)), (1, table(5))];
        let plan = Plan { reason: Reason::Level0, inputs, output_level: 1 };
        vec![
            job(Work::Flush { segments: vec![4, 6], after: 100, flushed: 200, log: 8 }),
            job(Work::Compact { plan, deeper: vec![vec![table(1)], vec![table(2), table(3)]] }),
            job(Work::CleanUp { epoch: 3, remove: vec![FileName::Table(7), FileName::Wal(8)] }),
        ]
    }

    #[test]
    fn jobs_and_results_read_back() {
        for job in jobs() {
            assert_eq!(Job::decode(&job.encode()), Ok(job));
        }
        for unsynced in [None, Some("no".to_owned())] {
            let result = JobResult { id: 9, tables: vec![table(9)], entries_dropped: 5, unsynced };
            assert_eq!(JobResult::decode(&result.encode()), Ok(result));
        }
    }

    #[test]
    fn a_clean_up_removes_nothing_but_tables_and_log_segments() {
        let mut job = jobs().remove(2);
        for name in [FileName::Manifest(3), FileName::Lost(3)] {
            job.work = Work::CleanUp { epoch: 3, remove: vec![name] };
            assert!(Job::decode(&job.encode()).is_err(), "{name}");
        }
    }

    #[test]
    fn bytes_that_are_no_job_are_refused() {
        for job in jobs() {
            let bytes = job.encode();
            for cut in 0..bytes.len() {
                assert!(Job::decode(bytes.get(..cut).unwrap_or_default()).is_err(), "cut at {cut}");
            }
            let mut newer = bytes.clone();
            newer[0] += 1;
            assert!(Job::decode(&newer).is_err());
            assert!(JobResult::decode(&bytes).is_err());
        }
        assert!(
            Job::decode(&[1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err(),
            "a count of four thousand million"
        );
    }

    #[test]
    fn a_result_of_another_job_is_refused() {
        let job = jobs().remove(1);
        let result = |id, tables| JobResult { id, tables, entries_dropped: 0, unsynced: None };
        let edit = job.edit(&result(9, vec![table(10)])).expect("of this job");
        assert_eq!(edit.removed, [(0, 7), (1, 5)]);
        assert!(job.edit(&result(8, vec![])).is_err());
        assert!(job.edit(&result(9, vec![table(11)])).is_err());
        assert!(jobs().remove(2).edit(&result(9, vec![table(9)])).is_err(), "a clean-up makes no table");
    }
}
