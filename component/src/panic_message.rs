//! A panic is a bug; its message is what the report needs. It goes to the host's standard error, since a trap
//! carries no text.

use crate::bindings::wasi::cli::stderr::get_stderr;
use std::panic::PanicHookInfo;
use std::sync::Once;

/// Sends the message of every panic from now on to `wasi:cli/stderr`.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| std::panic::set_hook(Box::new(report)));
}

fn report(panic: &PanicHookInfo<'_>) {
    let message = format!("esker: {panic}\n");
    let stream = get_stderr();
    // Only calls that never wait: the host may be unable to wait here, and the trap must come in any case.
    let room = stream.check_write().unwrap_or(0) as usize;
    let _ = stream.write(&message.as_bytes()[..message.len().min(room)]);
    let _ = stream.flush();
}
