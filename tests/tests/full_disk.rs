//! A real disk that is really full: a store on a tmpfs of a few MiB, filled to the brim by `esker import`.
//!
//! Everything that was acknowledged is there, and can be read while the disk is full; when some space is free again, the
//! store goes on. Making a file system needs the rights to mount one: without them the test says so and passes.
#![cfg(all(target_os = "linux", feature = "component"))]

use esker_tests::program::esker;
use esker_tests::temp_dir::TempDir;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A small file system of its own, until it is dropped.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// `None` where this process may not mount one.
    fn mount(mebibytes: u32) -> Option<Self> {
        let dir = TempDir::new();
        let options = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "esker-test"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { dir }),
            other => {
                eprintln!("SKIPPED: a tmpfs cannot be mounted here: {other:?}");
                None
            }
        }
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// A file that takes up room until it is removed.
    fn ballast(&self) -> PathBuf {
        self.dir.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _the_system_says_why_it_cannot = Command::new("umount").arg(self.dir.path()).status();
    }
}

fn row(number: u64) -> (String, String) {
    (format!("key {:08}", number * 7919 % 1_000_003), format!("{number} {}", "padding ".repeat(12)))
}

/// Imports rows from `first` on until the disk is full. Returns how many were acknowledged, and what was said.
fn fill(store: &Path, first: u64, durability: &str) -> (u64, Output) {
    let mut import = esker(store)
        .args([
            "--memory",
            "8MiB",
            "import",
            "--acknowledge",
            "--batch-rows",
            "100",
            "--durability",
            durability,
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = import.stdin.take().expect("piped");
    let feeder = std::thread::spawn(move || {
        for number in first.. {
            let (key, value) = row(number);
            if writeln!(input, "{key}\t{value}").is_err() {
                return;
            }
        }
    });
    let output = import.wait_with_output().expect("it ends");
    feeder.join().expect("the feeder ends with its reader");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let acknowledged = said.lines().last().map_or(0, |last| last.parse().expect("a number"));
    (acknowledged, output)
}

fn run(store: &Path, arguments: &[&str]) -> Output {
    esker(store).args(arguments).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks that the first `rows` rows are there, and returns how many there are.
fn check(store: &Path, rows: u64, arguments: &[&str]) -> u64 {
    let output = run(store, &[arguments, &["scan"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).expect("the rows are text");
    let found: std::collections::BTreeMap<_, _> =
        text.lines().map(|line| line.split_once('\t').expect("a row has a tab")).collect();
    for number in 0..found.len() as u64 {
        let (key, value) = row(number);
        assert_eq!(found.get(key.as_str()), Some(&value.as_str()), "row {number}");
    }
    assert!(found.len() as u64 >= rows, "{} rows of {rows} that were acknowledged", found.len());
    found.len() as u64
}

#[test]
fn a_store_on_a_full_disk_keeps_what_it_acknowledged_and_goes_on_when_there_is_room() {
    for durability in ["buffered", "synced"] {
        let Some(disk) = SmallDisk::mount(6) else { return };
        let store = disk.store();
        fs::write(disk.ballast(), vec![1; 2 << 20]).expect("there is room");
        let (acknowledged, output) = fill(&store, 0, durability);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(said(&output).contains("no space is left"), "{}", said(&output));
        assert!(acknowledged > 1000, "{acknowledged} rows fit into 4 MiB");

        // Nothing is lost, and all of it can be read though nothing can be written.
        let there = check(&store, acknowledged, &["--read-only"]);
        let refused = run(&store, &["put", "one", "more"]);
        assert_eq!(refused.status.code(), Some(3));
        assert!(said(&refused).contains("--read-only"), "it says how to read: {}", said(&refused));
        assert_eq!(check(&store, acknowledged, &["--read-only"]), there, "the refused command lost nothing");

        fs::remove_file(disk.ballast()).expect("it was there");
        let written = run(&store, &["put", "one", "more"]);
        assert!(written.status.success(), "{}", said(&written));
        let deleted = run(&store, &["delete", "one"]);
        assert!(deleted.status.success(), "{}", said(&deleted));
        assert_eq!(check(&store, acknowledged, &[]), there);
        let verified = run(&store, &["verify"]);
        assert!(verified.status.success(), "{}", said(&verified));
    }
}
