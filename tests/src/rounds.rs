//! Rounds of the simulation: a few lives of a store, each ended by trouble, each followed by a recovery that is judged.
//!
//! ```text
//! seed ──► Plan: lives ──► play on a Simulated platform ──► Tally
//!                │                    │ panics
//!                └──── shrink ◄───────┘
//! ```
//!
//! A life is a stretch of history and one [`Trouble`]; chance decides after it whether only the primary, its process
//! or the machine dies. A plan is plain data: one that fails is shrunk by leaving steps out for as long as it fails.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use esker_engine::env::{Effect, Fault, FaultFs, MemFs};
use esker_engine::{Error, ErrorKind, Kinds, Options};

use crate::driver::{Driver, is_failure_of_the_files};
use crate::history::{History, Mix, Step};
use crate::journal::End;
use crate::options;
use crate::platform::{Platform, Worker};
use crate::seed::Rng;

/// A machine in memory.
pub type Machine = FaultFs<MemFs>;

/// A platform on a machine in memory.
pub trait Simulated: Platform {
    /// The platform on this machine. `seed` decides what its host does that others do not.
    fn on(machine: Machine, seed: u64) -> Self;

    /// The same platform on what is left of the machine.
    fn moved_to(&self, machine: Machine) -> Self;

    /// Lets a process die of this trouble, if processes can.
    fn arm(&self, trouble: Trouble);

    /// Lets processes live that have not met their trouble yet.
    fn disarm(&self);

    /// How many processes have died of their trouble on this machine.
    fn deaths(&self) -> u64;
}

impl Simulated for Machine {
    fn on(machine: Machine, _: u64) -> Self {
        machine
    }

    fn moved_to(&self, machine: Machine) -> Self {
        machine
    }

    fn arm(&self, _: Trouble) {}

    fn disarm(&self) {}

    fn deaths(&self) -> u64 {
        0
    }
}

/// What befalls a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// The machine goes at this call of the file system, counted from where the trouble begins.
    Crash(u64),
    /// Calls fail.
    Fault(Fault),
    /// The disk has room for so many more bytes.
    Full(u64),
    /// A process is stopped between its calls, when it has executed so many instructions.
    Fuel(u64),
    /// A process is refused this growth of its memory.
    Memory(u64),
}

impl Trouble {
    fn random(rng: &mut Rng) -> Self {
        let nth = rng.between(1, 120);
        match rng.below(100) {
            0..10 => Self::None,
            10..50 => Self::Crash(rng.between(1, 400)),
            50..58 => Self::Fault(Fault::once(Effect::Io, nth)),
            58..63 => Self::Fault(Fault::lasting(Effect::Io, nth)),
            63..70 => Self::Fault(Fault::once(Effect::NoSpace, nth)),
            70..74 => Self::Fault(Fault::lasting(Effect::NoSpace, nth)),
            74..79 => Self::Fault(Fault::once(Effect::ShortAppend, nth)),
            79..87 => Self::Full(rng.between(0, 30_000)),
            87..95 => Self::Fuel(rng.between(1, 20_000_000)),
            _ => Self::Memory(rng.between(1, 12)),
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Crash(_) => "machine crashed at a call",
            Self::Fault(Fault { effect: Effect::NoSpace, .. }) => "call found no space",
            Self::Fault(Fault { effect: Effect::ShortAppend, .. }) => "append stopped half way",
            Self::Fault(_) => "call failed",
            Self::Full(_) => "disk full",
            Self::Fuel(_) => "process stopped between calls",
            Self::Memory(_) => "memory refused",
        }
    }
}

/// Who dies after a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fall {
    /// The primary alone; readers go on.
    Primary,
    /// All processes; what they handed to the operating system is there.
    Processes,
    /// The machine, by a power cut with this seed.
    Power(u64),
}

