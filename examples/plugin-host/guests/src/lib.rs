//! The bindings that the plugins in `examples` share: `orders` does its work, `intruder` its worst, and `every_call`
//! calls each function that a plugin can import, for the tests. Only what a plugin calls becomes an import of its.

/// Generated from `wit/` and the interfaces that it names.
pub mod bindings {
    #![allow(
        unsafe_code,
        missing_docs,
        clippy::all,
        clippy::unwrap_used,
        reason = "generated, and other lints with each version"
    )]

    wit_bindgen::generate!({
        path: ["../../../wit", "wit"],
        world: "example:plugins/plugin",
        generate_all,
        pub_export_macro: true,
        additional_derives: [PartialEq],
        additional_derives_ignore: ["cas-error"],
    });
}

use bindings::esker::kv::kv_store::Options;

/// How a plugin opens its store: it leaves everything to the host, whose store is open already.
pub fn defaults() -> Options {
    Options {
        create_if_missing: None,
        error_if_exists: None,
        recovery: None,
        memory_bytes: None,
        memtable_bytes: None,
        memtable_min_bytes: None,
        memtable_entries: None,
        cache_bytes: None,
        wal_segment_bytes: None,
        wal_segments_kept: None,
        deferred_bytes: None,
        deferred_millis: None,
        block_bytes: None,
        bloom_bits: None,
        compression: None,
        table_bytes: None,
        level0_trigger: None,
        level0_slow: None,
        level0_stop: None,
        level1_bytes: None,
        tombstone_percent: None,
        strategy: None,
    }
}
