//! A frame enlarged by the bicubic filter alone: what a picture is like without a network.

use super::{Axis, Chroma, FrameFormat, Layout, Plane, PlaneFilter};
use crate::kernels::Level;

/// Planes of chroma, and channels of each.
const PLANES: (usize, usize) = (2, 1);

/// Enlarges frames row by row, planes as they are; allocates when made, and never again.
#[derive(Debug)]
pub struct Plain {
    from: FrameFormat,
    down: usize,
    first: PlaneFilter,
    chroma: Option<Chroma>,
    /// An enlarged row of each plane.
    rows: [Vec<u8>; 3],
}

fn channels(from: &FrameFormat) -> usize {
    if from.layout == Layout::Rgb { 3 } else { 1 }
}

impl Plain {
    /// Bytes that [`Plain::new`] allocates.
    pub fn bytes(from: &FrameFormat, to: &FrameFormat) -> usize {
        let axis = Axis::centred(to.size.width / from.size.width);
        let first = PlaneFilter::bytes(channels(from), from.size, axis, axis) + channels(from) * to.size.width;
        first + if from.layout.has_chroma() { Chroma::bytes(PLANES, from, to) + 2 * to.chroma().width } else { 0 }
    }

    /// From frames of `from`, which have 8 bits, to those of `to`: the same, but a whole number of times as large.
    pub fn new(from: &FrameFormat, to: &FrameFormat) -> Self {
        let (axis, level) = (Axis::centred(to.size.width / from.size.width), Level::best());
        let widths = [channels(from) * to.size.width, to.chroma().width, to.chroma().width];
        Self {
            from: *from,
            down: to.layout.subsampling().1,
            first: PlaneFilter::new(channels(from), from.size, to.size, axis, axis, level),
            chroma: from.layout.has_chroma().then(|| Chroma::new(PLANES, from, to, level)),
            rows: widths.map(|width| vec![0; width]),
        }
    }

    /// Row `y` of `frame` enlarged, and the chroma that goes with it. Rows are asked for from the first one on.
    pub fn row(&mut self, frame: &[u8], y: usize) -> [&[u8]; 3] {
        let [first, cb, cr] = self.from.planes(frame);
        self.first.row(first, y, &mut self.rows[0]);
        if let Some(chroma) = self.chroma.as_mut().filter(|_| y.is_multiple_of(self.down)) {
            for (plane, row) in [cb, cr].into_iter().zip(&mut self.rows[1..]) {
                chroma.row(Plane::new(plane, self.from.chroma().width), y / self.down, row);
            }
        }
        self.rows.each_ref().map(Vec::as_slice)
    }
}
