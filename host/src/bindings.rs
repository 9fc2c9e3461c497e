//! The generated bindings of the contract, `wit/esker.wit`.
#![allow(clippy::all, clippy::unwrap_used, reason = "generated, and other lints with each version")]

wasmtime::component::bindgen!({
    path: "wit",
    world: "esker:kv/esker",
});
