//! `esker stats --watch`: a line every few seconds, for a terminal without `esker top`, or a log.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::cli::failure::{Failure, Outcome};
use crate::cli::figures::{Watched, at, rate};
use crate::cli::number;
use crate::cli::output::tell;

/// The columns are named again after so many lines.
const LINES_PER_HEADING: u64 = 20;

/// Prints `count` lines, one every `interval`.
pub fn run(mut watched: Watched<'_>, interval: Duration, count: u64, json: bool) -> Outcome {
    let first = watched.look()?;
    let mut origin = first.origin.to_string();
    tell(format!("esker: {origin}"));
    let (mut before, mut looked) = (first.stats, Instant::now());
    for number in 0..count {
        thread::sleep(interval);
        let figures = watched.look()?;
        let between = looked.elapsed();
        looked = Instant::now();
        if std::mem::discriminant(&figures.origin) != std::mem::discriminant(&first.origin)
            && figures.origin.to_string() != origin
        {
            origin = figures.origin.to_string();
            tell(format!("esker: {origin}"));
        }
        if json {
            print(&format!("{}\n", Value::Object(figures.stats.clone())))?;
        } else {
            if number % LINES_PER_HEADING == 0 {
                print(&heading())?;
            }
            print(&line(&before, &figures.stats, between))?;
        }
        before = figures.stats;
    }
    Ok(())
}

fn heading() -> String {
    format!(
        "{:>10} {:>10} {:>8} {:>12} {:>12} {:>7} {:>7} {:>7} {:>12} {:>7} {:>9}\n",
        "writes/s",
        "gets/s",
        "syncs/s",
        "in/s",
        "compacted/s",
        "level 0",
        "sealed",
        "jobs",
        "pending",
        "cache",
        "p99 put",
    )
}

fn line(before: &Map<String, Value>, after: &Map<String, Value>, between: Duration) -> String {
    let per_sec = |place| number::count(rate(before, after, place, between) as u64);
    let bytes_per_sec = |place| number::bytes(rate(before, after, place, between) as u64);
    let count = |place| number::count(at(after, place) as u64);
    let jobs = after
        .get("jobs")
        .and_then(|jobs| jobs.get("under_way"))
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let hits = rate(before, after, "cache.hits", between);
    let looks = hits + rate(before, after, "cache.misses", between);
    let cache = if looks > 0.0 { format!("{:.0} %", hits / looks * 100.0) } else { "-".into() };
    format!(
        "{:>10} {:>10} {:>8} {:>12} {:>12} {:>7} {:>7} {:>7} {:>12} {:>7} {:>9}\n",
        per_sec("writes.operations"),
        per_sec("reads.gets"),
        per_sec("writes.syncs"),
        bytes_per_sec("writes.bytes"),
        bytes_per_sec("compaction.bytes_written"),
        count("levels.0.tables"),
        count("sealed_memtables"),
        jobs,
        number::bytes(at(after, "pending_bytes") as u64),
        cache,
        format!("{:.1} µs", at(after, "latency.put.micros_p99")),
    )
}

fn print(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::stdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_has_the_rates_of_its_seconds_and_stands_under_its_heading() {
        let stats = |operations: u64, hits: u64| {
            let stats = json!({
                "writes": { "operations": operations, "bytes": operations * 100, "syncs": 0 },
                "cache": { "hits": hits, "misses": 10 },
                "levels": [{ "tables": 3 }],
                "jobs": { "under_way": [{}] },
                "latency": { "put": { "micros_p99": 12.25 } },
            });
            stats.as_object().expect("an object").clone()
        };
        let line = line(&stats(1000, 0), &stats(5000, 10), Duration::from_secs(2));
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words.join(" "), "2,000 0 0 195.31 KiB 0 B 3 0 1 0 B 100 % 12.2 µs");
        assert_eq!(line.chars().count(), heading().chars().count());
    }
}
