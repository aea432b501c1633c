//! Chroma of YUV frames, upscaled beside luma by the bicubic filter.

use crate::frame::{FrameFormat, Plane, PlaneFilter, PlaneMut, Siting, YuvFormat};
use crate::geom::Size;
use crate::kernels::Level;

/// Upscales the chroma planes of a frame; allocates when made, and never again.
#[derive(Debug)]
pub struct Chroma {
    planes: usize,
    channels: usize,
    from: Size,
    to: Size,
    filter: PlaneFilter,
}

fn formats(format: YuvFormat, siting: Siting, size: Size, scale: usize) -> [FrameFormat; 2] {
    [1, scale].map(|times| FrameFormat { siting, ..FrameFormat::picture(size.scaled(times), format.layout()) })
}

impl Chroma {
    /// Bytes that [`Chroma::new`] allocates.
    pub fn bytes(format: YuvFormat, siting: Siting, size: Size, scale: usize) -> usize {
        let [from, to] = formats(format, siting, size, scale);
        let (across, down) = from.chroma_axes(to.layout, scale);
        PlaneFilter::bytes(format.chroma_planes().1, from.chroma(), across, down)
    }

    /// For frames of `size`.
    pub fn new(format: YuvFormat, siting: Siting, size: Size, scale: usize, level: Level) -> Self {
        let [from, to] = formats(format, siting, size, scale);
        let (across, down) = from.chroma_axes(to.layout, scale);
        let (planes, channels) = format.chroma_planes();
        let (from, to) = (from.chroma(), to.chroma());
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

    /// Upscales those rows of all planes, which have the shapes above, for which `made` says so.
    pub fn upscale(&mut self, input: &[Plane<'_>], output: &mut [PlaneMut<'_>], made: impl Fn(usize) -> bool) {
        let ((from, _), (to, rows)) = (self.input_shape(), self.output_shape());
        for (input, output) in input.iter().zip(output) {
            for y in (0..rows).filter(|y| made(*y)) {
                self.filter.row_from(|y| input.row(y, from), y, output.row(y, to));
            }
        }
    }
}
