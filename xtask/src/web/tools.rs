//! The programs that building for a browser and testing in one need: found, or else installed.
//!
//! What is installed by cargo stays in target/web/tools and is found there by the next run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::private_paths::cargo_home;
use crate::workspace::Workspace;
use crate::{apt, process};

/// How long cargo may take to compile wasm-bindgen's programs; it takes some minutes on two cores.
const COMPILE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// The oldest Node.js that everything in web/npm runs with.
const NODE_OLDEST: u32 = 18;

/// The directory that holds `wasm-bindgen` and `wasm-bindgen-test-runner` of exactly the version of the crate
/// `wasm-bindgen` in Cargo.lock: the programs read what that version's macros wrote.
pub fn wasm_bindgen(workspace: &Workspace) -> Result<PathBuf> {
    let wanted = wasm_bindgen_wanted(workspace)?;
    let own = workspace.target.join("web/tools");
    let places = search_path().into_iter().chain([cargo_home().join("bin"), own.join("bin")]);
    for place in places {
        if has_wasm_bindgen(&place, &wanted) {
            return Ok(place);
        }
    }
    eprintln!("    compiling wasm-bindgen-cli {wanted}, once: this takes some minutes");
    let mut cargo = process::cargo(workspace);
    cargo
        .args(["install", "--quiet", "wasm-bindgen-cli", "--version", &format!("={wanted}"), "--root"])
        .arg(&own)
        .env("CARGO_TARGET_DIR", own.join("build"))
        // Its dependencies in versions that this compiler can build.
        .env("CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS", "fallback");
    match process::run_for(&mut cargo, COMPILE_LIMIT)? {
        Some(status) if status.success() => {}
        Some(status) => bail!("`cargo install wasm-bindgen-cli --version {wanted}` failed ({status})"),
        None => bail!("wasm-bindgen-cli was not compiled in {} minutes", COMPILE_LIMIT.as_secs() / 60),
    }
    fs::remove_dir_all(own.join("build"))?;
    let place = own.join("bin");
    ensure!(has_wasm_bindgen(&place, &wanted), "cargo left no wasm-bindgen {wanted} in {}", place.display());
    Ok(place)
}

/// The version of wasm-bindgen in Cargo.lock.
fn wasm_bindgen_wanted(workspace: &Workspace) -> Result<String> {
    let lock: toml::Table = fs::read_to_string(workspace.root.join("Cargo.lock"))?.parse()?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock lists no packages")?;
    let named = |package: &&toml::Value| {
        package.get("name").is_some_and(|name| name.as_str() == Some("wasm-bindgen"))
    };
    let version = packages.iter().find(named).and_then(|package| package.get("version")?.as_str());
    version.map(str::to_owned).context("Cargo.lock has no wasm-bindgen")
}

fn has_wasm_bindgen(directory: &Path, wanted: &str) -> bool {
    let program = directory.join("wasm-bindgen");
    program.is_file()
        && directory.join("wasm-bindgen-test-runner").is_file()
        && process::output(Command::new(program).arg("--version"))
            .is_ok_and(|said| said.split_whitespace().nth(1) == Some(wanted))
}

/// A Chromium and the driver that goes with it.
pub struct Browser {
    /// The browser itself.
    pub chromium: PathBuf,
    /// Its WebDriver server.
    pub chromedriver: PathBuf,
}

/// Finds Chromium and its driver; `ESKER_CHROMIUM` and `CHROMEDRIVER` name others than those on the search path.
pub fn browser() -> Result<Browser> {
    if let Some(found) = installed_browser() {
        return Ok(found);
    }
    let lacking = "the tests in a browser need Chromium and its driver (Debian: apt-get install chromium \
                   chromium-driver; elsewhere set ESKER_CHROMIUM and CHROMEDRIVER to the two programs)";
    apt::install(&["chromium", "chromium-driver"]).context(lacking)?;
    installed_browser().context(lacking)
}

fn installed_browser() -> Option<Browser> {
    let chromium = named("ESKER_CHROMIUM", &["chromium", "chromium-browser", "google-chrome"])?;
    let chromedriver = named("CHROMEDRIVER", &["chromedriver"])?;
    Some(Browser { chromium, chromedriver })
}

/// Node.js and npm.
pub fn node() -> Result<PathBuf> {
    let lacking =
        format!("Node.js {NODE_OLDEST} or newer and npm are needed (Debian: apt-get install nodejs npm)");
    if named("", &["node"]).is_none() || named("", &["npm"]).is_none() {
        apt::install(&["nodejs", "npm"]).context(lacking.clone())?;
    }
    let node = named("", &["node"]).context(lacking.clone())?;
    let said = process::output(Command::new(&node).arg("--version"))?;
    let major = said.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    ensure!(major.is_some_and(|major| major >= NODE_OLDEST), "{lacking}; {} is {said}", node.display());
    Ok(node)
}

/// The program that `variable` names, or else the first of `programs` on the search path.
fn named(variable: &str, programs: &[&str]) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable).filter(|_| !variable.is_empty()) {
        return Some(path.into());
    }
    let places = search_path();
    let mut candidates =
        programs.iter().flat_map(|program| places.iter().map(move |place| place.join(program)));
    candidates.find(|path| path.is_file())
}

fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|list| env::split_paths(&list).collect()).unwrap_or_default()
}
