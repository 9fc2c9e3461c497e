//! The component that exports `wasi:keyvalue`, as a composition uses it: a preopened directory and an environment.
#![cfg(feature = "component")]

use bindings::Provider;
use bindings::exports::wasi::keyvalue0_2_0_draft::store::{Error, KeyResponse};
use bindings::exports::wasi::keyvalue0_2_0_draft2::atomics::CasError;
use bindings::exports::wasi::keyvalue0_2_0_draft2::store as store2;
use esker_host::{Durability, KvStore, Options};
use esker_tests::host::runtime;
use esker_tests::temp_dir::TempDir;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use wasmtime::component::{Component, Linker, Resource, ResourceAny, ResourceTable};
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::sync::filesystem::types::HostDescriptor;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

mod bindings {
    #![allow(
        clippy::all,
        clippy::unwrap_used,
        missing_docs,
        reason = "generated, and other lints with each version"
    )]

    wasmtime::component::bindgen!({
        path: "../wit",
        additional_derives: [PartialEq],
        inline: "
            package test:keyvalue;
            world provider {
                export wasi:keyvalue/store@0.2.0-draft;
                export wasi:keyvalue/atomics@0.2.0-draft;
                export wasi:keyvalue/batch@0.2.0-draft;
                export wasi:keyvalue/store@0.2.0-draft2;
                export wasi:keyvalue/atomics@0.2.0-draft2;
                export wasi:keyvalue/batch@0.2.0-draft2;
            }
        ",
    });
}

/// What a program that composes the component has: files, an environment, and here a count of its syncs.
struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    syncs: u64,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The component, compiled once for all tests of this process.
fn compiled() -> &'static (Component, Linker<Host>) {
    static COMPILED: OnceLock<(Component, Linker<Host>)> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let path = std::env::var_os("ESKER_KEYVALUE").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/esker-keyvalue.wasm"),
            PathBuf::from,
        );
        let engine = Engine::default();
        let component = Component::from_file(&engine, &path).unwrap_or_else(|error| {
            panic!("{}: {error:#}; run `cargo xtask build --keyvalue`", path.display())
        });
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).expect("WASI is complete");
        linker.allow_shadowing(true);
        linker
            .instance("wasi:filesystem/types@0.2.12")
            .and_then(|mut types| types.func_wrap("[method]descriptor.sync-data", counted_sync))
            .expect("the call can be counted");
        (component, linker)
    })
}

type SyncAnswer = Result<(), wasmtime_wasi::p2::bindings::sync::filesystem::types::ErrorCode>;

fn counted_sync(
    mut state: StoreContextMut<'_, Host>,
    (file,): (Resource<Descriptor>,),
) -> wasmtime::Result<(SyncAnswer,)> {
    let host = state.data_mut();
    host.syncs += 1;
    match HostDescriptor::sync_data(&mut host.filesystem(), file) {
        Ok(()) => Ok((Ok(()),)),
        Err(error) => Ok((Err(error.downcast()?.into()),)),
    }
}

/// A composition that is running: the component under an application, whose calls the test makes.
struct Composition {
    wasm: Store<Host>,
    provider: Provider,
}

impl Composition {
    fn start(wasi: &mut WasiCtxBuilder) -> Self {
        let (component, linker) = compiled();
        let host = Host { wasi: wasi.build(), table: ResourceTable::new(), syncs: 0 };
        let mut wasm = Store::new(linker.engine(), host);
        let provider = Provider::instantiate(&mut wasm, component, linker).expect("it starts");
        Self { wasm, provider }
    }

    /// One with a directory and these variables.
    fn with(dir: &Path, variables: &[(&str, &str)]) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.preopened_dir(dir, ".", FsPerms::ReadWrite).expect("the directory is there");
        for (name, value) in variables {
            wasi.env(name, value);
        }
        Self::start(&mut wasi)
    }

    fn over(dir: &TempDir) -> Self {
        Self::with(dir.path(), &[])
    }
}

