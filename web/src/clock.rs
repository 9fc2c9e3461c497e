//! The engine's [`Clock`] over `performance.now()`.

use esker_engine::env::Clock;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn now_millis() -> f64;
}

/// The browser's monotonic clock, as coarse as the browser makes it.
#[derive(Debug, Clone, Copy)]
pub struct BrowserClock;

impl Clock for BrowserClock {
    fn now_micros(&self) -> u64 {
        // Not negative, and so far from 2^53 that nothing is lost.
        (now_millis() * 1000.0) as u64
    }
}
