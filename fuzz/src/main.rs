//! The fuzzer: libFuzzer over the target that `ESKER_FUZZ_TARGET` names. `cargo xtask fuzz` builds and runs it.
//!
//! ```text
//! main ─► targets   what is done with the bytes         directory   files out of bytes, and back
//!      └► seeds     bytes to begin with
//! ```
//!
//! A target may refuse its bytes, and often does; it must not panic, hang, or take memory beyond libFuzzer's limits.
//! Checksums are passed over in this build (`esker_engine::base::checksum::fits`), so that what they protect is reached.
#![cfg_attr(fuzzing, no_main)]

mod directory;
mod seeds;
mod targets;

use targets::{TARGETS, Target};

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(init: begin(), |bytes: &[u8]| (target().run)(bytes));

#[cfg(not(fuzzing))]
fn main() {
    begin();
    eprintln!("this build does not fuzz: `cargo xtask fuzz` makes the one that does");
    std::process::exit(2);
}

/// Before the first bytes: writes the seeds, where that is asked for, or makes sure that there is a target.
fn begin() {
    if let Some(dir) = std::env::var_os("ESKER_FUZZ_SEEDS") {
        let written = seeds::write(dir.as_ref());
        if let Err(error) = &written {
            eprintln!("error: cannot write seeds to {}: {error}", dir.display());
        }
        std::process::exit(i32::from(written.is_err()));
    }
    let _ends_where_there_is_none = target();
}

fn target() -> &'static Target {
    static TARGET: std::sync::OnceLock<&'static Target> = std::sync::OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("ESKER_FUZZ_TARGET").unwrap_or_default();
        TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("error: ESKER_FUZZ_TARGET is '{name}', and must be one of {}", names.join(", "));
            std::process::exit(2);
        })
    })
}
