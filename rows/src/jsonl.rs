//! Lines of JSON: `{"key":"…","value":"…"}`. What is no valid UTF-8 stands in `key_base64` or `value_base64`
//! instead.

use std::borrow::Cow;
use std::io::BufRead;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use super::lines::Lines;
use super::{KEY_BYTES_MAX, ReadRow, Row, RowError, VALUE_BYTES_MAX};

/// The longest line that a row can need: every byte of it escaped as `\u00NN`, and the names.
const LINE_BYTES_MAX: usize = 6 * (KEY_BYTES_MAX + VALUE_BYTES_MAX) + 64;

/// Appends a row without a line end.
pub fn encode(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.push(b'{');
    encode_member("key", key, out);
    if let Some(value) = value {
        out.push(b',');
        encode_member("value", value, out);
    }
    out.push(b'}');
}

fn encode_member(name: &str, bytes: &[u8], out: &mut Vec<u8>) {
    match str::from_utf8(bytes) {
        Ok(text) => {
            out.extend_from_slice(format!("\"{name}\":").as_bytes());
            encode_string(text, out);
        }
        Err(_) => {
            out.extend_from_slice(format!("\"{name}_base64\":").as_bytes());
            encode_string(&BASE64.encode(bytes), out);
        }
    }
}

/// Appends `text` as a JSON string.
pub fn encode_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing a string to memory cannot fail");
}

/// Rows from a file of JSON lines; blank lines are passed over.
pub struct JsonRows<R>(Lines<R>);

impl<R: BufRead> JsonRows<R> {
    /// The rows of `source`.
    pub fn new(source: R) -> Self {
        Self(Lines::new(source, LINE_BYTES_MAX))
    }
}

impl<R: BufRead> ReadRow for JsonRows<R> {
    fn read_row(&mut self, row: &mut Row) -> Result<Option<u64>, RowError> {
        loop {
            let Some(line) = self.0.next_line()? else { return Ok(None) };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let decoded = decode(line, row);
            let line = self.0.number();
            return decoded.map(|()| Some(line)).map_err(|why| RowError::Malformed { line, why });
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRow<'a> {
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    key_base64: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    value: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    value_base64: Option<Cow<'a, str>>,
}

fn decode(line: &[u8], row: &mut Row) -> Result<(), String> {
    let json: JsonRow<'_> = serde_json::from_slice(line).map_err(|cause| cause.to_string())?;
    decode_member("key", json.key, json.key_base64, &mut row.key)?;
    decode_member("value", json.value, json.value_base64, &mut row.value)
}

fn decode_member(
    name: &str,
    text: Option<Cow<'_, str>>,
    base64: Option<Cow<'_, str>>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match (text, base64) {
        (Some(text), None) => out.extend_from_slice(text.as_bytes()),
        (None, Some(base64)) => {
            BASE64.decode_vec(base64.as_bytes(), out).map_err(|cause| format!("{name}_base64: {cause}"))?;
        }
        (None, None) => return Err(format!("there is neither \"{name}\" nor \"{name}_base64\"")),
        (Some(_), Some(_)) => return Err(format!("there are both \"{name}\" and \"{name}_base64\"")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_row_is_named() {
        for (line, named) in [
            ("{\"key\":\"a\"}", "value_base64"),
            ("{\"key\":\"a\",\"value\":1}", "string"),
            ("{\"key\":\"a\",\"valve\":\"b\"}", "valve"),
            ("{\"key\":\"a\",\"key_base64\":\"YQ==\",\"value\":\"b\"}", "both"),
            ("{\"key_base64\":\"Y\",\"value\":\"b\"}", "key_base64"),
            ("{\"key\":\"a\",", "EOF"),
            ("key\tvalue", "expected"),
        ] {
            let error = decode(line.as_bytes(), &mut Row::default()).expect_err(line);
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
