//! Planes of samples enlarged by whole factors with the bicubic filter: the arithmetic of chroma, colour and alpha.
//!
//! Weights and the value between the two passes are fixed-point integers, so the result is the same everywhere.

use crate::geom::Size;

/// Filter weights are in 1/16384.
const WEIGHT_BITS: u32 = 14;
/// Filtered values are in 1/64: 255 and the filter's overshoot fit 16 bits.
pub(super) const FINE_BITS: u32 = 6;
/// Border of a filtered row, in pixels.
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
struct Phase {
    first: isize,
    weights: [i32; 4],
}

impl Phase {
    fn new(phase: usize, axis: Axis) -> Self {
        let centre = (phase as f64 + 0.5) / axis.factor as f64 - 0.5 + axis.shift;
        let first = centre.floor() as isize - 1;
        let real: Vec<f64> = (0..4).map(|k| cubic(first as f64 + k as f64 - centre)).collect();
        let mut weights = [0; 4];
        for (w, r) in weights.iter_mut().zip(&real) {
            *w = (r * f64::from(1 << WEIGHT_BITS)).round() as i32;
        }
        // Rounding must not change flat areas.
        weights[1] += (1 << WEIGHT_BITS) - weights.iter().sum::<i32>();
        Self { first, weights }
    }

    fn all(axis: Axis) -> Vec<Self> {
        (0..axis.factor).map(|phase| Self::new(phase, axis)).collect()
    }
}

/// Filters rows of interleaved channels, one output row at a time; results are in 1/64.
#[derive(Debug)]
pub(super) struct Bicubic {
    channels: usize,
    width: usize,
    across: Vec<Phase>,
    down: Vec<Phase>,
    /// One vertically filtered row: a plane for each channel, with borders.
    middle: Vec<i16>,
    /// Horizontally filtered: a plane for each channel and phase.
    fine: Vec<i16>,
}

impl Bicubic {
    /// Bytes that [`Bicubic::new`] allocates.
    pub(super) fn bytes(channels: usize, width: usize, across: Axis, down: Axis) -> usize {
        let samples = channels * (width + 2 * BORDER) + channels * across.factor * width;
        2 * samples + (across.factor + down.factor) * size_of::<Phase>()
    }

    /// For rows of `width` pixels.
    pub(super) fn new(channels: usize, width: usize, across: Axis, down: Axis) -> Self {
        Self {
            channels,
            width,
            across: Phase::all(across),
            down: Phase::all(down),
            middle: vec![0; channels * (width + 2 * BORDER)],
            fine: vec![0; channels * across.factor * width],
        }
    }

    /// Filters output row `y`, from channel `from` on. `source` gives source rows, numbers beyond the picture too.
    pub(super) fn filter<'a>(&mut self, y: usize, from: usize, source: impl Fn(isize) -> &'a [u8]) {
        let (c, w, plane) = (self.channels, self.width, self.width + 2 * BORDER);
        let phase = self.down[y % self.down.len()];
        let top = (y / self.down.len()) as isize + phase.first;
        let rows: [&[u8]; 4] = std::array::from_fn(|k| source(top + k as isize));
        for channel in from..c {
            let plane = &mut self.middle[channel * plane..][..plane];
            for (x, v) in plane[BORDER..BORDER + w].iter_mut().enumerate() {
                let at = x * c + channel;
                let sum: i32 = rows.iter().zip(phase.weights).map(|(r, k)| k * i32::from(r[at])).sum();
                *v = ((sum + (1 << (WEIGHT_BITS - FINE_BITS - 1))) >> (WEIGHT_BITS - FINE_BITS)) as i16;
            }
            let (first, last) = (plane[BORDER], plane[BORDER + w - 1]);
            plane[..BORDER].fill(first);
            plane[BORDER + w..].fill(last);
        }
        for channel in from..c {
            let plane = &self.middle[channel * plane..][..plane];
            for (p, phase) in self.across.iter().enumerate() {
                let taps = &plane[(BORDER as isize + phase.first) as usize..];
                let [a, b, c, d] = phase.weights;
                let fine = &mut self.fine[(channel * self.across.len() + p) * w..][..w];
                for (v, t) in fine.iter_mut().zip(taps.windows(4)) {
                    let sum = a * i32::from(t[0]) + b * i32::from(t[1]) + c * i32::from(t[2]) + d * i32::from(t[3]);
                    *v = ((sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS) as i16;
                }
            }
        }
    }

    /// Filtered samples of a channel that lie at `phase` of each source pixel.
    pub(super) fn fine(&self, channel: usize, phase: usize) -> &[i16] {
        &self.fine[(channel * self.across.len() + phase) * self.width..][..self.width]
    }
}

/// 1/64 to a byte.
pub(super) fn whole(v: i32) -> u8 {
    ((v + (1 << (FINE_BITS - 1))) >> FINE_BITS).clamp(0, 255) as u8
}

/// Enlarges planes that are at hand as a whole: 8-bit samples, channels interleaved, rows without padding.
#[derive(Debug)]
pub struct PlaneFilter {
    channels: usize,
    from: Size,
    to: Size,
    bicubic: Bicubic,
}

impl PlaneFilter {
    /// Bytes that [`PlaneFilter::new`] allocates.
    pub fn bytes(channels: usize, from: Size, across: Axis, down: Axis) -> usize {
        Bicubic::bytes(channels, from.width, across, down)
    }

    /// From planes of size `from` to their upper left part of size `to`; odd pictures have half a chroma sample
    /// too many.
    ///
    /// # Panics
    ///
    /// If `to` is larger than the enlarged plane.
    pub fn new(channels: usize, from: Size, to: Size, across: Axis, down: Axis) -> Self {
        let fits = to.width <= across.factor * from.width && to.height <= down.factor * from.height;
        assert!(fits, "{to} is larger than {from} enlarged");
        Self { channels, from, to, bicubic: Bicubic::new(channels, from.width, across, down) }
    }

    /// Output row `y` of a plane, `to.width * channels` bytes.
    pub fn row(&mut self, plane: &[u8], y: usize, out: &mut [u8]) {
        let Self { channels, from, bicubic, .. } = self;
        let bytes = from.width * *channels;
        let last = from.height as isize - 1;
        bicubic.filter(y, 0, |y| &plane[y.clamp(0, last) as usize * bytes..][..bytes]);
        let step = *channels * bicubic.across.len();
        for phase in 0..bicubic.across.len() {
            for channel in 0..*channels {
                let out = out.iter_mut().skip(phase * *channels + channel).step_by(step);
                out.zip(bicubic.fine(channel, phase)).for_each(|(out, v)| *out = whole(i32::from(*v)));
            }
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
                assert_eq!(phase.weights.iter().sum::<i32>(), 1 << WEIGHT_BITS);
            }
        }
    }

    /// The filter by its definition, in floating point, at any place.
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
            PlaneFilter::new(1, from, to, across, down).plane(&plane, &mut out);
            for (i, v) in out.iter().enumerate() {
                let place = |j: usize, axis: Axis| (j as f64 + 0.5) / axis.factor as f64 - 0.5 + axis.shift;
                let expected = at(&plane, from, place(i % to.width, across), place(i / to.width, down));
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
        PlaneFilter::new(1, from, to, Axis::centred(3), Axis::centred(3)).plane(&grey, &mut one);
        PlaneFilter::new(2, from, to, Axis::centred(3), Axis::centred(3)).plane(&pair, &mut two);
        assert_eq!(two.iter().step_by(2).copied().collect::<Vec<_>>(), one);
    }
}
