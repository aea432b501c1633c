//! Upscaled luma and the source's rows to upscaled pixels.
//!
//! The source is enlarged by a bicubic filter, and the network's luma replaces that of the result: each of red,
//! green and blue gets the difference, which leaves chroma as the filter made it. Alpha is filtered alone.

use super::PixelFormat;

/// Filter weights are in 1/16384.
const WEIGHT_BITS: u32 = 14;
/// Filtered values are in 1/64: 255 and the filter's overshoot fit 16 bits.
const FINE_BITS: u32 = 6;
/// Luma weights in 1/16384.
const LUMA: [i32; 3] = [4899, 9617, 1868];
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

/// Position of a phase's first tap from its source pixel, and the weights of four taps.
#[derive(Clone, Copy, Debug)]
struct Phase {
    first: isize,
    weights: [i32; 4],
}

impl Phase {
    fn new(phase: usize, scale: usize) -> Self {
        let centre = (phase as f64 + 0.5) / scale as f64 - 0.5;
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
}

/// The last rows of the source, and what is needed to enlarge them.
#[derive(Debug)]
pub struct Colour {
    format: PixelFormat,
    width: usize,
    height: usize,
    scale: usize,
    phases: Vec<Phase>,
    /// Ring of source rows.
    rows: Vec<u8>,
    kept: usize,
    pushed: usize,
    /// One vertically filtered row: a plane per channel, with borders.
    middle: Vec<i16>,
    /// Horizontally filtered: a plane per channel and phase.
    fine: Vec<i16>,
}

impl Colour {
    /// Bytes that [`Colour::new`] allocates.
    pub fn bytes(format: PixelFormat, width: usize, scale: usize, kept: usize) -> usize {
        let c = format.channels();
        if c == 1 {
            return 0;
        }
        kept * width * c + 2 * c * (width + 2 * BORDER) + 2 * c * scale * width + scale * size_of::<Phase>()
    }

    /// For frames of this size; the newest `kept` rows are at hand. Grey needs none of it.
    pub fn new(format: PixelFormat, width: usize, height: usize, scale: usize, kept: usize) -> Self {
        let c = format.channels();
        let used = usize::from(c > 1);
        Self {
            format,
            width,
            height,
            scale,
            phases: (0..scale * used).map(|p| Phase::new(p, scale)).collect(),
            rows: vec![0; used * kept * width * c],
            kept,
            pushed: 0,
            middle: vec![0; used * c * (width + 2 * BORDER)],
            fine: vec![0; used * c * scale * width],
        }
    }

    /// The next frame begins.
    pub fn reset(&mut self) {
        self.pushed = 0;
    }

    /// Keeps a source row.
    pub fn push(&mut self, row: &[u8]) {
        if !self.rows.is_empty() {
            let at = self.pushed % self.kept * row.len();
            self.rows[at..at + row.len()].copy_from_slice(row);
        }
        self.pushed += 1;
    }

    /// Output row `y` from its upscaled luma, each byte of it through `shown`; `out` is `scale * width` pixels.
    pub fn row(&mut self, y: usize, luma: &[u8], shown: impl Fn(u8) -> u8, out: &mut [u8]) {
        let luma = &luma[..self.scale * self.width];
        match self.format {
            PixelFormat::Gray8 => out.iter_mut().zip(luma).for_each(|(o, v)| *o = shown(*v)),
            PixelFormat::GrayAlpha8 => {
                self.filter(y, 1);
                self.weave(out, |i, fine, pixel| {
                    pixel[0] = shown(luma[i]);
                    pixel[1] = whole(fine[0]);
                });
            }
            PixelFormat::Rgb8 | PixelFormat::Rgba8 => {
                self.filter(y, 0);
                let alpha = self.format.has_alpha();
                self.weave(out, |i, fine, pixel| {
                    let soft = LUMA.iter().zip(fine).map(|(w, v)| w * v).sum::<i32>() >> 14;
                    let shift = (i32::from(shown(luma[i])) << FINE_BITS) - soft;
                    for (out, v) in pixel[..3].iter_mut().zip(fine) {
                        *out = whole(v + shift);
                    }
                    if alpha {
                        pixel[3] = whole(fine[3]);
                    }
                });
            }
        }
    }

