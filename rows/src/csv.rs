//! Comma-separated rows (RFC 4180) with a header. Bytes stand as they are, so that any key and value can pass.
//!
//! One column is the key. With one other column the value is that column's field as it is; with several it is
//! a JSON object of them, in the header's order.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::jsonl::encode_string;
use super::number::counted;
use super::{KEY_BYTES_MAX, ReadRow, Row, RowError, VALUE_BYTES_MAX};

/// The longest record that a row can need: every byte of it a doubled quote, and the punctuation.
const RECORD_BYTES_MAX: u64 = 2 * (KEY_BYTES_MAX as u64 + VALUE_BYTES_MAX as u64) + 8;

/// Appends a row without a line end.
pub fn encode(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    encode_field(key, out);
    if let Some(value) = value {
        out.push(b',');
        encode_field(value, out);
    }
}

fn encode_field(field: &[u8], out: &mut Vec<u8>) {
    if !field.iter().any(|b| matches!(b, b'"' | b',' | b'\r' | b'\n')) {
        return out.extend_from_slice(field);
    }
    out.push(b'"');
    for &byte in field {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Rows from a CSV file.
pub struct CsvRows<R> {
    reader: Reader<Rationed<R>>,
    ration: Rc<Cell<u64>>,
    columns: Vec<String>,
    key_column: usize,
    record: ByteRecord,
}

impl<R: BufRead> CsvRows<R> {
    /// The rows of `source`; `key_column` names the column of the key, else it is the first.
    pub fn new(source: R, key_column: Option<&str>) -> Result<Self, RowError> {
        let ration = Rc::new(Cell::new(RECORD_BYTES_MAX));
        let rationed = Rationed { source, left: Rc::clone(&ration) };
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(rationed);
        let columns = read_columns(&mut reader)?;
        let key_column =
            find_column(&columns, key_column).map_err(|why| RowError::Malformed { line: 1, why })?;
        Ok(Self { reader, ration, columns, key_column, record: ByteRecord::new() })
    }

    fn decode(&self, row: &mut Row) -> Result<(), String> {
        if self.record.len() != self.columns.len() {
            let (fields, columns) = (self.record.len() as u64, self.columns.len() as u64);
            return Err(format!(
                "{}, but the header has {}",
                counted(fields, "field"),
                counted(columns, "column")
            ));
        }
        row.key.extend_from_slice(&self.record[self.key_column]);
        if self.columns.len() == 2 {
            row.value.extend_from_slice(&self.record[1 - self.key_column]);
            return Ok(());
        }
        self.decode_object(&mut row.value)
    }

    /// Appends all fields but the key's as a JSON object.
    fn decode_object(&self, value: &mut Vec<u8>) -> Result<(), String> {
        let mut before = b'{';
        for (at, (column, field)) in self.columns.iter().zip(&self.record).enumerate() {
            if at == self.key_column {
                continue;
            }
            let text = str::from_utf8(field).map_err(|_| {
                format!("column {column:?} is no valid UTF-8, so it cannot go into a JSON object")
            })?;
            value.push(before);
            encode_string(column, value);
            value.push(b':');
            encode_string(text, value);
            before = b',';
        }
        value.push(b'}');
        Ok(())
    }
}

impl<R: BufRead> ReadRow for CsvRows<R> {
    fn read_row(&mut self, row: &mut Row) -> Result<Option<u64>, RowError> {
        self.ration.set(RECORD_BYTES_MAX);
        let before = self.reader.position().line();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(cause) => return Err(unreadable(before, cause)),
        }
        let line = self.record.position().map_or(before, csv::Position::line);
        self.decode(row).map(|()| Some(line)).map_err(|why| RowError::Malformed { line, why })
    }
}

fn read_columns<R: Read>(reader: &mut Reader<R>) -> Result<Vec<String>, RowError> {
    let header = reader.byte_headers().map_err(|cause| unreadable(1, cause))?;
    Ok(header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

fn find_column(columns: &[String], wanted: Option<&str>) -> Result<usize, String> {
    if columns.len() < 2 {
        let columns = counted(columns.len() as u64, "column");
        return Err(format!("the header has {columns}; a key and a value need two"));
    }
    let Some(wanted) = wanted else { return Ok(0) };
    columns
        .iter()
        .position(|name| name == wanted)
        .ok_or_else(|| format!("no column is named {wanted:?}; there are {}", columns.join(", ")))
}

fn unreadable(line: u64, cause: csv::Error) -> RowError {
    let why = match cause.kind() {
        ErrorKind::Io(cause) => cause.to_string(),
        _ => cause.to_string(),
    };
    RowError::Unreadable { line, why }
}

/// A source of which only so many bytes are handed out: a quote that is never closed would otherwise take the
/// rest of the file into memory as one field. Whoever shares `left` gives the next record its ration.
struct Rationed<R> {
    source: R,
    left: Rc<Cell<u64>>,
}

impl<R: BufRead> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !self.source.fill_buf()?.is_empty() {
            let why = format!("the row is longer than {RECORD_BYTES_MAX} bytes; is a quote left open?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let read = (&mut self.source).take(left).read(buffer)?;
        self.left.set(left - read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, key_column: Option<&str>) -> Result<Vec<(String, String)>, RowError> {
        let mut rows = CsvRows::new(io::Cursor::new(text.to_owned()), key_column)?;
        let mut all = Vec::new();
        let mut row = Row::default();
        while rows.read_row(&mut row)?.is_some() {
            let Row { key, value } = std::mem::take(&mut row);
            let text = |bytes| String::from_utf8(bytes).expect("the test's rows are text");
            all.push((text(key), text(value)));
        }
        Ok(all)
    }

    fn owned(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_single_other_column_is_the_value_as_it_is() {
        assert_eq!(
            read("id,name\r\n1,one\r\n2,\"t,w\"\"o\"\r\n", None).ok(),
            Some(owned(&[("1", "one"), ("2", "t,w\"o")]))
        );
        assert_eq!(read("name,id\none,1\n", Some("id")).ok(), Some(owned(&[("1", "one")])));
    }

    #[test]
    fn several_other_columns_become_an_object() {
        let rows = read("a,id,\"b \"\"c\"\"\"\nx,1,\"y\nz\"\n", Some("id")).ok();
        assert_eq!(rows, Some(owned(&[("1", "{\"a\":\"x\",\"b \\\"c\\\"\":\"y\\nz\"}")])));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, column, named) in [
            ("", None, "0 columns"),
            ("only\n1\n", None, "1 column;"),
            ("a,b\n1,2\n", Some("id"), "a, b"),
            ("a,b\n1,\"2\n\n\"\n3\n", None, "line 5: 1 field,"),
        ] {
            let error = read(text, column).expect_err(text).to_string();
            assert!(error.contains(named), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_record_gets_no_more_than_its_ration() {
        let left = Rc::new(Cell::new(4));
        let mut rationed = Rationed { source: io::Cursor::new("123456"), left: Rc::clone(&left) };
        let mut buffer = [0; 16];
        assert_eq!(rationed.read(&mut buffer).ok(), Some(4));
        assert!(rationed.read(&mut buffer).is_err());
        left.set(16);
        assert_eq!(rationed.read(&mut buffer).ok(), Some(2));
        left.set(0);
        assert_eq!(rationed.read(&mut buffer).ok(), Some(0), "the end is no error");
    }
}
