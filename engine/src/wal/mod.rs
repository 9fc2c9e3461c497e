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

use crate::base::coding::{Decoder, put_u64, put_varint};

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
    pub fn decode(record: &[u8]) -> Option<(Self, &[u8])> {
        let mut decoder = Decoder::new(record);
        let sequence = decoder.u64()?;
        let durable = sequence.checked_sub(1)?.checked_sub(decoder.varint()?)?;
        let count = decoder.varint()?;
        sequence.checked_add(count)?;
        Some((Self { sequence, durable, count }, decoder.rest()))
    }

    /// The sequence number of the last operation; the one before the first where there is none.
    pub fn last(&self) -> u64 {
        self.sequence - 1 + self.count
    }
}
