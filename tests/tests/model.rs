//! Random histories under random options give the answers of an ordered map in memory.

use esker_engine::env::MemFs;
use esker_tests::driver::Driver;
use esker_tests::history::{History, Mix};
use esker_tests::journal::End;
use esker_tests::options;
use esker_tests::seed::{Rng, for_each_seed};

#[test]
fn short_histories() {
    for_each_seed("model", "short_histories", 600, |seed| {
        live(seed, 120);
    });
}

#[test]
fn long_histories() {
    for_each_seed("model", "long_histories", 24, |seed| {
        live(seed, 2_000);
    });
}

/// The engine has no clock, no threads and no randomness of its own, so nothing but the calls may matter.
#[test]
fn the_same_calls_give_the_same_files() {
    for_each_seed("model", "the_same_calls_give_the_same_files", 30, |seed| {
        let (first, second) = (live(seed, 100), live(seed, 100));
        assert_eq!(first.names(), second.names());
        for name in first.names() {
            assert!(first.bytes(&name) == second.bytes(&name), "{name} differs");
        }
    });
}

/// The whole life of a store, without a fault.
fn live(seed: u64, steps: usize) -> MemFs {
    let history = History::random(seed, steps, &Mix::ALL);
    let options = options::random(&mut Rng::new(seed ^ 0xA5A5));
    let disk = MemFs::new();
    let mut driver = Driver::new(disk.clone(), history.keys.clone(), options.clone());
    let mut life = || {
        driver.restart(disk.clone(), options.clone(), End::Kill)?;
        driver.run(&history.steps)?;
        driver.check_all()?;
        driver.check_files()?;
        driver.store().close()
    };
    if let Err(error) = life() {
        panic!("nothing has failed here, yet: {error}");
    }
    disk
}
