//! How long calls took: histograms that many threads add to.
//!
//! A bucket is a quarter of a power of two wide, so a quantile is at most a fifth too high.
//!
//! Reading the clock twice would be two or three hundredths of a put. So all calls are counted, but after the first
//! thousand only every eighth is timed, and stands for eight.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The first bucket holds what took up to two to this power nanoseconds: 256 ns.
const FIRST_OCTAVE: u32 = 8;
/// The last bucket but the one without an end holds what took up to two to this power nanoseconds: 34 s.
const LAST_OCTAVE: u32 = 35;
const BUCKETS: usize = ((LAST_OCTAVE - FIRST_OCTAVE) * 4 + 2) as usize;

/// So many calls are all timed.
const EXACT_CALLS: u64 = 1000;
/// Afterwards one of so many.
const SAMPLE: u64 = 8;

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
    calls: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
    nanos_max: AtomicU64,
}

/// A call under way: it is added to the histogram when this is dropped.
#[derive(Debug)]
pub struct Timer<'a> {
    latency: &'a Latency,
    /// When it began, and for how many calls it stands, if it is timed.
    timed: Option<(Instant, u64)>,
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
            calls: AtomicU64::new(0),
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
        let weight = match self.calls.fetch_add(1, Ordering::Relaxed) {
            call if call < EXACT_CALLS => 1,
            call if call % SAMPLE == 0 => SAMPLE,
            _ => return Timer { latency: self, timed: None },
        };
        Timer { latency: self, timed: Some((Instant::now(), weight)) }
    }

    fn add(&self, nanos: u64, weight: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(nanos)) {
            bucket.fetch_add(weight, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos.saturating_mul(weight), Ordering::Relaxed);
        if nanos > self.nanos_max.load(Ordering::Relaxed) {
            self.nanos_max.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    fn to_json(&self) -> Value {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        // What was timed last may stand for calls that are still to come.
        let calls = self.calls.load(Ordering::Relaxed);
        let nanos_max = self.nanos_max.load(Ordering::Relaxed);
        let quantile = |share| micros(quantile(&counts, share).min(nanos_max));
        json!({
            "count": calls,
            "micros": micros(self.nanos.load(Ordering::Relaxed)),
            "micros_p50": quantile(0.5),
            "micros_p99": quantile(0.99),
            "micros_p999": quantile(0.999),
            "micros_max": micros(nanos_max),
            "buckets": octaves(&counts, calls),
        })
    }
}

impl Drop for Timer<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some((started, weight)) = self.timed {
            self.latency.add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX), weight);
        }
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

/// How many of the calls took at most so long, for each power of two.
fn octaves(counts: &[u64], calls: u64) -> Vec<Value> {
    let ends = (0..=LAST_OCTAVE - FIRST_OCTAVE).map(|octave| (octave * 4) as usize);
    ends.map(|end| {
        let count: u64 = counts.iter().take(end + 1).sum();
        json!({ "micros": micros(end_of(end)), "count": count.min(calls) })
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
        latency.calls.store(1000, Ordering::Relaxed);
        (1..=1000u64).for_each(|i| latency.add(i * 1000, 1));
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
    fn every_call_is_counted_and_many_are_timed() {
        let latencies = Latencies::default();
        let timed = |latency: &Latency| -> u64 {
            latency.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
        };
        for call in 1..=3 * EXACT_CALLS {
            drop(latencies.get.time());
            assert_eq!(latencies.get.calls.load(Ordering::Relaxed), call);
            assert!((call..call + SAMPLE).contains(&timed(&latencies.get)), "call {call}");
        }
        let json = latencies.to_json();
        assert_eq!((&json["get"]["count"], &json["put"]["count"]), (&json!(3000), &json!(0)));
        let last = json["get"]["buckets"].as_array().and_then(|buckets| buckets.last()).expect("28 of them");
        assert!(last["count"].as_u64() <= Some(3000), "no bucket has more than all calls: {last}");
    }
}
