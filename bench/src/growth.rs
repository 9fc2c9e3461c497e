//! The same work on stores of growing size: how the cost of an operation, opening, memory and amplification grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use plotters::coord::Shift;
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Args;
use crate::measure::{INTERRUPTED, Measured, measure};
use crate::place::Place;
use crate::plots::{colour, failed};
use crate::results::{ROW_BYTES, Results, grouped};
use crate::run::rest;
use crate::sample::key;
use crate::stores::{Config, Kind, Store};
use crate::tables::{line, short};
use crate::usage;
use crate::workload::{Shape, Workload};

/// How many rows the stores have.
const SIZES: [u64; 4] = [100_000, 1_000_000, 10_000_000, 50_000_000];
/// Larger stores are only loaded and read at random.
const SEEK_ROWS_MAX: u64 = 10_000_000;
/// The write buffer and the cache of every store, whatever its size.
const BUFFER_BYTES: u64 = 64 << 20;
/// The longest that reads of one kind go on.
const LIMIT: Duration = Duration::from_secs(30);

/// One store of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    pub store: String,
    pub rows: u64,
    pub fillrandom_us: f64,
    pub readrandom_us: f64,
    pub seekrandom_us: Option<f64>,
    /// From the call to the first answer of a store that was closed.
    pub open_ms: f64,
    pub peak_memory_bytes: u64,
    /// For each byte of the user's.
    pub written: f64,
    /// For each byte of the user's.
    pub directory: f64,
}

/// Loads and reads stores of each size.
pub fn run(args: &Args, kinds: &[Kind], results: &mut Results) -> Result<()> {
    for rows in SIZES.into_iter().filter(|rows| *rows <= args.rows.unwrap_or(u64::MAX)) {
        for kind in kinds {
            match size(args, kind, rows) {
                Ok(size) => results.growth.push(size),
                Err(_) if INTERRUPTED.load(Ordering::Relaxed) => bail!("interrupted"),
                Err(error) => eprintln!("{} fails with {} rows: {error:#}", kind.name, grouped(rows)),
            }
            results.save(&args.out.join("results.json"))?;
        }
    }
    Ok(())
}

fn size(args: &Args, kind: &Kind, rows: u64) -> Result<Size> {
    usage::forget_peak();
    let memory_before = usage::memory_bytes();
    let config = Config {
        write_buffer_bytes: BUFFER_BYTES,
        cache_bytes: BUFFER_BYTES,
        lz4: false,
        synced: false,
        threads: 1,
        workers: args.workers,
    };
    let place = Place::fresh(Some(args.dir()))?;
    let shape = Shape { rows, seed: args.seed, inserted: AtomicU64::new(0) };
    let run = |store: &dyn Store, workload| {
        let measured = measure(store, workload, &shape, 1, LIMIT)?;
        eprintln!("{} rows {:<8} {:<12} {:.2} µs", grouped(rows), kind.name, workload.name(), us(&measured));
        anyhow::Ok(us(&measured))
    };

    let written_before = usage::written_bytes();
    let store = (kind.open)(place.dir(), &config)?;
    let fillrandom_us = run(&*store, Workload::FillRandom)?;
    rest(&*store)?;
    drop(store);
    let user_bytes = (rows * ROW_BYTES) as f64;
    let written = (usage::written_bytes() - written_before) as f64 / user_bytes;
    let directory = place.bytes() as f64 / user_bytes;

    let started = Instant::now();
    let store = (kind.open)(place.dir(), &config)?;
    store.session()?.get(&key(rows / 2), &mut |_| {})?;
    let open_ms = started.elapsed().as_secs_f64() * 1000.0;
    let readrandom_us = run(&*store, Workload::ReadRandom)?;
    let seekrandom_us = if rows <= SEEK_ROWS_MAX { Some(run(&*store, Workload::SeekRandom)?) } else { None };
    Ok(Size {
        store: kind.name.into(),
        rows,
        fillrandom_us,
        readrandom_us,
        seekrandom_us,
        open_ms,
        peak_memory_bytes: usage::peak_memory_bytes().saturating_sub(memory_before),
        written,
        directory,
    })
}

fn us(measured: &Measured) -> f64 {
    measured.elapsed.as_secs_f64() * 1e6 / measured.operations.max(1) as f64
}

/// Adds the table.
pub fn table(text: &mut String, sizes: &[Size]) {
    if sizes.is_empty() {
        return;
    }
    line(text, "\n## Growth\n");
    line(text, "Write buffer and cache 64 MiB, no compression, 1 thread.\n");
    line(
        text,
        "| rows | store | fillrandom µs | readrandom µs | seekrandom µs | open ms | peak memory MB | bytes written for each | bytes on disk for each |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|---:|",
    );
    for size in sizes {
        line(
            text,
            &format!(
                "| {} | {} | {} | {} | {} | {} | {} | {:.1} | {:.2} |",
                grouped(size.rows),
                size.store,
                short(size.fillrandom_us),
                short(size.readrandom_us),
                size.seekrandom_us.map_or_else(String::new, short),
                short(size.open_ms),
                short(size.peak_memory_bytes as f64 / 1e6),
                size.written,
                size.directory,
            ),
        );
    }
}

type Figure = fn(&Size) -> f64;
const CHARTS: [(&str, Figure); 6] = [
    ("fillrandom, µs", |size| size.fillrandom_us),
    ("readrandom, µs", |size| size.readrandom_us),
    ("seekrandom, µs", |size| size.seekrandom_us.unwrap_or(f64::NAN)),
    ("open, ms", |size| size.open_ms),
    ("peak memory, MB", |size| size.peak_memory_bytes as f64 / 1e6),
    ("bytes written for each", |size| size.written),
];
/// The size of a chart, in pixels, and how many stand side by side.
const CHART: (u32, u32) = (360, 240);
const COLUMNS: usize = 3;

/// Each figure over the number of rows.
pub fn svg(sizes: &[Size]) -> Result<String> {
    let rows = CHARTS.len().div_ceil(COLUMNS);
    let mut text = String::new();
    {
        let size = (CHART.0 * COLUMNS as u32, CHART.1 * rows as u32);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        for ((title, figure), area) in CHARTS.iter().zip(root.split_evenly((rows, COLUMNS))) {
            chart(&area, sizes, title, *figure)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(text)
}

fn chart<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    sizes: &[Size],
    title: &str,
    figure: Figure,
) -> Result<()> {
    let most = sizes.iter().map(figure).filter(|figure| figure.is_finite()).fold(1e-9, f64::max);
    let (first, last) = (SIZES[0] as f64, SIZES[SIZES.len() - 1] as f64);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .caption(title, ("sans-serif", 14))
        .x_label_area_size(26)
        .y_label_area_size(44)
        .build_cartesian_2d((first..last).log_scale(), 0.0..most * 1.1)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&|rows| format!("{rows:e}"))
        .label_style(("sans-serif", 11))
        .draw()
        .map_err(failed)?;
    for store in crate::stores::NAMES {
        let points: Vec<(f64, f64)> = sizes
            .iter()
            .filter(|size| size.store == store)
            .map(|size| (size.rows as f64, figure(size)))
            .filter(|point| point.1.is_finite())
            .collect();
        if points.is_empty() {
            continue;
        }
        let line_colour = colour(store);
        chart
            .draw_series(LineSeries::new(points, line_colour.stroke_width(2)))
            .map_err(failed)?
            .label(store)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], line_colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 11))
        .background_style(WHITE.mix(0.7))
        .draw()
        .map_err(failed)
}
