//! `cargo xtask package`: what is published, in target/package.
//!
//! ```text
//! esker-host-VERSION.crate   the library and the `esker` program, with the component inside    for crates.io
//! esker-rows-VERSION.crate   the formats of files that the program reads and writes            for crates.io
//! esker-kv-VERSION.wasm      the interface esker:kv, with its documentation                    for WIT registries
//! ```
//!
//! The crates are then tried: their files take the place of `host` and `rows` in a copy of what the host's tests need,
//! and the host's examples run there, each in the component that the package carries. The copy is a workspace with the
//! same choice of crates as everywhere (`HOST_CRATES`), so that nothing but the packages themselves is compiled for it.

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wasm_encoder::{ComponentSection, CustomSection};
use wit_parser::Resolve;

use crate::build::HOST_CRATES;
use crate::web::package::copy_directory;
use crate::workspace::Workspace;
use crate::{build, process};

/// The version of everything that is published: the workspace's crates share it, and so does the interface.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The crates that are published, by their directories.
const CRATES: [&str; 2] = ["rows", "host"];

/// What `package` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Publish all afterwards, with the credentials that `cargo login` and `wkg` have
    #[arg(long)]
    publish: bool,
}

/// Builds the component, makes the packages, tries the crates, and publishes them if asked.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.publish {
        ensure!(process::on_path("wkg"), "wkg publishes the interface: install it by `cargo install wkg`");
    }
    build::run(workspace, &build::Args { component_only: true, ..Default::default() })?;
    process::step("package the interface", || interface(workspace))?;
    process::step("package the crates", || crates(workspace))?;
    process::step("try the packaged crates", || {
        process::run(&mut Trial::lay_out(workspace)?.tests(workspace))
    })?;
    if args.publish {
        process::step("publish", || publish(workspace))?;
    }
    Ok(())
}

/// Makes the interface's package.
pub fn interface(workspace: &Workspace) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(workspace.root.join("wit"))?;
    let name = &resolve.packages[package].name;
    ensure!(
        name.version.as_ref().is_some_and(|version| version.to_string() == VERSION),
        "wit/esker.wit describes {name}, but the crates have the version {VERSION}"
    );
    let mut bytes = wit_component::encode(&resolve, package)?;
    annotate(&mut bytes);
    let path = interface_path(workspace);
    fs::create_dir_all(directory(workspace))?;
    fs::write(&path, bytes)?;
    eprintln!("    {} is ready", workspace.shown(&path));
    Ok(())
}

/// Adds what registries show of a package, in the sections that their tools read.
fn annotate(package: &mut Vec<u8>) {
    let sections = [
        ("description", "An ordered, durable key/value store in one directory: the interface of Esker."),
        ("authors", env!("CARGO_PKG_AUTHORS")),
        ("licenses", env!("CARGO_PKG_LICENSE")),
        ("source", env!("CARGO_PKG_REPOSITORY")),
        ("version", VERSION),
    ];
    for (name, text) in sections {
        let section = CustomSection { name: name.into(), data: Cow::Borrowed(text.as_bytes()) };
        section.append_to_component(package);
    }
}

/// Makes the crates' packages.
pub fn crates(workspace: &Workspace) -> Result<()> {
    let carried = Carried::put(workspace)?;
    let mut cargo = cargo(workspace);
    // What is in the packages is tried by `trial`; cargo's own trial would compile wasmtime once more.
    cargo.arg("package").args(chosen()).args(["--locked", "--no-verify", "--allow-dirty"]);
    process::run(&mut cargo)?;
    drop(carried);
    for directory in CRATES {
        let path = crate_path(workspace, directory);
        let bytes = fs::metadata(&path).with_context(|| format!("cargo left no {}", path.display()))?.len();
        eprintln!("    {} is {} KiB", workspace.shown(&path), bytes.div_ceil(1024));
    }
    Ok(())
}

/// Chooses the crates that are published, for cargo.
fn chosen() -> impl Iterator<Item = String> {
    CRATES.iter().map(|directory| format!("--package=esker-{directory}"))
}

/// A copy of the tree with the packaged crates in the place of their directories, while it is there.
///
/// It goes in the end: to cargo its crates and the workspace's are the same ones, and as long as it finds the files that
/// it has compiled last, it takes what it has for up to date, whatever has changed in the workspace since.
pub struct Trial {
    tree: PathBuf,
}

impl Trial {
    /// Lays the copy out.
    pub fn lay_out(workspace: &Workspace) -> Result<Self> {
        let tree = directory(workspace).join("trial");
        if tree.exists() {
            fs::remove_dir_all(&tree)?;
        }
        let trial = Self { tree };
        let tree = &trial.tree;
        for part in ["engine", "tests", "docs", "wit"] {
            copy_directory(&workspace.root.join(part), &tree.join(part))?;
        }
        for file in ["README.md", "Cargo.lock"] {
            fs::copy(workspace.root.join(file), tree.join(file))?;
        }
        fs::write(tree.join("Cargo.toml"), manifest_of_trial(workspace)?)?;
        for directory in CRATES {
            let packed = crate_path(workspace, directory);
            process::run(Command::new("tar").arg("-xzf").arg(packed).arg("-C").arg(tree))?;
            fs::rename(tree.join(format!("esker-{directory}-{VERSION}")), tree.join(directory))?;
        }
        ensure!(tree.join("host/esker.wasm").is_file(), "the package does not carry the component");
        Ok(trial)
    }

