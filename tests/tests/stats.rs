//! A store's figures: documented, in two formats that agree, and seen from another process.
#![cfg(feature = "component")]

use esker_host::{Error, KvStore, Options, Published};
use esker_tests::host::{open, runtime};
use esker_tests::program::esker;
use esker_tests::temp_dir::TempDir;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

const DOCUMENTATION: &str = include_str!("../../docs/stats.md");

/// The documented members, and the metrics that they are.
fn documented() -> Vec<(String, Option<String>)> {
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let (member, metric) = (cell(cells.next()?), cell(cells.next()?));
        Some((member, Some(metric).filter(|metric| metric != "-")))
    };
    DOCUMENTATION.lines().filter_map(row).collect()
}

/// The places of all figures: members joined by `.`, `[]` for the elements of a list.
fn places(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                places(value, &place, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| places(value, &format!("{place}[]"), found)),
        _ => drop(found.insert(place.to_owned())),
    }
}

/// Whether a documented place, which may have `*` for a name, is this one.
fn is_at(documented: &str, place: &str) -> bool {
    let (documented, place): (Vec<_>, Vec<_>) = (documented.split('.').collect(), place.split('.').collect());
    documented.len() == place.len()
        && documented.iter().zip(&place).all(|(one, other)| *one == "*" || one == other)
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn filled() -> TempDir {
    let dir = TempDir::new();
    let store = open(dir.path());
    for i in 0..5000u32 {
        store.put(&i.to_be_bytes(), &[7; 100], esker_host::Durability::Buffered).expect("writes");
    }
    store.close().expect("closes");
    dir
}

#[test]
fn every_figure_is_documented() {
    let dir = filled();
    let json = run(esker(dir.path()).args(["stats", "--json"])).stdout;
    let mut stats: Value = serde_json::from_slice(&json).expect("JSON");
    assert!(
        stats.as_object_mut().expect("an object").remove("recovery").is_some(),
        "docs/recovery.md has it"
    );
    let documented = documented();
    let mut found = BTreeSet::new();
    places(&stats, "", &mut found);
    let unknown: Vec<_> =
        found.iter().filter(|place| !documented.iter().any(|(member, _)| is_at(member, place))).collect();
    assert!(unknown.is_empty(), "docs/stats.md does not have {unknown:?}");
    // A store at rest has no job under way, and a histogram is a metric as a whole.
    let gone: Vec<_> = documented
        .iter()
        .filter(|(member, _)| !member.starts_with("jobs.under_way") && member != "latency.*")
        .filter(|(member, _)| !found.iter().any(|place| is_at(member, place)))
        .collect();
    assert!(gone.is_empty(), "no such figures: {gone:?}");
}

/// Reads the text format as strictly as its description has it, and returns each metric's samples.
fn parse(text: &str) -> BTreeMap<String, Vec<(String, f64)>> {
    let mut metrics: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    let (mut name, mut kind) = (String::new(), "");
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            name = help.split_once(' ').expect("a name and its help").0.to_owned();
            assert!(metrics.insert(name.clone(), Vec::new()).is_none(), "{name} comes twice");
            kind = "";
        } else if let Some(of) = line.strip_prefix("# TYPE ") {
            let (of, is) = of.split_once(' ').expect("a name and its type");
            assert_eq!((of, kind), (name.as_str(), ""), "the type follows the help");
            assert!(["counter", "gauge", "histogram"].contains(&is), "{line}");
            kind = is;
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            let value: f64 = value.parse().expect("a number");
            let (of, labels) = series.split_once('{').unwrap_or((series, ""));
            let suffix = of.strip_prefix(&name).unwrap_or_else(|| panic!("{line} stands under {name}"));
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line} is no {kind}");
            assert!(labels.is_empty() || labels.ends_with("\"}"), "{line}");
            assert!(value.is_finite() && (kind != "counter" || value >= 0.0), "{line}");
            let samples = metrics.get_mut(&name).expect("it has begun");
            assert!(!samples.iter().any(|(known, _)| known == series), "{series} comes twice");
            samples.push((series.to_owned(), value));
        }
    }
    metrics
}

