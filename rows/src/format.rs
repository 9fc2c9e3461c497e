//! What a file of rows looks like: the shape of a row, and how the whole is packed.

use std::path::Path;
use std::str::FromStr;

use super::{csv, jsonl, tsv};

/// A shape and a packing, as a file's ending or `--format` names them: `tsv`, `csv.gz`, `jsonl.zst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// How a row is written.
    pub shape: Shape,
    /// How the file is compressed.
    pub packing: Packing,
}

/// How a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// `key TAB value`, with escapes.
    #[default]
    Tsv,
    /// Comma-separated with a header; bytes as they are.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// Not at all.
    #[default]
    Plain,
    /// gzip.
    Gz,
    /// Zstandard.
    Zst,
}

impl Format {
    /// The format that a file's ending names; what it does not say is plain TSV.
    pub fn of_file(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let mut endings = name.rsplit('.');
        let mut ending = endings.next().unwrap_or_default();
        let packing = packing_named(ending).unwrap_or_default();
        if packing != Packing::Plain {
            ending = endings.next().unwrap_or_default();
        }
        Self { shape: shape_named(ending).unwrap_or_default(), packing }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown =
            || format!("'{text}' is no format; use tsv, csv or jsonl, with .gz or .zst after it if packed");
        let (shape, packing) = match text.split_once('.') {
            Some((shape, packing)) => (shape, Some(packing)),
            None => (text, None),
        };
        Ok(Self {
            shape: shape_named(shape).ok_or_else(unknown)?,
            packing: packing.map_or(Ok(Packing::Plain), |name| packing_named(name).ok_or_else(unknown))?,
        })
    }
}

fn shape_named(name: &str) -> Option<Shape> {
    match name {
        "tsv" => Some(Shape::Tsv),
        "csv" => Some(Shape::Csv),
        "jsonl" | "ndjson" => Some(Shape::Jsonl),
        _ => None,
    }
}

fn packing_named(name: &str) -> Option<Packing> {
    match name {
        "gz" => Some(Packing::Gz),
        "zst" => Some(Packing::Zst),
        _ => None,
    }
}

impl Shape {
    /// What stands before the first row.
    pub fn header(self) -> &'static [u8] {
        match self {
            Self::Csv => b"key,value\n",
            Self::Tsv | Self::Jsonl => b"",
        }
    }

    /// Appends a row to `out`, its line end included; without a value, the key alone.
    pub fn encode(self, key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
        match self {
            Self::Tsv => tsv::encode(key, value, out),
            Self::Csv => csv::encode(key, value, out),
            Self::Jsonl => jsonl::encode(key, value, out),
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_name_the_format_and_tsv_is_the_default() {
        for (name, shape, packing) in [
            ("names.tsv", Shape::Tsv, Packing::Plain),
            ("names.csv.gz", Shape::Csv, Packing::Gz),
            ("dir.csv/names.JSONL.ZST", Shape::Jsonl, Packing::Zst),
            ("names.gz", Shape::Tsv, Packing::Gz),
            ("names", Shape::Tsv, Packing::Plain),
            ("-", Shape::Tsv, Packing::Plain),
            ("names.txt", Shape::Tsv, Packing::Plain),
        ] {
            assert_eq!(Format::of_file(Path::new(name)), Format { shape, packing }, "{name}");
        }
    }

    #[test]
    fn the_option_takes_the_same_names_and_nothing_else() {
        assert_eq!("csv.zst".parse(), Ok(Format { shape: Shape::Csv, packing: Packing::Zst }));
        assert_eq!("tsv".parse(), Ok(Format::default()));
        for text in ["", "gz", "xml", "tsv.bz2", "tsv.", "csv.gz.gz"] {
            assert!(text.parse::<Format>().is_err(), "{text}");
        }
    }
}
