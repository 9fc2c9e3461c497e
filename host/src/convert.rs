//! Every type that crosses the border, turned from the contract's into the host's and back. No decisions here.

use crate::backup::{Checkpoint, StateFile};
use crate::bindings::esker::kv::types as wit;
use crate::bindings::exports::esker::kv::maintenance as wit_maintenance;
use crate::bucket::{Bucket, BucketInfo};
use crate::condition::{Condition, Expected};
use crate::error::{Corruption, Error};
use crate::job::{Job, JobKind};
use crate::options::{
    BackPressure, Compression, Durability, JobKinds, KeyRange, Options, Pressure, Progress, RecoveryMode,
    ScanOptions, Strategy, Verification, WaitReason,
};

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::InvalidArgument(message) => Self::InvalidArgument(message),
            wit::Error::Busy(message) => Self::Busy(message),
            wit::Error::Reopen(message) => Self::Reopen(message),
            wit::Error::NoSpace(message) => Self::NoSpace(message),
            wit::Error::Corrupt(at) => {
                Self::Corrupt(Corruption { file: at.file, offset: at.offset, message: at.message })
            }
            wit::Error::CannotOpen(message) => Self::CannotOpen(message),
            wit::Error::NoSuchBucket(message) => Self::NoSuchBucket(message),
            wit::Error::AccessDenied(message) => Self::AccessDenied(message),
            wit::Error::ConditionFailed(places) => {
                Self::ConditionFailed(places.into_iter().map(|place| place as usize).collect())
            }
            wit::Error::Io(message) => Self::Io(message),
            wit::Error::Bug(message) => Self::Bug(message),
        }
    }
}

pub(crate) fn options(from: &Options) -> wit::Options {
    wit::Options {
        create_if_missing: from.create_if_missing,
        error_if_exists: from.error_if_exists,
        recovery: from.recovery.map(recovery_mode),
        memory_bytes: from.memory_bytes,
        memtable_bytes: from.memtable_bytes,
        memtable_min_bytes: from.memtable_min_bytes,
        memtable_entries: from.memtable_entries,
        cache_bytes: from.cache_bytes,
        wal_segment_bytes: from.wal_segment_bytes,
        wal_segments_kept: from.wal_segments_kept,
        deferred_bytes: from.deferred_bytes,
        deferred_millis: from.deferred_millis,
        block_bytes: from.block_bytes,
        bloom_bits: from.bloom_bits,
        compression: from.compression.map(compression),
        table_bytes: from.table_bytes,
        level0_trigger: from.level0_trigger,
        level0_slow: from.level0_slow,
        level0_stop: from.level0_stop,
        level1_bytes: from.level1_bytes,
        tombstone_percent: from.tombstone_percent,
        strategy: from.strategy.map(strategy),
    }
}

pub(crate) fn job_kinds(from: JobKinds) -> wit_maintenance::JobKinds {
    let all = [
        (from.flush, wit_maintenance::JobKinds::FLUSH),
        (from.compaction, wit_maintenance::JobKinds::COMPACTION),
        (from.clean_up, wit_maintenance::JobKinds::CLEAN_UP),
    ];
    let wanted = all.into_iter().filter(|(wanted, _)| *wanted);
    wanted.fold(wit_maintenance::JobKinds::empty(), |kinds, (_, kind)| kinds | kind)
}

fn strategy(from: Strategy) -> wit::Strategy {
    match from {
        Strategy::Levelled => wit::Strategy::Levelled,
        Strategy::SizeTiered => wit::Strategy::SizeTiered,
    }
}

fn recovery_mode(from: RecoveryMode) -> wit::RecoveryMode {
    match from {
        RecoveryMode::SkipCorrupted => wit::RecoveryMode::SkipCorrupted,
        RecoveryMode::PointInTime => wit::RecoveryMode::PointInTime,
        RecoveryMode::TolerateTornTail => wit::RecoveryMode::TolerateTornTail,
        RecoveryMode::Absolute => wit::RecoveryMode::Absolute,
    }
}

