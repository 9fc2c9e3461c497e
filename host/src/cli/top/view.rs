//! Draws the figures of a store.
//!
//! ```text
//! title
//! rates, memory, levels  │  latency, jobs, waits     side by side where there is room, else one upon the other
//! keys
//! ```
//!
//! Sections stand in the order of their weight: a small terminal shows the first ones.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use serde_json::{Map, Value};

use crate::cli::figures::{Figures, Origin, at, rate};
use crate::cli::number;

/// From this width on there are two columns.
const TWO_COLUMNS: u16 = 156;
/// The width of a bar.
const BAR: usize = 20;

/// What is shown.
#[derive(Debug)]
pub struct Picture {
    dir: String,
    origin: Origin,
    stats: Map<String, Value>,
    /// The figures of the look before, and how long ago that was.
    before: Option<(Map<String, Value>, Duration)>,
    /// Why the last look failed.
    failure: Option<String>,
}

impl Picture {
    /// After a first look.
    pub fn new(dir: String, first: Figures) -> Self {
        Self { dir, origin: first.origin, stats: first.stats, before: None, failure: None }
    }

    /// After another look, so much later.
    pub fn update(&mut self, figures: Figures, between: Duration) {
        // Figures of another opening begin at zero again, and files tell no counters.
        let same = at(&figures.stats, "epoch") == at(&self.stats, "epoch")
            && std::mem::discriminant(&figures.origin) == std::mem::discriminant(&self.origin);
        let before = std::mem::replace(&mut self.stats, figures.stats);
        self.before = same.then_some((before, between));
        self.origin = figures.origin;
        self.failure = None;
    }

    /// After a look that failed.
    pub fn fail(&mut self, why: String) {
        self.failure = Some(why);
    }

