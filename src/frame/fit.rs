//! A picture on a screen of another size: beside borders, cut, or resampled.
//!
//! Resampling is a triangle filter as wide as the coarser of both grids, so that shrinking averages and enlarging is
//! linear. Weights are fixed-point integers: the same bytes everywhere.

use std::ops::Range;
use std::str::FromStr;

use super::{FrameFormat, Layout};
use crate::geom::Size;

/// Weights are in 1/16384.
const WEIGHT_BITS: u32 = 14;
/// Values between both passes are in 1/64.
const FINE_BITS: u32 = 6;

/// How a picture meets a screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// Pixel on pixel, in the middle: black borders, or cut off.
    #[default]
    None,
    /// As large as the whole picture can be; black borders.
    Contain,
    /// As small as fills the screen; cut off.
    Cover,
}

impl FromStr for Fit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "contain" => Ok(Self::Contain),
            "cover" => Ok(Self::Cover),
            _ => Err("none, contain, cover are known".into()),
        }
    }
}

/// Samples of one direction that make one sample of the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    first: usize,
    /// Where its weights are.
    weights: usize,
    count: usize,
}

/// One direction of the screen: a border, then samples of the picture, then a border.
#[derive(Debug)]
struct Line {
    border: usize,
    spans: Vec<Span>,
    weights: Vec<i32>,
}

impl Line {
    /// `count` samples that show `length` of the picture's `from` samples, beginning at `start`.
    fn new(from: usize, to: usize, count: usize, start: f64, length: f64) -> Self {
        let step = length / count as f64;
        let reach = step.max(1.0);
        let (mut spans, mut weights) = (Vec::with_capacity(count), Vec::new());
        for i in 0..count {
            let centre = start + (i as f64 + 0.5) * step - 0.5;
            let first = ((centre - reach).floor() + 1.0).max(0.0) as usize;
            let last = ((centre + reach).ceil() - 1.0).clamp(0.0, from as f64 - 1.0) as usize;
            let first = first.min(last);
            let raw = (first..=last).map(|at| (1.0 - (at as f64 - centre).abs() / reach).max(1e-9));
            let sum: f64 = raw.clone().sum();
            let begin = weights.len();
            weights.extend(raw.map(|w| (w / sum * f64::from(1 << WEIGHT_BITS)).round() as i32));
            let own = &mut weights[begin..];
            // Rounding must not change flat areas; the heaviest weight can bear the difference.
            let rest = (1 << WEIGHT_BITS) - own.iter().sum::<i32>();
            if let Some(heaviest) = own.iter_mut().max() {
                *heaviest += rest;
            }
            spans.push(Span { first, weights: begin, count: last + 1 - first });
        }
        Self { border: (to - count) / 2, spans, weights }
    }

    fn weights(&self, span: Span) -> &[i32] {
        &self.weights[span.weights..][..span.count]
    }
}

/// Shows pictures of one size on a screen of another; allocates nothing after it is made.
#[derive(Debug)]
pub struct Fitter {
    from: FrameFormat,
    to: Size,
    across: Line,
    down: Line,
    /// One row of the picture, filtered downwards, in 1/64.
    middle: Vec<i32>,
    exact: bool,
}

impl Fitter {
    /// For pictures of `from`, which are grey or RGB.
    pub fn new(from: FrameFormat, to: Size, fit: Fit) -> Self {
        let (w, h) = (from.size.width as f64, from.size.height as f64);
        let (across, down) = (to.width as f64 / w, to.height as f64 / h);
        let scale = match fit {
            Fit::None => 1.0,
            Fit::Contain => across.min(down),
            Fit::Cover => across.max(down),
        };
        let line = |from: usize, to: usize, scale: f64| {
            let whole = from as f64 * scale;
            let count = (whole.round() as usize).clamp(1, to);
            // What is seen of the picture; without scaling a border or cut of half a pixel is none.
            let length = if scale == 1.0 { count as f64 } else { (count as f64 / scale).min(from as f64) };
            let start = (from as f64 - length) / 2.0;
            Line::new(from, to, count, if scale == 1.0 { start.floor() } else { start }, length)
        };
        let channels = if from.layout == Layout::Rgb { 3 } else { 1 };
        Self {
            across: line(from.size.width, to.width, scale),
            down: line(from.size.height, to.height, scale),
            middle: vec![0; from.size.width * channels],
            exact: scale == 1.0,
            from,
            to,
        }
    }

