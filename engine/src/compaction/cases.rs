//! Pickers against text cases: each file in `engine/testdata/compaction/` is a drawing of the levels, commands, and the
//! plans that are expected. `UPDATE=1` writes down what is found.
//!
//! ```text
//! options level0-trigger=4 level1-bytes=100 tombstone-percent=30
//! L0 12 a..f 50
//! L1 7 a..c 60 tombstones=20/40 sequences=5..9
//! pick
//! ----
//! level0: L0:12 L1:7 -> L1
//! ```
//!
//! | line | |
//! |---|---|
//! | `strategy levelled`, `size-tiered` | which picker; levelled at first |
//! | `options NAME=NUMBER…` | its parameters |
//! | `LEVEL NUMBER FIRST..LAST SIZE…` | a table; its sequence numbers go with its number |
//! | `busy NUMBER…` | a job has these tables, and its result will overlap no other |
//! | `running LEVEL:NUMBER… -> LEVEL` | a job has these tables, and will write between their keys |
//! | `dropped LETTER before=NUMBER` | the bucket was dropped whose keys begin with this letter, and nobody sees them; tables with numbers from this one on are without them |
//! | `pick`, `pick-at-rest`, `pick-all` | the plan |
//! | `pick-dropped`, `remove-dropped` | the plan for a table with keys of dropped buckets; the tables that hold nothing else |
//! | `settle` | all plans one after the other until nothing is due, as if each merge kept every byte |
//! | `pending` | what compaction owes |

use super::{Busy, Garbage, Levelled, Picker, Plan, Reason, SizeTiered, dropped};
use crate::base::bucket::Bucket;
use crate::base::key::{Kind, internal_key, trailer};
use crate::base::options::Options;
use crate::version::{TableMeta, Version, VersionEdit};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// What a case has drawn so far.
struct Case {
    levelled: Levelled,
    tiered: SizeTiered,
    is_tiered: bool,
    drawing: VersionEdit,
    visible_to_all: u64,
    busy: Busy,
    dropped: Vec<Garbage>,
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the cases are files, and UPDATE=1 rewrites them")]
fn pickers_plan_what_the_text_cases_expect() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/compaction");
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is there") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let (case, expected) = text.split_once("----\n").expect("a case has a line of dashes");
        let found = run(case);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, format!("{case}----\n{found}")).expect("writable");
        } else {
            assert_eq!(found, expected, "{} (UPDATE=1 rewrites it)", path.display());
        }
        cases += 1;
    }
    assert!(cases >= 30, "only {cases} cases were found");
}

/// Reads a case, and answers its commands.
fn run(text: &str) -> String {
    let options = Options { level1_bytes: Some(100), ..Options::default() };
    let tiered = SizeTiered { runs_trigger: 4, space_percent: 200, ..SizeTiered::new(&options) };
    let mut case = Case {
        levelled: Levelled::new(&options),
        tiered,
        is_tiered: false,
        drawing: VersionEdit::default(),
        visible_to_all: u64::MAX,
        busy: Busy::default(),
        dropped: Vec::new(),
    };
    let mut output = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["strategy", name] => case.is_tiered = *name == "size-tiered",
            ["options", settings @ ..] => settings.iter().for_each(|setting| case.set(setting)),
            ["busy", numbers @ ..] => numbers.iter().for_each(|number| case.add_busy(number)),
            ["running", inputs @ .., "->", level] => case.add_running(inputs, level),
            ["dropped", bucket, before] => case.add_dropped(bucket, before),
            [level, number, span, size, more @ ..] if level.starts_with('L') => {
                let table = Arc::new(parse_table(number, span, size, more));
                case.drawing.added.push((parse_level(level), table));
            }
            [command] => case.answer(command, &mut output),
            other => panic!("cannot read {other:?}"),
        }
    }
    output
}

impl Case {
    fn set(&mut self, setting: &str) {
        let (name, value) = setting.split_once('=').expect("name=value");
        let value: u64 = value.parse().expect("a number");
        match name {
            "level0-trigger" => self.levelled.level0_trigger = value as u32,
            "level1-bytes" => self.levelled.level1_bytes = value,
            "from-below" => self.levelled.from_below = value != 0,
            "runs-trigger" => self.tiered.runs_trigger = value as u32,
            "ratio-percent" => self.tiered.ratio_percent = value,
            "width-min" => self.tiered.width_min = value as usize,
            "width-max" => self.tiered.width_max = value as usize,
            "space-percent" => self.tiered.space_percent = value,
            "tombstone-percent" => {
                self.levelled.tombstone_percent = value as u32;
                self.tiered.tombstone_percent = value as u32;
            }
            "visible-to-all" => self.visible_to_all = value,
            other => panic!("unknown option {other}"),
        }
    }

    fn version(&self) -> Version {
        Version::default().apply(&self.drawing).expect("the drawing is sound")
    }

    fn picker(&self) -> Picker {
        if self.is_tiered { Picker::SizeTiered(self.tiered) } else { Picker::Levelled(self.levelled) }
    }