    /// Draws all of it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let [title, body, keys] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
                .areas(frame.area());
        frame.render_widget(self.title(), title);
        let (first, second) = self.sections();
        if body.width >= TWO_COLUMNS && !second.is_empty() {
            let [left, right] =
                Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2).areas(body);
            render(frame, first, left);
            render(frame, second, right);
        } else {
            render(frame, [first, second].concat(), body);
        }
        frame.render_widget(Line::styled(" q quits", Style::new().add_modifier(Modifier::DIM)), keys);
    }

    fn title(&self) -> Line<'static> {
        let words = match &self.failure {
            Some(failure) => format!(" {}: {failure} ", self.dir),
            None => format!(" {}: {} ", self.dir, self.told()),
        };
        let style = match self.failure {
            Some(_) => Style::new().fg(Color::Red).add_modifier(Modifier::REVERSED),
            None => Style::new().add_modifier(Modifier::REVERSED),
        };
        Line::styled(words, style)
    }

    fn told(&self) -> String {
        let seconds = (at(&self.stats, "uptime_micros") / 1e6) as u64;
        let up = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        match &self.origin {
            Origin::Here => format!("open here, {up}"),
            // An idle process publishes nothing, since nothing changes.
            Origin::Process { number, age } if age.as_secs() > 2 => {
                format!("process {number}, idle for {} s, open for {up}", age.as_secs())
            }
            Origin::Process { number, .. } => format!("process {number}, open for {up}"),
            Origin::Files { .. } => self.origin.to_string(),
        }
    }

    /// The sections of the first column and of the second.
    fn sections(&self) -> (Vec<Line<'static>>, Vec<Line<'static>>) {
        if matches!(self.origin, Origin::Files { .. }) {
            let last = number::count(at(&self.stats, "last_sequence") as u64);
            let last = vec![Line::raw(format!(" last sequence number {last}, the log included"))];
            return ([self.levels(), last].concat(), Vec::new());
        }
        let first = [self.rates(), self.memory(), self.levels()].concat();
        let second = [self.waits(), self.latency(), self.jobs()].concat();
        (first, second)
    }

    fn rates(&self) -> Vec<Line<'static>> {
        let per_sec = |place: &str| match &self.before {
            Some((before, between)) => rate(before, &self.stats, place, *between) as u64,
            None => 0,
        };
        let count = |place: &str| format!("{}/s", number::count(per_sec(place)));
        let bytes = |place: &str| format!("{}/s", number::bytes(per_sec(place)));
        let looks = per_sec("cache.hits") + per_sec("cache.misses");
        let hits = (looks > 0).then(|| per_sec("cache.hits") * 100 / looks);
        vec![
            heading("rates"),
            row(&[
                ("writes", count("writes.operations")),
                ("", bytes("writes.bytes")),
                ("syncs", count("writes.syncs")),
            ]),
            row(&[
                ("gets", count("reads.gets")),
                ("scans", count("reads.scans")),
                ("cache hits", hits.map_or("-".into(), |hits| format!("{hits} %"))),
            ]),
            row(&[
                ("flushed", bytes("flush.bytes_written")),
                ("compacted", bytes("compaction.bytes_written")),
                ("amplified", format!("{:.2}", at(&self.stats, "write_amplification"))),
            ]),
        ]
    }

    fn memory(&self) -> Vec<Line<'static>> {
        let stats = &self.stats;
        let sealed = at(stats, "sealed_memtables") as u64;
        let waiting = match sealed {
            0 => String::new(),
            _ => format!(", {} sealed", number::bytes(at(stats, "memory.sealed_memtables") as u64)),
        };
        vec![
            heading("memory"),
            gauge("memtable", at(stats, "memory.memtable"), at(stats, "memory.memtable_target"), waiting),
            gauge("cache", at(stats, "cache.bytes"), at(stats, "cache.bytes_max"), String::new()),
        ]
    }

    fn levels(&self) -> Vec<Line<'static>> {
        let mut lines = vec![
            heading("levels"),
            Line::styled(
                format!(
                    " {:>2} {:>8} {:>11} {:>12} {:>6}  {}",
                    "", "tables", "bytes", "entries", "dead", "filled"
                ),
                Style::new().add_modifier(Modifier::DIM),
            ),
        ];
        let levels = self.stats.get("levels").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (level, figures) in levels.iter().enumerate() {
            let of = |name: &str| figures.get(name).and_then(Value::as_f64).unwrap_or(0.0);
            if of("tables") == 0.0 {
                continue;
            }
            let dead = of("tombstones") / of("entries").max(1.0) * 100.0;
            let (filled, full) = match level {
                0 => (of("tables"), at(&self.stats, "level0_stop")),
                _ => (of("bytes"), of("bytes_target")),
            };
            let mut spans = vec![Span::raw(format!(
                " {level:>2} {:>8} {:>11} {:>12} {:>4.0} %  ",
                number::count(of("tables") as u64),
                number::bytes(of("bytes") as u64),
                number::count(of("entries") as u64),
                dead,
            ))];
            if full > 0.0 {
                spans.extend(bar(filled / full));
                spans.push(Span::raw(format!(" {:.0} %", filled / full * 100.0)));
            }
            lines.push(Line::from(spans));
        }
        if lines.len() == 2 {
            lines.push(Line::raw(" no tables"));
        }
        lines
    }

    fn latency(&self) -> Vec<Line<'static>> {
        let mut lines = vec![
            heading("latency, since the store was opened"),
            Line::styled(
                format!(
                    " {:<5} {:>13} {:>10} {:>10} {:>10} {:>10}",
                    "", "calls", "half", "99 %", "99.9 %", "longest"
                ),
                Style::new().add_modifier(Modifier::DIM),
            ),
        ];
        for operation in ["put", "get", "sync"] {
            let of = |name: &str| at(&self.stats, &format!("latency.{operation}.{name}"));
            lines.push(Line::raw(format!(
                " {operation:<5} {:>13} {:>10} {:>10} {:>10} {:>10}",
                number::count(of("count") as u64),
                micros(of("micros_p50")),
                micros(of("micros_p99")),
                micros(of("micros_p999")),
                micros(of("micros_max")),
            )));
        }
        lines
    }

    fn jobs(&self) -> Vec<Line<'static>> {
        let stats = &self.stats;
        let jobs = stats.get("jobs").and_then(|jobs| jobs.get("under_way")).and_then(Value::as_array);
        let mut lines = vec![heading(&format!(
            "jobs: {} flushes, {} compactions, {} failed",
            number::count(at(stats, "flush.jobs") as u64),
            number::count(at(stats, "compaction.jobs") as u64),
            number::count(at(stats, "jobs.failed") as u64),
        ))];
        for job in jobs.into_iter().flatten() {
            let text = |name: &str| job.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let number = |name: &str| job.get(name).and_then(Value::as_f64).unwrap_or(0.0);
            lines.push(Line::raw(format!(
                " {} to level {}, {}, {}, {}",
                text("kind"),
                number("level"),
                number::bytes(number("input_bytes") as u64),
                text("reason"),
                text("place"),
            )));
        }
        if lines.len() == 1 {
            lines.push(Line::raw(" none under way"));
        }
        if let Some(failure) = stats.get("maintenance_failure").and_then(Value::as_str) {
            lines.push(Line::styled(format!(" failed: {failure}"), Style::new().fg(Color::Red)));
        }
        lines
    }

    fn waits(&self) -> Vec<Line<'static>> {
        let stats = &self.stats;
        let stalled = stats.get("stalled").and_then(Value::as_bool).unwrap_or(false);
        let slowed = at(stats, "pace.nanos_a_kib");
        let state = match (stalled, slowed > 0.0) {
            (true, _) => {
                Span::styled("writes wait", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD))
            }
            (false, true) => Span::styled(
                format!("writes are slowed by {} a KiB", micros(slowed / 1e3)),
                Style::new().fg(Color::Yellow),
            ),
            (false, false) => Span::styled("writes go on", Style::new().fg(Color::Green)),
        };
        let pending = number::bytes(at(stats, "pending_bytes") as u64);
        let sealed = number::counted(at(stats, "sealed_memtables") as u64, "memtable");
        let mut lines = vec![
            heading("pressure"),
            Line::from(vec![Span::raw(" "), state]),
            Line::raw(format!(" {sealed} to flush, {pending} to compact")),
        ];
        for (place, what) in [("slowdowns", "slowed"), ("pace.waits", "slowed"), ("stalls", "stopped")] {
            let reasons = place.split('.').try_fold(None, |value: Option<&Value>, step| match value {
                None => stats.get(step).map(Some),
                Some(value) => value.get(step).map(Some),
            });
            let reasons = reasons.flatten().and_then(Value::as_object);
            for (reason, figures) in reasons.into_iter().flatten() {
                let of = |name: &str| figures.get(name).and_then(Value::as_f64).unwrap_or(0.0);
                if of("count") > 0.0 {
                    lines.push(Line::raw(format!(
                        " {what} by {reason}: {} times, {} in all, {} at most",
                        number::count(of("count") as u64),
                        micros(of("micros")),
                        micros(of("micros_max")),
                    )));
                }
            }
        }
        lines
    }
}

