//! A limit of operations per second: what is done costs time, and whoever has spent more than a second ahead has to
//! wait. It is told the time, and asks no clock.

use std::time::{Duration, Instant};

/// How far ahead time may be spent.
const BURST: Duration = Duration::from_secs(1);

/// The operations that one plugin may do.
#[derive(Debug)]
pub struct Rate {
    per_second: u64,
    /// Until when the time is spent.
    spent_until: Instant,
}

impl Rate {
    /// So many operations a second, at least 1, from `now` on.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second: u64::from(per_second.max(1)), spent_until: now }
    }

    /// Spends time for these operations, if not too much is spent already; else the error is how long to wait. However
    /// many there are, they are allowed at once, so that a large batch is not refused for ever.
    pub fn charge(&mut self, operations: u64, now: Instant) -> Result<(), Duration> {
        match self.spent_until.checked_duration_since(now + BURST) {
            None => {
                self.settle(operations, now);
                Ok(())
            }
            // At the very end of the burst the wait is 0, and asking again at once would be refused again.
            Some(wait) => Err(wait.max(self.cost(1))),
        }
    }

    /// Spends time for operations that were done.
    pub fn settle(&mut self, operations: u64, now: Instant) {
        self.spent_until = self.spent_until.max(now) + self.cost(operations);
    }

    fn cost(&self, operations: u64) -> Duration {
        Duration::from_nanos(operations.saturating_mul(1_000_000_000) / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_may_be_spent_ahead_and_no_more() {
        let start = Instant::now();
        let mut rate = Rate::new(10, start);
        for _ in 0..10 {
            assert_eq!(rate.charge(1, start), Ok(()));
        }
        assert_eq!(rate.charge(1, start), Err(Duration::from_millis(100)));
        assert_eq!(rate.charge(1, start + Duration::from_millis(1)), Ok(()));
        assert_eq!(rate.charge(1, start + Duration::from_millis(50)), Err(Duration::from_millis(100)));
    }

    #[test]
    fn what_was_not_used_is_lost() {
        let start = Instant::now();
        let mut rate = Rate::new(10, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| rate.charge(1, later).is_ok()).count(), 10);
    }

    #[test]
    fn a_large_batch_is_allowed_once_and_paid_for_afterwards() {
        let start = Instant::now();
        let mut rate = Rate::new(10, start);
        assert_eq!(rate.charge(100, start), Ok(()));
        assert_eq!(rate.charge(1, start + Duration::from_secs(1)), Err(Duration::from_secs(8)));
        assert_eq!(rate.charge(1, start + Duration::from_millis(9_001)), Ok(()));
    }
}
