//! Stores in an engine of the embedder's: no counter of that engine interrupts them, and an image runs only in one
//! that it was made for.
#![cfg(feature = "component")]

use esker_host::wasmtime::{Config, Engine};
use esker_host::{Durability, Error, KvStore, Options, Runtime, embedded_component};
use esker_tests::temp_dir::TempDir;
use std::path::Path;

/// The engine of a program that keeps its guests within limits.
fn limiting_engine() -> Engine {
    let mut config = Config::new();
    config.consume_fuel(true).epoch_interruption(true);
    Engine::new(&config).expect("the configuration is sound")
}

fn in_engine(engine: &Engine) -> Runtime {
    let component = embedded_component().expect("the tests are built with the component");
    Runtime::in_engine(engine, component).expect("a store runs in any engine")
}

/// A write and a read, with readers and a worker, which are instances of their own.
fn use_store(runtime: &Runtime, dir: &Path, before_use: impl FnOnce()) {
    let options = Options { readers: Some(1), workers: Some(1), ..Options::default() };
    let store = KvStore::open(runtime, dir, options).expect("open");
    before_use();
    store.put(b"k", b"v", Durability::Buffered).expect("put");
    store.flush().expect("flush");
    assert_eq!(store.get(b"k"), Ok(Some(b"v".to_vec())));
    store.close().expect("close");
}

#[test]
fn fuel_and_epochs_are_for_the_embedders_guests() {
    let dir = TempDir::new();
    let engine = limiting_engine();
    use_store(&in_engine(&engine), dir.path(), || (0..10).for_each(|_| engine.increment_epoch()));
}

#[test]
fn an_image_runs_in_an_engine_of_its_configuration_and_is_refused_by_another() {
    let dir = TempDir::new();
    let engine = limiting_engine();
    let image = in_engine(&engine).image().expect("an image");

    #[expect(unsafe_code, reason = "an image is machine code")]
    // SAFETY: the image has just been made by `Runtime::image`.
    let load = |engine: &Engine| unsafe { Runtime::from_image(engine, &image) };
    use_store(&load(&limiting_engine()).expect("the same configuration"), dir.path(), || ());

    let other = Runtime::new_engine().expect("an engine");
    match load(&other) {
        Err(Error::Component(message)) => assert!(message.contains("does not fit"), "{message}"),
        unexpected => panic!("expected it to be refused, found {unexpected:?}"),
    }
}
