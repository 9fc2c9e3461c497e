//! The command line: each file of `tests/cli/` is a session with the `esker` program in an empty directory.
#![cfg(feature = "component")]

use esker_tests::session;
use std::path::Path;

#[test]
fn every_session_goes_as_its_file_says() {
    session::play_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cli"), |_empty| {});
}
