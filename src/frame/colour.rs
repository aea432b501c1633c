//! Upscaled luma and the source's rows to upscaled pixels.
//!
//! The source is enlarged by a bicubic filter, and so are the bytes of its luma, which the network has seen. What its own
//! luma differs from these by is added to red, green and blue alike, which leaves chroma as the filter made it, and gives
//! back to luma what was rounded off for the network. Alpha is filtered alone.

use super::PixelFormat;
use super::plane::{Axis, Bicubic};
use crate::kernels::{Level, round_sample};

/// The last rows of the source, and what is needed to enlarge them. Grey needs none of it.
#[derive(Debug)]
pub struct Colour {
    format: PixelFormat,
    /// Does blue stand before red?
    blue_first: bool,
    width: usize,
    height: usize,
    scale: usize,
    /// Ring of source rows, channel by channel, then luma where there is colour.
    rows: Vec<u8>,
    kept: usize,
    pushed: usize,
    bicubic: Bicubic,
    /// An output row of each of these, in 1/64.
    fine: Vec<i16>,
    level: Level,
}

/// Channels, and luma where there is colour.
fn planes(format: PixelFormat) -> usize {
    format.channels() + usize::from(matches!(format, PixelFormat::Rgb8 | PixelFormat::Rgba8))
}

impl Colour {
    /// Bytes that [`Colour::new`] allocates.
    pub fn bytes(format: PixelFormat, width: usize, scale: usize, kept: usize) -> usize {
        let c = format.channels();
        if c == 1 {
            return 0;
        }
        let rows = planes(format) * width * (kept + size_of::<i16>() * scale);
        rows + Bicubic::bytes(width, Axis::centred(scale), Axis::centred(scale))
    }

    /// For frames of this size; the newest `kept` rows are at hand.
    pub fn new(format: PixelFormat, width: usize, height: usize, scale: usize, kept: usize, level: Level) -> Self {
        let used = usize::from(format.channels() > 1);
        let axis = Axis::centred(used * scale);
        let plane = used * planes(format) * width;
        let (rows, fine) = (vec![0; plane * kept], vec![0; plane * scale]);
        let bicubic = Bicubic::new(used * width, axis, axis, level);
        Self { format, blue_first: false, width, height, scale, rows, kept, pushed: 0, bicubic, fine, level }
    }

    /// For pixels whose blue stands before red, or not.
    pub fn with_blue_first(self, blue_first: bool) -> Self {
        Self { blue_first, ..self }
    }

    /// The next frame begins.
    pub fn reset(&mut self) {
        self.pushed = 0;
    }

    /// Pixels of a source row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Keeps a source row.
    pub fn push(&mut self, row: &[u8]) {
        if self.format.channels() > 1 {
            let kept = planes(self.format) * self.width;
            let (channels, luma) = self.rows[self.pushed % self.kept * kept..][..kept].split_at_mut(row.len());
            self.level.split_row(self.format.channels(), row, channels);
            if !luma.is_empty() {
                let channel = |c: usize| &channels[c * self.width..][..self.width];
                let (red, blue) = if self.blue_first { (2, 0) } else { (0, 2) };
                self.level.luma_row([red, 1, blue].map(channel), luma);
            }
        }
        self.pushed += 1;
    }

    /// Luma of the row that was pushed last, which `row` is.
    pub fn luma(&self, row: &[u8], luma: &mut [u8]) {
        let newest = (self.pushed + self.kept - 1) % self.kept;
        let plane = |number| &self.rows[(newest * planes(self.format) + number) * self.width..][..self.width];
        luma.copy_from_slice(match self.format {
            PixelFormat::Gray8 => row,
            PixelFormat::GrayAlpha8 => plane(0),
            PixelFormat::Rgb8 | PixelFormat::Rgba8 => plane(self.format.channels()),
        });
    }

    /// Output row `y` from its upscaled luma; `out` is `scale * width` pixels.
    pub fn row(&mut self, y: usize, luma: &[u8], out: &mut [u8]) {
        let width = self.scale * self.width;
        let luma = &luma[..width];
        match self.format {
            PixelFormat::Gray8 => out.copy_from_slice(luma),
            PixelFormat::GrayAlpha8 => {
                self.filter(y, 1);
                let [_, alpha] = self.fine_rows();
                let (out, _) = out.as_chunks_mut();
                out.iter_mut()
                    .zip(luma.iter().zip(alpha))
                    .for_each(|(out, (v, a))| *out = [*v, round_sample((*a).into())]);
            }
            PixelFormat::Rgb8 => {
                (0..4).for_each(|plane| self.filter(y, plane));
                self.level.shade_row(luma, self.fine_rows(), out);
            }
            PixelFormat::Rgba8 => {
                (0..5).for_each(|plane| self.filter(y, plane));
                self.level.shade_alpha_row(luma, self.fine_rows(), out);
            }
        }
    }

    /// Alpha of output row `y`, to the last byte of each pixel of `out`; for formats that have it.
    pub fn alpha(&mut self, y: usize, out: &mut [u8]) {
        let (channels, samples) = (self.format.channels(), self.scale * self.width);
        self.filter(y, channels - 1);
        let alpha = &self.fine[(channels - 1) * samples..][..samples];
        out.chunks_exact_mut(channels)
            .zip(alpha)
            .for_each(|(pixel, a)| pixel[channels - 1] = round_sample((*a).into()));
    }

    /// Filters output row `y` of a plane.
    fn filter(&mut self, y: usize, plane: usize) {
        let Self { format, width, height, scale, rows, kept, pushed, bicubic, fine, .. } = self;
        let source = |y: isize| {
            let y = y.clamp(0, *height as isize - 1) as usize;
            debug_assert!(y < *pushed && y + *kept >= *pushed, "row {y} of {pushed} is kept");
            &rows[(y % *kept * planes(*format) + plane) * *width..][..*width]
        };
        let samples = *scale * *width;
        bicubic.filter(y, source, &mut fine[plane * samples..][..samples]);
    }

    /// The filtered row of each plane.
    fn fine_rows<const P: usize>(&self) -> [&[i16]; P] {
        let samples = self.scale * self.width;
        std::array::from_fn(|plane| &self.fine[plane * samples..][..samples])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_colour_stays_flat() {
        for scale in 2..=4 {
            let (w, h, pixel) = (5, 4, [200u8, 30, 90, 77]);
            let mut colour = Colour::new(PixelFormat::Rgba8, w, h, scale, h, Level::best());
            let row: Vec<u8> = pixel.iter().copied().cycle().take(4 * w).collect();
            let mut luma = vec![0; w];
            super::super::luma_row(PixelFormat::Rgba8, &row, &mut luma);
            (0..h).for_each(|_| colour.push(&row));
            let mut out = vec![0; 4 * w * scale];
            for y in 0..h * scale {
                colour.row(y, &vec![luma[0]; w * scale], &mut out);
                assert!(out.chunks(4).all(|p| p == pixel), "scale {scale}, row {y}: {out:?}");
            }
        }
    }
}
