//! The text form of bytes: one line, no tab, readable where it can be, and exact.
//!
//! ```text
//! \\  backslash    \t  tab    \n  line feed    \r  carriage return    \xNN  the byte NN, in hexadecimal
//! ```
//!
//! Everything else stands for itself. Control characters and bytes that are no valid UTF-8 are written as
//! `\xNN`; reading accepts any of the escapes anywhere.

/// Appends the text form of `bytes` to `out`.
pub fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.iter().all(|&b| is_plain_ascii(b)) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape_character(character, out);
        }
        chunk.invalid().iter().for_each(|&b| escape_byte(b, out));
    }
}

/// Appends the bytes that `text` stands for to `out`. The error completes "… in this text".
pub fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (byte, length) = escaped_byte(&rest[at + 1..])?;
        out.push(byte);
        rest = &rest[at + 1 + length..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

fn is_plain_ascii(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

fn escape_character(character: char, out: &mut Vec<u8>) {
    match character {
        '\\' => out.extend_from_slice(br"\\"),
        '\t' => out.extend_from_slice(br"\t"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        _ => {
            let mut buffer = [0; 4];
            let encoded = character.encode_utf8(&mut buffer).as_bytes();
            if character.is_control() {
                encoded.iter().for_each(|&b| escape_byte(b, out));
            } else {
                out.extend_from_slice(encoded);
            }
        }
    }
}

fn escape_byte(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

/// The byte that the text after a backslash stands for, and the length of that text.
fn escaped_byte(text: &[u8]) -> Result<(u8, usize), String> {
    match *text {
        [b'\\', ..] => Ok((b'\\', 1)),
        [b't', ..] => Ok((b'\t', 1)),
        [b'n', ..] => Ok((b'\n', 1)),
        [b'r', ..] => Ok((b'\r', 1)),
        [b'x', high, low, ..] => match (hex_digit(high), hex_digit(low)) {
            (Some(high), Some(low)) => Ok((high << 4 | low, 3)),
            _ => Err(format!("\\x{}{} is not a byte in hexadecimal", shown(high), shown(low))),
        },
        [b'x', ..] => Err("\\x needs two hexadecimal digits".to_owned()),
        [other, ..] => Err(format!("\\{} is not an escape; write a backslash as \\\\", shown(other))),
        [] => Err("a lone backslash at the end; write a backslash as \\\\".to_owned()),
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A byte within an error message.
fn shown(byte: u8) -> String {
    byte.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(bytes, &mut out);
        String::from_utf8(out).expect("the text form is valid UTF-8")
    }

    fn unescaped(text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        unescape(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn readable_text_stays_as_it_is() {
        for text in ["", "plain", "with space ~", "grüße 🙂", "quote \" and 'quote'"] {
            assert_eq!(escaped(text.as_bytes()), text);
        }
    }

    #[test]
    fn the_rest_is_spelled_out() {
        assert_eq!(escaped(b"a\tb\nc\rd\\e"), r"a\tb\nc\rd\\e");
        assert_eq!(escaped(b"\0\x1b\x7f"), r"\x00\x1b\x7f");
        assert_eq!(escaped(b"\xff\xc3("), r"\xff\xc3(");
        assert_eq!(escaped("\u{85}".as_bytes()), r"\xc2\x85");
    }

    #[test]
    fn every_pair_of_bytes_reads_back_and_has_neither_tab_nor_line_end() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let bytes = [first, second, b'x', first];
                let text = escaped(&bytes);
                assert!(!text.bytes().any(|b| b < b' '), "{bytes:?} became {text:?}");
                assert_eq!(unescaped(&text), Ok(bytes.to_vec()));
            }
        }
    }

    #[test]
    fn what_is_no_escape_is_named() {
        for (text, named) in
            [(r"a\q", r"\q"), (r"\xg0", r"\xg0"), (r"\x4", r"\x"), ("end\\", "lone"), ("\\\t", r"\\t")]
        {
            let error = unescaped(text).expect_err(text);
            assert!(error.contains(named), "{text:?}: {error}");
        }
    }
}
