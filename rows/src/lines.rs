//! Lines of a text, numbered, each of bounded length.

use std::io::{self, BufRead, Read};

use super::RowError;

/// Reads a text line by line. No more than one line, and no more than the limit of it, is in memory.
pub struct Lines<R> {
    source: R,
    bytes_max: usize,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `source`, of which none may have more than `bytes_max` bytes.
    pub fn new(source: R, bytes_max: usize) -> Self {
        Self { source, bytes_max, number: 0, line: Vec::new() }
    }

    /// The next line without its end (LF or CR LF); `None` at the end. A line that is too long is passed over.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, RowError> {
        self.number += 1;
        self.line.clear();
        if self.read_line().map_err(|cause| RowError::unreadable(self.number, &cause))? == 0 {
            return Ok(None);
        }
        if self.line.len() > self.bytes_max {
            let why = format!("the line is longer than {} bytes, and no row needs as many", self.bytes_max);
            return Err(RowError::Malformed { line: self.number, why });
        }
        Ok(Some(self.line.strip_suffix(b"\r").unwrap_or(&self.line)))
    }

    /// The number of the line that was read last, counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads one line, or the limit's worth of it and one byte more; returns how much was read.
    fn read_line(&mut self) -> io::Result<usize> {
        // Room for the line, its LF, and one byte that shows that it is too long.
        let limit = self.bytes_max as u64 + 2;
        let length = (&mut self.source).take(limit).read_until(b'\n', &mut self.line)?;
        if self.line.pop_if(|last| *last == b'\n').is_none() && self.line.len() > self.bytes_max {
            self.source.skip_until(b'\n')?;
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, bytes_max: usize) -> Vec<Result<String, String>> {
        let mut lines = Lines::new(io::Cursor::new(text), bytes_max);
        let mut all = Vec::new();
        loop {
            match lines.next_line() {
                Ok(Some(line)) => all.push(Ok(String::from_utf8_lossy(line).into_owned())),
                Ok(None) => return all,
                Err(error) => all.push(Err(error.to_string())),
            }
        }
    }

    #[test]
    fn line_ends_are_taken_off_and_the_last_needs_none() {
        let expected: Vec<_> = ["one", "two", "", "four"].map(|line| Ok(line.to_owned())).into();
        assert_eq!(lines("one\ntwo\r\n\nfour", 9), expected);
        assert_eq!(lines("one\ntwo\r\n\nfour\n", 9), expected);
        assert_eq!(lines("", 9), []);
    }

    #[test]
    fn a_line_of_the_limit_passes_and_a_longer_one_is_skipped() {
        for too_long in ["12345", "123456", "1234567", "1234567890"] {
            let all = lines(&format!("1234\n{too_long}\nend\n"), 4);
            assert_eq!((&all[0], &all[2]), (&Ok("1234".to_owned()), &Ok("end".to_owned())));
            assert!(all[1].as_ref().is_err_and(|why| why.starts_with("line 2: ")), "{all:?}");
            assert_eq!(all.len(), 3);
        }
    }
}
