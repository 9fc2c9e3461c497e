//! `esker batch`: apply a file of operations as one atomic write.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use esker_host::{Batch, Durability};
use esker_rows::escape::unescape;
use esker_rows::{Lines, TSV_LINE_BYTES_MAX};

use super::failure::{Failure, Outcome};
use super::number;
use super::output::tell;
use super::store::{Expect, StoreArgs};

/// The word before a row, and its tab.
const WORD_BYTES_MAX: usize = "delete\t".len();

/// Apply a file of operations as one atomic write: all of them or none
///
/// Each line is one operation, its parts separated by tabs, keys and values with the escapes \\ \t \n \r and \xNN:
///
///   put TAB KEY TAB VALUE
///
///   delete TAB KEY
///
/// Empty lines are passed over. A later operation on a key wins over an earlier one. When the command returns,
/// the batch is on stable storage.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file; - reads standard input
    file: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  esker batch changes.txt
  printf 'put\\tb\\t2\\ndelete\\ta\\n' | esker batch -";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let batch = read(&args.file)?;
    store.run(Expect::StoreOrNothing, |store| {
        store.write(&batch, Durability::Synced)?;
        Ok(())
    })?;
    tell(format!("applied {}", number::counted(batch.len() as u64, "operation")));
    Ok(())
}

fn read(path: &Path) -> Outcome<Batch> {
    if path == Path::new("-") {
        return read_from(io::stdin().lock(), "standard input");
    }
    let file = File::open(path).map_err(|cause| Failure::file("open", path, &cause))?;
    read_from(BufReader::new(file), &path.display().to_string())
}

fn read_from(source: impl BufRead, name: &str) -> Outcome<Batch> {
    let refuse =
        |error: &dyn std::fmt::Display| Failure::Other(format!("{name}, {error}\nNothing was changed."));
    let mut lines = Lines::new(source, TSV_LINE_BYTES_MAX + WORD_BYTES_MAX);
    let mut batch = Batch::new();
    let mut operation = Operation::default();
    while let Some(line) = lines.next_line().map_err(|error| refuse(&error))? {
        if !line.is_empty() {
            operation
                .add(line, &mut batch)
                .map_err(|why| refuse(&format!("line {}: {why}", lines.number())))?;
        }
    }
    Ok(batch)
}

/// The parts of an operation; kept from line to line for their memory.
#[derive(Default)]
struct Operation {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Operation {
    /// Adds the operation that `line` spells to `batch`.
    fn add(&mut self, line: &[u8], batch: &mut Batch) -> Result<(), String> {
        self.key.clear();
        self.value.clear();
        let parts: Vec<&[u8]> = line.splitn(4, |&b| b == b'\t').collect();
        let added = match *parts.as_slice() {
            [b"put", key, value] => {
                unescape(key, &mut self.key)?;
                unescape(value, &mut self.value)?;
                batch.put(&self.key, &self.value)
            }
            [b"delete", key] => {
                unescape(key, &mut self.key)?;
                batch.delete(&self.key)
            }
            _ => return Err("a line is `put TAB KEY TAB VALUE` or `delete TAB KEY`".to_owned()),
        };
        added.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_in_order() {
        let batch =
            read_from("put\ta\t1\n\ndelete\ta\r\nput\t\\x00\t\n".as_bytes(), "test").expect("well-formed");
        assert_eq!(batch.len(), 3);
        assert_eq!(batch.as_packed(), b"\x01\x02\0a\x011\x00\x02\0a\x01\x02\0\0\x00");
    }

    #[test]
    fn a_malformed_line_is_named() {
        for line in
            ["set\ta\t1", "put\ta", "put\ta\t1\t2", "delete", "delete\ta\tb", "put\t\\q\t1", "put\t\t1"]
        {
            let text = format!("put\ta\t1\n{line}\n");
            match read_from(text.as_bytes(), "changes.txt") {
                Err(Failure::Other(why)) => {
                    assert!(why.starts_with("changes.txt, line 2: "), "{line:?}: {why}")
                }
                _ => panic!("{line:?} was taken for an operation"),
            }
        }
    }
}
