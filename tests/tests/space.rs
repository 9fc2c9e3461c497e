//! What a store takes on disk, to the byte: files in memory are as large in every run.

use esker_engine::env::{ManualClock, MemFs};
use esker_engine::{Db, Durability, Options, Strategy};

const KEYS: u64 = 20_000;
const STRATEGIES: [Strategy; 2] = [Strategy::Levelled, Strategy::SizeTiered];

type MemDb = Db<MemFs, ManualClock>;

/// The defaults at a 512th of their size. Log segments are not kept, so that what is left are tables, a manifest, and
/// the log of the memtable.
fn options(strategy: Strategy) -> Options {
    Options {
        memtable_bytes: Some(64 << 10),
        wal_segment_bytes: 20 << 10,
        wal_segments_kept: 0,
        table_bytes: 64 << 10,
        strategy,
        ..Options::default()
    }
}

fn open(fs: &MemFs, strategy: Strategy) -> MemDb {
    Db::open(fs.clone(), ManualClock::default(), options(strategy)).expect("opens")
}

/// The keys in an order that is no order.
fn key(i: u64) -> Vec<u8> {
    format!("key{:013}", i * 7_919 % KEYS).into_bytes()
}

/// A value that does not compress.
fn value(i: u64) -> Vec<u8> {
    let words =
        (0..13u64).map(|word| (i * 13 + word + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
    words.flat_map(u64::to_le_bytes).take(100).collect()
}

fn fill(db: &mut MemDb) {
    for i in 0..KEYS {
        db.put(&key(i), &value(i), Durability::Buffered).expect("writes");
    }
}

/// What whoever drives a store does while nobody uses it.
fn rest(db: &mut MemDb) {
    loop {
        while db.maintain(1 << 20).expect("maintains").more {}
        if !db.rest(1).expect("rests") {
            return;
        }
    }
}

fn directory_bytes(fs: &MemFs) -> u64 {
    let bytes = |name: &String| fs.bytes(name).expect("a file that is listed").len() as u64;
    fs.names().iter().map(bytes).sum()
}

/// What a new store takes that is given only what is left.
fn live_bytes(kept: impl Fn(u64) -> bool) -> u64 {
    let fs = MemFs::new();
    let mut db = open(&fs, Strategy::Levelled);
    for i in (0..KEYS).filter(|&i| kept(i)) {
        db.put(&key(i), &value(i), Durability::Buffered).expect("writes");
    }
    rest(&mut db);
    while db.compact(1 << 20).expect("compacts").more {}
    directory_bytes(&fs)
}

#[test]
fn after_most_keys_were_deleted_and_some_rest_most_space_is_free() {
    let kept = |i: u64| i % 10 == 3;
    let live = live_bytes(kept);
    for strategy in STRATEGIES {
        let fs = MemFs::new();
        let mut db = open(&fs, strategy);
        fill(&mut db);
        rest(&mut db);
        let full = directory_bytes(&fs);
        for i in (0..KEYS).filter(|&i| !kept(i)) {
            db.delete(&key(i), Durability::Buffered).expect("writes");
        }
        rest(&mut db);
        let found = directory_bytes(&fs);
        println!("{strategy:?}: {full} bytes with all keys, {found} with a tenth, which take {live} alone");
        assert!(full > 8 * live, "{strategy:?}: {full} bytes with all keys");
        assert!(found * 2 <= live * 3, "{strategy:?}: {found} bytes hold what {live} can");
        for i in 0..KEYS {
            assert_eq!(db.get(&key(i)).expect("reads"), kept(i).then(|| value(i)), "{strategy:?}: {i}");
        }
    }
}

#[test]
fn after_all_keys_were_deleted_and_some_rest_nothing_is_left_but_the_manifest() {
    for strategy in STRATEGIES {
        let fs = MemFs::new();
        let mut db = open(&fs, strategy);
        fill(&mut db);
        for i in 0..KEYS {
            db.delete(&key(i), Durability::Buffered).expect("writes");
        }
        rest(&mut db);
        let tables = fs.names().iter().filter(|name| name.ends_with(".sst")).count();
        assert_eq!(tables, 0, "{strategy:?}: {:?}", fs.names());
        assert_eq!(db.get(&key(0)), Ok(None));
    }
}

/// A snapshot keeps what was deleted; when it goes, so does that, without a write.
#[test]
fn what_a_snapshot_has_kept_goes_when_it_does() {
    for strategy in STRATEGIES {
        let fs = MemFs::new();
        let mut db = open(&fs, strategy);
        fill(&mut db);
        let snapshot = db.snapshot();
        for i in 0..KEYS {
            db.delete(&key(i), Durability::Buffered).expect("writes");
        }
        rest(&mut db);
        assert_eq!(db.get_at(&snapshot, &key(7)), Ok(Some(value(7))));
        let held = directory_bytes(&fs);
        drop(snapshot);
        rest(&mut db);
        let left = directory_bytes(&fs);
        assert!(left * 10 < held, "{strategy:?}: {left} bytes are left of {held}");
    }
}

/// Values are replaced again and again at the speed of the writes themselves, which do all the upkeep.
#[test]
fn neither_level_0_nor_the_store_grows_without_limit_while_values_are_replaced() {
    for strategy in STRATEGIES {
        let fs = MemFs::new();
        let mut db = open(&fs, strategy);
        let (mut level0, mut most) = (0, 0);
        for i in 0..8 * KEYS {
            db.put(&key(i), &value(i), Durability::Buffered).expect("writes");
            if i % 500 == 0 {
                level0 = level0.max(db.pressure().level0_tables);
                most = most.max(directory_bytes(&fs));
            }
        }
        let live = live_bytes(|_| true);
        println!("{strategy:?}: {level0} tables in level 0, {most} bytes at most for {live}");
        assert!(level0 < options(strategy).level0_stop, "{strategy:?}: {level0} tables in level 0");
        assert!(most < 4 * live, "{strategy:?}: {most} bytes at most for {live}");
    }
}
