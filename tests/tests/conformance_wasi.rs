//! The component's file system keeps the promises of `env::Fs`, in a component, over the host's files.
#![cfg(feature = "component")]

use esker_host::{Error, Sandbox};
use esker_tests::temp_dir::TempDir;
use std::path::PathBuf;

/// The component that holds the checks; `cargo xtask test` builds it.
fn checks() -> Vec<u8> {
    let path = std::env::var_os("ESKER_CONFORMANCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/esker-conformance.wasm"),
        PathBuf::from,
    );
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask test`", path.display()))
}

#[test]
fn files_of_the_host_in_a_component() {
    let dir = TempDir::new();
    Sandbox::new(dir.path()).call(&checks(), "check").expect("every check passes");
}

#[test]
fn a_broken_promise_is_a_trap_with_the_checks_own_words() {
    let dir = TempDir::new();
    std::fs::create_dir_all(dir.path().join("check/0")).expect("make a folder");
    std::fs::write(dir.path().join("check/0/000001.wal"), "").expect("write");
    let error =
        Sandbox::new(dir.path()).call(&checks(), "check").expect_err("the suite needs an empty folder");
    assert!(matches!(&error, Error::Trap(words) if words.contains("needs an empty file system")), "{error}");
}

#[test]
fn a_sandbox_that_may_not_write_makes_no_folder() {
    let dir = TempDir::new();
    let error = Sandbox::new(dir.path()).read_only().call(&checks(), "check").expect_err("it may not write");
    assert!(matches!(&error, Error::Trap(words) if words.contains("read-only")), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), 0);
}
