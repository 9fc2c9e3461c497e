//! A panic is a bug; its message is what the report needs. A trap carries no text, so it goes to the console.

use std::sync::Once;

/// Sends the message of every panic from now on to the console.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&format!("esker: {panic}").into())));
    });
}
