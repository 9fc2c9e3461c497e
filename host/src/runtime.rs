//! The runtime: wasmtime's engine, the compiled component, and what it may import. Once a process.
//!
//! A component gets its exports checked against the contract and its imports against a short list before anything
//! runs: files, clocks, randomness and the standard streams of WASI 0.2. Anything else is refused by name, so no
//! store can reach the network or the environment.

use crate::bindings::EskerPre;
use crate::error::{Error, Result};
use crate::image_cache;
use crate::sandbox::{self, SandboxState};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel};

/// The component that this build carries.
#[cfg(component_embedded)]
const EMBEDDED: Option<&[u8]> = Some(include_bytes!(env!("ESKER_EMBEDDED_COMPONENT")));
#[cfg(not(component_embedded))]
const EMBEDDED: Option<&[u8]> = None;

/// The interfaces that the component must export.
const EXPORTS: [&str; 2] = ["esker:kv/kv-store@0.1.0", "esker:kv/maintenance@0.1.0"];

/// What the component may import from: WASI without sockets, and the types that its own exports share.
const IMPORTS: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "esker:kv/types@"];

/// Whether this build carries the component, so that [`Runtime::new`] has something to run.
pub fn component_embedded() -> bool {
    EMBEDDED.is_some()
}

/// The component that this build carries, if it does: for [`Runtime::in_engine`], or for a composition.
pub fn embedded_component() -> Option<&'static [u8]> {
    EMBEDDED
}

/// A store component, compiled and ready to be instantiated any number of times. Cloning is cheap.
///
/// Compiling takes a second or so; the result is kept in the user's cache directory (`ESKER_CACHE_DIR`, else
/// `$XDG_CACHE_HOME/esker`, else `~/.cache/esker`) for the next process. A program that wants neither the wait nor
/// the directory ships an [`image`](Self::image).
#[derive(Clone)]
pub struct Runtime {
    component: Arc<EskerPre<SandboxState>>,
}

impl Runtime {
    /// A runtime for the component that this build carries.
    ///
    /// # Errors
    ///
    /// `Component` when the build carries none.
    pub fn new() -> Result<Self> {
        Self::from_bytes(embedded()?)
    }

