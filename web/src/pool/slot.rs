//! One slot: a file of the platform that one file of the store lives in, or none.
//!
//! Two things must survive a crash at any moment: which name the slot has, and how long its file is (docs/browser.md).
//!
//! - A header is written over the copy that does **not** hold, and only when the one that holds is durable.
//! - Appended bytes are followed by a mark, in the same write; behind it are only zeros. A killed worker's file is as
//!   long as its mark tells; a synced one's is at least as long as its header says, or ends with a byte that no later
//!   append can make look like the zeros behind it or like a mark.

use super::handle::{Failure, Handle};
use super::header::{COPIES, DATA, Found, Header, MARK, find};
use esker_engine::{Error, Result};

/// A slot grows by this much while it is small, and by the larger step later: writing within a file is several times
/// cheaper than making it longer.
const STEP_SMALL: u64 = 64 << 10;
const STEP: u64 = 1 << 20;
/// A slot whose file is synced while it grows is made longer by zeros that are written, so many at a time: a flush of
/// bytes that take the place of others has no blocks to allocate, which the file system would have to note first.
const STEP_WRITTEN: u64 = 256 << 10;
/// ... for appends of at most this: to write zeros where a large piece comes next would be to write it twice.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Bytes and mark are put together in memory for one write up to this size.
const COPIED_BYTES_MAX: usize = 256 << 10;
/// A finished file gives back more room than this.
const SLACK_BYTES_MAX: u64 = 16 << 10;
/// How many bytes are read at a time to find the mark.
const SEARCH_BYTES: usize = 64 << 10;

/// A slot.
#[derive(Debug)]
pub struct Slot<H: Handle> {
    // Fixed.
    title: String,
    handle: H,
    /// Why the slot must not be used, if it must not.
    damage: Option<String>,
    // The header.
    header: Header,
    /// Which copy holds.
    copy: usize,
    /// Whether it is known durable. One that was found at opening is not: an earlier worker may have written it and
    /// died before it flushed.
    settled: bool,
    // The file.
    length: u64,
    /// The size of the slot itself.
    size: u64,
    /// The last byte that was appended; `None` where none was since the slot was opened or taken.
    last: Option<u8>,
    /// Whether bytes were appended since the last flush.
    dirty: bool,
    /// Whether the file was synced since the slot was taken: it may be again, at each length.
    synced: bool,
    /// How many open files of the store read or write here, be it that the name is gone.
    users: u32,
}

impl<H: Handle> Slot<H> {
    /// Reads what `handle`, which the platform calls `title`, holds.
    ///
    /// # Errors
    ///
    /// `CannotOpen` for a slot of a newer version; `Io`.
    pub fn open(title: String, handle: H) -> Result<Self> {
        let failed = |failure: Failure| failure.into_error("read", &title);
        let size = handle.size().map_err(failed)?;
        let mut head = vec![0; DATA.min(size) as usize];
        let count = handle.read(0, &mut head).map_err(failed)?;
        head.truncate(count);
        let (header, copy, damage) = match find(&head) {
            Found::Header(header, copy) => (header, copy, None),
            Found::Blank => (Header::default(), 0, None),
            Found::Damaged => {
                (Header::default(), 0, Some("neither copy of the slot's header is sound".to_owned()))
            }
            Found::Newer(version) => {
                return Err(Error::cannot_open(format!(
                    "{title} was written by a newer Esker (slots of version {version}, this one knows 1): update Esker"
                )));
            }
        };
        let mut slot = Self {
            title,
            handle,
            damage,
            length: header.length,
            header,
            copy,
            settled: false,
            size,
            last: None,
            dirty: false,
            synced: false,
            users: 0,
        };
        if !slot.header.name.is_empty() {
            slot.length = slot.find_end()?;
        }
        Ok(slot)
    }

    /// The name of the file that lives here; empty if none does.
    pub fn name(&self) -> &str {
        &self.header.name
    }

