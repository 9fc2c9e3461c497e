//! `esker stats`: what the store holds and has done.
//!
//! The component answers with a JSON object (docs/stats.md). The readable form is made from whatever members it
//! has, so that figures can come and go.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::failure::{Failure, Outcome};
use super::number;
use super::store::{Expect, StoreArgs};

/// Show what the store holds, what it has done since it was opened, and what recovery found then
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  esker stats
  esker stats --json | jq .recovery";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    let (stats, recovery) =
        store.run(Expect::Store, |store| Ok((store.stats()?, store.recovery_report()?)))?;
    let mut stats = read(&stats)?;
    stats.entry("recovery").or_insert(Value::Object(read(&recovery)?));
    let text = if args.json { format!("{}\n", Value::Object(stats)) } else { readable(&stats) };
    io::stdout().write_all(text.as_bytes()).map_err(Failure::stdout)
}

fn read(json: &str) -> Outcome<Map<String, Value>> {
    serde_json::from_str(json)
        .map_err(|cause| Failure::other(format!("the component's figures are no JSON object: {cause}")))
}

/// One line for each figure, sections for what belongs together, tables for lists of objects.
fn readable(stats: &Map<String, Value>) -> String {
    let mut text = String::new();
    section(stats, 0, &mut text);
    text
}

fn section(members: &Map<String, Value>, depth: usize, text: &mut String) {
    const VALUE_COLUMN: usize = 36;
    let indent = "  ".repeat(depth);
    for (name, value) in members {
        let title = format!("{indent}{}", name.replace('_', " "));
        match value {
            Value::Object(inner) => {
                text.push_str(&format!("{title}\n"));
                section(inner, depth + 1, text);
            }
            Value::Array(rows) if rows.iter().any(Value::is_object) => {
                text.push_str(&format!("{title}\n"));
                table(rows, depth + 1, text);
            }
            _ => text.push_str(&format!("{title:<VALUE_COLUMN$}{}\n", figure(name, value))),
        }
    }
}

/// A line for each object, its columns named by the first one.
fn table(rows: &[Value], depth: usize, text: &mut String) {
    let names: Vec<&String> =
        rows.iter().find_map(Value::as_object).into_iter().flat_map(Map::keys).collect();
    let cell =
        |row: &Value, name: &String| row.get(name).map_or_else(String::new, |value| figure(name, value));
    let mut lines: Vec<Vec<String>> = vec![names.iter().map(|name| name.replace('_', " ")).collect()];
    lines.extend(rows.iter().map(|row| names.iter().map(|name| cell(row, name)).collect()));
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}")).collect();
        text.push_str(&format!("{}{}\n", "  ".repeat(depth), cells.join("  ").trim_end()));
    }
}

/// A figure for people; its unit is the last word of its name.
fn figure(name: &str, value: &Value) -> String {
    let unit = name.rsplit('_').next().unwrap_or(name);
    match value {
        Value::Number(number) => match (number.as_u64(), unit) {
            (Some(bytes), "bytes") => number::bytes(bytes),
            (Some(micros), "micros") => format!("{:.1} ms", micros as f64 / 1000.0),
            (Some(count), _) => number::count(count),
            (None, _) => number.as_f64().map_or_else(|| number.to_string(), |number| format!("{number:.2}")),
        },
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Array(values) => values.iter().map(|value| figure(name, value)).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_sections_and_tables_are_laid_out() {
        let stats = serde_json::json!({
            "sequence": 1_234_567,
            "cache": { "used_bytes": 4096, "hit_ratio": 0.5 },
            "levels": [{ "level": 0, "bytes": 10 }, { "level": 1, "bytes": 2048 }],
            "losses": [],
        });
        let lines: Vec<String> = readable(stats.as_object().expect("an object"))
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let expected = [
            "sequence 1,234,567",
            "cache",
            "used bytes 4.00 KiB",
            "hit ratio 0.50",
            "levels",
            "level bytes",
            "0 10 B",
            "1 2.00 KiB",
            "losses none",
        ];
        assert_eq!(lines, expected);
    }
}
