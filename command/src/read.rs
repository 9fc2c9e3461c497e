//! Commands that read: as a reader, which changes no file and disturbs nobody.

use crate::args::{Export, InBucket, Key, Scan};
use crate::bindings::esker::kv::kv_store::{self, Reader};
use crate::bindings::esker::kv::maintenance;
use crate::bindings::esker::kv::types::{KeyRange, ScanOptions};
use crate::failure::{Failure, Outcome};
use crate::no_bucket;
use esker_rows::number::{counted, counted_as};
use esker_rows::{PackedWriter, RowWriter, Shape};
use std::io::{BufWriter, Write};
use wasip2::cli::stdout;
use wasip2::io::streams::OutputStream;

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 64 << 10;
/// The most that one call brings of a scan.
const PAGE_ENTRIES: u32 = 1_000;
const PAGE_BYTES: u32 = 256 << 10;

/// Prints a value.
pub fn get(args: &Key) -> Outcome {
    let reader = reader()?;
    let key = args.text.bytes(&args.key)?;
    let value = reader.get(bucket(&reader, &args.bucket)?, &key)?.ok_or(Failure::Absent)?;
    let mut out = out();
    out.write_all(&value).and_then(|()| out.flush()).map_err(Failure::stdout)
}

/// Prints a range of keys.
pub fn scan(args: &Scan) -> Outcome {
    let options = ScanOptions { reverse: args.reverse, keys_only: args.keys_only, limit: args.limit };
    let shape = if args.json { Shape::Jsonl } else { Shape::Tsv };
    let reader = reader()?;
    let bucket = bucket(&reader, &args.bucket)?;
    let out = print(&reader, bucket, &args.range.read()?, options, shape, out())?;
    finish(out)
}

/// Prints a range of keys for another program.
pub fn export(args: &Export) -> Outcome {
    let reader = reader()?;
    let bucket = bucket(&reader, &args.bucket)?;
    let packed = PackedWriter::new(args.format.packing, out()).map_err(Failure::other)?;
    let packed =
        print(&reader, bucket, &args.range.read()?, ScanOptions::default(), args.format.shape, packed)?;
    finish(packed.finish().map_err(Failure::stdout)?)
}

/// Writes the rows of a range to `out`, and returns it.
fn print<W: Write>(
    reader: &Reader,
    bucket: u32,
    range: &KeyRange,
    options: ScanOptions,
    shape: Shape,
    out: W,
) -> Outcome<W> {
    let cursor = reader.scan(bucket, range, options)?;
    let mut rows = RowWriter::new(shape, out).map_err(Failure::stdout)?;
    loop {
        let page = cursor.next(PAGE_ENTRIES, PAGE_BYTES)?;
        if page.is_empty() {
            return Ok(rows.into_inner());
        }
        for entry in page {
            let value = (!options.keys_only).then_some(entry.value.as_slice());
            rows.write(&entry.key, value).map_err(Failure::stdout)?;
        }
    }
}

/// Prints the store's figures.
pub fn stats() -> Outcome {
    let mut out = out();
    let stats = reader()?.stats()?;
    writeln!(out, "{stats}").map_err(Failure::stdout)?;
    finish(out)
}

/// Checks every file.
pub fn verify() -> Outcome {
    let found = maintenance::verify_reader(&reader()?)?;
    let mut out = out();
    let problems = found.problems.len() as u64;
    let end = if problems == 0 { "all is well" } else { "not all is well" };
    for problem in &found.problems {
        writeln!(out, "{problem}").map_err(Failure::stdout)?;
    }
    writeln!(
        out,
        "checked {}, {}, {}: {end}",
        counted(found.files, "file"),
        counted(found.bytes, "byte"),
        counted_as(found.entries, "entry", "entries"),
    )
    .map_err(Failure::stdout)?;
    finish(out)?;
    if problems == 0 {
        return Ok(());
    }
    Err(Failure::other(format!(
        "{} found; nothing was changed. Copy the directory before anything else, then `export` what can still be read",
        counted(problems, "problem")
    )))
}

/// The store in the first directory that the program was given.
pub fn reader() -> Outcome<Reader> {
    Ok(kv_store::open_reader("", None)?)
}

fn bucket(reader: &Reader, args: &InBucket) -> Outcome<u32> {
    let Some(name) = &args.bucket else { return Ok(0) };
    reader.bucket(name)?.ok_or_else(|| no_bucket(name))
}

/// Standard output, buffered.
pub fn out() -> BufWriter<OutputStream> {
    BufWriter::with_capacity(BUFFER_BYTES, stdout::get_stdout())
}

/// Writes what is still held back.
pub fn finish(mut out: impl Write) -> Outcome {
    out.flush().map_err(Failure::stdout)
}
