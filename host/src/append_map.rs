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
//! The window is allocated before it is mapped, so that a full disk is an error of a call and not a signal. Until the
//! file is finished its end is zeros, and a process that is killed leaves them: they are part of the format
//! (docs/format.md). A file is finished, cut to the length that was written, when another one is appended to, and when
//! the sandbox goes, or when the sandbox opens it a second time.
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

#[cfg(target_os = "linux")]
mod linux {
    use super::{APPENDS_BEFORE, Arc, File, SMALL_BYTES, WINDOW_BYTES};
    use memmap2::{MmapOptions, MmapRaw};
    use rustix::fs::{FallocateFlags, fallocate};
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::{Ordering, fence};

    /// The file that was last appended to, and its mapped end.
    #[derive(Default)]
    pub struct AppendMap {
        tracked: Option<Tracked>,
    }

    struct Tracked {
        file: Arc<File>,
        /// Where the next append goes.
        end: u64,
        appends: u32,
        window: Option<Window>,
        /// Whether the file is longer than its end, by what was allocated.
        longer: bool,
        /// Whether the file can be mapped, as far as is known.
        works: bool,
        /// Which file it is, once it has a window.
        identity: Option<(u64, u64)>,
    }

    struct Window {
        start: u64,
        map: MmapRaw,
    }

    impl AppendMap {
        /// Takes `bytes` for `offset` of `file`, if they are a small append to the file that is tracked. Else they
        /// are to be written by a system call, and [`AppendMap::written`] told of it.
        #[inline]
        pub fn append(&mut self, file: &Arc<File>, bytes: &[u8], offset: u64) -> bool {
            let Some(tracked) = &mut self.tracked else { return false };
            let takes = Arc::ptr_eq(&tracked.file, file)
                && tracked.end == offset
                && bytes.len() <= SMALL_BYTES
                && tracked.appends >= APPENDS_BEFORE;
            takes && tracked.append(bytes)
        }

        /// So many bytes were written by a system call.
        pub fn written(&mut self, file: &Arc<File>, bytes: usize, offset: u64) {
            let end = offset + bytes as u64;
            match &mut self.tracked {
                Some(tracked) if Arc::ptr_eq(&tracked.file, file) => {
                    let appended = tracked.end == offset;
                    tracked.appends = if appended { tracked.appends.saturating_add(1) } else { 0 };
                    tracked.end = tracked.end.max(end);
                }
                _ if bytes <= SMALL_BYTES => {
                    self.finish();
                    let file = Arc::clone(file);
                    self.tracked = Some(Tracked {
                        file,
                        end,
                        appends: 1,
                        window: None,
                        longer: false,
                        works: true,
                        identity: None,
                    });
                }
                _ => {}
            }
        }

        /// The length of `file`, if it is the one that is tracked: the system's answer counts what was allocated.
        pub fn length(&self, file: &Arc<File>) -> Option<u64> {
            self.tracked
                .as_ref()
                .filter(|tracked| Arc::ptr_eq(&tracked.file, file))
                .map(|tracked| tracked.end)
        }

        /// A file was opened. If it is the one that is tracked, its end is cut off, and it gets no other: whoever has
        /// opened it here must see no more than was written.
        pub fn opened(&mut self, file: &File) {
            let Some(tracked) = &mut self.tracked else { return };
            if tracked.longer && tracked.identity.is_some() && identity(file) == tracked.identity {
                tracked.cut();
                tracked.works = false;
            }
        }

        /// Cuts the file to what was written.
        fn finish(&mut self) {
            if let Some(mut tracked) = self.tracked.take() {
                tracked.cut();
            }
        }
    }

    impl Drop for AppendMap {
        fn drop(&mut self) {
            self.finish();
        }
    }

    /// What tells a file from all others.
    fn identity(file: &File) -> Option<(u64, u64)> {
        file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }

    impl Tracked {
        fn cut(&mut self) {
            self.window = None;
            if self.longer {
                // Where this fails, the zeros stay.
                self.longer = self.file.set_len(self.end).is_err();
            }
        }

        fn append(&mut self, bytes: &[u8]) -> bool {
            if !self.window.as_ref().is_some_and(|window| window.has_room(self.end, bytes.len())) {
                if !self.works {
                    return false;
                }
                self.window = self.next_window();
                self.works = self.window.is_some();
            }
            let Some(window) = &self.window else { return false };
            window.write(self.end, bytes);
            self.end += bytes.len() as u64;
            true
        }

        /// Allocates and maps the file's end. `None` where the disk is full or the file system cannot.
        fn next_window(&mut self) -> Option<Window> {
            if !self.longer && self.file.metadata().ok()?.len() != self.end {
                // There is something behind, which the file must not lose in the end.
                return None;
            }
            let start = self.end / PAGE_BYTES * PAGE_BYTES;
            fallocate(&*self.file, FallocateFlags::empty(), start, WINDOW_BYTES).ok()?;
            self.longer = true;
            self.identity = self.identity.or_else(|| identity(&self.file));
            let length = usize::try_from(WINDOW_BYTES).ok()?;
            let map = MmapOptions::new().offset(start).len(length).map_raw(&*self.file).ok()?;
            Some(Window { start, map })
        }
    }

    /// A window begins at a multiple of this, which every page size on Linux divides.
    const PAGE_BYTES: u64 = 64 << 10;

    impl Window {
        fn has_room(&self, end: u64, length: usize) -> bool {
            end >= self.start && end + length as u64 <= self.start + self.map.len() as u64
        }

        /// Copies `bytes` to `offset` of the file. The first eight come last: a reader in another process, which sees
        /// zeros where a record is to begin, then never sees a beginning without the rest.
        ///
        /// REQUIRES: there is room.
        #[expect(unsafe_code, reason = "a mapping has no safe way in: another process may read it meanwhile")]
        fn write(&self, offset: u64, bytes: &[u8]) {
            assert!(self.has_room(offset, bytes.len()), "the caller has made sure that there is room");
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
            write(&mut map, &file, &bytes, expected.len() as u64);
            expected.extend_from_slice(&bytes);
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
        assert!(contents(&path) == expected);
        assert_eq!(map.length(&file), None);
    }

    #[test]
    fn a_file_ends_where_it_was_written_to_when_all_is_over() {
        let directory = Directory::new("ends");
        let (path, file) = directory.file("log");
        let mut map = AppendMap::default();
        (0..100).for_each(|i| write(&mut map, &file, b"0123456789", 10 * i));
        assert_eq!(contents(&path).len() as u64, WINDOW_BYTES);
        drop(map);
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
