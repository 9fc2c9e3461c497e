//! What an instance of the component is given in the simulation, and how it dies.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::OnceLock;

use esker_engine::env::{Clock, FaultFs, ManualClock, MemFs};
use esker_engine::{Error, ErrorKind, Result};
use wasmtime::component::{Component, Linker, Resource, ResourceAny, ResourceTable, ResourceType};
use wasmtime::{Config, Engine, OptLevel, ResourceLimiter, Store, StoreContextMut, Trap};

use super::bindings::EskerPre;
use super::bindings::esker::kv::types;
use super::bindings::exports::esker::kv::{kv_store, maintenance};
use super::{convert, files};
use crate::seed::Rng;

/// The files of a simulated machine.
pub type Files = FaultFs<MemFs>;

/// What this host does that others do not.
#[derive(Debug, Clone, Copy)]
pub struct Quirks {
    /// So many reads and writes out of a hundred do less than they could.
    pub short_percent: u64,
    /// Whether there are hard links.
    pub has_links: bool,
}

/// How instances die that are made from now on, beside with their machine. Each is taken by the first that meets it.
#[derive(Debug, Default)]
pub struct Deaths {
    /// An instance is stopped when it has executed about so many instructions.
    pub fuel: Cell<Option<u64>>,
    /// This growth of the next instance's memory, counted from 1, is refused, and then the component cannot go on.
    pub growth: Cell<Option<u64>>,
    /// So many instances have died without their machine.
    pub count: Cell<u64>,
    /// So many of them because memory was refused.
    pub refused: Cell<u64>,
}

/// What a running instance holds of its host.
pub(super) struct Host {
    pub files: Files,
    pub table: ResourceTable,
    pub quirks: Quirks,
    clock: ManualClock,
    rng: Rng,
    /// The number of calls of the file system so far.
    calls: u64,
    dies_at: Option<u64>,
    memory: Memory,
    words: Vec<u8>,
}

struct Memory {
    refused_at: Option<u64>,
    growths: u64,
    refused: bool,
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.growths += 1;
        self.refused |= self.refused_at == Some(self.growths);
        Ok(!self.refused)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl Host {
    /// Whether something happens that happens so many times out of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.rng.percent(percent)
    }

    /// How much of this a call does.
    pub fn shortened(&mut self, length: u64) -> u64 {
        if length > 1 && self.rng.percent(self.quirks.short_percent) {
            self.rng.between(1, length)
        } else {
            length
        }
    }

    /// A call of the file system, unless the instance dies before it.
    pub fn begin_call(&mut self) -> wasmtime::Result<()> {
        self.calls += 1;
        match self.dies_at {
            Some(call) if self.calls >= call => Err(Death("it is killed").into()),
            _ => Ok(()),
        }
    }

    /// An answer, unless the machine is gone.
    pub fn end_call(&self) -> wasmtime::Result<()> {
        match self.files.inner().crashed() {
            true => Err(Death("the machine has crashed").into()),
            false => Ok(()),
        }
    }
}

/// The component, compiled once for the process.
///
/// # Panics
///
/// When it was not built, or does not fit the contract.
fn runtime() -> &'static EskerPre<Host> {
    static RUNTIME: OnceLock<EskerPre<Host>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| compile().unwrap_or_else(|error| panic!("the component does not compile: {error:#}")))
}

