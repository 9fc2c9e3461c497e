//! The write-ahead log: a run of segments, each a file of records, each record a batch (docs/format.md).
//!
//! ```text
//! record = sequence u64 | lag varint | count varint | packed batch
//! ```
//!
//! Every record says which sequence number was known durable when it was written (`sequence - 1 - lag`). That is
//! how recovery tells *corruption*, damage to what was durable, from a *torn tail*, what a crash cut off: it is
//! decided by what the log itself knows, not by where the damage lies.

mod replay;
mod writer;

pub use replay::{Loss, LossKind, Replay, ReplayReport};
pub use writer::Writer;

use crate::base::batch::Batch;
use crate::base::coding::{Decoder, put_u64, put_varint};
use crate::base::key::SEQUENCE_MAX;

/// What tells a sealed segment from all others that ever had its number, in any store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The number in its name.
    pub number: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The digest of its fragments' checksums.
    pub digest: u64,
}

/// What stands at the start of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The sequence number of the first operation.
    pub sequence: u64,
    /// The greatest sequence number that was known durable when the record was written.
    pub durable: u64,
    /// The number of operations; 0 in a record that only says what is durable.
    pub count: u64,
}

impl Header {
    /// Appends the header to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.sequence);
        put_varint(out, (self.sequence - 1).saturating_sub(self.durable));
        put_varint(out, self.count);
    }

    /// Splits a record into its header and its packed batch.
    fn decode(record: &[u8]) -> Option<(Self, &[u8])> {
        let mut decoder = Decoder::new(record);
        let sequence = decoder.u64()?;
        let durable = sequence.checked_sub(1)?.checked_sub(decoder.varint()?)?;
        let count = decoder.varint()?;
        if sequence.checked_add(count)? > SEQUENCE_MAX {
            return None;
        }
        Some((Self { sequence, durable, count }, decoder.rest()))
    }

    /// The sequence number of the last operation; the one before the first where there is none.
    pub fn last(&self) -> u64 {
        self.sequence - 1 + self.count
    }
}

/// A record's header; its batch takes the place of what `batch` was. `None` where the bytes are no record of a log.
pub fn decode(record: &[u8], batch: &mut Batch) -> Option<Header> {
    let (header, packed) = Header::decode(record)?;
    batch.read_packed(packed).ok()?;
    (batch.len() == header.count).then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A power cut left a piece of a manifest in a log's never synced part. The two files had the same number, and the
    /// piece passed for a record of the log, of an absurd sequence number.
    #[test]
    fn a_record_is_a_header_and_its_batch() {
        let mut batch = Batch::new();
        batch.put(b"key", b"value");
        batch.delete(b"key");
        let record = |header: Header| {
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            bytes.extend_from_slice(batch.as_packed());
            bytes
        };
        let header = Header { sequence: 7, durable: 3, count: 2 };
        let mut read = Batch::new();
        read.put(b"another", b"one");
        assert_eq!(decode(&record(header), &mut read), Some(header));
        assert_eq!(read, batch);
        let decode = |record: &[u8]| decode(record, &mut Batch::new());
        assert_eq!(decode(&record(Header { count: 1, ..header })), None, "another count");
        assert_eq!(
            decode(&record(Header { sequence: SEQUENCE_MAX, durable: 3, count: 2 })),
            None,
            "beyond the last"
        );
        assert_eq!(decode(b"\x01\x08eskerkv\x01\x02\x01\x04\x00\x06\x02"), None, "a manifest's first record");
    }
}