    /// Source row `y`, or the nearest inside.
    fn source(&self, y: isize) -> &[u8] {
        let y = y.clamp(0, self.height as isize - 1) as usize;
        debug_assert!(y < self.pushed && y + self.kept >= self.pushed, "row {y} of {} is kept", self.pushed);
        let bytes = self.width * self.format.channels();
        &self.rows[y % self.kept * bytes..][..bytes]
    }

    /// Fills `fine` for output row `y`, from channel `from` on.
    fn filter(&mut self, y: usize, from: usize) {
        let (c, w, plane) = (self.format.channels(), self.width, self.width + 2 * BORDER);
        let phase = self.phases[y % self.scale];
        let top = (y / self.scale) as isize + phase.first;
        let mut middle = std::mem::take(&mut self.middle);
        let rows: [&[u8]; 4] = std::array::from_fn(|k| self.source(top + k as isize));
        for channel in from..c {
            let plane = &mut middle[channel * plane..][..plane];
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
            let plane = &middle[channel * plane..][..plane];
            for (p, phase) in self.phases.iter().enumerate() {
                let taps = &plane[(BORDER as isize + phase.first) as usize..];
                let [a, b, c, d] = phase.weights;
                let fine = &mut self.fine[(channel * self.scale + p) * w..][..w];
                for (v, t) in fine.iter_mut().zip(taps.windows(4)) {
                    let sum = a * i32::from(t[0]) + b * i32::from(t[1]) + c * i32::from(t[2]) + d * i32::from(t[3]);
                    *v = ((sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS) as i16;
                }
            }
        }
        self.middle = middle;
    }

    /// Calls `f` with each output pixel's number, its filtered channels and its bytes.
    fn weave(&self, out: &mut [u8], f: impl Fn(usize, &[i32], &mut [u8])) {
        let (c, w) = (self.format.channels(), self.width);
        let from = usize::from(c == 2);
        let mut fine = [0i32; 4];
        for (i, pixel) in out.chunks_exact_mut(c).enumerate() {
            let (x, p) = (i / self.scale, i % self.scale);
            for channel in from..c {
                fine[channel - from] = i32::from(self.fine[(channel * self.scale + p) * w + x]);
            }
            f(i, &fine, pixel);
        }
    }
}

/// 1/64 to a byte.
fn whole(v: i32) -> u8 {
    ((v + (1 << (FINE_BITS - 1))) >> FINE_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_colour_stays_flat() {
        for scale in 2..=4 {
            let (w, h, pixel) = (5, 4, [200u8, 30, 90, 77]);
            let mut colour = Colour::new(PixelFormat::Rgba8, w, h, scale, h);
            let row: Vec<u8> = pixel.iter().copied().cycle().take(4 * w).collect();
            let mut luma = vec![0; w];
            super::super::luma_row(PixelFormat::Rgba8, &row, &mut luma);
            (0..h).for_each(|_| colour.push(&row));
            let mut out = vec![0; 4 * w * scale];
            for y in 0..h * scale {
                colour.row(y, &vec![luma[0]; w * scale], |v| v, &mut out);
                let worst = out.chunks(4).flat_map(|p| p.iter().zip(&pixel).map(|(a, b)| a.abs_diff(*b))).max();
                assert!(worst <= Some(1), "scale {scale}, row {y}: {worst:?}");
            }
        }
    }

    #[test]
    fn weights_sum_to_one() {
        for scale in 2..=4 {
            for phase in 0..scale {
                assert_eq!(Phase::new(phase, scale).weights.iter().sum::<i32>(), 1 << WEIGHT_BITS);
            }
        }
    }
}
