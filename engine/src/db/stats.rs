//! What a store holds and has done.

use super::Db;
use super::pace::WaitReason;
use crate::base::json::Json;
use crate::env::{Clock, Fs};
use crate::sstable::CacheStats;
use crate::version::{LEVELS, Version};
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that reads may raise as well as writes.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a kind of job has done.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Work {
    pub jobs: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
}

impl Work {
    pub fn record(&mut self, bytes_read: u64, bytes_written: u64) {
        self.jobs += 1;
        self.bytes_read += bytes_read;
        self.bytes_written += bytes_written;
    }

    fn to_json(self) -> Json {
        Json::object()
            .member("jobs", self.jobs)
            .member("bytes_read", self.bytes_read)
            .member("bytes_written", self.bytes_written)
    }
}

/// How often and how long writes had to wait, for one reason.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Stall {
    pub count: u64,
    pub micros: u64,
    pub micros_max: u64,
}

impl Stall {
    pub fn record(&mut self, micros: u64) {
        self.count += 1;
        self.micros += micros;
        self.micros_max = self.micros_max.max(micros);
    }

    fn to_json(self) -> Json {
        Json::object()
            .member("count", self.count)
            .member("micros", self.micros)
            .member("micros_max", self.micros_max)
    }
}

/// What has been counted since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub gets: Counter,
    pub scans: Counter,
    pub syncs: Counter,
    pub moves: Counter,
    pub entries_dropped: Counter,
    pub batches: u64,
    pub operations: u64,
    pub bytes: u64,
    pub flushes: Work,
    pub compactions: Work,
    pub jobs_done_by_workers: u64,
    pub jobs_failed: u64,
    slowdowns: [Stall; WaitReason::ALL.len()],
    stalls: [Stall; WaitReason::ALL.len()],
}

impl Counters {
    pub fn written(&mut self, operations: u64, bytes: u64) {
        self.batches += 1;
        self.operations += operations;
        self.bytes += bytes;
    }

    /// A write has worked so long beyond its share.
    pub fn slowed(&mut self, reason: WaitReason, micros: u64) {
        if let Some(slowdown) = self.slowdowns.get_mut(reason as usize) {
            slowdown.record(micros);
        }
    }

    /// A write has waited so long.
    pub fn stalled(&mut self, reason: WaitReason, micros: u64) {
        if let Some(stall) = self.stalls.get_mut(reason as usize) {
            stall.record(micros);
        }
    }
}

/// A level's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LevelStats {
    /// The number of tables.
    pub tables: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The bytes beyond which the level is compacted into the next; 0 for level 0, whose tables count, and for the
    /// deepest one, which has no next.
    pub bytes_target: u64,
    /// Their entries, tombstones included.
    pub entries: u64,
    /// Their tombstones.
    pub tombstones: u64,
}

/// What a store holds and has done since it was opened. docs/stats.md describes the JSON.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Each level's size.
    pub levels: [LevelStats; LEVELS],
    /// The sequence number of the last write.
    pub last_sequence: u64,
    /// The sequence number up to which everything is known durable.
    pub durable_sequence: u64,
    /// The block cache.
    pub cache: CacheStats,
    /// Buckets that were dropped and of which there may still be keys on disk.
    pub dropped_buckets: u64,
    json: String,
}

impl Stats {
    /// As a JSON object.
    pub fn to_json(&self) -> &str {
        &self.json
    }
}

/// The size of each level, without its target.
pub(super) fn levels_of(version: &Version) -> [LevelStats; LEVELS] {
    let mut levels = [LevelStats::default(); LEVELS];
    for (level, table) in version.tables() {
        if let Some(stats) = levels.get_mut(level) {
            stats.tables += 1;
            stats.bytes += table.size;
            stats.entries += table.entries;
            stats.tombstones += table.tombstones;
        }
    }
    levels
}

pub(super) fn levels_json(levels: &[LevelStats; LEVELS]) -> Json {
    levels.iter().fold(Json::array(), |list, level| {
        list.element(
            Json::object()
                .member("tables", level.tables)
                .member("bytes", level.bytes)
                .member("bytes_target", level.bytes_target)
                .member("entries", level.entries)
                .member("tombstones", level.tombstones),
        )
    })
}

impl<F: Fs, C: Clock> Db<F, C> {
    /// What the store holds and has done since it was opened: cheap enough to ask every second.
    pub fn stats(&self) -> Stats {
        let mut levels = levels_of(&self.view.version);
        let targets = self.picker.level_bytes_max(&self.view.version);
        for (stats, target) in levels.iter_mut().zip(targets) {
            stats.bytes_target = target.unwrap_or(0);
        }
        let cache = self.tables.block_stats();
        let json = self.stats_json(&levels, cache).finish();
        Stats {
            levels,
            last_sequence: self.last_sequence,
            durable_sequence: self.durable_sequence,
            cache,
            dropped_buckets: self.drops.count(),
            json,
        }
    }

