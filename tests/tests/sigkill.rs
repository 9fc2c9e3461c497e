//! Real kills: `esker import` under load, ended by SIGKILL at any moment, again and again on the same store.
//!
//! The rows are numbered, and a key gets another number in its value each time it is written. So the greatest
//! number in the store tells how far the log of writes goes that it has kept, and what it holds must be exactly
//! the state after that write:
//!
//! - no write is missing that was acknowledged as buffered or synced before the kill; of the deferred ones no more
//!   than the stated window is;
//! - what is there is a prefix of the writes, in whole batches, and nothing else.
//!
//! The kill comes when so many batches have been acknowledged; none at all is a kill while the store is opened.
#![cfg(all(unix, feature = "component"))]

use esker_tests::program::esker;
use esker_tests::seed::{Rng, for_each_seed};
use esker_tests::temp_dir::TempDir;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Output, Stdio};
use std::thread;

/// The bytes of deferred writes that a kill may lose (`deferred-bytes` in wit/esker.wit).
const DEFERRED_BYTES: u64 = 65_536;

#[test]
fn no_acknowledged_row_is_lost() {
    for_each_seed("sigkill", "no_acknowledged_row_is_lost", 6, |seed| {
        let mut rng = Rng::new(seed);
        let load = Load::random(&mut rng);
        let dir = TempDir::new();
        let mut kept = 0;
        for _ in 0..6 {
            let killed = load.import_and_kill(dir.path(), kept, rng.below(300));
            kept = load.check(dir.path(), kept, killed);
        }
    });
}

/// What is written, and how.
#[derive(Debug)]
struct Load {
    durability: &'static str,
    batch_rows: u64,
    keys: u64,
    value_bytes_max: u64,
    seed: u64,
}

/// What is known of an import when it is dead.
#[derive(Debug, Clone, Copy)]
struct Killed {
    /// Rows that were given to it.
    fed: u64,
    /// Rows that it had acknowledged.
    acknowledged: u64,
}

impl Load {
    fn random(rng: &mut Rng) -> Self {
        Self {
            durability: rng.pick(&["buffered", "buffered", "synced", "deferred"]),
            batch_rows: rng.between(1, 40),
            keys: rng.pick(&[10, 500, 20_000]),
            value_bytes_max: rng.pick(&[20, 300, 3000]),
            seed: rng.next_u64(),
        }
    }

    /// Key and value of write number `number`.
    fn row(&self, number: u64) -> (String, String) {
        let mut rng = Rng::new(self.seed ^ number);
        let key = format!("key{:05}", rng.below(self.keys));
        let padding = "abcdefghij".repeat(1 + self.value_bytes_max as usize / 10);
        (key, format!("{number} {}", &padding[..rng.below(self.value_bytes_max) as usize]))
    }

    /// Imports rows from number `first` on, as many as it can, and kills the import when it has acknowledged
    /// `batches`.
    fn import_and_kill(&self, dir: &Path, first: u64, batches: u64) -> Killed {
        let mut import = esker(dir)
            .args(["--memory", "8MiB", "import", "--acknowledge", "--batch-bytes", "1GiB"])
            .args(["--durability", self.durability, "--batch-rows", &self.batch_rows.to_string(), "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let input = import.stdin.take().expect("piped");
        let mut output = BufReader::new(import.stdout.take().expect("piped"));
        thread::scope(|scope| {
            let feeder = scope.spawn(|| self.feed(input, first));
            let mut acknowledged = 0;
            for _ in 0..batches {
                acknowledged = next_number(&mut output).expect("an import that is fed without end goes on");
            }
            import.kill().expect("it can be killed");
            import.wait().expect("it was started");
            while let Some(number) = next_number(&mut output) {
                acknowledged = number;
            }
            Killed { fed: feeder.join().expect("the feeder does not panic"), acknowledged }
        })
    }

    /// Writes rows until nobody reads them any more, and returns how many.
    fn feed(&self, input: ChildStdin, first: u64) -> u64 {
        let mut input = BufWriter::new(input);
        let mut fed = 0;
        loop {
            let (key, value) = self.row(first + fed);
            fed += 1;
            if writeln!(input, "{key}\t{value}").is_err() {
                // Dropped as it is, the buffer would try again to write what is left.
                drop(input.into_parts());
                return fed;
            }
        }
    }

    /// Opens the store, compares it with the writes, of which `kept` were there before the import, and returns
    /// how many are there now.
    fn check(&self, dir: &Path, kept: u64, killed: Killed) -> u64 {
        let context = format!("{self:?}, {kept} writes kept from before, {killed:?}");
        let export = run(dir, "export");
        let state = rows(&export.stdout);
        let now = state.values().filter_map(|value| number_of(value)).max().map_or(0, |last| last + 1);
        assert_eq!(state, self.state_after(now), "the state is not the one after {now} writes: {context}");
        assert!(now >= kept, "only {now} writes are there: {context}");
        assert!(now <= kept + killed.fed, "{now} writes are there, more than were made: {context}");
        assert_eq!((now - kept) % self.batch_rows, 0, "{now} writes end within a batch: {context}");
        self.check_acknowledged(now, kept + killed.acknowledged, &context);
        let said = String::from_utf8_lossy(&export.stderr);
        assert!(!said.contains("durable"), "a kill cannot damage what was durable, but: {said}: {context}");
        run(dir, "verify");
        now
    }

    fn check_acknowledged(&self, now: u64, acknowledged: u64, context: &str) {
        let lost: u64 = (now..acknowledged)
            .map(|number| self.row(number))
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum();
        let allowed = if self.durability == "deferred" { DEFERRED_BYTES } else { 0 };
        assert!(
            lost <= allowed,
            "of {acknowledged} writes only {now} are there, {lost} bytes are lost: {context}"
        );
    }

    fn state_after(&self, writes: u64) -> BTreeMap<String, String> {
        (0..writes).map(|number| self.row(number)).collect()
    }
}

/// Runs a command that must succeed.
fn run(dir: &Path, command: &str) -> Output {
    let output = esker(dir).arg(command).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "esker {command} ended with {}: {said}", output.status);
    output
}

fn rows(tsv: &[u8]) -> BTreeMap<String, String> {
    let text = str::from_utf8(tsv).expect("the rows are text");
    let row = |line: &str| {
        let (key, value) = line.split_once('\t').expect("a row has a tab");
        (key.to_owned(), value.to_owned())
    };
    text.lines().map(row).collect()
}

/// The number of the write that a value comes from; nothing else ever wrote one.
fn number_of(value: &str) -> Option<u64> {
    value.split(' ').next()?.parse().ok()
}

/// The next acknowledgement; `None` at the end, where the last one may be cut off.
fn next_number(output: &mut BufReader<impl Read>) -> Option<u64> {
    let mut line = String::new();
    output.read_line(&mut line).expect("it can be read");
    let number = line.strip_suffix('\n')?;
    Some(number.parse().expect("an acknowledgement is a number"))
}
