//! The figures of runs, as a table and as a picture.

use std::fmt::Write;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::machine::{Figures, Sample};

/// What one picker has made of one workload.
#[derive(Debug)]
pub struct Outcome {
    /// The workload's name.
    pub workload: String,
    /// The picker's name.
    pub picker: String,
    /// What it cost.
    pub figures: Figures,
}

/// The size of one chart, in pixels.
const CHART: (u32, u32) = (420, 240);
/// The colours of the pickers, told apart by most eyes (Okabe and Ito).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
/// A line has no more points than this.
const POINTS_MAX: usize = 400;

/// What a chart shows.
type Measure = (&'static str, fn(&Sample) -> f64);
const MEASURES: [Measure; 3] = [
    ("write amplification", |sample| sample.write),
    ("read amplification (runs)", |sample| sample.read),
    ("space amplification", |sample| sample.space),
];

/// The figures as a Markdown table.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| workload | picker | MiB/s | stalled % | write amp. | runs, mean | runs, most | space amp., mean | space amp., most | … at rest | level 0, most | merges | largest merge, MiB |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for Outcome { workload, picker, figures } in outcomes {
        let seconds = figures.busy_micros as f64 / 1e6;
        let busy = &figures.samples[..figures.busy_samples];
        let last = figures.samples.last();
        let (reads, spaces) =
            (Spread::of(busy, |sample| sample.read), Spread::of(busy, |sample| sample.space));
        writeln!(
            text,
            "| {workload} | {picker} | {:.1} | {:.0} | {:.1} | {:.1} | {:.0} | {:.2} | {:.2} | {:.2} | {} | {} | {} |",
            mib(figures.user_bytes) / seconds,
            100.0 * figures.stalled_micros as f64 / figures.busy_micros.max(1) as f64,
            last.map_or(0.0, |sample| sample.write),
            reads.mean,
            reads.most,
            spaces.mean,
            spaces.most,
            last.map_or(0.0, |sample| sample.space),
            figures.level0_max,
            figures.merges,
            figures.merge_bytes_max >> 20,
        )
        .expect("a String takes everything");
    }
    text
}

/// The amplifications over time as an SVG: a row for each workload, a line for each picker.
///
/// # Errors
///
/// Those of the plotting library.
pub fn svg(outcomes: &[Outcome]) -> Result<String> {
    let rows: Vec<&[Outcome]> = outcomes.chunk_by(|a, b| a.workload == b.workload).collect();
    let mut text = String::new();
    {
        let size = (CHART.0 * MEASURES.len() as u32, CHART.1 * rows.len().max(1) as u32);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let charts = root.split_evenly((rows.len().max(1), MEASURES.len()));
        for (row, areas) in rows.iter().zip(charts.chunks(MEASURES.len())) {
            for (measure, area) in MEASURES.iter().zip(areas) {
                chart(area, row, measure)?;
            }
        }
        root.present().map_err(failed)?;
    }
    Ok(text)
}

fn chart<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    row: &[Outcome],
    (name, of): &Measure,
) -> Result<()> {
    let samples = || row.iter().flat_map(|outcome| &outcome.figures.samples);
    let seconds = samples().map(|sample| sample.micros).max().unwrap_or(0) as f64 / 1e6;
    // Before there is much, space is divided by nearly nothing: what is drawn is what comes after.
    let most = row.iter().map(|outcome| of_most(&outcome.figures.samples, *of)).fold(1.0, f64::max);
    let title = format!("{}: {name}", row.first().map_or("", |outcome| &outcome.workload));
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .caption(title, ("sans-serif", 14))
        .x_label_area_size(28)
        .y_label_area_size(36)
        .build_cartesian_2d(0.0..seconds.max(1e-6), 0.0..most * 1.1)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(6)
        .y_labels(6)
        .x_desc("seconds")
        .label_style(("sans-serif", 11))
        .draw()
        .map_err(failed)?;
    for (outcome, colour) in row.iter().zip(COLOURS.iter().cycle()) {
        let points = thinned(&outcome.figures.samples, *of);
        let line = LineSeries::new(points, colour.stroke_width(2));
        let legend = *colour;
        chart
            .draw_series(line)
            .map_err(failed)?
            .label(&outcome.picker)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], legend.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 11))
        .background_style(WHITE.mix(0.7))
        .draw()
        .map_err(failed)
}

/// The points of a line: of each stretch of samples the highest, so that no peak is lost.
fn thinned(samples: &[Sample], of: fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let stretch = samples.len().div_ceil(POINTS_MAX).max(1);
    let highest = |samples: &[Sample]| {
        let most = samples.iter().max_by(|a, b| of(a).total_cmp(&of(b)));
        most.map(|sample| (sample.micros as f64 / 1e6, of(sample)))
    };
    samples.chunks(stretch).filter_map(highest).collect()
}

fn of_most(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    samples.iter().map(of).fold(0.0, f64::max)
}

/// The mean over time and the greatest value.
struct Spread {
    mean: f64,
    most: f64,
}

impl Spread {
    fn of(samples: &[Sample], of: fn(&Sample) -> f64) -> Self {
        let weighted =
            samples.windows(2).map(|pair| (of(&pair[0]), (pair[1].micros - pair[0].micros) as f64));
        let (sum, time) =
            weighted.fold((0.0, 0.0), |(sum, time), (value, span)| (sum + value * span, time + span));
        Self { mean: if time > 0.0 { sum / time } else { 0.0 }, most: of_most(samples, of) }
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn failed<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
