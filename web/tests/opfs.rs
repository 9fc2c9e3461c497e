//! The crate where it really runs: on the origin private file system, in a dedicated worker of a browser.
#![cfg(target_arch = "wasm32")]

use esker_engine::env::{File, Fs, conformance};
use esker_engine::{Batch, Bucket, Durability, KeyRange, Options, ScanOptions};
use esker_web::clock::BrowserClock;
use esker_web::core::Core;
use esker_web::opfs_fs::{self, Folder, OpfsHandle};
use std::collections::BTreeMap;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

type Store = Core<OpfsHandle, BrowserClock>;

/// A store of one test, which begins empty and is gone afterwards.
struct Place {
    name: String,
    folder: Folder,
}

impl Place {
    async fn new(name: &str) -> Self {
        opfs_fs::remove(name).await.expect("nobody has it open");
        Self { name: name.to_owned(), folder: fine(Folder::open(name, true).await) }
    }

    /// Closes all slots and opens them again, as another worker would.
    async fn again(self) -> Self {
        self.folder.close();
        let folder = fine(Folder::open(&self.name, false).await);
        Self { folder, ..self }
    }

    async fn end(self) {
        self.folder.close();
        fine(opfs_fs::remove(&self.name).await);
    }

    fn open(&self, options: Options) -> Store {
        fine(Core::open(self.folder.fs().clone(), BrowserClock, options))
    }
}

fn fine<T>(result: esker_web::call_error::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{}: {}", error.code, error.message))
}

#[wasm_bindgen_test]
async fn the_slots_keep_the_promises_of_a_file_system() {
    // The suite asks for one empty file system after the other, without a chance to open one in between.
    let mut places = Vec::new();
    for number in 0..conformance_checks() {
        places.push(Place::new(&format!("conformance {number}")).await);
    }
    let mut next = places.iter();
    conformance::run(|| next.next().expect("there is one for each check").folder.fs().clone());
    conformance::run_clock(&BrowserClock);
    for place in places {
        place.end().await;
    }
}

/// How many file systems the suite asks for.
fn conformance_checks() -> usize {
    let mut count = 0;
    conformance::run(|| {
        count += 1;
        esker_engine::env::MemFs::new()
    });
    count
}

#[wasm_bindgen_test]
async fn a_file_is_there_byte_for_byte_when_its_slots_are_opened_again() {
    let place = Place::new("bytes").await;
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8 * u8::from(n % 3 == 0)).collect();
    for (name, synced) in [("000001.sst", true), ("000002.wal", false)] {
        let mut file = place.folder.fs().create(name).expect("a free slot");
        bytes.chunks(7000).for_each(|piece| file.append(piece).expect("no fault"));
        if synced {
            file.sync().expect("no fault");
        }
        // A killed worker drops nothing.
        std::mem::forget(file);
    }
    let place = place.again().await;
    for name in ["000001.sst", "000002.wal"] {
        let file = place.folder.fs().open(name).expect("created");
        assert_eq!(file.len().expect("no fault"), bytes.len() as u64, "{name}");
        let mut read = vec![1; bytes.len()];
        file.read_at(0, &mut read).expect("no fault");
        assert!(read == bytes, "{name}");
    }
    place.end().await;
}

#[wasm_bindgen_test]
async fn random_histories_with_reopening_agree_with_a_model() {
    for seed in 1..=3 {
        let mut random = Random(seed);
        let mut place = Place::new(&format!("model {seed}")).await;
        let mut model = BTreeMap::new();
        for life in 0..4 {
            let mut store = place.open(small(&mut random));
            assert_eq!(fine(store.create_bucket("other")), OTHER);
            check(&mut store, &model, &format!("seed {seed}, life {life}, after opening"));
            for step in 0..300 {
                act(&mut store, &mut model, &mut random);
                if step % 100 == 99 {
                    check(&mut store, &model, &format!("seed {seed}, life {life}, step {step}"));
                }
                fine(place.folder.tend().await);
            }
            if random.below(2) == 0 {
                fine(store.close());
            } else {
                // As if the worker had been killed: all that was acknowledged as buffered has been handed over.
                std::mem::forget(store);
            }
            place = place.again().await;
        }
        place.end().await;
    }
}

