//! Frames: calls that travel together, and their answers, as bytes.
//!
//! A page packs the calls that it makes without waiting into one frame; the answers come back in one frame, in the same
//! order. `js/frame.js` is the other side; the two are of one build, so there is no version. Lengths and numbers are
//! varints, `bytes` a varint and so many bytes.
//!
//! ```text
//! call    = 1 put: durability u8, key bytes, value bytes        answer  = 0, then what the call gives
//!         | 2 delete: durability u8, key bytes                          | 1, code bytes, message bytes,
//!         | 3 write: durability u8, packed batch bytes                      file bytes, offset
//!         | 4 get: snapshot, key bytes                          gives   presence u8, then value bytes
//!         | 5 get many: snapshot, count, key bytes ...                  count, then each as for get
//!         | 6 scan: snapshot, flags u8, limit, range bytes ...          cursor or 0 at the end, page bytes
//!         | 7 page: cursor                                              as for scan
//!         | 8 close cursor: cursor                                      nothing
//!         | 9 snapshot                                                  snapshot
//!         | 10 release: snapshot                                        nothing
//!         | 11 sync                                                     nothing
//!         | 12 stats | 13 recovery report | 14 verify                   JSON bytes
//! ```
//!
//! Snapshot 0 is the latest state. A limit is the number and one, or 0 for none. The flags of a scan: 1 reverse,
//! 2 keys only, 4 a prefix follows, 8 a start follows, 16 an end follows. A page is each entry's key bytes and, unless
//! the scan is of keys only, value bytes.

use crate::call_error::{CallError, Result};
use esker_engine::base::coding::{Decoder, put_bytes, put_varint};
use esker_engine::{Durability, KeyRange, ScanOptions};

/// A call.
#[derive(Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Set a key.
    Put(Durability, &'a [u8], &'a [u8]),
    /// Remove a key.
    Delete(Durability, &'a [u8]),
    /// Apply a packed batch.
    Write(Durability, &'a [u8]),
    /// One value of a state.
    Get(u64, &'a [u8]),
    /// Many values of a state.
    GetMany(u64, Vec<&'a [u8]>),
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
    /// A cursor (0 where the scan has ended) and a page.
    Page(u64, Vec<u8>),
    /// A snapshot.
    Number(u64),
    /// JSON.
    Text(String),
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
            1 => Call::Put(durability(decoder.u8()?)?, decoder.bytes()?, decoder.bytes()?),
            2 => Call::Delete(durability(decoder.u8()?)?, decoder.bytes()?),
            3 => Call::Write(durability(decoder.u8()?)?, decoder.bytes()?),
            4 => Call::Get(decoder.varint()?, decoder.bytes()?),
            5 => {
                let (snapshot, count) = (decoder.varint()?, decoder.varint()?);
                Call::GetMany(snapshot, (0..count).map(|_| decoder.bytes()).collect::<Option<_>>()?)
            }
            6 => {
                let (snapshot, flags, limit) = (decoder.varint()?, decoder.u8()?, decoder.varint()?);
                let mut next = |flag| {
                    if flags & flag == 0 { Some(None) } else { Some(Some(decoder.bytes()?.to_vec())) }
                };
                let (prefix, start, end) = (next(4)?, next(8)?, next(16)?);
                let range = match prefix {
                    Some(prefix) => KeyRange::prefix(&prefix),
                    None => KeyRange { start, end },
                };
                let options = ScanOptions {
                    reverse: flags & 1 != 0,
                    keys_only: flags & 2 != 0,
                    limit: limit.checked_sub(1),
                    ..ScanOptions::default()
                };
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

fn durability(byte: u8) -> Option<Durability> {
    match byte {
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
            Self::Page(cursor, page) => {
                put_varint(out, *cursor);
                put_bytes(out, page);
            }
            Self::Number(number) => put_varint(out, *number),
            Self::Text(text) => put_bytes(out, text.as_bytes()),
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
            &[1, 2, 1, b'a', 1, b'x'][..],
            &[6, 0, 3, 11, 7, 9],
            &[6, 5, 12, 0, 1, b'b'],
            &[5, 0, 2, 1, b'a', 1, b'b'],
        ];
        let frame = frame.concat();
        // The second scan's flags ask for a prefix and a start, which it does not have: the frame ends there.
        let calls: Vec<_> = Calls::new(&frame[..12]).collect();
        assert_eq!(calls[0], Ok(Call::Put(Durability::Synced, b"a", b"x")));
        let options =
            ScanOptions { reverse: true, keys_only: true, limit: Some(10), ..ScanOptions::default() };
        assert_eq!(calls[1], Ok(Call::Scan(0, KeyRange::all(), options)));
        assert_eq!(calls[2], Ok(Call::Page(9)));
        assert_eq!(calls.len(), 3);
    }

    #[test]
    fn a_malformed_frame_ends_in_an_error() {
        for frame in [&[0][..], &[1, 3, 1, b'a', 0], &[4, 0], &[5, 0, 200, 1, b'a'], &[99]] {
            let calls: Vec<_> = Calls::new(frame).collect();
            assert_eq!(
                calls.last().and_then(|call| call.as_ref().err()).map(|error| error.code),
                Some("bug")
            );
        }
    }
}
