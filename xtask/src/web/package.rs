//! The npm package `esker`: the engine's module with wasm-bindgen's JavaScript in wasm/, and ours in js/.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::tools;
use crate::component;
use crate::process;
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::Workspace;

/// The cargo profile of the module.
const PROFILE: &str = "web";

/// Files that go with the package as they are.
const FILES: [&str; 4] = ["web/package.json", "web/README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Where the finished package is: what `npm pack` packs.
pub fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("web/package")
}

/// Builds the package. It is laid out beside its place and then moved there, so that no half of one is served.
pub fn build(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let module = module(workspace, toolchain)?;
    let bindgen = tools::wasm_bindgen(workspace)?.join("wasm-bindgen");
    let finished = directory(workspace);
    let new = finished.with_extension("new");
    for directory in [&new, &finished] {
        if directory.exists() {
            fs::remove_dir_all(directory)?;
        }
    }
    fs::create_dir_all(&new)?;
    let mut wasm_bindgen = Command::new(bindgen);
    wasm_bindgen.args(["--target", "web", "--out-name", "esker_web", "--no-typescript"]);
    wasm_bindgen.args(["--remove-name-section", "--remove-producers-section", "--out-dir"]);
    wasm_bindgen.arg(new.join("wasm")).arg(&module);
    process::run(&mut wasm_bindgen)?;
    let glue = new.join("wasm/esker_web.js");
    fs::write(&glue, without_doc_comments(&fs::read_to_string(&glue)?))?;
    copy_directory(&workspace.root.join("web/js"), &new.join("js"))?;
    for file in FILES {
        let name = Path::new(file).file_name().context("a file has a name")?;
        fs::copy(workspace.root.join(file), new.join(name))?;
    }
    fs::rename(&new, &finished)?;
    let bytes = fs::metadata(finished.join("wasm/esker_web_bg.wasm"))?.len();
    eprintln!("    {} is ready; its module has {} KiB", workspace.shown(&finished), bytes.div_ceil(1024));
    Ok(())
}

/// Compiles the crate to a core module.
fn module(workspace: &Workspace, toolchain: &Toolchain) -> Result<PathBuf> {
    let mut cargo = toolchain.cargo(workspace);
    cargo
        .args(["build", "--locked", "--package=esker-web", "--lib"])
        .args(["--target", TARGET, "--profile", PROFILE])
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(workspace, toolchain));
    process::run(&mut cargo)?;
    let module = workspace.target.join("wasm").join(TARGET).join(PROFILE).join("esker_web.wasm");
    ensure!(module.is_file(), "cargo left no {}", module.display());
    Ok(module)
}

/// The compiler's flags: those of the component, and a lower limit to inlining: the module is downloaded. It becomes
/// an eighth smaller by that, and no slower that one could measure.
pub fn rustflags(workspace: &Workspace, toolchain: &Toolchain) -> OsString {
    let mut flags = component::rustflags(workspace, toolchain);
    flags.push("\x1f-Cllvm-args=-inline-threshold=40");
    flags
}

/// Generated JavaScript without the comments that document it, which every page would load: they are those of the Rust
/// sources once more.
fn without_doc_comments(source: &str) -> String {
    let mut inside = false;
    let kept = |line: &&str| {
        inside |= line.trim_start().starts_with("/**");
        let keep = !inside;
        inside &= !line.trim_end().ends_with("*/");
        keep
    };
    source.lines().filter(kept).flat_map(|line| [line, "\n"]).collect()
}

/// Copies what is in `from` into `to`, which need not be there.
pub fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::without_doc_comments;

    #[test]
    fn doc_comments_go_and_code_stays() {
        let source = "/* eslint-disable */\n/**\n * What it does.\n */\nfunction a() {\n    /** One line. */\n    b(); // why\n}\n";
        assert_eq!(
            without_doc_comments(source),
            "/* eslint-disable */\nfunction a() {\n    b(); // why\n}\n"
        );
    }
}
