//! The charts of the page, as SVG.

use std::ops::Range;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::measured::Point;
use crate::bench::Latency;

const SIZE: (u32, u32) = (860, 260);
const INK: RGBColor = RGBColor(70, 78, 90);
const GRID: RGBColor = RGBColor(228, 231, 236);
const LATENCY: RGBColor = RGBColor(20, 110, 130);
const HEAT: RGBColor = RGBColor(200, 85, 30);
const CLOCK: RGBColor = RGBColor(90, 80, 160);
const ALARM: RGBColor = RGBColor(200, 40, 40);
/// Bars of the histogram.
const BARS: usize = 48;
/// With no more points than this, each is drawn as a dot, too.
const DOTS: usize = 24;

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A chart, or nothing when it could not be drawn.
fn chart(draw: impl FnOnce(&DrawingArea<SVGBackend, plotters::coord::Shift>) -> Drawn) -> Option<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let done = draw(&area).and_then(|()| Ok(area.present()?));
    drop(area);
    done.map_err(|error| log::warn!("a chart cannot be drawn: {error}")).ok().map(|()| svg)
}

/// `low..high` with some air around it, and never empty.
fn padded(low: f64, high: f64) -> Range<f64> {
    let air = ((high - low) * 0.08).max(high.abs() * 0.01).max(0.01);
    (low - air).max(0.0)..high + air
}

/// How many frames took how long, with marks at the percentiles.
pub(super) fn histogram(millis: &[f64], latency: &Latency) -> Option<String> {
    // The slowest one in two hundred would squeeze the rest into a corner; they share the last bar.
    let mut sorted = millis.to_vec();
    sorted.sort_by(f64::total_cmp);
    let top = *sorted.get((sorted.len() * 199 / 200).min(sorted.len().checked_sub(1)?))?;
    let range = padded(latency.min, top);
    let width = (range.end - range.start) / BARS as f64;
    let mut bars = [0_u32; BARS];
    for value in &sorted {
        bars[(((value - range.start) / width) as usize).min(BARS - 1)] += 1;
    }
    let most = bars.into_iter().max().unwrap_or(1).max(1);
    chart(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(range.clone(), 0..most + most / 8 + 1)?;
        let labels = ("sans-serif", 13).into_font().color(&INK);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(labels.clone())
            .x_label_formatter(&|ms| format!("{ms:.1}"))
            .x_desc("milliseconds of a frame")
            .y_desc("frames")
            .draw()?;
        let bar = |(i, count): (usize, u32)| {
            let left = range.start + i as f64 * width;
            Rectangle::new([(left + width * 0.06, 0), (left + width * 0.94, count)], LATENCY.filled())
        };
        chart.draw_series(bars.into_iter().enumerate().filter(|(_, count)| *count > 0).map(bar))?;
        for (row, (name, at)) in
            [("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99)].into_iter().enumerate()
        {
            if !range.contains(&at) {
                continue;
            }
            let height = most + most / 8;
            chart.draw_series(LineSeries::new([(at, 0), (at, height)], HEAT.stroke_width(1)))?;
            // One below the other, because they may stand close together.
            let y = f64::from(height) * (1.0 - 0.09 * row as f64);
            chart.draw_series([Text::new(format!("\u{a0}{name}"), (at, y as u32), labels.clone())])?;
        }
        Ok(())
    })
}

/// A curve over time: lines for the mean, a band between the extremes, limits, and shades where it was throttled.
struct Curve<'a> {
    unit: &'a str,
    colour: RGBColor,
    /// Seconds, and least, mean and largest value.
    values: Vec<(f64, [f64; 3])>,
    limits: Vec<(&'a str, f64)>,
    digits: usize,
}

impl Curve<'_> {
    fn draw(&self, points: &[Point], slot_seconds: f64) -> Option<String> {
        let of = |i: usize| self.values.iter().map(move |(_, value)| value[i]);
        let (low, high) = (of(0).reduce(f64::min)?, of(2).reduce(f64::max)?);
        // A limit far above the curve would flatten it.
        let shown: Vec<_> = self.limits.iter().filter(|(_, at)| *at < high + (high - low).max(high * 0.4)).collect();
        let high = shown.iter().map(|(_, at)| *at).fold(high, f64::max);
        let range = padded(low, high);
        let end = points.last().map_or(0.0, |point| point.at_s) + slot_seconds;
        chart(|area| {
            let mut chart = ChartBuilder::on(area)
                .margin(12)
                .x_label_area_size(40)
                .y_label_area_size(56)
                .build_cartesian_2d(0.0..end, range.clone())?;
            let labels = ("sans-serif", 13).into_font().color(&INK);
            let digits = self.digits;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(WHITE)
                .bold_line_style(GRID)
                .axis_style(INK)
                .label_style(labels.clone())
                .x_label_formatter(&|s| if end < 10.0 { format!("{s:.1}") } else { format!("{s:.0}") })
                .y_label_formatter(&|y| format!("{y:.digits$}"))
                .x_desc("seconds")
                .y_desc(self.unit)
                .draw()?;
            let slowed = points.iter().filter(|point| !point.slot.throttling.is_empty());
            let shade = |point: &Point| {
                let corners = [(point.at_s, range.start), (point.at_s + slot_seconds, range.end)];
                Rectangle::new(corners, ALARM.mix(0.12).filled())
            };
            chart.draw_series(slowed.map(shade))?;
            let middle = |at: f64| at + slot_seconds / 2.0;
            let upper = self.values.iter().map(|(at, v)| (middle(*at), v[2]));
            let lower = self.values.iter().rev().map(|(at, v)| (middle(*at), v[0]));
            let band: Vec<(f64, f64)> = upper.chain(lower).collect();
            chart.draw_series([Polygon::new(band, self.colour.mix(0.18).filled())])?;
            let mean: Vec<(f64, f64)> = self.values.iter().map(|(at, v)| (middle(*at), v[1])).collect();
            if mean.len() <= DOTS {
                chart.draw_series(mean.iter().map(|at| Circle::new(*at, 3, self.colour.filled())))?;
            }
            chart.draw_series(LineSeries::new(mean, self.colour.stroke_width(2)))?;
            let above = labels.pos(Pos::new(HPos::Left, VPos::Bottom));
            for (name, at) in shown {
                chart.draw_series(LineSeries::new([(0.0, *at), (end, *at)], ALARM.mix(0.7).stroke_width(1)))?;
                chart.draw_series([Text::new(format!("\u{a0}{name}"), (0.0, *at), above.clone())])?;
            }
            Ok(())
        })
    }
}

