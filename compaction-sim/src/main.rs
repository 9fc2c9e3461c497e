//! `cargo xtask simulate-compaction`: what each strategy makes of each workload, as a table and as a picture.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use esker_compaction_sim::lsm::Sizes;
use esker_compaction_sim::machine::{Machine, Setup};
use esker_compaction_sim::report::{self, Outcome};
use esker_compaction_sim::workload::Workload;
use esker_engine::compaction::{Levelled, Picker, SizeTiered};
use esker_engine::{Options, Strategy};

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask simulate-compaction",
    about = "Play workloads against the compaction pickers without any file, and draw what they cost"
)]
struct Cli {
    /// The workloads; all of them by default
    #[arg(value_enum)]
    workloads: Vec<Workload>,

    /// The pickers to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [PickerArg::Levelled, PickerArg::SizeTiered])]
    pickers: Vec<PickerArg>,

    /// So many different keys
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(1..1 << 30))]
    keys: u32,

    /// The size of a value in bytes; a key has 16
    #[arg(long, default_value_t = 1_000)]
    value_bytes: u64,

    /// What the keys are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// The memtable's size in MiB
    #[arg(long, default_value_t = 32)]
    memtable_mib: u64,

    /// The size at which a merge cuts its tables, in MiB
    #[arg(long, default_value_t = 32)]
    table_mib: u64,

    /// Level 0, or so many runs, make a merge due
    #[arg(long, default_value_t = Options::default().level0_trigger)]
    level0_trigger: u32,

    /// Writes wait at so many tables in level 0
    #[arg(long, default_value_t = Options::default().level0_stop)]
    level0_stop: u32,

    /// Levelled: the least size of a full level, in MiB
    #[arg(long, default_value_t = Options::default().level1_bytes() >> 20)]
    level1_mib: u64,

    /// Size-tiered: how much larger a similar run may be, in percent
    #[arg(long, default_value_t = SizeTiered::new(&Options::default()).ratio_percent)]
    ratio_percent: u64,

    /// Size-tiered: how large the newer runs may be beside the oldest, in percent
    #[arg(long, default_value_t = SizeTiered::new(&Options::default()).space_percent)]
    space_percent: u64,

    /// A table is merged for its tombstones at this share of its entries, in percent; 0 never
    #[arg(long, default_value_t = Options::default().tombstone_percent)]
    tombstone_percent: u32,

    /// So many jobs run at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,

    /// What a user writes who never waits, in MiB a second
    #[arg(long, default_value_t = 40)]
    write_rate: u64,

    /// What a flush writes, in MiB a second
    #[arg(long, default_value_t = 150)]
    flush_rate: u64,

    /// What a merge reads, in MiB a second
    #[arg(long, default_value_t = 150)]
    merge_rate: u64,

    /// Where the picture goes
    #[arg(long, default_value = "target/compaction.svg")]
    svg: PathBuf,
}

/// A picker as one names it.
#[derive(Clone, Copy, ValueEnum)]
enum PickerArg {
    /// Sorted levels, measured from the deepest
    Levelled,
    /// Sorted levels, measured from level 1: for comparison
    FromAbove,
    /// Runs of similar size
    SizeTiered,
}

impl Cli {
    fn setup(&self) -> Setup {
        Setup {
            sizes: Sizes {
                key_bytes: 16,
                value_bytes: self.value_bytes,
                block_bytes: u64::from(Options::default().block_bytes),
                table_bytes: self.table_mib << 20,
            },
            memtable_bytes: self.memtable_mib << 20,
            level0_stop: self.level0_stop as usize,
            workers: self.workers as usize,
            write_rate: self.write_rate << 20,
            flush_rate: self.flush_rate << 20,
            merge_rate: self.merge_rate << 20,
        }
    }

    fn picker(&self, picker: PickerArg) -> Picker {
        let options = Options {
            level0_trigger: self.level0_trigger,
            level1_bytes: Some(self.level1_mib << 20),
            tombstone_percent: self.tombstone_percent,
            strategy: if matches!(picker, PickerArg::SizeTiered) {
                Strategy::SizeTiered
            } else {
                Strategy::Levelled
            },
            ..Options::default()
        };
        match Picker::new(&options) {
            Picker::Levelled(levelled) => {
                Picker::Levelled(Levelled { from_below: matches!(picker, PickerArg::Levelled), ..levelled })
            }
            Picker::SizeTiered(tiered) => Picker::SizeTiered(SizeTiered {
                ratio_percent: self.ratio_percent,
                space_percent: self.space_percent,
                ..tiered
            }),
        }
    }
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let workloads = if cli.workloads.is_empty() { &Workload::ALL[..] } else { &cli.workloads[..] };
    let mut outcomes = Vec::new();
    for &workload in workloads {
        for &picker in &cli.pickers {
            let name = picker.to_possible_value().context("no picker is hidden")?.get_name().to_owned();
            eprintln!("{workload}, {name}");
            let mut machine = Machine::new(cli.setup(), cli.picker(picker), cli.keys);
            workload.writes(cli.keys, cli.seed).for_each(|entry| machine.write(entry));
            machine.rest();
            machine.check();
            let figures = machine.figures().clone();
            outcomes.push(Outcome { workload: workload.to_string(), picker: name, figures });
        }
    }
    print!("{}", report::table(&outcomes));
    if let Some(directory) = cli.svg.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    fs::write(&cli.svg, report::svg(&outcomes)?)
        .with_context(|| format!("cannot write {}", cli.svg.display()))?;
    eprintln!("drawn in {}", cli.svg.display());
    Ok(())
}
