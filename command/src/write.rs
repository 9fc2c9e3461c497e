//! Commands that write: as the store's primary, which must be alone.

use crate::args::{Buckets, Import, InBucket, Key, OnError, Put};
use crate::bindings::esker::kv::kv_store::{self, Store};
use crate::bindings::esker::kv::types::{Durability, Operation, Options};
use crate::failure::{Failure, Outcome};
use crate::read::{finish, out, reader};
use crate::{no_bucket, tell};
use esker_rows::number::counted;
use esker_rows::{Row, RowError, Rows, VALUE_BYTES_MAX, unpack};
use std::io::{Read, Write};
use wasip2::cli::stdin;

/// Rows are written in batches of at most so many rows, and about so many bytes.
const BATCH_ROWS: usize = 1_000;
const BATCH_BYTES: u64 = 256 << 10;
/// Skipped lines are named up to this many, then only counted.
const SKIPPED_NAMED_MAX: u64 = 10;

/// Sets a key.
pub fn put(args: &Put) -> Outcome {
    let key = args.text.bytes(&args.key)?;
    let value = if args.value == "-" { value_of_stdin()? } else { args.text.bytes(&args.value)? };
    with_store(true, |store| {
        store.put(bucket(store, &args.bucket)?, &key, &value, Durability::Synced)?;
        Ok(())
    })
}

/// Removes a key.
pub fn delete(args: &Key) -> Outcome {
    let key = args.text.bytes(&args.key)?;
    with_store(false, |store| {
        store.delete(bucket(store, &args.bucket)?, &key, Durability::Synced)?;
        Ok(())
    })
}

/// Lists, makes or drops buckets.
pub fn buckets(args: &Buckets) -> Outcome {
    if let Some(name) = &args.create {
        return with_store(true, |store| Ok(store.create_bucket(name).map(drop)?));
    }
    if let Some(name) = &args.drop {
        return with_store(false, |store| match store.drop_bucket(name)? {
            true => Ok(()),
            false => Err(no_bucket(name)),
        });
    }
    let mut out = out();
    for bucket in reader()?.buckets()? {
        writeln!(out, "{}", bucket.name).map_err(Failure::stdout)?;
    }
    finish(out)
}

/// Reads rows from standard input.
pub fn import(args: &Import) -> Outcome {
    let unreadable = |why: &dyn std::fmt::Display| Failure::other(format!("standard input: {why}"));
    let text = unpack(args.format.packing, stdin::get_stdin()).map_err(|cause| unreadable(&cause))?;
    let rows = Rows::new(args.format.shape, text, args.key.as_deref()).map_err(|error| unreadable(&error))?;
    with_store(true, |store| {
        let bucket = bucket(store, &args.bucket)?;
        Importing { store, bucket, args, batch: Vec::new(), bytes: 0, written: 0, skipped: 0 }.run(rows)
    })
}

/// An import under way.
struct Importing<'a> {
    store: &'a Store,
    bucket: u32,
    args: &'a Import,
    batch: Vec<Operation>,
    /// Of the batch's keys and values.
    bytes: u64,
    /// Rows that the store has acknowledged.
    written: u64,
    /// Lines that were left out.
    skipped: u64,
}

impl Importing<'_> {
    fn run(mut self, mut rows: Rows) -> Outcome {
        let mut row = Row::default();
        let end = loop {
            match rows.next_row(&mut row) {
                Ok(true) => self.add(&row)?,
                Ok(false) => break Ok(()),
                Err(error @ RowError::Malformed { .. }) if self.args.on_error == OnError::Skip => {
                    self.skip(&error);
                }
                Err(error) => break Err(error),
            }
        };
        self.write()?;
        self.store.sync()?;
        let rows = counted(self.written, "row");
        if let Err(error) = end {
            let advice = match error {
                RowError::Malformed { .. } => {
                    "Mend the line or pass --on-error skip, then import it all again"
                }
                RowError::Unreadable { .. } => {
                    "Is it complete, and of this format? Import it again when it is"
                }
            };
            return Err(Failure::other(format!(
                "standard input, {error}\nImported before it: {rows}. {advice}."
            )));
        }
        tell(&format!("imported {rows}\n"));
        if self.skipped > 0 {
            tell(&format!("skipped {}\n", counted(self.skipped, "line")));
        }
        Ok(())
    }

    fn add(&mut self, row: &Row) -> Outcome {
        if self.batch.len() == BATCH_ROWS || self.bytes + row.bytes() > BATCH_BYTES {
            self.write()?;
        }
        self.bytes += row.bytes();
        let (key, value) = (row.key.clone(), Some(row.value.clone()));
        self.batch.push(Operation { bucket: self.bucket, key, value });
        Ok(())
    }

    fn write(&mut self) -> Outcome {
        self.store.write(&self.batch, Durability::Buffered)?;
        self.written += self.batch.len() as u64;
        self.bytes = 0;
        self.batch.clear();
        Ok(())
    }

    fn skip(&mut self, error: &RowError) {
        self.skipped += 1;
        if self.skipped <= SKIPPED_NAMED_MAX {
            tell(&format!("skipped standard input, {error}\n"));
        }
    }
}

/// Opens the store in the first directory that the program was given, and closes it when the work has been done.
fn with_store(create: bool, work: impl FnOnce(&Store) -> Outcome) -> Outcome {
    let options = Options { create_if_missing: Some(create), ..Options::default() };
    let store = kv_store::open("", options)?;
    work(&store)?;
    Ok(store.close()?)
}

fn bucket(store: &Store, args: &InBucket) -> Outcome<u32> {
    let Some(name) = &args.bucket else { return Ok(0) };
    store.bucket(name)?.ok_or_else(|| no_bucket(name))
}

/// Reads a value to its end, but no further than a value may be long.
fn value_of_stdin() -> Outcome<Vec<u8>> {
    let mut value = Vec::new();
    let read = stdin::get_stdin().take(VALUE_BYTES_MAX as u64 + 1).read_to_end(&mut value);
    read.map_err(|cause| Failure::other(format!("cannot read standard input: {cause}")))?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(Failure::other(format!(
            "standard input is too long for a value: it goes on after {VALUE_BYTES_MAX} bytes, the most a value may have"
        )));
    }
    Ok(value)
}
