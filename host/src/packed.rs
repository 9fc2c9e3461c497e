//! The contract's packed form: byte strings that follow their length as unsigned LEB128 of at most 32 bits in the
//! fewest bytes. Batches and pages of scans are made of them.

/// Appends the length of `bytes`, then `bytes`.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a length.
pub fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Takes a byte string off the front of `rest`; `None` where the bytes end early or the length is not as it
/// should be. `rest` is then wherever it stopped.
pub fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(rest)?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let mut length = 0u64;
    for (position, &byte) in rest.iter().enumerate().take(5) {
        length |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            let fewest = byte != 0 || position == 0;
            *rest = &rest[position + 1..];
            return u32::try_from(length).ok().filter(|_| fewest).map(|length| length as usize);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_strings_read_back() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let bytes = vec![7; length];
            let mut packed = Vec::new();
            put_bytes(&mut packed, &bytes);
            packed.push(9);
            let mut rest = packed.as_slice();
            assert_eq!(take_bytes(&mut rest), Some(bytes.as_slice()), "{length}");
            assert_eq!(rest, [9]);
        }
    }

    #[test]
    fn malformed_lengths_are_none() {
        for bytes in [
            &[][..],
            &[5, 1],
            &[0x80],
            &[0x80, 0],
            &[0x81, 0x80, 0],
            &[0xff; 6],
            &[0xff, 0xff, 0xff, 0xff, 0x1f],
        ] {
            assert_eq!(take_bytes(&mut &*bytes), None, "{bytes:?}");
        }
    }
}