/// Options that make much happen with little data.
fn small(random: &mut Random) -> Options {
    Options {
        memtable_bytes: Some(4096 << random.below(3)),
        wal_segment_bytes: 4096 << random.below(3),
        wal_segments_kept: random.below(2) as u32,
        table_bytes: 8192 << random.below(3),
        level0_trigger: 2 + random.below(3) as u32,
        cache_bytes: Some(random.below(2) * 100_000),
        ..Options::default()
    }
}

/// The first bucket that is created.
const OTHER: Bucket = Bucket::new(2);

type Model = BTreeMap<(Bucket, Vec<u8>), Vec<u8>>;

fn act(store: &mut Store, model: &mut Model, random: &mut Random) {
    let durability = if random.below(8) == 0 { Durability::Synced } else { Durability::Buffered };
    let key = |random: &mut Random| {
        let bucket = if random.below(3) == 0 { OTHER } else { Bucket::DEFAULT };
        (bucket, format!("key {}", random.below(200)).into_bytes())
    };
    match random.below(10) {
        0..=5 => {
            let (key, value) = (key(random), vec![random.below(256) as u8; random.below(400) as usize]);
            fine(store.put((key.0, &key.1), &value, durability));
            model.insert(key, value);
        }
        6 => {
            let key = key(random);
            fine(store.delete((key.0, &key.1), durability));
            model.remove(&key);
        }
        7 => {
            let mut batch = Batch::new();
            for n in 0..random.below(20) as u8 {
                let key = key(random);
                batch.put((key.0, &key.1), &[n; 50]);
                model.insert(key, vec![n; 50]);
            }
            fine(store.write(&batch, durability));
        }
        8 => {
            store.maintain(random.below(100_000));
        }
        _ => {
            let key = key(random);
            assert_eq!(fine(store.get(0, (key.0, &key.1))), model.get(&key).cloned());
        }
    }
}

/// Compares everything, forwards and backwards.
fn check(store: &mut Store, model: &Model, when: &str) {
    for (bucket, reverse) in
        [Bucket::DEFAULT, OTHER].into_iter().flat_map(|bucket| [(bucket, false), (bucket, true)])
    {
        let options = ScanOptions { bucket, reverse, ..ScanOptions::default() };
        let mut packed = Vec::new();
        let mut cursor = fine(store.scan(0, KeyRange::all(), options, &mut packed));
        while cursor != 0 {
            let mut page = Vec::new();
            cursor = fine(store.page(cursor, &mut page));
            packed.extend_from_slice(&page);
        }
        let mut decoder = esker_engine::base::coding::Decoder::new(&packed);
        let mut found = Vec::new();
        while let (Some(key), Some(value)) = (decoder.bytes(), decoder.bytes()) {
            found.push((key.to_vec(), value.to_vec()));
        }
        let ours = model.iter().filter(|((of, _), _)| *of == bucket);
        let expected = ours.map(|((_, key), value)| (key.clone(), value.clone()));
        let expected: Vec<_> = if reverse { expected.rev().collect() } else { expected.collect() };
        assert!(found == expected, "{when}: {} entries, {} expected", found.len(), expected.len());
    }
}

#[wasm_bindgen_test]
async fn an_archive_moves_a_store_to_another_one() {
    let (from, to) = (Place::new("from").await, Place::new("to").await);
    let mut store = from.open(Options::default());
    for n in 0..5000u32 {
        fine(store.put(&n.to_be_bytes(), &[n as u8; 100], Durability::Buffered));
    }
    let mut export = fine(store.export());
    let mut other = to.open(Options::default());
    fine(other.put(b"old", b"", Durability::Synced));
    let mut import = fine(other.import());
    while let Some(piece) = fine(export.next_piece()) {
        assert!(fine(import.push(&piece)), "a few files");
    }
    fine(other.finish_import(import));
    assert_eq!(fine(other.get(0, b"old")), None);
    assert_eq!(fine(other.get(0, &77u32.to_be_bytes())), Some(vec![77; 100]));
    drop((store, other, export));
    from.end().await;
    to.end().await;
}

