//! Every type that crosses the border, turned from the WIT's into the engine's and back. No decisions here.

use crate::bindings::esker::kv::types as wit;
use crate::bindings::exports::esker::kv::maintenance as wit_maintenance;
use esker_engine as engine;
use esker_engine::ErrorKind;

/// The engine's error as the WIT's.
pub fn error(error: engine::Error) -> wit::Error {
    let message = error.message().to_string();
    match error.kind() {
        ErrorKind::InvalidArgument => wit::Error::InvalidArgument(message),
        ErrorKind::Busy => wit::Error::Busy(message),
        ErrorKind::Reopen => wit::Error::Reopen(message),
        ErrorKind::NoSpace => wit::Error::NoSpace(message),
        ErrorKind::Corrupt(at) => {
            wit::Error::Corrupt(wit::Corruption { file: at.file.clone(), offset: at.offset, message })
        }
        ErrorKind::CannotOpen => wit::Error::CannotOpen(message),
        ErrorKind::NoSuchBucket => wit::Error::NoSuchBucket(message),
        // Absence of a file that the engine looks for is answered inside the engine; what comes up here is a file
        // that vanished or appeared behind its back.
        ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Io => wit::Error::Io(message),
        ErrorKind::Bug => wit::Error::Bug(message),
    }
}

/// The kinds of jobs that somebody takes.
pub fn kinds(from: wit_maintenance::JobKinds) -> engine::Kinds {
    engine::Kinds {
        flush: from.contains(wit_maintenance::JobKinds::FLUSH),
        compaction: from.contains(wit_maintenance::JobKinds::COMPACTION),
        clean_up: from.contains(wit_maintenance::JobKinds::CLEAN_UP),
    }
}

/// The options of a call to `open`; what is absent takes the engine's default.
pub fn options(from: wit::Options) -> engine::Options {
    let default = engine::Options::default();
    engine::Options {
        create_if_missing: from.create_if_missing.unwrap_or(default.create_if_missing),
        error_if_exists: from.error_if_exists.unwrap_or(default.error_if_exists),
        recovery: from.recovery.map_or(default.recovery, recovery_mode),
        memory_bytes: from.memory_bytes.unwrap_or(default.memory_bytes),
        memtable_bytes: from.memtable_bytes,
        memtable_min_bytes: from.memtable_min_bytes,
        memtable_entries: from.memtable_entries,
        cache_bytes: from.cache_bytes,
        wal_segment_bytes: from.wal_segment_bytes.unwrap_or(default.wal_segment_bytes),
        wal_segments_kept: from.wal_segments_kept.unwrap_or(default.wal_segments_kept),
        deferred_bytes: from.deferred_bytes.unwrap_or(default.deferred_bytes),
        deferred_millis: from.deferred_millis.unwrap_or(default.deferred_millis),
        block_bytes: from.block_bytes.unwrap_or(default.block_bytes),
        bloom_bits: from.bloom_bits.unwrap_or(default.bloom_bits),
        compression: from.compression.map_or(default.compression, compression),
        table_bytes: from.table_bytes.unwrap_or(default.table_bytes),
        level0_trigger: from.level0_trigger.unwrap_or(default.level0_trigger),
        level0_slow: from.level0_slow,
        level0_stop: from.level0_stop.unwrap_or(default.level0_stop),
        level1_bytes: from.level1_bytes,
        tombstone_percent: from.tombstone_percent.unwrap_or(default.tombstone_percent),
        strategy: from.strategy.map_or(default.strategy, strategy),
    }
}

fn strategy(from: wit::Strategy) -> engine::Strategy {
    match from {
        wit::Strategy::Levelled => engine::Strategy::Levelled,
        wit::Strategy::SizeTiered => engine::Strategy::SizeTiered,
    }
}

fn recovery_mode(from: wit::RecoveryMode) -> engine::RecoveryMode {
    match from {
        wit::RecoveryMode::SkipCorrupted => engine::RecoveryMode::SkipCorrupted,
        wit::RecoveryMode::PointInTime => engine::RecoveryMode::PointInTime,
        wit::RecoveryMode::TolerateTornTail => engine::RecoveryMode::TolerateTornTail,
        wit::RecoveryMode::Absolute => engine::RecoveryMode::Absolute,
    }
}

fn compression(from: wit::Compression) -> engine::Compression {
    match from {
        wit::Compression::None => engine::Compression::None,
        wit::Compression::Lz4 => engine::Compression::Lz4,
    }
}

/// How far a write goes.
pub fn durability(from: wit::Durability) -> engine::Durability {
    match from {
        wit::Durability::Deferred => engine::Durability::Deferred,
        wit::Durability::Buffered => engine::Durability::Buffered,
        wit::Durability::Synced => engine::Durability::Synced,
    }
}

/// The operations of a write as a batch.
pub fn batch(operations: Vec<wit::Operation>) -> engine::Batch {
    let mut batch = engine::Batch::new();
    for wit::Operation { bucket, key, value } in operations {
        match value {
            Some(value) => batch.put(in_bucket(bucket, &key), &value),
            None => batch.delete(in_bucket(bucket, &key)),
        }
    }
    batch
}

