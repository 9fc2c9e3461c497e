//! The framing that write-ahead log and manifest share: checksummed records from which a reader can find the
//! next good one after a damaged one.
//!
//! ```text
//! file     = blocks of 32,768 bytes
//! record   = one "whole" fragment, or "first" "middle"* "last"
//! fragment = checksum u32 | length u16 | kind u8 | payload      never across a block's end
//! ```
//!
//! The framing is LevelDB's (its doc/log_format.md), with the file's number in the checksum. It knows nothing of
//! what records mean.

mod reader;
mod writer;

pub use reader::{Item, Mark, RecordReader};
pub use writer::Framer;

/// ON DISK: the length of a block of a log file.
const BLOCK_BYTES: usize = 32 * 1024;
/// ON DISK: the length of a fragment's header.
const HEADER_BYTES: usize = 7;

/// ON DISK: the part of a record that a fragment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Part {
    Whole = 1,
    First = 2,
    Middle = 3,
    Last = 4,
}

impl Part {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Whole),
            2 => Some(Self::First),
            3 => Some(Self::Middle),
            4 => Some(Self::Last),
            _ => None,
        }
    }

    fn of(first: bool, last: bool) -> Self {
        match (first, last) {
            (true, true) => Self::Whole,
            (true, false) => Self::First,
            (false, false) => Self::Middle,
            (false, true) => Self::Last,
        }
    }
}
