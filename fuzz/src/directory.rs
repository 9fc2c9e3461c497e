//! A directory as one string of bytes, so that a fuzzer can change its files, their number and their names.
//!
//! ```text
//! directory = options (2 bytes) | file ...        file = kind (1 byte) | number (1 byte) | length u16 | bytes
//! ```
//!
//! The last file may end early.

use esker_engine::base::file_name::FileName;
use esker_engine::env::{File, Fs, MemFs};

/// What is fuzzed: how the directory is opened, and what it holds.
pub struct Directory {
    /// Two bytes to choose options by.
    pub options: [u8; 2],
    /// The files.
    pub fs: MemFs,
}

/// Reads a directory; `None` where two files have one name, or the bytes are too few.
pub fn decode(bytes: &[u8]) -> Option<Directory> {
    let (&options, mut rest) = bytes.split_first_chunk::<2>()?;
    let fs = MemFs::new();
    while let Some((&[kind, number, low, high], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_le_bytes([low, high])).min(after.len());
        let (content, after) = after.split_at(length);
        rest = after;
        let mut file = fs.create(&name(kind, number)).ok()?;
        file.append(content).expect("there is room");
        file.sync().expect("nothing fails in memory");
    }
    fs.sync_dir().expect("nothing fails in memory");
    Some(Directory { options, fs })
}

/// A directory as bytes; `None` where a file's name or length does not fit.
pub fn encode(options: [u8; 2], fs: &MemFs) -> Option<Vec<u8>> {
    let mut out = options.to_vec();
    for name in fs.names() {
        let content = fs.bytes(&name)?;
        let (kind, number) = match FileName::parse(&name)? {
            FileName::Manifest(number) => (0, number),
            FileName::Wal(number) => (1, number),
            FileName::Table(number) => (2, number),
            FileName::Lost(number) => (3, number),
        };
        out.extend_from_slice(&[kind, u8::try_from(number).ok()?]);
        out.extend_from_slice(&u16::try_from(content.len()).ok()?.to_le_bytes());
        out.extend_from_slice(&content);
    }
    Some(out)
}

fn name(kind: u8, number: u8) -> String {
    let number = u64::from(number);
    match kind % 5 {
        0 => FileName::Manifest(number).to_string(),
        1 => FileName::Wal(number).to_string(),
        2 => FileName::Table(number).to_string(),
        3 => FileName::Lost(number).to_string(),
        _ => format!("foreign-{number}"),
    }
}
