//! The results as Markdown, for people and for the documentation.

use std::fmt::Write;

use crate::growth;
use crate::results::{
    Measurement, OTHERS_MAX, ROW_BYTES, Results, Run, Scenario, Spread, WAITED_MAX, grouped,
};
use crate::sample::KEY_BYTES;
use crate::sandbox;
use crate::workload::{GROUPS, Workload};

/// The store that ratios are of.
const OURS: &str = "esker";
const NATIVE: &str = "native";

/// What a table shows of a measurement; `None` where it has no meaning.
type Figure = fn(&Measurement) -> Option<f64>;

/// All tables.
pub fn all(results: &Results) -> String {
    let mut text = String::from("# Measured\n\n");
    for Run { command, date, machine, stores } in &results.runs {
        line(&mut text, &format!("- `{command}`, {date}, {machine}; {}", stores.join(", ")));
    }
    for scenario in results.scenarios() {
        let shown = Shown { results, scenario, stores: stores(results, scenario) };
        line(&mut text, &format!("\n## {}\n", scenario.describe()));
        shown.disturbance(&mut text);
        shown.speed(&mut text);
        shown.ratios(&mut text);
        shown.sandbox(&mut text);
        shown.figures(&mut text);
    }
    sandbox::table(&mut text, &results.steps);
    growth::table(&mut text, &results.growth);
    let disagreements = results.disagreements();
    if !disagreements.is_empty() || !results.failures.is_empty() {
        line(&mut text, "\n## What went wrong\n");
    }
    for failure in &results.failures {
        line(&mut text, &format!("- {}, {}: {}", failure.scenario.name, failure.store, failure.message));
    }
    for disagreement in disagreements {
        line(&mut text, &format!("- the stores disagree: {disagreement}"));
    }
    text
}

/// The stores of a scenario, in the order in which they are always shown.
pub fn stores(results: &Results, scenario: &Scenario) -> Vec<&'static str> {
    let there = |name: &&&str| {
        results
            .measurements
            .iter()
            .any(|measurement| measurement.scenario == *scenario && measurement.store == ***name)
    };
    crate::stores::NAMES.iter().filter(there).copied().collect()
}

/// The workloads of a scenario that some store has done, in the order of the groups.
pub fn workloads(results: &Results, scenario: &Scenario) -> Vec<Workload> {
    let done = |workload: &Workload| {
        let name = workload.name();
        results
            .measurements
            .iter()
            .any(|measurement| measurement.scenario == *scenario && measurement.workload == name)
    };
    GROUPS.iter().flat_map(|group| group.iter()).copied().filter(done).collect()
}

/// A geometric mean.
#[derive(Clone, Default)]
struct Mean {
    logarithms: f64,
    count: u32,
}

impl Mean {
    /// Adds a ratio, and shows it.
    fn with(&mut self, ratio: f64) -> String {
        self.logarithms += ratio.ln();
        self.count += 1;
        format!("{ratio:.2}")
    }

    fn shown(&self) -> String {
        match self.count {
            0 => String::new(),
            count => format!("**{:.2}**", (self.logarithms / f64::from(count)).exp()),
        }
    }
}

struct Shown<'a> {
    results: &'a Results,
    scenario: &'a Scenario,
    stores: Vec<&'static str>,
}