fn render(frame: &mut Frame<'_>, lines: Vec<Line<'static>>, area: Rect) {
    frame.render_widget(Paragraph::new(lines), area);
}

fn heading(words: &str) -> Line<'static> {
    Line::styled(words.to_owned(), Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD))
}

/// Named figures in columns.
fn row(cells: &[(&str, String)]) -> Line<'static> {
    let cells = cells.iter().map(|(name, figure)| format!(" {name:<10}{figure:>13}"));
    Line::raw(cells.collect::<String>())
}

/// A name, a bar, and what it stands for.
fn gauge(name: &str, filled: f64, full: f64, more: String) -> Line<'static> {
    let mut spans = vec![Span::raw(format!(" {name:<10}"))];
    spans.extend(bar(if full > 0.0 { filled / full } else { 0.0 }));
    let (filled, full) = (number::bytes(filled as u64), number::bytes(full as u64));
    spans.push(Span::raw(format!(" {filled} of {full}{more}")));
    Line::from(spans)
}

/// A bar that is filled to this share; one that is more than full is red.
fn bar(share: f64) -> [Span<'static>; 2] {
    let filled = ((share * BAR as f64).round() as usize).min(BAR);
    let color = match share {
        share if share > 1.0 => Color::Red,
        share if share > 0.75 => Color::Yellow,
        _ => Color::Green,
    };
    [
        Span::styled("█".repeat(filled), Style::new().fg(color)),
        Span::styled("░".repeat(BAR - filled), Style::new().add_modifier(Modifier::DIM)),
    ]
}

