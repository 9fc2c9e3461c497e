//! What was measured, as it is kept in results.json: one measurement for each round, and the medians over rounds.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::stores::Config;

/// What a run works on: one table of the results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// How many different keys there are.
    pub rows: u64,
    /// What each store is told; whether writes are synced is the workload's.
    pub config: Config,
}

impl Scenario {
    /// Says in a line what it is.
    pub fn describe(&self) -> String {
        let Config { write_buffer_bytes, cache_bytes, lz4, threads, .. } = self.config;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        format!(
            "{}: {} rows ({:.0} MB), write buffer {:.0} MiB, cache {:.0} MiB, {}, {}",
            self.name,
            grouped(self.rows),
            self.rows as f64 * ROW_BYTES as f64 / 1e6,
            mib(write_buffer_bytes),
            mib(cache_bytes),
            if lz4 { "LZ4" } else { "no compression" },
            if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") },
        )
    }
}

/// A round is disturbed when other processes took more than this share of the processors ...
pub const OTHERS_MAX: f64 = 0.1;
/// ... and its threads waited for one for more than this share of their time. One alone is not enough: others may use
/// what the bench leaves idle, and a store's own threads may be more than there are processors.
pub const WAITED_MAX: f64 = 0.05;

/// Bytes of a key and its value.
pub const ROW_BYTES: u64 = (crate::sample::KEY_BYTES + crate::workload::VALUE_BYTES) as u64;

/// `number` with its digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One workload on one store in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    pub scenario: Scenario,
    pub store: String,
    pub workload: String,
    pub round: u32,
    pub operations: u64,
    pub found: u64,
    pub seconds: f64,
    pub ops_per_sec: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    /// The longest stall: the operation that took longest.
    pub max_us: f64,
    /// What the other thread of readwhilewriting wrote.
    pub background_ops_per_sec: Option<f64>,
    /// The share of the machine's processors that other processes took meanwhile.
    pub others_share: f64,
    /// The share of its time that a thread of the workload waited for a processor.
    pub waited_share: f64,
    /// How long background work went on after the last operation; 0 where nothing was written.
    pub settle_seconds: f64,
    /// Of all threads, until the store was at rest.
    pub cpu_seconds: f64,
    /// What the disk had to take, until the store was at rest.
    pub written_bytes: u64,
    /// The store's files when it was at rest.
    pub directory_bytes: u64,
    /// The most memory in use while the store was open, beyond what was in use before.
    pub peak_memory_bytes: u64,
}

impl Measurement {
    /// Whether it rather measures what else the machine did.
    pub fn disturbed(&self) -> bool {
        self.others_share > OTHERS_MAX && self.waited_share > WAITED_MAX
    }
}

/// A workload on a store that gave no figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What was run.
    pub scenario: Scenario,
    /// On which store.
    pub store: String,
    /// Why it failed.
    pub message: String,
}

/// Where and when a run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What was typed.
    pub command: String,
    /// When it ended, in UTC.
    pub date: String,
    /// Processors and memory.
    pub machine: String,
    /// Each store with its release.
    pub stores: Vec<String>,
}

/// All results.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// The runs that the measurements are from.
    pub runs: Vec<Run>,
    /// Every one of them.
    pub measurements: Vec<Measurement>,
    /// What has failed.
    pub failures: Vec<Failure>,
    /// What single steps cost in the sandbox and outside.
    #[serde(default)]
    pub steps: Vec<crate::sandbox::Step>,
    /// The figures of stores of growing size.
    #[serde(default)]
    pub growth: Vec<crate::growth::Size>,
}

impl Results {
    /// Those that an earlier run has left in `file`; none where it is missing.
    pub fn load(file: &Path) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not of this release", file.display()))
    }

    /// Writes them to `file`.
    pub fn save(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))
    }

    /// The scenarios, in the order in which they were first run.
    pub fn scenarios(&self) -> Vec<&Scenario> {
        let mut scenarios: Vec<&Scenario> = Vec::new();
        for Measurement { scenario, .. } in &self.measurements {
            if !scenarios.contains(&scenario) {
                scenarios.push(scenario);
            }
        }
        scenarios
    }

    /// The rounds of a workload on a store that count: those that were not disturbed, or all where there is none.
    pub fn rounds(&self, scenario: &Scenario, store: &str, workload: &str) -> Vec<&Measurement> {
        let all = self.all_rounds(scenario, store, workload);
        let quiet: Vec<_> = all.iter().copied().filter(|round| !round.disturbed()).collect();
        if quiet.is_empty() { all } else { quiet }
    }

    fn all_rounds(&self, scenario: &Scenario, store: &str, workload: &str) -> Vec<&Measurement> {
        let wanted = |measurement: &&Measurement| {
            measurement.scenario == *scenario
                && measurement.store == store
                && measurement.workload == workload
        };
        self.measurements.iter().filter(wanted).collect()
    }

    /// How many rounds there are at most of anything in a scenario.
    pub fn rounds_so_far(&self, scenario: &Scenario) -> u32 {
        let rounds = self.measurements.iter().filter(|measurement| measurement.scenario == *scenario);
        rounds.map(|measurement| measurement.round + 1).max().unwrap_or(0)
    }

    /// Adds a measurement as the next round of its workload.
    pub fn add(&mut self, measurement: Measurement) {
        let rounds = self.all_rounds(&measurement.scenario, &measurement.store, &measurement.workload);
        let round = u32::try_from(rounds.len()).unwrap_or(u32::MAX);
        self.measurements.push(Measurement { round, ..measurement });
    }

    /// Workloads of one thread in which a store has found another number of keys than most, although each does the same
    /// operations in all of them.
    pub fn disagreements(&self) -> Vec<String> {
        let comparable = |measurement: &&Measurement| {
            measurement.scenario.config.threads == 1 && measurement.workload != "readwhilewriting"
        };
        let mut disagreements = BTreeSet::new();
        for one in self.measurements.iter().filter(comparable) {
            let same = self.measurements.iter().filter(|other| {
                one.scenario == other.scenario
                    && one.workload == other.workload
                    && one.operations == other.operations
            });
            let mut found: Vec<u64> = same.map(|other| other.found).collect();
            found.sort_unstable();
            let most = found[found.len() / 2];
            if one.found != most {
                disagreements.insert(format!(
                    "{}, {}: {} found {} keys, most others {most}",
                    one.scenario.name, one.workload, one.store, one.found
                ));
            }
        }
        disagreements.into_iter().collect()
    }
}