/// A stretch of history and what befalls it.
#[derive(Debug, Clone)]
pub struct Life {
    /// With these options the store is opened.
    pub options: Options,
    /// What is done.
    pub steps: Vec<Step>,
    /// What befalls it.
    pub trouble: Trouble,
    /// Whether it does while the store is being opened already.
    pub while_opening: bool,
    /// Whether somebody reads what was left before the store is opened.
    pub looked_at: bool,
    /// Who dies in the end.
    pub fall: Fall,
}

/// What a round does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of it all.
    pub seed: u64,
    /// The keys that the steps use by index.
    pub keys: Rc<[Vec<u8>]>,
    /// The lives, in order.
    pub lives: Vec<Life>,
}

impl Plan {
    /// The plan of this seed.
    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x0F_A11E);
        let mix = match rng.below(10) {
            0..7 => Mix { key_bytes: 300, value_bytes: 3_000, ..Mix::CHANGES },
            7..9 => Mix { key_bytes: 1_000, value_bytes: 5_000, ..Mix::ALL },
            _ => Mix::LARGE,
        };
        let (lives, length) = (rng.between(2, 4) as usize, rng.between(5, 60) as usize);
        let History { keys, mut steps } = History::random(rng.next_u64(), lives * length, &mix);
        if rng.percent(50) {
            steps = with_workers(steps, &mut rng);
        }
        let length = steps.len() / lives;
        let life = |_| Life {
            options: options::random(&mut rng),
            steps: steps.drain(..length).collect(),
            trouble: Trouble::random(&mut rng),
            while_opening: rng.percent(20),
            looked_at: rng.percent(20),
            fall: match rng.below(10) {
                0..2 => Fall::Primary,
                2..5 => Fall::Processes,
                _ => Fall::Power(rng.next_u64()),
            },
        };
        Self { seed, keys, lives: (0..lives).map(life).collect() }
    }

    /// Plays the plan, and judges each recovery.
    ///
    /// # Panics
    ///
    /// When the store does what it must not.
    pub fn play<P: Simulated>(&self, tally: &mut Tally) {
        let machine = FaultFs::new(MemFs::new());
        let platform = P::on(machine.clone(), self.seed);
        let first = self.lives.first().map_or_else(Options::default, |life| life.options.clone());
        let driver = Driver::new(platform.clone(), Rc::clone(&self.keys), first);
        let mut play = Play { machine, platform, driver, end: End::Kill, tally };
        for life in &self.lives {
            play.live(life);
        }
        play.come_back(&options::random(&mut Rng::new(self.seed)), false);
        play.tally.rounds += 1;
        play.tally.calls += play.machine.inner().calls();
    }

    /// The plan of this seed, short enough for its first life to be ended at each call of the file system in turn.
    pub fn short(seed: u64) -> Self {
        let mut plan = Self::random(seed);
        plan.lives.truncate(2);
        for life in &mut plan.lives {
            life.steps.truncate(14);
            life.trouble = Trouble::None;
        }
        if let Some(first) = plan.lives.first_mut() {
            first.while_opening = true;
            first.fall = if seed.is_multiple_of(3) { Fall::Processes } else { Fall::Power(seed) };
        }
        plan
    }

    /// Plays a short plan once for each call of the file system that its first life makes: the machine goes there.
    ///
    /// # Panics
    ///
    /// As [`Plan::play`].
    pub fn sweep<P: Simulated>(mut self, tally: &mut Tally) {
        for call in 1.. {
            self.lives[0].trouble = Trouble::Crash(call);
            let mut once = Tally::default();
            self.play::<P>(&mut once);
            let crashed = !once.troubles.is_empty();
            once.swept += u64::from(crashed);
            once.sweeps += u64::from(!crashed);
            tally.add(&once);
            if !crashed {
                return;
            }
        }
    }

    /// Leaves out what is not needed for `fails` to stay true, with at most so many attempts.
    pub fn shrink(mut self, attempts: usize, fails: impl Fn(&Self) -> bool) -> Self {
        let left = Cell::new(attempts);
        let still_fails = |plan: &Self| {
            left.set(left.get().saturating_sub(1));
            left.get() > 0 && fails(plan)
        };
        loop {
            let before = self.steps();
            for life in (0..self.lives.len()).rev() {
                let mut less = self.clone();
                less.lives.remove(life);
                if !less.lives.is_empty() && still_fails(&less) {
                    self = less;
                }
            }
            for life in 0..self.lives.len() {
                self.shrink_life(life, &still_fails);
            }
            if self.steps() == before || left.get() == 0 {
                return self;
            }
        }
    }

    fn shrink_life(&mut self, life: usize, fails: &impl Fn(&Self) -> bool) {
        let mut chunk = self.lives[life].steps.len().div_ceil(2);
        while chunk > 0 {
            let mut start = 0;
            while start < self.lives[life].steps.len() {
                let mut less = self.clone();
                let end = (start + chunk).min(less.lives[life].steps.len());
                less.lives[life].steps.drain(start..end);
                if fails(&less) {
                    *self = less;
                } else {
                    start += chunk;
                }
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
    }

    fn steps(&self) -> usize {
        self.lives.iter().map(|life| life.steps.len()).sum()
    }
}

/// The same steps, among which workers take jobs and bring them back.
fn with_workers(steps: Vec<Step>, rng: &mut Rng) -> Vec<Step> {
    let mut helped = vec![Step::Help(true)];
    for step in steps {
        helped.push(step);
        if rng.percent(50) {
            helped.push(Step::TakeJob(Kinds::ALL));
        }
        if rng.percent(40) {
            let slice_bytes = rng.pick(&[u64::MAX, 1_000]);
            let worker = Worker { slice_bytes, dies_at: rng.percent(30).then(|| rng.between(1, 40)) };
            helped.push(Step::RunJob { job: rng.index(10), worker });
        }
        if rng.percent(40) {
            helped.push(Step::FinishJob(rng.index(10)));
        }
        if rng.percent(10) {
            helped.push(Step::CatchUp(rng.index(10)));
        }
    }
    helped
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, life) in self.lives.iter().enumerate() {
            writeln!(f, "life {number}: {:?}", life.options)?;
            for step in &life.steps {
                writeln!(f, "    {step:?}")?;
            }
            let Life { trouble, while_opening, looked_at, fall, .. } = life;
            writeln!(
                f,
                "    trouble {trouble:?} (while opening: {while_opening}, read before: {looked_at}), then {fall:?} falls"
            )?;
        }
        Ok(())
    }
}

