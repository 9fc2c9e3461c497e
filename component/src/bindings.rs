//! The generated bindings: the exports of `esker:kv` and the imports from WASI, each under its WIT name.
#![allow(
    unsafe_code,
    clippy::all,
    clippy::unwrap_used,
    reason = "generated, and other lints with each version"
)]

#[cfg(not(feature = "keyvalue"))]
wit_bindgen::generate!({
    path: ["../wit", "wit"],
    world: "esker:component/component",
    generate_all,
    pub_export_macro: true,
});

#[cfg(feature = "keyvalue")]
wit_bindgen::generate!({
    path: ["../wit", "wit"],
    world: "esker:component/component-with-keyvalue",
    generate_all,
    pub_export_macro: true,
});