fn compression(from: Compression) -> wit::Compression {
    match from {
        Compression::None => wit::Compression::None,
        Compression::Lz4 => wit::Compression::Lz4,
    }
}

pub(crate) fn durability(from: Durability) -> wit::Durability {
    match from {
        Durability::Deferred => wit::Durability::Deferred,
        Durability::Buffered => wit::Durability::Buffered,
        Durability::Synced => wit::Durability::Synced,
    }
}

pub(crate) fn condition(from: &Condition<'_>) -> wit::Condition {
    let expected = match from.expected {
        Expected::Absent => wit::Expected::Absent,
        Expected::Equals(value) => wit::Expected::Equals(value.to_vec()),
        Expected::UnchangedSince(sequence) => wit::Expected::UnchangedSince(sequence),
    };
    wit::Condition { bucket: from.key.bucket.number(), key: from.key.bytes.to_vec(), expected }
}

pub(crate) fn versioned(from: wit::Versioned) -> (Vec<u8>, u64) {
    (from.value, from.sequence)
}

pub(crate) fn bucket_info(from: wit::BucketInfo) -> BucketInfo {
    BucketInfo { bucket: Bucket::new(from.number), name: from.name }
}

pub(crate) fn key_range(from: KeyRange) -> wit::KeyRange {
    wit::KeyRange { start: from.start, end: from.end }
}

pub(crate) fn scan_options(from: ScanOptions) -> wit::ScanOptions {
    wit::ScanOptions { reverse: from.reverse, keys_only: from.keys_only, limit: from.limit }
}

pub(crate) fn entry(from: wit::Entry) -> (Vec<u8>, Vec<u8>) {
    (from.key, from.value)
}

pub(crate) fn pressure(from: wit_maintenance::Pressure) -> Pressure {
    Pressure {
        level0_tables: from.level0_tables,
        sealed_memtables: from.sealed_memtables,
        pending_bytes: from.pending_bytes,
        stalled: from.stalled,
        back_pressure: from.back_pressure.map(back_pressure),
    }
}

fn back_pressure(from: wit_maintenance::BackPressure) -> BackPressure {
    let reason = match from.reason {
        wit_maintenance::WaitReason::Memtables => WaitReason::Memtables,
        wit_maintenance::WaitReason::Level0 => WaitReason::Level0,
    };
    BackPressure { reason, percent: from.percent }
}

pub(crate) fn progress(from: wit_maintenance::Progress) -> Progress {
    Progress { bytes: from.bytes, more: from.more }
}

pub(crate) fn job(from: wit_maintenance::Job) -> Job {
    Job {
        id: from.id,
        kind: match from.kind {
            wit_maintenance::JobKind::Flush => JobKind::Flush,
            wit_maintenance::JobKind::Compaction => JobKind::Compaction,
            wit_maintenance::JobKind::CleanUp => JobKind::CleanUp,
        },
        reason: from.reason,
        level: from.level,
        input_bytes: from.input_bytes,
        inputs: from.inputs,
        outputs: from.outputs,
        removals: from.removals,
        bytes: from.bytes,
    }
}

pub(crate) fn checkpoint(from: wit_maintenance::Checkpoint) -> Checkpoint {
    let files = |files: Vec<wit_maintenance::StateFile>| {
        files.into_iter().map(|file| StateFile { name: file.name, bytes: file.bytes }).collect()
    };
    Checkpoint {
        sequence: from.sequence,
        manifest: (from.manifest_name, from.manifest_bytes),
        tables: files(from.tables),
        segments: files(from.segments),
    }
}

pub(crate) fn verification(from: wit_maintenance::Verification) -> Verification {
    Verification { files: from.files, bytes: from.bytes, entries: from.entries, problems: from.problems }
}
