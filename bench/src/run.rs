//! Which workload runs on which store, in which order.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::Args;
use crate::measure::{INTERRUPTED, Measured, measure};
use crate::place::Place;
use crate::results::{Failure, Measurement, ROW_BYTES, Results, Scenario};
use crate::stores::{Config, Kind, Store};
use crate::usage;
use crate::workload::{GROUPS, Shape, Workload};

/// The names of the scenarios.
pub const SCENARIOS: [&str; 4] = ["inside", "standard", "lz4", "tenfold"];

/// The longest that a store is given to come to rest.
const SETTLE: Duration = Duration::from_secs(60);
/// The write buffer and the cache, where nothing else is said.
const BUFFER_BYTES: u64 = 64 << 20;

/// So long a quick run takes at most, if its first round does not take longer.
const QUICK_MINUTES: u64 = 18;

/// What a run does.
pub struct Plan<'a> {
    args: &'a Args,
    kinds: &'a [Kind],
    scenarios: Vec<Scenario>,
    groups: Vec<Vec<Workload>>,
    rounds: u32,
    limit: Duration,
    /// The longest that all rounds should take.
    time: Option<Duration>,
}

impl<'a> Plan<'a> {
    /// The plan that the arguments ask for.
    pub fn new(args: &'a Args, kinds: &'a [Kind]) -> Result<Self> {
        let groups = GROUPS.iter().map(|group| chosen(group, &args.workloads)).collect();
        let plan = Self {
            args,
            kinds,
            scenarios: scenarios(args),
            groups,
            rounds: args.rounds.unwrap_or(if args.quick { 2 } else { 3 }),
            limit: Duration::from_secs(args.limit.unwrap_or(if args.quick { 5 } else { 30 })),
            time: args
                .minutes
                .or(args.quick.then_some(QUICK_MINUTES))
                .map(|minutes| Duration::from_secs(60 * minutes)),
        };
        if plan.groups.iter().all(Vec::is_empty) {
            bail!("there is nothing to do");
        }
        Ok(plan)
    }

