//! How long calls took: histograms that many threads add to.
//!
//! A bucket is a quarter of a power of two wide, so a quantile is at most a fifth too high. Adding one costs two reads
//! of the clock and two additions to shared counters.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The first bucket holds what took up to two to this power nanoseconds: 256 ns.
const FIRST_OCTAVE: u32 = 8;
/// The last bucket but the one without an end holds what took up to two to this power nanoseconds: 34 s.
const LAST_OCTAVE: u32 = 35;
const BUCKETS: usize = ((LAST_OCTAVE - FIRST_OCTAVE) * 4 + 2) as usize;

/// The histograms of a store's calls.
#[derive(Debug, Default)]
pub struct Latencies {
    /// `put`, `delete` and `write`, whatever their durability.
    pub put: Latency,
    /// `get`, `get_many` and `contains`.
    pub get: Latency,
    /// `sync`.
    pub sync: Latency,
}

/// How long the calls of one kind took.
#[derive(Debug)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
    nanos_max: AtomicU64,
}

/// A call under way: it is added to the histogram when this is dropped.
#[derive(Debug)]
pub struct Timer<'a> {
    latency: &'a Latency,
    started: Instant,
}

impl Latencies {
    /// As a JSON object (docs/stats.md).
    pub fn to_json(&self) -> Value {
        json!({ "put": self.put.to_json(), "get": self.get.to_json(), "sync": self.sync.to_json() })
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
            nanos_max: AtomicU64::new(0),
        }
    }
}

impl Latency {
    /// Times the call that begins now.
    #[inline]
    pub fn time(&self) -> Timer<'_> {
        Timer { latency: self, started: Instant::now() }
    }

    fn add(&self, nanos: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        if nanos > self.nanos_max.load(Ordering::Relaxed) {
            self.nanos_max.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    fn to_json(&self) -> Value {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let nanos_max = self.nanos_max.load(Ordering::Relaxed);
        let quantile = |share| micros(quantile(&counts, share).min(nanos_max));
        json!({
            "count": counts.iter().sum::<u64>(),
            "micros": micros(self.nanos.load(Ordering::Relaxed)),
            "micros_p50": quantile(0.5),
            "micros_p99": quantile(0.99),
            "micros_p999": quantile(0.999),
            "micros_max": micros(nanos_max),
            "buckets": octaves(&counts),
        })
    }
}

impl Drop for Timer<'_> {
    #[inline]
    fn drop(&mut self) {
        self.latency.add(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

/// The bucket of what took so long: bucket 0 ends at 256 ns, bucket 4 at 512 ns, the last one nowhere.
fn bucket_of(nanos: u64) -> usize {
    let below = nanos.saturating_sub(1);
    let octave = below.checked_ilog2().unwrap_or(0);
    if octave < FIRST_OCTAVE {
        return 0;
    }
    let quarter = (below >> (octave - 2)) & 3;
    (1 + u64::from(octave - FIRST_OCTAVE) * 4 + quarter).min(BUCKETS as u64 - 1) as usize
}

/// The longest time that belongs to a bucket, in nanoseconds.
fn end_of(bucket: usize) -> u64 {
    if bucket == BUCKETS - 1 {
        return u64::MAX;
    }
    let (octave, quarter) = (bucket as u64 / 4, bucket as u64 % 4);
    (4 + quarter) << (u64::from(FIRST_OCTAVE) + octave - 2)
}

/// The end of the bucket within which this share of the calls lies.
fn quantile(counts: &[u64], share: f64) -> u64 {
    let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= wanted {
            return end_of(bucket);
        }
    }
    0
}

/// How many calls took at most so long, for each power of two.
fn octaves(counts: &[u64]) -> Vec<Value> {
    let ends = (0..=LAST_OCTAVE - FIRST_OCTAVE).map(|octave| (octave * 4) as usize);
    ends.map(|end| {
        let count: u64 = counts.iter().take(end + 1).sum();
        json!({ "micros": micros(end_of(end)), "count": count })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_belongs_to_the_bucket_that_ends_next_after_it() {
        for bucket in 0..BUCKETS - 1 {
            let end = end_of(bucket);
            assert_eq!((bucket_of(end), bucket_of(end + 1)), (bucket, bucket + 1), "{end} ns");
        }
        assert_eq!((bucket_of(0), bucket_of(1), bucket_of(u64::MAX)), (0, 0, BUCKETS - 1));
        assert_eq!((end_of(0), end_of(4), end_of(BUCKETS - 2)), (256, 512, 1 << 35));
    }

    #[test]
    fn quantiles_and_buckets_count_what_was_added() {
        let latency = Latency::default();
        (1..=1000u64).for_each(|i| latency.add(i * 1000));
        let json = latency.to_json();
        assert_eq!((json["count"].as_u64(), json["micros"].as_f64()), (Some(1000), Some(500_500.0)));
        assert_eq!(json["micros_max"].as_f64(), Some(1000.0));
        for (name, exact) in [("micros_p50", 500.0), ("micros_p99", 990.0), ("micros_p999", 999.0)] {
            let found = json[name].as_f64().expect("a number");
            assert!((exact..=exact * 1.25).contains(&found), "{name} is {found}");
        }
        let buckets = json["buckets"].as_array().expect("a list");
        assert_eq!(buckets.len(), 28);
        for bucket in buckets {
            let end = bucket["micros"].as_f64().expect("a number");
            assert_eq!(bucket["count"].as_u64(), Some((end as u64).min(1000)), "{bucket}");
        }
        assert_eq!(Latency::default().to_json()["micros_p999"].as_f64(), Some(0.0));
    }

    #[test]
    fn a_timer_adds_its_call() {
        let latencies = Latencies::default();
        drop(latencies.get.time());
        assert_eq!(latencies.to_json()["get"]["count"], 1);
        assert_eq!(latencies.to_json()["put"]["count"], 0);
    }
}
