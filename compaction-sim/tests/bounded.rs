//! A bounded run of the simulator: the amplifications that docs/compaction.md promises, on small numbers.

use esker_compaction_sim::lsm::Sizes;
use esker_compaction_sim::machine::{Figures, Machine, Setup};
use esker_compaction_sim::report::{self, Outcome};
use esker_compaction_sim::workload::Workload;
use esker_engine::compaction::Picker;
use esker_engine::{Options, Strategy};

const KEYS: u32 = 60_000;
const STRATEGIES: [Strategy; 2] = [Strategy::Levelled, Strategy::SizeTiered];

/// A store of about 64 memtables, as 2 GiB are with the defaults.
fn setup() -> Setup {
    Setup {
        sizes: Sizes { key_bytes: 16, value_bytes: 1_000, block_bytes: 4_096, table_bytes: 1 << 20 },
        memtable_bytes: 1 << 20,
        level0_stop: 20,
        workers: 1,
        write_rate: 40 << 20,
        flush_rate: 150 << 20,
        merge_rate: 150 << 20,
    }
}

fn picker(strategy: Strategy) -> Picker {
    Picker::new(&Options { level1_bytes: Some(4 << 20), strategy, ..Options::default() })
}

fn played(workload: Workload, strategy: Strategy, setup: Setup) -> Machine {
    let mut machine = Machine::new(setup, picker(strategy), KEYS);
    workload.writes(KEYS, 7).for_each(|entry| machine.write(entry));
    machine.rest();
    machine.check();
    machine
}

fn write_amplification(figures: &Figures) -> f64 {
    figures.samples.last().expect("there are samples").write
}

fn at_rest(figures: &Figures) -> f64 {
    figures.samples.last().expect("there are samples").space
}

/// Since a job that shares a key with another one could change the order of two versions of it, several run at once.
#[test]
fn reads_find_what_was_written_whatever_runs_side_by_side() {
    for workload in Workload::ALL {
        for strategy in STRATEGIES {
            played(workload, strategy, Setup { workers: 4, merge_rate: 20 << 20, ..setup() });
        }
    }
}

/// The files are the same, and every version has to suit either picker.
#[test]
fn the_strategy_may_change_at_any_time() {
    for workload in [Workload::Overwrite, Workload::Delete, Workload::TimeSeries] {
        let mut machine = Machine::new(Setup { workers: 2, ..setup() }, picker(Strategy::Levelled), KEYS);
        for (at, entry) in workload.writes(KEYS, 7).enumerate() {
            if at % 20_000 == 0 {
                machine.switch(picker(STRATEGIES[at / 20_000 % 2]));
            }
            machine.write(entry);
        }
        machine.rest();
        machine.check();
        for strategy in STRATEGIES {
            machine.switch(picker(strategy));
            machine.rest();
            machine.check();
        }
    }
}

#[test]
fn the_amplifications_stay_within_their_bounds() {
    for workload in Workload::ALL {
        let levelled = played(workload, Strategy::Levelled, setup());
        let tiered = played(workload, Strategy::SizeTiered, setup());
        let (levelled, tiered) = (levelled.figures(), tiered.figures());
        let runs =
            |figures: &Figures| figures.samples.iter().map(|sample| sample.read as usize).max().unwrap_or(0);
        println!(
            "{workload}: write {:.1} {:.1}, runs {} {}, at rest {:.2} {:.2}",
            write_amplification(levelled),
            write_amplification(tiered),
            runs(levelled),
            runs(tiered),
            at_rest(levelled),
            at_rest(tiered),
        );
        assert!(write_amplification(levelled) <= 6.0, "{workload}, levelled");
        assert!(write_amplification(tiered) <= 4.0, "{workload}, size-tiered");
        assert!(at_rest(levelled) <= 1.25, "{workload}, levelled: {}", at_rest(levelled));
        assert!(at_rest(tiered) <= 2.0, "{workload}, size-tiered: {}", at_rest(tiered));
        for figures in [levelled, tiered] {
            assert!(figures.level0_max <= 20, "{workload}: {} tables in level 0", figures.level0_max);
        }
    }
}

#[test]
fn keys_in_their_order_are_never_merged() {
    for strategy in STRATEGIES {
        let machine = played(Workload::Fillseq, strategy, setup());
        assert_eq!(
            (machine.figures().merges, write_amplification(machine.figures())),
            (0, 1.0),
            "{strategy:?}"
        );
    }
}

/// What is pending sets the pace of writes: less than what is owed, and they would have to wait all of a sudden; more,
/// and they would pay for nothing.
#[test]
fn what_compaction_owes_is_what_it_does() {
    for workload in [Workload::Fillrandom, Workload::Overwrite, Workload::Zipfian] {
        for strategy in STRATEGIES {
            // Merging is too slow, so that much is owed.
            let slow = Setup { merge_rate: 40 << 20, level0_stop: 40, ..setup() };
            let mut machine = Machine::new(slow, picker(strategy), KEYS);
            for (at, entry) in workload.writes(KEYS, 7).enumerate() {
                machine.write(entry);
                if at % 9_973 == 0 {
                    let (owed, done) = machine.owed_and_done();
                    let told =
                        format!("{workload}, {strategy:?}, after {at} writes: {owed} owed, {done} done");
                    assert!(owed <= 2 * done && done <= 2 * owed, "{told}");
                    assert!(strategy == Strategy::Levelled || owed == done, "{told}");
                }
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_picture() {
    let drawn = || {
        let outcome = |strategy| Outcome {
            workload: Workload::Zipfian.to_string(),
            picker: format!("{strategy:?}"),
            figures: played(Workload::Zipfian, strategy, setup()).figures().clone(),
        };
        let outcomes = STRATEGIES.map(outcome);
        (report::svg(&outcomes).expect("is drawn"), report::table(&outcomes))
    };
    let (first, second) = (drawn(), drawn());
    assert!(first == second, "two runs of one seed differ");
    assert!(first.0.starts_with("<svg") && first.0.contains("space amplification"), "{}", first.0);
}
