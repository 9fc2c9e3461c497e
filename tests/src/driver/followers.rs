//! Readers that follow the primary: what they see is always a moment of its life, never an earlier one than before,
//! and at least all that had been handed to the operating system when they looked.

use esker_engine::env::{File, Fs, ManualClock, MemFs};
use esker_engine::{Bucket, Checkpoint, Db, Key, KeyRange, Options, RecoveryMode, Result};

use super::buckets::expect_missing;
use super::reads::{assert_value, read_all, read_buckets};
use super::{Driver, round};
use crate::journal::{End, State, assert_same};
use crate::options;
use crate::platform::{Platform, Reader};
use crate::seed::Rng;

/// A reader, and how far it has seen.
pub(super) struct Follower<P: Platform> {
    reader: P::Reader,
    /// The last sequence number that it has seen.
    seen: u64,
}

/// A reader is asked for a checkpoint when it sees a write whose number this divides.
const CHECKPOINT_EVERY: u64 = 4;
/// So many readers are open at a time.
const READERS_MAX: usize = 3;

impl<P: Platform> Driver<P> {
    pub(super) fn open_reader(&mut self, seed: u64) -> Result<()> {
        let reader = self.platform.open_reader(&options::random(&mut Rng::new(seed)))?;
        self.readers.push(Follower { reader, seen: 0 });
        if self.readers.len() > READERS_MAX {
            self.readers.remove(0);
        }
        self.follow(self.readers.len() - 1, self.journal.handed_over(), &self.platform.clone())
    }

    pub(super) fn catch_up(&mut self, reader: usize) -> Result<()> {
        match round(reader, self.readers.len()) {
            Some(index) => self.follow(index, self.journal.handed_over(), &self.platform.clone()),
            None => Ok(()),
        }
    }

    /// Reads what the end of a process or machine has left on `platform`, before anybody recovers it. The reader goes
    /// on when a primary is back. Damage may be the reason why it reads nothing.
    pub fn look_before_recovery(&mut self, platform: &P, end: End) -> Result<()> {
        let least = match end {
            End::Kill => self.journal.handed_over(),
            End::PowerCut => self.journal.durable(),
        };
        let reader = platform.open_reader(&self.options)?;
        self.readers.push(Follower { reader, seen: 0 });
        self.follow(self.readers.len() - 1, least, platform)
    }

    /// Lets a reader catch up, and judges what it sees; at least so many writes must be seen.
    fn follow(&mut self, index: usize, least: usize, platform: &P) -> Result<()> {
        let Follower { reader, seen } = &mut self.readers[index];
        let sequence = reader.catch_up()?;
        assert!(sequence >= *seen, "a reader that has seen write {seen} goes back to {sequence}");
        let buckets = reader.buckets()?;
        let found = read_buckets(buckets, |options| reader.scan(&KeyRange::all(), options))?;
        let (writes, state) = self.journal.point(sequence, &found);
        assert!(writes >= least, "{least} writes were there to be seen, and a reader sees {writes}");
        *seen = sequence;

        assert_same(&found, &state, "in a reader");
        let buckets: Vec<Bucket> = state.buckets().map(|(bucket, _)| bucket).collect();
        for (bytes, &bucket) in self.keys.iter().step_by(3).zip(buckets.iter().cycle()) {
            let key = Key::from((bucket, bytes));
            assert_value(key, reader.get(key)?.as_deref(), state.get(bucket, bytes).map(AsRef::as_ref));
        }
        let missing =
            self.journal.missing_buckets().into_iter().find(|&bucket| state.entries(bucket).is_none());
        if let Some(bucket) = missing {
            expect_missing(reader.get(Key::from((bucket, b"key"))))?;
        }
        if sequence % CHECKPOINT_EVERY == 0 {
            let checkpoint = reader.checkpoint()?;
            assert_eq!(checkpoint.sequence, sequence, "a checkpoint is of what the reader sees");
            check_checkpoint(platform, &checkpoint, &state)?;
        }
        Ok(())
    }
}

/// A checkpoint's files are a store by themselves, with nothing damaged or torn, that holds what the reader saw.
fn check_checkpoint<P: Platform>(platform: &P, checkpoint: &Checkpoint, state: &State) -> Result<()> {
    let disk = MemFs::new();
    let put = |name: &str, bytes: &[u8]| {
        let mut file = disk.create(name).expect("each name is there once");
        file.append(bytes).expect("there is room");
        file.sync().expect("nothing fails in memory");
    };
    put(&checkpoint.manifest.0, &checkpoint.manifest.1);
    for (name, bytes) in checkpoint.tables.iter().chain(&checkpoint.segments) {
        let content = platform.read_file(name, *bytes)?;
        assert_eq!(content.len() as u64, *bytes, "{name} has all that belongs to the state");
        put(name, &content);
    }
    disk.sync_dir().expect("nothing fails in memory");
    let options =
        Options { recovery: RecoveryMode::Absolute, create_if_missing: false, ..Options::default() };
    let mut copy = Db::open(disk, ManualClock::new(), options).expect("a checkpoint is a sound store");
    assert_eq!(copy.last_sequence(), checkpoint.sequence);
    assert_same(&read_all(&mut copy)?, state, "in a checkpoint");
    Ok(())
}
