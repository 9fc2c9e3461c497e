//! Jobs in other processes: `esker run-job`, and stores whose workers are commands.
//!
//! Whatever becomes of a command (it fails, hangs, is killed, answers something else), it costs a retry, and the store
//! does the work itself in the end: all that was written is there, and nothing is left over.
#![cfg(feature = "component")]

use esker_host::{Durability, Instance, Job, JobKinds, KvStore, Options, WorkerCommand, WorkerPlace};
use esker_tests::host::runtime;
use esker_tests::program;
use esker_tests::program::esker;
use esker_tests::temp_dir::TempDir;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const WRITES: u64 = 6000;

fn small() -> Options {
    Options {
        memtable_bytes: Some(64 << 10),
        table_bytes: Some(64 << 10),
        level1_bytes: Some(256 << 10),
        level0_stop: Some(8),
        ..Options::default()
    }
}

fn key(i: u64) -> Vec<u8> {
    format!("key{:06}", i * 7919 % 10_007).into_bytes()
}

fn value(i: u64) -> Vec<u8> {
    format!("{i:050}").into_bytes()
}

/// A store in `dir` whose two workers are processes of this command; `ESKER` stands for the program.
fn open(dir: &Path, command: &str, timeout: Duration) -> KvStore {
    let line = command.replace("ESKER", &program::path().display().to_string());
    let command = WorkerCommand::shell(line.replace("DIR", &dir.display().to_string())).timeout(timeout);
    let options = Options { workers: Some(2), worker_place: WorkerPlace::Command(command), ..small() };
    KvStore::open(runtime(), dir, options).expect("opens")
}

fn stats(store: &KvStore) -> Value {
    serde_json::from_str(&store.stats().expect("answers")).expect("JSON")
}

fn check(store: &KvStore) {
    assert_eq!(store.verify().expect("reads").problems, Vec::<String>::new());
    for i in 0..WRITES {
        assert_eq!(store.get(&key(i)), Ok(Some(value(i))), "write {i}");
    }
}

/// Writes and compacts with workers of this command until it has had a job, and checks that everything is there in the
/// end and nothing else. Returns why the last job failed, if one did.
fn work_with(command: &str, timeout: Duration) -> Option<String> {
    let dir = TempDir::new();
    let store = open(dir.path(), command, timeout);
    let jobs = loop {
        for i in 0..WRITES {
            store.put(&key(i), &value(i), Durability::Buffered).expect("writes");
        }
        let jobs = stats(&store)["jobs"].clone();
        if jobs["done_by_workers"] != 0 || jobs["failed"] != 0 {
            break jobs;
        }
    };
    store.flush().expect("flushes");
    while store.compact(1 << 20).expect("compacts").more {}
    check(&store);
    store.close().expect("closes");

    let store = KvStore::open(runtime(), dir.path(), small()).expect("opens again");
    check(&store);
    let levels = stats(&store)["levels"].clone();
    let live: u64 =
        levels.as_array().expect("levels").iter().filter_map(|level| level["tables"].as_u64()).sum();
    assert_eq!(tables(dir.path()).len() as u64, live, "what the lost have left is gone");
    jobs["last_failure"].as_str().map(str::to_owned)
}

#[test]
fn a_command_does_all_the_jobs() {
    assert_eq!(work_with("ESKER run-job DIR", Duration::from_secs(600)), None);
}

#[test]
fn a_command_that_fails_costs_a_retry() {
    let why =
        work_with("echo no such machine >&2; exit 255", Duration::from_secs(600)).expect("all of them fail");
    assert!(why.contains("exit status: 255: no such machine"), "{why}");
}

#[test]
fn a_command_that_is_killed_costs_a_retry() {
    let why = work_with("kill -9 $$", Duration::from_secs(600)).expect("all of them die");
    assert!(why.contains("signal: 9"), "{why}");
}

#[test]
fn a_command_that_hangs_is_killed_and_costs_a_retry() {
    let why = work_with("sleep 1000", Duration::from_millis(20)).expect("all of them hang");
    assert!(why.contains("had not ended after 0.02 s, and was killed"), "{why}");
}

