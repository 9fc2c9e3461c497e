//! Random options: whatever they are, the answers must be the same.

use esker_engine::{Compression, Options, RecoveryMode, Strategy};

use crate::seed::Rng;

/// Options drawn by chance, mostly far smaller than anybody would choose, so that a short history meets flushes,
/// rotations, stalls and several levels.
pub fn random(rng: &mut Rng) -> Options {
    let level0_trigger = rng.pick(&[1, 2, 3, 4, 8]);
    Options {
        recovery: rng.pick(&[
            RecoveryMode::SkipCorrupted,
            RecoveryMode::SkipCorrupted,
            RecoveryMode::PointInTime,
            RecoveryMode::TolerateTornTail,
        ]),
        memory_bytes: 8 << 20,
        memtable_bytes: rng.pick(&[Some(1_024), Some(3_000), Some(10_000), Some(64_000), None]),
        memtable_min_bytes: rng.pick(&[None, None, Some(1_024), Some(1 << 20)]),
        memtable_entries: rng.pick(&[None, None, Some(1), Some(7), Some(50)]),
        cache_bytes: rng.pick(&[Some(0), Some(1_000), Some(30_000), None]),
        wal_segment_bytes: rng.pick(&[1_024, 5_000, 40_000, 10 << 20]),
        wal_segments_kept: rng.pick(&[0, 0, 1, 2, 5]),
        deferred_bytes: rng.pick(&[0, 100, 2_000, 64 << 10]),
        deferred_millis: rng.pick(&[0, 10, 100]),
        block_bytes: rng.pick(&[256, 300, 1_000, 4_096, 64 << 10]),
        bloom_bits: rng.pick(&[0, 1, 10, 20]),
        compression: rng.pick(&[Compression::None, Compression::Lz4]),
        table_bytes: rng.pick(&[1_024, 4_000, 30_000, 32 << 20]),
        level0_trigger,
        level0_slow: rng.pick(&[None, Some(level0_trigger), Some(level0_trigger + 1)]),
        level0_stop: level0_trigger + rng.pick(&[1, 2, 16]),
        level1_bytes: rng.pick(&[Some(1_024), Some(8_000), Some(100_000), None]),
        tombstone_percent: rng.pick(&[0, 1, 30, 100]),
        strategy: rng.pick(&[Strategy::Levelled, Strategy::SizeTiered]),
        ..Options::default()
    }
}
