//! Figures in Prometheus' text exposition format, version 0.0.4.

use serde_json::{Map, Value};
use std::fmt::Write;

use super::metrics::{Kind, LABELLED_LIST, LABELS, METRICS, Metric};

/// The metrics that these figures have.
pub fn text(stats: &Map<String, Value>) -> String {
    let stats = Value::Object(stats.clone());
    let mut text = String::new();
    let mut last_name = "";
    for metric in METRICS {
        let samples = samples(metric, &stats);
        if samples.is_empty() {
            continue;
        }
        let name = name_of(metric);
        if name != last_name {
            line(&mut text, format_args!("# HELP {name} {}", metric.help.replace('\\', "\\\\")));
            line(&mut text, format_args!("# TYPE {name} {}", metric.kind.name()));
            last_name = name;
        }
        for sample in samples {
            match metric.kind {
                Kind::Histogram => histogram(&mut text, name, &sample),
                Kind::Counter | Kind::Gauge => {
                    let value = number(sample.value) / divisor(metric);
                    line(&mut text, format_args!("{name}{} {value}", braced(&sample.labels)));
                }
            }
        }
    }
    text
}

/// A value with what tells it from others of its metric.
#[derive(Clone)]
struct Sample<'a> {
    labels: Vec<(&'a str, String)>,
    value: &'a Value,
}

fn name_of(metric: &Metric) -> &'static str {
    metric.name.split('{').next().unwrap_or(metric.name)
}

/// The values at the metric's place. A null tells nothing, but for a failure: there is none.
fn samples<'a>(metric: &'a Metric, stats: &'a Value) -> Vec<Sample<'a>> {
    let fixed =
        metric.name.split_once('{').and_then(|(_, labels)| labels.strip_suffix("\"}")?.split_once("=\""));
    let labels = fixed.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
    let mut found = vec![Sample { labels, value: stats }];
    let mut path = String::new();
    for step in metric.member.split('.') {
        path = if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
        found = found.iter().flat_map(|sample| enter(sample, &path, step)).collect();
    }
    found.retain(|sample| !sample.value.is_null() || metric.member == "maintenance_failure");
    found
}

/// What a step of the path leads to.
fn enter<'a>(from: &Sample<'a>, path: &str, step: &str) -> Vec<Sample<'a>> {
    let place = LABELS.iter().find(|(known, _)| *known == path).map(|(_, label)| *label);
    let with = |label: Option<&'static str>, name: String, value: &'a Value| {
        let mut labels = from.labels.clone();
        labels.extend(label.map(|label| (label, name)));
        Sample { labels, value }
    };
    if let Some(list) = step.strip_suffix("[]") {
        let elements = from.value.get(list).and_then(Value::as_array).into_iter().flatten().enumerate();
        return elements
            .map(|(at, element)| {
                let mut sample = with(place, at.to_string(), element);
                if path == LABELLED_LIST.0 {
                    sample
                        .labels
                        .extend(LABELLED_LIST.1.iter().map(|label| (*label, plain(element.get(label)))));
                }
                sample
            })
            .collect();
    }
    if step == "*" {
        let members = from.value.as_object().into_iter().flatten();
        return members.map(|(name, value)| with(place, name.clone(), value)).collect();
    }
    from.value.get(step).map(|value| with(None, String::new(), value)).into_iter().collect()
}

fn histogram(text: &mut String, name: &str, sample: &Sample<'_>) {
    let figure = |object: &Value, member: &str| object.get(member).map_or(0.0, number);
    let with_end = |end: String| {
        let mut labels = sample.labels.clone();
        labels.push(("le", end));
        braced(&labels)
    };
    for bucket in sample.value.get("buckets").and_then(Value::as_array).into_iter().flatten() {
        let labels = with_end((figure(bucket, "micros") / 1e6).to_string());
        line(text, format_args!("{name}_bucket{labels} {}", figure(bucket, "count")));
    }
    let count = figure(sample.value, "count");
    line(text, format_args!("{name}_bucket{} {count}", with_end("+Inf".into())));
    line(text, format_args!("{name}_sum{} {}", braced(&sample.labels), figure(sample.value, "micros") / 1e6));
    line(text, format_args!("{name}_count{} {count}", braced(&sample.labels)));
}

