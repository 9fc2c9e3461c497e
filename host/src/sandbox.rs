//! What an instance of the component is given: one directory, clocks, randomness, an amount of memory, and a place
//! for the message of a panic. No network, no environment, no arguments, no other path.

use crate::append_map::AppendMap;
use crate::batch::limits;
use crate::error::{Error, Result};
use crate::files;
use crate::instance::trap;
use crate::job::Job;
use crate::options::Options;
use crate::pace::Pace;
use crate::rights::Rights;
use crate::runtime;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::component::{Component, HasData, Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter, Store};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::sync as wasi;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

/// The memory that a store plans with by default (wit/esker.wit).
const MEMORY_BYTES: u64 = 256 << 20;

/// What may be in flight in a sandbox beside the memory that the store plans with: twenty of the largest values.
/// Those were measured to take this much in the worst case, where they are written, read and compacted one upon the
/// other. Values of up to 100 kB took less than 16 MiB.
const MEMORY_MARGIN_BYTES: u64 = 20 * limits::VALUE_BYTES_MAX as u64;

/// The longest panic message that is kept; what comes after is dropped.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// What an instance of the component is given.
#[derive(Debug, Clone)]
pub struct Sandbox {
    dir: PathBuf,
    perms: FsPerms,
    memory_limit_bytes: u64,
    rights: Rights,
    pace: Option<Arc<Pace>>,
}

impl Sandbox {
    /// A sandbox whose only files are those of the directory `dir`, to be read and written, and whose memory suits a
    /// store with default options.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self::for_store(dir, &Options::default())
    }

    /// The same, but with the memory that a store with these options is given.
    pub fn for_store(dir: impl AsRef<Path>, options: &Options) -> Self {
        let planned = options.memory_bytes.unwrap_or(MEMORY_BYTES);
        let limit = options.memory_limit_bytes.unwrap_or(planned.saturating_add(MEMORY_MARGIN_BYTES));
        Self {
            dir: dir.as_ref().to_path_buf(),
            perms: FsPerms::ReadWrite,
            memory_limit_bytes: limit,
            rights: Rights::All,
            pace: None,
        }
    }

    /// A sandbox for a reader with a block cache of this size, whose files cannot be changed. A reader also holds what
    /// the log has and the tables have not yet, which a store plans with.
    pub(crate) fn for_reader(
        dir: impl AsRef<Path>,
        cache_bytes: Option<u64>,
        limit_bytes: Option<u64>,
    ) -> Self {
        let planned = MEMORY_BYTES.saturating_add(cache_bytes.unwrap_or(0));
        let limit = limit_bytes.unwrap_or(planned.saturating_add(MEMORY_MARGIN_BYTES));
        Self::new(dir).memory_limit_bytes(limit).read_only()
    }

    /// The same, but the files cannot be changed.
    pub fn read_only(mut self) -> Self {
        self.perms = FsPerms::ReadOnly;
        self
    }

    /// The same, but no file can be touched that this job does not need: its inputs can be read, and the files that
    /// are reserved for it can be made.
    pub fn for_job(self, job: &Job) -> Self {
        self.rights(Rights::of_worker(Some(job)))
    }

    pub(crate) fn rights(mut self, rights: Rights) -> Self {
        self.rights = rights;
        self
    }

    /// The same, but with this much memory.
    pub fn memory_limit_bytes(mut self, bytes: u64) -> Self {
        self.memory_limit_bytes = bytes;
        self
    }

    /// The same, but what is written goes no faster than `pace` allows background work.
    pub(crate) fn paced(mut self, pace: &Arc<Pace>) -> Self {
        self.pace = Some(Arc::clone(pace));
        self
    }

    /// Runs a function of any component, one without parameters and results, in an instance of its own: for tests of
    /// what a sandbox gives and what it does not.
    ///
    /// # Errors
    ///
    /// `Component` where the bytes are no component, want more than a sandbox gives, or export no such function;
    /// `Trap` where it does not return.
    pub fn call(&self, component: &[u8], function: &str) -> Result<()> {
        let engine = runtime::new_engine()?;
        let mut store = self.build(&engine)?;
        let unfit = |error: wasmtime::Error| Error::Component(format!("{error:#}"));
        let component = Component::from_binary(&engine, component).map_err(unfit)?;
        let linker = runtime::linker(&engine).map_err(unfit)?;
        let instance = linker.instantiate(&mut store, &component).map_err(unfit)?;
        let function = instance.get_typed_func::<(), ()>(&mut store, function).map_err(unfit)?;
        function.call(&mut store, ()).map_err(|error| trap(&store, &error))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A store of wasmtime's, set up with what the sandbox gives.
    pub(crate) fn build(&self, engine: &Engine) -> Result<Store<SandboxState>> {
        let state = self.state().map_err(|error| Error::Directory {
            path: self.dir.clone(),
            message: format!("it cannot be given to the component: {error:#}"),
        })?;
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        never_interrupt(&mut store);
        Ok(store)
    }

    fn state(&self) -> wasmtime::Result<SandboxState> {
        let stderr = MemoryOutputPipe::new(MESSAGE_BYTES_MAX);
        let mut wasi = WasiCtx::builder();
        // Before `preopened_dir`, which copies the setting: without it every file call hops to another thread.
        wasi.allow_blocking_current_thread(true);
        wasi.preopened_dir(&self.dir, ".", self.perms)?;
        wasi.stderr(stderr.clone());
        Ok(SandboxState {
            wasi: wasi.build(),
            table: ResourceTable::new(),
            rights: self.rights.clone(),
            memory: MemoryLimit { limit_bytes: self.memory_limit_bytes, denied_bytes: None },
            stderr,
            pace: self.pace.clone(),
            appends: RefCell::default(),
        })
    }
}

