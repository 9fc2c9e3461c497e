//! `cargo xtask bench`: builds the bench with every engine that builds here, and hands it its arguments.
//!
//! The bench is a workspace of its own (`bench/`), with a feature for each engine that Esker is compared with. They are
//! built together; where that fails, one after the other, and what does not build is left out.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;
use crate::{apt, build, process};

/// What the bench can be told: it says so itself.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The features of `bench/Cargo.toml`, those that build most easily first.
const ENGINES: [&str; 6] = ["fjall", "redb", "lmdb", "sqlite", "leveldb", "rocksdb"];

/// Builds the bench, and becomes it: Ctrl-C is then the bench's own.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build::run(workspace, &build::Args { component_only: true, ..Default::default() })?;
    process::step("find what the other engines are built with", || {
        install_tools();
        Ok(())
    })?;
    process::step("build the bench (the first time, RocksDB takes some 20 minutes on 2 cores)", || {
        build_bench(workspace)
    })?;
    let program = target(workspace).join("release").join("esker-bench");
    let mut bench = Command::new(program);
    bench.args(&args.arguments).env("ESKER_BENCH_OUT", workspace.target.join("bench"));
    Err(bench.exec()).context("cannot start the bench")
}

/// Installs CMake, for LevelDB, and the library of Clang, with which the bindings of RocksDB are made. Where that is not
/// possible, the build shows what it is missing.
fn install_tools() {
    let mut missing = Vec::new();
    if !process::on_path("cmake") {
        missing.push("cmake");
    }
    if !process::on_path("c++") {
        missing.push("g++");
    }
    if env::var_os("LIBCLANG_PATH").is_none() && !libclang_is_there() {
        missing.push("libclang-dev");
    }
    if missing.is_empty() {
        return;
    }
    if let Err(error) = apt::install(&missing) {
        eprintln!("    {} may be missing, and could not be installed: {error:#}", missing.join(", "));
    }
}

/// Whether there is a `libclang` with its headers where Debian has it. The link without a number comes with them; other
/// libraries of Clang's do not help.
fn libclang_is_there() -> bool {
    let Ok(entries) = fs::read_dir("/usr/lib") else { return false };
    let mut llvm = entries.flatten().map(|entry| entry.path()).filter(|path| file_begins(path, "llvm-"));
    llvm.any(|path| path.join("lib/libclang.so").exists())
}

fn file_begins(path: &Path, with: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(with))
}

/// Builds the bench with all engines, or with all that build.
fn build_bench(workspace: &Workspace) -> Result<()> {
    if cargo_build(workspace, &ENGINES).is_ok() {
        return Ok(());
    }
    eprintln!("    the engines do not all build: trying them one after the other");
    let mut built: Vec<&str> = Vec::new();
    cargo_build(workspace, &built)?;
    for engine in ENGINES {
        built.push(engine);
        if let Err(error) = cargo_build(workspace, &built) {
            eprintln!("    {engine} is left out: {error:#}");
            built.pop();
        }
    }
    if built.is_empty() {
        bail!("none of the other engines builds here; what each is missing is above");
    }
    // The last attempt may have been one that failed.
    cargo_build(workspace, &built)
}

fn cargo_build(workspace: &Workspace, engines: &[&str]) -> Result<()> {
    let mut cargo = cargo(workspace);
    cargo.env("CMAKE_TOOLCHAIN_FILE", directory(workspace).join("leveldb.cmake"));
    // All native code is built for this kind of processor, as the sandbox's is. RocksDB's build reads the same flags,
    // and wants what the kind of processor does not name, but each of it has.
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("pclmulqdq") {
        cargo.env("RUSTFLAGS", "-Ctarget-cpu=x86-64-v3 -Ctarget-feature=+pclmulqdq");
    }
    cargo.args(["build", "--release", "--locked", "--features", &engines.join(",")]);
    process::run(&mut cargo)
}

/// The cargo for the bench's workspace.
pub fn cargo(workspace: &Workspace) -> Command {
    let mut cargo = process::cargo(workspace);
    cargo.current_dir(directory(workspace)).env("CARGO_TARGET_DIR", target(workspace));
    cargo
}

fn directory(workspace: &Workspace) -> PathBuf {
    workspace.root.join("bench")
}

/// The bench's own target directory: its flags would have the workspace's libraries built again and again.
fn target(workspace: &Workspace) -> PathBuf {
    workspace.target.join("bench-build")
}
