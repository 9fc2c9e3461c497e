//! The `esker` program as users have it: the tests of the command line run it, not its parts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the program is: `ESKER_BIN`, else where `cargo xtask build` leaves it.
///
/// # Panics
///
/// When it is not there.
pub fn path() -> PathBuf {
    let path = env::var_os("ESKER_BIN").map_or_else(built, PathBuf::from);
    assert!(path.is_file(), "{} is no program; run `cargo xtask build`, or set ESKER_BIN", path.display());
    path.canonicalize().expect("a file that is there has a path")
}

/// The program on the store in `dir`.
pub fn esker(dir: &Path) -> Command {
    let mut command = Command::new(path());
    command.env("ESKER_DIR", dir);
    command
}

fn built() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package stands in the workspace");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("release").join(format!("esker{}", env::consts::EXE_SUFFIX))
}