    /// What the platform calls the slot.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Why the slot must not be used, if it must not.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// The generation of the slot's header.
    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// The file's length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The size of the slot itself in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether nobody's file is here, and nobody reads one that was.
    pub fn is_free(&self) -> bool {
        self.damage.is_none() && self.users == 0 && self.header.name.is_empty()
    }

    /// Whether the header is durable as it is. One that was never written is.
    pub fn is_settled(&self) -> bool {
        self.settled || self.damage.is_some() || self.header.generation == 0
    }

    /// Counts one more, or one fewer, open file.
    pub fn used(&mut self, more: bool) {
        self.users = if more { self.users + 1 } else { self.users - 1 };
    }

    /// Makes durable that the slot is free: else a power cut could bring the old name back, over a new file's bytes.
    ///
    /// # Errors
    ///
    /// Those of the platform.
    fn prepare(&mut self, generation: u64) -> Result<()> {
        if self.header.generation == 0 {
            self.write_header(Header { generation, ..Header::default() })?;
        }
        self.settle()
    }

    /// Gives the slot, which is free, to the empty file `name`. Uses up two generations.
    ///
    /// # Errors
    ///
    /// Those of the platform. The slot is still free.
    pub fn take(&mut self, name: &str, generation: u64) -> Result<()> {
        self.prepare(generation)?;
        self.empty()?;
        self.write_header(Header { generation: generation + 1, length: 0, name: name.to_owned() })?;
        self.length = 0;
        self.last = None;
        self.synced = false;
        Ok(())
    }

    /// Changes the file's name; an empty one frees the slot.
    ///
    /// # Errors
    ///
    /// Those of the platform. The name is the old one.
    pub fn rename(&mut self, name: &str, generation: u64) -> Result<()> {
        self.write_header(Header { generation, length: self.header.length, name: name.to_owned() })
    }

    /// Throws the bytes away, and with them the room that they take.
    ///
    /// # Errors
    ///
    /// Those of the platform.
    pub fn empty(&mut self) -> Result<()> {
        if self.size > DATA {
            self.resize(DATA)?;
        }
        Ok(())
    }

    /// Appends to the file.
    ///
    /// # Errors
    ///
    /// `NoSpace` and `Io`. The file is as long as before.
    pub fn append(&mut self, bytes: &[u8], scratch: &mut Vec<u8>) -> Result<()> {
        let end = DATA + self.length;
        let after = end + bytes.len() as u64;
        self.grow(after + 1, bytes.len() as u64 <= SMALL_BYTES_MAX)?;
        self.dirty = true;
        if bytes.len() <= COPIED_BYTES_MAX {
            scratch.clear();
            scratch.extend_from_slice(bytes);
            scratch.push(MARK);
            self.write(end, scratch)?;
        } else {
            self.write(end, bytes)?;
            self.write(after, &[MARK])?;
        }
        self.length += bytes.len() as u64;
        self.last = bytes.last().copied().or(self.last);
        Ok(())
    }

