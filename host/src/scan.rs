//! A scan: an iterator over the entries of a range, which fetches them from the store in pages.

use crate::error::{Error, Result};
use crate::instance::CursorHandle;
use crate::kv_store::KvStore;
use crate::packed::take_bytes;
use crate::reader::Reader;
use std::ops::Range;

/// The first page is small, for those who want only a few entries; each next one is four times as large.
const FIRST_PAGE_ITEMS: u32 = 16;
const PAGE_ITEMS_MAX: u32 = 4096;
const PAGE_BYTES: u32 = 64 << 10;

/// The entries of a range, in the state of the moment when the scan began, whatever is written meanwhile.
///
/// It holds the store open, and pins the files that it needs, until it is dropped or has reached the end.
#[derive(Debug)]
pub struct Scan {
    /// `None` after the end or an error.
    source: Option<Source>,
    keys_only: bool,
    page_items: u32,
    page: Vec<u8>,
    /// Where in `page` the next entry begins.
    position: usize,
    /// The entries of `page` that were taken.
    taken: u32,
}

/// Whose cursor it is.
#[derive(Debug)]
enum Source {
    Store(KvStore, CursorHandle),
    Reader(Reader, CursorHandle),
}

impl Scan {
    pub(crate) fn new(store: KvStore, cursor: CursorHandle, keys_only: bool) -> Self {
        Self::over(Source::Store(store, cursor), keys_only)
    }

    pub(crate) fn of_reader(reader: Reader, cursor: CursorHandle, keys_only: bool) -> Self {
        Self::over(Source::Reader(reader, cursor), keys_only)
    }

    fn over(source: Source, keys_only: bool) -> Self {
        Self {
            source: Some(source),
            keys_only,
            page_items: FIRST_PAGE_ITEMS,
            page: Vec::new(),
            position: 0,
            taken: 0,
        }
    }

    /// The next entry, without a copy; `None` at the end. The value is empty in a scan of keys only.
    ///
    /// # Errors
    ///
    /// What the store answers; the scan is then at its end.
    pub fn next_entry(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.position == self.page.len() {
            self.fetch_page()?;
        }
        if self.page.is_empty() {
            return Ok(None);
        }
        let Some((key, value)) = locate_entry(&self.page, self.position, self.keys_only) else {
            self.page.clear();
            self.position = 0;
            self.end();
            return Err(Error::Bug("a page of a scan is malformed".into()));
        };
        self.position = value.end;
        self.taken += 1;
        Ok(Some((&self.page[key], &self.page[value])))
    }

    fn fetch_page(&mut self) -> Result<()> {
        let first = self.page.is_empty();
        let was_last = !first && self.taken < self.page_items && self.page.len() < PAGE_BYTES as usize;
        if !first {
            self.page_items = (self.page_items * 4).min(PAGE_ITEMS_MAX);
        }
        self.page.clear();
        self.position = 0;
        self.taken = 0;
        let Some(source) = &self.source else { return Ok(()) };
        if !was_last {
            match source.next_page(self.page_items) {
                Ok(page) => self.page = page,
                Err(error) => {
                    self.end();
                    return Err(error);
                }
            }
        }
        if self.page.is_empty() {
            self.end();
        }
        Ok(())
    }

    fn end(&mut self) {
        match self.source.take() {
            Some(Source::Store(store, cursor)) => store.drop_cursor(cursor),
            Some(Source::Reader(reader, cursor)) => reader.drop_cursor(&cursor),
            None => {}
        }
    }
}

impl Source {
    fn next_page(&self, max_items: u32) -> Result<Vec<u8>> {
        match self {
            Self::Store(store, cursor) => store.next_page(cursor, max_items, PAGE_BYTES),
            Self::Reader(reader, cursor) => reader.next_page(cursor, max_items, PAGE_BYTES),
        }
    }
}

/// Where in `page` the key and the value of the entry at `position` are.
fn locate_entry(page: &[u8], position: usize, keys_only: bool) -> Option<(Range<usize>, Range<usize>)> {
    let mut rest = page.get(position..)?;
    let mut locate = || {
        let length = take_bytes(&mut rest)?.len();
        let end = page.len() - rest.len();
        Some(end - length..end)
    };
    let key = locate()?;
    let value = if keys_only { key.end..key.end } else { locate()? };
    Some((key, value))
}

impl Iterator for Scan {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.next_entry().transpose()?;
        Some(entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.end();
    }
}
