//! Writes of several threads that another process can check after the writer was killed: `esker-load` makes them
//! (tests/src/bin), `sigkill` kills it and looks at what is left.
//!
//! What thread `t` writes as its `i`-th write follows from the seed, `t` and `i`; its value begins with `i`. So the
//! greatest number among a thread's values tells how many of its writes are there.

use crate::seed::Rng;
use std::collections::BTreeMap;

/// The name of the bucket in which all threads count up one key.
pub const COUNTS: &str = "counts";
/// That key.
pub const SUM: &[u8] = b"sum";

/// What the threads write.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Where chance comes from.
    pub seed: u64,
    /// How many threads write.
    pub threads: u64,
}

/// One write.
#[derive(Debug, PartialEq, Eq)]
pub enum Write {
    /// Set a key of the thread's own.
    Put(String, String),
    /// Set two keys of the thread's own, at once.
    Both(String, String, String),
    /// Add one to the sum of all threads.
    Count,
}

/// How far a write goes: by its number among the durabilities, the weakest first.
pub const DURABILITIES: [&str; 3] = ["deferred", "buffered", "synced"];

impl Load {
    /// A load of this seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, threads: Rng::new(seed).between(2, 6) }
    }

    /// The `i`-th write of a thread, and its durability.
    pub fn write(&self, thread: u64, i: u64) -> (Write, usize) {
        let mut rng = Rng::new(self.seed ^ thread << 48 ^ i << 8);
        let durability = rng.pick(&[0, 1, 1, 1, 1, 1, 1, 2]);
        let key = |rng: &mut Rng| format!("thread {thread} key {:04}", rng.below(400));
        let value = format!("{i} {}", "0123456789".repeat(rng.below(40) as usize));
        let write = match rng.below(8) {
            0 => Write::Count,
            1 => {
                let first = key(&mut rng);
                Write::Both(first, key(&mut rng), value)
            }
            _ => Write::Put(key(&mut rng), value),
        };
        (write, durability)
    }

    /// What a thread's keys hold after its first `writes`, and how often it has counted.
    pub fn state_after(&self, thread: u64, writes: u64) -> (BTreeMap<String, String>, u64) {
        let (mut state, mut counted) = (BTreeMap::new(), 0);
        for i in 0..writes {
            match self.write(thread, i).0 {
                Write::Put(key, value) => {
                    state.insert(key, value);
                }
                Write::Both(first, second, value) => {
                    state.insert(first, value.clone());
                    state.insert(second, value);
                }
                Write::Count => counted += 1,
            }
        }
        (state, counted)
    }
}
