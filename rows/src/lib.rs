//! Keys, values and rows as text: what the command lines of Esker read and print, whatever runs them.
//!
//! ```text
//! file ─► packing (gz, zst) ─► shape (tsv, csv, jsonl) ─► Row ─► the store, and the same way back
//! ```
//!
//! A [`Format`] is a shape and a packing. Writing is a pure function of the shape, [`Shape::encode`]. Reading
//! holds one row in memory at a time, whatever the file holds, and names the line where something is wrong.
//! [`escape`] is the text form of single keys and values. Nothing here knows the store.

mod csv;
pub mod escape;
mod format;
mod jsonl;
mod lines;
pub mod number;
mod packing;
mod tsv;
mod writer;

use std::fmt;
use std::io::{self, BufRead};

pub use format::{Format, Packing, Shape};
pub use lines::Lines;
pub use packing::{PackedWriter, unpack};
pub use tsv::LINE_BYTES_MAX as TSV_LINE_BYTES_MAX;
pub use writer::RowWriter;

/// The longest key of a store, in bytes.
pub const KEY_BYTES_MAX: usize = 65_536;
/// The longest value of a store, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

/// A key with its value.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

impl Row {
    /// The bytes of key and value.
    pub fn bytes(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }

    /// Checks key and value against what a store takes.
    ///
    /// # Errors
    ///
    /// What is too long or too short, and by how much.
    pub fn check(&self) -> Result<(), String> {
        let (key, value) = (self.key.len(), self.value.len());
        if key == 0 {
            return Err("the key is empty; a key has at least 1 byte".to_owned());
        }
        if key > KEY_BYTES_MAX {
            return Err(format!("the key has {key} bytes; the most is {KEY_BYTES_MAX}"));
        }
        if value > VALUE_BYTES_MAX {
            return Err(format!("the value has {value} bytes; the most is {VALUE_BYTES_MAX}"));
        }
        Ok(())
    }
}

/// Rows from a file of one shape.
pub struct Rows(Box<dyn ReadRow>);

impl Rows {
    /// Rows of this shape from `source`. `key_column` names the column of a CSV file that holds the key; the
    /// first one when it is `None`.
    pub fn new(shape: Shape, source: Box<dyn BufRead>, key_column: Option<&str>) -> Result<Self, RowError> {
        Ok(Self(match shape {
            Shape::Tsv => Box::new(tsv::TsvRows::new(source)),
            Shape::Csv => Box::new(csv::CsvRows::new(source, key_column)?),
            Shape::Jsonl => Box::new(jsonl::JsonRows::new(source)),
        }))
    }

    /// Reads the next row into `row`; false at the end. After [`RowError::Malformed`] the next call goes on
    /// with the row that follows.
    pub fn next_row(&mut self, row: &mut Row) -> Result<bool, RowError> {
        row.key.clear();
        row.value.clear();
        match self.0.read_row(row)? {
            Some(line) => row.check().map(|()| true).map_err(|why| RowError::Malformed { line, why }),
            None => Ok(false),
        }
    }
}

/// One shape's way of reading.
trait ReadRow {
    /// Reads the next row into `row`, which is empty, and returns the line on which it begins; `None` at the end.
    fn read_row(&mut self, row: &mut Row) -> Result<Option<u64>, RowError>;
}

/// Why a row could not be read. The text of each completes "FILE, …".
#[derive(Debug)]
pub enum RowError {
    /// The row that begins on this line is not of its format; reading can go on.
    Malformed {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The rest of the file cannot be read.
    Unreadable {
        /// The line, counted from 1, at which it ends.
        line: u64,
        /// The reason.
        why: String,
    },
}

impl RowError {
    fn unreadable(line: u64, cause: &io::Error) -> Self {
        Self::Unreadable { line, why: cause.to_string() }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { line, why } => write!(f, "line {line}: {why}"),
            Self::Unreadable { line, why } => write!(f, "line {line}: cannot read on: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys and values with everything that a format could trip over.
    fn nasty_rows() -> Vec<Row> {
        let pieces: [&[u8]; 12] = [
            b"plain",
            b"tab\tand\nline\r\nends\r",
            b"\\t is no tab",
            b"\"quoted\", 'too'",
            b"\0\x01\x7f",
            b"\xff\xfe\xc3",
            "gr\u{fc}\u{df}e \u{1f642}".as_bytes(),
            b" spaces ",
            b"=1+1",
            b"{\"key\":1}",
            b"\xef\xbb\xbfbom",
            b"a,b",
        ];
        let mut rows = Vec::new();
        for key in pieces {
            for value in pieces.iter().copied().chain([b"".as_slice(), b"\"", b"\n"]) {
                rows.push(Row { key: key.to_vec(), value: value.to_vec() });
            }
        }
        rows
    }

    fn read_all(shape: Shape, text: Vec<u8>) -> Vec<Row> {
        let mut rows = Rows::new(shape, Box::new(io::Cursor::new(text)), None).expect("the header is there");
        let mut all = Vec::new();
        loop {
            let mut row = Row::default();
            if !rows.next_row(&mut row).expect("what was written can be read") {
                return all;
            }
            all.push(row);
        }
    }

    /// Bytes that mean something to one format or another, or that no text has.
    const TROUBLE: &[u8] = b"\n\r\t\\\"{}[],:\0\xff\xc3x0";

    /// Numbers that look random, the same in every run (SplitMix64).
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % limit as u64) as usize
        }
    }

