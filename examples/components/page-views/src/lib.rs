//! Counts the views of pages with compare-and-swap, in a store of `wasi:keyvalue`.
//!
//! It is written against that interface alone (the draft that the proposal calls `0.2.0-draft2`), and would run with
//! any other provider of it. A value holds a count and the visitor who came last, so that `increment` would not do:
//! the value that was read is replaced only if nobody has replaced it since.

mod bindings {
    #![allow(missing_docs, clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../../wit/deps/keyvalue-draft2",
        world: "imports",
        generate_all,
    });
}

use bindings::wasi::keyvalue::atomics::{Cas, CasError, swap};
use bindings::wasi::keyvalue::store::{self, Bucket, Error};
use std::io::Write;
use wasip2::cli::environment::get_arguments;
use wasip2::cli::{stderr, stdout};

struct PageViews;

wasip2::cli::command::export!(PageViews);

impl wasip2::exports::cli::run::Guest for PageViews {
    fn run() -> Result<(), ()> {
        let arguments = get_arguments();
        let outcome = match arguments.as_slice() {
            [_, visitor, pages @ ..] => view(visitor, pages),
            _ => Err(Error::Other("give a visitor and the pages that were viewed".into())),
        };
        outcome.map_err(|error| {
            let _ = writeln!(stderr::get_stderr(), "error: {error}");
        })
    }
}

/// Counts a view of each page, and prints its views.
fn view(visitor: &str, pages: &[String]) -> Result<(), Error> {
    let bucket = store::open("default")?;
    let mut out = stdout::get_stdout();
    for page in pages {
        let (views, last) = view_page(&bucket, page, visitor)?;
        let _ = match last {
            Some(last) => writeln!(out, "{page}: {views} views, before {visitor} came {last}"),
            None => writeln!(out, "{page}: the first view, by {visitor}"),
        };
    }
    Ok(())
}

/// The views of a page with this one, and who came before.
fn view_page(bucket: &Bucket, page: &str, visitor: &str) -> Result<(u64, Option<String>), Error> {
    let mut cas = Cas::new(bucket, page)?;
    loop {
        let (views, last) = match cas.current()? {
            None => (0, None),
            Some(value) => record(&value).ok_or_else(|| Error::Other(format!("{page} holds no record")))?,
        };
        match swap(cas, format!("{} {visitor}", views + 1).as_bytes()) {
            Ok(()) => return Ok((views + 1, last)),
            Err(CasError::CasFailed(renewed)) => cas = renewed,
            Err(CasError::StoreError(error)) => return Err(error),
        }
    }
}

/// A record: the number of views, and the last visitor.
fn record(value: &[u8]) -> Option<(u64, Option<String>)> {
    let (views, last) = str::from_utf8(value).ok()?.split_once(' ')?;
    Some((views.parse().ok()?, Some(last.to_owned())))
}