/// A call of one of the interfaces: the outer result, a trap, is never an error here.
macro_rules! call {
    ($composition:expr, $interface:ident . $function:ident ( $($argument:expr),* )) => {
        $composition.provider.$interface().$function(&mut $composition.wasm, $($argument),*).expect("no trap")
    };
    ($composition:expr, $interface:ident . $resource:ident . $function:ident ( $($argument:expr),* )) => {
        $composition.provider.$interface().$resource().$function(&mut $composition.wasm, $($argument),*)
            .expect("no trap")
    };
}

/// The calls of `wasi:keyvalue@0.2.0-draft`.
impl Composition {
    fn open(&mut self, name: &str) -> Result<ResourceAny, Error> {
        call!(self, wasi_keyvalue0_2_0_draft_store.call_open(name))
    }

    fn get(&mut self, bucket: ResourceAny, key: &str) -> Result<Option<Vec<u8>>, Error> {
        call!(self, wasi_keyvalue0_2_0_draft_store.bucket.call_get(bucket, key))
    }

    fn set(&mut self, bucket: ResourceAny, key: &str, value: &[u8]) -> Result<(), Error> {
        call!(self, wasi_keyvalue0_2_0_draft_store.bucket.call_set(bucket, key, value))
    }

    fn list(&mut self, bucket: ResourceAny, cursor: Option<u64>) -> Result<KeyResponse, Error> {
        call!(self, wasi_keyvalue0_2_0_draft_store.bucket.call_list_keys(bucket, cursor))
    }

    fn increment(&mut self, bucket: ResourceAny, key: &str, delta: u64) -> Result<u64, Error> {
        call!(self, wasi_keyvalue0_2_0_draft_atomics.call_increment(bucket, key, delta))
    }

    fn set_many(&mut self, bucket: ResourceAny, pairs: &[(String, Vec<u8>)]) -> Result<(), Error> {
        call!(self, wasi_keyvalue0_2_0_draft_batch.call_set_many(bucket, pairs))
    }
}

/// The calls of `wasi:keyvalue@0.2.0-draft2`.
impl Composition {
    fn open2(&mut self, name: &str) -> Result<ResourceAny, store2::Error> {
        call!(self, wasi_keyvalue0_2_0_draft2_store.call_open(name))
    }

    fn get2(&mut self, bucket: ResourceAny, key: &str) -> Result<Option<Vec<u8>>, store2::Error> {
        call!(self, wasi_keyvalue0_2_0_draft2_store.bucket.call_get(bucket, key))
    }

    fn set2(&mut self, bucket: ResourceAny, key: &str, value: &[u8]) -> Result<(), store2::Error> {
        call!(self, wasi_keyvalue0_2_0_draft2_store.bucket.call_set(bucket, key, value))
    }

    fn list2(
        &mut self,
        bucket: ResourceAny,
        cursor: Option<&str>,
    ) -> Result<store2::KeyResponse, store2::Error> {
        call!(self, wasi_keyvalue0_2_0_draft2_store.bucket.call_list_keys(bucket, cursor))
    }

    fn increment2(&mut self, bucket: ResourceAny, key: &str, delta: i64) -> Result<i64, store2::Error> {
        call!(self, wasi_keyvalue0_2_0_draft2_atomics.call_increment(bucket, key, delta))
    }

    fn cas(&mut self, bucket: ResourceAny, key: &str) -> ResourceAny {
        call!(self, wasi_keyvalue0_2_0_draft2_atomics.cas.call_new(bucket, key)).expect("reads")
    }

    fn current(&mut self, cas: ResourceAny) -> Option<Vec<u8>> {
        call!(self, wasi_keyvalue0_2_0_draft2_atomics.cas.call_current(cas)).expect("it was read")
    }

    fn swap(&mut self, cas: ResourceAny, value: &[u8]) -> Result<(), CasError> {
        call!(self, wasi_keyvalue0_2_0_draft2_atomics.call_swap(cas, value))
    }
}

/// The words of an error that has no name of its own.
#[track_caller]
fn words<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Other(words)) => words,
        other => panic!("{other:?} is not `other`"),
    }
}

#[track_caller]
fn words2<T: std::fmt::Debug>(outcome: Result<T, store2::Error>) -> String {
    match outcome {
        Err(store2::Error::Other(words)) => words,
        other => panic!("{other:?} is not `other`"),
    }
}

