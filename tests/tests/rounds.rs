//! Lives of the engine, each ended by trouble, each followed by a recovery that is judged: see
//! [`esker_tests::rounds`]. `tests/sim.rs` does the same to the shipped component.

use esker_tests::rounds::{Machine, Plan, Tally};
use esker_tests::seed::for_each_seed;

#[test]
fn rounds_of_trouble() {
    for_each_seed("rounds", "rounds_of_trouble", 3_000, |seed| {
        Plan::random(seed).play::<Machine>(&mut Tally::default());
    });
}

/// What a failing round prints is short, or nobody reads it.
#[test]
fn a_plan_shrinks_to_what_matters() {
    let syncs = |plan: &Plan| format!("{plan}").matches("Sync\n").count();
    let plan = (0..).map(Plan::random).find(|plan| syncs(plan) > 3).expect("histories sync");
    let steps = |plan: &Plan| plan.lives.iter().map(|life| life.steps.len()).sum::<usize>();
    let shrunk = plan.shrink(10_000, |plan| syncs(plan) >= 2);
    assert_eq!((syncs(&shrunk), steps(&shrunk)), (2, 2), "{shrunk}");
}