    fn stats_json(&self, levels: &[LevelStats; LEVELS], cache: CacheStats) -> Json {
        let counters = &self.counters;
        let pressure = self.pressure();
        let failure = self.maintenance.failure.as_ref().map(ToString::to_string);
        let written = counters.flushes.bytes_written + counters.compactions.bytes_written;
        let amplification = if counters.bytes == 0 { 0.0 } else { written as f64 / counters.bytes as f64 };
        Json::object()
            .member("epoch", self.manifest.epoch())
            .member("last_sequence", self.last_sequence)
            .member("durable_sequence", self.durable_sequence)
            .member("snapshots", self.snapshots.count())
            .member("levels", levels_json(levels))
            .member("memory", self.memory_json(cache))
            .member("cache", self.cache_json(cache))
            .member("log", self.log_json())
            .member("writes", self.writes_json())
            .member(
                "reads",
                Json::object().member("gets", counters.gets.get()).member("scans", counters.scans.get()),
            )
            .member("flush", counters.flushes.to_json())
            .member("compaction", counters.compactions.to_json())
            .member("compaction_moves", counters.moves.get())
            .member("entries_dropped", counters.entries_dropped.get())
            .member("write_amplification", amplification)
            .member("sealed_memtables", u64::from(pressure.sealed_memtables))
            .member("pending_bytes", pressure.pending_bytes)
            .member("stalled", pressure.stalled)
            .member("slowdowns", by_reason(&counters.slowdowns))
            .member("stalls", by_reason(&counters.stalls))
            .member("level0_trigger", u64::from(self.options.level0_trigger))
            .member("level0_stop", u64::from(self.options.level0_stop))
            .member("jobs", self.jobs_json())
            .member("obsolete_tables", self.unneeded.tables())
            .member("dropped_buckets", self.drops.count())
            .member("maintenance_failure", failure.as_deref())
    }

    fn memory_json(&self, cache: CacheStats) -> Json {
        let sealed: u64 = self.view.sealed.iter().map(|memtable| memtable.bytes()).sum();
        Json::object()
            .member("bytes_max", self.options.memory_bytes)
            .member("memtable", self.view.active.bytes())
            .member("memtable_target", self.memtable_size.bytes())
            .member("memtable_max", self.options.memtable_bytes())
            .member("memtable_entries", self.view.active.entries())
            .member("sealed_memtables", sealed)
            .member("cache", cache.bytes)
            .member("open_tables", self.tables.open_tables().1)
    }

    fn cache_json(&self, cache: CacheStats) -> Json {
        let (passes, rejects) = self.tables.filter_stats();
        Json::object()
            .member("bytes", cache.bytes)
            .member("bytes_max", cache.bytes_max)
            .member("hits", cache.hits)
            .member("misses", cache.misses)
            .member("open_tables", self.tables.open_tables().0)
            .member("filter_passes", passes)
            .member("filter_rejects", rejects)
    }

    fn log_json(&self) -> Json {
        Json::object()
            .member("segment", self.wal.number())
            .member("segment_bytes", self.wal.length())
            .member("segments_sealed", self.segments.len() as u64)
            .member("deferred_bytes", self.wal.pending_bytes())
    }

    fn writes_json(&self) -> Json {
        Json::object()
            .member("batches", self.counters.batches)
            .member("operations", self.counters.operations)
            .member("bytes", self.counters.bytes)
            .member("syncs", self.counters.syncs.get())
    }

    fn jobs_json(&self) -> Json {
        let under_way = self.maintenance.jobs().fold(Json::array(), |list, (job, place)| {
            list.element(
                Json::object()
                    .member("id", job.id())
                    .member("kind", job.kind_name())
                    .member("reason", job.reason())
                    .member("level", job.output_level() as u64)
                    .member("input_bytes", job.input_bytes())
                    .member("place", place),
            )
        });
        let last_failure = self.maintenance.last_failure.as_ref().map(ToString::to_string);
        Json::object()
            .member("under_way", under_way)
            .member("done_by_workers", self.counters.jobs_done_by_workers)
            .member("failed", self.counters.jobs_failed)
            .member("last_failure", last_failure.as_deref())
    }
}

/// For each reason, how often and how long.
fn by_reason(stalls: &[Stall]) -> Json {
    let named = WaitReason::ALL.iter().zip(stalls);
    named.fold(Json::object(), |json, ((_, name), stall)| json.member(name, stall.to_json()))
}