/// A store that somebody made by other means, with these buckets beside the default one.
fn store_with(dir: &TempDir, buckets: &[&str]) -> KvStore {
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("opens");
    for name in buckets {
        store.create_bucket(name).expect("creates");
    }
    store
}

#[test]
fn what_one_run_writes_the_next_one_reads() {
    let dir = TempDir::new();
    let mut first = Composition::over(&dir);
    let bucket = first.open("default").expect("opens");
    assert_eq!(first.get(bucket, "k"), Ok(None));
    first.set(bucket, "k", b"v").expect("writes");
    assert_eq!(first.get(bucket, "k"), Ok(Some(b"v".to_vec())));
    assert_eq!(first.increment(bucket, "n", 5), Ok(5));
    let exists = |composition: &mut Composition, bucket, key| {
        call!(composition, wasi_keyvalue0_2_0_draft_store.bucket.call_exists(bucket, key))
    };
    assert_eq!((exists(&mut first, bucket, "n"), exists(&mut first, bucket, "m")), (Ok(true), Ok(false)));
    drop(first);

    let mut second = Composition::over(&dir);
    let bucket = second.open2("").expect("the empty name is the default bucket's");
    assert_eq!(second.get2(bucket, "k"), Ok(Some(b"v".to_vec())));
    assert_eq!(second.increment2(bucket, "n", -7), Ok(-2));
    call!(second, wasi_keyvalue0_2_0_draft2_store.bucket.call_delete(bucket, "k")).expect("deletes");
    call!(second, wasi_keyvalue0_2_0_draft2_store.bucket.call_delete(bucket, "never")).expect("deletes");
    let exists = call!(second, wasi_keyvalue0_2_0_draft2_store.bucket.call_exists(bucket, "k"));
    assert_eq!(exists, Ok(false));
    drop(second);

    let store = store_with(&dir, &[]);
    assert_eq!((store.get(b"k"), store.get(b"n")), (Ok(None), Ok(Some(b"-2".to_vec()))));
}

/// The handles of both drafts are handles of one store: an application may be made of parts that use either.
#[test]
fn both_drafts_see_one_store() {
    let dir = TempDir::new();
    let mut composition = Composition::over(&dir);
    let one = composition.open("").expect("opens");
    let two = composition.open2("default").expect("opens");
    composition.set(one, "k", b"one").expect("writes");
    assert_eq!(composition.get2(two, "k"), Ok(Some(b"one".to_vec())));
    composition.set2(two, "k", b"two").expect("writes");
    assert_eq!(composition.get(one, "k"), Ok(Some(b"two".to_vec())));
}

#[test]
fn a_bucket_is_one_that_the_store_has() {
    let dir = TempDir::new();
    drop(store_with(&dir, &["visits"]));
    let mut composition = Composition::over(&dir);
    assert_eq!(composition.open("nobody").unwrap_err(), Error::NoSuchStore);
    assert_eq!(composition.open2("nobody").unwrap_err(), store2::Error::NoSuchStore);
    let (visits, default) =
        (composition.open("visits").expect("opens"), composition.open("").expect("opens"));
    composition.set(visits, "k", b"v").expect("writes");
    assert_eq!(composition.get(default, "k"), Ok(None));
}

#[test]
fn a_list_of_buckets_grants_those_and_makes_what_is_missing() {
    let dir = TempDir::new();
    drop(store_with(&dir, &["secret"]));
    let mut composition = Composition::with(dir.path(), &[("ESKER_BUCKETS", "visits,names")]);
    for name in ["secret", "", "default", "nobody"] {
        assert_eq!(composition.open(name).unwrap_err(), Error::AccessDenied, "{name:?}");
        assert_eq!(composition.open2(name).unwrap_err(), store2::Error::AccessDenied, "{name:?}");
    }
    let visits = composition.open("visits").expect("it is made");
    composition.set(visits, "k", b"v").expect("writes");
    drop(composition);
    let store = store_with(&dir, &[]);
    let visits = store.bucket("visits").expect("reads").expect("it was made");
    assert_eq!(store.get((visits, b"k")), Ok(Some(b"v".to_vec())));
    assert_eq!(store.bucket("names"), Ok(None), "nobody has opened it");
}

