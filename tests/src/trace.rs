//! What a failing test shows of its past: everything where `ESKER_TRACE` is set, a line otherwise.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::{env, fmt, thread};

use esker_engine::env::MemFs;

/// Whether tests shall show what they do.
pub fn is_on() -> bool {
    env::var_os("ESKER_TRACE").is_some()
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST_WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Does something that may panic, without a word on the way; the error is what the panic says and where.
///
/// # Errors
///
/// When it panics.
pub fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| match QUIET.get() {
            true => LAST_WORDS.set(info.to_string()),
            false => loud(info),
        }));
    });
    QUIET.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(act));
    QUIET.set(false);
    done.map_err(|_| LAST_WORDS.take())
}

/// Whether a panic passes that should be told.
fn is_panic_told() -> bool {
    thread::panicking() && !QUIET.get()
}

/// Shows something when a panic passes.
#[derive(Debug)]
pub struct ShownOnPanic<T: fmt::Display>(pub T);

impl<T: fmt::Display> Drop for ShownOnPanic<T> {
    fn drop(&mut self) {
        if is_panic_told() {
            let text: String = self.0.to_string().chars().take(500).collect();
            eprintln!("{text}");
        }
    }
}

/// Shows the calls that a disk has seen when a panic passes, where tracing is on.
#[derive(Debug)]
pub struct CallsShownOnPanic(MemFs);

impl CallsShownOnPanic {
    /// Watches `disk` from now.
    pub fn watch(disk: &MemFs) -> Self {
        if is_on() {
            disk.start_log();
        }
        Self(disk.clone())
    }
}

impl Drop for CallsShownOnPanic {
    fn drop(&mut self) {
        if is_panic_told() {
            for (number, call) in (1..).zip(self.0.log()) {
                eprintln!("call {number}: {call}");
            }
        }
    }
}
