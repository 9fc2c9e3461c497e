//! Every native file system keeps the promises of `env::Fs`.

use esker_engine::env::{FaultFs, ManualClock, MemFs, StdClock, StdFs, conformance};
use esker_tests::temp_dir::TempDir;

#[test]
fn the_machines_files() {
    let mut directories = Vec::new();
    conformance::run(|| {
        let directory = TempDir::new();
        let fs = StdFs::new(directory.path());
        directories.push(directory);
        fs
    });
}

#[test]
fn files_in_memory() {
    conformance::run(MemFs::new);
}

#[test]
fn a_fault_file_system_without_a_fault() {
    conformance::run(|| FaultFs::new(MemFs::new()));
}

#[test]
fn folders_are_left_out() {
    use esker_engine::env::Fs;
    let directory = TempDir::new();
    std::fs::create_dir(directory.path().join("000001.wal")).expect("make a folder with a name of ours");
    let fs = StdFs::new(directory.path());
    drop(fs.create("000002.wal").expect("create a file beside it"));
    assert_eq!(fs.list().expect("list"), ["000002.wal"]);
}

#[test]
fn clocks_do_not_go_back() {
    conformance::run_clock(&StdClock::new());
    conformance::run_clock(&ManualClock::new());
}
