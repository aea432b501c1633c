//! Planes of samples enlarged by whole factors with the bicubic filter: the arithmetic of chroma, colour and alpha.
//!
//! Weights and the value between the two passes are fixed-point integers, so the result is the same everywhere.

use crate::geom::Size;
use crate::kernels::{FilterPhase, Level, WEIGHT_BITS};

/// Border of a filtered row, in samples.
const BORDER: usize = 2;

/// Bicubic kernel with a = -0.5 (Keys, 1981).
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0
    } else if x < 2.0 {
        -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0
    } else {
        0.0
    }
}

/// How one direction is enlarged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Output samples for each source sample.
    pub factor: usize,
    /// Where output sample `j` lies, in source samples: `(j + 0.5) / factor - 0.5 + shift`. 0 when the centres of
    /// samples divide the picture evenly; from 0 to 1/4.
    pub shift: f64,
}

impl Axis {
    /// Enlarged about the centres of samples.
    pub const fn centred(factor: usize) -> Self {
        Self { factor, shift: 0.0 }
    }
}

/// Position of a phase's first tap from its source sample, and the weights of four taps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) first: isize,
    pub(super) weights: [i16; 4],
}

impl Phase {
    fn new(phase: usize, axis: Axis) -> Self {
        let centre = (phase as f64 + 0.5) / axis.factor as f64 - 0.5 + axis.shift;
        let first = centre.floor() as isize - 1;
        let real: Vec<f64> = (0..4).map(|k| cubic(first as f64 + k as f64 - centre)).collect();
        let mut weights = [0; 4];
        for (w, r) in weights.iter_mut().zip(&real) {
            *w = (r * f64::from(1 << WEIGHT_BITS)).round() as i16;
        }
        // Rounding must not change flat areas.
        weights[1] += (1 << WEIGHT_BITS) - weights.iter().sum::<i16>();
        Self { first, weights }
    }

    pub(super) fn all(axis: Axis) -> Vec<Self> {
        (0..axis.factor).map(|phase| Self::new(phase, axis)).collect()
    }
}

/// Filters a plane of samples, one output row at a time; results are in 1/64.
#[derive(Debug)]
pub(super) struct Bicubic {
    width: usize,
    down: Vec<Phase>,
    across: Vec<FilterPhase>,
    /// One vertically filtered row, with borders.
    middle: Vec<i16>,
    level: Level,
}

impl Bicubic {
    /// Bytes that [`Bicubic::new`] allocates.
    pub(super) fn bytes(width: usize, across: Axis, down: Axis) -> usize {
        let phases = across.factor * size_of::<FilterPhase>() + down.factor * size_of::<Phase>();
        size_of::<i16>() * (width + 2 * BORDER) + phases
    }

    /// For rows of `width` samples.
    pub(super) fn new(width: usize, across: Axis, down: Axis, level: Level) -> Self {
        let tap =
            |phase: Phase| FilterPhase { first: (BORDER as isize + phase.first) as usize, weights: phase.weights };
        Self {
            width,
            down: Phase::all(down),
            across: Phase::all(across).into_iter().map(tap).collect(),
            middle: vec![0; width + 2 * BORDER],
            level,
        }
    }

    /// Samples of an output row.
    pub(super) fn output_width(&self) -> usize {
        self.width * self.across.len()
    }

    /// First of the four source rows that output row `y` is made of.
    pub(super) fn top(&self, y: usize) -> isize {
        (y / self.down.len()) as isize + self.down[y % self.down.len()].first
    }

    /// Filters output row `y` into `fine`. `source` gives source rows, numbers beyond the picture too.
    pub(super) fn filter<'a>(&mut self, y: usize, source: impl Fn(isize) -> &'a [u8], fine: &mut [i16]) {
        let top = self.top(y);
        let Self { width, down, across, middle, level } = self;
        let weights = down[y % down.len()].weights;
        let inner = BORDER..BORDER + *width;
        level.blend_rows(weights, [0, 1, 2, 3].map(|k| source(top + k)), &mut middle[inner.clone()]);
        let (first, last) = (middle[inner.start], middle[inner.end - 1]);
        middle[..inner.start].fill(first);
        middle[inner.end..].fill(last);
        level.enlarge_row(across, middle, fine);
    }
}

/// Enlarges planes that are at hand as a whole: 8-bit samples, channels interleaved, rows without padding.
#[derive(Debug)]
pub struct PlaneFilter {
    channels: usize,
    /// The first channel that is enlarged, and how many on the next one is.
    taken: (usize, usize),
    from: Size,
    to: Size,
    bicubic: Bicubic,
    /// An output row of a channel in 1/64, and in bytes.
    fine: Vec<i16>,
    whole: Vec<u8>,
    /// A channel of four source rows, where there are several channels.
    apart: Vec<u8>,
}

impl PlaneFilter {
    /// Bytes that [`PlaneFilter::new`] allocates.
    pub fn bytes(channels: usize, from: Size, across: Axis, down: Axis) -> usize {
        let output = (size_of::<i16>() + 1) * across.factor * from.width;
        Bicubic::bytes(from.width, across, down) + output + Self::apart(channels, from)
    }

    fn apart(channels: usize, from: Size) -> usize {
        if channels > 1 { 4 * from.width } else { 0 }
    }

