//! The names of a store's files: a number of at least six digits and an ending that tells the kind.
//!
//! ON DISK: names are part of the format (docs/format.md). The name alone tells the kind and the order.

use std::fmt;

/// The largest number of a file, of an epoch too: what no store comes near, and what leaves room to count on from.
pub const NUMBER_MAX: u64 = (1 << 62) - 1;

/// The name of a file in a store's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// `000003.manifest`: the log of version edits of epoch 3.
    Manifest(u64),
    /// `000007.wal`: a segment of the write-ahead log.
    Wal(u64),
    /// `000012.sst`: a sorted table.
    Table(u64),
    /// `000007.lost`: a damaged log segment that recovery set aside; the store never reads it.
    Lost(u64),
}

impl FileName {
    /// Reads a name; `None` when it is not one of a store's files.
    pub fn parse(name: &str) -> Option<Self> {
        let (digits, ending) = name.split_once('.')?;
        if digits.len() < 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = digits.parse().ok().filter(|&number| number <= NUMBER_MAX)?;
        let file = match ending {
            "manifest" => Self::Manifest(number),
            "wal" => Self::Wal(number),
            "sst" => Self::Table(number),
            "lost" => Self::Lost(number),
            _ => return None,
        };
        // One spelling for each file: 0000007.wal is not ours.
        (file.to_string() == name).then_some(file)
    }

    /// What the checksums of the file's records cover beside them, so that a record of another file is never taken for
    /// one of this: the number, with the highest bit set for a manifest.
    pub fn record_number(self) -> u64 {
        match self {
            Self::Manifest(n) => n | 1 << 63,
            Self::Wal(n) | Self::Table(n) | Self::Lost(n) => n,
        }
    }

    /// The number in the name.
    pub fn number(self) -> u64 {
        match self {
            Self::Manifest(n) | Self::Wal(n) | Self::Table(n) | Self::Lost(n) => n,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, ending) = match self {
            Self::Manifest(n) => (n, "manifest"),
            Self::Wal(n) => (n, "wal"),
            Self::Table(n) => (n, "sst"),
            Self::Lost(n) => (n, "lost"),
        };
        write!(f, "{number:06}.{ending}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in [FileName::Manifest(1), FileName::Wal(7), FileName::Table(1_234_567), FileName::Lost(9)] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn foreign_names_are_none() {
        for name in
            ["", "LOCK", "7.wal", "0000007.wal", "000007.wal.gz", "+00007.wal", "000007.txt", "00000٣.wal"]
        {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