#[test]
fn keys_come_in_pages() {
    let dir = TempDir::new();
    let expected: Vec<String> = (0..2_500).map(|n| format!("key-{n:04}")).collect();
    let store = store_with(&dir, &["other"]);
    let other = store.bucket("other").expect("reads").expect("it is there");
    for key in &expected {
        store.put(key.as_bytes(), b"v", Durability::Buffered).expect("writes");
        store.put((other, key.as_bytes()), b"v", Durability::Buffered).expect("writes");
    }
    drop(store);
    let mut composition = Composition::over(&dir);
    let bucket = composition.open("").expect("opens");
    let (keys, pages) = to_the_end(|cursor| {
        let page = composition.list(bucket, cursor).expect("lists");
        (page.keys, page.cursor)
    });
    assert_eq!((keys == expected, pages), (true, 3));

    let bucket = composition.open2("").expect("opens");
    let (keys, pages) = to_the_end(|cursor| {
        let page = composition.list2(bucket, cursor.as_deref()).expect("lists");
        (page.keys, page.cursor)
    });
    assert_eq!((keys == expected, pages), (true, 3));
}

/// Lists page after page until there is no cursor: all keys, and the number of pages.
fn to_the_end<C>(mut list: impl FnMut(Option<C>) -> (Vec<String>, Option<C>)) -> (Vec<String>, u32) {
    let (mut keys, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let (more, next) = list(cursor);
        keys.extend(more);
        pages += 1;
        cursor = next;
        if cursor.is_none() {
            return (keys, pages);
        }
    }
}

/// A page also ends where its keys have many bytes, and a page that ends with the last key has no cursor.
#[test]
fn a_page_ends_with_its_bytes_or_with_the_last_key() {
    let dir = TempDir::new();
    let mut composition = Composition::with(dir.path(), &[("ESKER_DURABILITY", "buffered")]);
    let bucket = composition.open("").expect("opens");
    assert_eq!(composition.list(bucket, None).map(|page| (page.keys, page.cursor)), Ok((vec![], None)));
    let key = |n: usize| format!("{n}{}", "x".repeat(50_000));
    for n in 0..6 {
        composition.set(bucket, &key(n), b"").expect("writes");
    }
    let page = composition.list(bucket, None).expect("lists");
    assert_eq!((page.keys.len(), page.cursor), (6, None), "300 kB are reached by the last key");
    composition.set(bucket, &key(6), b"").expect("writes");
    let page = composition.list(bucket, None).expect("lists");
    assert_eq!(page.keys.len(), 6);
    let rest = composition.list(bucket, page.cursor).expect("lists");
    assert_eq!((rest.keys, rest.cursor), (vec![key(6)], None));
}

#[test]
fn a_cursor_is_good_for_its_own_bucket() {
    let dir = TempDir::new();
    let store = store_with(&dir, &["other"]);
    for n in 0..1_001 {
        store.put(format!("{n:04}").as_bytes(), b"v", Durability::Buffered).expect("writes");
    }
    drop(store);
    let mut composition = Composition::over(&dir);
    let (bucket, other) = (composition.open("").expect("opens"), composition.open("other").expect("opens"));
    let first = composition.list(bucket, None).expect("lists").cursor.expect("there is more");
    let said = words(composition.list(other, Some(first)));
    assert!(said.contains("another bucket"), "{said}");
    let said = words(composition.list(bucket, Some(first + 1)));
    assert!(said.contains("there is no cursor"), "{said}");
    for _ in 0..256 {
        composition.list(bucket, None).expect("lists");
    }
    let said = words(composition.list(bucket, Some(first)));
    assert!(said.contains("list anew"), "{said}");

    let (bucket, other) = (composition.open2("").expect("opens"), composition.open2("other").expect("opens"));
    let cursor = composition.list2(bucket, None).expect("lists").cursor.expect("there is more");
    assert_eq!(composition.list2(bucket, Some(&cursor)).expect("lists").keys, ["1000"]);
    let said = words2(composition.list2(other, Some(&cursor)));
    assert!(said.contains("another bucket"), "{said}");
    for made_up in ["", "x", ":", "x:y"] {
        let said = words2(composition.list2(bucket, Some(made_up)));
        assert!(said.contains("none that list-keys has returned"), "{made_up:?}: {said}");
    }
}

