//! Keys and values as they are typed, piped or read from a file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use esker_host::limits::VALUE_BYTES_MAX;
use esker_rows::escape::unescape;

use super::failure::{Failure, Outcome};

/// How text on the command line is read.
#[derive(clap::Args)]
pub struct TextArgs {
    /// Read keys and values on the command line with escapes: \\ \t \n \r and \xNN for any byte
    #[arg(short, long)]
    escaped: bool,
}

impl TextArgs {
    /// The bytes that an argument stands for: the argument's own, unless `--escaped` was given.
    pub fn bytes(&self, argument: &OsStr) -> Outcome<Vec<u8>> {
        let text = argument.as_encoded_bytes();
        if !self.escaped {
            return Ok(text.to_vec());
        }
        let mut bytes = Vec::with_capacity(text.len());
        unescape(text, &mut bytes)
            .map_err(|why| Failure::Usage(format!("'{}': {why}", argument.to_string_lossy())))?;
        Ok(bytes)
    }
}

/// Where a value comes from.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct ValueArgs {
    /// The value; - reads it from standard input, to its end and as it is
    value: Option<OsString>,

    /// Read the value from this file, as it is
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl ValueArgs {
    /// The value.
    pub fn read(&self, text: &TextArgs) -> Outcome<Vec<u8>> {
        match (&self.value, &self.file) {
            (_, Some(path)) => {
                let file = File::open(path).map_err(|cause| Failure::file("open", path, &cause))?;
                read_value(file, path)
            }
            (Some(value), None) if value == "-" => {
                read_value(io::stdin().lock(), Path::new("standard input"))
            }
            (Some(value), None) => text.bytes(value),
            (None, None) => Err(Failure::Usage("give a VALUE, - or --file FILE".to_owned())),
        }
    }
}

/// Reads a value to its end, but no further than a value may be long.
fn read_value(source: impl Read, name: &Path) -> Outcome<Vec<u8>> {
    let mut value = Vec::new();
    let limit = VALUE_BYTES_MAX as u64 + 1;
    source.take(limit).read_to_end(&mut value).map_err(|cause| Failure::file("read", name, &cause))?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(Failure::Other(format!(
            "{} is too long for a value: it goes on after {VALUE_BYTES_MAX} bytes, the most a value may have",
            name.display(),
        )));
    }
    Ok(value)
}
