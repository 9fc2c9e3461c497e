//! `cargo xtask web`: the npm package in target/web/package, and the demo's page in target/web/site.
//!
//! ```text
//! web/src  --cargo-->  module  --wasm-bindgen-->  package  <-- web/js
//!                                                    |
//!                          web/demo, names  -->  site/ with the package in site/esker/
//! ```
//!
//! It is what `wasm-pack build` does, done without it: wasm-pack takes longer to compile than all the rest, and
//! would only call the same two programs.

pub mod bench;
pub mod npm;
pub mod package;
mod serve;
mod site;
pub mod test;
pub mod tools;

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{process, toolchain};

/// What `web` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Serve the demo on this machine until interrupted
    #[arg(long)]
    serve: bool,
    /// The port to serve on
    #[arg(long, default_value_t = 8080, requires = "serve")]
    port: u16,
    /// Make the npm package's tarball
    #[arg(long)]
    package: bool,
    /// Run the tests that need a browser, and no others; they need the `esker` program (cargo xtask build)
    #[arg(long, conflicts_with = "serve")]
    test: bool,
}

/// Builds the package and the page; serves and packs if asked to.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let toolchain = process::step("find a compiler for wasm", || toolchain::find(workspace))?;
    process::step("build the npm package", || package::build(workspace, &toolchain))?;
    process::step("lay out the page", || site::lay_out(workspace))?;
    if args.package {
        process::step("make the tarball", || npm::pack(workspace).map(drop))?;
    }
    if args.test {
        process::step("test the crate", || process::run(&mut test::crate_tests(workspace, &toolchain)?))?;
        let page = process::step("prepare the page", || test::Page::prepare(workspace, &toolchain))?;
        process::step("test the page", || process::run(&mut page.tests(workspace)))?;
    }
    if args.serve {
        let server = serve::Server::start(&site::directory(workspace), args.port)?;
        eprintln!("    the demo is at {} until you press Ctrl-C", server.url());
        server.wait()?;
    }
    Ok(())
}
