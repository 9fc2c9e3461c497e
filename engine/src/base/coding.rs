//! Numbers and byte strings as bytes: little-endian fixed-width integers and unsigned LEB128.
//!
//! ON DISK: every format of docs/format.md is written in these. `usize` is never written, and a decoder never
//! indexes: it answers `None` where the bytes end or make no sense.

/// Appends `value` as four bytes, least significant first.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends `value` as eight bytes, least significant first.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends `value` as unsigned LEB128: seven bits a byte, least significant first, in the fewest bytes.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Appends the length of `bytes` as a varint, then `bytes`.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the first `length` bytes of `bytes`, in which more may follow: a copy of unknown length is a call, in
/// WebAssembly one to the runtime, which takes longer than copying a key's few bytes and some more.
///
/// # Panics
///
/// Where there are fewer.
#[inline]
pub fn put_first(out: &mut Vec<u8>, bytes: &[u8], length: usize) {
    match bytes.first_chunk::<32>() {
        Some(chunk) if length <= chunk.len() => {
            let end = out.len() + length;
            out.extend_from_slice(chunk);
            out.truncate(end);
        }
        _ => out.extend_from_slice(&bytes[..length]),
    }
}

/// Reads numbers and byte strings off the front of a slice.
#[derive(Debug, Clone, Copy)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next two bytes as a number.
    pub fn u16(&mut self) -> Option<u16> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u16::from_le_bytes(*bytes))
    }

    /// The next four bytes as a number.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    /// The next eight bytes as a number.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// The next varint. `None` also where it is longer than needed or exceeds 64 bits.
    #[inline]
    pub fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.rest.split_first()?;
        if first < 0x80 {
            self.rest = rest;
            return Some(u64::from(first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        let mut rest = self.rest;
        for shift in (0..64).step_by(7) {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return None;
                }
                self.rest = rest;
                return Some(value);
            }
        }
        None
    }

    /// The next three varints where each of them has one byte; else `None`, and nothing is read.
    #[inline]
    pub fn short_varints(&mut self) -> Option<[u8; 3]> {
        let (bytes, rest) = self.rest.split_first_chunk::<3>()?;
        if (bytes[0] | bytes[1] | bytes[2]) >= 0x80 {
            return None;
        }
        self.rest = rest;
        Some(*bytes)
    }

    /// The next varint, which must not be above `max`.
    #[inline]
    pub fn varint_up_to(&mut self, max: u64) -> Option<u64> {
        self.varint().filter(|&value| value <= max)
    }

    /// The next varint, which must fit 32 bits.
    #[inline]
    pub fn varint32(&mut self) -> Option<u32> {
        self.varint().and_then(|value| u32::try_from(value).ok())
    }

    /// The next `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// A varint length of at most 32 bits and that many bytes.
    #[inline]
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.varint32()?;
        self.take(length as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_read_back() {
        for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut decoder = Decoder::new(&bytes);
            assert_eq!(decoder.varint(), Some(value));
            assert!(decoder.is_empty());
            for cut in 0..bytes.len() {
                assert_eq!(Decoder::new(bytes.get(..cut).expect("in bounds")).varint(), None);
            }
        }
    }

    #[test]
    fn the_first_bytes_are_appended_and_no_more() {
        let bytes: Vec<u8> = (0..100).collect();
        for have in 0..bytes.len() {
            for length in 0..=have {
                let mut out = vec![7];
                put_first(&mut out, &bytes[..have], length);
                assert_eq!(out, [&[7], &bytes[..length]].concat());
            }
        }
    }

    #[test]
    fn short_varints_are_read_together_or_not_at_all() {
        let mut decoder = Decoder::new(&[1, 0x7f, 0, 9]);
        assert_eq!(decoder.short_varints(), Some([1, 0x7f, 0]));
        assert_eq!(decoder.rest(), [9]);
        assert_eq!(decoder.short_varints(), None, "too few");
        for bytes in [[0x80, 1, 1], [1, 0x80, 1], [1, 1, 0x80]] {
            let mut decoder = Decoder::new(&bytes);
            assert_eq!((decoder.short_varints(), decoder.rest()), (None, &bytes[..]));
        }
    }

    #[test]
    fn a_varint_has_one_spelling() {
        assert_eq!(Decoder::new(&[0x80, 0x00]).varint(), None);
        assert_eq!(Decoder::new(&[0xff; 10]).varint(), None);
        assert_eq!(
            Decoder::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).varint(),
            None
        );
    }

    #[test]
    fn byte_strings_read_back() {
        let mut bytes = Vec::new();
        put_bytes(&mut bytes, b"key");
        put_bytes(&mut bytes, b"");
        put_u32(&mut bytes, 7);
        put_u64(&mut bytes, 8);
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(decoder.bytes(), Some(&b"key"[..]));
        assert_eq!(decoder.bytes(), Some(&b""[..]));
        assert_eq!(decoder.u32(), Some(7));
        assert_eq!(decoder.u64(), Some(8));
        assert_eq!(decoder.u8(), None);
    }
}
