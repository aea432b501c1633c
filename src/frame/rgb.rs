//! YUV frames to RGB, row by row: luma as the network has made it, and chroma enlarged for every pixel.

use std::ops::Range as Columns;

use super::{Chroma, Conversion, Matrix, Plane, Range};

/// Makes rows of RGB; allocates when made, and never again.
#[derive(Debug)]
pub struct ToRgb {
    conversion: Conversion,
    blue_first: bool,
    /// Channels of a plane of chroma.
    channels: usize,
    /// The enlarged row of each plane of chroma, one after the other.
    chroma: Vec<u8>,
    width: usize,
}

impl ToRgb {
    /// Bytes that [`ToRgb::new`] allocates.
    pub const fn bytes(width: usize) -> usize {
        Conversion::BYTES + 2 * width
    }

    /// For rows of `width` pixels, whose chroma has planes of so many channels.
    pub fn new(matrix: Matrix, range: Range, blue_first: bool, channels: usize, width: usize) -> Self {
        Self { conversion: Conversion::to_rgb(matrix, range), blue_first, channels, chroma: vec![0; 2 * width], width }
    }

    /// Enlarges the chroma of row `y`, which the next rows that are written share.
    pub fn begin(&mut self, y: usize, chroma: &mut Chroma, planes: &[Plane<'_>]) {
        let rows = self.chroma.chunks_exact_mut(self.width * self.channels);
        planes.iter().zip(rows).for_each(|(plane, row)| chroma.row(*plane, y, row));
    }

    /// Writes these columns of a row of luma as RGB.
    pub fn write(&self, luma: &[u8], columns: Columns<usize>, out: &mut [u8]) {
        // Cb and Cr lie in a plane each, or take turns in one.
        let cr = if self.channels == 1 { self.width } else { 1 };
        let (pixels, _) = out[3 * columns.start..3 * columns.end].as_chunks_mut();
        for (x, pixel) in columns.zip(pixels) {
            let cb = x * self.channels;
            *pixel = self.conversion.pixel([luma[x], self.chroma[cb], self.chroma[cb + cr]]);
            if self.blue_first {
                pixel.swap(0, 2);
            }
        }
    }
}
