//! Figures for people. The readable form is made from whatever members there are, so that figures can come and go.

use serde_json::{Map, Value};

use crate::cli::number;

/// One line for each figure, sections for what belongs together, tables for lists of objects.
pub fn text(stats: &Map<String, Value>) -> String {
    let mut text = String::new();
    section("", stats, 0, &mut text);
    text
}

/// The members of the object that is named `section`.
fn section(section_name: &str, members: &Map<String, Value>, depth: usize, text: &mut String) {
    const VALUE_COLUMN: usize = 36;
    let indent = "  ".repeat(depth);
    // Histograms are for programs: their quantiles say it shorter.
    for (name, value) in members.iter().filter(|(name, _)| *name != "buckets") {
        let title = format!("{indent}{}", name.replace('_', " "));
        match value {
            Value::Object(_) | Value::Array(_) if is_nothing(value) => {
                text.push_str(&format!("{title:<VALUE_COLUMN$}nothing\n"));
            }
            Value::Object(inner) => {
                text.push_str(&format!("{title}\n"));
                section(name, inner, depth + 1, text);
            }
            Value::Array(rows) if rows.iter().any(Value::is_object) => {
                text.push_str(&format!("{title}\n"));
                table(rows, depth + 1, text);
            }
            _ => {
                let unit = Unit::of(section_name, name);
                text.push_str(&format!("{title:<VALUE_COLUMN$}{}\n", figure(unit, value)));
            }
        }
    }
}

/// A line for each object, numbered from 0, its columns named by the first one.
fn table(rows: &[Value], depth: usize, text: &mut String) {
    let names: Vec<&String> =
        rows.iter().find_map(Value::as_object).into_iter().flat_map(Map::keys).collect();
    let cell = |row: &Value, name: &String| {
        row.get(name).map_or_else(String::new, |value| figure(Unit::of("", name), value))
    };
    let cells = |row: &Value| names.iter().map(|name| cell(row, name)).collect::<Vec<_>>();
    let titles = names.iter().map(|name| name.replace('_', " ")).collect();
    let mut lines = vec![(String::new(), titles)];
    let some = rows.iter().enumerate().filter(|(_, row)| !is_nothing(row));
    lines.extend(some.map(|(at, row)| (at.to_string(), cells(row))));
    for (number, cells) in lines {
        let cells: String = cells.iter().map(|cell| format!("{cell:>14}")).collect();
        text.push_str(&format!("{}{number:>2}{cells}\n", "  ".repeat(depth)));
    }
}

/// Whether there is nothing but zeros in a value; such a part gets one line, or none.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(values) => values.iter().all(is_nothing),
        Value::Object(members) => members.values().all(is_nothing),
        Value::Null => true,
        Value::Bool(_) | Value::String(_) => false,
    }
}

/// What a figure counts.
#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Micros,
    Things,
}

impl Unit {
    /// The unit is a word of the figure's name; in the section on memory, all is bytes but entries.
    fn of(section: &str, name: &str) -> Self {
        let has_word = |word| name.split('_').any(|part| part == word);
        match section {
            _ if has_word("bytes") => Self::Bytes,
            _ if has_word("micros") => Self::Micros,
            "memory" if !has_word("entries") => Self::Bytes,
            _ => Self::Things,
        }
    }
}

/// A figure for people.
fn figure(unit: Unit, value: &Value) -> String {
    match value {
        Value::Number(number) => match (number.as_u64(), unit) {
            (Some(bytes), Unit::Bytes) => number::bytes(bytes),
            (Some(micros), Unit::Micros) => format!("{:.1} ms", micros as f64 / 1000.0),
            (Some(count), Unit::Things) => number::count(count),
            (None, _) => number.as_f64().map_or_else(|| number.to_string(), |number| format!("{number:.2}")),
        },
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(values) => values.iter().map(|value| figure(unit, value)).collect::<Vec<_>>().join(", "),
        Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_sections_and_tables_are_laid_out() {
        let stats = serde_json::json!({
            "sequence": 1_234_567,
            "memory": { "cache": 4096, "memtable_entries": 5, "bytes_max": 1024 },
            "reads": { "hit_ratio": 0.5, "micros_max": 1500 },
            "levels": [{ "level": 0, "bytes": 10 }, { "level": 0, "bytes": 0 }, { "level": 2, "bytes": 2048 }],
            "losses": [],
            "stalls": { "level0": { "count": 0 } },
        });
        let lines: Vec<String> = text(stats.as_object().expect("an object"))
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let expected = [
            "sequence 1,234,567",
            "memory",
            "cache 4.00 KiB",
            "memtable entries 5",
            "bytes max 1.00 KiB",
            "reads",
            "hit ratio 0.50",
            "micros max 1.5 ms",
            "levels",
            "level bytes",
            "0 0 10 B",
            "2 2 2.00 KiB",
            "losses nothing",
            "stalls nothing",
        ];
        assert_eq!(lines, expected);
    }
}
