//! The interface `maintenance`: each function borrows a store and calls the engine; `run-job` needs none.

use crate::bindings::exports::esker::kv::kv_store::{Error, StoreBorrow};
use crate::bindings::exports::esker::kv::maintenance::{Guest, Pressure, Progress, Verification};
use crate::convert;
use crate::store::Store;
use crate::wasi_fs::WasiFs;
use crate::{Component, directory, panic_message};
use esker_engine::{ErrorKind, Job, JobResult, job};
use std::sync::Arc;

impl Guest for Component {
    fn maintain(store: StoreBorrow<'_>, budget_bytes: u64) -> Result<Progress, Error> {
        let progress = store.get::<Store>().write_access().maintain(budget_bytes);
        progress.map(convert::progress).map_err(convert::error)
    }

    fn get_pressure(store: StoreBorrow<'_>) -> Result<Pressure, Error> {
        Ok(convert::pressure(store.get::<Store>().read_access().pressure()))
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

    fn take_job(store: StoreBorrow<'_>) -> Result<Option<Vec<u8>>, Error> {
        let job = store.get::<Store>().write_access().take_job();
        job.map(|job| job.map(|job| job.encode())).map_err(convert::error)
    }

    fn run_job(path: String, job: Vec<u8>, memory_bytes: u64) -> Result<Vec<u8>, Error> {
        panic_message::install();
        let run = || {
            let fs = WasiFs::new(directory::open(&path, false)?);
            job::run(Arc::new(fs), Job::decode(&job)?, memory_bytes)
        };
        run().map(|result| result.encode()).map_err(convert::error)
    }

    fn finish_job(store: StoreBorrow<'_>, outcome: Vec<u8>) -> Result<(), Error> {
        let finish = || store.get::<Store>().write_access().finish_job(&JobResult::decode(&outcome)?);
        finish().map_err(convert::error)
    }

    fn abandon_job(store: StoreBorrow<'_>, job: Vec<u8>, reason: Option<String>) -> Result<(), Error> {
        let reason = reason.map(|reason| esker_engine::Error::new(ErrorKind::Io, reason));
        let abandon = || store.get::<Store>().write_access().abandon_job(Job::decode(&job)?.id(), reason);
        abandon().map_err(convert::error)
    }

    fn verify(store: StoreBorrow<'_>) -> Result<Verification, Error> {
        let verification = store.get::<Store>().read_access().verify();
        verification.map(convert::verification).map_err(convert::error)
    }

    fn recovery_report(store: StoreBorrow<'_>) -> Result<String, Error> {
        Ok(store.get::<Store>().read_access().recovery_report().to_json())
    }
}