    /// The tests that show that the packaged crates build by themselves and run the component that the host carries.
    pub fn tests(&self, workspace: &Workspace) -> Command {
        let mut tests = cargo(workspace);
        tests.current_dir(&self.tree).args(["test", "--doc"]);
        // The copy has fewer members than the lock file, which cargo may take out.
        tests.args(HOST_CRATES.iter().filter(|flag| **flag != "--locked" && !flag.starts_with("--exclude")));
        tests
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // One that stays is removed before the next trial.
        let _ = fs::remove_dir_all(&self.tree);
    }
}

/// The workspace's manifest, with the members that the trial has, in the place of those of the registry.
fn manifest_of_trial(workspace: &Workspace) -> Result<String> {
    let text = fs::read_to_string(workspace.root.join("Cargo.toml"))?;
    let mut manifest: toml::Table = text.parse()?;
    let part = manifest.get_mut("workspace").and_then(toml::Value::as_table_mut);
    let part = part.context("the workspace's Cargo.toml has no [workspace]")?;
    part.remove("default-members");
    part.insert("members".into(), toml::Value::from(vec!["engine", "host", "rows", "tests"]));
    // A packaged crate asks for the other one by its version only.
    let rows = toml::Table::from_iter([("path".to_owned(), toml::Value::from("rows"))]);
    let patch = toml::Table::from_iter([("esker-rows".to_owned(), toml::Value::from(rows))]);
    manifest.insert(
        "patch".into(),
        toml::Table::from_iter([("crates-io".to_owned(), toml::Value::from(patch))]).into(),
    );
    Ok(manifest.to_string())
}

/// Gives the packages to their registries.
fn publish(workspace: &Workspace) -> Result<()> {
    let mut git = Command::new("git");
    let changes = process::output(git.current_dir(&workspace.root).args(["status", "--porcelain"]))?;
    ensure!(changes.is_empty(), "only a tree without changes is published; git sees\n{changes}");
    let carried = Carried::put(workspace)?;
    let mut cargo = cargo(workspace);
    // To cargo the component is a change that git does not know.
    cargo.arg("publish").args(chosen()).args(["--locked", "--no-verify", "--allow-dirty"]);
    process::run(&mut cargo)?;
    drop(carried);
    process::run(Command::new("wkg").arg("publish").arg(interface_path(workspace)))
}

/// Cargo, without the variable that makes a build take the workspace's component instead of the package's.
fn cargo(workspace: &Workspace) -> Command {
    let mut cargo = process::cargo(workspace);
    cargo.env_remove("ESKER_COMPONENT");
    cargo
}

/// The component in `host/esker.wasm`, where cargo takes it into the package. It goes when this does: builds in the
/// workspace embed target/esker.wasm.
struct Carried(PathBuf);

impl Carried {
    fn put(workspace: &Workspace) -> Result<Self> {
        let carried = Self(workspace.root.join("host/esker.wasm"));
        fs::copy(workspace.component(), &carried.0)
            .context("the crate carries the component: build it first")?;
        Ok(carried)
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        // One that stays is ignored by git, and replaced when the next package is made.
        let _ = fs::remove_file(&self.0);
    }
}

fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("package")
}

fn interface_path(workspace: &Workspace) -> PathBuf {
    directory(workspace).join(format!("esker-kv-{VERSION}.wasm"))
}

fn crate_path(workspace: &Workspace, crate_directory: &str) -> PathBuf {
    directory(workspace).join(format!("esker-{crate_directory}-{VERSION}.crate"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wit_component::DecodedWasm;

    #[test]
    fn the_interface_survives_its_package() {
        let workspace = Workspace::locate().unwrap();
        let target = std::env::temp_dir().join(format!("xtask-package-{}", std::process::id()));
        let elsewhere = Workspace { root: workspace.root, target: target.clone() };
        interface(&elsewhere).unwrap();
        let bytes = fs::read(interface_path(&elsewhere)).unwrap();
        fs::remove_dir_all(&target).unwrap();

        let DecodedWasm::WitPackage(resolve, package) = wit_component::decode(&bytes).unwrap() else {
            panic!("it is no WIT package");
        };
        let package = &resolve.packages[package];
        assert_eq!(package.name.to_string(), format!("esker:kv@{VERSION}"));
        for interface in ["types", "kv-store", "maintenance"] {
            assert!(package.interfaces.contains_key(interface), "{interface} is missing");
        }
        assert!(package.docs.contents.is_some(), "the documentation is missing");
        let licence = env!("CARGO_PKG_LICENSE").as_bytes();
        assert!(bytes.windows(licence.len()).any(|window| window == licence));
    }

    #[test]
    fn the_trial_has_the_profiles_of_the_workspace() {
        let workspace = Workspace::locate().unwrap();
        let manifest: toml::Table = manifest_of_trial(&workspace).unwrap().parse().unwrap();
        assert_eq!(manifest["workspace"]["members"].as_array().unwrap().len(), 4);
        assert!(manifest["profile"]["release"].is_table());
        assert!(manifest["workspace"].get("default-members").is_none());
    }
}
