//! Directories of the building machine, which must not get into what is built.
//!
//! A panic message names its source file, by the path that the compiler was given. For crates from a
//! registry that is a path in the user's home: it would make the same sources give other bytes elsewhere,
//! and show users directories that are not theirs. So the compiler is told to write other names.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

/// Compiler flags that give the directories in `own`, and cargo's own ones, another name. They are in
/// cargo's encoding (`CARGO_ENCODED_RUSTFLAGS`), to be appended to other flags. Where several directories
/// fit a file, the last one counts.
pub fn renamed(own: impl IntoIterator<Item = (PathBuf, &'static str)>) -> OsString {
    let mut flags = OsString::new();
    for (path, name) in own.into_iter().chain(cargo_sources()) {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(path);
        flags.push("=");
        flags.push(name);
    }
    flags
}

/// The directories where cargo keeps the sources of dependencies.
fn cargo_sources() -> impl Iterator<Item = (PathBuf, &'static str)> {
    let registries = cargo_home().join("registry/src");
    // Each registry has a directory of its own, whose name depends on the user's settings.
    let entries = fs::read_dir(&registries).into_iter().flatten().flatten();
    let mut each: Vec<_> = entries.map(|entry| entry.path()).collect();
    each.sort();
    let all = [cargo_home().join("git/checkouts"), registries];
    all.into_iter().chain(each).map(|path| (path, "/deps"))
}

/// The user's cargo directory.
pub fn cargo_home() -> PathBuf {
    let default = || env::home_dir().unwrap_or_default().join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(default, PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_directories_come_before_those_of_cargo() {
        let flags = renamed([(PathBuf::from("/a b"), "/esker")]).into_string().unwrap();
        let flags: Vec<_> = flags.split('\x1f').collect();
        assert_eq!(flags[..2], ["", "--remap-path-prefix=/a b=/esker"]);
        let registries = format!("--remap-path-prefix={}", cargo_home().join("registry/src").display());
        assert!(flags[2..].iter().any(|flag| flag.starts_with(&registries)), "{flags:?}");
    }
}
