//! Keys, values and random numbers of a bench, all from a seed.

/// The length of a key: decimal digits, the first ones zero.
pub const KEY_BYTES: usize = 16;

/// The number of different keys: all numbers of so many digits.
pub const KEYS_MAX: u64 = 10_000_000_000_000_000;

/// The key with this number.
pub fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = [b'0'; KEY_BYTES];
    let mut rest = number;
    for digit in key.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// Whether a bench could have written this key.
pub fn is_key(key: &[u8]) -> bool {
    key.len() == KEY_BYTES && key.iter().all(u8::is_ascii_digit)
}

/// A sequence of random numbers (SplitMix64, Steele et al. 2014): small, and good enough to choose keys.
pub struct Random(u64);

impl Random {
    /// The sequence of a seed; each `stream` of it is another sequence.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed);
        let start = random.next() ^ stream;
        Self(Self(start).next())
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Values that compress to about half: windows on a text of pieces, of which each is half random, half the same
/// again.
pub struct Values {
    text: Vec<u8>,
    at: usize,
    value_bytes: usize,
}

impl Values {
    /// Values of `value_bytes` bytes.
    pub fn new(random: &mut Random, value_bytes: usize) -> Self {
        const PIECE_BYTES: usize = 100;
        const TEXT_BYTES: usize = 1 << 20;
        let mut text = Vec::with_capacity(TEXT_BYTES.max(value_bytes) + PIECE_BYTES);
        while text.len() < TEXT_BYTES.max(value_bytes) {
            let piece: [u8; PIECE_BYTES / 2] = std::array::from_fn(|_| b' ' + random.below(95) as u8);
            text.extend_from_slice(&piece);
            text.extend_from_slice(&piece);
        }
        Self { text, at: 0, value_bytes }
    }

    /// The next value.
    pub fn next(&mut self) -> &[u8] {
        if self.at + self.value_bytes > self.text.len() {
            self.at = 0;
        }
        let value = &self.text[self.at..self.at + self.value_bytes];
        self.at += self.value_bytes;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_their_numbers() {
        assert_eq!(&key(0), b"0000000000000000");
        assert_eq!(&key(1_234_567), b"0000000001234567");
        assert_eq!(&key(KEYS_MAX - 1), b"9999999999999999");
        assert!(key(99) < key(100) && is_key(&key(5)) && !is_key(b"U+1F600"));
    }

    #[test]
    fn a_seed_gives_the_same_numbers_and_streams_differ() {
        let draw = |seed, stream| {
            let mut random = Random::new(seed, stream);
            std::array::from_fn::<u64, 8, _>(|_| random.below(1_000_000))
        };
        assert_eq!(draw(7, 0), draw(7, 0));
        assert_ne!(draw(7, 0), draw(7, 1));
        assert_ne!(draw(7, 0), draw(8, 0));
        assert!(draw(7, 0).iter().all(|n| *n < 1_000_000));
    }

    #[test]
    fn values_have_their_size_however_large() {
        for size in [0, 1, 100, 1 << 20, (1 << 20) + 1] {
            let mut values = Values::new(&mut Random::new(1, 0), size);
            for _ in 0..3 {
                assert_eq!(values.next().len(), size);
            }
        }
    }
}
