//! The interface `maintenance`: each function borrows a store and calls the engine; `run-job` needs none.

use crate::bindings::exports::esker::kv::kv_store::{Error, ReaderBorrow, StoreBorrow};
use crate::bindings::exports::esker::kv::maintenance::{
    self, Checkpoint, Guest, GuestRunningJob, JobKinds, Pressure, Progress, Verification,
};
use crate::convert;
use crate::store::{Reader, Store};
use crate::wasi_fs::WasiFs;
use crate::{Component, directory, panic_message};
use esker_engine::{self as engine, ErrorKind, Job, JobResult, job};
use std::cell::RefCell;
use std::sync::Arc;

/// A job under way; nothing once it has ended or failed.
pub struct RunningJob {
    job: RefCell<Option<engine::RunningJob<WasiFs>>>,
}

impl Guest for Component {
    type RunningJob = RunningJob;

    fn maintain(store: StoreBorrow<'_>, budget_bytes: u64) -> Result<Progress, Error> {
        let progress = store.get::<Store>().write_access().maintain(budget_bytes);
        progress.map(convert::progress).map_err(convert::error)
    }

    fn get_pressure(store: StoreBorrow<'_>) -> Result<Pressure, Error> {
        Ok(convert::pressure(store.get::<Store>().read_access().pressure()))
    }

    fn rest(store: StoreBorrow<'_>, min_bytes: u64) -> Result<bool, Error> {
        store.get::<Store>().write_access().rest(min_bytes).map_err(convert::error)
    }

    fn flush(store: StoreBorrow<'_>) -> Result<(), Error> {
        store.get::<Store>().write_access().flush().map_err(convert::error)
    }

    fn compact(store: StoreBorrow<'_>, budget_bytes: u64) -> Result<Progress, Error> {
        let progress = store.get::<Store>().write_access().compact(budget_bytes);
        progress.map(convert::progress).map_err(convert::error)
    }

    fn set_helped(store: StoreBorrow<'_>, helped: bool) -> Result<(), Error> {
        store.get::<Store>().write_access().set_helped(helped);
        Ok(())
    }

    fn take_job(store: StoreBorrow<'_>, kinds: JobKinds) -> Result<Option<maintenance::Job>, Error> {
        let job = store.get::<Store>().write_access().take_job(convert::kinds(kinds));
        job.map(|job| job.map(|job| convert::job(&job))).map_err(convert::error)
    }

    fn describe_job(job: Vec<u8>) -> Result<maintenance::Job, Error> {
        Job::decode(&job).map(|job| convert::job(&job)).map_err(convert::error)
    }

    fn run_job(path: String, job: Vec<u8>, memory_bytes: u64) -> Result<Vec<u8>, Error> {
        panic_message::install();
        let run = || job::run(files(&path)?, Job::decode(&job)?, memory_bytes);
        run().map(|result| result.encode()).map_err(convert::error)
    }

    fn start_job(path: String, job: Vec<u8>, memory_bytes: u64) -> Result<maintenance::RunningJob, Error> {
        panic_message::install();
        let start = || engine::RunningJob::start(files(&path)?, Job::decode(&job)?, memory_bytes);
        let job = start().map_err(convert::error)?;
        Ok(maintenance::RunningJob::new(RunningJob { job: RefCell::new(Some(job)) }))
    }

    fn finish_job(store: StoreBorrow<'_>, outcome: Vec<u8>) -> Result<(), Error> {
        let finish = || store.get::<Store>().write_access().finish_job(&JobResult::decode(&outcome)?);
        finish().map_err(convert::error)
    }

    fn abandon_job(store: StoreBorrow<'_>, job: u64, reason: Option<String>) -> Result<(), Error> {
        let reason = reason.map(|reason| esker_engine::Error::new(ErrorKind::Io, reason));
        store.get::<Store>().write_access().abandon_job(job, reason).map_err(convert::error)
    }

    fn verify(store: StoreBorrow<'_>) -> Result<Verification, Error> {
        let verification = store.get::<Store>().read_access().verify();
        verification.map(convert::verification).map_err(convert::error)
    }

    fn verify_reader(reader: ReaderBorrow<'_>) -> Result<Verification, Error> {
        let verification = reader.get::<Reader>().read_access().verify();
        verification.map(convert::verification).map_err(convert::error)
    }

    fn get_checkpoint(reader: ReaderBorrow<'_>) -> Result<Checkpoint, Error> {
        Ok(convert::checkpoint(reader.get::<Reader>().read_access().checkpoint()))
    }

    fn recovery_report(store: StoreBorrow<'_>) -> Result<String, Error> {
        Ok(store.get::<Store>().read_access().recovery_report().to_json())
    }
}

impl GuestRunningJob for RunningJob {
    fn step(&self, budget_bytes: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut slot = self.job.borrow_mut();
        let Some(mut job) = slot.take() else {
            return Err(convert::error(engine::Error::invalid(
                "the job has ended: it takes no further step",
            )));
        };
        match job.step(budget_bytes) {
            Ok(step) => {
                if step.result.is_none() {
                    *slot = Some(job);
                }
                Ok(step.result.map(|result| result.encode()))
            }
            Err(error) => {
                job.abandon();
                Err(convert::error(error))
            }
        }
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            job.abandon();
        }
    }
}

fn files(path: &str) -> engine::Result<Arc<WasiFs>> {
    Ok(Arc::new(WasiFs::new(directory::open(path, false)?)))
}
