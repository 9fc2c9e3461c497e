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
//!
//! And `esker-load`: threads that commit together, with a worker and a reader behind the store, and a reader in this
//! process that follows. There each thread's writes must be there up to one of them, none of those that were
//! acknowledged as buffered or synced missing; and all threads' together up to one sequence number.
#![cfg(all(unix, feature = "component"))]

use esker_host::{KeyRange, KvStore, Options, Reader, ScanOptions};
use esker_tests::host::runtime;
use esker_tests::load;
use esker_tests::program::esker;
use esker_tests::seed::{Rng, for_each_seed};
use esker_tests::temp_dir::TempDir;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
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

#[test]
fn no_write_of_many_threads_is_lost() {
    for_each_seed("sigkill", "no_write_of_many_threads_is_lost", 4, |seed| {
        let mut rng = Rng::new(seed);
        let load = load::Load::new(seed);
        let dir = TempDir::new();
        for life in 0..4 {
            let told = run_and_kill(&load, dir.path(), rng.below(3000));
            check_threads(&load, dir.path(), &told, &format!("{load:?}, life {life}"));
        }
    });
}

/// What a load said before it was killed.
#[derive(Debug, Default)]
struct Told {
    /// How many writes of each thread it found when it opened the store; none where it did not get so far.
    found: Vec<u64>,
    /// Thread, write, durability and, but for counts, sequence number.
    acknowledged: Vec<[u64; 4]>,
}

/// Runs a load, follows it with a reader, and kills it when it has told of so many writes.
fn run_and_kill(load: &load::Load, dir: &Path, writes: u64) -> Told {
    let mut child = Command::new(env!("CARGO_BIN_EXE_esker-load"))
        .arg(dir)
        .arg(load.seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut told = Told::default();
    let mut line = String::new();
    let mut listen = |told: &mut Told| {
        line.clear();
        output.read_line(&mut line).expect("it can be read");
        let Some(line) = line.strip_suffix('\n') else { return false };
        match line.strip_prefix("open ") {
            Some(found) => {
                told.found = found.split(' ').map(|number| number.parse().expect("a number")).collect();
            }
            None => {
                let numbers: Vec<u64> =
                    line.split(' ').map(|number| number.parse().expect("a number")).collect();
                told.acknowledged.push(numbers.try_into().expect("four numbers"));
            }
        }
        true
    };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| follow(dir, &over));
        while (told.acknowledged.len() as u64) < writes {
            assert!(listen(&mut told), "a load goes on until it is killed");
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it was started");
        while listen(&mut told) {}
        over.store(true, Ordering::Release);
        reader.join().expect("the reader follows");
    });
    told
}

/// Follows whoever writes, from another process: what it sees never goes back.
fn follow(dir: &Path, over: &AtomicBool) {
    let mut reader: Option<Reader> = None;
    let mut seen = 0;
    while !over.load(Ordering::Acquire) {
        // There may be no store yet.
        let Some(reader) = &reader else {
            reader = Reader::open(runtime(), dir, Some(1 << 20)).ok();
            continue;
        };
        let sequence = reader.catch_up().expect("it follows");
        assert!(sequence >= seen, "{sequence} after {seen}");
        seen = sequence;
    }
}

fn check_threads(load: &load::Load, dir: &Path, told: &Told, context: &str) {
    let store = KvStore::open(runtime(), dir, Options::default()).expect("it opens");
    let mut counted = 0;
    let mut there = Vec::new();
    for thread in 0..load.threads {
        let own = KeyRange::prefix(format!("thread {thread} ").as_bytes());
        let entries = store.scan(own, ScanOptions::default()).expect("it reads");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let state: BTreeMap<String, String> = entries
            .map(|entry| entry.expect("it reads"))
            .map(|(key, value)| (text(key), text(value)))
            .collect();
        let last = state.values().filter_map(|value| number_of(value)).max().map_or(0, |last| last + 1);
        let (expected, counts) = load.state_after(thread, last);
        assert_eq!(state, expected, "thread {thread} after {last} writes: {context}");
        counted += counts;
        there.push(last);
    }
    // The greatest number that is there of those that were told: what came before it is there, too.
    let is_there = |[thread, write, ..]: &[u64; 4]| *write < there[*thread as usize];
    let last =
        told.acknowledged.iter().filter(|told| told[3] > 0 && is_there(told)).map(|told| told[3]).max();
    for write in told.acknowledged.iter().filter(|write| write[3] > 0) {
        let [_, _, durability, sequence] = *write;
        assert!(is_there(write) || durability == 0, "{write:?} was acknowledged and is lost: {context}");
        let before = last.is_some_and(|last| sequence < last);
        assert!(is_there(write) || !before, "{write:?} is lost, and a later one is there: {context}");
    }
    check_counts(&store, told, counted, context);
    assert_eq!(store.verify().expect("it reads").problems, Vec::<String>::new(), "{context}");
    store.close().expect("it closes");
}

/// Each thread counts once for each of its counting writes; the last ones of each, after its last other write, may be
/// there or not, unless they were acknowledged as more than deferred.
fn check_counts(store: &KvStore, told: &Told, counted: u64, context: &str) {
    let Some(counts) = store.bucket(load::COUNTS).expect("it reads") else {
        assert!(told.found.is_empty(), "the bucket was durable before the store was open: {context}");
        return;
    };
    let sum = store.get((counts, load::SUM)).expect("it reads");
    let sum: u64 = sum.map_or(0, |sum| str::from_utf8(&sum).expect("digits").parse().expect("a number"));
    let acknowledged = told
        .acknowledged
        .iter()
        .filter(|write| write[3] == 0 && write[2] > 0)
        .map(|write| (write[0], write[1]));
    let mut least = counted;
    for (thread, write) in acknowledged {
        let own = KeyRange::prefix(format!("thread {thread} ").as_bytes());
        let entries = store.scan(own, ScanOptions::default()).expect("it reads");
        let values = entries.map(|entry| entry.expect("it reads").1);
        let last = values.filter_map(|value| number_of(str::from_utf8(&value).expect("text"))).max();
        least += u64::from(last.is_none_or(|last| write > last));
    }
    assert!(sum >= least, "{least} counts were acknowledged, the sum is {sum}: {context}");
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
