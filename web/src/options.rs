//! The options of `open`, read from the object that `index.d.ts` describes.

use crate::call_error::{CallError, Result};
use esker_engine::{Compression, Options, RecoveryMode};
use js_sys::Reflect;
use wasm_bindgen::JsValue;

/// A page has less memory to spare than a machine, and each of its stores pays for itself.
const MEMORY_BYTES: u64 = 32 << 20;
/// Larger than natively for the memory: a store has at most 240 files.
const TABLE_BYTES: u64 = 16 << 20;
const WAL_SEGMENT_BYTES: u64 = 4 << 20;
/// Fewer than natively: what a write may have to wait for is bounded by it, on the thread that serves every call.
const LEVEL0_STOP: u32 = 12;

/// The engine's options.
///
/// # Errors
///
/// `invalid-argument` for a member of another type; what is out of bounds the engine refuses.
pub fn read(object: &JsValue) -> Result<Options> {
    let memory_bytes = number(object, "memoryBytes")?.unwrap_or(MEMORY_BYTES);
    let default = Options::default();
    Ok(Options {
        create_if_missing: truth(object, "createIfMissing")?.unwrap_or(true),
        error_if_exists: truth(object, "errorIfExists")?.unwrap_or(false),
        recovery: choice(object, "recovery", &RECOVERY)?.unwrap_or(default.recovery),
        memory_bytes,
        memtable_bytes: number(object, "memtableBytes")?,
        // As large as it may be from the first one on: what memtables become is merged on the thread that serves every
        // call, and the fewer they are the less is written again.
        memtable_min_bytes: Some(u64::MAX),
        cache_bytes: Some(number(object, "cacheBytes")?.unwrap_or(memory_bytes / 2)),
        wal_segment_bytes: WAL_SEGMENT_BYTES,
        wal_segments_kept: 0,
        deferred_bytes: small(object, "deferredBytes")?.unwrap_or(default.deferred_bytes),
        deferred_millis: small(object, "deferredMillis")?.unwrap_or(default.deferred_millis),
        block_bytes: small(object, "blockBytes")?.unwrap_or(default.block_bytes),
        bloom_bits: small(object, "bloomBits")?.unwrap_or(default.bloom_bits),
        compression: choice(object, "compression", &COMPRESSION)?.unwrap_or(default.compression),
        table_bytes: number(object, "tableBytes")?.unwrap_or(TABLE_BYTES),
        level0_stop: LEVEL0_STOP,
        ..default
    })
}

const RECOVERY: [(&str, RecoveryMode); 4] = [
    ("skip-corrupted", RecoveryMode::SkipCorrupted),
    ("point-in-time", RecoveryMode::PointInTime),
    ("tolerate-torn-tail", RecoveryMode::TolerateTornTail),
    ("absolute", RecoveryMode::Absolute),
];
const COMPRESSION: [(&str, Compression); 2] = [("lz4", Compression::Lz4), ("none", Compression::None)];

fn member(object: &JsValue, name: &str) -> Option<JsValue> {
    let found = Reflect::get(object, &name.into()).ok()?;
    (!found.is_undefined() && !found.is_null()).then_some(found)
}

fn wrong(name: &str, expected: &str) -> CallError {
    CallError::new("invalid-argument", format!("the option {name} must be {expected}"))
}

fn truth(object: &JsValue, name: &str) -> Result<Option<bool>> {
    let read = |found: JsValue| found.as_bool().ok_or_else(|| wrong(name, "true or false"));
    member(object, name).map(read).transpose()
}

fn number(object: &JsValue, name: &str) -> Result<Option<u64>> {
    let whole = |number: &f64| *number >= 0.0 && number.fract() == 0.0 && *number <= 2f64.powi(53);
    let read = |found: JsValue| {
        let number = found.as_f64().filter(whole).ok_or_else(|| wrong(name, "a whole number, 0 or more"))?;
        Ok(number as u64)
    };
    member(object, name).map(read).transpose()
}

fn small(object: &JsValue, name: &str) -> Result<Option<u32>> {
    let read = |number: u64| u32::try_from(number).map_err(|_| wrong(name, "less than 4,294,967,296"));
    number(object, name)?.map(read).transpose()
}

fn choice<T: Copy>(object: &JsValue, name: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
    let Some(found) = member(object, name) else { return Ok(None) };
    let found = found.as_string();
    let chosen = choices.iter().find(|(word, _)| Some(*word) == found.as_deref());
    let words = || choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    chosen.map(|(_, choice)| Some(*choice)).ok_or_else(|| wrong(name, &format!("one of {}", words())))
}
