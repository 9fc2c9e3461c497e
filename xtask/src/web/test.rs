//! The steps of `cargo xtask test` that need a browser.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{npm, package, serve, site, tools};
use crate::process;
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::Workspace;

/// How long all tests of the crate may take in the browser, in seconds.
const CRATE_LIMIT: u32 = 900;

/// The crate's own tests, in a dedicated worker: a `cargo test` whose programs are run by wasm-bindgen's runner.
pub fn crate_tests(workspace: &Workspace, toolchain: &Toolchain) -> Result<Command> {
    let browser = tools::browser()?;
    let runner = tools::wasm_bindgen(workspace)?.join("wasm-bindgen-test-runner");
    let mut cargo = toolchain.cargo(workspace);
    cargo
        .args(["test", "--locked", "--package=esker-web", "--test=*", "--target", TARGET])
        .args(["--release", "--no-fail-fast"])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner)
        .env("CHROMEDRIVER", browser.chromedriver)
        .env("WASM_BINDGEN_TEST_TIMEOUT", CRATE_LIMIT.to_string())
        .env("CARGO_ENCODED_RUSTFLAGS", package::rustflags(workspace, toolchain));
    Ok(cargo)
}

/// What the tests of the page need: built, served and installed.
pub struct Page {
    server: serve::Server,
    npm: PathBuf,
    tarball: PathBuf,
    browser: tools::Browser,
    node: PathBuf,
}

impl Page {
    /// Builds and serves the page, packs the package, and installs what the tests take from npm.
    pub fn prepare(workspace: &Workspace, toolchain: &Toolchain) -> Result<Self> {
        npm::install(workspace)?;
        package::build(workspace, toolchain)?;
        site::lay_out(workspace)?;
        let tarball = npm::pack(workspace)?;
        let (browser, node) = (tools::browser()?, tools::node()?);
        let server = serve::Server::start(&site::directory(workspace), 0)?;
        Ok(Self { server, npm: npm::directory(workspace), tarball, browser, node })
    }

    /// A node that runs scripts against the page; they find everything by their environment.
    pub fn node(&self, workspace: &Workspace) -> Command {
        let mut node = Command::new(&self.node);
        process::clean(&mut node, workspace);
        node.current_dir(&workspace.root)
            .env("ESKER_PAGE", self.server.url())
            .env("ESKER_NPM", &self.npm)
            .env("ESKER_TARBALL", &self.tarball)
            .env("ESKER_BIN", workspace.binary())
            .env("ESKER_CHROMIUM", &self.browser.chromium)
            .env("ESKER_ARTEFACTS", artefacts(workspace));
        node
    }

    /// The page's tests, as a user meets it.
    pub fn tests(&self, workspace: &Workspace) -> Command {
        let mut node = self.node(workspace);
        node.args(["--test-reporter=tap", "web/e2e/all.mjs"]);
        node
    }
}

/// Where screenshots and downloads are kept.
fn artefacts(workspace: &Workspace) -> PathBuf {
    workspace.target.join("web/artefacts")
}