#[wasm_bindgen_test]
async fn a_damaged_slot_header_is_reported_and_the_others_are_kept() {
    let place = Place::new("damaged").await;
    let mut store = place.open(Options::default());
    fine(store.put(b"key", b"value", Durability::Synced));
    fine(store.close());
    drop(store);
    // Every slot that holds a file loses both copies of its header; one that does not is damaged alone.
    let names = place.folder.fs().list().expect("no fault");
    assert_eq!(names.len(), 2, "{names:?}");
    place.folder.close();
    overwrite("damaged", "slot-023", &[0xee; 8192]).await;
    let folder = fine(Folder::open("damaged", false).await);
    assert_eq!(folder.fs().damaged().len(), 1);
    let store = fine(Core::open(folder.fs().clone(), BrowserClock, Options::default()));
    assert_eq!(fine(store.get(0, b"key")), Some(b"value".to_vec()));
    assert!(fine(store.report()).contains("\"damaged_slots\":[{\"slot\":\"slot-023\""));
    drop(store);
    folder.close();

    for number in 0..4 {
        overwrite("damaged", &format!("slot-{number:03}"), &[0xee; 8192]).await;
    }
    let folder = fine(Folder::open("damaged", false).await);
    assert_eq!(folder.fs().damaged().len(), 5);
    Place { name: "damaged".into(), folder }.end().await;
}

/// Writes over the beginning of a slot that is closed.
async fn overwrite(store: &str, slot: &str, bytes: &[u8]) {
    let scope: web_sys::DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let mut folder: web_sys::FileSystemDirectoryHandle =
        JsFuture::from(scope.navigator().storage().get_directory()).await.expect("OPFS").unchecked_into();
    for name in ["esker", store] {
        folder = JsFuture::from(folder.get_directory_handle(name)).await.expect("there").unchecked_into();
    }
    let file: web_sys::FileSystemFileHandle =
        JsFuture::from(folder.get_file_handle(slot)).await.expect("there").unchecked_into();
    let handle: web_sys::FileSystemSyncAccessHandle =
        JsFuture::from(file.create_sync_access_handle()).await.expect("closed").unchecked_into();
    handle.write_with_u8_array(bytes).expect("no fault");
    handle.flush().expect("no fault");
    handle.close();
}

#[wasm_bindgen_test]
async fn slots_are_added_ahead_of_need() {
    let place = Place::new("slots").await;
    let mut files = Vec::new();
    for number in 0..60 {
        fine(place.folder.tend().await);
        files.push(place.folder.fs().create(&format!("{number:06}.sst")).expect("a slot is free"));
    }
    assert!(place.folder.fs().stats().slots >= 60);
    drop(files);
    place.end().await;
}

#[wasm_bindgen_test]
async fn what_cannot_be_opened_says_why() {
    let code = |result: esker_web::call_error::Result<Folder>| result.expect_err("refused").code;
    assert_eq!(code(Folder::open("no such store", false).await), "cannot-open");
    assert_eq!(code(Folder::open("", true).await), "invalid-argument");
    let place = Place::new("there").await;
    let mut store = place.open(Options::default());
    fine(store.close());
    let options = Options { error_if_exists: true, ..Options::default() };
    let refused = Core::open(place.folder.fs().clone(), BrowserClock, options);
    assert_eq!(refused.expect_err("it exists").code, "cannot-open");
    assert!(fine(opfs_fs::list().await).contains(&"there".to_owned()));
    place.end().await;
    assert!(!fine(opfs_fs::list().await).contains(&"there".to_owned()));
}

#[wasm_bindgen_test]
async fn without_opfs_opening_says_so() {
    // A private window of some browsers rejects, an old browser has no such function.
    let scope: web_sys::DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let storage = scope.navigator().storage();
    let hide = |value: wasm_bindgen::JsValue| {
        js_sys::Reflect::set(&storage, &"getDirectory".into(), &value).expect("it can be shadowed");
    };
    hide(wasm_bindgen::JsValue::UNDEFINED);
    let old = Folder::open("any", true).await.expect_err("there is no OPFS");
    hide(
        js_sys::Function::new_no_args("return Promise.reject(new DOMException('no', 'SecurityError'))")
            .into(),
    );
    let private = Folder::open("any", true).await.expect_err("OPFS is refused");
    js_sys::Reflect::delete_property(&storage, &"getDirectory".into()).expect("the shadow goes");
    assert_eq!((old.code, private.code), ("unsupported", "unsupported"));
    assert!(private.message.contains("SecurityError"), "{}", private.message);
    fine(Folder::open("any", true).await.map(|folder| folder.close()));
    fine(opfs_fs::remove("any").await);
}

/// Xorshift: enough to pick.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