fn values(points: &[Point], of: impl Fn(&Point) -> crate::bench::Spread) -> Vec<(f64, [f64; 3])> {
    let value = |point| {
        let spread = of(point);
        Some((point.at_s, [spread.min()?, spread.mean()?, spread.max()?]))
    };
    points.iter().filter_map(value).collect()
}

/// Latency over time.
pub(super) fn latency(points: &[Point], slot_seconds: f64) -> Option<String> {
    let values = values(points, |point| point.slot.latency);
    Curve { unit: "milliseconds", colour: LATENCY, values, limits: vec![], digits: 1 }.draw(points, slot_seconds)
}

/// Temperature over time, with the degrees from which the board is warm and slows down.
pub(super) fn temperature(points: &[Point], slot_seconds: f64, limits: [Option<f64>; 2]) -> Option<String> {
    let values = values(points, |point| point.slot.temperature);
    let limits = ["warm", "slows down"].into_iter().zip(limits).filter_map(|(name, at)| Some((name, at?))).collect();
    Curve { unit: "°C", colour: HEAT, values, limits, digits: 0 }.draw(points, slot_seconds)
}

/// Clock over time.
pub(super) fn clock(points: &[Point], slot_seconds: f64) -> Option<String> {
    let values = values(points, |point| point.slot.mhz);
    Curve { unit: "MHz", colour: CLOCK, values, limits: vec![], digits: 0 }.draw(points, slot_seconds)
}
