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
}

bindings::export!(Component with_types_in bindings);
