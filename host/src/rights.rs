//! What an instance may do with the names in its directory.
//!
//! A primary may do anything there. A worker gets no more than its job needs:
//!
//! ```text
//! open to read     the job's inputs
//! create           the files that were reserved for the job, and only where there is none yet
//! remove           those of them that it has made itself; and what the job is there to remove
//! look             which files there are, how long they are; sync the directory
//! anything else    refused: writing to a file that was there, links, renaming, folders, times
//! ```
//!
//! The rules are kept by the host's file calls (`files`), on top of the directory's own permissions. What is
//! opened to be read stays so: a descriptor has no more rights than it was opened with.

use crate::job::Job;
use std::collections::BTreeSet;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags};

/// What an instance may do with the names in its directory.
#[derive(Debug, Clone, Default)]
pub enum Rights {
    /// Everything that the directory's permissions allow.
    #[default]
    All,
    /// What a job needs.
    Job(JobRights),
}

/// What a job needs; nothing, where there is none.
#[derive(Debug, Clone, Default)]
pub struct JobRights {
    inputs: BTreeSet<String>,
    outputs: BTreeSet<String>,
    removals: BTreeSet<String>,
    /// The outputs that the instance has made.
    made: BTreeSet<String>,
}

impl Rights {
    /// Those of a worker that has this job; without one it may open nothing.
    pub fn of_worker(job: Option<&Job>) -> Self {
        Self::Job(job.map_or_else(JobRights::default, |job| JobRights {
            inputs: job.inputs.iter().cloned().collect(),
            outputs: job.outputs.iter().cloned().collect(),
            removals: job.removals.iter().cloned().collect(),
            made: BTreeSet::new(),
        }))
    }

    /// Whether the file `path` may be opened in this way.
    pub fn check_open(&self, path: &str, how: OpenFlags, flags: DescriptorFlags) -> Result<(), ErrorCode> {
        // No store shortens a file, and one that shrinks while it is mapped would end the process.
        allow(!how.contains(OpenFlags::TRUNCATE))?;
        let Self::Job(job) = self else { return Ok(()) };
        let reads = how == OpenFlags::empty()
            && !flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY)
            && job.inputs.contains(path);
        let creates = how == OpenFlags::CREATE | OpenFlags::EXCLUSIVE
            && !flags.contains(DescriptorFlags::MUTATE_DIRECTORY)
            && job.outputs.contains(path);
        allow(reads || creates)
    }

    /// The file `path` was opened in this way.
    pub fn opened(&mut self, path: &str, how: OpenFlags) {
        if let Self::Job(job) = self
            && how.contains(OpenFlags::CREATE)
        {
            job.made.insert(path.to_owned());
        }
    }

    /// Whether the file `path` may be removed.
    pub fn check_remove(&self, path: &str) -> Result<(), ErrorCode> {
        match self {
            Self::All => Ok(()),
            Self::Job(job) => allow(job.made.contains(path) || job.removals.contains(path)),
        }
    }

    /// Whether names may be changed in any other way, and files that are named and not opened.
    pub fn check_rest(&self) -> Result<(), ErrorCode> {
        allow(matches!(self, Self::All))
    }
}

fn allow(allowed: bool) -> Result<(), ErrorCode> {
    if allowed { Ok(()) } else { Err(ErrorCode::NotPermitted) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobKind;

    const READ: DescriptorFlags = DescriptorFlags::READ;

    fn both() -> DescriptorFlags {
        READ | DescriptorFlags::WRITE
    }

    fn new() -> OpenFlags {
        OpenFlags::CREATE | OpenFlags::EXCLUSIVE
    }

    fn rights() -> Rights {
        Rights::of_worker(Some(&Job {
            id: 9,
            kind: JobKind::Compaction,
            reason: "size".into(),
            level: 2,
            input_bytes: 0,
            inputs: vec!["000002.sst".into()],
            outputs: vec!["000009.sst".into(), "000010.sst".into()],
            removals: vec!["000003.wal".into()],
            bytes: Vec::new(),
        }))
    }

    #[test]
    fn inputs_are_read_and_nothing_else_is() {
        let rights = rights();
        assert!(rights.check_open("000002.sst", OpenFlags::empty(), READ).is_ok());
        for path in ["000001.sst", "000009.sst", "LOCK", ".", "./000002.sst", "../x", "000002.sst/"] {
            assert!(rights.check_open(path, OpenFlags::empty(), READ).is_err(), "{path}");
        }
        for how in [OpenFlags::CREATE, OpenFlags::TRUNCATE, OpenFlags::DIRECTORY, new()] {
            assert!(rights.check_open("000002.sst", how, READ).is_err(), "{how:?}");
        }
        assert!(rights.check_open("000002.sst", OpenFlags::empty(), both()).is_err());
    }

    #[test]
    fn outputs_are_made_once_and_removed_by_their_maker() {
        let mut rights = rights();
        assert!(rights.check_open("000009.sst", new(), both()).is_ok());
        assert!(rights.check_open("000009.sst", OpenFlags::CREATE, both()).is_err(), "it could be there");
        assert!(rights.check_open("000011.sst", new(), both()).is_err());
        assert!(rights.check_remove("000009.sst").is_err(), "it is somebody else's so far");
        rights.opened("000009.sst", new());
        assert!(rights.check_remove("000009.sst").is_ok());
        assert!(rights.check_remove("000003.wal").is_ok());
        assert!(rights.check_remove("000010.sst").is_err());
        assert!(rights.check_remove("000002.sst").is_err());
        assert!(rights.check_rest().is_err());
    }

    #[test]
    fn without_a_job_nothing_is_opened_and_a_primary_may_do_all() {
        let none = Rights::of_worker(None);
        assert!(none.check_open("000002.sst", OpenFlags::empty(), READ).is_err());
        assert!(Rights::All.check_open("x", OpenFlags::CREATE, both()).is_ok());
        assert!(Rights::All.check_open("x", OpenFlags::TRUNCATE, both()).is_err());
        assert!(Rights::All.check_remove("x").is_ok() && Rights::All.check_rest().is_ok());
    }
}
