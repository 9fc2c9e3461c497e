//! An instance of the component that runs jobs: it has no store, only the files.

use crate::bindings::exports::esker::kv::maintenance;
use crate::convert;
use crate::error::{Error, Result};
use crate::instance::{Wasm, trap};
use crate::job::Job;
use crate::rights::Rights;
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;
use wasmtime::component::ResourceAny;

/// The memory that a worker plans with for the tables that a job has open, in bytes.
const TABLES_BYTES: u64 = 64 << 20;

/// A sandboxed instance that runs flushes and compactions which a primary has given away
/// ([`Instance::take_job`](crate::Instance::take_job)). Jobs read immutable files and make new ones, so any number of
/// workers can run beside the primary; one that is lost costs a retry.
///
/// It may read the files that its job reads, make those that are reserved for it, and remove what it has made itself;
/// it can open nothing else in the directory, and nothing at all while it has no job.
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
    rights: Rights,
}

impl Worker {
    /// A worker over the files of `sandbox`, which must be able to write: jobs make files there.
    pub fn new(runtime: &Runtime, sandbox: Sandbox) -> Self {
        let sandbox = sandbox.rights(Rights::of_worker(None));
        Self { runtime: runtime.clone(), sandbox, instance: None, instances: 0 }
    }

    /// What the bytes of a job say, for whoever was given only them.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where they are no job, were damaged on their way, or come from another build of the component;
    /// `Directory`, and `Trap`.
    pub fn describe(&mut self, job: &[u8]) -> Result<Job> {
        let mut none = Rights::of_worker(None);
        self.call(&mut none, |on, wasm| on.call_describe_job(wasm, job)).map(convert::job)
    }

    /// Runs a job. Returns its outcome, for the primary that gave the job away.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` where the bytes are no job of this build of the component, or the directory is not the one
    /// that the job was made for; `Corrupt` where an input is damaged, `NoSpace`, `Io`, `Directory`, and `Trap`. The
    /// worker can be used again.
    pub fn run(&mut self, job: &Job) -> Result<Vec<u8>> {
        let mut rights = Rights::of_worker(Some(job));
        self.call(&mut rights, |on, wasm| on.call_run_job(wasm, ".", &job.bytes, TABLES_BYTES))
    }

    /// Begins a job, to be done in slices: another one can be done in between.
    ///
    /// # Errors
    ///
    /// As [`Worker::run`].
    pub fn start(&mut self, job: &Job) -> Result<RunningJob> {
        let mut rights = Rights::of_worker(Some(job));
        let resource =
            self.call(&mut rights, |on, wasm| on.call_start_job(wasm, ".", &job.bytes, TABLES_BYTES))?;
        Ok(RunningJob { instance: self.instances, resource, rights })
    }

    /// Works for about `budget_bytes` of entries. Returns the outcome when the job has ended.
    ///
    /// # Errors
    ///
    /// As [`Worker::run`]; the job is then over. `Trap` also where another job of this worker has trapped since this
    /// one was begun.
    pub fn step(&mut self, job: &mut RunningJob, budget_bytes: u64) -> Result<Option<Vec<u8>>> {
        if self.instance.as_ref().is_none_or(|instance| instance.number != job.instance) {
            return Err(Error::Trap("the worker's instance has trapped in another job".into()));
        }
        let resource = job.resource;
        self.call(&mut job.rights, |on, wasm| on.running_job().call_step(wasm, resource, budget_bytes))
    }

    /// Gives a job up, and lets the component remove what it has written.
    pub fn give_up(&mut self, mut job: RunningJob) {
        if self.instance.as_ref().is_some_and(|instance| instance.number == job.instance) {
            // An instance that traps here is gone, and the next job gets a new one.
            let _ = self.call(&mut job.rights, |_, wasm| job.resource.resource_drop(wasm).map(Ok));
        }
    }

    /// Calls the instance with the rights of a job, and takes them back with what they have become.
    fn call<T>(
        &mut self,
        rights: &mut Rights,
        function: impl FnOnce(
            &maintenance::Guest,
            &mut Wasm,
        ) -> wasmtime::Result<std::result::Result<T, maintenance::Error>>,
    ) -> Result<T> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.instantiate()?,
        };
        std::mem::swap(instance.wasm.data_mut().rights_mut(), rights);
        match function(&instance.maintenance, &mut instance.wasm) {
            Ok(answer) => {
                std::mem::swap(instance.wasm.data_mut().rights_mut(), rights);
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

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("sandbox", &self.sandbox).finish_non_exhaustive()
    }
}