#[test]
fn metrics_are_well_formed_and_documented() {
    let dir = filled();
    let text = run(esker(dir.path()).args(["stats", "--prometheus"])).stdout;
    let metrics = parse(std::str::from_utf8(&text).expect("text"));
    let documented: BTreeSet<String> = documented()
        .into_iter()
        .filter_map(|(_, metric)| Some(metric?.split('{').next()?.to_owned()))
        .filter(|metric| metric != "esker_job_input_bytes")
        .collect();
    assert_eq!(metrics.keys().cloned().collect::<BTreeSet<_>>(), documented);
    assert_eq!(metrics["esker_last_sequence"], [("esker_last_sequence".to_owned(), 5000.0)]);
    for operation in ["put", "get", "sync"] {
        let label = format!("operation=\"{operation}\"");
        let series = metrics["esker_operation_seconds"].iter().filter(|(series, _)| series.contains(&label));
        let (buckets, rest): (Vec<_>, Vec<_>) = series.partition(|(series, _)| series.contains("_bucket"));
        assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{buckets:?}");
        let (last, all) = buckets.last().expect("there are buckets");
        assert!(last.contains("le=\"+Inf\""));
        assert!(rest.iter().any(|(series, count)| series.contains("_count") && count == all));
    }
}

/// An import that has the store in `dir` open for as long as it is fed.
fn importing(dir: &Path) -> Child {
    let mut import = esker(dir)
        .args(["import", "--batch-rows", "1", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let input = import.stdin.as_mut().expect("piped");
    for i in 0..1000 {
        writeln!(input, "row{i}\t{i}").expect("it reads");
    }
    input.flush().expect("it reads");
    import
}

/// What `esker top` draws in a terminal before it reads the q; `None` where no program makes a terminal.
fn top(dir: &Path) -> Option<String> {
    let mut command = Command::new("script");
    command.args(["-qec", "stty rows 24 cols 80; \"$ESKER_BIN\" top", "/dev/null"]);
    command.env("ESKER_DIR", dir).env("ESKER_BIN", esker_tests::program::path());
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut terminal) = started else {
        eprintln!("there is no `script` here to make a terminal: esker top is not run");
        return None;
    };
    terminal.stdin.take().expect("piped").write_all(b"q").expect("it reads");
    let output = terminal.wait_with_output().expect("it ends");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn another_process_sees_the_figures_of_the_one_that_has_the_store_open() {
    let dir = TempDir::new();
    let mut import = importing(dir.path());
    let number = import.id();
    let (mut attached, mut said) = (Value::Null, String::new());
    // It has published nothing yet, then too little: it will, for it is alive and the rows are there.
    while attached["writes"]["operations"] != 1000 {
        assert_eq!(import.try_wait().expect("it was started"), None, "it waits for more rows");
        let output = esker(dir.path()).args(["stats", "--json"]).output().expect("the program starts");
        if output.status.success() {
            attached = serde_json::from_slice(&output.stdout).expect("JSON");
            said = String::from_utf8_lossy(&output.stderr).into_owned();
        }
    }
    assert!(said.starts_with(&format!("esker: process {number} has the store open")), "{said}");
    assert_eq!(attached["process"], number);
    assert_eq!(attached["last_sequence"], 1000);
    assert_eq!(attached["latency"]["put"]["count"], 1000);
    let published = Published::read(dir.path()).expect("readable");
    assert_eq!((published.process, published.running), (Some(number), true));
    assert!(
        parse(&String::from_utf8_lossy(&run(esker(dir.path()).args(["stats", "--prometheus"])).stdout)).len()
            > 20
    );
    if let Some(drawn) = top(dir.path()) {
        assert!(drawn.contains(&format!("process {number}, ")), "{drawn}");
    }
    let watched = run(esker(dir.path()).args(["stats", "--watch", "1", "--count", "1"]));
    assert_eq!(String::from_utf8_lossy(&watched.stdout).lines().count(), 2, "a heading and a line");

    import.kill().expect("it can be killed");
    import.wait().expect("it was started");
    let published = Published::read(dir.path()).expect("readable");
    assert_eq!((published.process, published.running), (Some(number), false), "the dead have no figures");
    let watched = run(esker(dir.path()).args(["stats", "--watch", "1", "--count", "1", "--json"]));
    let said = String::from_utf8_lossy(&watched.stderr).into_owned();
    assert!(said.contains("no process has the store open; this is what the files tell"), "{said}");
    let files: Value = serde_json::from_slice(&watched.stdout).expect("JSON");
    assert_eq!((&files["last_sequence"], &files["epoch"]), (&Value::from(1000), &Value::from(1)));
}

/// Looking takes the lock for a moment, and an opener that met it said that the store was open elsewhere.
#[test]
fn a_look_never_keeps_anybody_from_opening() {
    let dir = TempDir::new();
    open(dir.path()).close().expect("closes");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    Published::read(dir.path()).expect("readable");
                }
            });
        }
        for _ in 0..100 {
            let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("nobody has it open");
            assert!(Published::read(dir.path()).expect("readable").running);
            let second = KvStore::open(runtime(), dir.path(), Options::default());
            assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
            store.close().expect("closes");
        }
        done.store(true, Ordering::Relaxed);
    });
}
