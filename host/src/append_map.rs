//! Small appends, written through a mapping of the file's end instead of a system call each.
//!
//! A buffered put appends some hundred bytes to the log and asks no more than that they survive the death of the
//! process. A page of the file in memory is the operating system's as soon as it is written, whether by `pwrite` or
//! through a mapping; the mapping takes a tenth of the time. (LevelDB's first environment wrote all its files so.)
//!
//! ```text
//! file    ...records records records|000000000000000000000000000|
//!                        ▲          ▲ end                       ▲ the file's length while it is mapped
//!                  window start     └ the next append
//! ```
//!
//! The window is allocated before it is mapped, so that a full disk is an error of a call and not a signal. Its pages
//! are made by writing zeros ahead of the file's end, some at a time: a page that is first touched through the mapping
//! costs 5 to 8 µs on ext4, one that was written before a fifth of that. (But not while the file is synced more often
//! than that: the system makes large pages of what is written at once, and a sync writes all of a page.) Until the file
//! is finished its end is zeros, and a process that is killed leaves them: they are part of the format (docs/format.md).
//!
//! A file is finished, cut to the length that was written, when another one takes its place, by a thread that does
//! just that: to give back what was allocated takes as long as hundreds of appends. It is finished at once when the
//! sandbox goes, or when the sandbox opens it a second time.
//!
//! This knows nothing of stores: it takes any file that grows by small writes at its end. Who may make such a file
//! shorter while it is mapped is the concern of `files`, which allows nobody to.

use std::fs::File;
use std::sync::Arc;

#[cfg(target_os = "linux")]
pub use linux::AppendMap;
#[cfg(not(target_os = "linux"))]
pub use other::AppendMap;

/// So many small appends in a row make a file worth a mapping.
const APPENDS_BEFORE: u32 = 16;
/// A write of more than this goes by a system call: that is then little beside the copying.
const SMALL_BYTES: usize = 4096;
/// The length of the mapped window, and of what is allocated ahead of the file's end, in bytes.
const WINDOW_BYTES: u64 = 1 << 20;
/// Pages are made for so many bytes at once, and a window begins at a multiple of them, which every page size on Linux
/// divides.
const PAGES_BYTES: u64 = 64 << 10;

#[cfg(target_os = "linux")]
mod linux {
    use super::{APPENDS_BEFORE, Arc, File, PAGES_BYTES, SMALL_BYTES, WINDOW_BYTES};
    use memmap2::{MmapOptions, MmapRaw};
    use rustix::fs::{FallocateFlags, fallocate};
    use std::io;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::sync::Weak;
    use std::sync::atomic::{Ordering, fence};
    use std::thread::{self, JoinHandle};

    /// The file that small appends go to, and its mapped end.
    #[derive(Default)]
    pub struct AppendMap {
        tracked: Option<Tracked>,
        /// Another file, which takes the place of the tracked one if more small appends go there. A store writes to its
        /// manifest now and then, which should not cost the log its window.
        rival: Option<Tracked>,
        /// The file that was tracked before, while it is cut.
        ending: Option<Ending>,
    }

    struct Tracked {
        file: Weak<File>,
        /// Where the next append goes.
        end: u64,
        /// How many small appends went there in a row.
        appends: u32,
        window: Option<Window>,
        /// The file, if it is longer than its end, by what was allocated.
        longer: Option<Arc<File>>,
        /// Whether the file can be mapped, as far as is known.
        works: bool,
        /// Whether it was synced since pages were made for it.
        synced: bool,
        /// Which file it is, once it has a window.
        identity: Option<Identity>,
    }

    struct Window {
        start: u64,
        map: MmapRaw,
        /// Where the pages end that were made. Nothing is written beyond.
        ready: u64,
    }

    struct Ending {
        file: Weak<File>,
        end: u64,
        identity: Option<Identity>,
        thread: JoinHandle<()>,
    }

    /// What tells a file from all others: device and inode.
    type Identity = (u64, u64);