/// A figure as a number: truths are 0 and 1, and so is whether there is a reason.
fn number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => number.as_f64().unwrap_or(0.0),
        Value::Bool(yes) => f64::from(*yes),
        Value::Null => 0.0,
        Value::String(_) | Value::Array(_) | Value::Object(_) => 1.0,
    }
}

/// Microseconds and nanoseconds become seconds.
fn divisor(metric: &Metric) -> f64 {
    match metric.member {
        member if member.contains("micros") => 1e6,
        member if member.contains("nanos") => 1e9,
        _ => 1.0,
    }
}

fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

fn braced(labels: &[(&str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(stats: Value) -> String {
        text(stats.as_object().expect("an object"))
    }

    #[test]
    fn counters_and_gauges_have_their_places_as_labels() {
        let stats = json!({
            "levels": [{ "tables": 3 }, { "tables": 1 }],
            "flush": { "jobs": 7 }, "compaction": { "jobs": 2 },
            "stalled": true, "stalls": { "level0": { "count": 1, "micros": 2_500_000 } },
            "maintenance_failure": "the disk is full", "directory_sync": null,
        });
        let expected = "\
# HELP esker_level_tables tables of a level
# TYPE esker_level_tables gauge
esker_level_tables{level=\"0\"} 3
esker_level_tables{level=\"1\"} 1
# HELP esker_jobs_total flushes and compactions done
# TYPE esker_jobs_total counter
esker_jobs_total{kind=\"flush\"} 7
esker_jobs_total{kind=\"compaction\"} 2
# HELP esker_stalled whether a write at this moment would wait for maintenance
# TYPE esker_stalled gauge
esker_stalled 1
# HELP esker_stalls_total writes that had to wait, by the reason
# TYPE esker_stalls_total counter
esker_stalls_total{reason=\"level0\"} 1
# HELP esker_stall_seconds_total how long they waited in all
# TYPE esker_stall_seconds_total counter
esker_stall_seconds_total{reason=\"level0\"} 2.5
# HELP esker_maintenance_failing whether the last flush or compaction has failed; in JSON `null`, or why. It is tried again
# TYPE esker_maintenance_failing gauge
esker_maintenance_failing 1
";
        assert_eq!(of(stats), expected);
        assert!(of(json!({ "maintenance_failure": null })).ends_with("esker_maintenance_failing 0\n"));
    }

    #[test]
    fn a_histogram_counts_up_to_all() {
        let stats = json!({ "latency": { "put": {
            "count": 3, "micros": 1500.0,
            "buckets": [{ "micros": 0.256, "count": 1 }, { "micros": 0.512, "count": 2 }],
        } } });
        let expected = "\
# HELP esker_operation_seconds how long calls took, by the operation
# TYPE esker_operation_seconds histogram
esker_operation_seconds_bucket{operation=\"put\",le=\"0.000000256\"} 1
esker_operation_seconds_bucket{operation=\"put\",le=\"0.000000512\"} 2
esker_operation_seconds_bucket{operation=\"put\",le=\"+Inf\"} 3
esker_operation_seconds_sum{operation=\"put\"} 0.0015
esker_operation_seconds_count{operation=\"put\"} 3
";
        assert_eq!(of(stats), expected);
    }

    #[test]
    fn a_job_is_labelled_by_what_it_is_and_escaped() {
        let job = json!({
            "id": 9, "kind": "flush", "reason": "memtable", "level": 0, "input_bytes": 10, "place": "a \"b\"\\",
        });
        let stats = json!({ "jobs": { "under_way": [job] } });
        let line = "esker_job_input_bytes{id=\"9\",kind=\"flush\",reason=\"memtable\",level=\"0\",place=\"a \\\"b\\\"\\\\\"} 10\n";
        assert!(of(stats.clone()).ends_with(line), "{}", of(stats));
    }
}
