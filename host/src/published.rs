//! What a process tells others about the store that it has open: its figures, in the file LOCK.
//!
//! ```text
//! 4711                                  the process that has the store open, or had it last
//! esker-stats 5120 9f86d081884c7d65     the length of what follows, and the beginning of its SHA-256
//! {"epoch":3, ...}                      docs/stats.md
//! ```
//!
//! The lock file is there anyway, the engine knows its name, and the lock on it tells whether the process still lives.
//! Nothing is renamed or synced: whoever reads in the middle of a write sees it by the checksum, and reads again.

use crate::dir_lock::{LOCK_NAME, is_locked};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

const TITLE: &str = "esker-stats";
/// So often a file is read again that was being written.
const ATTEMPTS: u32 = 20;

/// What is known of the process that has a store open, without asking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The process, where the file tells: that has the store open, or had it last.
    pub process: Option<u32>,
    /// Whether a process has the store open now.
    pub running: bool,
    /// The figures that it has published last, as a JSON object; `None` where it has not, or not yet.
    pub stats: Option<String>,
    /// How old they are.
    pub age: Duration,
}

impl Published {
    /// Reads what is published about the store in `dir`.
    ///
    /// # Errors
    ///
    /// `Directory` where that cannot be read. A directory that nobody has ever opened here tells nothing, and is no
    /// error.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let unusable = |error: &io::Error| Error::Directory {
            path: dir.to_path_buf(),
            message: format!("it cannot be looked into: {error}"),
        };
        fs::metadata(dir).map_err(|error| unusable(&error))?;
        let path = dir.join(LOCK_NAME);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { process: None, running: false, stats: None, age: Duration::ZERO });
            }
            Err(error) => return Err(unusable(&error)),
        };
        let (mut process, mut stats) = (None, None);
        for _ in 0..ATTEMPTS {
            let text = fs::read(&path).map_err(|error| unusable(&error))?;
            (process, stats) = decode(&text);
            if stats.is_some() {
                break;
            }
        }
        let changed =
            file.metadata().and_then(|metadata| metadata.modified()).map_err(|error| unusable(&error))?;
        let age = SystemTime::now().duration_since(changed).unwrap_or_default();
        Ok(Self { process, running: is_locked(&file), stats, age })
    }
}

/// Writes `stats` to the lock file, after the process's number.
pub(crate) fn write(file: &File, process: u32, stats: &str) -> io::Result<()> {
    file.write_all_at(&encode(process, stats), 0)
}

fn encode(process: u32, stats: &str) -> Vec<u8> {
    format!("{process}\n{TITLE} {} {}\n{stats}\n", stats.len(), checksum(stats.as_bytes())).into_bytes()
}

/// The process, and its figures if they are whole. What stands after them is left from longer ones.
fn decode(text: &[u8]) -> (Option<u32>, Option<String>) {
    let mut lines = text.splitn(3, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let process = std::str::from_utf8(line()).ok().and_then(|process| process.trim().parse().ok());
    let (head, rest) = (line(), line());
    let stats = || {
        let (length, expected) =
            std::str::from_utf8(head).ok()?.strip_prefix(TITLE)?.trim().split_once(' ')?;
        let stats = rest.get(..length.parse().ok()?)?;
        (checksum(stats) == expected).then(|| String::from_utf8_lossy(stats).into_owned())
    };
    (process, stats())
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_whatever_was_there_before() {
        let mut file = encode(12, r#"{"epoch":1,"last_sequence":1000000}"#);
        let shorter = encode(4711, r#"{"epoch":2}"#);
        file[..shorter.len()].copy_from_slice(&shorter);
        assert_eq!(decode(&file), (Some(4711), Some(r#"{"epoch":2}"#.into())));
    }

    #[test]
    fn what_is_not_whole_is_not_believed() {
        let file = encode(4711, r#"{"epoch":2}"#);
        for cut in 6..file.len() - 1 {
            assert_eq!(decode(&file[..cut]), (Some(4711), None), "cut at {cut}");
        }
        for at in 5..file.len() - 1 {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged).1, None, "flip at {at}");
        }
        assert_eq!(decode(b"4711\n"), (Some(4711), None));
        assert_eq!(decode(b""), (None, None));
    }
}