    fn table(&self, number: &str) -> (usize, Arc<TableMeta>) {
        let number: u64 = number.parse().expect("a number");
        let found = self.drawing.added.iter().find(|(_, table)| table.number == number);
        found.expect("the table is drawn").clone()
    }

    fn add_busy(&mut self, number: &str) {
        let inputs = vec![self.table(number)];
        self.busy.add(&Plan { reason: Reason::Manual, inputs, output_level: 0 });
    }

    fn add_running(&mut self, inputs: &[&str], level: &str) {
        let number = |input: &&str| self.table(input.split_once(':').expect("level:number").1);
        let inputs = inputs.iter().map(number).collect();
        self.busy.add(&Plan { reason: Reason::Manual, inputs, output_level: parse_level(level) });
    }

    fn add_dropped(&mut self, letter: &str, before: &str) {
        let bucket = Bucket::new(letter.as_bytes()[0].into());
        let (_, before) = before.split_once('=').expect("before=number");
        self.dropped.push(Garbage::new(bucket, before.parse().expect("a number")));
    }

    fn answer(&self, command: &str, output: &mut String) {
        let (version, picker) = (self.version(), self.picker());
        let answer = match command {
            "pick" => describe(picker.pick(&version, self.visible_to_all, &self.busy)),
            "pick-at-rest" => describe(picker.pick_at_rest(&version, &self.busy)),
            "pick-all" => describe(picker.pick_all(&version)),
            "pick-dropped" => describe(dropped::pick(&version, &self.dropped, &self.busy)),
            "remove-dropped" => describe_edit(dropped::removal(&version, &self.dropped, &self.busy)),
            "pending" => format!("pending: {}", picker.pending_bytes(&version)),
            "settle" => settle(picker, version),
            other => panic!("unknown command {other}"),
        };
        writeln!(output, "{answer}").expect("a string");
    }
}

/// The plans until nothing is due, and the sum of what they read.
fn settle(picker: Picker, mut version: Version) -> String {
    let (mut answer, mut bytes) = (String::new(), 0);
    for number in 1000.. {
        let Some(plan) = picker.pick(&version, u64::MAX, &Busy::default()) else { break };
        writeln!(answer, "{}", describe(Some(plan.clone()))).expect("a string");
        let edit = if plan.is_trivial_move() {
            plan.move_edit()
        } else {
            bytes += plan.bytes();
            let (first, last) = plan.span();
            let all = || plan.inputs.iter().map(|(_, table)| table);
            let merged = TableMeta {
                size: plan.bytes(),
                sequence_min: all().map(|table| table.sequence_min).min().expect("inputs"),
                sequence_max: all().map(|table| table.sequence_max).max().expect("inputs"),
                ..new_table(number, first, last)
            };
            let removed = plan.inputs.iter().map(|(level, table)| (*level, table.number)).collect();
            let added = vec![(plan.output_level, Arc::new(merged))];
            VersionEdit { removed, added, ..VersionEdit::default() }
        };
        version = version.apply(&edit).expect("a plan fits its version");
    }
    answer + &format!("settled: {bytes}")
}

fn parse_level(text: &str) -> usize {
    text[1..].parse().expect("a level")
}

fn new_table(number: u64, first: &[u8], last: &[u8]) -> TableMeta {
    TableMeta {
        number,
        entries: 100,
        keys: 100,
        blocks: 10,
        sequence_min: number * 100,
        sequence_max: number * 100 + 99,
        smallest: internal_key(first, trailer(number * 100, Kind::Put)),
        largest: internal_key(last, trailer(number * 100, Kind::Put)),
        ..TableMeta::default()
    }
}

fn parse_table(number: &str, span: &str, size: &str, more: &[&str]) -> TableMeta {
    let (first, last) = span.split_once("..").expect("first..last");
    let mut table = new_table(number.parse().expect("a number"), first.as_bytes(), last.as_bytes());
    table.size = size.parse().expect("a size");
    for setting in more {
        let (name, value) = setting.split_once('=').expect("name=value");
        match name {
            "tombstones" => {
                let (tombstones, entries) = value.split_once('/').expect("tombstones/entries");
                table.tombstones = tombstones.parse().expect("a number");
                table.entries = entries.parse().expect("a number");
                table.keys = table.entries;
            }
            "keys" => table.keys = value.parse().expect("a number"),
            "blocks" => table.tombstone_blocks = value.parse().expect("a number"),
            other => panic!("unknown setting {other}"),
        }
    }
    table
}

fn describe_edit(edit: Option<VersionEdit>) -> String {
    let Some(edit) = edit else { return "nothing".into() };
    let removed: Vec<_> = edit.removed.iter().map(|(level, number)| format!("L{level}:{number}")).collect();
    format!("removes {}", removed.join(" "))
}

fn describe(plan: Option<Plan>) -> String {
    let Some(plan) = plan else { return "nothing".into() };
    let inputs: Vec<_> =
        plan.inputs.iter().map(|(level, table)| format!("L{level}:{}", table.number)).collect();
    let verb = if plan.is_trivial_move() { "moves to" } else { "->" };
    format!("{}: {} {verb} L{}", plan.reason.name(), inputs.join(" "), plan.output_level)
}