fn component_bytes() -> Vec<u8> {
    let path = std::env::var_os("ESKER_COMPONENT").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/esker.wasm"),
        PathBuf::from,
    );
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask build`", path.display()))
}

fn compile() -> wasmtime::Result<EskerPre<Host>> {
    let mut config = Config::new();
    config.wasm_simd(true).cranelift_opt_level(OptLevel::Speed).concurrency_support(false).consume_fuel(true);
    let engine = Engine::new(&config)?;
    let component = Component::from_binary(&engine, &component_bytes())?;
    let mut linker = Linker::new(&engine);
    files::add_to_linker(&mut linker)?;
    add_clock(&mut linker)?;
    add_streams(&mut linker)?;
    EskerPre::new(linker.instantiate_pre(&component)?)
}

fn add_clock(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker
        .instance("wasi:clocks/monotonic-clock@0.2.12")?
        .func_wrap("now", |state: StoreContextMut<'_, Host>, (): ()| {
            Ok((state.data().clock.now_micros() * 1_000,))
        })
}

/// The type of streams and of their errors: there is one stream, for the message of a panic.
struct Stderr;
struct StreamError;

fn add_streams(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    type State<'a> = StoreContextMut<'a, Host>;
    type Told<T> = wasmtime::Result<(std::result::Result<T, StreamFailure>,)>;
    linker.instance("wasi:io/error@0.2.12")?.resource(
        "error",
        ResourceType::host::<StreamError>(),
        |_, _| Ok(()),
    )?;
    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    streams.resource("output-stream", ResourceType::host::<Stderr>(), |_, _| Ok(()))?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |_: State<'_>, (_,): (Resource<Stderr>,)| -> Told<u64> { Ok((Ok(4_096),)) },
    )?;
    streams.func_wrap(
        "[method]output-stream.write",
        |mut state: State<'_>, (_, bytes): (Resource<Stderr>, Vec<u8>)| -> Told<()> {
            state.data_mut().words.extend(bytes);
            Ok((Ok(()),))
        },
    )?;
    streams
        .func_wrap("[method]output-stream.flush", |_: State<'_>, (_,): (Resource<Stderr>,)| -> Told<()> {
            Ok((Ok(()),))
        })?;
    linker
        .instance("wasi:cli/stderr@0.2.12")?
        .func_wrap("get-stderr", |_: State<'_>, (): ()| Ok((Resource::<Stderr>::new_own(0),)))
}

/// `wasi:io/streams.stream-error`; this host never gives one.
#[derive(wasmtime::component::ComponentType, wasmtime::component::Lower)]
#[component(variant)]
enum StreamFailure {
    #[component(name = "last-operation-failed")]
    #[expect(dead_code, reason = "a case of the type")]
    LastOperationFailed(Resource<StreamError>),
    #[component(name = "closed")]
    #[expect(dead_code, reason = "a case of the type")]
    Closed,
}

/// Why an instance ends that has done nothing wrong.
#[derive(Debug)]
pub(super) struct Death(&'static str);

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Death {}

/// An instance of the component. Clones share it. It dies with its machine, by a killer, or of a bug.
#[derive(Clone)]
pub(super) struct Instance {
    live: Rc<RefCell<Option<Live>>>,
}

/// An instance that can be called.
pub(super) struct Live {
    pub wasm: Store<Host>,
    pub kv: kv_store::Guest,
    pub maintenance: maintenance::Guest,
    deaths: Rc<Deaths>,
}

/// What an instance is made of.
pub(super) struct Birth {
    pub files: Files,
    pub quirks: Quirks,
    pub clock: ManualClock,
    /// Where its host's chance comes from.
    pub seed: u64,
    /// It makes neither this call of the file system, counted from 1, nor any after it.
    pub dies_at: Option<u64>,
    pub deaths: Rc<Deaths>,
}

impl Instance {
    pub fn new(birth: Birth) -> Result<Self> {
        let Birth { files, quirks, clock, seed, dies_at, deaths } = birth;
        let memory = Memory { refused_at: deaths.growth.take(), growths: 0, refused: false };
        let rng = Rng::new(seed);
        let (table, words) = (ResourceTable::new(), Vec::new());
        let host = Host { files, table, quirks, clock, rng, calls: 0, dies_at, memory, words };
        let pre = runtime();
        let mut wasm = Store::new(pre.engine(), host);
        wasm.limiter(|host| &mut host.memory);
        wasm.set_fuel(deaths.fuel.take().unwrap_or(u64::MAX)).expect("the engine counts fuel");
        match pre.instantiate(&mut wasm) {
            Ok(esker) => {
                let (kv, maintenance) =
                    (esker.esker_kv_kv_store().clone(), esker.esker_kv_maintenance().clone());
                let live = Live { wasm, kv, maintenance, deaths };
                Ok(Self { live: Rc::new(RefCell::new(Some(live))) })
            }
            Err(error) => Err(obituary(&wasm, &deaths, &error)),
        }
    }

    /// Calls a function. A dead instance answers `Reopen`.
    pub fn call<T>(
        &self,
        function: impl FnOnce(&mut Live) -> wasmtime::Result<std::result::Result<T, types::Error>>,
    ) -> Result<T> {
        let mut slot = self.live.borrow_mut();
        let Some(live) = slot.as_mut() else {
            return Err(Error::new(ErrorKind::Reopen, "the instance is dead: open the store anew"));
        };
        if let Some(fuel) = live.deaths.fuel.take() {
            live.wasm.set_fuel(fuel).expect("the engine counts fuel");
        }
        match function(live) {
            Ok(answer) => answer.map_err(convert::error),
            Err(error) => {
                let error = obituary(&live.wasm, &live.deaths, &error);
                *slot = None;
                Err(error)
            }
        }
    }

    /// Gives a resource of the component's back.
    pub fn drop_resource(&self, resource: ResourceAny) {
        if self.live.borrow().is_some() {
            let _told_by_the_next_call = self.call(|live| resource.resource_drop(&mut live.wasm).map(Ok));
        }
    }
}

/// The error of a call that did not come back.
fn obituary(wasm: &Store<Host>, deaths: &Deaths, error: &wasmtime::Error) -> Error {
    let host = wasm.data();
    let out_of_fuel = error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel);
    if host.memory.refused || out_of_fuel || error.downcast_ref::<Death>().is_some() {
        if !host.files.inner().crashed() {
            deaths.count.set(deaths.count.get() + 1);
        }
        if host.memory.refused {
            deaths.refused.set(deaths.refused.get() + 1);
        }
        return Error::new(ErrorKind::Io, format!("the instance is gone: {error}"));
    }
    Error::bug(format!("{} ({error:?})", String::from_utf8_lossy(&host.words)))
}
