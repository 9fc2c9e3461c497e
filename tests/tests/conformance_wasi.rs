//! The component's file system keeps the promises of `env::Fs`, in a component, over the host's files.
#![cfg(feature = "component")]

use esker_host::{Error, Job, JobKind, Sandbox};
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

/// A worker of a hostile component can read the inputs of its job and make the job's files, and nothing else.
#[test]
fn a_sandbox_for_a_job_gives_no_more_than_the_job_needs() {
    let dir = TempDir::new();
    let files = ["000001.sst", "000002.sst", "000009.sst", "LOCK"];
    for name in files {
        std::fs::write(dir.path().join(name), name).expect("write");
    }
    std::fs::create_dir(dir.path().join("folder")).expect("make a folder");
    let job = Job {
        id: 9,
        kind: JobKind::Compaction,
        reason: "size".into(),
        level: 1,
        input_bytes: 10,
        inputs: vec!["000002.sst".into()],
        outputs: vec!["000009.sst".into(), "000010.sst".into()],
        removals: Vec::new(),
        bytes: Vec::new(),
    };
    let sandbox = Sandbox::new(dir.path()).for_job(&job);
    sandbox.call(&checks(), "overreach").expect("everything else is refused");
    for name in files {
        assert_eq!(std::fs::read(dir.path().join(name)).expect("it is there"), name.as_bytes());
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("list").count(), files.len() + 1);
    // The same attempts succeed where nothing forbids them, so that they are no empty threats.
    let error = Sandbox::new(dir.path()).call(&checks(), "overreach").expect_err("it may do everything");
    assert!(matches!(&error, Error::Trap(words) if words.contains("it was done")), "{error}");
}