    /// A runtime for the component in a file.
    ///
    /// # Errors
    ///
    /// `Component` when the file cannot be read, is no component, or is not a store.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let named = |message: String| Error::Component(format!("component {}: {message}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| named(error.to_string()))?;
        Self::from_bytes(&bytes).map_err(|error| match error {
            Error::Component(message) => named(message),
            other => other,
        })
    }

    /// A runtime for the component in `bytes`.
    ///
    /// # Errors
    ///
    /// `Component` when the bytes are no component, or one that is not a store.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::in_engine(&new_engine()?, bytes)
    }

    /// A runtime for the component in `bytes`, in an engine of the caller's: stores then share its configuration
    /// (the pooling allocator, for one) and its code memory with whatever else the program runs in it.
    ///
    /// The engine must allow what the component needs (SIMD, which is on by default). Of what it can count, epochs
    /// and fuel, a store gets without end: what interrupted a store in the middle of a write would cost all its
    /// handles. An engine with `Config::concurrency_support(false)`, as the one of [`from_bytes`](Self::from_bytes),
    /// makes calls cheaper.
    ///
    #[cfg_attr(component_embedded, doc = "```")]
    #[cfg_attr(not(component_embedded), doc = "```no_run")]
    /// use esker_host::wasmtime::{Config, Engine};
    /// use esker_host::{Durability, KvStore, Options, Runtime, embedded_component};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = std::env::temp_dir().join(format!("esker-in-engine-{}", std::process::id()));
    /// let mut config = Config::new();
    /// config.epoch_interruption(true); // for the program's own guests
    /// let engine = Engine::new(&config)?;
    /// let component = embedded_component().expect("this build carries the component");
    ///
    /// let runtime = Runtime::in_engine(&engine, component)?;
    /// let store = KvStore::open(&runtime, &dir, Options::default())?;
    /// engine.increment_epoch(); // interrupts guests, but no store
    /// store.put(b"key", b"value", Durability::Buffered)?;
    /// assert_eq!(store.get(b"key")?, Some(b"value".to_vec()));
    /// store.close()?;
    /// # std::fs::remove_dir_all(&dir)?;
    /// # Ok(())
    /// # }
    #[doc = "```"]
    ///
    /// # Errors
    ///
    /// `Component` when the bytes are no component, or one that is not a store, or need what the engine does not
    /// allow.
    pub fn in_engine(engine: &Engine, bytes: &[u8]) -> Result<Self> {
        check_kind(bytes)?;
        let component = image_cache::load_or_compile(engine, bytes)
            .map_err(|error| failed("it is not a valid WebAssembly component", error))?;
        Self::link(engine, &component)
    }

    /// The component as machine code, for [`from_image`](Self::from_image): made once, where a program is built or
    /// installed, so that no process has to compile or to look into a cache.
    ///
    /// An image fits the release of wasmtime, the configuration of the engine and the kind of processor that it was
    /// made with.
    ///
    #[cfg_attr(component_embedded, doc = "```")]
    #[cfg_attr(not(component_embedded), doc = "```no_run")]
    /// use esker_host::{KvStore, Options, Runtime};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = std::env::temp_dir().join(format!("esker-image-{}", std::process::id()));
    /// let image = Runtime::new()?.image()?; // about 2 MB; write it beside the program
    ///
    /// let engine = Runtime::new_engine()?;
    /// // SAFETY: the image is what `image` returned, and nobody else could change it.
    /// let runtime = unsafe { Runtime::from_image(&engine, &image) }?;
    /// KvStore::open(&runtime, &dir, Options::default())?.close()?;
    /// # std::fs::remove_dir_all(&dir)?;
    /// # Ok(())
    /// # }
    #[doc = "```"]
    ///
    /// # Errors
    ///
    /// `Component` when wasmtime cannot make one.
    pub fn image(&self) -> Result<Vec<u8>> {
        self.component
            .instance_pre()
            .component()
            .serialize()
            .map_err(|error| failed("cannot make an image", error))
    }

    /// A runtime for an image that [`image`](Self::image) has made, in an engine of the caller's or in
    /// [`new_engine`](Self::new_engine)'s.
    ///
    /// # Safety
    ///
    /// An image is machine code that runs with all rights of this process, and almost nothing of it is checked. It
    /// MUST be, byte for byte, what [`image`](Self::image) returned: keep it where nobody can write who may not also
    /// replace the program.
    ///
    /// # Errors
    ///
    /// `Component` when the image is of another release of wasmtime, of an engine with another configuration, or of
    /// another kind of processor: compile the component then, by [`in_engine`](Self::in_engine).
    #[expect(unsafe_code, reason = "an image is machine code: only the caller knows where it comes from")]
    pub unsafe fn from_image(engine: &Engine, image: &[u8]) -> Result<Self> {
        // SAFETY: the caller promises that the bytes came unchanged from `Component::serialize`.
        let component = unsafe { Component::deserialize(engine, image) }
            .map_err(|error| failed("its image does not fit this program", error))?;
        Self::link(engine, &component)
    }

    /// An engine as [`new`](Self::new) makes one for itself.
    ///
    /// # Errors
    ///
    /// `Component` when wasmtime cannot run on this machine.
    pub fn new_engine() -> Result<Engine> {
        new_engine()
    }

    /// The engine that the component is compiled for. Other components can be run in it, too.
    pub fn engine(&self) -> &Engine {
        self.component.engine()
    }

    /// Checks that `component` is a store, and gives it what it imports.
    fn link(engine: &Engine, component: &Component) -> Result<Self> {
        check_exports(engine, component)?;
        check_imports(engine, component)?;
        let linker = linker(engine).map_err(|error| failed("cannot provide WASI", error))?;
        let component = linker.instantiate_pre(component).and_then(EskerPre::new).map_err(|error| {
            failed("it does not offer esker:kv@0.1.0 as wit/esker.wit describes it", error)
        })?;
        Ok(Self { component: Arc::new(component) })
    }

    pub(crate) fn component(&self) -> &EskerPre<SandboxState> {
        &self.component
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

fn embedded() -> Result<&'static [u8]> {
    EMBEDDED.ok_or_else(|| {
        let message =
            "this binary was built without the component: run `cargo xtask build`, or give a component file";
        Error::Component(message.into())
    })
}

fn config() -> Config {
    let mut config = Config::new();
    config.wasm_simd(true);
    config.cranelift_opt_level(OptLevel::Speed);
    // One call at a time runs in an instance; what wasmtime keeps for concurrent ones doubles the cost of a call.
    config.concurrency_support(false);
    config
}

/// What compiles components and runs them.
pub(crate) fn new_engine() -> Result<Engine> {
    Engine::new(&config()).map_err(|error| failed("cannot start wasmtime", error))
}

/// What a component in a sandbox can import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<SandboxState>> {
    let mut linker = Linker::new(engine);
    sandbox::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Tells what is not a binary component by its first eight bytes: a text, or a core module.
fn check_kind(bytes: &[u8]) -> Result<()> {
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => Err(Error::Component(
            "it is a core WebAssembly module, not a component: encode it with `wasm-tools component new`"
                .into(),
        )),
        _ => Err(Error::Component(format!(
            "it is not WebAssembly: expected the bytes 00 61 73 6d 0d 00 01 00 in front, found {:02x?} ({} bytes in all)",
            &bytes[..bytes.len().min(8)],
            bytes.len()
        ))),
    }
}

fn check_exports(engine: &Engine, component: &Component) -> Result<()> {
    let offered = component.component_type();
    for export in EXPORTS {
        if offered.get_export(engine, export).is_none() {
            let names: Vec<&str> = offered.exports(engine).map(|(name, _)| name).collect();
            return Err(Error::Component(format!(
                "it does not export {export}, so it is not an Esker store; it exports {}",
                list(&names)
            )));
        }
    }
    Ok(())
}

fn check_imports(engine: &Engine, component: &Component) -> Result<()> {
    let wanted = component.component_type();
    let refused: Vec<&str> = wanted
        .imports(engine)
        .map(|(name, _)| name)
        .filter(|name| !IMPORTS.iter().any(|allowed| name.starts_with(allowed)))
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(Error::Component(format!("it imports {}, which a store is not given", list(&refused))))
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

fn failed(what: &str, error: wasmtime::Error) -> Error {
    Error::Component(format!("{what}: {error:#}"))
}
