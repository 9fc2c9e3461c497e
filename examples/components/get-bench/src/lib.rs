//! Measures what a `get` costs a component that has the store plugged in, for `cargo xtask examples --bench`.
//!
//! - `load COUNT BYTES` fills the store and closes it;
//! - `kv COUNT BYTES GETS` and `keyvalue COUNT BYTES GETS` open it and read keys at random, by `esker:kv` and by
//!   `wasi:keyvalue`. They print the nanoseconds of the opening and those of one `get`.
//!
//! The program `esker-gets` does the same through the host.

mod bindings {
    #![allow(missing_docs, clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package example:get-bench;
            world get-bench {
                import esker:kv/kv-store@0.1.0;
                import wasi:keyvalue/store@0.2.0-draft2;
            }
        ",
        generate_all,
        additional_derives: [Default],
        additional_derives_ignore: [
            "error", "durability", "recovery-mode", "compression", "strategy", "expected", "condition",
        ],
    });
}

use bindings::esker::kv::kv_store::{self, Store};
use bindings::esker::kv::types::{Durability, Operation, Options};
use bindings::wasi::keyvalue0_2_0_draft2::store;
use std::fmt::Display;
use std::io::Write;
use wasip2::cli::environment::get_arguments;
use wasip2::cli::{stderr, stdout};
use wasip2::clocks::monotonic_clock::now;

struct GetBench;

wasip2::cli::command::export!(GetBench);

impl wasip2::exports::cli::run::Guest for GetBench {
    fn run() -> Result<(), ()> {
        let arguments = get_arguments();
        let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
        let number = |at: usize| words.get(at).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let (count, bytes, gets) = (number(1), number(2) as usize, number(3));
        let outcome = match words.first() {
            Some(&"load") => load(count, bytes),
            Some(&"kv") => by_kv(count, bytes, gets),
            Some(&"keyvalue") => by_keyvalue(count, bytes, gets),
            _ => Err("say load, kv or keyvalue".into()),
        };
        outcome.map_err(|error| {
            let _ = writeln!(stderr::get_stderr(), "error: {error}");
        })
    }
}

const DEFAULT_BUCKET: u32 = 0;

fn open() -> Result<Store, String> {
    kv_store::open("", Options::default()).map_err(shown)
}

fn load(count: u64, bytes: usize) -> Result<(), String> {
    let store = open()?;
    let mut numbers = Numbers(1);
    let rows_in_batch = (1 << 20) / bytes as u64 + 1;
    for first in (0..count).step_by(rows_in_batch as usize) {
        let operation = |row| Operation {
            bucket: DEFAULT_BUCKET,
            key: key(row).into_bytes(),
            // Bytes that no compression makes smaller.
            value: Some((0..bytes).map(|_| numbers.next() as u8).collect()),
        };
        let operations: Vec<_> = (first..count.min(first + rows_in_batch)).map(operation).collect();
        store.write(&operations, Durability::Buffered).map_err(shown)?;
    }
    store.close().map_err(shown)
}

fn by_kv(count: u64, bytes: usize, gets: u64) -> Result<(), String> {
    let begin = now();
    let store = open()?;
    let opened = now() - begin;
    measure(count, bytes, gets, opened, |key| store.get(DEFAULT_BUCKET, key.as_bytes()).map_err(shown))
}

fn by_keyvalue(count: u64, bytes: usize, gets: u64) -> Result<(), String> {
    let begin = now();
    let bucket = store::open("default").map_err(shown)?;
    let opened = now() - begin;
    measure(count, bytes, gets, opened, |key| bucket.get(key).map_err(shown))
}

/// Reads keys at random, once to warm the cache and then against the clock.
fn measure(
    count: u64,
    bytes: usize,
    gets: u64,
    opened: u64,
    get: impl Fn(&str) -> Result<Option<Vec<u8>>, String>,
) -> Result<(), String> {
    let mut nanoseconds = 0;
    for _ in 0..2 {
        let mut numbers = Numbers(7);
        let begin = now();
        for _ in 0..gets {
            let value = get(&key(numbers.next() % count))?;
            if value.is_none_or(|value| value.len() != bytes) {
                return Err("a key has not the value that it was given".into());
            }
        }
        nanoseconds = now() - begin;
    }
    let _ = writeln!(stdout::get_stdout(), "{opened} {}", nanoseconds / gets.max(1));
    Ok(())
}

fn key(number: u64) -> String {
    format!("{number:016}")
}

/// Marsaglia's xorshift: enough to spread reads, and the same in every program.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn shown(error: impl Display) -> String {
    error.to_string()
}
