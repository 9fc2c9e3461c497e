//! A scan over the state of one moment.

use super::view::View;
use crate::base::error::Result;
use crate::base::range::{KeyRange, ScanOptions};
use crate::env::Fs;
use crate::iter::{Merging, Visible};
use crate::version::{Fence, Run};
use std::sync::Arc;

/// A position in a scan. It reads the state of the moment when it was made, whatever is written meanwhile, and pins
/// the memtables and files that it needs until it is dropped.
#[derive(Debug)]
pub struct Cursor<F: Fs> {
    visible: Visible<Merging<Run<F>>>,
    left: u64,
    /// How many bytes of a user key are the bucket's number.
    bucket_bytes: usize,
    keys_only: bool,
    /// Tells a primary's cursor why a file is gone.
    fence: Option<Fence<F>>,
    /// Keeps the files: a table is removed when no view refers to it.
    _view: Arc<View<F>>,
}

impl<F: Fs> Cursor<F> {
    pub(super) fn new(
        view: Arc<View<F>>,
        sequence: u64,
        range: KeyRange,
        options: ScanOptions,
    ) -> Result<Self> {
        let user_keys = options.bucket.user_keys(&range);
        Ok(Self {
            visible: Visible::new(view.iter()?, sequence, user_keys, options.reverse),
            left: options.limit.unwrap_or(u64::MAX),
            bucket_bytes: options.bucket.encoded_bytes(),
            keys_only: options.keys_only,
            fence: None,
            _view: view,
        })
    }

    /// The cursor of a primary, which another one may replace.
    pub(super) fn fenced_by(self, fence: Fence<F>) -> Self {
        Self { fence: Some(fence), ..self }
    }

    /// The next entry: its key and value, the value empty for a scan of keys only. `None` at the end.
    ///
    /// # Errors
    ///
    /// `Corrupt` where a block is damaged, `Reopen` where another primary has taken the store over and removed a file,
    /// and those of the file system. The scan is then over.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows from the cursor, which an Iterator's cannot"
    )]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.left == 0 {
            return Ok(None);
        }
        match self.visible.advance() {
            Ok(Some((user_key, value))) => {
                self.left -= 1;
                Ok(Some((&user_key[self.bucket_bytes..], if self.keys_only { &[] } else { value })))
            }
            Ok(None) => {
                self.left = 0;
                Ok(None)
            }
            Err(error) => {
                self.left = 0;
                Err(match &self.fence {
                    Some(fence) => fence.explain(error),
                    None => error,
                })
            }
        }
    }

    /// Whether the scan leaves values out.
    pub fn keys_only(&self) -> bool {
        self.keys_only
    }
}
