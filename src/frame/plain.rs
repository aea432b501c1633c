//! A frame enlarged by the bicubic filter alone: what a picture is like without a network.

use super::{Axis, Chroma, Conversion, FrameFormat, Layout, Plane, PlaneFilter, Range};
use crate::kernels::Level;

/// Planes of chroma, and channels of each.
const PLANES: (usize, usize) = (2, 1);

/// Enlarges frames, row by row, to full-range grey or RGB; allocates when made, and never again.
#[derive(Debug)]
pub struct Plain {
    from: FrameFormat,
    first: PlaneFilter,
    chroma: Option<(Chroma, Conversion)>,
    /// Luma in full range, where nothing else converts it.
    range: [u8; 256],
    /// An enlarged row of luma, of Cb and of Cr.
    rows: [Vec<u8>; 3],
}

fn channels(from: &FrameFormat) -> usize {
    if from.layout == Layout::Rgb { 3 } else { 1 }
}

impl Plain {
    /// Bytes that [`Plain::new`] allocates.
    pub fn bytes(from: &FrameFormat, to: &FrameFormat) -> usize {
        let axis = Axis::centred(to.size.width / from.size.width);
        let first = PlaneFilter::bytes(channels(from), from.size, axis, axis);
        let chroma = Chroma::bytes(PLANES, from, to) + Conversion::BYTES + 3 * to.size.width;
        first + if from.layout.has_chroma() { chroma } else { 0 }
    }

    /// From frames of `from`, which have 8 bits, to frames of `to`: a whole number of times as large; grey, or of colours RGB.
    pub fn new(from: &FrameFormat, to: &FrameFormat) -> Self {
        let (axis, level) = (Axis::centred(to.size.width / from.size.width), Level::best());
        let colour = from.layout.has_chroma();
        let made = || (Chroma::new(PLANES, from, to, level), Conversion::to_rgb(from.matrix, from.range));
        let given = if from.layout == Layout::Rgb { Range::Full } else { from.range };
        Self {
            from: *from,
            first: PlaneFilter::new(channels(from), from.size, to.size, axis, axis, level),
            chroma: colour.then(made),
            range: given.to_full(),
            rows: [(); 3].map(|()| vec![0; if colour { to.size.width } else { 0 }]),
        }
    }

    /// Row `y` of `frame` enlarged.
    pub fn row(&mut self, frame: &[u8], y: usize, out: &mut [u8]) {
        let [first, cb, cr] = self.from.planes(frame);
        let Some((chroma, conversion)) = &mut self.chroma else {
            self.first.row(first, y, out);
            out.iter_mut().for_each(|v| *v = self.range[usize::from(*v)]);
            return;
        };
        let [luma, blue, red] = &mut self.rows;
        self.first.row(first, y, luma);
        for (plane, row) in [(cb, &mut *blue), (cr, &mut *red)] {
            chroma.row(Plane::new(plane, self.from.chroma().width), y, row);
        }
        for (((pixel, luma), cb), cr) in out.chunks_exact_mut(3).zip(&*luma).zip(&*blue).zip(&*red) {
            pixel.copy_from_slice(&conversion.pixel([*luma, *cb, *cr]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Matrix;
    use crate::geom::Size;

    #[test]
    fn flat_colours_stay() {
        let (from, to) = (Size::new(6, 5), Size::new(12, 10));
        let limited = FrameFormat { range: Range::Limited, ..FrameFormat::picture(from, Layout::Yuv420) };
        let cases = [
            (limited, vec![235, 128, 128], vec![255, 255, 255]),
            (FrameFormat { matrix: Matrix::Bt709, ..limited }, vec![16, 128, 128], vec![0, 0, 0]),
            (FrameFormat { layout: Layout::Gray, ..limited }, vec![235], vec![255]),
            (FrameFormat::picture(from, Layout::Rgb), vec![9, 80, 200], vec![9, 80, 200]),
        ];
        for (from, given, expected) in cases {
            let frame = match from.layout {
                Layout::Rgb => given.repeat(from.size.area()),
                _ => {
                    let planes = [from.size.area(), from.chroma().area(), from.chroma().area()];
                    given.iter().zip(planes).flat_map(|(v, area)| vec![*v; area]).collect()
                }
            };
            let layout = if from.layout == Layout::Gray { Layout::Gray } else { Layout::Rgb };
            let to = FrameFormat::picture(to, layout);
            let mut plain = Plain::new(&from, &to);
            let mut row = vec![0; to.first_bytes() / to.size.height];
            for y in 0..to.size.height {
                plain.row(&frame, y, &mut row);
                assert_eq!(row, expected.repeat(to.size.width), "{from:?}, row {y}");
            }
        }
    }
}
