//! A toolchain made from Debian's packages, for machines where rustup cannot download.
//!
//! Debian ships a recent compiler as `rustc-web` (for building browsers), but no standard library
//! for wasm32-unknown-unknown. So the library is built once from `rust-web-src`, and a sysroot is
//! laid out around it, mostly from links:
//!
//! ```text
//! target/wasm-toolchain/sysroot/
//!   bin/rustc, bin/rustdoc                 wrappers that pass --sysroot
//!   lib/rustlib/HOST/lib                -> Debian's, for build scripts and macros
//!   lib/rustlib/HOST/bin/rust-lld       -> the linker of a rustup toolchain, or LLVM's lld
//!   lib/rustlib/src                     -> Debian's
//!   lib/rustlib/wasm32-unknown-unknown/lib   the library built here
//!   stamp                                  what it was made from
//! ```
//!
//! The packages do not disturb rustup's toolchains, which stand first on the search path. They are
//! installed by root only, and never if another package would have to go.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::{TARGET, Toolchain, has_target, rustup};
use crate::apt;
use crate::private_paths;
use crate::process;
use crate::workspace::Workspace;

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
const RUSTDOC: &str = "/usr/bin/rustdoc";
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// The oldest compiler that can build this workspace.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// The toolchain laid out in `directory`, if it is there and still fits the installed compiler.
pub fn ready(directory: &Path) -> Option<Toolchain> {
    let sysroot = directory.join("sysroot");
    let stamp = fs::read_to_string(sysroot.join("stamp")).ok()?;
    let compiler = Compiler::installed().ok()?;
    let fits = stamp == compiler.stamp(&sysroot)
        && Path::new(CARGO).exists()
        && compiler.linker_in(&sysroot).exists();
    fits.then(|| toolchain(sysroot))
}

/// Installs the packages if need be, builds the standard library, and lays out the toolchain.
pub fn make(workspace: &Workspace, directory: &Path) -> Result<Toolchain> {
    let compiler = match Compiler::complete() {
        Ok(compiler) => compiler,
        Err(lacking) => {
            apt::install(&PACKAGES).with_context(|| format!("{lacking:#}"))?;
            Compiler::complete()?
        }
    };
    let linker = match find_linker(&compiler) {
        Some(linker) => linker,
        None => {
            apt::install(&[&format!("lld-{}", compiler.llvm)]).context("no rust-lld")?;
            find_linker(&compiler).context("no rust-lld, although lld is installed")?
        }
    };
    let work = directory.join("work");
    let libraries = build_std(workspace, &compiler, &work)?;
    let sysroot = directory.join("sysroot");
    lay_out(&compiler, &linker, &libraries, &sysroot)?;
    fs::remove_dir_all(&work)?;
    // Cargo does not see that a standard library has changed under a compiler of the same version.
    let built_with_another = workspace.target.join("wasm");
    if built_with_another.exists() {
        fs::remove_dir_all(built_with_another)?;
    }
    Ok(toolchain(sysroot))
}

fn toolchain(sysroot: PathBuf) -> Toolchain {
    let env = vec![
        ("RUSTC", Some(sysroot.join("bin/rustc").into_os_string())),
        ("RUSTDOC", Some(sysroot.join("bin/rustdoc").into_os_string())),
        ("RUSTUP_TOOLCHAIN", None),
    ];
    Toolchain { cargo: Some(CARGO.into()), env, sysroot }
}

/// What `/usr/bin/rustc` says about itself.
struct Compiler {
    description: String,
    host: String,
    /// The major version of its LLVM, which names Debian's lld packages.
    llvm: String,
    sysroot: PathBuf,
}

impl Compiler {
    /// The installed compiler, whether or not the rest is there.
    fn installed() -> Result<Self> {
        ensure!(Path::new(RUSTC).exists(), "there is no {RUSTC}");
        let ask = |arguments: &[&str]| {
            process::output(Command::new(RUSTC).env_remove("RUSTUP_TOOLCHAIN").args(arguments))
        };
        let description = ask(&["-vV"])?;
        let field = |name: &str| {
            let value = description.lines().find_map(|line| line.strip_prefix(name));
            value.with_context(|| format!("`{RUSTC} -vV` has no line {name:?}"))
        };
        let release = field("release: ")?;
        ensure!(at_least(release, OLDEST), "{RUSTC} is {release}, {OLDEST} is needed");
        let host = field("host: ")?.to_owned();
        let llvm = field("LLVM version: ")?.split('.').next().unwrap_or_default().to_owned();
        let sysroot = PathBuf::from(ask(&["--print", "sysroot"])?);
        Ok(Self { description, host, llvm, sysroot })
    }

    /// The installed compiler, if its cargo and the library's sources are there as well.
    fn complete() -> Result<Self> {
        let compiler = Self::installed()?;
        ensure!(Path::new(CARGO).exists(), "there is no {CARGO}");
        let sources = compiler.sources().join("library");
        ensure!(sources.is_dir(), "there is no {}", sources.display());
        Ok(compiler)
    }

    fn sources(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust")
    }

    /// Where a compiler with this `sysroot` looks for its linker.
    fn linker_in(&self, sysroot: &Path) -> PathBuf {
        sysroot.join("lib/rustlib").join(&self.host).join("bin/rust-lld")
    }