/// A time of so many microseconds.
fn micros(micros: f64) -> String {
    match micros {
        micros if micros < 1000.0 => format!("{micros:.1} µs"),
        micros if micros < 1e6 => format!("{:.1} ms", micros / 1e3),
        micros => format!("{:.1} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::fmt::Write;
    use std::path::Path;
    use std::{env, fs};

    fn stats(name: &str) -> Map<String, Value> {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/top").join(name));
        serde_json::from_str(&text.expect("it is there")).expect("JSON")
    }

    /// What stands on a terminal of this size.
    fn screen(picture: &Picture, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("in memory");
        terminal.draw(|frame| picture.draw(frame)).expect("in memory");
        let buffer = terminal.backend().buffer();
        let mut text = String::new();
        for y in 0..height {
            let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
            writeln!(text, "{}", line.trim_end()).expect("a String takes everything");
        }
        text
    }

    /// A text case holds the screens of known figures, each under its size; `UPDATE=1` rewrites it.
    fn check(name: &str, picture: &Picture) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/top").join(name);
        let mut found = String::new();
        for (width, height) in [(160, 24), (80, 40), (60, 12), (20, 4), (1, 1)] {
            writeln!(found, "=== {width} x {height}\n{}", screen(picture, width, height)).expect("a String");
        }
        if env::var_os("UPDATE").is_some() {
            fs::write(&path, &found).expect("it can be written");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{} goes otherwise (UPDATE=1 rewrites it):\n{found}", path.display());
    }

    fn process(stats: Map<String, Value>) -> Figures {
        Figures { stats, origin: Origin::Process { number: 4711, age: Duration::ZERO } }
    }

    #[test]
    fn a_busy_store() {
        let mut picture = Picture::new("/srv/names".into(), process(stats("before.json")));
        picture.update(process(stats("after.json")), Duration::from_secs(2));
        check("busy.txt", &picture);
    }

    #[test]
    fn a_store_that_nobody_has_open() {
        let mut told = stats("after.json");
        told.retain(|name, _| ["epoch", "last_sequence", "levels"].contains(&name.as_str()));
        let figures = Figures { stats: told, origin: Origin::Files { number: None } };
        check("files.txt", &Picture::new("/srv/names".into(), figures));
    }

    #[test]
    fn a_look_that_fails_leaves_the_figures_and_says_why() {
        let mut picture = Picture::new("/srv/names".into(), process(stats("after.json")));
        picture.fail("the directory is gone".into());
        let failed = screen(&picture, 100, 30);
        assert!(failed.starts_with(" /srv/names: the directory is gone"), "{failed}");
        assert!(failed.contains("compaction to level 1"), "{failed}");
    }

    #[test]
    fn figures_of_another_opening_are_no_rates() {
        let mut reopened = stats("before.json");
        let mut picture = Picture::new("/srv/names".into(), process(stats("before.json")));
        reopened.insert("epoch".into(), 99.into());
        picture.update(process(reopened), Duration::from_secs(1));
        assert!(picture.before.is_none());
    }
}
