//! `esker batch`: apply a file of operations as one atomic write.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use esker_host::{Batch, Condition, Durability, Error, Expected, KvStore};
use esker_rows::escape::unescape;
use esker_rows::{Lines, Row, TSV_LINE_BYTES_MAX};

use super::buckets::{BucketArgs, no_bucket};
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
///   bucket TAB NAME           the lines that follow are about this bucket
///
///   absent TAB KEY            nothing is written if the key has a value now
///
///   equals TAB KEY TAB VALUE  nothing is written if the key has not this value now
///
/// Empty lines are passed over. A later operation on a key wins over an earlier one. When the command returns,
/// the batch is on stable storage. The exit code is 1 where `absent` or `equals` have kept it from being written.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The file; - reads standard input
    file: PathBuf,

    #[command(flatten)]
    bucket: BucketArgs,
}

const EXAMPLES: &str = "\
Examples:
  esker batch changes.txt
  printf 'put\\tb\\t2\\ndelete\\ta\\n' | esker batch -
  printf 'equals\\tfrom\\t5\\nput\\tfrom\\t4\\nput\\tto\\t1\\n' | esker batch - || echo 'somebody was quicker'";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let changes = Changes::read(&args.file)?;
    let applied = store.run(Expect::StoreOrNothing, |store| changes.apply(store, &args.bucket))?;
    tell(format!("applied {}", number::counted(applied as u64, "operation")));
    Ok(())
}

/// What a file says.
struct Changes {
    /// The file.
    name: String,
    lines: Vec<Line>,
}

/// A line of it.
struct Line {
    number: u64,
    action: Action,
    /// Key and value, where it has them.
    row: Row,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Put,
    Delete,
    /// The key of the row is the bucket's name.
    Bucket,
    Absent,
    Equals,
}

impl Changes {
    fn read(path: &Path) -> Outcome<Self> {
        if path == Path::new("-") {
            return Self::read_from(io::stdin().lock(), "standard input");
        }
        let file = File::open(path).map_err(|cause| Failure::file("open", path, &cause))?;
        Self::read_from(BufReader::new(file), &path.display().to_string())
    }

    fn read_from(source: impl BufRead, name: &str) -> Outcome<Self> {
        let mut changes = Self { name: name.to_owned(), lines: Vec::new() };
        let mut text = Lines::new(source, TSV_LINE_BYTES_MAX + WORD_BYTES_MAX);
        loop {
            let line = match text.next_line() {
                Ok(Some([])) => continue,
                Ok(Some(line)) => parse(line),
                Ok(None) => return Ok(changes),
                Err(error) => return Err(changes.refuse(&error)),
            };
            let number = text.number();
            match line {
                Ok((action, row)) => changes.lines.push(Line { number, action, row }),
                Err(why) => return Err(changes.refuse_line(number, &why)),
            }
        }
    }

    /// Writes all of it. Returns the number of puts and deletes.
    fn apply(&self, store: &KvStore, bucket: &BucketArgs) -> Outcome<usize> {
        let mut bucket = bucket.find(store)?;
        let (mut batch, mut conditions, mut condition_lines) = (Batch::new(), Vec::new(), Vec::new());
        for Line { number, action, row: Row { key, value } } in &self.lines {
            let refuse = |why| self.refuse_line(*number, &why);
            let place = (bucket, key.as_slice());
            let expected = match action {
                Action::Put => {
                    batch.put(place, value).map_err(refuse)?;
                    continue;
                }
                Action::Delete => {
                    batch.delete(place).map_err(refuse)?;
                    continue;
                }
                Action::Bucket => {
                    let name = String::from_utf8_lossy(key);
                    bucket = store.bucket(&name)?.ok_or_else(|| no_bucket(&name))?;
                    continue;
                }
                Action::Absent => Expected::Absent,
                Action::Equals => Expected::Equals(value),
            };
            conditions.push(Condition::new(place, expected));
            condition_lines.push(*number);
        }
        match store.write_if(&batch, &conditions, Durability::Synced) {
            Ok(_) => Ok(batch.len()),
            Err(Error::ConditionFailed(places)) => {
                for line in places.iter().filter_map(|&at| condition_lines.get(at)) {
                    tell(format!("{}, line {line} does not hold: nothing was changed", self.name));
                }
                Err(Failure::Absent)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn refuse_line(&self, number: u64, why: &dyn fmt::Display) -> Failure {
        self.refuse(&format!("line {number}: {why}"))
    }

    fn refuse(&self, why: &dyn fmt::Display) -> Failure {
        Failure::Other(format!("{}, {why}\nNothing was changed.", self.name))
    }
}

/// What a line says.
fn parse(line: &[u8]) -> Result<(Action, Row), String> {
    let parts: Vec<&[u8]> = line.splitn(4, |&b| b == b'\t').collect();
    let (action, key, value) = match *parts.as_slice() {
        [b"put", key, value] => (Action::Put, key, value),
        [b"delete", key] => (Action::Delete, key, &[][..]),
        [b"bucket", name] => (Action::Bucket, name, &[][..]),
        [b"absent", key] => (Action::Absent, key, &[][..]),
        [b"equals", key, value] => (Action::Equals, key, value),
        _ => {
            return Err("a line is `put TAB KEY TAB VALUE`, `delete TAB KEY`, `bucket TAB NAME`, `absent TAB KEY` or \
                        `equals TAB KEY TAB VALUE`"
                .to_owned());
        }
    };
    let mut row = Row::default();
    unescape(key, &mut row.key)?;
    unescape(value, &mut row.value)?;
    if action != Action::Bucket {
        row.check()?;
    }
    Ok((action, row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_in_order() {
        let text = "put\ta\t1\n\ndelete\ta\r\nbucket\tb\nequals\t\\x00\t\n";
        let changes = Changes::read_from(text.as_bytes(), "test").expect("well-formed");
        let lines: Vec<_> = changes
            .lines
            .iter()
            .map(|line| (line.number, line.action, line.row.key.as_slice(), line.row.value.as_slice()))
            .collect();
        let expected: [(u64, Action, &[u8], &[u8]); 4] = [
            (1, Action::Put, b"a", b"1"),
            (3, Action::Delete, b"a", b""),
            (4, Action::Bucket, b"b", b""),
            (5, Action::Equals, b"\0", b""),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_malformed_line_is_named() {
        for line in [
            "set\ta\t1",
            "put\ta",
            "put\ta\t1\t2",
            "delete",
            "delete\ta\tb",
            "put\t\\q\t1",
            "put\t\t1",
            "bucket",
            "absent\ta\tb",
            "equals\ta",
        ] {
            let text = format!("put\ta\t1\n{line}\n");
            match Changes::read_from(text.as_bytes(), "changes.txt") {
                Err(Failure::Other(why)) => {
                    assert!(why.starts_with("changes.txt, line 2: "), "{line:?}: {why}")
                }
                _ => panic!("{line:?} was taken for an operation"),
            }
        }
    }
}
