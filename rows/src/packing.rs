//! Compression of whole files.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::Packing;

/// How much is read and unpacked at a time.
const BUFFER_BYTES: usize = 128 * 1024;

/// What `source` holds, unpacked. Files that were packed in pieces and put together are read to the end.
pub fn unpack(packing: Packing, source: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    Ok(match packing {
        Packing::Plain => Box::new(BufReader::with_capacity(BUFFER_BYTES, source)),
        Packing::Gz => Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(source))),
        #[cfg(feature = "zst")]
        Packing::Zst => Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd::Decoder::new(source)?)),
        #[cfg(not(feature = "zst"))]
        Packing::Zst => return Err(no_zst()),
    })
}

#[cfg(not(feature = "zst"))]
fn no_zst() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this program was built without Zstandard: unpack with `zstd -d`, or use gz",
    )
}

/// Packs what is written to it.
pub enum PackedWriter<W: Write> {
    /// Not at all.
    Plain(W),
    /// With gzip.
    Gz(GzEncoder<W>),
    /// With Zstandard.
    #[cfg(feature = "zst")]
    Zst(zstd::Encoder<'static, W>),
}

impl<W: Write> PackedWriter<W> {
    /// Packs into `out`, which should be buffered.
    pub fn new(packing: Packing, out: W) -> io::Result<Self> {
        Ok(match packing {
            Packing::Plain => Self::Plain(out),
            Packing::Gz => Self::Gz(GzEncoder::new(out, Compression::default())),
            #[cfg(feature = "zst")]
            Packing::Zst => Self::Zst(zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?),
            #[cfg(not(feature = "zst"))]
            Packing::Zst => return Err(no_zst()),
        })
    }

    /// Writes what is still held back and the packing's end; without it the file is cut short.
    pub fn finish(self) -> io::Result<W> {
        let mut out = match self {
            Self::Plain(out) => out,
            Self::Gz(encoder) => encoder.finish()?,
            #[cfg(feature = "zst")]
            Self::Zst(encoder) => encoder.finish()?,
        };
        out.flush()?;
        Ok(out)
    }
}

impl<W: Write> Write for PackedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gz(encoder) => encoder.write(bytes),
            #[cfg(feature = "zst")]
            Self::Zst(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gz(encoder) => encoder.flush(),
            #[cfg(feature = "zst")]
            Self::Zst(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(packing: Packing, text: &[u8]) -> Vec<u8> {
        let mut writer = PackedWriter::new(packing, Vec::new()).expect("memory takes everything");
        writer.write_all(text).expect("memory takes everything");
        writer.finish().expect("memory takes everything")
    }

    fn unpacked(packing: Packing, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        unpack(packing, io::Cursor::new(bytes))?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn every_packing_reads_back_and_so_do_two_files_put_together() {
        for packing in [Packing::Plain, Packing::Gz, Packing::Zst] {
            let mut both = packed(packing, b"one\n");
            both.extend(packed(packing, b"two\n"));
            assert_eq!(unpacked(packing, both).ok(), Some(b"one\ntwo\n".to_vec()), "{packing:?}");
        }
    }

    #[test]
    fn a_file_cut_short_is_an_error_and_not_an_end() {
        for packing in [Packing::Gz, Packing::Zst] {
            let mut bytes = packed(packing, &b"a row\tthat was there\n".repeat(1000));
            bytes.truncate(bytes.len() - 3);
            assert!(unpacked(packing, bytes).is_err(), "{packing:?}");
        }
    }
}
