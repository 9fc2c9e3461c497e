//! The programs that building for a browser and testing in one need: found, or else installed.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo_tools::Tool;
use crate::workspace::Workspace;
use crate::{apt, process};

/// The oldest Node.js that everything in web/npm runs with.
const NODE_OLDEST: u32 = 18;

/// The directory that holds `wasm-bindgen` and `wasm-bindgen-test-runner` of exactly the version of the crate
/// `wasm-bindgen` in Cargo.lock: the programs read what that version's macros wrote.
pub fn wasm_bindgen(workspace: &Workspace) -> Result<PathBuf> {
    let version = &wasm_bindgen_wanted(workspace)?;
    let programs = &["wasm-bindgen", "wasm-bindgen-test-runner"];
    Tool { package: "wasm-bindgen-cli", version, flags: &[], programs }.directory(workspace)
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
