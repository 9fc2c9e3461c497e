//! Another primary takes the store over while the first is at work: the first must learn of it before it promises
//! anything, and whatever it still does must not harm the store.

use esker_engine::{Bucket, Durability, ErrorKind, Key, Result};

use super::buckets::name;
use super::{Driver, round};
use crate::history::{Place, StaleAct};
use crate::journal::End;
use crate::platform::{Platform, Store};
use crate::seed::Rng;

/// So many replaced primaries live on.
const STALE_MAX: usize = 2;
/// No history writes this value.
const STALE_VALUE: &[u8] = b"written by a primary that was replaced";

impl<P: Platform> Driver<P> {
    /// Opens the store beside its primary. What that had only deferred is lost, as if it had died.
    pub(super) fn take_over(&mut self, seed: u64) -> Result<()> {
        let old = self.store.take();
        let options = self.draw_options(&mut Rng::new(seed));
        self.restart(self.platform.clone(), options, End::Kill)?;
        self.stale.extend(old);
        if self.stale.len() > STALE_MAX {
            self.stale.remove(0);
        }
        self.check_all()
    }

    /// Lets a replaced primary do something. It may fail, and it need not; but it promises nothing any more.
    pub(super) fn act_as_stale(&mut self, which: usize, act: StaleAct) {
        let Some(index) = round(which, self.stale.len()) else { return };
        let key = |place: Place| (self.bucket(place.slot), self.keys[place.key].clone());
        // The numbers are those of today: it may not know them, or know them by another name.
        let (bucket, bytes) = match act {
            StaleAct::Put(place, _) | StaleAct::Delete(place) | StaleAct::Get(place) => key(place),
            _ => (Bucket::DEFAULT, Vec::new()),
        };
        let key = Key::from((bucket, &bytes));
        let store = &mut self.stale[index];
        let promises = match act {
            StaleAct::Put(_, Durability::Synced)
            | StaleAct::Sync
            | StaleAct::Close
            | StaleAct::CreateBucket => true,
            StaleAct::Put(..)
            | StaleAct::Delete(_)
            | StaleAct::FlushDeferred
            | StaleAct::Flush
            | StaleAct::Maintain
            | StaleAct::Compact
            | StaleAct::Get(_)
            | StaleAct::DropBucket(_) => false,
        };
        let done = match act {
            StaleAct::Put(_, durability) => store.put(key, STALE_VALUE, durability).map(drop),
            StaleAct::Delete(_) => store.delete(key, Durability::Buffered).map(drop),
            StaleAct::CreateBucket => store.create_bucket("made by a primary that was replaced").map(drop),
            StaleAct::DropBucket(slot) => store.drop_bucket(&name(slot)).map(|dropped| {
                assert!(!dropped, "a replaced primary promises that a bucket is dropped");
            }),
            StaleAct::FlushDeferred => store.flush_deferred(),
            StaleAct::Sync => store.sync(),
            StaleAct::Flush => store.flush(),
            StaleAct::Maintain => store.maintain(1 << 20).map(drop),
            StaleAct::Compact => store.compact(1 << 20).map(drop),
            StaleAct::Get(_) => store.get(key, None).map(drop),
            StaleAct::Close => store.close(),
        };
        match done {
            Ok(()) => assert!(!promises, "a replaced primary promises that something is durable"),
            Err(error) => assert_ne!(error.kind(), &ErrorKind::Bug, "{error}"),
        }
    }
}
