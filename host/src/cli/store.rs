//! The store that a command works on: which directory, which component, opened how.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use esker_host::{
    Bucket, BucketInfo, Durability, Error, Key, KeyRange, KvStore, Options, Reader, RecoveryMode, Runtime,
    Sandbox, Scan, ScanOptions, Strategy, Verification, WorkerCommand, WorkerPlace,
};

use super::failure::{Failure, Outcome};
use super::number::parse_bytes;
use super::recovery;

/// Where the help lists the options that all commands have, after a command's own.
const STORE: &str = "Options of the store";

/// The options that every command understands.
#[derive(clap::Args)]
pub struct StoreArgs {
    /// The store's directory
    #[arg(long, env = "ESKER_DIR", default_value = "./esker-data", value_name = "DIR", global = true, help_heading = STORE)]
    dir: PathBuf,

    /// Run this component instead of the one that is built in
    #[arg(long, value_name = "FILE", global = true, help_heading = STORE)]
    component: Option<PathBuf>,

    /// The memory that the store plans with: memtables, block cache, job buffers [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, global = true, help_heading = STORE)]
    memory: Option<u64>,

    /// So many workers run flushes and compactions in instances of their own; without any, writes do that work
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=64), default_value_t = 0, global = true, help_heading = STORE)]
    workers: u32,

    /// So many readers answer reads in instances of their own, so that those of several threads run at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=64), default_value_t = 0, global = true, help_heading = STORE)]
    readers: u32,

    /// Flushes and compactions in the background write no more bytes a second than this, while no write waits for them
    /// [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, global = true, help_heading = STORE)]
    background_rate: Option<u64>,

    /// The workers are processes of this shell command, started for each job, as `esker run-job` is; one worker unless
    /// --workers says otherwise
    #[arg(long, value_name = "COMMAND", global = true, help_heading = STORE)]
    worker_command: Option<String>,

    /// A worker command that takes longer than this for a job is killed, and the job is begun again
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 600, global = true, help_heading = STORE)]
    worker_timeout: u64,

    /// How tables are chosen for compaction; any store can be opened with either
    #[arg(long, value_name = "NAME", value_enum, default_value_t, global = true, help_heading = STORE)]
    strategy: StrategyArg,

    /// Read the store by its files alone, beside a process that has it open; nothing is locked or written
    #[arg(long, global = true, help_heading = STORE)]
    read_only: bool,

    /// What to do about a damaged write-ahead log when the store is opened
    #[arg(long, value_name = "MODE", value_enum, default_value_t, global = true, help_heading = STORE)]
    recovery: Recovery,
}

/// What a command needs the directory to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// A store; nothing is made where there is none.
    Store,
    /// The same, and the command only reads it: `--read-only` would do.
    StoreToRead,
    /// A store, or nothing yet: then one is made.
    StoreOrNothing,
}

/// A store that a command reads.
pub enum Readable {
    /// Opened as its primary.
    Primary(KvStore),
    /// Followed by its files, for `--read-only`.
    Reader(Reader),
}

impl Readable {
    /// The value of `key`.
    pub fn get<'k>(&self, key: impl Into<Key<'k>>) -> esker_host::Result<Option<Vec<u8>>> {
        match self {
            Self::Primary(store) => store.get(key),
            Self::Reader(reader) => reader.get(key),
        }
    }

    /// The bucket of this name, if there is one.
    pub fn bucket(&self, name: &str) -> esker_host::Result<Option<Bucket>> {
        match self {
            Self::Primary(store) => store.bucket(name),
            Self::Reader(reader) => reader.bucket(name),
        }
    }

    /// All buckets.
    pub fn buckets(&self) -> esker_host::Result<Vec<BucketInfo>> {
        match self {
            Self::Primary(store) => store.buckets(),
            Self::Reader(reader) => reader.buckets(),
        }
    }

    /// Reads a range, in the state of this moment.
    pub fn scan(&self, range: KeyRange, options: ScanOptions) -> esker_host::Result<Scan> {
        match self {
            Self::Primary(store) => store.scan(range, options),
            Self::Reader(reader) => reader.scan(range, options),
        }
    }

    /// What the store holds and has done, as a JSON object.
    pub fn stats(&self) -> esker_host::Result<String> {
        match self {
            Self::Primary(store) => store.stats(),
            Self::Reader(reader) => reader.stats(),
        }
    }

    /// What recovery found, as a JSON object; a reader recovers nothing.
    pub fn recovery_report(&self) -> esker_host::Result<Option<String>> {
        match self {
            Self::Primary(store) => store.recovery_report().map(Some),
            Self::Reader(_) => Ok(None),
        }
    }

    /// Reads every file and checks every checksum, every order and every reference.
    pub fn verify(&self) -> esker_host::Result<Verification> {
        match self {
            Self::Primary(store) => store.verify(),
            Self::Reader(reader) => reader.verify(),
        }
    }
}

impl StoreArgs {
    /// Opens the store as its primary, lets `command` work on it and closes it, whatever came of the command.
    pub fn run<T>(&self, expect: Expect, command: impl FnOnce(&KvStore) -> Outcome<T>) -> Outcome<T> {
        self.run_in(&self.dir, &self.runtime()?, expect, command)
    }

