//! Chroma of YUV frames, enlarged by the bicubic filter beside luma, which the network enlarges.

use super::{Axis, FrameFormat, Layout, Plane, PlaneFilter, PlaneMut};
use crate::geom::Size;
use crate::kernels::Level;

/// Enlarges the chroma planes of a frame; allocates when made, and never again.
#[derive(Debug)]
pub struct Chroma {
    planes: usize,
    channels: usize,
    from: Size,
    to: Size,
    filter: PlaneFilter,
}

/// How chroma of `from` is enlarged for `to`, across and down.
fn axes(from: &FrameFormat, to: &FrameFormat) -> (Axis, Axis) {
    from.chroma_axes(to.layout, to.size.width / from.size.width)
}

impl Chroma {
    /// Bytes that [`Chroma::new`] allocates.
    pub fn bytes((_, channels): (usize, usize), from: &FrameFormat, to: &FrameFormat) -> usize {
        let (across, down) = axes(from, to);
        PlaneFilter::bytes(channels, from.chroma(), across, down)
    }

    /// For so many planes of so many channels of frames of `from`, which have chroma; `to` is laid out the same, or RGB: then
    /// there is chroma for every pixel.
    pub fn new((planes, channels): (usize, usize), from: &FrameFormat, to: &FrameFormat, level: Level) -> Self {
        let (across, down) = axes(from, to);
        let (from, to) = (from.chroma(), if to.layout == Layout::Rgb { to.size } else { to.chroma() });
        Self { planes, channels, from, to, filter: PlaneFilter::new(channels, from, to, across, down, level) }
    }

    /// Planes of chroma.
    pub fn planes(&self) -> usize {
        self.planes
    }

    /// Bytes of a row of an input plane, and its rows.
    pub fn input_shape(&self) -> (usize, usize) {
        (self.from.width * self.channels, self.from.height)
    }

    /// Bytes of a row of an output plane, and its rows.
    pub fn output_shape(&self) -> (usize, usize) {
        (self.to.width * self.channels, self.to.height)
    }

    /// Row `y` of an output plane, made of an input plane.
    pub fn row(&mut self, input: Plane<'_>, y: usize, out: &mut [u8]) {
        let (bytes, _) = self.input_shape();
        self.filter.row_from(|y| input.row(y, bytes), y, out);
    }

    /// Enlarges those rows of all planes, which have the shapes above, for which `made` says so.
    pub fn upscale(&mut self, input: &[Plane<'_>], output: &mut [PlaneMut<'_>], made: impl Fn(usize) -> bool) {
        let (bytes, rows) = self.output_shape();
        for (input, output) in input.iter().zip(output) {
            for y in (0..rows).filter(|y| made(*y)) {
                self.row(*input, y, output.row(y, bytes));
            }
        }
    }
}
