//! Seeds: where a test's chance comes from, so that a number is a complete reproduction.
//!
//! `ESKER_SEEDS=17` or `ESKER_SEEDS=3,17` or `ESKER_SEEDS=100..200` replaces the seeds that a test goes through,
//! `ESKER_ROUNDS=20` takes twenty times as many as usual. A build with debug assertions, which is mostly not
//! optimised, takes an eighth of them.

use std::env;
use std::thread;

/// Calls `test` with one seed after the other, by default 0 to `count`. When it panics, prints the line that
/// replays the failure: `target` and `name` are those of the test.
pub fn for_each_seed(target: &str, name: &str, count: u64, mut test: impl FnMut(u64)) {
    for seed in seeds(count) {
        let _replay = Replay { target, name, seed };
        test(seed);
    }
}

/// How much longer than usual tests shall go on, from `ESKER_ROUNDS`.
///
/// # Panics
///
/// When it is no number.
pub fn rounds() -> u64 {
    let given = env::var("ESKER_ROUNDS").ok();
    given.map_or(1, |text| text.parse().expect("ESKER_ROUNDS is a number: how many times the usual rounds"))
}

fn seeds(count: u64) -> Vec<u64> {
    match env::var("ESKER_SEEDS") {
        Ok(text) => parse(&text).expect("ESKER_SEEDS is like 17, or 3,17, or 100..200"),
        Err(_) => (0..usual(count) * rounds()).collect(),
    }
}

fn usual(count: u64) -> u64 {
    if cfg!(debug_assertions) { count.div_ceil(8) } else { count }
}

fn parse(text: &str) -> Option<Vec<u64>> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let mut seeds = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            Some((start, end)) => seeds.extend(number(start)?..number(end)?),
            None => seeds.push(number(part)?),
        }
    }
    Some(seeds)
}

struct Replay<'a> {
    target: &'a str,
    name: &'a str,
    seed: u64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self { target, name, seed } = self;
            eprintln!("\nseed {seed} fails; to replay it (ESKER_TRACE=1 shows its steps):");
            eprintln!("    ESKER_SEEDS={seed} cargo test -p esker-tests --test {target} -- {name}\n");
        }
    }
}

/// A small generator of numbers (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014). Good enough to vary tests, and the same everywhere for ever.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to `limit`, exclusive. REQUIRES: `limit` is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The bias of a remainder does not matter for tests.
        self.next_u64() % limit
    }

    /// An index below `length`. REQUIRES: `length` is not 0.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A number from `least` to `greatest`, inclusive.
    pub fn between(&mut self, least: u64, greatest: u64) -> u64 {
        least + self.below(greatest - least + 1)
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// A generator of its own, for a part of the test that shall not shift the others.
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_numbers_lists_and_ranges() {
        assert_eq!(parse("17"), Some(vec![17]));
        assert_eq!(parse("3, 5..8,1"), Some(vec![3, 5, 6, 7, 1]));
        assert_eq!(parse("x"), None);
    }

    #[test]
    fn the_generator_is_the_published_one() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }
}
