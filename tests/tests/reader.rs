//! A reader follows a primary by its files alone: what it sees is always a moment of the primary's life, and at
//! least all that had been handed to the operating system when it looked.

use std::cell::RefCell;
use std::rc::Rc;

use esker_engine::env::{Fs, ManualClock, MemFs};
use esker_engine::{Db, Durability, KeyRange, Options, ReadView, Reader, Result, ScanOptions};
use esker_tests::driver::Driver;
use esker_tests::history::{History, Mix, Step};
use esker_tests::interrupted_fs::InterruptedFs;
use esker_tests::journal::{End, Journal, State, assert_same};
use esker_tests::options;
use esker_tests::seed::{Rng, for_each_seed};

#[test]
fn at_moments_of_a_history() {
    for_each_seed("reader", "at_moments_of_a_history", 120, |seed| {
        let mut rng = Rng::new(seed);
        let (mut driver, disk, history) = primary(seed, 200);
        let mut reader = Reader::open(disk.clone(), &options::random(&mut rng)).expect("there is a store");
        let mut pinned: Vec<(ReadView<MemFs>, State)> = Vec::new();
        // Sequence numbers name writes as long as one primary lives: the one after it may give them to others.
        let mut same_primary = false;
        for step in &history.steps {
            same_primary &= !matches!(step, Step::Reopen(_));
            driver.step(step).unwrap_or_else(|error| panic!("nothing has failed here, yet: {error}"));
            if rng.percent(10) {
                let names = disk.names();
                let state = match same_primary && rng.percent(70) {
                    true => follow_to(&mut reader, driver.journal(), &mut rng),
                    false => follow(&mut reader, driver.journal()),
                };
                same_primary = true;
                assert_eq!(disk.names(), names, "a reader makes and removes nothing");
                let verified = reader.verify().expect("nothing fails");
                assert_eq!(verified.problems, Vec::<String>::new());
                pinned.push((reader.view(), state));
            }
            if rng.percent(10) && !pinned.is_empty() {
                let (view, state) = pinned.swap_remove(rng.index(pinned.len()));
                assert_same(&read(&view).expect("what is pinned stays"), &state, "in a pinned view");
            }
        }
    });
}

/// The primary does a lot just before each call in turn that a reader makes to open or to catch up.
#[test]
fn while_the_primary_goes_on() {
    for_each_seed("reader", "while_the_primary_goes_on", 24, |seed| {
        let mut call = 1;
        while interrupted(seed, call) {
            call += 1;
        }
    });
}

fn interrupted(seed: u64, call: u64) -> bool {
    let mut rng = Rng::new(seed);
    let (mut driver, disk, history) = primary(seed, 90);
    let (before, rest) = history.steps.split_at(40);
    let (more, meanwhile) = rest.split_at(20);
    driver.run(before).expect("nothing fails");

    let fs = InterruptedFs::new(disk);
    let options = options::random(&mut rng);
    let opened = rng.percent(50).then(|| Reader::open(fs.clone(), &options).expect("there is a store"));
    driver.run(more).expect("nothing fails");
    let handed_over = driver.journal().handed_over();

    let driver = Rc::new(RefCell::new(driver));
    let (primary, steps) = (Rc::clone(&driver), meanwhile.to_vec());
    fs.before(call, move || primary.borrow_mut().run(&steps).expect("a reader does not disturb the primary"));
    let reader = match opened {
        Some(mut reader) => reader.catch_up().map(|_| reader),
        None => Reader::open(fs.clone(), &options),
    };
    let mut reader = reader.unwrap_or_else(|error| panic!("interrupted at call {call}: {error}"));

    if !fs.was_interrupted() {
        return false;
    }
    let journal = driver.borrow().journal().clone();
    check(&reader.view(), &journal, handed_over);
    follow(&mut reader, &journal);
    true
}

