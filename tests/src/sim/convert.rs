//! Every type that crosses the border, turned from the engine's into the WIT's and back.

use esker_engine::base::batch::Operation;
use esker_engine::base::coding::Decoder;
use esker_engine::{
    BackPressure, Batch, Bucket, Checkpoint, Compression, Condition, Durability, Error, ErrorKind, Expected,
    Key, KeyRange, Kinds, Options, Pressure, Progress, RecoveryMode, ScanOptions, Strategy, Verification,
    WaitReason,
};

use super::bindings::esker::kv::types as wit;
use super::bindings::exports::esker::kv::maintenance;
use crate::platform::Entry;

pub(super) fn error(error: wit::Error) -> Error {
    match error {
        wit::Error::InvalidArgument(message) => Error::new(ErrorKind::InvalidArgument, message),
        wit::Error::Busy(message) => Error::new(ErrorKind::Busy, message),
        wit::Error::Reopen(message) => Error::new(ErrorKind::Reopen, message),
        wit::Error::NoSpace(message) => Error::new(ErrorKind::NoSpace, message),
        wit::Error::Corrupt(at) => Error::corrupt(at.file, at.offset, at.message),
        wit::Error::CannotOpen(message) => Error::new(ErrorKind::CannotOpen, message),
        wit::Error::NoSuchBucket(message) => Error::new(ErrorKind::NoSuchBucket, message),
        wit::Error::AccessDenied(message) => panic!("a store denies nobody anything: {message}"),
        wit::Error::ConditionFailed(places) => panic!("this write had no conditions, {places:?} failed"),
        wit::Error::Io(message) => Error::new(ErrorKind::Io, message),
        wit::Error::Bug(message) => Error::new(ErrorKind::Bug, message),
    }
}

pub(super) fn options(from: &Options) -> wit::Options {
    wit::Options {
        create_if_missing: Some(from.create_if_missing),
        error_if_exists: Some(from.error_if_exists),
        recovery: Some(match from.recovery {
            RecoveryMode::SkipCorrupted => wit::RecoveryMode::SkipCorrupted,
            RecoveryMode::PointInTime => wit::RecoveryMode::PointInTime,
            RecoveryMode::TolerateTornTail => wit::RecoveryMode::TolerateTornTail,
            RecoveryMode::Absolute => wit::RecoveryMode::Absolute,
        }),
        memory_bytes: Some(from.memory_bytes),
        memtable_bytes: from.memtable_bytes,
        memtable_min_bytes: from.memtable_min_bytes,
        memtable_entries: from.memtable_entries,
        cache_bytes: from.cache_bytes,
        wal_segment_bytes: Some(from.wal_segment_bytes),
        wal_segments_kept: Some(from.wal_segments_kept),
        deferred_bytes: Some(from.deferred_bytes),
        deferred_millis: Some(from.deferred_millis),
        block_bytes: Some(from.block_bytes),
        bloom_bits: Some(from.bloom_bits),
        compression: Some(match from.compression {
            Compression::None => wit::Compression::None,
            Compression::Lz4 => wit::Compression::Lz4,
        }),
        table_bytes: Some(from.table_bytes),
        level0_trigger: Some(from.level0_trigger),
        level0_slow: from.level0_slow,
        level0_stop: Some(from.level0_stop),
        level1_bytes: from.level1_bytes,
        tombstone_percent: Some(from.tombstone_percent),
        strategy: Some(match from.strategy {
            Strategy::Levelled => wit::Strategy::Levelled,
            Strategy::SizeTiered => wit::Strategy::SizeTiered,
        }),
    }
}

pub(super) fn durability(from: Durability) -> wit::Durability {
    match from {
        Durability::Deferred => wit::Durability::Deferred,
        Durability::Buffered => wit::Durability::Buffered,
        Durability::Synced => wit::Durability::Synced,
    }
}

pub(super) fn key_range(from: &KeyRange) -> wit::KeyRange {
    wit::KeyRange { start: from.start.clone(), end: from.end.clone() }
}

pub(super) fn scan_options(from: ScanOptions) -> wit::ScanOptions {
    wit::ScanOptions { reverse: from.reverse, keys_only: from.keys_only, limit: from.limit }
}

pub(super) fn kinds(from: Kinds) -> maintenance::JobKinds {
    let kind = |wanted: bool, kind| if wanted { kind } else { maintenance::JobKinds::empty() };
    kind(from.flush, maintenance::JobKinds::FLUSH)
        | kind(from.compaction, maintenance::JobKinds::COMPACTION)
        | kind(from.clean_up, maintenance::JobKinds::CLEAN_UP)
}

pub(super) fn checkpoint(from: maintenance::Checkpoint) -> Checkpoint {
    let files =
        |files: Vec<maintenance::StateFile>| files.into_iter().map(|file| (file.name, file.bytes)).collect();
    Checkpoint {
        sequence: from.sequence,
        manifest: (from.manifest_name, from.manifest_bytes),
        tables: files(from.tables),
        segments: files(from.segments),
    }
}

/// A batch in the readable form.
pub(super) fn operations(batch: &Batch) -> Vec<wit::Operation> {
    let operation = |operation: Operation<'_>| {
        let (user_key, value) = match operation {
            Operation::Put { user_key, value } => (user_key, Some(value.to_vec())),
            Operation::Delete { user_key } => (user_key, None),
        };
        let key = Key::of_user_key(user_key).expect("a batch has keys in buckets");
        wit::Operation { bucket: key.bucket.number(), key: key.bytes.to_vec(), value }
    };
    batch.operations().map(operation).collect()
}

pub(super) fn condition(from: &Condition<'_>) -> wit::Condition {
    wit::Condition {
        bucket: from.key.bucket.number(),
        key: from.key.bytes.to_vec(),
        expected: match from.expected {
            Expected::Absent => wit::Expected::Absent,
            Expected::Equals(value) => wit::Expected::Equals(value.to_vec()),
            Expected::UnchangedSince(sequence) => wit::Expected::UnchangedSince(sequence),
        },
    }
}

pub(super) fn buckets(from: Vec<wit::BucketInfo>) -> Vec<(Bucket, String)> {
    from.into_iter().map(|bucket| (Bucket::new(bucket.number), bucket.name)).collect()
}

pub(super) fn pressure(from: maintenance::Pressure) -> Pressure {
    Pressure {
        level0_tables: from.level0_tables,
        sealed_memtables: from.sealed_memtables,
        pending_bytes: from.pending_bytes,
        stalled: from.stalled,
        back_pressure: from.back_pressure.map(|behind| BackPressure {
            reason: match behind.reason {
                maintenance::WaitReason::Memtables => WaitReason::Memtables,
                maintenance::WaitReason::Level0 => WaitReason::Level0,
            },
            percent: behind.percent,
        }),
    }
}

pub(super) fn progress(from: maintenance::Progress) -> Progress {
    Progress { bytes: from.bytes, more: from.more }
}

pub(super) fn verification(from: maintenance::Verification) -> Verification {
    Verification { files: from.files, bytes: from.bytes, entries: from.entries, problems: from.problems }
}

/// A page in packed form, as `next-packed` gives it.
pub(super) fn page(packed: &[u8], keys_only: bool) -> Vec<Entry> {
    let mut decoder = Decoder::new(packed);
    let mut entries = Vec::new();
    while !decoder.is_empty() {
        let key = decoder.bytes().expect("a packed page is whole").to_vec();
        let value =
            if keys_only { Vec::new() } else { decoder.bytes().expect("a packed page is whole").to_vec() };
        entries.push((key, value));
    }
    entries
}