    /// Does everything, and keeps the results after each group.
    pub fn run(&self, results: &mut Results) -> Result<()> {
        let started = Instant::now();
        for round in 0..self.rounds {
            let so_far = started.elapsed();
            if round > 0 && self.time.is_some_and(|time| so_far + so_far / round > time) {
                eprintln!("{round} of {} rounds: one more would take too long", self.rounds);
                break;
            }
            for scenario in &self.scenarios {
                for group in self.groups.iter().filter(|group| !group.is_empty()) {
                    for at in 0..self.kinds.len() {
                        // Each round begins with another store, so that none is always the first.
                        let kind = &self.kinds[(at + round as usize) % self.kinds.len()];
                        if kind.lz4 || !scenario.config.lz4 {
                            self.group(scenario, kind, group, results)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Does a group of workloads on one store. A store that fails costs its own figures only.
    fn group(
        &self,
        scenario: &Scenario,
        kind: &Kind,
        group: &[Workload],
        results: &mut Results,
    ) -> Result<()> {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            self.workloads(scenario, kind, group, &mut |workload, figures| {
                eprintln!(
                    "{} {:<8} {:<16} {:>12.0} ops/s",
                    scenario.describe(),
                    kind.name,
                    workload.name(),
                    figures.ops_per_sec
                );
                results.add(figures);
            })
        }));
        let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("it has panicked; what it said is above")));
        if INTERRUPTED.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        if let Err(error) = outcome {
            eprintln!("{} fails: {error:#}", kind.name);
            let failure = Failure {
                scenario: scenario.clone(),
                store: kind.name.into(),
                message: format!("{error:#}"),
            };
            if !results.failures.contains(&failure) {
                results.failures.push(failure);
            }
        }
        results.save(&self.args.out.join("results.json"))
    }

    fn workloads(
        &self,
        scenario: &Scenario,
        kind: &Kind,
        group: &[Workload],
        keep: &mut dyn FnMut(Workload, Measurement),
    ) -> Result<()> {
        usage::forget_peak();
        let memory_before = usage::memory_bytes();
        let place = Place::fresh(Some(self.args.dir()))?;
        let config = Config { synced: group.contains(&Workload::FillSync), ..scenario.config };
        let store = (kind.open)(place.dir(), &config)?;
        let shape = Shape { rows: scenario.rows, seed: self.args.seed, inserted: AtomicU64::new(0) };
        for &workload in group {
            let before = (usage::cpu(), usage::written_bytes());
            let others = usage::Others::watch();
            let measured = measure(&*store, workload, &shape, config.threads as u64, self.limit)?;
            let others_share = others.share();
            let settled = if workload.writes() { rest(&*store)? } else { Duration::ZERO };
            let wanted = self.args.workloads.is_empty() || self.args.workloads.contains(&workload);
            if !wanted {
                continue;
            }
            let figures = Measurement {
                others_share,
                settle_seconds: settled.as_secs_f64(),
                cpu_seconds: (usage::cpu() - before.0).as_secs_f64(),
                written_bytes: usage::written_bytes() - before.1,
                directory_bytes: place.bytes(),
                peak_memory_bytes: usage::peak_memory_bytes().saturating_sub(memory_before),
                ..figures(scenario, kind, workload, &measured)
            };
            keep(workload, figures);
        }
        Ok(())
    }
}

/// Lets the store write its memtable and do what it has to do in the background, so that the next workload does not pay
/// for this one, and this one pays for itself.
pub fn rest(store: &dyn Store) -> Result<Duration> {
    let started = std::time::Instant::now();
    store.flush()?;
    Ok(started.elapsed() + usage::settle(SETTLE))
}

fn figures(scenario: &Scenario, kind: &Kind, workload: Workload, measured: &Measured) -> Measurement {
    let seconds = measured.elapsed.as_secs_f64().max(1e-9);
    let us = |quantile: f64| measured.latency.value_at_quantile(quantile) as f64 / 1000.0;
    Measurement {
        scenario: scenario.clone(),
        store: kind.name.into(),
        workload: workload.name(),
        round: 0,
        operations: measured.operations,
        found: measured.found,
        seconds,
        ops_per_sec: measured.operations as f64 / seconds,
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
        max_us: us(1.0),
        background_ops_per_sec: measured.background_writes.map(|writes| writes as f64 / seconds),
        others_share: 0.0,
        waited_share: measured.waited.as_secs_f64() / (seconds * scenario.config.threads as f64),
        settle_seconds: 0.0,
        cpu_seconds: 0.0,
        written_bytes: 0,
        directory_bytes: 0,
        peak_memory_bytes: 0,
    }
}

/// What has to be done of a group, so that what was chosen can be measured.
fn chosen(group: &[Workload], wanted: &[Workload]) -> Vec<Workload> {
    let is_wanted = |workload: &&Workload| wanted.is_empty() || wanted.contains(workload);
    let mut chosen: Vec<Workload> = group.iter().filter(is_wanted).copied().collect();
    if !chosen.is_empty() && chosen[0] != group[0] {
        chosen.insert(0, group[0]);
    }
    chosen
}

fn scenarios(args: &Args) -> Vec<Scenario> {
    let base = Config {
        write_buffer_bytes: BUFFER_BYTES,
        cache_bytes: BUFFER_BYTES,
        lz4: false,
        synced: false,
        threads: 1,
        workers: args.workers,
    };
    let named = |name: &str, rows: u64, config: Config| Scenario { name: name.into(), rows, config };
    let tenfold = |buffer_bytes: u64| {
        let config = Config { write_buffer_bytes: buffer_bytes, cache_bytes: buffer_bytes, ..base };
        named("tenfold", 10 * buffer_bytes / ROW_BYTES, config)
    };
    // 46 MB, or 23: the entries and what a cache needs for each fit into 64 MiB.
    let inside = named("inside", if args.quick { 200_000 } else { 400_000 }, base);
    let scenarios = match args.rows {
        Some(rows) => vec![named("rows", rows, base)],
        None if args.quick => vec![inside, tenfold(BUFFER_BYTES / 32)],
        None => vec![
            inside,
            named("standard", 1_000_000, base),
            named("lz4", 1_000_000, Config { lz4: true, ..base }),
            tenfold(BUFFER_BYTES),
        ],
    };
    let wanted = |scenario: &Scenario| args.scenarios.is_empty() || args.scenarios.contains(&scenario.name);
    let threads = if args.threads.is_empty() { &[1, 2][..] } else { &args.threads };
    let each = |scenario: Scenario| {
        threads.iter().map(move |&threads| {
            let config = Config { threads: threads.into(), ..scenario.config };
            Scenario { config, ..scenario.clone() }
        })
    };
    scenarios.into_iter().filter(wanted).flat_map(each).collect()
}

/// Today, in UTC, as the system's `date` says it.
pub fn date() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    output.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().into())
}

/// What this machine is, as far as Linux tells.
pub fn machine() -> String {
    let line = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = line("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = line("/proc/meminfo", "MemTotal").and_then(|text| {
        let kib: u64 = text.split_whitespace().next()?.parse().ok()?;
        Some(format!(", {:.0} GB of memory", kib as f64 * 1024.0 / 1e9))
    });
    let kernel = line("/proc/version", "").or_else(|| fs::read_to_string("/proc/version").ok());
    let kernel =
        kernel.and_then(|text| text.split_whitespace().nth(2).map(|release| format!(", Linux {release}")));
    format!("{cores} cores of {processor}{}{}", memory.unwrap_or_default(), kernel.unwrap_or_default())
}