#[test]
fn a_command_that_answers_something_else_costs_a_retry() {
    let why = work_with("echo garbage", Duration::from_secs(600)).expect("no outcome");
    assert!(why.contains("the bytes (8 of them) are no outcome of a job"), "{why}");
    let why = work_with("cat", Duration::from_secs(600)).expect("the job itself is no outcome");
    assert!(why.contains("are no outcome of a job"), "{why}");
    let why = work_with("ESKER run-job DIR | head -c 20", Duration::from_secs(600)).expect("cut short");
    assert!(why.contains("damaged on its way"), "{why}");
}

/// It makes its tables and dies before it has said so.
#[test]
fn a_command_that_dies_after_its_work_costs_a_retry() {
    let line = "ESKER run-job DIR > /dev/null; kill -9 $$";
    let why = work_with(line, Duration::from_secs(600)).expect("all of them die");
    assert!(why.contains("signal: 9"), "{why}");
}

fn job_of(dir: &Path, byte: u8) -> (Instance, Job) {
    let mut instance = Instance::open(runtime(), dir, &small()).expect("opens");
    instance.set_helped(true).expect("answers");
    for i in 0.. {
        instance.put(&key(i), &[byte; 50], Durability::Buffered).expect("writes");
        if let Some(job) = instance.take_job(JobKinds::ALL).expect("answers") {
            return (instance, job);
        }
    }
    unreachable!("a memtable fills up")
}

fn run_job(command: &mut Command, job: &[u8]) -> Output {
    let mut child = command
        .arg("run-job")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("piped").write_all(job).expect("it reads the job");
    child.wait_with_output().expect("it ends")
}

fn tables(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("readable").map(|entry| entry.expect("entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| name.ends_with(".sst"));
    names.sort();
    names
}

#[test]
fn the_command_line_runs_a_job_beside_the_primary() {
    let dir = TempDir::new();
    let (mut instance, job) = job_of(dir.path(), 1);
    let done = run_job(&mut esker(dir.path()), &job.bytes);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(tables(dir.path()), job.outputs[..1]);
    instance.finish_job(&done.stdout).expect("its own job");
    assert_eq!(instance.get(&key(0)), Ok(Some(vec![1; 50])));
    assert_eq!(instance.verify().expect("reads").problems, Vec::<String>::new());
}

#[test]
fn the_command_line_refuses_what_does_not_belong_there() {
    let (dir, twin) = (TempDir::new(), TempDir::new());
    let (instance, job) = job_of(dir.path(), 1);
    let (_other, _) = job_of(twin.path(), 2);
    let files = |dir: &Path| if dir.is_dir() { tables(dir) } else { Vec::new() };
    let refused = |dir: &Path, job: &[u8], why: &str| {
        let before = files(dir);
        let answer = run_job(&mut esker(dir), job);
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert_eq!((answer.status.code(), answer.stdout.len()), (Some(3), 0), "{said}");
        assert!(said.starts_with("esker: ") && said.contains(why), "{said}");
        assert_eq!(files(dir), before, "nothing is made");
    };
    refused(dir.path(), b"", "the bytes (0 of them) are no job");
    refused(dir.path(), b"something else", "are no job");
    let (mut newer, mut damaged) = (job.bytes.clone(), job.bytes.clone());
    newer[8] += 1;
    refused(dir.path(), &newer, "the job has version 2 of its encoding, and this build knows version 1");
    damaged[20] ^= 1;
    refused(dir.path(), &damaged, "the job was damaged on its way");
    refused(dir.path(), &job.bytes[..30], "the job was damaged on its way");
    refused(twin.path(), &job.bytes, "it is another segment of that name");
    refused(TempDir::new().path(), &job.bytes, "the directory holds no store");
    refused(&dir.path().join("missing"), &job.bytes, "missing");
    let segment = dir.path().join(&job.inputs[0]);
    let aside = dir.path().join("aside");
    fs::rename(&segment, &aside).expect("it is there");
    refused(dir.path(), &job.bytes, &format!("it reads {}, which is not there", job.inputs[0]));
    fs::rename(&aside, &segment).expect("it is there");
    drop(instance);
    let _newer = Instance::open(runtime(), dir.path(), &small()).expect("opens again");
    refused(
        dir.path(),
        &job.bytes,
        "it is from epoch 1 of its store, and the directory's store is at epoch 2",
    );
}
