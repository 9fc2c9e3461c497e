//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! One file per command; what several commands need stands in `workspace` (where things are),
//! `process` (how children are run) and `toolchain` (who can compile for wasm). Nothing here
//! depends on Esker's own crates, so that a broken engine can still be built, linted and tested.

mod apt;
mod bench;
mod build;
mod cargo_tools;
mod component;
mod demo;
mod examples;
mod fixture;
mod fuzz;
mod mutants;
mod names;
mod package;
mod plugins;
mod private_paths;
mod process;
mod sim;
mod simulate_compaction;
mod test;
mod tidy;
mod toolchain;
mod web;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Esker's project commands")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the component (target/esker.wasm) and the `esker` binary that embeds it
    Build(build::Args),
    /// Run every check and every test
    Test,
    /// Compose the examples with a store and run them
    Examples(examples::Args),
    /// Simulate crashes and faults with fresh seeds, on the engine and on the shipped component
    Sim(sim::Args),
    /// Feed decoders, and directories of any files, with bytes that nobody wrote
    Fuzz(fuzz::Args),
    /// Write the stores of this version that later ones are tried on
    Fixture,
    /// Put bugs into a copy of the tree, one at a time, and see that a test finds each
    Mutants(mutants::Args),
    /// Check the rules of the source tree that no compiler knows
    Tidy,
    /// Build, then show the store at work
    Demo,
    /// Make the packages of the crate and of the interface, and try the crate
    Package(package::Args),
    /// Build and run the example of a program with plugins
    Plugins,
    /// Build the npm package and the demo's page for browsers
    Web(web::Args),
    /// Measure Esker beside SQLite and IndexedDB in a headless browser
    WebBench(web::bench::Args),
    /// Measure Esker, through the component and natively, beside other storage engines
    Bench(bench::Args),
    /// Play workloads against the compaction pickers without any file, and draw what they cost
    SimulateCompaction(simulate_compaction::Args),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let result = Workspace::locate().and_then(|workspace| {
        match command {
            Command::Build(args) => build::run(&workspace, &args)?,
            Command::Test => return Ok(test::run(&workspace)),
            Command::Examples(args) => examples::run(&workspace, &args)?,
            Command::Sim(args) => sim::run(&workspace, &args)?,
            Command::Fuzz(args) => fuzz::run(&workspace, &args)?,
            Command::Fixture => fixture::run(&workspace)?,
            Command::Mutants(args) => mutants::run(&workspace, &args)?,
            Command::Tidy => tidy::run(&workspace)?,
            Command::Demo => demo::run(&workspace)?,
            Command::Package(args) => package::run(&workspace, &args)?,
            Command::Plugins => plugins::run(&workspace)?,
            Command::Web(args) => web::run(&workspace, &args)?,
            Command::WebBench(args) => web::bench::run(&workspace, &args)?,
            Command::Bench(args) => bench::run(&workspace, &args)?,
            Command::SimulateCompaction(args) => simulate_compaction::run(&workspace, &args)?,
        }
        Ok(ExitCode::SUCCESS)
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
