//! The shipped component asks its host for files, clocks, randomness and a place for panic messages; nothing else. The
//! one that also exports `wasi:keyvalue` asks for the environment besides.
//!
//! A dependency that reaches for the environment, arguments or a network would add an import, and with it a demand
//! on every host that runs the store.
#![cfg(feature = "component")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use wasmparser::{Instance, Parser, Payload};

/// What may be imported, without the version.
const ALLOWED: [&str; 9] = [
    // The types that the component's own exports share; it holds no function.
    "esker:kv/types",
    "wasi:cli/stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/streams",
    "wasi:random/random",
];

fn component() -> Vec<u8> {
    read("ESKER_COMPONENT", "esker.wasm")
}

fn component_with_keyvalue() -> Vec<u8> {
    read("ESKER_KEYVALUE", "esker-keyvalue.wasm")
}

/// The component that `variable` names, or the one in target/.
fn read(variable: &str, name: &str) -> Vec<u8> {
    let path = std::env::var_os(variable).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target").join(name),
        PathBuf::from,
    );
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask build --keyvalue`", path.display()))
}

/// The names that a component imports or exports, by the outermost sections only.
fn names(component: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut imports, mut exports) = (BTreeSet::new(), BTreeSet::new());
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        match payload.expect("the component is well formed") {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                imports.extend(section.into_iter().map(|import| import.expect("sound").name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                exports.extend(section.into_iter().map(|export| export.expect("sound").name.name.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}

#[test]
fn the_component_imports_nothing_but_files_clocks_and_a_place_for_its_panics() {
    let (imports, _) = names(&component());
    let interface = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let foreign: Vec<_> =
        imports.iter().filter(|name| !ALLOWED.contains(&interface(name).as_str())).collect();
    assert!(foreign.is_empty(), "imports beyond what a store may ask for: {foreign:?}");
    assert!(
        imports.iter().any(|name| interface(name) == "wasi:filesystem/types"),
        "it lives on files: {imports:?}"
    );
}

/// What docs/embedding.md asks of an embedder's pooling allocator.
#[test]
fn an_instance_takes_three_core_instances_two_tables_and_a_memory() {
    let (mut instances, mut tables, mut memories) = (0, 0, 0);
    for payload in Parser::new(0).parse_all(&component()) {
        match payload.expect("the component is well formed") {
            Payload::InstanceSection(section) => {
                let made = section.into_iter().map(|instance| instance.expect("sound"));
                instances += made.filter(|made| matches!(made, Instance::Instantiate { .. })).count();
            }
            Payload::TableSection(section) => tables += section.count(),
            Payload::MemorySection(section) => memories += section.count(),
            _ => {}
        }
    }
    assert_eq!((instances, tables, memories), (3, 2, 1));
}

#[test]
fn the_component_exports_the_contract() {
    let (_, exports) = names(&component());
    let contract = ["esker:kv/kv-store@0.1.0", "esker:kv/maintenance@0.1.0"].map(String::from);
    assert_eq!(exports, BTreeSet::from(contract));
}

#[test]
fn the_component_with_keyvalue_asks_for_the_environment_and_no_more() {
    let (plain, _) = names(&component());
    let (imports, _) = names(&component_with_keyvalue());
    let more: Vec<_> = imports.difference(&plain).collect();
    assert_eq!(more, ["wasi:cli/environment@0.2.12"]);
}

#[test]
fn the_component_with_keyvalue_exports_both_drafts_beside_the_contract() {
    let (_, exports) = names(&component_with_keyvalue());
    let mut expected =
        BTreeSet::from(["kv-store", "maintenance"].map(|name| format!("esker:kv/{name}@0.1.0")));
    for draft in ["0.2.0-draft", "0.2.0-draft2"] {
        expected.extend(["store", "atomics", "batch"].map(|name| format!("wasi:keyvalue/{name}@{draft}")));
    }
    assert_eq!(exports, expected);
}