    impl AppendMap {
        /// Takes `bytes` for `offset` of `file`, if they are a small append to the file that is tracked. Else they
        /// are to be written by a system call, and [`AppendMap::written`] told of it.
        #[inline]
        pub fn append(&mut self, file: &Arc<File>, bytes: &[u8], offset: u64) -> bool {
            if let Some(tracked) = &mut self.tracked
                && tracked.is(file)
            {
                self.rival = None;
                return tracked.end == offset
                    && bytes.len() <= SMALL_BYTES
                    && tracked.appends >= APPENDS_BEFORE
                    && tracked.append(file, bytes);
            }
            if self.ending.as_ref().is_some_and(|ending| same(&ending.file, file)) {
                // What is about to be written must not be cut off.
                self.wait_for_ending();
            }
            false
        }

        /// So many bytes were written by a system call.
        pub fn written(&mut self, file: &Arc<File>, bytes: usize, offset: u64) {
            if let Some(tracked) = self.tracked.as_mut().filter(|tracked| tracked.is(file)) {
                tracked.written(bytes, offset);
            } else if let Some(rival) = self.rival.as_mut().filter(|rival| rival.is(file)) {
                rival.written(bytes, offset);
                if rival.appends >= APPENDS_BEFORE {
                    self.change_over();
                }
            } else if offset == 0 || bytes <= SMALL_BYTES {
                self.rival = Some(Tracked::new(file, offset + bytes as u64));
                // A file that begins is the next one of its kind. One that goes on may be an exception.
                if offset == 0 || self.tracked.is_none() {
                    self.change_over();
                }
            }
        }

        /// The file is about to be synced.
        pub fn synced(&mut self, file: &Arc<File>) {
            if let Some(tracked) = self.tracked.as_mut().filter(|tracked| tracked.is(file)) {
                tracked.synced = true;
            }
        }

        /// The length of `file` as it was written, if it may be longer: the system's answer counts what was allocated.
        pub fn length(&self, file: &Arc<File>) -> Option<u64> {
            let tracked = self.tracked.as_ref().filter(|tracked| tracked.is(file)).map(|tracked| tracked.end);
            let ending =
                self.ending.as_ref().filter(|ending| same(&ending.file, file)).map(|ending| ending.end);
            tracked.or(ending)
        }

        /// A file was opened. If it is one that was written to here, its end is cut off, and it gets no other: whoever
        /// has opened it here must see no more than was written.
        pub fn opened(&mut self, file: &File) {
            let longer = self.tracked.as_ref().is_some_and(|tracked| tracked.longer.is_some());
            if self.ending.is_none() && !longer {
                return;
            }
            let Some(identity) = identity(file) else { return };
            if self.ending.as_ref().is_some_and(|ending| ending.identity == Some(identity)) {
                self.wait_for_ending();
            }
            if let Some(tracked) = &mut self.tracked
                && tracked.identity == Some(identity)
            {
                tracked.cut();
                tracked.works = false;
            }
        }

        /// The rival is tracked from now on, and what was is finished.
        fn change_over(&mut self) {
            self.wait_for_ending();
            let before = std::mem::replace(&mut self.tracked, self.rival.take());
            self.ending = before.and_then(Tracked::cut_elsewhere);
        }

        fn wait_for_ending(&mut self) {
            if let Some(ending) = self.ending.take() {
                // All that it could panic at is a bug; the file then ends in zeros.
                let _ = ending.thread.join();
            }
        }
    }

    impl Drop for AppendMap {
        fn drop(&mut self) {
            self.wait_for_ending();
            if let Some(tracked) = &mut self.tracked {
                tracked.cut();
            }
        }
    }

    #[inline]
    fn same(one: &Weak<File>, other: &Arc<File>) -> bool {
        std::ptr::eq(one.as_ptr(), Arc::as_ptr(other))
    }

    fn identity(file: &File) -> Option<Identity> {
        file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }

    impl Tracked {
        /// A file with one append, which ended at `end`.
        fn new(file: &Arc<File>, end: u64) -> Self {
            let file = Arc::downgrade(file);
            Self {
                file,
                end,
                appends: 1,
                window: None,
                longer: None,
                works: true,
                synced: false,
                identity: None,
            }
        }

        #[inline]
        fn is(&self, file: &Arc<File>) -> bool {
            same(&self.file, file)
        }

        fn written(&mut self, bytes: usize, offset: u64) {
            self.appends = if self.end == offset { self.appends.saturating_add(1) } else { 0 };
            self.end = self.end.max(offset + bytes as u64);
        }

        fn cut(&mut self) {
            self.window = None;
            if let Some(file) = self.longer.take() {
                // Where this fails, the zeros stay.
                let _ = file.set_len(self.end);
            }
        }

