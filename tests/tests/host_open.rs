//! Opening a store through the host: what comes back, what is refused and in which words, and that a refusal leaves
//! the directory as it was.
#![cfg(feature = "component")]

use esker_host::{DirLock, Durability, Error, Instance, KvStore, Options, Runtime, Sandbox};
use esker_tests::host::{open, open_instance, runtime, small};
use esker_tests::temp_dir::TempDir;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

fn refused(dir: &Path, options: Options) -> Error {
    let before = content(dir);
    let error = KvStore::open(runtime(), dir, options).expect_err("it must be refused");
    assert_eq!(content(dir), before, "a refusal changes nothing");
    error
}

/// The files of a directory and their bytes; empty where there is no directory.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let file = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("the tests use plain names");
        (name, fs::read(entry.path()).unwrap_or_default())
    };
    entries.map(|entry| file(entry.expect("the directory is readable"))).collect()
}

/// The one file whose name ends so.
fn file_ending(dir: &Path, ending: &str) -> std::path::PathBuf {
    let files =
        fs::read_dir(dir).expect("a store is a directory").map(|entry| entry.expect("readable").path());
    files.max_by_key(|path| path.to_string_lossy().ends_with(ending)).expect("a store has files")
}

#[test]
fn what_was_written_is_there_after_a_close() {
    let dir = TempDir::new();
    let store = open(dir.path());
    store.put(b"k", b"v", Durability::Buffered).expect("put");
    store.close().expect("close");
    assert_eq!(open(dir.path()).get(b"k"), Ok(Some(b"v".to_vec())));
}

#[test]
fn what_was_buffered_is_there_after_the_instance_is_gone() {
    let dir = TempDir::new();
    let mut instance = open_instance(dir.path());
    instance.put(b"k", b"v", Durability::Buffered).expect("put");
    drop(instance);
    assert_eq!(open_instance(dir.path()).get(b"k"), Ok(Some(b"v".to_vec())));
}

#[test]
fn the_directory_is_made_but_not_the_one_above_it() {
    let dir = TempDir::new();
    open(&dir.path().join("new")).put(b"k", b"v", Durability::Buffered).expect("put");
    let error = refused(&dir.path().join("no/deeper"), small());
    assert!(matches!(&error, Error::Directory { message, .. } if message.contains("above it")), "{error}");
}

#[test]
fn a_missing_directory_is_not_made_where_no_store_may_be() {
    let dir = TempDir::new();
    let missing = dir.path().join("missing");
    let error = refused(&missing, Options { create_if_missing: Some(false), ..small() });
    assert!(matches!(&error, Error::Directory { path, .. } if *path == missing), "{error}");
    assert!(!missing.exists());
}

#[test]
fn an_empty_directory_stays_empty_where_no_store_may_be_made() {
    let dir = TempDir::new();
    let error = refused(dir.path(), Options { create_if_missing: Some(false), ..small() });
    assert!(matches!(error, Error::CannotOpen(_)), "{error}");
    assert!(content(dir.path()).is_empty(), "not even the lock stays behind");
}

#[test]
fn a_store_is_refused_where_none_may_be() {
    let dir = TempDir::new();
    open(dir.path()).close().expect("close");
    let error = refused(dir.path(), Options { error_if_exists: Some(true), ..small() });
    assert!(matches!(error, Error::CannotOpen(_)), "{error}");
}

#[test]
fn a_file_is_no_directory() {
    let dir = TempDir::new();
    let file = dir.path().join("file");
    fs::write(&file, "text").expect("write");
    let error = refused(&file, small());
    assert!(
        matches!(&error, Error::Directory { message, .. } if message.contains("not a directory")),
        "{error}"
    );
}

#[test]
fn somebodys_files_are_no_store() {
    let dir = TempDir::new();
    fs::write(dir.path().join("holiday.jpg"), "precious").expect("write");
    let error = refused(dir.path(), small());
    assert!(matches!(&error, Error::CannotOpen(message) if message.contains("holiday.jpg")), "{error}");
}

#[test]
fn a_store_of_a_newer_format_is_refused_by_its_version() {
    let dir = TempDir::new();
    open(dir.path()).close().expect("close");
    let manifest = file_ending(dir.path(), ".manifest");
    let number: u64 = manifest.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).expect("a number");
    let mut bytes = fs::read(&manifest).expect("read");
    let version =
        bytes.windows(7).position(|window| window == b"eskerkv").expect("docs/format.md says so") + 7;
    assert_eq!(bytes[version], 1, "the format that this test knows");
    bytes[version] = 99;
    // The first record begins the file: checksum, length, kind, payload.
    let length = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&(number | 1 << 63).to_le_bytes());
    checksum.update(&0u64.to_le_bytes());
    checksum.update(&bytes[6..7 + length]);
    bytes[..4].copy_from_slice(&checksum.finalize().to_le_bytes());
    fs::write(&manifest, &bytes).expect("write");

    let error = refused(dir.path(), small());
    assert!(matches!(&error, Error::CannotOpen(message) if message.contains("99")), "{error}");
}

#[test]
fn an_option_out_of_its_limits_is_named() {
    let dir = TempDir::new();
    let error = refused(dir.path(), Options { memory_bytes: Some(1), ..Options::default() });
    assert!(matches!(&error, Error::InvalidArgument(message) if message.contains("memory-bytes")), "{error}");
}

