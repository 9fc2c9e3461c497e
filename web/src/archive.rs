//! Archives: a store's directory as one tar file (POSIX ustar), written and read in pieces.
//!
//! Written here and not taken from a crate: those that exist read and write through `std::io` and `std::fs`, which do
//! nothing in the browser, and a store's archive is the simplest there is: plain files with short names, one after the
//! other. This file knows bytes only; where files come from and go to is `core`'s.
//!
//! ```text
//! archive = file ... | 1,024 zero bytes          file = header: 512 bytes | bytes | zeros up to a multiple of 512
//! ```

use esker_engine::base::file_name::FileName;

/// Everything in a tar file is a multiple of this long.
const BLOCK: usize = 512;
/// The end of a tar file.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// The largest file that the header's octal digits can tell of.
const SIZE_MAX: u64 = 0o77_777_777_777;
/// Where the checksum stands in a header.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// The header of a file; `None` for a name or a size that ustar has no room for.
pub fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    if name.len() > 100 || size > SIZE_MAX {
        return None;
    }
    let mut header = [0; BLOCK];
    let mut set = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    set(0, name.as_bytes());
    set(100, b"0000644\0");
    set(108, b"0000000\0");
    set(116, b"0000000\0");
    set(124, format!("{size:011o}\0").as_bytes());
    set(136, b"00000000000\0");
    set(156, b"0ustar\x0000");
    let sum = checksum(&header);
    header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Some(header)
}

/// How many zeros follow a file of `size` bytes.
pub fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

/// The sum of a header's bytes, the checksum's own taken as spaces.
fn checksum(header: &[u8; BLOCK]) -> u32 {
    let own: u32 = header[CHECKSUM].iter().map(|&byte| u32::from(byte)).sum();
    header.iter().map(|&byte| u32::from(byte)).sum::<u32>() - own + 8 * u32::from(b' ')
}

/// What comes next in an archive that is read.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A file of a store begins.
    File(String),
    /// So many of the bytes at hand belong to the file that began last.
    Bytes(usize),
    /// More bytes are needed to tell.
    More,
    /// The archive has ended.
    End,
}

/// Takes an archive apart: hand it bytes with [`Splitter::push`], then ask for pieces.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Where in the buffer reading goes on.
    at: usize,
    /// Bytes left of the file, or of a part that is passed over.
    left: u64,
    padding: usize,
    passed_over: bool,
    ended: bool,
}

impl Splitter {
    /// Adds bytes of the archive.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece. After [`Piece::Bytes`] the bytes are taken with [`Splitter::take`].
    ///
    /// # Errors
    ///
    /// What is foreign about the archive.
    pub fn piece(&mut self) -> Result<Piece, String> {
        loop {
            let rest = self.buffer.len() - self.at;
            if self.left > 0 {
                let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest);
                match (count, self.passed_over) {
                    (0, _) => return Ok(Piece::More),
                    (_, false) => return Ok(Piece::Bytes(count)),
                    (_, true) => drop(self.take(count)),
                }
                continue;
            }
            if rest < self.padding {
                return Ok(Piece::More);
            }
            self.at += std::mem::take(&mut self.padding);
            if self.ended {
                return Ok(Piece::End);
            }
            let Some(header) = self.buffer.get(self.at..self.at + BLOCK) else { return Ok(Piece::More) };
            let header: [u8; BLOCK] = header.try_into().expect("the slice is a block long");
            self.at += BLOCK;
            if let Some(file) = self.begin(&header)? {
                return Ok(Piece::File(file));
            }
        }
    }

    /// Takes bytes of the file.
    pub fn take(&mut self, count: usize) -> &[u8] {
        let start = self.at;
        self.at += count;
        self.left -= count as u64;
        &self.buffer[start..self.at]
    }

    /// Whether the archive ends where a file ends. One without the zeros at its end is whole too.
    pub fn is_whole(&self) -> bool {
        self.ended || (self.left == 0 && self.padding == 0 && self.at == self.buffer.len())
    }

    /// Reads a header; returns the name where a file of a store begins.
    fn begin(&mut self, header: &[u8; BLOCK]) -> Result<Option<String>, String> {
        if header.iter().all(|&byte| byte == 0) {
            self.ended = true;
            return Ok(None);
        }
        let told = octal(&header[CHECKSUM]).ok_or("it is not a tar file")?;
        if told != u64::from(checksum(header)) {
            return Err("it is not a tar file, or damaged: the checksum of a header is wrong".into());
        }
        let size = octal(&header[124..136]).ok_or("a size in it cannot be read")?;
        self.left = size;
        self.padding = padding(size);
        let path = text(&header[..100]).ok_or("a name in it is not UTF-8")?;
        match header[156] {
            b'0' | 0 => {}
            // Folders, and what tar programs say about the entry that follows.
            b'5' | b'x' | b'g' => {
                self.passed_over = true;
                return Ok(None);
            }
            kind => {
                return Err(format!("{path} in it is not a plain file (tar type {:?})", char::from(kind)));
            }
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        self.passed_over = name == "LOCK";
        if self.passed_over {
            return Ok(None);
        }
        match FileName::parse(name) {
            Some(_) => Ok(Some(name.to_owned())),
            None => Err(format!("{path} in it is no file of a store")),
        }
    }
}

