//! Counts words over all its runs, in a store of `esker:kv`.
//!
//! The words are the program's arguments. Their counts are written as one batch, so that an interrupted run has counted
//! all of its words or none; and a scan of the bucket prints every word with its count, in the order of the alphabet.

mod bindings {
    #![allow(missing_docs, clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package example:word-counter;
            world word-counter {
                import esker:kv/kv-store@0.1.0;
            }
        ",
        generate_all,
        // So that the options which are not given need not be named. The other types have no default.
        additional_derives: [Default],
        additional_derives_ignore: [
            "error", "durability", "recovery-mode", "compression", "strategy", "expected", "condition",
        ],
    });
}

use bindings::esker::kv::kv_store::{self, Store};
use bindings::esker::kv::types::{Durability, Error, KeyRange, Operation, Options, ScanOptions};
use std::collections::BTreeMap;
use std::io::Write;
use wasip2::cli::environment::get_arguments;
use wasip2::cli::{stderr, stdout};

struct WordCounter;

wasip2::cli::command::export!(WordCounter);

impl wasip2::exports::cli::run::Guest for WordCounter {
    fn run() -> Result<(), ()> {
        count(get_arguments().into_iter().skip(1)).map_err(|error| {
            let _ = writeln!(stderr::get_stderr(), "error: {error}");
        })
    }
}

/// Adds the words to the counts, and prints all counts.
fn count(words: impl Iterator<Item = String>) -> Result<(), Error> {
    // "" is the first directory that the program was given; the default options make a store there if it has none.
    let store = kv_store::open("", Options::default())?;
    let bucket = store.create_bucket("words")?;

    let mut new: BTreeMap<String, u64> = BTreeMap::new();
    for word in words {
        *new.entry(word.to_lowercase()).or_default() += 1;
    }
    let keys: Vec<Vec<u8>> = new.keys().map(|word| word.as_bytes().to_vec()).collect();
    let old = store.get_many(bucket, &keys)?;
    let operations: Vec<Operation> = new
        .into_iter()
        .zip(old)
        .map(|((word, more), count)| {
            let sum = count.map_or(0, number) + more;
            Operation { bucket, key: word.into_bytes(), value: Some(sum.to_string().into_bytes()) }
        })
        .collect();
    store.write(&operations, Durability::Synced)?;
    print(&store, bucket)?;
    store.close()
}

/// Prints every word, page by page.
fn print(store: &Store, bucket: u32) -> Result<(), Error> {
    let everything = KeyRange { start: None, end: None };
    let options = ScanOptions { reverse: false, keys_only: false, limit: None };
    let cursor = store.scan(bucket, &everything, options)?;
    let mut out = stdout::get_stdout();
    loop {
        let page = cursor.next(1_000, 65_536)?;
        if page.is_empty() {
            return Ok(());
        }
        for entry in page {
            let _ = writeln!(out, "{} {}", String::from_utf8_lossy(&entry.key), number(entry.value));
        }
    }
}

/// The number that a value spells; this program writes no other values.
fn number(value: Vec<u8>) -> u64 {
    String::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
