//! Frames: calls that travel together, and their answers, as bytes.
//!
//! A page packs the calls that it makes without waiting into one frame; the answers come back in one frame, in the same
//! order. `js/calls.js` is the other side; the two are of one build, so there is no version. Lengths and numbers are
//! varints, `bytes` a varint and so many bytes, a `key` the bytes of a bucket's number and the key in it, as in a packed
//! batch (docs/format.md).
//!
//! ```text
//! call    = 1 put: durability u8, key, value bytes              answer  = 0, then what the call gives
//!         | 2 delete: durability u8, key                                | 1, code bytes, message bytes,
//!         | 3 write: durability u8, packed batch bytes                      file bytes, offset,
//!                                                                           count, failed condition ...
//!         | 4 get: snapshot, key                                gives   presence u8, then value bytes
//!         | 5 get many: snapshot, count, key ...                        count, then each as for get
//!         | 6 scan: snapshot, bucket, flags u8, limit, bytes ...        cursor or 0 at the end, page bytes
//!         | 7 page: cursor                                              as for scan
//!         | 8 close cursor: cursor                                      nothing
//!         | 9 snapshot                                                  snapshot
//!         | 10 release: snapshot                                        nothing
//!         | 11 sync                                                     nothing
//!         | 12 stats | 13 recovery report | 14 verify                   JSON bytes
//!         | 15 write if: durability u8, packed batch bytes,             nothing
//!               count, condition ...
//!         | 16 increment: durability u8, key, delta in digits bytes     sum in digits bytes
//!         | 17 get with sequence: key                                   presence u8, then value bytes, sequence
//!         | 18 create bucket: name bytes                                number
//!         | 19 drop bucket: name bytes                                  whether there was one u8
//!         | 20 buckets: snapshot                                        count, then each number, name bytes
//!
//! condition = key, 0 absent | key, 1 equals: value bytes | key, 2 unchanged since: sequence
//! ```
//!
//! Snapshot 0 is the latest state. A limit is the number and one, or 0 for none. The flags of a scan: 1 reverse,
//! 2 keys only, 4 a prefix follows, or else 8 a start follows, 16 an end follows. A page is each entry's key bytes,
//! without the bucket, and, unless the scan is of keys only, value bytes.

use crate::call_error::{CallError, Result};
use esker_engine::base::coding::{Decoder, put_bytes, put_varint};
use esker_engine::{Bucket, Condition, Durability, Expected, Key, KeyRange, ScanOptions};