    /// Reads from the file; fewer bytes than asked only where it ends.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let rest = self.length.saturating_sub(offset);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
        let Some(mut left) = buffer.get_mut(..count) else { return Ok(0) };
        let mut at = DATA.saturating_add(offset);
        while !left.is_empty() {
            let read = self.handle.read(at, left).map_err(|failure| self.failed("read", failure))?;
            if read == 0 || read > left.len() {
                return Err(Error::io(
                    "read",
                    self.shown(),
                    format!("the browser gave {read} of {} bytes at {at} of {}", left.len(), self.size),
                ));
            }
            at += read as u64;
            left = &mut left[read..];
        }
        Ok(count)
    }

    /// Makes the file's bytes, length and name durable.
    ///
    /// # Errors
    ///
    /// Those of the platform.
    pub fn sync(&mut self, generation: u64) -> Result<()> {
        if self.length != self.header.length && !self.ends_clearly() {
            let name = self.header.name.clone();
            self.write_header(Header { generation, length: self.length, name })?;
        }
        if self.dirty || !self.is_settled() {
            self.flush()?;
        }
        self.synced = true;
        Ok(())
    }

    /// Whether the file's end is found without the header, once it is durable, whatever becomes of later appends.
    fn ends_clearly(&self) -> bool {
        self.last.is_some_and(|byte| byte != 0 && byte != MARK)
    }

    /// Makes the header durable.
    ///
    /// # Errors
    ///
    /// Those of the platform.
    pub fn settle(&mut self) -> Result<()> {
        if self.is_settled() { Ok(()) } else { self.flush() }
    }

    /// The file will not grow any more: gives back the room behind it, so that opening need not search it either.
    pub fn finish(&mut self) {
        let end = DATA + self.length + 1;
        if self.damage.is_none() && self.size > end + SLACK_BYTES_MAX {
            // Without it the file only takes up more room.
            let _no_harm = self.resize(end);
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.handle.flush().map_err(|failure| self.failed("sync", failure))?;
        self.settled = true;
        self.dirty = false;
        Ok(())
    }

    /// Writes the header. REQUIRES: its generation is greater than that of any other.
    fn write_header(&mut self, header: Header) -> Result<()> {
        self.settle()?;
        if self.size < DATA {
            self.resize(DATA)?;
        }
        let copy = 1 - self.copy;
        self.write(COPIES[copy], &header.encode())?;
        self.header = header;
        self.copy = copy;
        self.settled = false;
        Ok(())
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<()> {
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let written = self.handle.write(at, rest).map_err(|failure| self.failed("write", failure))?;
            if written == 0 || written > rest.len() {
                let told = format!("the browser says that it wrote {written} of {} bytes", rest.len());
                return Err(Error::io("write", self.shown(), told));
            }
            at += written as u64;
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Makes the slot at least `size` bytes large, by a large step if there is room for one, for an append that is small
    /// or not.
    fn grow(&mut self, size: u64, small: bool) -> Result<()> {
        if size <= self.size {
            return Ok(());
        }
        let step = if size <= STEP_SMALL { STEP_SMALL } else { STEP };
        let grown = if self.synced && small {
            self.grow_by_zeros(size.next_multiple_of(STEP_WRITTEN))
        } else {
            self.resize(size.next_multiple_of(step))
        };
        match grown {
            Err(error) if *error.kind() == esker_engine::ErrorKind::NoSpace => self.resize(size),
            done => done,
        }
    }

    fn grow_by_zeros(&mut self, size: u64) -> Result<()> {
        self.write(self.size, &vec![0; (size - self.size) as usize])?;
        self.size = size;
        Ok(())
    }

    fn resize(&mut self, size: u64) -> Result<()> {
        self.handle.truncate(size).map_err(|failure| self.failed("resize", failure))?;
        self.size = size;
        Ok(())
    }

    /// Where the file ends, as its mark tells.
    fn find_end(&self) -> Result<u64> {
        let mut end = self.size;
        // A power cut in the middle of a sync can leave the header that names a length without the bytes.
        let least = (DATA + self.header.length).min(end);
        let mut buffer = vec![0; SEARCH_BYTES];
        while end > least {
            let start = end.saturating_sub(SEARCH_BYTES as u64).max(least);
            let piece = &mut buffer[..(end - start) as usize];
            let count = self.handle.read(start, piece).map_err(|failure| self.failed("read", failure))?;
            if let Some(last) = piece[..count.min(piece.len())].iter().rposition(|&byte| byte != 0) {
                // Anything but the mark is what a crash has left of an append.
                let marked = piece[last] == MARK;
                return Ok(start + last as u64 + u64::from(!marked) - DATA);
            }
            end = start;
        }
        Ok(least.saturating_sub(DATA))
    }

    /// The name that errors call the slot by.
    fn shown(&self) -> &str {
        if self.header.name.is_empty() { &self.title } else { &self.header.name }
    }

    fn failed(&self, operation: &str, failure: Failure) -> Error {
        failure.into_error(operation, self.shown())
    }
}