    /// What a layout at `sysroot` is made from: another compiler, or a moved directory (the
    /// wrappers name it), makes it useless.
    fn stamp(&self, sysroot: &Path) -> String {
        format!("layout 1\n{}\n{}\n", sysroot.display(), self.description)
    }
}

/// A linker for wasm: rustup's toolchains carry one, and LLVM's own does as well if it is as new as
/// the compiler.
fn find_linker(compiler: &Compiler) -> Option<PathBuf> {
    let in_rustup = rustup::current_sysroot().map(|sysroot| compiler.linker_in(&sysroot));
    let others = [
        compiler.linker_in(&compiler.sysroot),
        PathBuf::from("/usr/bin/rust-lld"),
        PathBuf::from(format!("/usr/bin/lld-{}", compiler.llvm)),
    ];
    in_rustup.into_iter().chain(others).find(|linker| linker.exists())
}

/// Builds the standard library in `work`; returns the directory that has its rlibs.
fn build_std(workspace: &Workspace, compiler: &Compiler, work: &Path) -> Result<PathBuf> {
    eprintln!("    building the standard library for {TARGET}, once");
    if work.exists() {
        fs::remove_dir_all(work)?;
    }
    fs::create_dir_all(work.join("src"))?;
    fs::write(work.join("src/lib.rs"), "#![no_std]\n")?;
    let manifest = "[package]\nname = \"emptystd\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                    [workspace]\n";
    fs::write(work.join("Cargo.toml"), manifest)?;
    // embed-bitcode: cargo switches it off for a profile without LTO, and then nobody can use LTO
    // with this library.
    let mut flags = OsString::from("-Cembed-bitcode=yes");
    flags.push(private_paths::renamed([(compiler.sources(), "/rust")]));
    let mut cargo = Command::new(CARGO);
    process::clean(&mut cargo, workspace);
    cargo
        .current_dir(work)
        .args(["build", "--quiet", "--release", "--target", TARGET])
        .arg("-Zbuild-std=std,panic_abort,proc_macro,test")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("CARGO_TARGET_DIR", work.join("target"));
    process::run(&mut cargo)?;
    Ok(work.join("target").join(TARGET).join("release/deps"))
}

/// Lays the toolchain out beside `sysroot`, then puts it in place by a rename, so that a command
/// that is interrupted leaves no half of one.
fn lay_out(compiler: &Compiler, linker: &Path, libraries: &Path, sysroot: &Path) -> Result<()> {
    let new = sysroot.with_extension("new");
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    let rustlib = new.join("lib/rustlib");
    let wasm = rustlib.join(TARGET).join("lib");
    let host = rustlib.join(&compiler.host);
    for directory in [&wasm, &host.join("bin"), &new.join("bin")] {
        fs::create_dir_all(directory)?;
    }
    for entry in fs::read_dir(libraries)? {
        let path = entry?.path();
        let name = path.file_name().context("a directory entry has a name")?;
        let is_library = path.extension().is_some_and(|extension| extension == "rlib");
        if is_library && !name.to_string_lossy().starts_with("libemptystd-") {
            fs::copy(&path, wasm.join(name))?;
        }
    }
    ensure!(has_target(&new), "the build left no libstd in {}", libraries.display());
    let from = compiler.sysroot.join("lib/rustlib");
    symlink(from.join(&compiler.host).join("lib"), host.join("lib"))?;
    symlink(from.join("src"), rustlib.join("src"))?;
    symlink(linker, host.join("bin/rust-lld"))?;
    for (name, program) in [("rustc", RUSTC), ("rustdoc", RUSTDOC)] {
        let wrapper = new.join("bin").join(name);
        fs::write(&wrapper, wrapper_script(program, sysroot)?)?;
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(new.join("stamp"), compiler.stamp(sysroot))?;
    if sysroot.exists() {
        fs::remove_dir_all(sysroot)?;
    }
    fs::rename(&new, sysroot)?;
    Ok(())
}

/// A shell script that is `program` with another sysroot.
fn wrapper_script(program: &str, sysroot: &Path) -> Result<String> {
    let sysroot = sysroot.to_str().context("the target directory's path is not UTF-8")?;
    if sysroot.contains('\'') {
        bail!("the target directory's path has a quote in it: {sysroot}");
    }
    Ok(format!("#!/bin/sh\nexec {program} --sysroot '{sysroot}' \"$@\"\n"))
}

/// Whether version `have` is `want` or newer; both are numbers with points between them.
fn at_least(have: &str, want: &str) -> bool {
    let numbers = |version: &str| {
        let plain = version.split('-').next().unwrap_or_default();
        plain.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>()
    };
    numbers(have) >= numbers(want)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(at_least("1.96.0", "1.95"));
        assert!(at_least("1.95.0", "1.95"));
        assert!(at_least("1.100.0-nightly", "1.95"));
        assert!(!at_least("1.85.0", "1.95"));
        assert!(!at_least("1.9.0", "1.95"));
    }

    #[test]
    fn a_wrapper_keeps_a_path_with_spaces_in_one_piece() {
        let script = wrapper_script("/usr/bin/rustc", Path::new("/a b/sysroot")).unwrap();
        assert!(script.contains("--sysroot '/a b/sysroot' \"$@\""), "{script}");
        assert!(wrapper_script("/usr/bin/rustc", Path::new("/it's")).is_err());
    }
}