/// The middle, the least and the greatest of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one, or between the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// That of `figure` over `rounds`; `None` where there are none.
    pub fn of(rounds: &[&Measurement], figure: impl Fn(&Measurement) -> f64) -> Option<Self> {
        let mut figures: Vec<f64> = rounds.iter().map(|measurement| figure(measurement)).collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            1 => figures[middle],
            _ => f64::midpoint(figures[middle - 1], figures[middle]),
        };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Results of two stores in one workload, of as many rounds as there are speeds.
    pub fn results(workload: &str, speeds: &[(&str, &[f64])]) -> Results {
        let config = Config {
            write_buffer_bytes: 64 << 20,
            cache_bytes: 64 << 20,
            lz4: false,
            synced: false,
            threads: 1,
            workers: 1,
        };
        let mut results = Results::default();
        for (store, speeds) in speeds {
            for speed in *speeds {
                results.add(Measurement {
                    scenario: Scenario { name: "standard".into(), rows: 1000, config },
                    store: (*store).to_owned(),
                    workload: workload.to_owned(),
                    round: 0,
                    operations: 1000,
                    found: 1000,
                    seconds: 1000.0 / speed,
                    ops_per_sec: *speed,
                    p50_us: 1.0,
                    p99_us: 2.0,
                    p999_us: 3.0,
                    max_us: 4.0,
                    background_ops_per_sec: None,
                    others_share: 0.0,
                    waited_share: 0.0,
                    settle_seconds: 0.0,
                    cpu_seconds: 0.001,
                    written_bytes: 232_000,
                    directory_bytes: 116_000,
                    peak_memory_bytes: 1_000_000,
                });
            }
        }
        results
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn rounds_are_numbered_and_their_middle_counts() {
        let results = results("fillseq", &[("esker", &[100.0, 400.0, 300.0]), ("rocksdb", &[1.0, 2.0])]);
        let scenario = results.scenarios()[0];
        let rounds = results.rounds(scenario, "esker", "fillseq");
        assert_eq!(rounds.iter().map(|measurement| measurement.round).collect::<Vec<_>>(), [0, 1, 2]);
        let speed = |measurement: &Measurement| measurement.ops_per_sec;
        assert_eq!(Spread::of(&rounds, speed), Some(Spread { median: 300.0, min: 100.0, max: 400.0 }));
        let even = results.rounds(scenario, "rocksdb", "fillseq");
        assert_eq!(Spread::of(&even, speed).expect("there are two").median, 1.5);
        assert_eq!(Spread::of(&[], speed), None);
    }

    /// On a shared machine some rounds measure the neighbours.
    #[test]
    fn disturbed_rounds_count_only_where_there_are_no_others() {
        let mut results = results("fillseq", &[("esker", &[300.0, 10.0]), ("redb", &[20.0])]);
        for round in &mut results.measurements[1..] {
            (round.others_share, round.waited_share) = (0.5, 0.3);
        }
        let scenario = results.scenarios()[0].clone();
        let speeds = |store| -> Vec<f64> {
            results.rounds(&scenario, store, "fillseq").iter().map(|round| round.ops_per_sec).collect()
        };
        assert_eq!(speeds("esker"), [300.0]);
        assert_eq!(speeds("redb"), [20.0]);

        // Others had only what the bench left idle.
        results.measurements[1].waited_share = 0.01;
        let scenario = results.scenarios()[0];
        assert_eq!(results.rounds(scenario, "esker", "fillseq").len(), 2);
    }

    #[test]
    fn a_store_that_finds_less_than_the_others_is_named() {
        let mut results =
            results("readrandom", &[("esker", &[1.0]), ("rocksdb", &[1.0]), ("leveldb", &[1.0])]);
        assert!(results.disagreements().is_empty());
        results.measurements[2].found = 999;
        assert_eq!(
            results.disagreements(),
            ["standard, readrandom: leveldb found 999 keys, most others 1000"]
        );
    }

    #[test]
    fn results_are_read_as_they_were_written() {
        let place = crate::place::Place::fresh(None).expect("a directory");
        let file = place.dir().join("results.json");
        let results = results("fillseq", &[("esker", &[123.0])]);
        results.save(&file).expect("written");
        let read = Results::load(&file).expect("read");
        assert_eq!(read.measurements[0].scenario, results.measurements[0].scenario);
        assert_eq!(read.rounds(read.scenarios()[0], "esker", "fillseq").len(), 1);
        assert!(Results::load(&place.dir().join("none")).expect("nothing").measurements.is_empty());
    }
}
