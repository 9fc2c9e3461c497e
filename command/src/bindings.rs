//! The generated bindings: what the command imports of `esker:kv`.
#![allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    clippy::unwrap_used,
    reason = "generated, and other lints with each version"
)]

wit_bindgen::generate!({
    path: "../wit",
    inline: "
        package esker:command;
        world command {
            import esker:kv/kv-store@0.1.0;
            import esker:kv/maintenance@0.1.0;
        }
    ",
    generate_all,
    // So that the options which are not given need not be named. The other types have no default.
    additional_derives: [Default],
    additional_derives_ignore: [
        "error", "durability", "recovery-mode", "compression", "strategy", "expected", "condition", "wait-reason",
        "back-pressure", "pressure", "job-kind", "job", "job-kinds", "progress", "verification", "checkpoint",
        "state-file", "corruption", "bucket-info", "entry", "operation", "versioned",
    ],
});
