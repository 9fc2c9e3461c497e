//! The engine's [`Clock`] over `wasi:clocks/monotonic-clock`.

use crate::bindings::wasi::clocks::monotonic_clock;
use esker_engine::env::Clock;

/// The host's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct WasiClock;

impl Clock for WasiClock {
    fn now_micros(&self) -> u64 {
        monotonic_clock::now() / 1_000
    }
}
