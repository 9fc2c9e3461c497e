//! `esker top`: a live view of a store, in a terminal.
//!
//! ```text
//! look once in a while ──► Picture: the figures, and those of the look before ──► view draws it
//!        ▲ a key, another size of the terminal: drawn again at once
//! ```
//!
//! It never opens the store: it shows what the process that has it open publishes, else what the files tell
//! (docs/stats.md). `esker bench --top` shows its own.

mod view;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use esker_host::KvStore;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};

use self::view::Picture;
use super::failure::{Failure, Outcome};
use super::figures::{self, Figures, Origin, Watched};
use super::store::StoreArgs;

/// Keys and the end of what is watched are noticed within this time.
const POLL: Duration = Duration::from_millis(100);

/// Watch a store live: levels, rates, latency, cache, jobs and what writes wait for
///
/// Shows the store that another process has open; where nobody has, what its files tell. q ends it.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The store's directory [default: that of --dir]
    directory: Option<std::path::PathBuf>,

    /// Look every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600), default_value_t = 1)]
    interval: u64,
}

const EXAMPLES: &str = "\
Examples:
  esker top                                  while another process uses ./esker-data
  esker top --interval 5 /srv/names
  esker bench --top fillrandom readrandom    a bench, watched";

/// Runs the command.
pub fn run(store: &StoreArgs, args: &Args) -> Outcome {
    require_terminal()?;
    let dir = args.directory.as_deref().unwrap_or(store.dir());
    let mut watched = Watched::at(store, dir);
    // What is wrong with the directory is said before the screen is taken.
    let first = watched.look()?;
    let mut screen = Screen::new(dir, first);
    let interval = Duration::from_secs(args.interval);
    in_terminal(|terminal| screen.watch(terminal, interval, &AtomicBool::new(false), || watched.look()))
}

/// Does `work` on a store of this process while its figures are shown. `q` ends the showing, not the work.
pub fn beside<T>(store: &KvStore, dir: &Path, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    require_terminal()?;
    let look = || Ok(Figures { stats: figures::parse(&store.stats()?)?, origin: Origin::Here });
    let mut screen = Screen::new(dir, look()?);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let shown = scope
            .spawn(|| in_terminal(|terminal| screen.watch(terminal, Duration::from_secs(1), &done, look)));
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        let shown = shown.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let value = outcome?;
        shown?;
        Ok(value)
    })
}

fn require_terminal() -> Outcome {
    if io::stdout().is_terminal() && io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::other(
        "a live view needs a terminal, and here is none: `esker stats --watch 1` prints a line every second, \
         `esker stats --json` all figures once",
    ))
}

/// Takes the screen for the time of `show`, and gives it back whatever happens.
fn in_terminal(show: impl FnOnce(&mut DefaultTerminal) -> Outcome) -> Outcome {
    let mut terminal =
        ratatui::try_init().map_err(|cause| Failure::other(format!("cannot take the terminal: {cause}")))?;
    let shown = show(&mut terminal);
    ratatui::restore();
    shown
}

/// What is shown, from look to look.
struct Screen {
    picture: Picture,
    looked: Instant,
}

impl Screen {
    fn new(dir: &Path, first: Figures) -> Self {
        Self { picture: Picture::new(dir.display().to_string(), first), looked: Instant::now() }
    }

    /// Shows the figures until somebody wants to quit, or the work that is watched is done.
    fn watch(
        &mut self,
        terminal: &mut DefaultTerminal,
        interval: Duration,
        done: &AtomicBool,
        mut look: impl FnMut() -> Outcome<Figures>,
    ) -> Outcome {
        let broken = |cause: io::Error| Failure::other(format!("the terminal does not answer: {cause}"));
        loop {
            terminal.draw(|frame| self.picture.draw(frame)).map_err(broken)?;
            loop {
                if done.load(Ordering::Relaxed) {
                    return Ok(());
                }
                if self.looked.elapsed() >= interval {
                    let between = self.looked.elapsed();
                    self.looked = Instant::now();
                    // What fails now may work at the next look: a store that is closed and opened again.
                    match look() {
                        Ok(figures) => self.picture.update(figures, between),
                        Err(failure) => self.picture.fail(failure.words().to_owned()),
                    }
                    break;
                }
                let rest = interval.saturating_sub(self.looked.elapsed());
                if event::poll(POLL.min(rest)).map_err(broken)? {
                    match event::read().map_err(broken)? {
                        Event::Key(key) if quits(key) => return Ok(()),
                        Event::Resize(..) => break,
                        _ => {}
                    }
                }
            }
        }
    }
}

fn quits(key: KeyEvent) -> bool {
    let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_an_interrupt_quit() {
        let key = |code, modifiers| quits(KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Esc, KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
    }
}