/// A key in a bucket.
pub fn in_bucket(bucket: wit::Bucket, key: &[u8]) -> engine::Key<'_> {
    (engine::Bucket::new(bucket), key).into()
}

/// What must be so for a write.
pub fn condition(from: &wit::Condition) -> engine::Condition<'_> {
    let expected = match &from.expected {
        wit::Expected::Absent => engine::Expected::Absent,
        wit::Expected::Equals(value) => engine::Expected::Equals(value),
        wit::Expected::UnchangedSince(sequence) => engine::Expected::UnchangedSince(*sequence),
    };
    engine::Condition { key: in_bucket(from.bucket, &from.key), expected }
}

/// What became of a conditional write.
pub fn conditional(outcome: engine::Result<engine::ConditionalWrite>) -> Result<u64, wit::Error> {
    match outcome.map_err(error)? {
        engine::ConditionalWrite::Written(sequence) => Ok(sequence),
        engine::ConditionalWrite::Failed(places) => {
            Err(wit::Error::ConditionFailed(places.into_iter().map(|place| place as u32).collect()))
        }
    }
}

/// A value with its sequence number.
pub fn versioned(found: Option<(Vec<u8>, u64)>) -> Option<wit::Versioned> {
    found.map(|(value, sequence)| wit::Versioned { value, sequence })
}

/// The number of the bucket that a catalogue has by this name.
pub fn bucket(catalogue: &engine::Catalogue, name: &str) -> Result<Option<wit::Bucket>, wit::Error> {
    catalogue.bucket(name).map(|found| found.map(engine::Bucket::number)).map_err(error)
}

/// All buckets of a catalogue.
pub fn buckets(catalogue: &engine::Catalogue) -> Result<Vec<wit::BucketInfo>, wit::Error> {
    let info = |(bucket, name): (engine::Bucket, &str)| wit::BucketInfo {
        number: bucket.number(),
        name: name.into(),
    };
    Ok(catalogue.buckets().map_err(error)?.map(info).collect())
}

/// The files of a state.
pub fn checkpoint(from: engine::Checkpoint) -> wit_maintenance::Checkpoint {
    let files = |files: Vec<(String, u64)>| {
        files.into_iter().map(|(name, bytes)| wit_maintenance::StateFile { name, bytes }).collect()
    };
    let (manifest_name, manifest_bytes) = from.manifest;
    wit_maintenance::Checkpoint {
        sequence: from.sequence,
        manifest_name,
        manifest_bytes,
        tables: files(from.tables),
        segments: files(from.segments),
    }
}

/// A range of keys.
pub fn key_range(from: wit::KeyRange) -> engine::KeyRange {
    engine::KeyRange { start: from.start, end: from.end }
}

/// How a range is read.
pub fn scan_options(bucket: wit::Bucket, from: wit::ScanOptions) -> engine::ScanOptions {
    let bucket = engine::Bucket::new(bucket);
    engine::ScanOptions { bucket, reverse: from.reverse, keys_only: from.keys_only, limit: from.limit }
}

/// What waits to be done.
pub fn pressure(from: engine::Pressure) -> wit_maintenance::Pressure {
    wit_maintenance::Pressure {
        level0_tables: from.level0_tables,
        sealed_memtables: from.sealed_memtables,
        pending_bytes: from.pending_bytes,
        stalled: from.stalled,
        back_pressure: from.back_pressure.map(back_pressure),
    }
}

fn back_pressure(from: engine::BackPressure) -> wit_maintenance::BackPressure {
    let reason = match from.reason {
        engine::WaitReason::Memtables => wit_maintenance::WaitReason::Memtables,
        engine::WaitReason::Level0 => wit_maintenance::WaitReason::Level0,
    };
    wit_maintenance::BackPressure { reason, percent: from.percent }
}

/// What a slice of maintenance did.
pub fn progress(from: engine::Progress) -> wit_maintenance::Progress {
    wit_maintenance::Progress { bytes: from.bytes, more: from.more }
}

/// A job, described and as bytes.
pub fn job(from: &engine::Job) -> wit_maintenance::Job {
    let kind = match from.work {
        engine::job::Work::Flush { .. } => wit_maintenance::JobKind::Flush,
        engine::job::Work::Compact { .. } => wit_maintenance::JobKind::Compaction,
        engine::job::Work::CleanUp { .. } => wit_maintenance::JobKind::CleanUp,
    };
    wit_maintenance::Job {
        id: from.id(),
        kind,
        reason: from.reason().into(),
        level: from.output_level() as u32,
        input_bytes: from.input_bytes(),
        inputs: from.input_names(),
        outputs: from.output_names(),
        removals: from.removal_names(),
        bytes: from.encode(),
    }
}

/// What a verification found.
pub fn verification(from: engine::Verification) -> wit_maintenance::Verification {
    wit_maintenance::Verification {
        files: from.files,
        bytes: from.bytes,
        entries: from.entries,
        problems: from.problems,
    }
}
