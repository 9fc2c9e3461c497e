//! An instance of the component that runs jobs: it has no store, only the files.

use crate::bindings::exports::esker::kv::maintenance;
use crate::error::{Error, Result};
use crate::instance::{Wasm, trap};
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;
use wasmtime::component::ResourceAny;

/// The memory that a worker plans with for the tables that a job has open, in bytes.
const TABLES_BYTES: u64 = 64 << 20;

/// A sandboxed instance that runs flushes and compactions which a primary has given away
/// ([`Instance::take_job`](crate::Instance::take_job)). Jobs read immutable files and make new ones, so any number of
/// workers can run beside the primary; one that is lost costs a retry.
pub struct Worker {
    runtime: Runtime,
    sandbox: Sandbox,
    /// Made for the first job, and anew after a trap.
    instance: Option<WorkerInstance>,
    instances: u64,
}

struct WorkerInstance {
    number: u64,
    wasm: Wasm,
    maintenance: maintenance::Guest,
}

/// A job that a [`Worker`] has begun. It must be stepped to its end, or given up by [`Worker::give_up`].
#[derive(Debug)]
pub struct RunningJob {
    /// The instance that has it: after a trap the job is gone with it.
    instance: u64,
    resource: ResourceAny,
}

impl Worker {
    /// A worker over the files of `sandbox`, which must be able to write: jobs make files there.
    pub fn new(runtime: &Runtime, sandbox: Sandbox) -> Self {
        Self { runtime: runtime.clone(), sandbox, instance: None, instances: 0 }
    }

    /// Runs a job. Returns its outcome, for the primary that gave the job away.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where the bytes are no job of this build of the component, `Corrupt` where an input is
    /// damaged, `NoSpace`, `Io`, and `Trap`. The worker can be used again.
    pub fn run(&mut self, job: &[u8]) -> Result<Vec<u8>> {
        self.call(|on, wasm| on.call_run_job(wasm, ".", job, TABLES_BYTES))
    }

    /// Begins a job, to be done in slices: another one can be done in between.
    ///
    /// # Errors
    ///
    /// As [`Worker::run`].
    pub fn start(&mut self, job: &[u8]) -> Result<RunningJob> {
        let resource = self.call(|on, wasm| on.call_start_job(wasm, ".", job, TABLES_BYTES))?;
        Ok(RunningJob { instance: self.instances, resource })
    }

    /// Works for about `budget_bytes` of entries. Returns the outcome when the job has ended.
    ///
    /// # Errors
    ///
    /// As [`Worker::run`]; the job is then over. `Trap` also where another job of this worker has trapped since this
    /// one was begun.
    pub fn step(&mut self, job: &RunningJob, budget_bytes: u64) -> Result<Option<Vec<u8>>> {
        if self.instance.as_ref().is_none_or(|instance| instance.number != job.instance) {
            return Err(Error::Trap("the worker's instance has trapped in another job".into()));
        }
        self.call(|on, wasm| on.running_job().call_step(wasm, job.resource, budget_bytes))
    }

    /// Gives a job up, and lets the component remove what it has written.
    pub fn give_up(&mut self, job: RunningJob) {
        if let Some(instance) = &mut self.instance
            && instance.number == job.instance
            && job.resource.resource_drop(&mut instance.wasm).is_err()
        {
            self.instance = None;
        }
    }

    fn call<T>(
        &mut self,
        function: impl FnOnce(
            &maintenance::Guest,
            &mut Wasm,
        ) -> wasmtime::Result<std::result::Result<T, maintenance::Error>>,
    ) -> Result<T> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.instantiate()?,
        };
        match function(&instance.maintenance, &mut instance.wasm) {
            Ok(answer) => {
                self.instance = Some(instance);
                answer.map_err(Error::from)
            }
            Err(error) => Err(trap(&instance.wasm, &error)),
        }
    }

    fn instantiate(&mut self) -> Result<WorkerInstance> {
        let mut wasm = self.sandbox.build(self.runtime.engine())?;
        let component =
            self.runtime.component().instantiate(&mut wasm).map_err(|error| trap(&wasm, &error))?;
        let maintenance = component.esker_kv_maintenance().clone();
        self.instances += 1;
        Ok(WorkerInstance { number: self.instances, wasm, maintenance })
    }
}
