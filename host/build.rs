//! Embeds the component: the file that `ESKER_COMPONENT` names, else the one that the package carries
//! (`esker.wasm`), else the workspace's (`target/esker.wasm`), else none.
//!
//! Without it everything builds all the same, and `Runtime::new` says what to do.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rustc-check-cfg=cfg(component_embedded)");
    println!("cargo:rerun-if-env-changed=ESKER_COMPONENT");
    let named = env::var_os("ESKER_COMPONENT").filter(|path| !path.is_empty()).map(PathBuf::from);
    let component = named.clone().unwrap_or_else(default_component);
    println!("cargo:rerun-if-changed={}", component.display());
    if component.is_file() {
        println!("cargo:rustc-cfg=component_embedded");
        println!("cargo:rustc-env=ESKER_EMBEDDED_COMPONENT={}", absolute(&component).display());
    } else if let Some(path) = named {
        panic!("ESKER_COMPONENT names {}, which is no file", path.display());
    }
}

/// Where `cargo xtask package` puts the component, or where `cargo xtask build` leaves it.
fn default_component() -> PathBuf {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let carried = package.join("esker.wasm");
    if carried.is_file() { carried } else { package.join("../target/esker.wasm") }
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|error| panic!("cannot resolve {}: {error}", path.display()))
}
