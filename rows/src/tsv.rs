//! Tab-separated rows: `key TAB value`, both with the escapes of [`escape`](super::escape).

use std::io::BufRead;

use super::escape::{escape, unescape};
use super::lines::Lines;
use super::{KEY_BYTES_MAX, ReadRow, Row, RowError, VALUE_BYTES_MAX};

/// The longest line that a row can need: every byte of it escaped as `\xNN`, and the tab.
pub const LINE_BYTES_MAX: usize = 4 * (KEY_BYTES_MAX + VALUE_BYTES_MAX) + 1;

/// Appends a row without a line end.
pub fn encode(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    escape(key, out);
    if let Some(value) = value {
        out.push(b'\t');
        escape(value, out);
    }
}

/// Rows from a TSV file.
pub struct TsvRows<R>(Lines<R>);

impl<R: BufRead> TsvRows<R> {
    /// The rows of `source`.
    pub fn new(source: R) -> Self {
        Self(Lines::new(source, LINE_BYTES_MAX))
    }
}

impl<R: BufRead> ReadRow for TsvRows<R> {
    fn read_row(&mut self, row: &mut Row) -> Result<Option<u64>, RowError> {
        let Some(line) = self.0.next_line()? else { return Ok(None) };
        let decoded = decode(line, row);
        let line = self.0.number();
        decoded.map(|()| Some(line)).map_err(|why| RowError::Malformed { line, why })
    }
}

fn decode(line: &[u8], row: &mut Row) -> Result<(), String> {
    let tab = memchr::memchr(b'\t', line).ok_or("there is no tab; a line is KEY TAB VALUE")?;
    let (key, value) = (&line[..tab], &line[tab + 1..]);
    if memchr::memchr(b'\t', value).is_some() {
        return Err("there is more than one tab; write a tab within a value as \\t".to_owned());
    }
    unescape(key, &mut row.key)?;
    unescape(value, &mut row.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_row_is_named() {
        for (line, named) in
            [("key", "no tab"), ("", "no tab"), ("a\tb\tc", "more than one tab"), ("a\t\\q", "\\q")]
        {
            let error = decode(line.as_bytes(), &mut Row::default()).expect_err(line);
            assert!(error.contains(named), "{line:?}: {error}");
        }
    }
}
