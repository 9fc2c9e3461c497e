//! Every function that a plugin can import, called by a plugin in a sync and in an async program.

use esker_host::plugin::{self, Grant, Grants, Plugin, Plugins, Session};
use esker_host::wasmtime::component::{Component, Linker};
use esker_host::wasmtime::{Engine, Store};
use esker_host::{Bucket, KvStore, Options, Runtime};
use esker_tests::host::runtime;
use esker_tests::temp_dir::TempDir;
use std::path::PathBuf;

const TASKS: [&str; 3] = ["esker:kv", "wasi:keyvalue 0.2.0-draft", "wasi:keyvalue 0.2.0-draft2"];

type Answer = (Result<String, String>,);

fn component(engine: &Engine) -> Component {
    let plugins = std::env::var_os("ESKER_PLUGINS").expect("cargo xtask test says where the plugins are");
    Component::from_file(engine, PathBuf::from(plugins).join("every_call.wasm")).expect("is built")
}

fn admit(store: &KvStore, plugins: &Plugins) -> Plugin {
    store.create_bucket("hidden").expect("creates");
    let other = store.create_bucket("its other bucket").expect("creates");
    let buckets = vec![Grant::new("default", Bucket::DEFAULT), Grant::new("other", other)];
    plugins.admit("every call", Grants { buckets, ..Grants::default() }).expect("is admitted")
}

#[test]
fn in_a_sync_program() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("opens");
    let plugin = admit(&store, &Plugins::new(&store));
    let engine = Runtime::new_engine().expect("an engine");
    let mut linker = Linker::new(&engine);
    plugin::add_to_linker_sync(&mut linker, |session: &mut Session| session).expect("is empty");
    let mut instance_data = Store::new(&engine, plugin.session());
    let instance = linker.instantiate(&mut instance_data, &component(&engine)).expect("imports no more");
    let run = instance.get_typed_func::<(&str,), Answer>(&mut instance_data, "run").expect("exports it");
    for task in TASKS {
        let (answer,) = run.call(&mut instance_data, (task,)).expect("does not trap");
        assert_eq!(answer.as_deref(), Ok(task));
    }
    assert!(plugin.usage().refusals.access_denied > 0, "{:?}", plugin.usage());
}

/// While the plugin waits for the store, the executor's only thread does something else.
#[test]
fn in_an_async_program() {
    let dir = TempDir::new();
    let store = KvStore::open(runtime(), dir.path(), Options::default()).expect("opens");
    let plugin = admit(&store, &Plugins::new(&store));
    let engine = Runtime::new_engine().expect("an engine");
    let mut linker = Linker::new(&engine);
    plugin::add_to_linker_async(&mut linker, |session: &mut Session| session).expect("is empty");
    let component = component(&engine);
    let executor = tokio::runtime::Builder::new_current_thread().build().expect("an executor");
    executor.block_on(async {
        let mut instance_data = Store::new(&engine, plugin.session());
        let instance =
            linker.instantiate_async(&mut instance_data, &component).await.expect("imports no more");
        let run = instance.get_typed_func::<(&str,), Answer>(&mut instance_data, "run").expect("exports it");
        for task in TASKS {
            let mut waits = 0;
            let mut call = std::pin::pin!(run.call_async(&mut instance_data, (task,)));
            let counted = std::future::poll_fn(|context| {
                let polled = call.as_mut().poll(context);
                waits += u32::from(polled.is_pending());
                polled
            });
            let (answer,) = counted.await.expect("does not trap");
            assert_eq!(answer.as_deref(), Ok(task));
            assert!(waits > 0, "the executor's thread was never free during {task}");
        }
    });
}
