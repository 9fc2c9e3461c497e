//! The interface `maintenance`: each function borrows a store and calls the engine.

use crate::Component;
use crate::bindings::exports::esker::kv::kv_store::{Error, StoreBorrow};
use crate::bindings::exports::esker::kv::maintenance::{Guest, Pressure, Progress, Verification};
use crate::convert;
use crate::store::Store;

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

    fn verify(store: StoreBorrow<'_>) -> Result<Verification, Error> {
        let verification = store.get::<Store>().read_access().verify();
        verification.map(convert::verification).map_err(convert::error)
    }

    fn recovery_report(store: StoreBorrow<'_>) -> Result<String, Error> {
        Ok(store.get::<Store>().read_access().recovery_report().to_json())
    }
}
