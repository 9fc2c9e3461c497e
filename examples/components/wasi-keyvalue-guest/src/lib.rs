//! The guest with which wasmtime tests its own `wasi:keyvalue` (`keyvalue_main`), made anew from what it does and from
//! the published interface `0.2.0-draft` alone: the same calls in the same order, with the same answers.
//!
//! Like there, the variable `IDENTIFIER` names the bucket.

mod bindings {
    #![allow(missing_docs, clippy::all, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../../wit/deps/keyvalue-draft",
        world: "imports",
        generate_all,
    });
}

use bindings::wasi::keyvalue::{atomics, batch, store};
use std::io::Write;
use wasip2::cli::environment::get_environment;
use wasip2::cli::{stderr, stdout};

struct Guest;

wasip2::cli::command::export!(Guest);

impl wasip2::exports::cli::run::Guest for Guest {
    fn run() -> Result<(), ()> {
        match steps() {
            Ok(()) => {
                let _ = writeln!(stdout::get_stdout(), "every answer is the expected one");
                Ok(())
            }
            Err(error) => {
                let _ = writeln!(stderr::get_stderr(), "error: {error}");
                Err(())
            }
        }
    }
}

fn steps() -> Result<(), String> {
    let variables = get_environment();
    let identifier = variables.into_iter().find(|(name, _)| name == "IDENTIFIER").map(|(_, value)| value);
    let bucket = store::open(&identifier.unwrap_or_default()).map_err(shown)?;

    expect("a new number", atomics::increment(&bucket, "atomics_key", 5), 5)?;
    expect("its sum", atomics::increment(&bucket, "atomics_key", 1), 6)?;
    let listed = bucket.list_keys(None).map(|page| (page.keys, page.cursor));
    expect("the only key", listed, (vec!["atomics_key".into()], None))?;

    bucket.set("hello", b"world").map_err(shown)?;
    expect("what was set", bucket.get("hello"), Some(b"world".to_vec()))?;
    expect("that it is there", bucket.exists("hello"), true)?;
    bucket.delete("hello").map_err(shown)?;
    expect("that it is gone", bucket.exists("hello"), false)?;

    let pair = |key: &str| (key.to_owned(), b"v1".to_vec());
    batch::set_many(&bucket, &[pair("a1"), pair("b1"), pair("c1")]).map_err(shown)?;
    batch::delete_many(&bucket, &["a1".into(), "c1".into()]).map_err(shown)?;
    let found = batch::get_many(&bucket, &["a1".into(), "b1".into(), "c1".into()]);
    expect("what is left", found, vec![None, Some(pair("b1")), None])
}

/// Checks one answer.
fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    answer: Result<T, store::Error>,
    expected: T,
) -> Result<(), String> {
    let answer = answer.map_err(shown)?;
    if answer == expected { Ok(()) } else { Err(format!("{what}: {answer:?} and not {expected:?}")) }
}

fn shown(error: store::Error) -> String {
    error.to_string()
}
