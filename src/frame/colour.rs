//! Upscaled luma and the source's rows to upscaled pixels.
//!
//! The source is enlarged by a bicubic filter, and the network's luma replaces that of the result: each of red,
//! green and blue gets the difference, which leaves chroma as the filter made it. Alpha is filtered alone.

use super::PixelFormat;
use super::plane::{Axis, Bicubic, FINE_BITS, whole};

/// Luma weights in 1/16384.
const LUMA: [i32; 3] = [4899, 9617, 1868];

/// The last rows of the source, and what is needed to enlarge them.
#[derive(Debug)]
pub struct Colour {
    format: PixelFormat,
    width: usize,
    height: usize,
    scale: usize,
    /// Ring of source rows.
    rows: Vec<u8>,
    kept: usize,
    pushed: usize,
    bicubic: Bicubic,
}

impl Colour {
    /// Bytes that [`Colour::new`] allocates.
    pub fn bytes(format: PixelFormat, width: usize, scale: usize, kept: usize) -> usize {
        let c = format.channels();
        if c == 1 {
            return 0;
        }
        kept * width * c + Bicubic::bytes(c, width, Axis::centred(scale), Axis::centred(scale))
    }

    /// For frames of this size; the newest `kept` rows are at hand. Grey needs none of it.
    pub fn new(format: PixelFormat, width: usize, height: usize, scale: usize, kept: usize) -> Self {
        let c = format.channels();
        let used = usize::from(c > 1);
        let axis = if c > 1 { Axis::centred(scale) } else { Axis::centred(0) };
        Self {
            format,
            width,
            height,
            scale,
            rows: vec![0; used * kept * width * c],
            kept,
            pushed: 0,
            bicubic: Bicubic::new(used * c, used * width, axis, axis),
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

    /// Filters output row `y`, from channel `from` on.
    fn filter(&mut self, y: usize, from: usize) {
        let Self { bicubic, rows, height, pushed, kept, .. } = self;
        let bytes = self.width * self.format.channels();
        bicubic.filter(y, from, |y| {
            let y = y.clamp(0, *height as isize - 1) as usize;
            debug_assert!(y < *pushed && y + *kept >= *pushed, "row {y} of {pushed} is kept");
            &rows[y % *kept * bytes..][..bytes]
        });
    }

    /// Calls `f` with each output pixel's number, its filtered channels and its bytes.
    fn weave(&self, out: &mut [u8], f: impl Fn(usize, &[i32], &mut [u8])) {
        let c = self.format.channels();
        let from = usize::from(c == 2);
        let mut fine = [0i32; 4];
        for (i, pixel) in out.chunks_exact_mut(c).enumerate() {
            let (x, p) = (i / self.scale, i % self.scale);
            for channel in from..c {
                fine[channel - from] = i32::from(self.bicubic.fine(channel, p)[x]);
            }
            f(i, &fine, pixel);
        }
    }
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
}