/// An engine of the embedder's may count epochs or fuel, of which a new store of wasmtime's has none.
fn never_interrupt(store: &mut Store<SandboxState>) {
    // Half of what there is: the engine's epoch of the moment is added to it.
    store.set_epoch_deadline(u64::MAX / 2);
    if store.get_fuel().is_ok() {
        store.set_fuel(u64::MAX).expect("an engine that tells the fuel takes it");
    }
}

/// What a running instance holds of the host.
pub struct SandboxState {
    wasi: WasiCtx,
    table: ResourceTable,
    rights: Rights,
    memory: MemoryLimit,
    stderr: MemoryOutputPipe,
    pace: Option<Arc<Pace>>,
    /// The end of the file that grows by small appends: the log's.
    appends: RefCell<AppendMap>,
}

impl SandboxState {
    /// The resources that the component has handles of.
    pub(crate) fn table(&self) -> &ResourceTable {
        &self.table
    }

    /// What it may do with the names in its directory.
    pub(crate) fn rights(&self) -> &Rights {
        &self.rights
    }

    /// The same, to change it.
    pub(crate) fn rights_mut(&mut self) -> &mut Rights {
        &mut self.rights
    }

    /// Small appends that are on their way.
    pub(crate) fn appends(&self) -> &RefCell<AppendMap> {
        &self.appends
    }

    /// Waits, after so many bytes were written, until more may be.
    #[inline]
    pub(crate) fn wait_after_writing(&self, bytes: u64) {
        if let Some(pace) = &self.pace {
            pace.limiter.passed(bytes);
            pace.limiter.sleep();
        }
    }

    /// What the component has said before it trapped.
    pub(crate) fn last_words(&self) -> String {
        String::from_utf8_lossy(&self.stderr.contents()).trim().to_string()
    }

    /// The size that the component's memory was last refused to grow to, and the limit, in bytes.
    pub(crate) fn denied_memory(&self) -> Option<(u64, u64)> {
        self.memory.denied_bytes.map(|denied| (denied, self.memory.limit_bytes))
    }
}

impl WasiView for SandboxState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Refuses memory beyond the limit, and remembers that it did.
struct MemoryLimit {
    limit_bytes: u64,
    denied_bytes: Option<u64>,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired as u64 <= self.limit_bytes;
        if !allowed {
            self.denied_bytes = Some(desired as u64);
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// Provides the WASI interfaces that a store may import.
pub(crate) fn add_to_linker(linker: &mut Linker<SandboxState>) -> wasmtime::Result<()> {
    add_io(linker)?;
    wasi::filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, SandboxState::filesystem)?;
    wasi::filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, SandboxState::filesystem)?;
    wasi::clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, SandboxState::clocks)?;
    wasi::clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, SandboxState::clocks)?;
    add_random(linker)?;
    add_cli(linker)?;
    linker.allow_shadowing(true);
    files::add_to_linker(linker)
}

fn add_io(linker: &mut Linker<SandboxState>) -> wasmtime::Result<()> {
    wasi::io::error::add_to_linker::<_, Io>(linker, |state| &mut state.table)?;
    wasi::io::poll::add_to_linker::<_, Io>(linker, |state| &mut state.table)?;
    wasi::io::streams::add_to_linker::<_, Io>(linker, |state| &mut state.table)
}

fn add_random(linker: &mut Linker<SandboxState>) -> wasmtime::Result<()> {
    wasi::random::random::add_to_linker::<_, WasiRandom>(linker, |state| state.wasi.random())?;
    wasi::random::insecure::add_to_linker::<_, WasiRandom>(linker, |state| state.wasi.random())?;
    wasi::random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |state| state.wasi.random())
}

/// The streams, for panic messages; and the empty environment and arguments that a component built with a libc asks
/// for when it starts.
fn add_cli(linker: &mut Linker<SandboxState>) -> wasmtime::Result<()> {
    wasi::cli::environment::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)?;
    wasi::cli::exit::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)?;
    wasi::cli::stdin::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)?;
    wasi::cli::stdout::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)?;
    wasi::cli::stderr::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)?;
    wasi::cli::terminal_input::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)?;
    wasi::cli::terminal_output::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)?;
    wasi::cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)?;
    wasi::cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)?;
    wasi::cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, SandboxState::cli)
}

/// How the `wasi:io` implementation finds its resources.
struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}
