//! Frames records into the bytes of a log file.

use super::{BLOCK_BYTES, HEADER_BYTES, Part};
use crate::base::checksum::{chain, record_checksum};

/// Frames records for one file, front to back. It only makes bytes; whoever owns the file appends them.
#[derive(Debug)]
pub struct Framer {
    file: u64,
    /// Where the current block begins in the file, and how much of it is used.
    block_start: u64,
    used: usize,
    digest: u64,
}

impl Framer {
    /// A framer for an empty file with this number.
    pub fn new(file: u64) -> Self {
        Self { file, block_start: 0, used: 0, digest: 0 }
    }

    /// The digest of all fragments so far: what [`RecordReader::digest`](super::RecordReader::digest) finds.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Appends the frames of a record to `out`.
    pub fn frame(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let mut rest = payload;
        let mut first = true;
        loop {
            if BLOCK_BYTES - self.used < HEADER_BYTES {
                out.resize(out.len() + BLOCK_BYTES - self.used, 0);
                self.block_start += BLOCK_BYTES as u64;
                self.used = 0;
            }
            let room = BLOCK_BYTES - self.used - HEADER_BYTES;
            let (now, later) = rest.split_at(rest.len().min(room));
            self.put_fragment(Part::of(first, later.is_empty()), now, out);
            if later.is_empty() {
                return;
            }
            rest = later;
            first = false;
        }
    }

    fn put_fragment(&mut self, part: Part, payload: &[u8], out: &mut Vec<u8>) {
        let length = u16::try_from(payload.len()).expect("a fragment is shorter than a block");
        let kind = part as u8;
        let checksum = record_checksum(self.file, self.block_start + self.used as u64, kind, payload);
        self.digest = chain(self.digest, u64::from(checksum));
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.push(kind);
        out.extend_from_slice(payload);
        self.used += HEADER_BYTES + payload.len();
    }
}
