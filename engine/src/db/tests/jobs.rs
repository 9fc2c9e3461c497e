//! Jobs that are run, or handed in, where they do not belong: each is refused with the reason, and changes nothing.

use super::{MemDb, key, open, run, small};
use crate::base::options::Durability;
use crate::env::{Fs, ManualClock, MemFs};
use crate::job::Work;
use crate::{Db, ErrorKind, Job, JobResult, Kinds, job};
use std::sync::Arc;

/// A store that has given a job away: its first flush, or a compaction.
fn with_job(value: u8, wanted: fn(&Job) -> bool) -> (MemFs, MemDb, Job) {
    let fs = MemFs::new();
    let mut db = open(&fs);
    db.set_helped(true);
    for i in 0.. {
        db.put(&key(i), &[value; 100], Durability::Buffered).expect("a worker is never far behind");
        while let Some(job) = db.take_job(Kinds::ALL).expect("writable") {
            if wanted(&job) {
                return (fs, db, job);
            }
            db.finish_job(&run(&fs, &job.encode())).expect("its own job");
        }
    }
    unreachable!("a store that is written to has something to do")
}

fn a_compaction(job: &Job) -> bool {
    matches!(job.work, Work::Compact { .. })
}

/// Runs a job that must be refused, and checks that it has left the directory alone. Returns the reason.
fn refusal(fs: &MemFs, job: &Job) -> String {
    let before = fs.names();
    let error = job::run(Arc::new(fs.clone()), job.clone(), 1 << 20).expect_err("it does not belong here");
    assert_eq!(fs.names(), before);
    assert_eq!(*error.kind(), ErrorKind::InvalidArgument, "{error}");
    error.message().to_owned()
}

/// The other store has had the same keys and lengths, so its files have the same names, lengths and places.
#[test]
fn a_job_of_another_store_is_refused() {
    for wanted in [Job::is_flush, a_compaction] {
        let (fs, mut db, job) = with_job(1, wanted);
        let (other_fs, mut other_db, twin) = with_job(2, wanted);
        assert_eq!((job.id(), job.input_names()), (twin.id(), twin.input_names()));
        assert_ne!(job.digest(), twin.digest());
        let why = refusal(&other_fs, &job);
        assert!(why.contains("the job is refused") && why.contains("it is another"), "{why}");

        let outcome = run(&other_fs, &twin.encode());
        let error = db.finish_job(&outcome).expect_err("of another store");
        assert_eq!(*error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("nothing was installed"), "{error}");
        db.finish_job(&run(&fs, &job.encode())).expect("the job is still out");
        other_db.finish_job(&outcome).expect("its own");
        assert_eq!(db.verify().expect("reads").problems, Vec::<String>::new());
    }
}

#[test]
fn a_job_without_its_files_is_refused() {
    for wanted in [Job::is_flush, a_compaction] {
        let (fs, _db, job) = with_job(1, wanted);
        for name in job.input_names() {
            let lacking = fs.kill();
            lacking.remove(&name).expect("it was there");
            let why = refusal(&lacking, &job);
            assert!(why.contains(&format!("it reads {name}, which is not there")), "{why}");
        }
        let why = refusal(&MemFs::new(), &job);
        assert!(why.contains("holds no store"), "{why}");
    }
}

#[test]
fn a_job_of_an_older_epoch_is_refused() {
    let (fs, mut old, job) = with_job(1, Job::is_flush);
    let outcome = run(&fs.kill(), &job.encode());
    let mut new = Db::open(fs.clone(), ManualClock::default(), small()).expect("takes over");
    let why = refusal(&fs, &job);
    assert!(why.contains("from epoch 1") && why.contains("is at epoch 2"), "{why}");
    assert!(new.finish_job(&outcome).is_err(), "it never was out here");
    assert_eq!(*old.finish_job(&outcome).expect_err("replaced").kind(), ErrorKind::Reopen);

    let newer = Job { epoch: 7, ..job };
    let why = refusal(&fs, &newer);
    assert!(why.contains("is at epoch 2 only: it is another one"), "{why}");
}

#[test]
fn an_outcome_of_another_job_is_refused_and_the_job_stays_out() {
    let (fs, mut db, job) = with_job(1, Job::is_flush);
    let outcome = run(&fs, &job.encode());
    let Work::Flush { segments, .. } = &job.work else { unreachable!("a flush") };
    assert!(!segments.is_empty());
    let forged = [
        JobResult { job: outcome.job ^ 1, ..outcome.clone() },
        JobResult { id: outcome.id + 1, ..outcome.clone() },
    ];
    for forged in forged {
        assert_eq!(*db.finish_job(&forged).expect_err("not its own").kind(), ErrorKind::InvalidArgument);
        assert!(db.view.version.tables().next().is_none(), "nothing was installed");
    }
    db.finish_job(&outcome).expect("it is still out");
}

/// A worker's outcome names a table that is there and sound, but not the one that it says it has made.
#[test]
fn an_outcome_that_describes_another_table_is_given_up() {
    let (fs, mut db, job) = with_job(1, Job::is_flush);
    let mut outcome = run(&fs, &job.encode());
    let mut table = (*outcome.tables[0]).clone();
    table.digest ^= 1;
    outcome.tables = vec![Arc::new(table)];
    let error = db.finish_job(&outcome).expect_err("another table");
    assert!(error.is_corrupt() && error.message().contains("another table of that name"), "{error}");
    assert!(!fs.names().contains(&job.output_names()[0]), "what it has left is removed");
    db.flush().expect("begun again");
    assert_eq!(db.verify().expect("reads").problems, Vec::<String>::new());
}

/// A damaged input is no reason to think of another store: the place is named.
#[test]
fn a_damaged_input_is_corruption() {
    for wanted in [Job::is_flush, a_compaction] {
        let (fs, _db, job) = with_job(1, wanted);
        let name = &job.input_names()[0];
        fs.damage(name, |bytes| bytes[20] ^= 1).expect("there");
        let error = job::run(Arc::new(fs.clone()), job.clone(), 1 << 20).expect_err("damaged");
        assert!(error.is_corrupt(), "{error}");
        let made = job.output_names();
        assert!(!fs.names().iter().any(|name| made.contains(name)), "what was begun is removed");
    }
}
