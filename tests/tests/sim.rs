//! The shipped component in the simulation.
#![cfg(feature = "component")]

use std::rc::Rc;

use esker_engine::env::{FaultFs, MemFs};
use esker_engine::{Compression, Options};
use esker_tests::driver::Driver;
use esker_tests::history::{History, Mix, Step};
use esker_tests::journal::End;
use esker_tests::options;
use esker_tests::platform::Platform;
use esker_tests::rounds::{Plan, Tally};
use esker_tests::seed::{Rng, for_each_seed};
use esker_tests::sim::{Component, Quirks};

/// The engine natively and the shipped component, in a host that cuts calls short, do the same things to the same
/// files: 64 bits or 32, its own calls or WASI's, nothing shows. (But for LZ4: the encoder looks for repetitions word by
/// word, so a machine of another word finds others.)
#[test]
fn the_component_makes_the_files_that_the_engine_makes() {
    for_each_seed("sim", "the_component_makes_the_files_that_the_engine_makes", 40, |seed| {
        let mut rng = Rng::new(seed);
        let mut history = History::random(seed, 150, &Mix::ALL);
        for step in &mut history.steps {
            // A call of the engine's may be several of WASI's, so a worker would die elsewhere.
            if let Step::RunJob { worker, .. } = step {
                worker.dies_at = None;
            }
        }
        let (native, sandboxed) = (MemFs::new(), MemFs::new());
        let quirks = Quirks { short_percent: rng.pick(&[0, 30]), has_links: rng.percent(50) };
        let component = Component::new(FaultFs::new(sandboxed.clone()), quirks, seed);
        let natively = live(native.clone(), seed, &history);
        let told = live(component, seed, &history);
        assert_eq!(natively, told, "what is told of the store at its end");
        assert_eq!(native.names(), sandboxed.names());
        let differ = |name: &String| native.bytes(name) != sandboxed.bytes(name);
        let different: Vec<String> = native.names().into_iter().filter(differ).collect();
        assert!(different.is_empty(), "these files differ: {different:?}");
    });
}

/// Lives of the shipped component, each ended by trouble, each followed by a recovery that is judged: see
/// [`esker_tests::rounds`].
#[test]
fn rounds_of_trouble() {
    for_each_seed("sim", "rounds_of_trouble", 300, |seed| {
        Plan::random(seed).play::<Component>(&mut Tally::default());
    });
}

/// A machine that goes at each call in turn that the component makes of its host.
#[test]
fn at_every_host_call_of_short_lives() {
    for_each_seed("sim", "at_every_host_call_of_short_lives", 6, |seed| {
        Plan::short(seed).sweep::<Component>(&mut Tally::default());
    });
}

/// The whole life of a store, without a fault. The driver holds each answer against the model; what it does not look
/// at is answered here.
fn live<P: Platform>(platform: P, seed: u64, history: &History) -> String {
    let options = Options { compression: Compression::None, ..options::random(&mut Rng::new(seed ^ 0xA5A5)) };
    let mut driver = Driver::new(platform.clone(), Rc::clone(&history.keys), options.clone());
    driver.compress(Compression::None);
    let mut life = || {
        driver.restart(platform.clone(), options.clone(), End::Kill)?;
        driver.run(&history.steps)?;
        driver.check_all()?;
        driver.check_files()?;
        driver.describe()
    };
    match life() {
        Ok(description) => description,
        Err(error) => panic!("nothing has failed here, yet: {error}"),
    }
}
