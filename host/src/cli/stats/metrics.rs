//! The figures and the metrics that they are: one table for the JSON members, the names for Prometheus, and
//! docs/stats.md, whose rows a test compares with it.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, from 0 when the store is opened.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts of how many calls took at most so long.
    Histogram,
}

impl Kind {
    /// Its name in the text format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric, and the member of the figures that it is.
#[derive(Debug)]
pub struct Metric {
    /// Where it stands: members joined by `.`; `[]` is each element of a list, `*` each member of an object.
    pub member: &'static str,
    /// Its name, with the labels that do not come from the place.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it means, in a sentence without an end.
    pub help: &'static str,
}

/// What the places that `[]` and `*` stand for are called as a label.
pub const LABELS: [(&str, &str); 5] = [
    ("levels[]", "level"),
    ("slowdowns.*", "reason"),
    ("stalls.*", "reason"),
    ("pace.waits.*", "reason"),
    ("latency.*", "operation"),
];

/// The list whose elements have their labels among their members, and which.
pub const LABELLED_LIST: (&str, [&str; 5]) = ("jobs.under_way[]", ["id", "kind", "reason", "level", "place"]);

/// All metrics. Those of one name stand together.
pub const METRICS: &[Metric] = &[
    Metric {
        member: "epoch",
        name: "esker_epoch",
        kind: Kind::Gauge,
        help: "how many times the store has been opened by a primary",
    },
    Metric {
        member: "last_sequence",
        name: "esker_last_sequence",
        kind: Kind::Gauge,
        help: "the sequence number of the last write",
    },
    Metric {
        member: "durable_sequence",
        name: "esker_durable_sequence",
        kind: Kind::Gauge,
        help: "up to this sequence number everything is known durable",
    },
    Metric {
        member: "snapshots",
        name: "esker_snapshots",
        kind: Kind::Gauge,
        help: "snapshots that are held",
    },
    Metric {
        member: "levels[].tables",
        name: "esker_level_tables",
        kind: Kind::Gauge,
        help: "tables of a level",
    },
    Metric { member: "levels[].bytes", name: "esker_level_bytes", kind: Kind::Gauge, help: "their bytes" },
    Metric {
        member: "levels[].bytes_target",
        name: "esker_level_target_bytes",
        kind: Kind::Gauge,
        help: "beyond so many bytes the level is compacted; 0 where there is no such limit: level 0 counts tables, the deepest level has none, nor do levels that should be empty, nor any in a size-tiered store",
    },
    Metric {
        member: "levels[].entries",
        name: "esker_level_entries",
        kind: Kind::Gauge,
        help: "their entries, tombstones and old versions included",
    },
    Metric {
        member: "levels[].tombstones",
        name: "esker_level_tombstones",
        kind: Kind::Gauge,
        help: "their tombstones",
    },
    Metric {
        member: "level0_trigger",
        name: "esker_level0_trigger_tables",
        kind: Kind::Gauge,
        help: "at this many tables level 0 is compacted",
    },
    Metric {
        member: "level0_stop",
        name: "esker_level0_stop_tables",
        kind: Kind::Gauge,
        help: "at this many tables in level 0 writes wait",
    },
    Metric {
        member: "memory.bytes_max",
        name: "esker_memory_planned_bytes",
        kind: Kind::Gauge,
        help: "the memory that the store plans with",
    },
    Metric {
        member: "memory.memtable",
        name: "esker_memtable_bytes",
        kind: Kind::Gauge,
        help: "the active memtable",
    },
    Metric {
        member: "memory.memtable_target",
        name: "esker_memtable_target_bytes",
        kind: Kind::Gauge,
        help: "at this size it is sealed now",
    },
    Metric {
        member: "memory.memtable_max",
        name: "esker_memtable_limit_bytes",
        kind: Kind::Gauge,
        help: "at this size a memtable is sealed at the latest",
    },
    Metric {
        member: "memory.memtable_entries",
        name: "esker_memtable_entries",
        kind: Kind::Gauge,
        help: "entries of the active memtable",
    },
    Metric {
        member: "memory.sealed_memtables",
        name: "esker_sealed_memtable_bytes",
        kind: Kind::Gauge,
        help: "memtables that wait for a flush",
    },
    Metric {
        member: "memory.open_tables",
        name: "esker_open_table_bytes",
        kind: Kind::Gauge,
        help: "indexes and filters of open tables",
    },
    Metric {
        member: "cache.bytes",
        name: "esker_cache_bytes",
        kind: Kind::Gauge,
        help: "blocks in the cache",
    },
    Metric {
        member: "cache.bytes_max",
        name: "esker_cache_limit_bytes",
        kind: Kind::Gauge,
        help: "the most that the cache may hold",
    },
    Metric {
        member: "cache.hits",
        name: "esker_cache_hits_total",
        kind: Kind::Counter,
        help: "blocks that were found in the cache",
    },
    Metric {
        member: "cache.misses",
        name: "esker_cache_misses_total",
        kind: Kind::Counter,
        help: "blocks that were read from a file",
    },
    Metric {
        member: "cache.open_tables",
        name: "esker_open_tables",
        kind: Kind::Gauge,
        help: "tables that are open",
    },
    Metric {
        member: "cache.filter_passes",
        name: "esker_filter_passes_total",
        kind: Kind::Counter,
        help: "how often a filter let a key pass to a table",
    },
    Metric {
        member: "cache.filter_rejects",
        name: "esker_filter_rejects_total",
        kind: Kind::Counter,
        help: "how often a filter kept a key away from a table",
    },
    Metric {
        member: "log.segment",
        name: "esker_log_segment",
        kind: Kind::Gauge,
        help: "the number of the log segment that is written",
    },
    Metric {
        member: "log.segment_bytes",
        name: "esker_log_segment_bytes",
        kind: Kind::Gauge,
        help: "its length",
    },
    Metric {
        member: "log.segments_sealed",
        name: "esker_log_sealed_segments",
        kind: Kind::Gauge,
        help: "sealed log segments on disk",
    },
    Metric {
        member: "log.deferred_bytes",
        name: "esker_log_deferred_bytes",
        kind: Kind::Gauge,
        help: "deferred writes that the operating system has not been given yet",
    },
    Metric {
        member: "writes.batches",
        name: "esker_write_batches_total",
        kind: Kind::Counter,
        help: "batches written",
    },
    Metric {
        member: "writes.operations",
        name: "esker_writes_total",
        kind: Kind::Counter,
        help: "puts and deletes in them",
    },
    Metric {
        member: "writes.bytes",
        name: "esker_write_bytes_total",
        kind: Kind::Counter,
        help: "their bytes in packed form",
    },
    Metric {
        member: "writes.syncs",
        name: "esker_syncs_total",
        kind: Kind::Counter,
        help: "syncs of the log",
    },
    Metric { member: "reads.gets", name: "esker_gets_total", kind: Kind::Counter, help: "values looked for" },
    Metric { member: "reads.scans", name: "esker_scans_total", kind: Kind::Counter, help: "scans begun" },
    Metric {
        member: "flush.jobs",
        name: "esker_jobs_total{kind=\"flush\"}",
        kind: Kind::Counter,
        help: "flushes and compactions done",
    },
    Metric {
        member: "compaction.jobs",
        name: "esker_jobs_total{kind=\"compaction\"}",
        kind: Kind::Counter,
        help: "flushes and compactions done",
    },
    Metric {
        member: "flush.bytes_read",
        name: "esker_job_read_bytes_total{kind=\"flush\"}",
        kind: Kind::Counter,
        help: "bytes of tables that they have read",
    },
    Metric {
        member: "compaction.bytes_read",
        name: "esker_job_read_bytes_total{kind=\"compaction\"}",
        kind: Kind::Counter,
        help: "bytes of tables that they have read",
    },
    Metric {
        member: "flush.bytes_written",
        name: "esker_job_written_bytes_total{kind=\"flush\"}",
        kind: Kind::Counter,
        help: "bytes of tables that they have written",
    },
    Metric {
        member: "compaction.bytes_written",
        name: "esker_job_written_bytes_total{kind=\"compaction\"}",
        kind: Kind::Counter,
        help: "bytes of tables that they have written",
    },
    Metric {
        member: "compaction_moves",
        name: "esker_table_moves_total",
        kind: Kind::Counter,
        help: "tables moved to the next level without being read",
    },
    Metric {
        member: "entries_dropped",
        name: "esker_entries_dropped_total",
        kind: Kind::Counter,
        help: "entries that compaction left out since nobody could see them",
    },
    Metric {
        member: "write_amplification",
        name: "esker_write_amplification",
        kind: Kind::Gauge,
        help: "bytes written by flushes and compactions for each byte written by users",
    },
    Metric {
        member: "sealed_memtables",
        name: "esker_sealed_memtables",
        kind: Kind::Gauge,
        help: "memtables that wait for a flush",
    },
    Metric {
        member: "pending_bytes",
        name: "esker_pending_compaction_bytes",
        kind: Kind::Gauge,
        help: "about how many bytes compaction should move",
    },
    Metric {
        member: "stalled",
        name: "esker_stalled",
        kind: Kind::Gauge,
        help: "whether a write at this moment would wait for maintenance",
    },
    Metric {
        member: "slowdowns.*.count",
        name: "esker_slowdowns_total",
        kind: Kind::Counter,
        help: "slices of maintenance that writes did beyond their share since it was behind, by the reason",
    },
    Metric {
        member: "slowdowns.*.micros",
        name: "esker_slowdown_seconds_total",
        kind: Kind::Counter,
        help: "how long these took in all",
    },
    Metric {
        member: "slowdowns.*.micros_max",
        name: "esker_slowdown_longest_seconds",
        kind: Kind::Gauge,
        help: "how long the longest took",
    },
    Metric {
        member: "stalls.*.count",
        name: "esker_stalls_total",
        kind: Kind::Counter,
        help: "writes that had to wait, by the reason",
    },
    Metric {
        member: "stalls.*.micros",
        name: "esker_stall_seconds_total",
        kind: Kind::Counter,
        help: "how long they waited in all",
    },
    Metric {
        member: "stalls.*.micros_max",
        name: "esker_stall_longest_seconds",
        kind: Kind::Gauge,
        help: "how long the longest waited",
    },
    Metric {
        member: "jobs.under_way[].input_bytes",
        name: "esker_job_input_bytes",
        kind: Kind::Gauge,
        help: "the bytes that a job under way reads",
    },
    Metric {
        member: "jobs.done_by_workers",
        name: "esker_worker_jobs_total",
        kind: Kind::Counter,
        help: "jobs that workers have done, clean-ups included",
    },
    Metric {
        member: "jobs.failed",
        name: "esker_job_failures_total",
        kind: Kind::Counter,
        help: "jobs that have failed; each was begun again",
    },
    Metric {
        member: "obsolete_tables",
        name: "esker_obsolete_tables",
        kind: Kind::Gauge,
        help: "tables that are no longer live and wait for the last cursor that reads them, or for their removal",
    },
    Metric {
        member: "dropped_buckets",
        name: "esker_dropped_buckets",
        kind: Kind::Gauge,
        help: "buckets that were dropped and of which there may still be keys on disk",
    },
    Metric {
        member: "maintenance_failure",
        name: "esker_maintenance_failing",
        kind: Kind::Gauge,
        help: "whether the last flush or compaction has failed; in JSON `null`, or why. It is tried again",
    },
    Metric {
        member: "directory_sync",
        name: "esker_directory_sync",
        kind: Kind::Gauge,
        help: "whether the component's host makes created and removed files durable: if not, a power cut may take a new file's name away, whatever was acknowledged. `null` before it was tried",
    },
    Metric {
        member: "pace.bytes_written",
        name: "esker_writer_bytes_total",
        kind: Kind::Counter,
        help: "bytes of keys and values that writers have brought",
    },
    Metric {
        member: "pace.nanos_a_kib",
        name: "esker_write_delay_seconds_per_kib",
        kind: Kind::Gauge,
        help: "how long writers wait for each KiB at this moment; 0 while maintenance keeps up",
    },
    Metric {
        member: "pace.waits.*.count",
        name: "esker_write_delays_total",
        kind: Kind::Counter,
        help: "how often writers were slowed while workers were behind, by the reason",
    },
    Metric {
        member: "pace.waits.*.micros",
        name: "esker_write_delay_seconds_total",
        kind: Kind::Counter,
        help: "how long they were slowed in all",
    },
    Metric {
        member: "pace.waits.*.micros_max",
        name: "esker_write_delay_longest_seconds",
        kind: Kind::Gauge,
        help: "how long the longest was slowed",
    },
    Metric {
        member: "readers.opened",
        name: "esker_readers_opened_total",
        kind: Kind::Counter,
        help: "readers behind the store that were opened",
    },
    Metric {
        member: "readers.given_up",
        name: "esker_readers_given_up_total",
        kind: Kind::Counter,
        help: "readers that have failed: the primary answers in their place, and another is opened a second later",
    },
    Metric {
        member: "latency.*",
        name: "esker_operation_seconds",
        kind: Kind::Histogram,
        help: "how long calls took, by the operation",
    },
    Metric { member: "uptime_micros", name: "esker_uptime_seconds", kind: Kind::Gauge, help: "for how long" },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table in docs/stats.md: member and metric.
    fn documented() -> Vec<(String, String)> {
        let text = include_str!("../../../../docs/stats.md");
        let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            Some((cell(cells.next()?), cell(cells.next()?)))
        };
        text.lines().filter_map(row).collect()
    }

    #[test]
    fn the_documentation_names_every_metric_and_no_other() {
        let documented: Vec<_> = documented().into_iter().filter(|(_, metric)| metric != "-").collect();
        let known: Vec<_> =
            METRICS.iter().map(|metric| (metric.member.to_owned(), metric.name.to_owned())).collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in METRICS {
            let name = metric.name.split('{').next().expect("a name");
            assert!(
                name.starts_with("esker_")
                    && name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit()),
                "{name}"
            );
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            let micros = metric.member.contains("micros")
                || metric.member.contains("nanos")
                || metric.kind == Kind::Histogram;
            assert_eq!(micros, name.contains("seconds"), "{name}");
        }
        let names: Vec<_> = METRICS.iter().map(|metric| metric.name.split('{').next()).collect();
        let mut apart = names.clone();
        apart.dedup();
        let together = apart.len();
        apart.sort_unstable();
        apart.dedup();
        assert_eq!(apart.len(), together, "those of one name stand together");
    }
}
