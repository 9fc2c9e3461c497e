//! `--from`, `--to`, `--prefix`: which keys.

use std::ffi::OsString;

use esker_host::KeyRange;

use super::failure::Outcome;
use super::input::TextArgs;

/// Which keys; all of them when nothing is given.
#[derive(clap::Args)]
pub struct RangeArgs {
    /// The first key; without it, from the beginning
    #[arg(long, value_name = "KEY")]
    from: Option<OsString>,

    /// The first key that is left out; without it, to the end
    #[arg(long, value_name = "KEY")]
    to: Option<OsString>,

    /// Only keys that begin with this
    #[arg(long)]
    prefix: Option<OsString>,
}

impl RangeArgs {
    /// The range that satisfies all of them.
    pub fn read(&self, text: &TextArgs) -> Outcome<KeyRange> {
        let bytes = |argument: &Option<OsString>| argument.as_deref().map(|a| text.bytes(a)).transpose();
        let range = KeyRange { start: bytes(&self.from)?, end: bytes(&self.to)? };
        Ok(match bytes(&self.prefix)? {
            Some(prefix) => range.intersect(KeyRange::prefix(&prefix)),
            None => range,
        })
    }
}