    /// Bytes that a fitter allocates at most.
    pub fn bytes(from: Size, to: Size) -> usize {
        let line = |from: usize, to: usize| to * size_of::<Span>() + (2 * from + 4 * to) * size_of::<i32>();
        line(from.width, to.width) + line(from.height, to.height) + 3 * from.width * size_of::<i32>()
    }

    /// Width and height of what is seen of the picture, on the screen.
    pub fn shown(&self) -> Size {
        Size::new(self.across.spans.len(), self.down.spans.len())
    }

    /// Does row `y` of the screen show one of these rows of the picture?
    pub fn shows(&self, y: usize, rows: &Range<usize>) -> bool {
        let span = y.checked_sub(self.down.border).and_then(|y| self.down.spans.get(y));
        span.is_some_and(|span| span.first < rows.end && rows.start < span.first + span.count)
    }

    /// Row `y` of the screen: red, green, blue of each pixel.
    pub fn row(&mut self, frame: &[u8], y: usize, out: &mut [u8]) {
        let Self { from, to, across, down, middle, exact } = self;
        debug_assert_eq!(out.len(), 3 * to.width);
        let Some(&span) = y.checked_sub(down.border).and_then(|y| down.spans.get(y)) else { return out.fill(0) };
        let grey = from.layout != Layout::Rgb;
        let bytes = from.size.width * if grey { 1 } else { 3 };
        let seen = across.border..across.border + across.spans.len();
        out[..3 * seen.start].fill(0);
        out[3 * seen.end..].fill(0);
        let out = &mut out[3 * seen.start..3 * seen.end];
        if *exact {
            let row = &frame[span.first * bytes..][..bytes];
            let first = across.spans[0].first;
            if grey {
                out.chunks_exact_mut(3).zip(&row[first..]).for_each(|(pixel, v)| pixel.fill(*v));
            } else {
                out.copy_from_slice(&row[3 * first..][..out.len()]);
            }
            return;
        }
        middle.fill(0);
        for (row, weight) in frame[span.first * bytes..].chunks_exact(bytes).zip(down.weights(span)) {
            middle.iter_mut().zip(row).for_each(|(sum, v)| *sum += weight * i32::from(*v));
        }
        let half = 1 << (WEIGHT_BITS - FINE_BITS - 1);
        middle.iter_mut().for_each(|sum| *sum = (*sum + half) >> (WEIGHT_BITS - FINE_BITS));
        let whole = |sum: i32| ((sum + (1 << (WEIGHT_BITS + FINE_BITS - 1))) >> (WEIGHT_BITS + FINE_BITS)) as u8;
        for (pixel, span) in out.chunks_exact_mut(3).zip(&across.spans) {
            let weights = across.weights(*span);
            if grey {
                let sum = middle[span.first..].iter().zip(weights).map(|(v, w)| v * w).sum::<i32>();
                pixel.fill(whole(sum));
            } else {
                let mut sums = [0; 3];
                for (v, w) in middle[3 * span.first..].chunks_exact(3).zip(weights) {
                    sums.iter_mut().zip(v).for_each(|(sum, v)| *sum += v * w);
                }
                pixel.copy_from_slice(&sums.map(whole));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(from: Size, layout: Layout, frame: &[u8], to: Size, fit: Fit) -> Vec<u8> {
        let mut fitter = Fitter::new(FrameFormat::picture(from, layout), to, fit);
        let mut screen = vec![77; 3 * to.area()];
        screen.chunks_exact_mut(3 * to.width).enumerate().for_each(|(y, row)| fitter.row(frame, y, row));
        screen
    }

    fn noise(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|i| (i * i * 31 % 251) as u8).collect()
    }

    #[test]
    fn none_moves_pixels_and_nothing_else() {
        let (from, frame) = (Size::new(5, 4), noise(60));
        let screen = show(from, Layout::Rgb, &frame, Size::new(8, 7), Fit::None);
        for (y, row) in screen.chunks(24).enumerate() {
            for (x, pixel) in row.chunks(3).enumerate() {
                let inside = (1..6).contains(&x) && (1..5).contains(&y);
                let at = |x: usize, y: usize| &frame[3 * (y * 5 + x)..][..3];
                assert_eq!(pixel, if inside { at(x - 1, y - 1) } else { &[0; 3] }, "{x}, {y}");
            }
        }
        let cut = show(from, Layout::Rgb, &frame, Size::new(3, 2), Fit::None);
        assert_eq!(cut[..9], frame[3 * (5 + 1)..][..9]);
        let grey = show(from, Layout::Gray, &frame[..20], Size::new(5, 4), Fit::None);
        assert!(grey.chunks(3).zip(&frame).all(|(pixel, v)| pixel == [*v; 3]));
    }

    #[test]
    fn contain_keeps_the_whole_picture_and_cover_fills() {
        let from = Size::new(40, 20);
        let white = vec![255; from.area()];
        let lit = |to, fit| show(from, Layout::Gray, &white, to, fit).chunks(3).filter(|p| **p == [255; 3]).count();
        assert_eq!(lit(Size::new(20, 20), Fit::Contain), 20 * 10);
        assert_eq!(lit(Size::new(20, 20), Fit::Cover), 20 * 20);
        assert_eq!(lit(Size::new(100, 80), Fit::Contain), 100 * 50);
        assert_eq!(lit(Size::new(7, 31), Fit::Cover), 7 * 31);
        let format = FrameFormat::picture(from, Layout::Gray);
        assert_eq!(Fitter::new(format, Size::new(9, 9), Fit::Contain).shown(), Size::new(9, 5));
    }

    /// The filter by its definition, in floating point.
    #[test]
    fn follows_the_definition() {
        for (from, to) in [((12, 9), (7, 5)), ((5, 7), (13, 18)), ((16, 12), (8, 6)), ((1, 1), (4, 3))] {
            let (from, to) = (Size::new(from.0, from.1), Size::new(to.0, to.1));
            let frame = noise(from.area());
            let screen = show(from, Layout::Gray, &frame, to, Fit::Cover);
            let scale = (to.width as f64 / from.width as f64).max(to.height as f64 / from.height as f64);
            let reach = (1.0 / scale).max(1.0);
            let taps = |i: usize, to: usize, from: usize| -> Vec<f64> {
                let start = (from as f64 - (to as f64 / scale).min(from as f64)) / 2.0;
                let centre = start + (i as f64 + 0.5) / scale - 0.5;
                let raw: Vec<f64> = (0..from).map(|at| (1.0 - (at as f64 - centre).abs() / reach).max(0.0)).collect();
                let sum: f64 = raw.iter().sum();
                raw.iter().map(|w| w / sum).collect()
            };
            for (at, pixel) in screen.chunks(3).enumerate() {
                let (wx, wy) = (taps(at % to.width, to.width, from.width), taps(at / to.width, to.height, from.height));
                let sum: f64 =
                    (0..from.area()).map(|i| wx[i % from.width] * wy[i / from.width] * f64::from(frame[i])).sum();
                assert!((sum - f64::from(pixel[0])).abs() < 0.6, "{from} to {to}, {at}: {} not {sum}", pixel[0]);
            }
        }
    }

    #[test]
    fn memory_is_foretold() {
        for (from, to) in [((640, 360), (320, 240)), ((31, 3), (1920, 1080)), ((1280, 720), (96, 64))] {
            let (from, to) = (Size::new(from.0, from.1), Size::new(to.0, to.1));
            for fit in [Fit::None, Fit::Contain, Fit::Cover] {
                let f = Fitter::new(FrameFormat::picture(from, Layout::Rgb), to, fit);
                let line = |l: &Line| l.spans.len() * size_of::<Span>() + l.weights.len() * size_of::<i32>();
                let held = line(&f.across) + line(&f.down) + f.middle.len() * size_of::<i32>();
                assert!(held <= Fitter::bytes(from, to), "{from} to {to} {fit:?}: {held}");
            }
        }
    }
}
