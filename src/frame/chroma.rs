//! Chroma of YUV frames, enlarged by the bicubic filter beside luma, which the network enlarges.

use super::yuv::PACKED;
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
    /// A row of luma, where it takes turns with chroma.
    pub luma: Vec<u8>,
}

/// How chroma of `from` is enlarged for `to`, across and down.
fn axes(from: &FrameFormat, to: &FrameFormat) -> (Axis, Axis) {
    from.chroma_axes(to.layout, to.size.width / from.size.width)
}

/// Samples of a row of luma that is to be taken apart.
fn apart(planes: (usize, usize), from: &FrameFormat) -> usize {
    if planes == PACKED { from.size.width } else { 0 }
}

impl Chroma {
    /// Bytes that [`Chroma::new`] allocates.
    pub fn bytes(planes: (usize, usize), from: &FrameFormat, to: &FrameFormat) -> usize {
        let (across, down) = axes(from, to);
        PlaneFilter::bytes(planes.1, from.chroma(), across, down) + apart(planes, from)
    }

    /// For so many planes of so many channels of frames of `from`, which have chroma; `to` is laid out the same, or RGB: then
    /// there is chroma for every pixel. Of four channels luma has every second.
    pub fn new(planes: (usize, usize), from: &FrameFormat, to: &FrameFormat, level: Level) -> Self {
        let (across, down) = axes(from, to);
        let luma = vec![0; apart(planes, from)];
        let (from, to) = (from.chroma(), if to.layout == Layout::Rgb { to.size } else { to.chroma() });
        let filter = PlaneFilter::new(planes.1, from, to, across, down, level);
        let filter = if planes == PACKED { filter.every_second() } else { filter };
        Self { planes: planes.0, channels: planes.1, from, to, filter, luma }
    }

    /// Planes that hold chroma.
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