/// A field of text, which ends at its first zero.
fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field.split(|&byte| byte == 0).next()?).ok()
}

/// A field of octal digits, with spaces or zeros around them; or the base-256 form of GNU tar.
fn octal(field: &[u8]) -> Option<u64> {
    if let Some((&[first], rest)) = field.split_first_chunk::<1>()
        && first & 0x80 != 0
    {
        let (high, low) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
        if first != 0x80 || high.iter().any(|&byte| byte != 0) {
            return None;
        }
        return Some(u64::from_be_bytes(low.try_into().ok()?));
    }
    let digits = text(field)?.trim();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, bytes) in files {
            out.extend_from_slice(&header(name, bytes.len() as u64).expect("short"));
            out.extend_from_slice(bytes);
            out.resize(out.len() + padding(bytes.len() as u64), 0);
        }
        out.extend_from_slice(&END);
        out
    }

    /// What the splitter makes of an archive that comes in pieces of `step` bytes.
    fn split(archive: &[u8], step: usize) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut splitter = Splitter::default();
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for piece in archive.chunks(step) {
            splitter.push(piece);
            loop {
                match splitter.piece()? {
                    Piece::File(name) => files.push((name, Vec::new())),
                    Piece::Bytes(count) => {
                        let (_, bytes) = files.last_mut().expect("bytes follow a name");
                        bytes.extend_from_slice(splitter.take(count));
                    }
                    Piece::More | Piece::End => break,
                }
            }
        }
        if splitter.is_whole() { Ok(files) } else { Err("cut short".into()) }
    }

    #[test]
    fn an_archive_reads_back_however_it_is_cut() {
        let large: Vec<u8> = (0..5000).map(|n| n as u8).collect();
        let files: [(&str, &[u8]); 4] = [
            ("000001.manifest", b"m"),
            ("000002.wal", b""),
            ("000003.sst", &large),
            ("000004.sst", &[7; 512]),
        ];
        let expected: Vec<(String, Vec<u8>)> =
            files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        for step in [1, 7, 511, 512, 513, 100_000] {
            assert_eq!(split(&archive(&files), step), Ok(expected.clone()));
        }
    }

    #[test]
    fn foreign_archives_are_refused_with_a_reason() {
        let refused = |bytes: &[u8]| split(bytes, 4096).expect_err("foreign");
        assert!(refused(&[b'x'; 2000]).contains("not a tar file"));
        assert!(refused(&archive(&[("README.md", b"hello")])).contains("README.md"));
        let mut damaged = archive(&[("000001.wal", b"hello")]);
        damaged[3] ^= 1;
        assert!(refused(&damaged).contains("checksum"));
        let whole = archive(&[("000001.wal", &[1; 1000])]);
        assert_eq!(refused(&whole[..1200]), "cut short");
    }

    #[test]
    fn the_system_s_tar_reads_what_is_written_and_the_other_way() {
        let folder = std::env::temp_dir().join(format!("esker-archive-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("in")).unwrap();
        std::fs::create_dir_all(folder.join("out")).unwrap();
        let files: [(&str, &[u8]); 3] =
            [("000001.manifest", b"manifest"), ("000002.wal", &[3; 70_000]), ("000003.sst", b"")];
        for (name, bytes) in files {
            std::fs::write(folder.join("in").join(name), bytes).unwrap();
        }
        std::fs::write(folder.join("in/LOCK"), "").unwrap();
        let tar = |arguments: &[&str]| {
            let status =
                Command::new("tar").current_dir(&folder).args(arguments).status().expect("tar is there");
            assert!(status.success(), "tar {arguments:?}");
        };

        for arguments in [&["cf", "a.tar", "-C", "in", "."][..], &["--format=posix", "-cf", "a.tar", "in"]] {
            tar(arguments);
            let mut found = split(&std::fs::read(folder.join("a.tar")).unwrap(), 10_000).unwrap();
            found.sort();
            assert_eq!(found, files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
        }

        std::fs::write(folder.join("b.tar"), archive(&files)).unwrap();
        tar(&["xf", "b.tar", "-C", "out"]);
        for (name, bytes) in files {
            assert_eq!(std::fs::read(folder.join("out").join(name)).unwrap(), bytes, "{name}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
