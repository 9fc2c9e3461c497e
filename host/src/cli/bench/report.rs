//! What a bench prints: a table, or a JSON object a line.

use std::fs;
use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::json;

use super::Args;
use super::measure::{Latency, Measured, per_sec};
use super::place::Place;
use super::workload::Workload;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::number;

/// Prints a line as soon as a workload has ended; all of them in the end, while something else has the terminal.
pub struct Report {
    json: bool,
    begun: bool,
    /// What is to be printed in the end.
    kept: Option<String>,
}

impl Report {
    /// A table, or JSON; printed in the end if `keep` says so.
    pub fn new(json: bool, keep: bool) -> Self {
        Self { json, begun: false, kept: keep.then(String::new) }
    }

    /// Prints what was kept.
    pub fn end(self) -> Outcome {
        self.kept.map_or(Ok(()), |text| print(&text))
    }

    /// Prints the line of a workload.
    pub fn add(&mut self, args: &Args, workload: Workload, measured: &Measured, place: &Place) -> Outcome {
        if self.json {
            return self.print(&json_line(args, workload, measured, place));
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.print(&heading())?;
        }
        self.print(&table_lines(workload, measured))
    }
}

impl Report {
    fn print(&mut self, text: &str) -> Outcome {
        match &mut self.kept {
            Some(kept) => {
                kept.push_str(text);
                Ok(())
            }
            None => print(text),
        }
    }
}

fn heading() -> String {
    format!(
        "{:<17} {:>12} {:>9} {:>10} {:>10} {:>10} {:>12}\n",
        "workload", "ops/s", "MB/s", "p50 µs", "p99 µs", "p99.9 µs", "max µs",
    )
}

/// A line for all operations, and one for each kind where a workload both reads and writes.
fn table_lines(workload: Workload, measured: &Measured) -> String {
    let rate = |operations| number::count(per_sec(operations, measured.elapsed) as u64);
    let mut lines = format!(
        "{:<17} {:>12} {:>9.1}{}{}\n",
        workload.name(),
        rate(measured.operations),
        measured.mb_per_sec(),
        quantiles(&measured.latency()),
        note(workload, measured),
    );
    for (kind, latency) in kinds(measured) {
        lines +=
            &format!("  {kind:<15} {:>12} {:>9}{}\n", rate(latency.operations()), "", quantiles(latency));
    }
    lines
}

fn quantiles(latency: &Latency) -> String {
    let at = |share| latency.quantile_us(share);
    format!(" {:>10.2} {:>10.2} {:>10.2} {:>12.2}", at(0.5), at(0.99), at(0.999), at(1.0))
}

/// The kinds of operations of a workload that has more than one.
fn kinds(measured: &Measured) -> impl Iterator<Item = (&'static str, &Latency)> {
    let both = [("reads", &measured.reads), ("writes", &measured.writes)];
    let is_mixed = both.iter().all(|(_, latency)| latency.operations() > 0);
    both.into_iter().filter(move |_| is_mixed)
}

fn note(workload: Workload, measured: &Measured) -> String {
    let mut note = String::new();
    if workload.may_miss() {
        note +=
            &format!("  {} of {} found", number::count(measured.found), number::count(measured.operations));
    }
    if let Some(writes) = measured.background_writes {
        note += &format!(", {} writes/s beside", number::count(per_sec(writes, measured.elapsed) as u64));
    }
    note
}

fn json_line(args: &Args, workload: Workload, measured: &Measured, place: &Place) -> String {
    let latency = measured.latency();
    let mut line = json!({
        "name": workload.name(),
        "ops_per_sec": rounded(measured.ops_per_sec()),
        "mb_per_sec": rounded(measured.mb_per_sec()),
        "p50_us": latency.quantile_us(0.5),
        "p99_us": latency.quantile_us(0.99),
        "p999_us": latency.quantile_us(0.999),
        "max_us": latency.quantile_us(1.0),
        "operations": measured.operations,
        "seconds": measured.elapsed.as_secs_f64(),
        "num": args.num,
        "value_size": args.value_size,
        "threads": args.threads,
        "durability": workload.durability(args).to_possible_value().map(|value| value.get_name().to_owned()),
        "directory_bytes": place.bytes(),
        "peak_memory_bytes": peak_memory_bytes(),
    });
    if workload.may_miss() {
        line["found"] = measured.found.into();
    }
    if let Some(writes) = measured.background_writes {
        line["background_writes_per_sec"] = rounded(per_sec(writes, measured.elapsed)).into();
    }
    for (kind, latency) in kinds(measured) {
        line[kind] = json!({
            "operations": latency.operations(),
            "p50_us": latency.quantile_us(0.5),
            "p99_us": latency.quantile_us(0.99),
            "p999_us": latency.quantile_us(0.999),
            "max_us": latency.quantile_us(1.0),
        });
    }
    format!("{line}\n")
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The most memory that this process has had in use since it began, where the system tells (Linux).
fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn print(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::stdout)
}
