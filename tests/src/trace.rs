//! What a failing test shows of its past: everything where `ESKER_TRACE` is set, a line otherwise.

use std::{env, fmt, thread};

use esker_engine::env::MemFs;

/// Whether tests shall show what they do.
pub fn is_on() -> bool {
    env::var_os("ESKER_TRACE").is_some()
}

/// Shows something when a panic passes.
#[derive(Debug)]
pub struct ShownOnPanic<T: fmt::Display>(pub T);

impl<T: fmt::Display> Drop for ShownOnPanic<T> {
    fn drop(&mut self) {
        if thread::panicking() {
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
        if thread::panicking() {
            for (number, call) in (1..).zip(self.0.log()) {
                eprintln!("call {number}: {call}");
            }
        }
    }
}
