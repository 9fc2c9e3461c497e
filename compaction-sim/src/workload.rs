//! What a user writes, from a seed.

use std::fmt;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};
use rand_pcg::Pcg64Mcg;

use crate::lsm::{Entry, delete, put};

/// The skew of [`Workload::Zipfian`], as in YCSB.
const ZIPF_EXPONENT: f64 = 0.99;
/// How often the workloads that write over keys do so, for each key.
const ROUNDS: u32 = 3;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// New keys in their order
    Fillseq,
    /// Keys at random: some are new, some written before
    Fillrandom,
    /// Every key once, then three times as many writes of keys at random
    Overwrite,
    /// Every key once, then three times as many writes, most of them of few keys
    Zipfian,
    /// Every key once, then nine of ten are deleted
    Delete,
    /// Keys in their order, each deleted when a quarter of all came after it
    TimeSeries,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Fillseq, Self::Fillrandom, Self::Overwrite, Self::Zipfian, Self::Delete, Self::TimeSeries];

    /// The writes on `keys` keys.
    pub fn writes(self, keys: u32, seed: u64) -> Box<dyn Iterator<Item = Entry>> {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let fill = shuffled(keys, &mut rng).into_iter().map(put);
        match self {
            Self::Fillseq => Box::new((0..keys).map(put)),
            Self::Fillrandom => Box::new((0..keys).map(move |_| put(rng.random_range(0..keys)))),
            Self::Overwrite => {
                Box::new(fill.chain((0..ROUNDS * keys).map(move |_| put(rng.random_range(0..keys)))))
            }
            Self::Zipfian => {
                let zipf = Zipf::new(f64::from(keys), ZIPF_EXPONENT).expect("a positive number of keys");
                // The hot keys are anywhere among the others.
                let by_rank = shuffled(keys, &mut rng);
                let update =
                    move |_| put(by_rank[(zipf.sample(&mut rng) as usize).clamp(1, by_rank.len()) - 1]);
                Box::new(fill.chain((0..ROUNDS * keys).map(update)))
            }
            Self::Delete => {
                let gone = shuffled(keys, &mut rng);
                let count = gone.len() / 10 * 9;
                Box::new(fill.chain(gone.into_iter().take(count).map(delete)))
            }
            Self::TimeSeries => {
                let kept = (keys / 4).max(1);
                let old = move |at: u32| at.checked_sub(kept).map(delete);
                Box::new((0..keys).flat_map(move |at| std::iter::once(put(at)).chain(old(at))))
            }
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = clap::ValueEnum::to_possible_value(self).expect("no workload is hidden");
        f.write_str(name.get_name())
    }
}

fn shuffled(keys: u32, rng: &mut Pcg64Mcg) -> Vec<u32> {
    let mut all: Vec<u32> = (0..keys).collect();
    all.shuffle(rng);
    all
}
