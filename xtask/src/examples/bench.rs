//! `cargo xtask examples --bench`: what a `get` costs a component with a store plugged in, beside one through the host.
//!
//! All three ways read the same files: one component fills a store and closes it, and then each opens it in turn, round
//! after round. The middle of the rounds is printed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::HOST_CRATES;
use crate::cargo_tools::WASMTIME;
use crate::process;
use crate::workspace::Workspace;

const ROUNDS: usize = 7;

/// Stores that fit the block cache, by the bytes of a value: with the number of keys and of reads.
const SIZES: [(u64, u64, u64); 3] = [(100, 100_000, 200_000), (4_096, 4_000, 40_000), (65_536, 200, 5_000)];

/// A store of 1 GB, whose opening is measured: bytes of a value, and keys.
const LARGE: (u64, u64) = (4_096, 250_000);

/// The ways to a store, in the order of the columns.
const WAYS: [&str; 3] = ["host", "kv", "keyvalue"];

/// What one process measured, in nanoseconds.
#[derive(Clone, Copy)]
struct Figures {
    opening: u64,
    get: u64,
}

/// Measures and prints.
pub fn run(workspace: &Workspace) -> Result<()> {
    let bench = Bench::prepare(workspace)?;
    println!(
        "one get, in µs      through the host   esker:kv in a composition   wasi:keyvalue in a composition"
    );
    for (bytes, count, gets) in SIZES {
        let middle = bench.middle(bytes, count, gets, |figures| figures.get)?;
        let of_host = |at: usize| middle[at] as f64 / middle[0] as f64;
        println!(
            "{bytes:>6} B values   {:>14.2}   {:>13.2} ({:.2} ×)   {:>14.2} ({:.2} × host, {:.2} × esker:kv)",
            middle[0] as f64 / 1e3,
            middle[1] as f64 / 1e3,
            of_host(1),
            middle[2] as f64 / 1e3,
            of_host(2),
            middle[2] as f64 / middle[1] as f64,
        );
    }
    let (bytes, count) = LARGE;
    let middle = bench.middle(bytes, count, 100, |figures| figures.opening)?;
    let [host, kv, keyvalue] = middle.map(|nanoseconds| nanoseconds as f64 / 1e6);
    println!(
        "opening a clean store of 1 GB, in ms: {host:.1} through the host, {kv:.1} esker:kv, {keyvalue:.1} wasi:keyvalue"
    );
    fs::remove_dir_all(&bench.directory)?;
    Ok(())
}

struct Bench {
    wasmtime: PathBuf,
    component: PathBuf,
    host: PathBuf,
    /// Where the stores are made.
    directory: PathBuf,
}

impl Bench {
    fn prepare(workspace: &Workspace) -> Result<Self> {
        process::run(process::cargo(workspace).arg("build").args(HOST_CRATES).args(["--bin", "esker-gets"]))?;
        let directory = super::directory(workspace).join("bench");
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        Ok(Self {
            wasmtime: WASMTIME.program(workspace)?,
            component: super::directory(workspace).join("get-bench.wasm"),
            host: workspace.target.join("release/esker-gets"),
            directory,
        })
    }

    /// The middle figure of each way over the rounds, on one store.
    fn middle(&self, bytes: u64, count: u64, gets: u64, of: impl Fn(Figures) -> u64) -> Result<[u64; 3]> {
        let store = self.directory.join(bytes.to_string()).join(count.to_string());
        fs::create_dir_all(&store)?;
        process::output(&mut self.in_composition(&store, &["load", &count.to_string(), &bytes.to_string()]))?;
        let mut came: [Vec<u64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for (way, came) in WAYS.iter().zip(&mut came) {
                came.push(of(self.once(way, &store, [count, bytes, gets])?));
            }
        }
        Ok(came.map(|mut figures| {
            figures.sort_unstable();
            figures[figures.len() / 2]
        }))
    }

    fn once(&self, way: &str, store: &Path, numbers: [u64; 3]) -> Result<Figures> {
        let numbers = numbers.map(|number| number.to_string());
        let mut command = match way {
            "host" => {
                let mut command = Command::new(&self.host);
                command.arg(store).args(&numbers);
                command
            }
            way => self.in_composition(store, &[way, &numbers[0], &numbers[1], &numbers[2]]),
        };
        let said = process::output(&mut command)?;
        let (opening, get) = said.split_once(' ').context("two figures")?;
        Ok(Figures { opening: opening.parse()?, get: get.parse()? })
    }

    fn in_composition(&self, store: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(&self.wasmtime);
        // The same memory as by the other ways.
        command.args(["run", "--env", "ESKER_MEMORY_BYTES=268435456", "--dir"]).arg(store);
        command.arg(&self.component).args(words);
        command
    }
}