    /// Changes a file as nobody would: bytes flipped, removed, doubled, and pieces of it put elsewhere.
    fn mangle(text: &mut Vec<u8>, chance: &mut Chance) {
        for _ in 0..=chance.below(4) {
            if text.is_empty() {
                return;
            }
            let at = chance.below(text.len());
            match chance.below(5) {
                0 => text[at] = TROUBLE[chance.below(TROUBLE.len())],
                1 => text.truncate(at),
                2 => drop(text.drain(at..(at + chance.below(40)).min(text.len()))),
                3 => text[at] ^= 1 << chance.below(8),
                _ => {
                    let piece = text[at..(at + chance.below(40)).min(text.len())].to_vec();
                    let to = chance.below(text.len());
                    text.splice(to..to, piece);
                }
            }
        }
    }

    #[test]
    fn whatever_stands_in_a_file_it_is_read_to_its_end_or_refused_by_line() {
        let mut chance = Chance(1);
        for shape in [Shape::Tsv, Shape::Csv, Shape::Jsonl] {
            let mut sound = shape.header().to_vec();
            for row in nasty_rows() {
                shape.encode(&row.key, Some(&row.value), &mut sound);
            }
            for _ in 0..1500 {
                let mut text = sound.clone();
                mangle(&mut text, &mut chance);
                let lines = text.split(|&byte| byte == b'\n').count() as u64;
                let limit = text.len() + 2;
                let Ok(mut rows) = Rows::new(shape, Box::new(io::Cursor::new(text)), None) else { continue };
                let mut row = Row::default();
                let mut seen = 0;
                loop {
                    match rows.next_row(&mut row) {
                        Ok(false) => break,
                        Ok(true) => assert!(row.check().is_ok()),
                        Err(RowError::Malformed { line, why }) => {
                            assert!((1..=lines + 1).contains(&line), "line {line} of {lines}: {why}");
                        }
                        Err(RowError::Unreadable { .. }) => break,
                    }
                    seen += 1;
                    assert!(seen <= limit, "{shape:?}: a row has at least a byte");
                }
            }
        }
    }

    #[test]
    fn whatever_is_written_in_any_shape_reads_back_exactly() {
        for shape in [Shape::Tsv, Shape::Csv, Shape::Jsonl] {
            let mut text = shape.header().to_vec();
            for row in nasty_rows() {
                shape.encode(&row.key, Some(&row.value), &mut text);
            }
            assert_eq!(read_all(shape, text), nasty_rows(), "{shape:?}");
        }
    }

    #[test]
    fn a_row_beyond_the_limits_is_named_and_the_next_one_is_read() {
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        let text = format!("{long}\tv\n\tno key\nlast\trow\n");
        let mut rows =
            Rows::new(Shape::Tsv, Box::new(io::Cursor::new(text)), None).expect("tsv has no header");
        let mut row = Row::default();
        let first = rows.next_row(&mut row).expect_err("too long").to_string();
        assert!(first.contains("line 1") && first.contains("65537") && first.contains("65536"), "{first}");
        let second = rows.next_row(&mut row).expect_err("no key").to_string();
        assert!(second.contains("line 2") && second.contains("empty"), "{second}");
        assert!(rows.next_row(&mut row).expect("a good row"));
        assert_eq!((row.key.as_slice(), row.value.as_slice()), (&b"last"[..], &b"row"[..]));
    }
}