#[test]
fn a_directory_that_takes_no_file_is_refused() {
    // Neither permissions nor a read-only mount stop root, as which tests often run; the kernel's own trees do.
    let Some(dir) = ["/proc/self/fd", "/sys/kernel"].map(Path::new).into_iter().find(|dir| dir.is_dir())
    else {
        return;
    };
    let error = KvStore::open(runtime(), dir, small()).expect_err("it must be refused");
    assert!(matches!(&error, Error::Directory { path, .. } if path == dir), "{error}");
}

#[test]
fn a_sandbox_that_may_not_write_opens_no_store() {
    let dir = TempDir::new();
    open(dir.path()).close().expect("close");
    let before = content(dir.path());
    let sandbox = Sandbox::new(dir.path()).read_only();
    let error = Instance::open_in(runtime(), &sandbox, &small()).expect_err("it must be refused");
    assert!(matches!(&error, Error::Io(message) if message.contains("read-only")), "{error}");
    assert_eq!(content(dir.path()), before);
}

#[test]
fn a_store_is_open_once_in_a_process() {
    let dir = TempDir::new();
    let store = open(dir.path());
    let error = KvStore::open(runtime(), dir.path(), small()).expect_err("it must be refused");
    assert_eq!(error, Error::Locked { dir: dir.path().into(), holder: Some(std::process::id()) });
    store.put(b"k", b"v", Durability::Buffered).expect("the first one goes on");
    drop(store);
    assert_eq!(open(dir.path()).get(b"k"), Ok(Some(b"v".to_vec())));
}

#[test]
fn a_store_that_another_process_has_open_is_refused_by_its_number() {
    const HOLD: &str = "ESKER_TEST_HOLD";
    if let Some(dir) = env::var_os(HOLD) {
        // The other process: this test, started below.
        let _store = open(Path::new(&dir));
        println!("open");
        let _ = std::io::stdin().lock().lines().next();
        return;
    }
    let dir = TempDir::new();
    let mut other = Command::new(env::current_exe().expect("a test has a program"))
        .args(["--exact", "a_store_that_another_process_has_open_is_refused_by_its_number", "--nocapture"])
        .env(HOLD, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let output = BufReader::new(other.stdout.take().expect("piped"));
    let opened = output.lines().any(|line| line.expect("text").contains("open"));
    assert!(opened, "the other process opens the store");

    let error = refused(dir.path(), small());
    assert_eq!(error, Error::Locked { dir: dir.path().into(), holder: Some(other.id()) });
    assert!(error.to_string().contains(&format!("process {}", other.id())), "{error}");

    other.kill().expect("it still runs");
    other.wait().expect("it was started here");
    open(dir.path());
}

#[test]
fn a_lock_that_made_its_file_takes_it_along() {
    let dir = TempDir::new();
    DirLock::acquire(dir.path(), false).expect("nobody else is here").discard();
    assert!(content(dir.path()).is_empty());
    drop(DirLock::acquire(dir.path(), false).expect("nobody else is here"));
    DirLock::acquire(dir.path(), false).expect("it was given back").discard();
    assert!(content(dir.path()).contains_key("LOCK"), "the file of an earlier lock stays");
}

#[test]
fn a_second_primary_that_got_past_the_lock_ends_the_first() {
    let dir = TempDir::new();
    let mut first = open_instance(dir.path());
    first.put(b"k", b"1", Durability::Synced).expect("put");
    let sandbox = Sandbox::new(dir.path());
    let mut second = Instance::open_in(runtime(), &sandbox, &small()).expect("no lock stands in its way");
    assert_eq!(second.get(b"k"), Ok(Some(b"1".to_vec())));
    let error = first.put(b"k", b"2", Durability::Synced).expect_err("it has been replaced");
    assert!(matches!(error, Error::Reopen(_)), "{error}");
    second.put(b"k", b"3", Durability::Synced).expect("the second goes on");
}

fn not_a_component(bytes: &[u8], says: &str) {
    let error = Runtime::from_bytes(bytes).expect_err("it must be refused");
    assert!(
        matches!(&error, Error::Component(message) if message.contains(says)),
        "must say {says:?}: {error}"
    );
}

#[test]
fn what_is_no_store_component_is_refused_in_clear_words() {
    not_a_component(b"", "not WebAssembly");
    not_a_component(b"#!/bin/sh\n", "not WebAssembly");
    not_a_component(b"\0asm\x01\0\0\0", "core WebAssembly module");
    not_a_component(b"\0asm\x0d\0\x01\0\xff", "not a valid WebAssembly component");
    not_a_component(b"\0asm\x0d\0\x01\0", "does not export esker:kv/kv-store");
    let foreign = wat::parse_str(r#"(component (import "wasi:sockets/network@0.2.12" (instance)))"#);
    not_a_component(&foreign.expect("the text is a component"), "does not export esker:kv/kv-store");
}

#[test]
fn a_component_file_that_is_missing_is_named() {
    let error = Runtime::from_file("no-such.wasm").expect_err("it must be refused");
    assert!(matches!(&error, Error::Component(message) if message.contains("no-such.wasm")), "{error}");
}

#[test]
fn a_component_that_wants_a_network_is_refused() {
    // Takes what it exports from its imports: it has the shape of a store and asks for more than one gets.
    let text = r#"(component
        (import "esker:kv/kv-store@0.1.0" (instance $kv))
        (import "wasi:sockets/network@0.2.12" (instance))
        (export "esker:kv/kv-store@0.1.0" (instance $kv))
        (export "esker:kv/maintenance@0.1.0" (instance $kv)))"#;
    not_a_component(&wat::parse_str(text).expect("the text is a component"), "wasi:sockets/network@0.2.12");
}
