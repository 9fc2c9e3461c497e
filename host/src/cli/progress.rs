//! Progress on standard error: rows, bytes, rate and time left. Nothing is shown where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::number;

/// How often a bar moves by itself.
const TICK: Duration = Duration::from_millis(100);

/// A bar for reading a file of `total` bytes; without a total, what was read so far.
pub fn of_reading(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => styled(
            ProgressBar::new(total),
            "{bar:16} {bytes}/{total_bytes} {bytes_per_sec} {msg}, {eta} left",
        ),
        None => styled(ProgressBar::no_length(), "{spinner} {bytes} {bytes_per_sec} {msg} in {elapsed}"),
    }
}

/// A spinner for work whose extent is not known.
pub fn of_work() -> ProgressBar {
    styled(ProgressBar::no_length(), "{spinner} {msg} in {elapsed}")
}

/// Shows how many rows there are so far.
pub fn show_rows(bar: &ProgressBar, rows: u64) {
    if !bar.is_hidden() {
        bar.set_message(number::counted(rows, "row"));
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    bar.set_style(ProgressStyle::with_template(template).expect("the templates above are well-formed"));
    if !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
    bar
}
