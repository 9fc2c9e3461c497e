//! `esker-sim`: plays rounds of the simulation with fresh seeds until its time is over; `cargo xtask sim` builds it and
//! runs it.
//!
//! It spends half of the time on the engine itself, whose rounds are many, and half on the shipped component. The
//! first round that fails ends it: its plan is shrunk and shown with the line that replays it.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, thread};

use esker_tests::rounds::{Machine, Plan, Tally};
use esker_tests::sim::Component;
use esker_tests::trace;

const USAGE: &str =
    "usage: esker-sim [--minutes N] [--threads N] [--from SEED] [--only native|component] [--summary FILE]
       esker-sim --replay native:SEED | component:SEED | native-sweep:SEED | component-sweep:SEED";

/// One round in so many is a sweep, which is worth a few hundred.
const SWEEP_EVERY: u64 = 200;
/// A failing plan is played again at most so many times to make it smaller.
const SHRINK_ATTEMPTS: usize = 3_000;

fn main() -> ExitCode {
    match Task::parse(env::args().skip(1)) {
        Err(message) => {
            eprintln!("error: {message}\n{USAGE}");
            ExitCode::FAILURE
        }
        Ok(Task::Replay(round)) => match round.play(&mut Tally::default()) {
            Ok(()) => {
                println!("{} passes", round.name());
                ExitCode::SUCCESS
            }
            Err(words) => {
                round.report(&words);
                ExitCode::FAILURE
            }
        },
        Ok(Task::Simulate(simulation)) => simulation.run(),
    }
}

enum Task {
    Simulate(Simulation),
    Replay(Round),
}

impl Task {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut simulation = Simulation {
            minutes: 1.0,
            threads: thread::available_parallelism().map_or(1, usize::from),
            from: fresh_seed(),
            only: None,
            summary: None,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let refused = |what: &str| format!("{name} takes {what}, not {value:?}");
            match name.as_str() {
                "--minutes" => {
                    simulation.minutes = value.parse().map_err(|_| refused("a number of minutes"))?
                }
                "--threads" => {
                    simulation.threads = value.parse().map_err(|_| refused("a number of threads"))?
                }
                "--from" => simulation.from = value.parse().map_err(|_| refused("a seed, a whole number"))?,
                "--only" => {
                    simulation.only = match value.as_str() {
                        "native" => Some(Place::Native),
                        "component" => Some(Place::Component),
                        _ => return Err(refused("native or component")),
                    }
                }
                "--summary" => simulation.summary = Some(value),
                "--replay" => return Round::parse(&value).map(Self::Replay),
                _ => return Err(format!("there is no option {name}")),
            }
        }
        if !(simulation.minutes > 0.0 && simulation.minutes < 1e6) || simulation.threads == 0 {
            return Err("--minutes and --threads are more than 0".into());
        }
        Ok(Self::Simulate(simulation))
    }
}

/// Chance that differs from run to run; all else follows from it.
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as u64 * 1_000_000 % (1 << 53)
}

/// Where a round is played.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Native,
    Component,
}

/// One round.
#[derive(Debug, Clone, Copy)]
struct Round {
    place: Place,
    sweep: bool,
    seed: u64,
}

impl Round {
    fn parse(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "{text:?} names no round: write native:SEED, component:SEED, native-sweep:SEED or component-sweep:SEED"
            )
        };
        let (kind, seed) = text.split_once(':').ok_or_else(unknown)?;
        let (place, sweep) = match kind {
            "native" => (Place::Native, false),
            "component" => (Place::Component, false),
            "native-sweep" => (Place::Native, true),
            "component-sweep" => (Place::Component, true),
            _ => return Err(unknown()),
        };
        Ok(Self { place, sweep, seed: seed.parse().map_err(|_| unknown())? })
    }

    fn name(self) -> String {
        let place = match self.place {
            Place::Native => "native",
            Place::Component => "component",
        };
        format!("{place}{}:{}", if self.sweep { "-sweep" } else { "" }, self.seed)
    }

    fn play(self, tally: &mut Tally) -> Result<(), String> {
        if !self.sweep {
            return play(self.place, &Plan::random(self.seed), tally);
        }
        let plan = Plan::short(self.seed);
        trace::caught(|| match self.place {
            Place::Native => plan.sweep::<Machine>(tally),
            Place::Component => plan.sweep::<Component>(tally),
        })
    }

    /// Shows a failure: what it says, how to see it again, and the least that fails.
    fn report(self, words: &str) {
        println!(
            "\n{} fails:\n{words}\n\nto replay it:\n    cargo xtask sim --replay {}\n",
            self.name(),
            self.name()
        );
        if !self.sweep {
            let fails = |plan: &Plan| play(self.place, plan, &mut Tally::default()).is_err();
            let least = Plan::random(self.seed).shrink(SHRINK_ATTEMPTS, fails);
            let words = play(self.place, &least, &mut Tally::default()).err().unwrap_or_default();
            println!("the least of it that fails ({words}):\n{least}");
        }
    }
}

