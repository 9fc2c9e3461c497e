//! Stores that releases have left behind (tests/fixtures/README.md): this build opens each, and finds in it what was
//! there.
#![cfg(feature = "component")]

use esker_host::{Durability, KvStore, Options, Reader};
use esker_tests::fixture::content;
use esker_tests::host::runtime;
use esker_tests::temp_dir::TempDir;
use std::fs;
use std::path::{Path, PathBuf};

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(dir).expect("it is there").map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    paths
}

/// Every fixture: its directory, and the file that says what is in it.
fn fixtures() -> Vec<(PathBuf, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let releases = entries(&root).into_iter().filter(|path| path.is_dir());
    let stores = releases.flat_map(|release| entries(&release)).filter(|path| path.is_dir());
    stores.map(|store| (store.clone(), store.with_extension("expected"))).collect()
}

fn copy_of(store: &Path) -> TempDir {
    let dir = TempDir::new();
    for file in entries(store) {
        fs::copy(&file, dir.path().join(file.file_name().expect("it was listed"))).expect("there is room");
    }
    dir
}

fn described(store: &KvStore) -> String {
    let line = |(bucket, key, value): (String, Vec<u8>, Vec<u8>)| {
        format!("{bucket}\t{}\t{}\n", key.escape_ascii(), value.escape_ascii())
    };
    content(store).into_iter().map(line).collect()
}

#[test]
fn every_release_s_stores_are_opened_and_hold_what_they_held() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 2, "cargo xtask fixture makes them: {fixtures:?}");
    for (fixture, expected) in fixtures {
        let name = fixture.display();
        let expected = fs::read_to_string(&expected).expect("it stands beside the store");
        let dir = copy_of(&fixture);
        let reader =
            Reader::open(runtime(), dir.path(), None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(reader.verify().expect("it reads").problems, Vec::<String>::new(), "{name}");
        let store = KvStore::open(runtime(), dir.path(), Options::default())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let report = store.recovery_report().expect("it is open");
        assert!(!report.contains("corruption"), "{name}: {report}");
        assert!(described(&store) == expected, "{name} does not hold what it held");
        assert_eq!(store.verify().expect("it reads").problems, Vec::<String>::new(), "{name}");

        let bucket = store.create_bucket("made by this build").expect("it writes");
        store.put((bucket, b"key"), b"value", Durability::Synced).expect("it writes");
        store.flush().expect("it flushes");
        while store.compact(8 << 20).expect("it compacts").more {}
        reader.catch_up().expect("it follows");
        assert_eq!(reader.get((bucket, b"key")), Ok(Some(b"value".to_vec())), "{name}");
        store.close().expect("it closes");
        let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("it was closed");
        let now = described(&store);
        let now =
            now.strip_suffix("made by this build\tkey\tvalue\n").expect("the newest bucket is the last");
        assert!(now == expected, "{name}: a compaction changed what it held");
    }
}
