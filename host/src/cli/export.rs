//! `esker export`: write all rows, or a range of them, to a file.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use esker_host::{Bucket, KeyRange, ScanOptions};
use esker_rows::{Format, PackedWriter, RowWriter};
use indicatif::ProgressBar;

use super::buckets::BucketArgs;
use super::failure::{Failure, Outcome};
use super::input::TextArgs;
use super::output::{self, BUFFER_BYTES, PendingFile, tell};
use super::range::RangeArgs;
use super::store::{Readable, StoreArgs};
use super::{number, progress};

/// Write rows to a file or to standard output, for `esker import` or another program
///
/// What is exported is the state of one moment. A file appears under its name only when it is whole.
///
/// Formats: tsv (KEY TAB VALUE with the escapes of `esker scan`), csv (a header `key,value`, bytes as they are),
/// jsonl (the lines of `esker scan --json`), each also packed as .gz or .zst.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file; without it, or with -, standard output
    file: Option<PathBuf>,

    /// The format: tsv, csv or jsonl, with .gz or .zst after it if packed [default: by the file's ending, else tsv]
    #[arg(long)]
    format: Option<Format>,

    #[command(flatten)]
    range: RangeArgs,

    #[command(flatten)]
    bucket: BucketArgs,

    #[command(flatten)]
    text: TextArgs,
}

const EXAMPLES: &str = "\
Examples:
  esker export backup.tsv.zst
  esker export --prefix user/ users.csv
  esker export --format jsonl | jq -r .key
  esker export | esker --dir other import -";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let range = args.range.read(&args.text)?;
    let file = args.file.as_deref().filter(|file| *file != Path::new("-"));
    let format = args.format.unwrap_or_else(|| file.map(Format::of_file).unwrap_or_default());
    store.read(|store| {
        let rows = Rows { store, bucket: args.bucket.find_in(store)?, range };
        match file {
            None => to_stdout(&rows, format),
            Some(path) if output::is_special(path) => to_special(&rows, format, path),
            Some(path) => to_file(&rows, format, path),
        }
    })
}

/// What is exported.
struct Rows<'a> {
    store: &'a Readable,
    bucket: Bucket,
    range: KeyRange,
}

fn to_stdout(rows: &Rows<'_>, format: Format) -> Outcome {
    // A bar would stand in the middle of the rows.
    let bar = if io::stdout().is_terminal() { ProgressBar::hidden() } else { progress::of_work() };
    write_rows(rows, format, io::stdout().lock(), &bar, Failure::stdout)?;
    bar.finish_and_clear();
    Ok(())
}

fn to_special(rows: &Rows<'_>, format: Format, path: &Path) -> Outcome {
    let failed = |cause: io::Error| Failure::file("write to", path, &cause);
    let file = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
    write_rows(rows, format, file, &ProgressBar::hidden(), failed)?;
    Ok(())
}

fn to_file(rows: &Rows<'_>, format: Format, path: &Path) -> Outcome {
    let bar = progress::of_work();
    let (pending, file) = PendingFile::create(path)?;
    let written = write_rows(rows, format, &file, &bar, |cause| Failure::file("write to", path, &cause))?;
    pending.commit(&file)?;
    bar.finish_and_clear();
    tell(format!("exported {} to {}", number::counted(written, "row"), path.display()));
    Ok(())
}

/// Writes the range to `out` and returns the number of rows; `failed` words a failure of `out`.
fn write_rows(
    rows: &Rows<'_>,
    format: Format,
    out: impl Write,
    bar: &ProgressBar,
    failed: impl Fn(io::Error) -> Failure,
) -> Outcome<u64> {
    let options = ScanOptions { bucket: rows.bucket, ..ScanOptions::default() };
    let mut scan = rows.store.scan(rows.range.clone(), options)?;
    let packed =
        PackedWriter::new(format.packing, BufWriter::with_capacity(BUFFER_BYTES, out)).map_err(&failed)?;
    let mut rows = RowWriter::new(format.shape, packed).map_err(&failed)?;
    let mut written = 0;
    while let Some((key, value)) = scan.next_entry()? {
        rows.write(key, Some(value)).map_err(&failed)?;
        written += 1;
        if written % 1000 == 0 {
            progress::show_rows(bar, written);
        }
    }
    rows.into_inner().finish().map_err(&failed)?;
    Ok(written)
}