fn play(place: Place, plan: &Plan, tally: &mut Tally) -> Result<(), String> {
    trace::caught(|| match place {
        Place::Native => plan.play::<Machine>(tally),
        Place::Component => plan.play::<Component>(tally),
    })
}

/// What was counted at one place, and the time that it took on one core.
#[derive(Default)]
struct Share {
    tally: Tally,
    time: Duration,
}

struct Simulation {
    minutes: f64,
    threads: usize,
    from: u64,
    /// Where all rounds are played; by turns if nowhere is named.
    only: Option<Place>,
    summary: Option<String>,
}

impl Simulation {
    fn run(&self) -> ExitCode {
        println!("seeds from {}, {} minutes on {} threads", self.from, self.minutes, self.threads);
        let end = Instant::now() + Duration::from_secs_f64(self.minutes * 60.0);
        let (next, failed) = (AtomicU64::new(self.from), AtomicBool::new(false));
        let failure = Mutex::new(None);
        let shares = Mutex::new([Share::default(), Share::default()]);
        thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    let mut own = [Share::default(), Share::default()];
                    while Instant::now() < end && !failed.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        // Whoever has had less time is next.
                        let behind =
                            if own[0].time <= own[1].time { Place::Native } else { Place::Component };
                        let place = self.only.unwrap_or(behind);
                        let round = Round { place, sweep: seed.is_multiple_of(SWEEP_EVERY), seed };
                        let share = &mut own[place as usize];
                        let start = Instant::now();
                        if let Err(words) = round.play(&mut share.tally) {
                            failed.store(true, Ordering::Relaxed);
                            failure.lock().expect("no holder panics").get_or_insert((round, words));
                        }
                        share.time += start.elapsed();
                    }
                    let mut all = shares.lock().expect("no holder panics");
                    for (all, own) in all.iter_mut().zip(&own) {
                        all.tally.add(&own.tally);
                        all.time += own.time;
                    }
                });
            }
        });
        let seeds = self.from..next.into_inner();
        let summary = self.summary(&seeds, &shares.into_inner().expect("no holder panics"));
        println!("{summary}");
        if let Some((round, words)) = failure.into_inner().expect("no holder panics") {
            round.report(&words);
            return ExitCode::FAILURE;
        }
        if let Some(path) = &self.summary
            && let Err(error) = fs::write(path, &summary)
        {
            eprintln!("error: cannot write {path}: {error}");
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }

    fn summary(&self, seeds: &std::ops::Range<u64>, [native, component]: &[Share; 2]) -> String {
        let mut text = format!(
            "Simulation of {} (UTC): {} minutes, {} threads, seeds {} to {}\n",
            today(),
            self.minutes,
            self.threads,
            seeds.start,
            seeds.end.saturating_sub(1)
        );
        writeln!(text, "{:<52}{:>14}{:>14}", "", "engine", "component").expect("a string takes all");
        let mut line = |what: &str, native: u64, component: u64| {
            writeln!(text, "{what:<52}{native:>14}{component:>14}").expect("a string takes all");
        };
        let rate =
            |share: &Share| (share.tally.recoveries as f64 / share.time.as_secs_f64().max(0.001)) as u64;
        let (a, b) = (&native.tally, &component.tally);
        line("rounds", a.rounds, b.rounds);
        line("recoveries, all judged right", a.recoveries, b.recoveries);
        line("recoveries a second on one core", rate(native), rate(component));
        line("calls of the file system, each a crash point", a.calls, b.calls);
        let visited = |tally: &Tally| {
            tally.swept + tally.troubles.get("machine crashed at a call").copied().unwrap_or(0)
        };
        line("  of them visited by a crash", visited(a), visited(b));
        line("short lives crashed at every call", a.sweeps, b.sweeps);
        line("  calls that is", a.swept, b.swept);
        line("workers that died of a job", a.workers_died, b.workers_died);
        let names: std::collections::BTreeSet<_> = a.troubles.keys().chain(b.troubles.keys()).collect();
        for name in names {
            let of = |tally: &Tally| tally.troubles.get(name).copied().unwrap_or(0);
            line(&format!("trouble: {name}"), of(a), of(b));
        }
        let names: std::collections::BTreeSet<_> = a.falls.keys().chain(b.falls.keys()).collect();
        for name in names {
            let of = |tally: &Tally| tally.falls.get(name).copied().unwrap_or(0);
            line(&format!("end of a life: {name}"), of(a), of(b));
        }
        text
    }
}

/// The date, as `2026-11-25` (days to civil: Howard Hinnant, "chrono-compatible low-level date algorithms").
fn today() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let days = now.as_secs() / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}