/// What has been tried, in all rounds.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Rounds.
    pub rounds: u64,
    /// Times that a store was opened, judged, and found to be right.
    pub recoveries: u64,
    /// Calls of the file system. Each is a place where the machine can crash.
    pub calls: u64,
    /// Short lives that have been ended at every call, and so many calls that is.
    pub sweeps: u64,
    /// See `sweeps`.
    pub swept: u64,
    /// Workers that died of their jobs.
    pub workers_died: u64,
    /// What has struck, by kind.
    pub troubles: BTreeMap<&'static str, u64>,
    /// Who has died, by name.
    pub falls: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.recoveries += other.recoveries;
        self.calls += other.calls;
        self.sweeps += other.sweeps;
        self.swept += other.swept;
        self.workers_died += other.workers_died;
        for (mine, its) in [(&mut self.troubles, &other.troubles), (&mut self.falls, &other.falls)] {
            for (name, count) in its {
                *mine.entry(name).or_default() += count;
            }
        }
    }
}

/// A plan that is being played.
struct Play<'a, P: Simulated> {
    machine: Machine,
    platform: P,
    driver: Driver<P>,
    /// The worst that has happened since the store was last open.
    end: End,
    tally: &'a mut Tally,
}

impl<P: Simulated> Play<'_, P> {
    fn live(&mut self, life: &Life) {
        if life.while_opening {
            self.strike(life.trouble);
            let opened = self.driver.restart(self.platform.clone(), life.options.clone(), self.end);
            match opened {
                Ok(()) => self.end = End::Kill,
                Err(error) => self.assert_explained(&error, life.trouble),
            }
        } else {
            self.come_back(&life.options, life.looked_at);
            self.strike(life.trouble);
        }
        if self.driver.is_open() {
            self.do_steps(life);
        }
        if self.has_struck(life.trouble) {
            *self.tally.troubles.entry(life.trouble.kind()).or_default() += 1;
        }
        self.tally.workers_died += self.driver.take_workers_died();
        self.fall(life.fall);
    }

    fn do_steps(&mut self, life: &Life) {
        for step in &life.steps {
            let Err(error) = self.driver.step(step) else { continue };
            self.assert_explained(&error, life.trouble);
            if self.machine.inner().crashed() || !self.driver.is_open() || error.kind() == &ErrorKind::Reopen
            {
                return;
            }
            // The handle answers rightly or not at all.
            if let Err(error) = self.driver.check_all() {
                self.assert_explained(&error, life.trouble);
            }
        }
    }

    fn strike(&mut self, trouble: Trouble) {
        let disk = self.machine.inner();
        match trouble {
            Trouble::None => {}
            Trouble::Crash(call) => disk.crash_at(disk.calls() + call),
            Trouble::Fault(fault) => self.machine.arm(fault),
            Trouble::Full(room) => disk.set_capacity(Some(disk.used() + room)),
            Trouble::Fuel(_) | Trouble::Memory(_) => self.platform.arm(trouble),
        }
    }

    fn has_struck(&self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::None => false,
            Trouble::Crash(_) => self.machine.inner().crashed(),
            Trouble::Fault(_) => self.machine.struck() > 0,
            Trouble::Full(_) => true,
            Trouble::Fuel(_) | Trouble::Memory(_) => self.platform.deaths() > 0,
        }
    }

    fn assert_explained(&self, error: &Error, trouble: Trouble) {
        // A reader may carry its death from one life to the next.
        let struck = self.has_struck(trouble) || self.platform.deaths() > 0;
        let explained = struck && is_failure_of_the_files(error);
        assert!(explained, "an error that {trouble:?} does not explain: {:?} {error}", error.kind());
    }

    fn fall(&mut self, fall: Fall) {
        let crashed = self.machine.inner().crashed();
        let (name, disk) = match fall {
            // Whoever has lost the machine has lost it.
            Fall::Primary if !crashed => ("primary", None),
            Fall::Primary | Fall::Processes => ("all processes", Some(self.machine.inner().kill())),
            Fall::Power(seed) => ("machine", Some(self.machine.inner().power_cut(seed))),
        };
        *self.tally.falls.entry(name).or_default() += 1;
        self.machine.disarm();
        self.platform.disarm();
        self.machine.inner().set_capacity(None);
        let Some(disk) = disk else {
            // The crash that has not come is called off.
            self.machine.inner().crash_at(u64::MAX);
            return;
        };
        self.driver.drop_store();
        self.tally.calls += self.machine.inner().calls();
        self.machine = FaultFs::new(disk);
        self.machine.inner().set_capacity(None);
        self.platform = self.platform.moved_to(self.machine.clone());
        if matches!(fall, Fall::Power(_)) {
            self.end = End::PowerCut;
        }
    }

    /// Opens the store and judges it.
    fn come_back(&mut self, options: &Options, look: bool) {
        if look {
            let seen = self.driver.look_before_recovery(&self.platform, self.end);
            if let Err(error) = seen {
                let excused = match self.end {
                    End::Kill => error.kind() == &ErrorKind::CannotOpen,
                    End::PowerCut => error.is_corrupt() || error.kind() == &ErrorKind::CannotOpen,
                };
                assert!(excused, "after {:?} a reader reads: {error}", self.end);
            }
        }
        let opened = self.driver.restart(self.platform.clone(), options.clone(), self.end);
        let checked = opened.and_then(|()| self.driver.check_all()).and_then(|()| self.driver.check_files());
        if let Err(error) = checked {
            panic!("after {:?} a store opens and reads: {error}", self.end);
        }
        self.end = End::Kill;
        self.tally.recoveries += 1;
    }
}
