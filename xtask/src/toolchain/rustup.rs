//! Toolchains that rustup manages, or whatever `rustc` stands on the search path.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};

use super::{TARGET, Toolchain, has_target};
use crate::process;

/// How long `rustup target add` may take; the download is about 20 MB.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a failed attempt is not repeated.
const MEMORY: Duration = Duration::from_secs(6 * 60 * 60);

/// The toolchain in use, or else rustup's default one, if it has the target.
pub fn installed() -> Option<Toolchain> {
    if let Some(sysroot) = current_sysroot().filter(|sysroot| has_target(sysroot)) {
        return Some(Toolchain { cargo: None, env: Vec::new(), sysroot });
    }
    // `cargo +NAME xtask` and rustup's cargo itself say which toolchain runs; without that, rustup
    // takes the default.
    env::var_os("RUSTUP_TOOLCHAIN")?;
    let mut rustc = Command::new("rustc");
    rustc.env_remove("RUSTUP_TOOLCHAIN").args(["--print", "sysroot"]);
    let sysroot = process::output(&mut rustc).ok().map(PathBuf::from)?;
    let env = vec![("RUSTUP_TOOLCHAIN", None)];
    has_target(&sysroot).then(|| Toolchain { cargo: Some("cargo".into()), env, sysroot })
}

/// The sysroot of the compiler that cargo would use.
pub fn current_sysroot() -> Option<PathBuf> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    process::output(rustc.args(["--print", "sysroot"])).ok().map(PathBuf::from)
}

/// Has rustup download the target for the toolchain in use. `directory` keeps the memory of a
/// failure, without which a machine that cannot download would wait in every run.
pub fn add_target(directory: &Path) -> Result<()> {
    if !process::on_path("rustup") {
        bail!("is not installed");
    }
    let Some(sysroot) = current_sysroot() else { bail!("has no toolchain in use") };
    let memory = directory.join("rustup-failed");
    if failed_lately(&memory, &sysroot) {
        bail!("`rustup target add {TARGET}` failed a short while ago ({})", memory.display());
    }
    eprintln!("    trying `rustup target add {TARGET}`, for {} s at most", LIMIT.as_secs());
    let mut rustup = Command::new("rustup");
    let failure = match process::run_for(rustup.args(["target", "add", TARGET]), LIMIT)? {
        Some(status) if status.success() => return Ok(()),
        Some(status) => format!("`rustup target add {TARGET}` failed ({status})"),
        None => format!("`rustup target add {TARGET}` was not done in {} s", LIMIT.as_secs()),
    };
    fs::write(memory, sysroot.to_string_lossy().as_bytes())?;
    bail!(failure)
}

/// Whether adding the target to the toolchain at `sysroot` has failed within [`MEMORY`].
fn failed_lately(memory: &Path, sysroot: &Path) -> bool {
    let Ok(written) = fs::metadata(memory).and_then(|metadata| metadata.modified()) else {
        return false;
    };
    let age = SystemTime::now().duration_since(written).unwrap_or_default();
    age < MEMORY && fs::read_to_string(memory).is_ok_and(|which| Path::new(&which) == sysroot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_for_its_toolchain_and_for_some_hours() {
        let memory = env::temp_dir().join(format!("xtask-memory-{}", std::process::id()));
        assert!(!failed_lately(&memory, Path::new("/one")), "nothing has failed yet");
        fs::write(&memory, "/one").unwrap();
        assert!(failed_lately(&memory, Path::new("/one")));
        assert!(!failed_lately(&memory, Path::new("/two")));
        let file = fs::File::options().write(true).open(&memory).unwrap();
        file.set_modified(SystemTime::now() - MEMORY - Duration::from_secs(1)).unwrap();
        assert!(!failed_lately(&memory, Path::new("/one")), "too long ago");
        fs::remove_file(&memory).unwrap();
    }
}