/// A reader asked whether another primary had taken over, and then read the log. One that took over in between had
/// removed the log by then, and the reader was content with what it had: it missed writes from before it looked.
#[test]
fn a_takeover_at_every_call_of_catching_up() {
    const WRITES: u64 = 9;
    for call in 1.. {
        let disk = MemFs::new();
        let options = Options { wal_segments_kept: 0, wal_segment_bytes: 1_024, ..Options::default() };
        let open = |disk: &MemFs| Db::open(disk.clone(), ManualClock::new(), options.clone()).expect("open");
        let mut first = open(&disk);
        let fs = InterruptedFs::new(disk.clone());
        let mut reader = Reader::open(fs.clone(), &options).expect("there is a store");
        for number in 0..WRITES {
            first.put(&[number as u8], &[7; 300], Durability::Buffered).expect("put");
        }
        drop(first);
        let (second, options) = (disk.clone(), options.clone());
        fs.before(call, move || {
            Db::open(second, ManualClock::new(), options).and_then(|mut db| db.flush()).expect("take over");
        });
        assert_eq!(reader.catch_up(), Ok(WRITES), "interrupted at call {call}");
        if !fs.was_interrupted() {
            return;
        }
    }
}

/// A primary that has just opened its store, and a history for it.
fn primary(seed: u64, steps: usize) -> (Driver<MemFs>, MemFs, History) {
    let history = History::random(seed, steps, &Mix::CHANGES);
    let options = options::random(&mut Rng::new(seed ^ 0x5EAD));
    let disk = MemFs::new();
    let mut driver = Driver::new(disk.clone(), Rc::clone(&history.keys), options.clone());
    driver.restart(disk.clone(), options, End::Kill).expect("an empty directory");
    (driver, disk, history)
}

fn follow<F: Fs>(reader: &mut Reader<F>, journal: &Journal) -> State {
    let sequence = reader.catch_up().unwrap_or_else(|error| panic!("the primary stands still: {error}"));
    assert_eq!(sequence, reader.last_sequence());
    check(&reader.view(), journal, journal.handed_over())
}

/// Asks for the end of some write, as a pool of readers does, which knows what was acknowledged and handed over.
fn follow_to(reader: &mut Reader<MemFs>, journal: &Journal, rng: &mut Rng) -> State {
    let before = reader.last_sequence();
    let asked = journal.end_of(rng.index(journal.writes().len() + 1));
    let handed_over = journal.end_of(journal.handed_over());
    let sequence =
        reader.catch_up_to(asked).unwrap_or_else(|error| panic!("the primary stands still: {error}"));
    assert_eq!(sequence, reader.last_sequence());
    assert!(sequence >= before, "it goes forwards, from {before} to {sequence}");
    assert!(sequence >= asked.min(handed_over), "{asked} was asked for, and only {sequence} is seen");
    check(&reader.view(), journal, 0)
}

/// Judges what a reader sees of writes of which so many were handed over when it looked.
fn check<F: Fs>(view: &ReadView<F>, journal: &Journal, handed_over: usize) -> State {
    let found = read(view).expect("a reader reads");
    let (seen, state) = journal.point(view.sequence(), &found);
    assert!(seen >= handed_over, "{handed_over} writes had been handed over, and only {seen} are seen");
    assert_same(&found, &state, "in a reader");
    state
}

/// Reads by a scan of each bucket, and sees that gets agree.
fn read<F: Fs>(view: &ReadView<F>) -> Result<State> {
    let mut state = State::default();
    for (bucket, name) in view.buckets().buckets()? {
        state.create(bucket, name);
        let mut cursor = view.scan(KeyRange::all(), ScanOptions { bucket, ..ScanOptions::default() })?;
        while let Some((key, value)) = cursor.next()? {
            assert_eq!(view.get((bucket, key))?.as_deref(), Some(value));
            state.set(bucket, key.to_vec(), Some(value.into()));
        }
    }
    Ok(state)
}