        /// Has it cut by a thread, if it needs that; here where there is no thread to be had.
        fn cut_elsewhere(mut self) -> Option<Ending> {
            let file = Arc::clone(self.longer.as_ref()?);
            let (end, identity) = (self.end, self.identity);
            match thread::Builder::new().name("esker-append".into()).spawn(move || self.cut()) {
                Ok(thread) => Some(Ending { file: Arc::downgrade(&file), end, identity, thread }),
                Err(_) => {
                    let _ = file.set_len(end);
                    None
                }
            }
        }

        fn append(&mut self, file: &Arc<File>, bytes: &[u8]) -> bool {
            if !self.window.as_ref().is_some_and(|window| window.has_room(self.end, bytes.len())) {
                self.works = self.works && self.make_room(file, bytes.len()).is_ok();
            }
            let Some(window) = self.window.as_ref().filter(|_| self.works) else { return false };
            window.write(self.end, bytes);
            self.end += bytes.len() as u64;
            true
        }

        /// Makes pages for `length` bytes at the end, in the window or in the next one. An error where the disk is full
        /// or the file system cannot.
        fn make_room(&mut self, file: &Arc<File>, length: usize) -> io::Result<()> {
            if !self.window.as_ref().is_some_and(|window| window.reaches(self.end, length)) {
                self.window = None;
                self.window = Some(self.next_window(file)?);
            }
            let synced = std::mem::take(&mut self.synced);
            match &mut self.window {
                Some(window) => window.make_pages(file, self.end, length, !synced),
                None => Ok(()),
            }
        }

        /// Allocates and maps the file's end.
        fn next_window(&mut self, file: &Arc<File>) -> io::Result<Window> {
            if self.longer.is_none() && file.metadata()?.len() != self.end {
                // There is something behind, which the file must not lose in the end.
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let start = self.end / PAGES_BYTES * PAGES_BYTES;
            fallocate(&**file, FallocateFlags::empty(), start, WINDOW_BYTES)?;
            self.longer = Some(Arc::clone(file));
            self.identity = self.identity.or_else(|| identity(file));
            let map = MmapOptions::new().offset(start).len(WINDOW_BYTES as usize).map_raw(&**file)?;
            Ok(Window { start, map, ready: start })
        }
    }

    impl Window {
        /// Whether the window, with pages that are still to be made, has room.
        fn reaches(&self, end: u64, length: usize) -> bool {
            end >= self.start && end + length as u64 <= self.start + WINDOW_BYTES
        }

        fn has_room(&self, end: u64, length: usize) -> bool {
            end >= self.start && end + length as u64 <= self.ready
        }

        /// Makes pages from the file's end on, to the next multiple of their bytes behind `length` bytes: `now`, by
        /// writing zeros, or each when it is touched.
        ///
        /// REQUIRES: the window reaches there, and nothing was written behind `end`.
        fn make_pages(&mut self, file: &File, end: u64, length: usize, now: bool) -> io::Result<()> {
            static ZEROS: [u8; PAGES_BYTES as usize] = [0; PAGES_BYTES as usize];
            let until = (end + length as u64).next_multiple_of(PAGES_BYTES);
            self.ready = self.ready.max(end);
            while self.ready < until {
                let zeros = ZEROS.get(..(until - self.ready).min(PAGES_BYTES) as usize).unwrap_or_default();
                if now {
                    file.write_all_at(zeros, self.ready)?;
                }
                self.ready += zeros.len() as u64;
            }
            Ok(())
        }