impl Shown<'_> {
    /// How much of the machine was not the bench's.
    fn disturbance(&self, text: &mut String) {
        let workloads = workloads(self.results, self.scenario);
        let cells =
            workloads.iter().flat_map(|workload| self.stores.iter().map(move |store| (workload, store)));
        let counted: Vec<&Measurement> = cells
            .flat_map(|(workload, store)| self.results.rounds(self.scenario, store, &workload.name()))
            .collect();
        let all = self.results.measurements.iter().filter(|m| m.scenario == *self.scenario).count();
        let disturbed = counted.iter().filter(|measurement| measurement.disturbed()).count();
        line(
            text,
            &format!(
                "Of {all} measurements {} were disturbed by other processes (they took more than {:.0} % of the \
                 processors, and the workload's threads waited for one for more than {:.0} % of the time), and are left \
                 out where there are better ones: {disturbed} are shown.\n",
                all - counted.len() + disturbed,
                OTHERS_MAX * 100.0,
                WAITED_MAX * 100.0
            ),
        );
    }

    /// Operations in a second: the medians, and between what they are.
    fn speed(&self, text: &mut String) {
        let rounds = self.results.rounds_so_far(self.scenario);
        line(
            text,
            &format!(
                "Thousand operations a second: the median of up to {rounds} rounds (least to greatest), the fastest bold.\n"
            ),
        );
        self.table(text, |rounds, all| {
            let spread = Spread::of(rounds, |measurement| measurement.ops_per_sec)?;
            let best = all.iter().filter_map(|rounds| Spread::of(rounds, |m| m.ops_per_sec));
            let best = best.map(|spread| spread.median).fold(0.0, f64::max);
            let median = thousands(spread.median);
            let median = if spread.median >= best { format!("**{median}**") } else { median };
            Some(if rounds.len() > 1 {
                format!("{median} ({} to {})", thousands(spread.min), thousands(spread.max))
            } else {
                median
            })
        });
    }

    /// How many times as fast Esker is as each of the others.
    fn ratios(&self, text: &mut String) {
        let others: Vec<&str> =
            self.stores.iter().copied().filter(|store| ![OURS, NATIVE].contains(store)).collect();
        if !self.stores.contains(&OURS) || others.is_empty() {
            return;
        }
        line(text, "\nEsker through the component, as a multiple of the others' speed.\n");
        heading(text, &others);
        let mut means = vec![Mean::default(); others.len()];
        for workload in workloads(self.results, self.scenario) {
            let cells = others.iter().zip(&mut means).map(|(other, mean)| {
                let ratio = self.speed_of(OURS, workload).zip(self.speed_of(other, workload));
                ratio.map_or_else(String::new, |(ours, other)| mean.with(ours / other))
            });
            line(text, &format!("| {} | {} |", workload.name(), cells.collect::<Vec<_>>().join(" | ")));
        }
        let means: Vec<String> = means.iter().map(Mean::shown).collect();
        line(text, &format!("| geometric mean | {} |", means.join(" | ")));
    }

    /// What the sandbox costs: the same engine in it and outside.
    fn sandbox(&self, text: &mut String) {
        if ![OURS, NATIVE].iter().all(|store| self.stores.contains(store)) {
            return;
        }
        line(
            text,
            "\nThe cost of the sandbox: Esker's engine in it and outside, thousand operations a second.\n",
        );
        line(text, "| | component | native | component / native |\n|---|---:|---:|---:|");
        let mut mean = Mean::default();
        for workload in workloads(self.results, self.scenario) {
            let [ours, native] = [OURS, NATIVE].map(|store| self.speed_of(store, workload));
            if let Some((ours, native)) = ours.zip(native) {
                let cells = [thousands(ours), thousands(native), mean.with(ours / native)];
                line(text, &format!("| {} | {} |", workload.name(), cells.join(" | ")));
            }
        }
        line(text, &format!("| geometric mean | | | {} |", mean.shown()));
    }

    fn speed_of(&self, store: &str, workload: Workload) -> Option<f64> {
        let rounds = self.results.rounds(self.scenario, store, &workload.name());
        Spread::of(&rounds, |measurement| measurement.ops_per_sec).map(|spread| spread.median)
    }

    /// Everything else, a table each.
    fn figures(&self, text: &mut String) {
        let tables: [(&str, Figure); 9] = [
            ("p50 in µs (of fillbatch a batch, of readseq and readreverse 100 entries)", |m| Some(m.p50_us)),
            ("p99 in µs", |m| Some(m.p99_us)),
            ("p99.9 in µs", |m| Some(m.p999_us)),
            ("Longest stall in µs", |m| Some(m.max_us)),
            ("Processor time for an operation in µs, background work included", |m| {
                Some(m.cpu_seconds * 1e6 / m.operations as f64)
            }),
            ("Bytes written for each byte of the user's (write amplification, the log included)", |m| {
                Some(m.written_bytes as f64 / user_bytes(m)?)
            }),
            ("Size of the directory at rest, in MB", |m| writes(m).then_some(m.directory_bytes as f64 / 1e6)),
            ("Peak memory of the store so far, in MB", |m| Some(m.peak_memory_bytes as f64 / 1e6)),
            ("Background work after the last operation, in s", |m| writes(m).then_some(m.settle_seconds)),
        ];
        line(text, "\n<details><summary>Latency, processor time, bytes written, size, memory</summary>");
        for (title, figure) in tables {
            line(text, &format!("\n{title}: medians.\n"));
            self.table(text, |rounds, _| {
                figure(rounds.first()?)?;
                let spread = Spread::of(rounds, |measurement| figure(measurement).unwrap_or(0.0))?;
                Some(short(spread.median))
            });
        }
        line(text, "\n</details>");
    }

    /// A line for each workload, a column for each store.
    fn table(
        &self,
        text: &mut String,
        cell: impl Fn(&[&Measurement], &[Vec<&Measurement>]) -> Option<String>,
    ) {
        heading(text, &self.stores);
        for workload in workloads(self.results, self.scenario) {
            let name = workload.name();
            let all: Vec<Vec<&Measurement>> =
                self.stores.iter().map(|store| self.results.rounds(self.scenario, store, &name)).collect();
            let cells: Vec<String> =
                all.iter().map(|rounds| cell(rounds, &all).unwrap_or_default()).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                line(text, &format!("| {name} | {} |", cells.join(" | ")));
            }
        }
    }
}

