//! `esker buckets`, and the option that names one.

use std::io::{self, BufWriter, Write};

use esker_host::{Bucket, KvStore};

use super::failure::{Failure, Outcome};
use super::store::{Expect, Readable, StoreArgs};

/// The option of commands that work in a bucket.
#[derive(clap::Args)]
pub struct BucketArgs {
    /// The bucket whose keys are meant [default: the one that every store has]
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
}

impl BucketArgs {
    /// The bucket in a store.
    pub fn find(&self, store: &KvStore) -> Outcome<Bucket> {
        self.found(|name| store.bucket(name))
    }

    /// The bucket in what is read.
    pub fn find_in(&self, store: &Readable) -> Outcome<Bucket> {
        self.found(|name| store.bucket(name))
    }

    fn found(&self, find: impl FnOnce(&str) -> esker_host::Result<Option<Bucket>>) -> Outcome<Bucket> {
        let Some(name) = &self.bucket else { return Ok(Bucket::DEFAULT) };
        find(name)?.ok_or_else(|| no_bucket(name))
    }
}

/// There is no bucket of this name.
pub fn no_bucket(name: &str) -> Failure {
    Failure::other(format!(
        "there is no bucket {name:?}: `esker buckets` lists them, `esker buckets --create {name}` makes it"
    ))
}

/// List the store's buckets, make one, or drop one
///
/// A bucket is a named key space of the store: the same key is another one in each, and one write may change several.
/// `--bucket NAME` has other commands work in one; without it they work in the bucket that every store has, `default`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Make this bucket, unless it is there; the store is made when the directory is missing or empty
    #[arg(long, value_name = "NAME", conflicts_with = "drop")]
    create: Option<String>,
    /// Drop this bucket with all that it holds; there must be one. Maintenance gives its space back later, `esker
    /// compact` at once
    #[arg(long, value_name = "NAME")]
    drop: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  esker buckets --create users
  esker put --bucket users ann 'Ann Onymous'
  esker buckets
  esker buckets --drop users";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    if let Some(name) = &args.create {
        return store.run(Expect::StoreOrNothing, |store| {
            store.create_bucket(name)?;
            Ok(())
        });
    }
    if let Some(name) = &args.drop {
        return store.run(Expect::Store, |store| match store.drop_bucket(name)? {
            true => Ok(()),
            false => Err(no_bucket(name)),
        });
    }
    let buckets = store.read(|store| Ok(store.buckets()?))?;
    let mut stdout = BufWriter::new(io::stdout().lock());
    for info in buckets {
        writeln!(stdout, "{}", info.name).map_err(Failure::stdout)?;
    }
    stdout.flush().map_err(Failure::stdout)
}