        /// Copies `bytes` to `offset` of the file. The first eight come last: a reader in another process, which sees
        /// zeros where a record is to begin, then never sees a beginning without the rest.
        ///
        /// REQUIRES: there is room.
        #[expect(unsafe_code, reason = "a mapping has no safe way in: another process may read it meanwhile")]
        fn write(&self, offset: u64, bytes: &[u8]) {
            assert!(
                self.has_room(offset, bytes.len()) && self.reaches(offset, bytes.len()),
                "the caller has made sure that there is room"
            );
            let at = (offset - self.start) as usize;
            let (first, rest) = bytes.split_at(bytes.len().min(8));
            // SAFETY: both ranges lie within the mapping (asserted above), which lives as long as `self` and is
            // writable; nothing in this process refers to its memory, so no reference is aliased. The pages are
            // allocated in the file, and `files` lets no component shorten one, so they stay there.
            unsafe {
                let to = self.map.as_mut_ptr().add(at);
                std::ptr::copy_nonoverlapping(rest.as_ptr(), to.add(first.len()), rest.len());
                fence(Ordering::Release);
                std::ptr::copy_nonoverlapping(first.as_ptr(), to, first.len());
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::{Arc, File};

    /// Elsewhere all writes are system calls: there is no way to allocate a file's end so that a full disk is an error.
    #[derive(Default)]
    pub struct AppendMap;

    impl AppendMap {
        pub fn append(&mut self, _file: &Arc<File>, _bytes: &[u8], _offset: u64) -> bool {
            false
        }
        pub fn written(&mut self, _file: &Arc<File>, _bytes: usize, _offset: u64) {}
        pub fn synced(&mut self, _file: &Arc<File>) {}
        pub fn opened(&mut self, _file: &File) {}
        pub fn length(&self, _file: &Arc<File>) -> Option<u64> {
            None
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;
    use std::path::{Path, PathBuf};

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("esker-append-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).expect("a place for tests");
            Self(path)
        }
        fn file(&self, name: &str) -> (PathBuf, Arc<File>) {
            let path = self.0.join(name);
            let file = File::options().read(true).write(true).create_new(true).open(&path).expect("new");
            (path, Arc::new(file))
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Writes as `files` does.
    fn write(map: &mut AppendMap, file: &Arc<File>, bytes: &[u8], offset: u64) {
        if !map.append(file, bytes, offset) {
            file.write_all_at(bytes, offset).expect("there is room");
            map.written(file, bytes.len(), offset);
        }
    }

    /// The same at the end of the file, which is to hold `expected`.
    fn append(map: &mut AppendMap, file: &Arc<File>, expected: &mut Vec<u8>, bytes: &[u8]) {
        write(map, file, bytes, expected.len() as u64);
        expected.extend_from_slice(bytes);
    }

    fn contents(path: &Path) -> Vec<u8> {
        std::fs::read(path).expect("there")
    }

    #[test]
    fn a_file_holds_what_was_appended_and_ends_there_when_another_one_is_appended_to() {
        let directory = Directory::new("grows");
        let (path, file) = directory.file("log");
        let (mut map, mut expected) = (AppendMap::default(), Vec::new());
        let mut i = 0u32;
        // Beyond two windows, with records of all small lengths and some large ones.
        while expected.len() < 3 * WINDOW_BYTES as usize {
            let length = if i % 1000 == 999 { 2 * SMALL_BYTES } else { (i * 37 % 700) as usize };
            let bytes: Vec<u8> = (0..length).map(|at| (i as usize + at) as u8 | 1).collect();
            append(&mut map, &file, &mut expected, &bytes);
            i += 1;
            if i.is_multiple_of(3000) {
                let seen = contents(&path);
                assert_eq!(seen.get(..expected.len()), Some(&expected[..]));
                assert!(seen[expected.len()..].iter().all(|&byte| byte == 0), "the rest is zeros");
                assert_eq!(map.length(&file), Some(expected.len() as u64));
            }
        }
        assert!(contents(&path).len() > expected.len(), "it was mapped");
        let (_, next) = directory.file("next");
        write(&mut map, &next, b"x", 0);
        assert_eq!(map.length(&file), Some(expected.len() as u64), "whether it is cut already or not");
        write(&mut map, &file, b"y", expected.len() as u64);
        expected.push(b'y');
        assert!(contents(&path) == expected, "what is appended to it once more is not cut off");
        assert_eq!(map.length(&file), None);
    }

    #[test]
    fn a_few_appends_to_another_file_that_goes_on_do_not_finish_the_first() {
        let directory = Directory::new("rival");
        let ((path, file), (_, other)) = (directory.file("log"), directory.file("manifest"));
        let mut map = AppendMap::default();
        for i in 0..u64::from(2 * APPENDS_BEFORE) {
            write(&mut map, &other, b"edit", 1000 + 4 * i);
            write(&mut map, &file, b"0123456789", 10 * i);
        }
        assert_eq!(map.length(&file), Some(20 * u64::from(APPENDS_BEFORE)));
        assert!(contents(&path).len() as u64 > 20 * u64::from(APPENDS_BEFORE), "it is mapped");
        for i in 0..=u64::from(APPENDS_BEFORE) {
            write(&mut map, &other, b"edit", 2000 + 4 * i);
        }
        map.opened(&file);
        assert_eq!(contents(&path).len() as u64, 20 * u64::from(APPENDS_BEFORE));
    }

    #[test]
    fn a_file_ends_where_it_was_written_to_when_all_is_over() {
        let directory = Directory::new("ends");
        let (path, file) = directory.file("log");
        let mut map = AppendMap::default();
        (0..100).for_each(|i| write(&mut map, &file, b"0123456789", 10 * i));
        assert_eq!(contents(&path).len() as u64, WINDOW_BYTES);
        let (_, next) = directory.file("next");
        write(&mut map, &next, b"x", 0);
        drop(map);
        assert_eq!(contents(&path).len(), 1000);
        let mut map = AppendMap::default();
        (100..200).for_each(|i| write(&mut map, &file, b"0123456789", 10 * i));
        drop(map);
        assert_eq!(contents(&path).len(), 2000);
    }

    #[test]
    fn large_appends_between_small_ones_and_zeros_ahead_of_them_keep_apart() {
        let directory = Directory::new("large");
        let (path, file) = directory.file("log");
        let (mut map, mut expected) = (AppendMap::default(), Vec::new());
        for i in 0..400usize {
            // Up to, over, and far over the ends of what is made ready at once, and of the window.
            let length = if i.is_multiple_of(20) { PAGES_BYTES as usize / 2 * (i / 20) + i } else { 1000 };
            append(&mut map, &file, &mut expected, &vec![i as u8 | 1; length]);
        }
        assert!(expected.len() as u64 > 3 * WINDOW_BYTES);
        drop(map);
        assert!(contents(&path) == expected);
    }

    #[test]
    fn a_file_that_is_synced_often_grows_as_well() {
        let directory = Directory::new("synced");
        let (path, file) = directory.file("log");
        let (mut map, mut expected) = (AppendMap::default(), Vec::new());
        for i in 0..3000usize {
            // Stretches with syncs and without, over more than a window.
            append(&mut map, &file, &mut expected, &[i as u8 | 1; 700]);
            if i / 500 % 2 == 1 {
                map.synced(&file);
                file.sync_data().expect("there is a disk");
            }
        }
        assert!(contents(&path).starts_with(&expected));
        drop(map);
        assert!(contents(&path) == expected);
    }

    #[test]
    fn whoever_opens_a_file_that_is_being_cut_waits_for_it() {
        let directory = Directory::new("waits");
        let (path, file) = directory.file("log");
        let mut map = AppendMap::default();
        (0..100).for_each(|i| write(&mut map, &file, b"0123456789", 10 * i));
        let (_, next) = directory.file("next");
        write(&mut map, &next, b"x", 0);
        map.opened(&File::open(&path).expect("there"));
        assert_eq!(contents(&path).len(), 1000);
    }

    #[test]
    fn whoever_opens_the_file_sees_no_more_than_was_written() {
        let directory = Directory::new("opened");
        let (path, file) = directory.file("log");
        let mut map = AppendMap::default();
        (0..100).for_each(|i| write(&mut map, &file, b"0123456789", 10 * i));
        map.opened(&File::open(&path).expect("there"));
        assert_eq!(contents(&path).len(), 1000);
        (100..200).for_each(|i| write(&mut map, &file, b"0123456789", 10 * i));
        assert_eq!(contents(&path).len(), 2000, "it is not mapped again");
    }

    #[test]
    fn a_file_that_goes_on_behind_what_is_written_keeps_its_end() {
        let directory = Directory::new("behind");
        let (path, file) = directory.file("log");
        file.set_len(5000).expect("there is room");
        let mut map = AppendMap::default();
        (0..100).for_each(|i| write(&mut map, &file, b"0123456789", 10 * i));
        drop(map);
        assert_eq!(contents(&path).len(), 5000);
    }

    #[test]
    fn a_file_that_is_not_appended_to_is_not_mapped() {
        let directory = Directory::new("rewrites");
        let (path, file) = directory.file("log");
        let mut map = AppendMap::default();
        (0..100).for_each(|_| write(&mut map, &file, b"0123456789", 0));
        assert_eq!(contents(&path).len(), 10);
    }
}
