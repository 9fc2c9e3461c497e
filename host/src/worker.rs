//! An instance of the component that runs jobs: it has no store, only the files.

use crate::bindings::exports::esker::kv::maintenance;
use crate::error::{Error, Result};
use crate::instance::{Wasm, trap};
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;

/// The memory that a worker plans with for the tables that it has open, in bytes.
const TABLES_BYTES: u64 = 64 << 20;

/// A sandboxed instance that runs flushes and compactions which a primary has given away
/// ([`Instance::take_job`](crate::Instance::take_job)). Jobs read immutable files and make new ones, so any number of
/// workers can run beside the primary; one that is lost costs a retry.
pub struct Worker {
    runtime: Runtime,
    sandbox: Sandbox,
    /// Made for the first job, and anew after a trap.
    instance: Option<(Wasm, maintenance::Guest)>,
}

impl Worker {
    /// A worker over the files of `sandbox`, which must be able to write: jobs make files there.
    pub fn new(runtime: &Runtime, sandbox: Sandbox) -> Self {
        Self { runtime: runtime.clone(), sandbox, instance: None }
    }

    /// Runs a job. Returns its outcome, for the primary that gave the job away.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where the bytes are no job of this build of the component, `Corrupt` where an input is
    /// damaged, `NoSpace`, `Io`, and `Trap`. The worker can be used again.
    pub fn run(&mut self, job: &[u8]) -> Result<Vec<u8>> {
        let (mut wasm, maintenance) = match self.instance.take() {
            Some(instance) => instance,
            None => self.instantiate()?,
        };
        match maintenance.call_run_job(&mut wasm, ".", job, TABLES_BYTES) {
            Ok(outcome) => {
                self.instance = Some((wasm, maintenance));
                outcome.map_err(Error::from)
            }
            Err(error) => Err(trap(&wasm, &error)),
        }
    }

    fn instantiate(&self) -> Result<(Wasm, maintenance::Guest)> {
        let mut wasm = self.sandbox.build(self.runtime.engine())?;
        let component =
            self.runtime.component().instantiate(&mut wasm).map_err(|error| trap(&wasm, &error))?;
        let maintenance = component.esker_kv_maintenance().clone();
        Ok((wasm, maintenance))
    }
}