/// A call.
#[derive(Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Set a key.
    Put(Durability, Key<'a>, &'a [u8]),
    /// Remove a key.
    Delete(Durability, Key<'a>),
    /// Apply a packed batch.
    Write(Durability, &'a [u8]),
    /// One value of a state.
    Get(u64, Key<'a>),
    /// Many values of a state.
    GetMany(u64, Vec<Key<'a>>),
    /// Begin to read a range of a state.
    Scan(u64, KeyRange, ScanOptions),
    /// Go on with a scan.
    Page(u64),
    /// End a scan.
    CloseCursor(u64),
    /// Pin the latest state.
    Snapshot,
    /// Let go of a state.
    Release(u64),
    /// Make everything durable.
    Sync,
    /// Figures.
    Stats,
    /// What recovery found.
    Report,
    /// Check everything.
    Verify,
    /// Apply a packed batch if conditions hold.
    WriteIf(Durability, &'a [u8], Vec<Condition<'a>>),
    /// Add to a number in decimal digits; so is what is added.
    Increment(Durability, Key<'a>, &'a [u8]),
    /// A value of the latest state, and when it was written.
    GetWithSequence(Key<'a>),
    /// Make a bucket, if there is none of this name.
    CreateBucket(&'a str),
    /// Drop a bucket.
    DropBucket(&'a str),
    /// The buckets of a state.
    Buckets(u64),
}

/// What a call gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing but that it is done.
    Done,
    /// A value, or its absence.
    Value(Option<Vec<u8>>),
    /// Several.
    Values(Vec<Option<Vec<u8>>>),
    /// A value and its sequence number, or their absence.
    Versioned(Option<(Vec<u8>, u64)>),
    /// A cursor (0 where the scan has ended) and a page.
    Page(u64, Vec<u8>),
    /// A snapshot, or a bucket.
    Number(u64),
    /// Yes or no.
    Truth(bool),
    /// JSON, or digits.
    Text(String),
    /// Buckets with their names.
    Buckets(Vec<(Bucket, String)>),
    /// Why there is no answer.
    Failed(CallError),
}

/// The calls of a frame, in order.
#[derive(Debug)]
pub struct Calls<'a>(Decoder<'a>);

impl<'a> Calls<'a> {
    /// The calls in `frame`.
    pub fn new(frame: &'a [u8]) -> Self {
        Self(Decoder::new(frame))
    }

    fn decode(&mut self) -> Option<Call<'a>> {
        let decoder = &mut self.0;
        Some(match decoder.u8()? {
            1 => Call::Put(durability(decoder)?, key(decoder)?, decoder.bytes()?),
            2 => Call::Delete(durability(decoder)?, key(decoder)?),
            3 => Call::Write(durability(decoder)?, decoder.bytes()?),
            4 => Call::Get(decoder.varint()?, key(decoder)?),
            5 => {
                let (snapshot, count) = (decoder.varint()?, decoder.varint()?);
                Call::GetMany(snapshot, (0..count).map(|_| key(decoder)).collect::<Option<_>>()?)
            }
            6 => {
                let (snapshot, bucket) = (decoder.varint()?, Bucket::new(decoder.varint32()?));
                let (flags, limit) = (decoder.u8()?, decoder.varint()?);
                let mut next = |flag| if flags & flag == 0 { Some(&[][..]) } else { decoder.bytes() };
                let (first, second) = (next(4 | 8)?, next(16)?);
                let (range, options) = scan(bucket, flags, limit.checked_sub(1), first, second);
                Call::Scan(snapshot, range, options)
            }
            7 => Call::Page(decoder.varint()?),
            8 => Call::CloseCursor(decoder.varint()?),
            9 => Call::Snapshot,
            10 => Call::Release(decoder.varint()?),
            11 => Call::Sync,
            12 => Call::Stats,
            13 => Call::Report,
            14 => Call::Verify,
            15 => {
                let (durability, packed) = (durability(decoder)?, decoder.bytes()?);
                let count = decoder.varint()?;
                Call::WriteIf(
                    durability,
                    packed,
                    (0..count).map(|_| condition(decoder)).collect::<Option<_>>()?,
                )
            }
            16 => Call::Increment(durability(decoder)?, key(decoder)?, decoder.bytes()?),
            17 => Call::GetWithSequence(key(decoder)?),
            18 => Call::CreateBucket(str::from_utf8(decoder.bytes()?).ok()?),
            19 => Call::DropBucket(str::from_utf8(decoder.bytes()?).ok()?),
            20 => Call::Buckets(decoder.varint()?),
            _ => return None,
        })
    }
}

impl<'a> Iterator for Calls<'a> {
    type Item = Result<Call<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let call = self.decode().ok_or_else(|| {
            self.0 = Decoder::new(&[]);
            CallError::new("bug", "a frame is malformed: are the JavaScript and the wasm of one build?")
        });
        Some(call)
    }
}

/// What a scan reads: `first` is its prefix or its start, `second` its end, as far as the flags say that it has them.
pub fn scan(
    bucket: Bucket,
    flags: u8,
    limit: Option<u64>,
    first: &[u8],
    second: &[u8],
) -> (KeyRange, ScanOptions) {
    let given = |flag, bytes: &[u8]| (flags & flag != 0).then(|| bytes.to_vec());
    let range = match flags & 4 {
        0 => KeyRange { start: given(8, first), end: given(16, second) },
        _ => KeyRange::prefix(first),
    };
    (range, ScanOptions { bucket, reverse: flags & 1 != 0, keys_only: flags & 2 != 0, limit })
}

fn key<'a>(decoder: &mut Decoder<'a>) -> Option<Key<'a>> {
    Key::of_user_key(decoder.bytes()?)
}

fn condition<'a>(decoder: &mut Decoder<'a>) -> Option<Condition<'a>> {
    let key = key(decoder)?;
    let expected = match decoder.u8()? {
        0 => Expected::Absent,
        1 => Expected::Equals(decoder.bytes()?),
        2 => Expected::UnchangedSince(decoder.varint()?),
        _ => return None,
    };
    Some(Condition { key, expected })
}

