//! Rows on their way out.

use std::io::{self, Write};

use super::Shape;

/// Writes rows of one shape, the header first.
pub struct RowWriter<W> {
    shape: Shape,
    out: W,
    line: Vec<u8>,
}

impl<W: Write> RowWriter<W> {
    /// Writes rows to `out`, which should be buffered.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn new(shape: Shape, mut out: W) -> io::Result<Self> {
        out.write_all(shape.header())?;
        Ok(Self { shape, out, line: Vec::new() })
    }

    /// Writes one row; without a value, its key alone.
    pub fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        self.line.clear();
        self.shape.encode(key, value, &mut self.line);
        self.out.write_all(&self.line)
    }

    /// What the rows were written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}
