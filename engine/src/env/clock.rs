//! The clocks: the machine's, and one that tests turn by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Clock;

/// The machine's monotonic clock, counted from the moment it was made.
#[cfg(not(target_family = "wasm"))]
#[derive(Debug, Clone, Copy)]
pub struct StdClock {
    start: std::time::Instant,
}

#[cfg(not(target_family = "wasm"))]
impl StdClock {
    /// A clock that starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where the engine's native users get their time from"
    )]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

#[cfg(not(target_family = "wasm"))]
impl Default for StdClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(target_family = "wasm"))]
impl Clock for StdClock {
    fn now_micros(&self) -> u64 {
        // 2^64 microseconds are half a million years.
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// A clock that stands still until it is advanced. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    micros: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns the clock forward.
    pub fn advance(&self, micros: u64) {
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_micros(&self) -> u64 {
        self.micros.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_manual_clock_show_one_time() {
        let clock = ManualClock::new();
        let other = clock.clone();
        assert_eq!(other.now_micros(), 0);
        clock.advance(7);
        other.advance(5);
        assert_eq!((clock.now_micros(), other.now_micros()), (12, 12));
    }
}