    /// Opens the store for a command that only reads it, or follows it by its files if `--read-only` says so.
    pub fn read<T>(&self, command: impl FnOnce(&Readable) -> Outcome<T>) -> Outcome<T> {
        let runtime = self.runtime()?;
        if !self.read_only {
            return self.run_in(&self.dir, &runtime, Expect::StoreToRead, |store| {
                command(&Readable::Primary(store.clone()))
            });
        }
        require_store(&self.dir)?;
        // As large a part of the memory as a primary's cache has.
        let cache_bytes = self.memory.map(|bytes| bytes / 8 * 3);
        command(&Readable::Reader(Reader::open(&runtime, &self.dir, cache_bytes)?))
    }

    /// The same in another directory, with a component that is already compiled.
    pub fn run_in<T>(
        &self,
        dir: &Path,
        runtime: &Runtime,
        expect: Expect,
        command: impl FnOnce(&KvStore) -> Outcome<T>,
    ) -> Outcome<T> {
        if self.read_only {
            return Err(Failure::Usage(
                "--read-only is for get, scan, export, buckets, stats and verify: this command opens the store to write".into(),
            ));
        }
        let store = self.open(dir, runtime, expect)?;
        let outcome = command(&store);
        // The command's own failure comes first: it is what made the store unable to close, if anything did.
        let closed = store.close();
        let value = outcome?;
        closed?;
        Ok(value)
    }

    /// Whether the store is to be read by its files alone.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What an instance on a store's directory is given.
    pub fn sandbox(&self, dir: &Path) -> Sandbox {
        Sandbox::for_store(dir, &Options { memory_bytes: self.memory, ..Options::default() })
    }

    fn worker_options(&self) -> Options {
        let Some(line) = &self.worker_command else {
            return Options {
                workers: Some(self.workers),
                readers: Some(self.readers),
                background_bytes_per_second: self.background_rate,
                ..Options::default()
            };
        };
        let command = WorkerCommand::shell(line).timeout(Duration::from_secs(self.worker_timeout));
        Options {
            workers: Some(self.workers.max(1)),
            readers: Some(self.readers),
            background_bytes_per_second: self.background_rate,
            worker_place: WorkerPlace::Command(command),
            ..Options::default()
        }
    }

    /// The component, compiled.
    pub fn runtime(&self) -> Outcome<Runtime> {
        Ok(match &self.component {
            Some(file) => Runtime::from_file(file)?,
            None => Runtime::new()?,
        })
    }

    fn open(&self, dir: &Path, runtime: &Runtime, expect: Expect) -> Outcome<KvStore> {
        if expect != Expect::StoreOrNothing {
            require_store(dir)?;
        }
        let options = Options {
            create_if_missing: Some(expect == Expect::StoreOrNothing),
            recovery: Some(self.recovery.into()),
            memory_bytes: self.memory,
            strategy: Some(self.strategy.into()),
            ..self.worker_options()
        };
        let store = KvStore::open(runtime, dir, options).map_err(|error| match error {
            locked @ Error::Locked { .. } if expect == Expect::StoreToRead => {
                Failure::Other(format!("{locked}. To read it meanwhile, add --read-only"))
            }
            error => error.into(),
        })?;
        recovery::warn_of_losses(&store.recovery_report()?)?;
        Ok(store)
    }
}

/// Refuses a directory that is missing or empty before anything is put into it, a lock included.
fn require_store(dir: &Path) -> Outcome {
    let mut entries = match dir.read_dir() {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return Err(no_store(dir, "is not there"));
        }
        Err(cause) => return Err(Failure::file("read the directory", dir, &cause)),
    };
    match entries.next() {
        None => Err(no_store(dir, "is empty")),
        Some(_) => Ok(()),
    }
}

fn no_store(dir: &Path, why: &str) -> Failure {
    Failure::Other(format!(
        "no store in {}: the directory {why}. Name another with --dir or ESKER_DIR, or make a store with \
         `esker put` or `esker import`",
        dir.display(),
    ))
}

/// `--recovery`.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Recovery {
    /// Skip damaged records, go on after them, and report what was skipped
    #[default]
    SkipCorrupted,
    /// Stop at the first damage: the state of an earlier moment, without holes
    PointInTime,
    /// Accept an end that a crash cut off, refuse to open on any other damage
    TolerateTornTail,
    /// Refuse to open on any damage at all
    Absolute,
}

impl From<Recovery> for RecoveryMode {
    fn from(mode: Recovery) -> Self {
        match mode {
            Recovery::SkipCorrupted => Self::SkipCorrupted,
            Recovery::PointInTime => Self::PointInTime,
            Recovery::TolerateTornTail => Self::TolerateTornTail,
            Recovery::Absolute => Self::Absolute,
        }
    }
}

/// `--strategy`.
#[derive(Clone, Copy, Default, ValueEnum)]
enum StrategyArg {
    /// Sorted levels: fewest places to read, least space, more writing
    #[default]
    Levelled,
    /// Runs of similar size: least writing, more places to read, up to twice the space
    SizeTiered,
}

impl From<StrategyArg> for Strategy {
    fn from(strategy: StrategyArg) -> Self {
        match strategy {
            StrategyArg::Levelled => Self::Levelled,
            StrategyArg::SizeTiered => Self::SizeTiered,
        }
    }
}

/// `--durability` of the commands that write.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DurabilityArg {
    /// In the store's buffer: a killed process may lose the last 64 KiB or 100 ms
    Deferred,
    /// Handed to the operating system: survives a kill, not a power cut
    Buffered,
    /// On stable storage: survives a power cut
    Synced,
}

impl From<DurabilityArg> for Durability {
    fn from(durability: DurabilityArg) -> Self {
        match durability {
            DurabilityArg::Deferred => Self::Deferred,
            DurabilityArg::Buffered => Self::Buffered,
            DurabilityArg::Synced => Self::Synced,
        }
    }
}
