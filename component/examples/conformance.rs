//! The engine's checks of a file system, run on `WasiFs` where it really runs: in a component, over a host's files.
//!
//! A component of its own, since the store's component should not carry them. It is made of the same source files,
//! over bindings of the same imports.

#[path = "../src/directory.rs"]
mod directory;
#[path = "../src/panic_message.rs"]
mod panic_message;
#[path = "../src/wasi_clock.rs"]
mod wasi_clock;
#[path = "../src/wasi_fs.rs"]
mod wasi_fs;

mod bindings {
    #![allow(
        unsafe_code,
        clippy::all,
        clippy::unwrap_used,
        reason = "generated, and other lints with each version"
    )]

    wit_bindgen::generate!({
        path: ["../wit", "wit"],
        world: "esker:component/conformance",
        generate_all,
        pub_export_macro: true,
    });
}

use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};
use esker_engine::env::conformance;
use wasi_clock::WasiClock;
use wasi_fs::WasiFs;

struct Component;

impl bindings::Guest for Component {
    fn check() {
        panic_message::install();
        let mut made: Vec<WasiFs> = Vec::new();
        conformance::run(|| {
            let folder = format!("check/{}", made.len());
            let fs =
                WasiFs::new(directory::open(&folder, true).expect("the preopened directory takes folders"));
            made.push(fs.clone());
            fs
        });
        conformance::run_clock(&WasiClock);
        for path in ["/check", "..", "check/../..", "check/0/.."] {
            assert!(directory::open(path, true).is_err(), "{path} leads out of the directory, or may");
        }
        assert!(directory::open("check/missing", false).is_err(), "a folder that must not be made");
        let synced = made.iter().filter(|fs| fs.directory_sync() == Some(true)).count();
        assert!(synced > 0, "this host is known to sync directories");
    }

    fn overreach() {
        panic_message::install();
        let (directory, _) = get_directories().into_iter().next().expect("there is a directory");
        overreach(&directory);
    }
}

const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;

fn overreach(directory: &Descriptor) {
    let open = |name: &str, how, flags| directory.open_at(PathFlags::empty(), name, how, flags);
    let new = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let there = OpenFlags::empty();
    let foreign = ["000001.sst", "000011.sst", "LOCK", "x", "../x", ".", "./000009.sst", "/000009.sst"];
    for name in foreign {
        for how in [there, OpenFlags::CREATE, OpenFlags::TRUNCATE, OpenFlags::DIRECTORY, new] {
            for flags in [READ, WRITE, READ | WRITE, READ | DescriptorFlags::MUTATE_DIRECTORY] {
                refused(open(name, how, flags), &format!("open {name} as {how:?}, {flags:?}"));
            }
        }
        refused(directory.unlink_file_at(name), name);
    }
    for how in [there, OpenFlags::CREATE, OpenFlags::TRUNCATE, OpenFlags::CREATE | OpenFlags::TRUNCATE] {
        refused(open("000002.sst", how, READ | WRITE), "write to an input");
    }
    refused(directory.unlink_file_at("000002.sst"), "remove an input");
    refused(directory.unlink_file_at("000009.sst"), "remove what somebody else has made");
    refused(
        open("000009.sst", OpenFlags::CREATE | OpenFlags::TRUNCATE, WRITE),
        "take what somebody has made",
    );
    assert_eq!(open("000009.sst", new, WRITE).err(), Some(ErrorCode::Exist), "it is there");

    for (from, to) in [("000001.sst", "000010.sst"), ("000002.sst", "000010.sst"), ("000002.sst", "x")] {
        refused(directory.rename_at(from, directory, to), "rename");
        refused(directory.link_at(PathFlags::empty(), from, directory, to), "link");
        refused(directory.symlink_at(from, to), "link by name");
    }
    refused(directory.create_directory_at("000010.sst"), "make a folder");
    refused(directory.remove_directory_at("folder"), "remove a folder");
    let times = (NewTimestamp::Now, NewTimestamp::Now);
    refused(directory.set_times_at(PathFlags::empty(), "000001.sst", times.0, times.1), "set times");

    let input = open("000002.sst", there, READ).expect("an input may be read");
    assert!(!input.read(100, 0).expect("it may be read").0.is_empty());
    assert!(input.write(b"x", 0).is_err(), "what was opened to be read stays so");
    assert!(input.set_size(0).is_err(), "what was opened to be read stays so");
    refused(input.set_times(times.0, times.1), "set times");

    let output = open("000010.sst", new, READ | WRITE).expect("an output may be made");
    output.write(b"a table", 0).expect("it may be written");
    drop(output);
    refused(directory.rename_at("000010.sst", directory, "x"), "rename an output");
    directory.unlink_file_at("000010.sst").expect("its own may be removed");
}

fn refused<T>(answer: Result<T, ErrorCode>, what: &str) {
    match answer {
        Err(ErrorCode::NotPermitted) => {}
        Err(other) => panic!("{what}: refused as {other:?}"),
        Ok(_) => panic!("{what}: it was done"),
    }
}

bindings::export!(Component with_types_in bindings);
