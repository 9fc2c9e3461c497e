//! A blocked Bloom filter: each key sets all of its bits within one line of 64 bytes, so that a probe touches
//! one line of memory (Putze, Sanders, Singler: *Cache-, Hash- and Space-Efficient Bloom Filters*, 2007).
//!
//! ON DISK: docs/format.md gives the formula.

/// The length of a line in bytes, and in bits.
const LINE_BYTES: usize = 64;
const LINE_BITS: u32 = 512;
const PROBES_MAX: u8 = 16;

/// The filter of these key hashes with about `bits` bits for each; empty where there are no keys or no bits.
pub fn build(hashes: &[u64], bits: u32) -> Vec<u8> {
    if hashes.is_empty() || bits == 0 {
        return Vec::new();
    }
    let lines = (hashes.len() as u64 * u64::from(bits)).div_ceil(u64::from(LINE_BITS)).max(1);
    let lines = usize::try_from(lines).expect("a table's filter is shorter than its keys");
    // The optimum is bits * ln 2; one probe less costs little in a blocked filter and saves time.
    let probes = u8::try_from((bits * 69 / 100).clamp(1, u32::from(PROBES_MAX))).expect("clamped");
    let mut filter = vec![0; lines * LINE_BYTES + 1];
    for &hash in hashes {
        let start = line_of(hash, lines) * LINE_BYTES;
        for bit in bits_of(hash, probes) {
            filter[start + bit / 8] |= 1 << (bit % 8);
        }
    }
    filter[lines * LINE_BYTES] = probes;
    filter
}

/// Whether a key with this hash can be in the table. An absent or unreadable filter excludes nothing.
#[inline]
pub fn may_contain(filter: &[u8], hash: u64) -> bool {
    let Some((&probes, bytes)) = filter.split_last() else { return true };
    let lines = bytes.len() / LINE_BYTES;
    if lines == 0 || probes > PROBES_MAX {
        return true;
    }
    let start = line_of(hash, lines) * LINE_BYTES;
    let Some(line) = bytes.get(start..start + LINE_BYTES) else { return true };
    bits_of(hash, probes).all(|bit| line[bit / 8] & 1 << (bit % 8) != 0)
}

#[inline]
fn line_of(hash: u64, lines: usize) -> usize {
    (((hash >> 32) * lines as u64) >> 32) as usize
}

#[inline]
fn bits_of(hash: u64, probes: u8) -> impl Iterator<Item = usize> {
    let low = hash as u32;
    let step = low >> 9 | 1;
    (0..u32::from(probes)).map(move |i| (low.wrapping_add(i.wrapping_mul(step)) % LINE_BITS) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::checksum::key_hash;

    fn hashes(from: u64, count: u64) -> Vec<u64> {
        (from..from + count).map(|i| key_hash(&i.to_le_bytes())).collect()
    }

    #[test]
    fn no_key_is_ever_missed() {
        for (count, bits) in [(1, 10), (2, 1), (100, 10), (10_000, 10), (1000, 32)] {
            let filter = build(&hashes(0, count), bits);
            assert!(hashes(0, count).iter().all(|&hash| may_contain(&filter, hash)));
        }
    }

    #[test]
    fn few_absent_keys_pass() {
        let filter = build(&hashes(0, 100_000), 10);
        let passed = hashes(1 << 40, 100_000).iter().filter(|&&hash| may_contain(&filter, hash)).count();
        assert!(
            passed < 2_000,
            "{passed} of 100,000 absent keys pass; a blocked filter of 10 bits lets about 1.2 % pass"
        );
    }

    #[test]
    fn no_filter_excludes_nothing() {
        assert!(build(&[], 10).is_empty());
        assert!(build(&hashes(0, 9), 0).is_empty());
        assert!(may_contain(&[], 1) && may_contain(&[3], 1) && may_contain(&[0xff; 65], 1));
    }
}