fn durability(decoder: &mut Decoder<'_>) -> Option<Durability> {
    match decoder.u8()? {
        0 => Some(Durability::Deferred),
        1 => Some(Durability::Buffered),
        2 => Some(Durability::Synced),
        _ => None,
    }
}

/// The frame of the answers.
pub fn encode(answers: &[Answer]) -> Vec<u8> {
    let mut out = Vec::with_capacity(answers.len() * 2);
    for answer in answers {
        answer.encode(&mut out);
    }
    out
}

impl Answer {
    fn encode(&self, out: &mut Vec<u8>) {
        if let Self::Failed(error) = self {
            let (file, offset) =
                error.place.as_ref().map_or(("", 0), |(file, offset)| (file.as_str(), *offset));
            out.push(1);
            put_bytes(out, error.code.as_bytes());
            put_bytes(out, error.message.as_bytes());
            put_bytes(out, file.as_bytes());
            put_varint(out, offset);
            put_varint(out, error.failed.len() as u64);
            error.failed.iter().for_each(|&place| put_varint(out, place as u64));
            return;
        }
        out.push(0);
        match self {
            Self::Done | Self::Failed(_) => {}
            Self::Value(value) => put_value(out, value.as_deref()),
            Self::Values(values) => {
                put_varint(out, values.len() as u64);
                values.iter().for_each(|value| put_value(out, value.as_deref()));
            }
            Self::Versioned(versioned) => {
                put_value(out, versioned.as_ref().map(|(value, _)| &value[..]));
                if let Some((_, sequence)) = versioned {
                    put_varint(out, *sequence);
                }
            }
            Self::Page(cursor, page) => {
                put_varint(out, *cursor);
                put_bytes(out, page);
            }
            Self::Number(number) => put_varint(out, *number),
            Self::Truth(truth) => out.push(u8::from(*truth)),
            Self::Text(text) => put_bytes(out, text.as_bytes()),
            Self::Buckets(buckets) => {
                put_varint(out, buckets.len() as u64);
                for (bucket, name) in buckets {
                    put_varint(out, bucket.number().into());
                    put_bytes(out, name.as_bytes());
                }
            }
        }
    }
}

fn put_value(out: &mut Vec<u8>, value: Option<&[u8]>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put_bytes(out, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_in_order() {
        let frame = [
            &[1, 2, 2, 0, b'a', 1, b'x'][..],
            &[6, 0, 7, 3, 11],
            &[7, 9],
            &[15, 1, 3, 0, 1, b'b', 1, 2, 7, b'c', 2, 5],
        ];
        let frame = frame.concat();
        let calls: Vec<_> = Calls::new(&frame).map(|call| call.expect("sound")).collect();
        let bucket = Bucket::new(7);
        let options = ScanOptions { bucket, reverse: true, keys_only: true, limit: Some(10) };
        let unchanged = Condition { key: (bucket, b"c").into(), expected: Expected::UnchangedSince(5) };
        let expected = [
            Call::Put(Durability::Synced, Key::from(b"a"), b"x"),
            Call::Scan(0, KeyRange::all(), options),
            Call::Page(9),
            Call::WriteIf(Durability::Buffered, &[0, 1, b'b'], vec![unchanged]),
        ];
        assert_eq!(calls, expected);
    }

    #[test]
    fn a_malformed_frame_ends_in_an_error() {
        let frames = [
            &[0][..],
            &[1, 3, 2, 0, b'a', 0],
            // A key without a bucket's number, and one cut short.
            &[4, 0, 0],
            &[4, 0, 2, 240, 1],
            &[5, 0, 200, 2, 0, b'a'],
            // A scan whose flags ask for a start and an end, which it does not have.
            &[6, 0, 0, 24, 0, 1, b'b'],
            &[15, 2, 0, 1, 2, 0, b'a', 3],
            &[18, 1, 0xff],
            &[99],
        ];
        for frame in frames {
            let calls: Vec<_> = Calls::new(frame).collect();
            assert_eq!(
                calls.last().and_then(|call| call.as_ref().err()).map(|error| error.code),
                Some("bug")
            );
        }
    }
}