fn workload_of(measurement: &Measurement) -> Option<Workload> {
    GROUPS
        .iter()
        .flat_map(|group| group.iter())
        .copied()
        .find(|workload| workload.name() == measurement.workload)
}

fn writes(measurement: &Measurement) -> bool {
    workload_of(measurement).is_some_and(Workload::writes)
}

/// What the user gave the store to write; `None` where that is not what the workload is about.
fn user_bytes(measurement: &Measurement) -> Option<f64> {
    match workload_of(measurement)? {
        Workload::DeleteRandom => Some((measurement.operations * KEY_BYTES as u64) as f64),
        Workload::FillSeq
        | Workload::FillBatch
        | Workload::FillSync
        | Workload::FillRandom
        | Workload::Overwrite
        | Workload::YcsbLoad => Some((measurement.operations * ROW_BYTES) as f64),
        _ => None,
    }
}

fn heading(text: &mut String, columns: &[&str]) {
    let marked: Vec<String> = columns
        .iter()
        .map(
            |store| if [OURS, NATIVE].contains(store) { format!("**{store}**") } else { (*store).to_owned() },
        )
        .collect();
    line(text, &format!("| | {} |", marked.join(" | ")));
    line(text, &format!("|---|{}", "---:|".repeat(columns.len())));
}

/// Adds a line.
pub fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}

fn thousands(figure: f64) -> String {
    short(figure / 1000.0)
}

/// Three digits or so.
pub fn short(figure: f64) -> String {
    match figure {
        _ if figure >= 100.0 => grouped(figure.round() as u64),
        _ if figure >= 10.0 => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::results;

    #[test]
    fn a_table_shows_medians_the_fastest_and_ratios() {
        let text =
            all(&results("fillseq", &[("esker", &[300_000.0, 100_000.0, 200_000.0]), ("rocksdb", &[5e4])]));
        for expected in [
            "| fillseq | **200** (100 to 300) | 50.0 |",
            // Four times as fast, alone and in the mean.
            "| fillseq | 4.00 |",
            "| geometric mean | **4.00** |",
            // Twice the user's 116,000 bytes.
            "| fillseq | 2.00 | 2.00 |",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(!text.contains("went wrong"));
    }
}
