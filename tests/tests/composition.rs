//! The examples, composed with a store and run by `wasmtime`: each file of `tests/composition/` is a session with them.
//!
//! `cargo xtask examples` makes the components and runs this; `ESKER_EXAMPLES` is where they are.
#![cfg(feature = "examples")]

use esker_tests::session;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[test]
fn every_session_goes_as_its_file_says() {
    let examples = env::var_os("ESKER_EXAMPLES").expect("`cargo xtask examples` says where they are");
    let components: Vec<PathBuf> = fs::read_dir(examples)
        .expect("the examples are there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "wasm"))
        .collect();
    session::play_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("composition"), |dir| {
        fs::create_dir(dir.join("data")).expect("the directory is empty");
        for component in &components {
            let name = component.file_name().expect("a file has a name");
            symlink(component, dir.join(name)).expect("the directory is empty");
        }
    });
}