    /// From planes of size `from` to their upper left part of size `to`; odd pictures have half a chroma sample
    /// too many.
    ///
    /// # Panics
    ///
    /// If `to` is larger than the enlarged plane.
    pub fn new(channels: usize, from: Size, to: Size, across: Axis, down: Axis, level: Level) -> Self {
        let fits = to.width <= across.factor * from.width && to.height <= down.factor * from.height;
        assert!(fits, "{to} is larger than {from} enlarged");
        let bicubic = Bicubic::new(from.width, across, down, level);
        let width = bicubic.output_width();
        let apart = vec![0; Self::apart(channels, from)];
        let taken = (0, 1);
        Self { channels, taken, from, to, bicubic, fine: vec![0; width], whole: vec![0; width], apart }
    }

    /// The second channel, the fourth and so on alone: the others of a row are not written.
    pub fn every_second(self) -> Self {
        Self { taken: (1, 2), ..self }
    }

    /// Output row `y` of a plane without padding, `to.width * channels` bytes.
    pub fn row(&mut self, plane: &[u8], y: usize, out: &mut [u8]) {
        let bytes = self.from.width * self.channels;
        self.row_from(|y| &plane[y * bytes..][..bytes], y, out);
    }

    /// Output row `y` of a plane whose rows `source` gives.
    pub fn row_from<'a>(&mut self, source: impl Fn(usize) -> &'a [u8], y: usize, out: &mut [u8]) {
        let Self { channels: c, taken: (first, step), from, to, bicubic, fine, whole, apart } = self;
        let (width, last) = (from.width, from.height as isize - 1);
        let row = |y: isize| source(y.clamp(0, last) as usize);
        if *c == 1 {
            bicubic.filter(y, row, fine);
            bicubic.level.round_row(&fine[..to.width], &mut out[..to.width]);
            return;
        }
        for channel in (*first..*c).step_by(*step) {
            // Any four consecutive rows have four different offsets.
            let offset = |y: isize| y.rem_euclid(4) as usize * width;
            let top = bicubic.top(y);
            for y in top..top + 4 {
                let samples = row(y).iter().skip(channel).step_by(*c);
                apart[offset(y)..][..width].iter_mut().zip(samples).for_each(|(to, from)| *to = *from);
            }
            bicubic.filter(y, |y| &apart[offset(y)..][..width], fine);
            bicubic.level.round_row(fine, whole);
            out.iter_mut().skip(channel).step_by(*c).zip(&*whole).for_each(|(to, from)| *to = *from);
        }
    }

    /// A whole plane.
    pub fn plane(&mut self, plane: &[u8], out: &mut [u8]) {
        let bytes = self.to.width * self.channels;
        for (y, row) in out.chunks_exact_mut(bytes).enumerate() {
            self.row(plane, y, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one() {
        for axis in (1..=8).flat_map(|factor| [0.0, 0.125, 0.25].map(|shift| Axis { factor, shift })) {
            for phase in Phase::all(axis) {
                assert_eq!(phase.weights.iter().sum::<i16>(), 1 << WEIGHT_BITS);
            }
        }
    }

    /// The filter by its definition, in floating point, at any position.
    fn at(plane: &[u8], size: Size, x: f64, y: f64) -> f64 {
        let tap = |x: isize, y: isize| {
            let clamp = |v: isize, length: usize| v.clamp(0, length as isize - 1) as usize;
            f64::from(plane[clamp(y, size.height) * size.width + clamp(x, size.width)])
        };
        let near = |v: f64| (v.floor() as isize - 1)..=(v.floor() as isize + 2);
        let line = |y: isize| near(x).map(|i| cubic(i as f64 - x) * tap(i, y)).sum::<f64>();
        near(y).map(|j| cubic(j as f64 - y) * line(j)).sum::<f64>().clamp(0.0, 255.0)
    }

    #[test]
    fn follows_the_definition() {
        let from = Size::new(7, 5);
        let plane: Vec<u8> = (0..from.area()).map(|i| (i * i * 37 % 256) as u8).collect();
        for (across, down) in [
            (Axis::centred(2), Axis::centred(2)),
            (Axis { factor: 2, shift: 0.125 }, Axis::centred(4)),
            (Axis { factor: 4, shift: 0.25 }, Axis { factor: 3, shift: 0.125 }),
        ] {
            let to = Size::new(across.factor * from.width - 1, down.factor * from.height);
            let mut out = vec![0; to.area()];
            PlaneFilter::new(1, from, to, across, down, Level::best()).plane(&plane, &mut out);
            for (i, v) in out.iter().enumerate() {
                let position = |j: usize, axis: Axis| (j as f64 + 0.5) / axis.factor as f64 - 0.5 + axis.shift;
                let expected = at(&plane, from, position(i % to.width, across), position(i / to.width, down));
                let error = (expected - f64::from(*v)).abs();
                assert!(error <= 0.6, "{across:?} {down:?}, sample {i}: {v}, not {expected}");
            }
        }
    }

    #[test]
    fn channels_do_not_mix() {
        let from = Size::new(3, 2);
        let grey: Vec<u8> = vec![3, 90, 250, 17, 60, 130];
        let pair: Vec<u8> = grey.iter().flat_map(|v| [*v, 255 - v]).collect();
        let to = from.scaled(3);
        let (mut one, mut two) = (vec![0; to.area()], vec![0; 2 * to.area()]);
        PlaneFilter::new(1, from, to, Axis::centred(3), Axis::centred(3), Level::best()).plane(&grey, &mut one);
        PlaneFilter::new(2, from, to, Axis::centred(3), Axis::centred(3), Level::best()).plane(&pair, &mut two);
        assert_eq!(two.iter().step_by(2).copied().collect::<Vec<_>>(), one);
    }
}