/// Keys of `esker:kv` are any bytes. One that no text can name is an error where it would have to be named, and in
/// nobody's way elsewhere.
#[test]
fn a_key_that_is_no_text_is_an_error_of_the_listing() {
    let dir = TempDir::new();
    let store = store_with(&dir, &[]);
    store.put(b"a\xff", b"v", Durability::Buffered).expect("writes");
    store.put(b"b", b"v", Durability::Buffered).expect("writes");
    drop(store);
    let mut composition = Composition::over(&dir);
    let bucket = composition.open("").expect("opens");
    let said = words(composition.list(bucket, None));
    assert!(said.contains(r#"the key "a\xff" is not UTF-8"#), "{said}");
    assert_eq!(composition.get(bucket, "b"), Ok(Some(b"v".to_vec())));
    let bucket = composition.open2("").expect("opens");
    let said = words2(composition.list2(bucket, None));
    assert!(said.contains("not UTF-8"), "{said}");
}

#[test]
fn a_number_that_cannot_be_added_to_stays_as_it_is() {
    let dir = TempDir::new();
    let mut composition = Composition::over(&dir);
    let bucket = composition.open("").expect("opens");
    let bucket2 = composition.open2("").expect("opens");
    composition.set(bucket, "text", b"many").expect("writes");
    assert!(words(composition.increment(bucket, "text", 1)).contains("no whole number"));
    assert!(words2(composition.increment2(bucket2, "text", 1)).contains("no whole number"));
    assert_eq!(composition.increment(bucket, "most", i64::MAX as u64), Ok(i64::MAX as u64));
    assert!(words(composition.increment(bucket, "most", 1)).contains("does not fit 64 bits"));
    assert!(
        words(composition.increment(bucket, "most", u64::MAX)).contains("the most that is added at once")
    );
    assert_eq!(composition.increment2(bucket2, "below", -3), Ok(-3));
    assert!(words(composition.increment(bucket, "below", 9)).contains("negative"));
    assert_eq!(composition.get(bucket, "below"), Ok(Some(b"-3".to_vec())));
    assert_eq!(composition.get(bucket, "most"), Ok(Some(i64::MAX.to_string().into_bytes())));
}

#[test]
fn a_swap_is_made_if_nobody_has_written_since() {
    let dir = TempDir::new();
    let mut composition = Composition::over(&dir);
    let bucket = composition.open2("").expect("opens");
    let absent = composition.cas(bucket, "k");
    assert_eq!(composition.current(absent), None);
    composition.swap(absent, b"one").expect("it is still absent");
    let (cas, stale) = (composition.cas(bucket, "k"), composition.cas(bucket, "k"));
    assert_eq!(composition.current(cas), Some(b"one".to_vec()));
    composition.swap(cas, b"two").expect("it is unchanged");

    assert_eq!(composition.current(stale), Some(b"one".to_vec()), "what was seen then");
    let Err(CasError::CasFailed(renewed)) = composition.swap(stale, b"three") else {
        panic!("the value is another one since");
    };
    assert_eq!(composition.get2(bucket, "k"), Ok(Some(b"two".to_vec())), "nothing was written");
    assert_eq!(composition.current(renewed), Some(b"two".to_vec()));
    composition.swap(renewed, b"three").expect("it is unchanged");
    assert_eq!(composition.get2(bucket, "k"), Ok(Some(b"three".to_vec())));
}

/// A value that was changed and changed back is not the one that was seen; nor is an absent key one that was deleted.
#[test]
fn a_stale_handle_is_known_by_the_write_and_not_by_the_value() {
    let dir = TempDir::new();
    let mut composition = Composition::over(&dir);
    let bucket = composition.open2("").expect("opens");
    composition.set2(bucket, "k", b"a").expect("writes");
    let stale = composition.cas(bucket, "k");
    composition.set2(bucket, "k", b"b").expect("writes");
    composition.set2(bucket, "k", b"a").expect("writes");
    assert!(matches!(composition.swap(stale, b"c"), Err(CasError::CasFailed(_))));
    let stale = composition.cas(bucket, "k");
    call!(composition, wasi_keyvalue0_2_0_draft2_store.bucket.call_delete(bucket, "k")).expect("deletes");
    let Err(CasError::CasFailed(renewed)) = composition.swap(stale, b"c") else {
        panic!("the key is gone");
    };
    assert_eq!(composition.current(renewed), None);
    let oversized = vec![0; (64 << 20) + 1];
    assert!(matches!(
        composition.swap(renewed, &oversized),
        Err(CasError::StoreError(store2::Error::Other(_)))
    ));
}

#[test]
fn a_batch_is_made_whole_or_not_at_all() {
    let dir = TempDir::new();
    let mut composition = Composition::over(&dir);
    let bucket = composition.open("").expect("opens");
    let pair = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
    let said = words(composition.set_many(bucket, &[pair("a", "1"), pair("", "2")]));
    assert!(said.contains("key"), "{said}");
    assert_eq!(composition.get(bucket, "a"), Ok(None));
    composition.set_many(bucket, &[pair("a", "1"), pair("b", "2"), pair("a", "3")]).expect("writes");
    let keys = ["b", "c", "a"].map(String::from);
    let found = call!(composition, wasi_keyvalue0_2_0_draft_batch.call_get_many(bucket, &keys));
    assert_eq!(found, Ok(vec![Some(pair("b", "2")), None, Some(pair("a", "3"))]));
    let said = words(call!(
        composition,
        wasi_keyvalue0_2_0_draft_batch.call_delete_many(bucket, &["a".to_owned(), "x".repeat(65_537)])
    ));
    assert!(said.contains("65,536") || said.contains("65536"), "{said}");
    assert_eq!(composition.get(bucket, "a"), Ok(Some(b"3".to_vec())));

    let bucket = composition.open2("").expect("opens");
    let found = call!(composition, wasi_keyvalue0_2_0_draft2_batch.call_get_many(bucket, &keys));
    let named =
        |key: &str, value: Option<&str>| (key.to_owned(), value.map(|value| value.as_bytes().to_vec()));
    assert_eq!(found, Ok(vec![named("b", Some("2")), named("c", None), named("a", Some("3"))]));
    call!(composition, wasi_keyvalue0_2_0_draft2_batch.call_delete_many(bucket, &keys)).expect("deletes");
    assert_eq!(composition.list2(bucket, None).expect("lists").keys.len(), 0);
    call!(composition, wasi_keyvalue0_2_0_draft2_batch.call_set_many(bucket, &[])).expect("changes nothing");
}

/// An answer without a limit could use up the memory of the component, and that would be a trap.
#[test]
fn an_answer_has_a_limit() {
    let dir = TempDir::new();
    let mut composition = Composition::with(dir.path(), &[("ESKER_DURABILITY", "buffered")]);
    let bucket = composition.open("").expect("opens");
    composition.set(bucket, "k", &vec![7; 20 << 20]).expect("writes");
    let keys = vec!["k".to_owned(); 2];
    let said = words(call!(composition, wasi_keyvalue0_2_0_draft_batch.call_get_many(bucket, &keys)));
    assert!(said.contains("ask for fewer"), "{said}");
    assert_eq!(composition.get(bucket, "k").map(|value| value.map(|value| value.len())), Ok(Some(20 << 20)));
}

#[test]
fn without_a_directory_to_write_in_no_bucket_opens() {
    let mut bare = Composition::start(&mut WasiCtxBuilder::new());
    let said = words(bare.open(""));
    assert!(said.contains("preopened no directory"), "{said}");
    assert!(words2(bare.open2("")).contains("preopened no directory"));

    let dir = TempDir::new();
    let mut wasi = WasiCtxBuilder::new();
    wasi.preopened_dir(dir.path(), ".", FsPerms::ReadOnly).expect("the directory is there");
    let said = words(Composition::start(&mut wasi).open(""));
    assert!(said.contains("read-only"), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 0);

    // Nor is a store that is there touched.
    drop(store_with(&dir, &[]));
    let mut wasi = WasiCtxBuilder::new();
    wasi.preopened_dir(dir.path(), ".", FsPerms::ReadOnly).expect("the directory is there");
    let said = words(Composition::start(&mut wasi).open(""));
    assert!(said.contains("read-only"), "{said}");
}

#[test]
fn settings_that_say_nothing_known_are_refused() {
    let dir = TempDir::new();
    for (name, value, expected) in [
        ("ESKER_DURABILITY", "deferred", "can be \"synced\" or \"buffered\""),
        ("ESKER_MEMORY_BYTES", "64M", "no number of bytes"),
        ("ESKER_MEMORY_BYTES", "1", "memory"),
        ("ESKER_PATH", "../elsewhere", "leads out of the directory"),
    ] {
        let said = words(Composition::with(dir.path(), &[(name, value)]).open(""));
        assert!(said.contains(expected), "{name}={value}: {said}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 0);
}

#[test]
fn the_store_can_have_a_folder_of_its_own() {
    let dir = TempDir::new();
    std::fs::write(dir.path().join("page.html"), "the application's").expect("writes");
    let mut composition = Composition::with(dir.path(), &[("ESKER_PATH", "data/visits")]);
    let bucket = composition.open("").expect("opens");
    composition.set(bucket, "k", b"v").expect("writes");
    drop(composition);
    let store = KvStore::open(runtime(), dir.path().join("data/visits"), Options::default()).expect("opens");
    assert_eq!(store.get(b"k"), Ok(Some(b"v".to_vec())));
}

/// Whoever asks for nothing gets what a power cut does not take.
#[test]
fn writes_are_synced_unless_the_environment_says_otherwise() {
    let syncs_of_a_write = |variables: &[(&str, &str)]| {
        let dir = TempDir::new();
        let mut composition = Composition::with(dir.path(), variables);
        let bucket = composition.open("").expect("opens");
        let before = composition.wasm.data().syncs;
        composition.set(bucket, "k", b"v").expect("writes");
        composition.wasm.data().syncs - before
    };
    assert_eq!(syncs_of_a_write(&[]), 1);
    assert_eq!(syncs_of_a_write(&[("ESKER_DURABILITY", "synced")]), 1);
    assert_eq!(syncs_of_a_write(&[("ESKER_DURABILITY", "buffered")]), 0);
}

/// A component cannot lock a directory. When a second composition opens the store that a first one has, what the
/// first had acknowledged is all there, and the first is told at its next write; it can open the store anew.
#[test]
fn of_two_compositions_the_later_one_has_the_store() {
    let dir = TempDir::new();
    let mut first = Composition::over(&dir);
    let bucket = first.open("").expect("opens");
    first.set(bucket, "k", b"first").expect("writes");
    let cas_bucket = first.open2("").expect("opens");
    let cas = first.cas(cas_bucket, "k");

    let mut second = Composition::over(&dir);
    let taken = second.open("").expect("opens");
    assert_eq!(second.get(taken, "k"), Ok(Some(b"first".to_vec())));
    second.set(taken, "k", b"second").expect("writes");

    let said = words(first.set(bucket, "k", b"too late"));
    assert!(said.contains("another primary"), "{said}");
    assert!(matches!(first.swap(cas, b"too late"), Err(CasError::StoreError(store2::Error::Other(_)))));
    assert_eq!(second.get(taken, "k"), Ok(Some(b"second".to_vec())));

    let again = first.open("").expect("opens anew");
    assert_eq!(first.get(again, "k"), Ok(Some(b"second".to_vec())));
    assert!(
        words(first.set(bucket, "k", b"still late")).contains("another primary"),
        "the old handle stays spent"
    );
    first.set(again, "k", b"third").expect("writes");
    assert!(words(second.set(taken, "k", b"too late")).contains("another primary"));
}
