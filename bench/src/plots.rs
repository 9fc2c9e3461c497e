//! The results as pictures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::results::{Results, Scenario, Spread};
use crate::tables::{stores, workloads};
use crate::workload::Workload;

/// The colours of the stores, in the order of their names: Esker's are blue, the others told apart by most eyes.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 90, 160),
    RGBColor(110, 180, 230),
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(120, 120, 120),
    RGBColor(180, 170, 60),
];
/// The size of one workload's chart, in pixels, and how many stand side by side.
const CHART: (u32, u32) = (230, 170);
const COLUMNS: usize = 5;
const MARGIN: u32 = 30;

/// Draws a picture of speed and one of latency for each scenario, and one of growth; returns the files.
pub fn all(results: &Results, out: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for scenario in results.scenarios() {
        for (kind, title, figure) in MEASURES {
            let name = format!("{kind}-{}-{}.svg", scenario.name, scenario.config.threads);
            let file = out.join(name);
            fs::write(&file, bars(results, scenario, title, figure)?)?;
            files.push(file);
        }
    }
    if !results.growth.is_empty() {
        let file = out.join("growth.svg");
        fs::write(&file, crate::growth::svg(&results.growth)?)?;
        files.push(file);
    }
    Ok(files)
}

type Figure = fn(&crate::results::Measurement) -> f64;
const MEASURES: [(&str, &str, Figure); 2] = [
    ("speed", "thousand operations a second", |measurement| measurement.ops_per_sec / 1000.0),
    ("stalls", "p99.9 in µs", |measurement| measurement.p999_us),
];

/// A chart for each workload, a bar for each store, all of one scenario.
fn bars(results: &Results, scenario: &Scenario, title: &str, figure: Figure) -> Result<String> {
    let (stores, workloads) = (stores(results, scenario), workloads(results, scenario));
    let rows = workloads.len().div_ceil(COLUMNS).max(1);
    let size = (CHART.0 * COLUMNS as u32, CHART.1 * rows as u32 + 2 * MARGIN);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (head, rest) = root.split_vertically(MARGIN);
        let (charts, foot) = rest.split_vertically(CHART.1 * rows as u32);
        let heading = format!("{} — {title}", scenario.describe());
        head.draw(&Text::new(heading, (10, 9), ("sans-serif", 14))).map_err(failed)?;
        legend(&foot, &stores)?;
        for (workload, area) in workloads.iter().zip(charts.split_evenly((rows, COLUMNS))) {
            let heights: Vec<(RGBColor, Option<Spread>)> = stores
                .iter()
                .map(|store| {
                    let rounds = results.rounds(scenario, store, &workload.name());
                    (colour(store), Spread::of(&rounds, figure))
                })
                .collect();
            chart(&area, *workload, &heights)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(text)
}

/// A bar for each store from nothing to its median, and a line from its least to its greatest round.
fn chart<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    workload: Workload,
    heights: &[(RGBColor, Option<Spread>)],
) -> Result<()> {
    let most = heights.iter().filter_map(|(_, spread)| *spread).map(|spread| spread.max).fold(1e-9, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .caption(workload.name(), ("sans-serif", 13))
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..heights.len() as f64, 0.0..most * 1.08)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(WHITE)
        .y_labels(4)
        .label_style(("sans-serif", 10))
        .draw()
        .map_err(failed)?;
    for (at, (colour, spread)) in heights.iter().enumerate() {
        let Some(Spread { median, min, max }) = *spread else { continue };
        let (left, middle, right) = (at as f64 + 0.1, at as f64 + 0.5, at as f64 + 0.9);
        let bar = Rectangle::new([(left, 0.0), (right, median)], colour.filled());
        chart.draw_series([bar]).map_err(failed)?;
        let whisker = PathElement::new([(middle, min), (middle, max)], BLACK);
        chart.draw_series([whisker]).map_err(failed)?;
    }
    Ok(())
}

fn legend<B: DrawingBackend>(area: &DrawingArea<B, Shift>, stores: &[&str]) -> Result<()> {
    for (at, store) in stores.iter().enumerate() {
        let left = 10 + 110 * at as i32;
        area.draw(&Rectangle::new([(left, 10), (left + 12, 22)], colour(store).filled())).map_err(failed)?;
        area.draw(&Text::new((*store).to_owned(), (left + 18, 10), ("sans-serif", 13))).map_err(failed)?;
    }
    Ok(())
}

/// The colour of a store.
pub fn colour(store: &str) -> RGBColor {
    let at = crate::stores::NAMES.iter().position(|name| *name == store).unwrap_or(0);
    COLOURS[at % COLOURS.len()]
}

/// What a drawing error says.
pub fn failed<E: std::fmt::Display>(error: E) -> anyhow::Error {
    anyhow!("draw a picture: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_bar_for_each_store() {
        let results = crate::results::tests::results("fillseq", &[("esker", &[3.0]), ("redb", &[2.0, 1.0])]);
        let place = crate::place::Place::fresh(None).expect("a directory");
        let files = all(&results, place.dir()).expect("drawn");
        assert_eq!(files.len(), MEASURES.len());
        let picture = fs::read_to_string(&files[0]).expect("an SVG");
        for word in ["fillseq", "esker", "redb"] {
            assert!(picture.contains(word), "{word} is missing");
        }
        // One in the chart and one in the legend.
        for colour in ["#005AA0", "#CC79A7"] {
            assert_eq!(picture.matches(&format!("fill=\"{colour}\"")).count(), 2, "{colour}");
        }
    }
}
