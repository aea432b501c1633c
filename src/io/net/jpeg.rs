//! Pictures of a stream as JPEG, made row by row: what is shown is never held twice.

use std::cell::RefCell;
use std::io::{self, Write};

use jpeg_encoder::{Encoder, EncodingError, ImageBuffer, JpegColorType, rgb_to_ycbcr};

use crate::frame::{Conversion, FrameFormat, Layout, Matrix, Plain, Range};

/// Longest side of a JPEG.
pub(super) const MOST_SIDE: usize = 65_535;
/// Rows of the blocks that a picture with half the chroma is coded in.
const BLOCK: usize = 16;

/// Rows that the upper of two pictures takes, so that no block has rows of both.
pub(super) const fn half(height: usize) -> usize {
    height.next_multiple_of(BLOCK)
}

/// Turns rows into what a JPEG is made of: luma and chroma of BT.601 in full range, chroma for every pixel. The encoder takes
/// every other sample of it, which are those of a frame that has no more.
pub(super) struct Colours {
    format: FrameFormat,
    luma: [u8; 256],
    chroma: [u8; 256],
    /// Where luma means something else.
    other: Option<Conversion>,
}

impl Colours {
    pub(super) const BYTES: usize = Conversion::BYTES;

    /// Of frames of `format`, which have 8 bits.
    pub(super) fn new(format: FrameFormat) -> Self {
        let (range, matrix) = (format.range, format.matrix);
        let other = (format.layout.has_chroma() && matrix != Matrix::Bt601).then(|| Conversion::to_rgb(matrix, range));
        Self { format, luma: range.luma_in(Range::Full), chroma: range.chroma_in(Range::Full), other }
    }

    fn push(&self, [first, cb, cr]: [&[u8]; 3], buffers: &mut [Vec<u8>; 4]) {
        let [luma, blue, red, _] = buffers;
        let mut push = |(y, b, r)| {
            luma.push(y);
            blue.push(b);
            red.push(r);
        };
        let across = self.format.layout.subsampling().0;
        let chroma = |x: usize| (cb[x / across], cr[x / across]);
        match (&self.other, self.format.layout) {
            (_, Layout::Rgb) => first.chunks_exact(3).for_each(|p| push(rgb_to_ycbcr(p[0], p[1], p[2]))),
            (_, Layout::Gray) => luma.extend(first.iter().map(|y| self.luma[usize::from(*y)])),
            (Some(conversion), _) => first.iter().enumerate().for_each(|(x, y)| {
                let (cb, cr) = chroma(x);
                let [red, green, blue] = conversion.pixel([*y, cb, cr]);
                push(rgb_to_ycbcr(red, green, blue));
            }),
            (None, _) => first.iter().enumerate().for_each(|(x, y)| {
                let (cb, cr) = chroma(x);
                push((self.luma[usize::from(*y)], self.chroma[usize::from(cb)], self.chroma[usize::from(cr)]));
            }),
        }
    }
}

/// What is to be seen on a picture.
pub(super) struct View<'a> {
    pub(super) colours: &'a Colours,
    pub(super) after: &'a [u8],
    /// The source's frame and what enlarges it, for below.
    pub(super) before: Option<(&'a [u8], RefCell<&'a mut Plain>)>,
}

impl ImageBuffer for View<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        if self.colours.format.layout == Layout::Gray { JpegColorType::Luma } else { JpegColorType::Ycbcr }
    }

    fn width(&self) -> u16 {
        self.colours.format.size.width as u16
    }

    fn height(&self) -> u16 {
        let height = self.colours.format.size.height;
        if self.before.is_some() { (half(height) + height) as u16 } else { height as u16 }
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let (format, y) = (&self.colours.format, usize::from(y));
        let upper = half(format.size.height);
        match &self.before {
            Some((frame, plain)) if y >= upper => {
                self.colours.push(plain.borrow_mut().row(frame, y - upper), buffers);
            }
            _ => {
                let y = y.min(format.size.height - 1);
                let (planes, down) = (format.planes(self.after), format.layout.subsampling().1);
                let bytes = format.first_bytes() / format.size.height;
                let chroma = format.chroma().width;
                let row = |plane: usize, y: usize, bytes: usize| &planes[plane][y * bytes..][..bytes];
                self.colours.push([row(0, y, bytes), row(1, y / down, chroma), row(2, y / down, chroma)], buffers);
            }
        }
    }
}

/// Takes bytes up to a limit.
struct Bounded<'a>(&'a mut Vec<u8>, usize);

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > self.1 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Encodes a view into `out`, whose bytes before are gone; `false` where it would take more than `limit` bytes.
pub(super) fn encode(view: View, quality: u8, limit: usize, out: &mut Vec<u8>) -> Result<bool, EncodingError> {
    out.clear();
    match Encoder::new(Bounded(out, limit), quality).encode_image(view) {
        Ok(()) => Ok(true),
        Err(EncodingError::IoError(error)) if error.kind() == io::ErrorKind::StorageFull => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geom::Size;

    /// Encoded and decoded again; `None` where there is no room.
    fn coded(
        to: FrameFormat,
        after: &[u8],
        before: Option<(FrameFormat, &[u8])>,
        limit: usize,
    ) -> Option<image::RgbImage> {
        let (colours, mut jpeg) = (Colours::new(to), Vec::new());
        let mut plain = before.map(|(from, _)| Plain::new(&from, &to));
        let before = before.zip(plain.as_mut()).map(|((_, frame), plain)| (frame, RefCell::new(plain)));
        let whole = encode(View { colours: &colours, after, before }, 95, limit, &mut jpeg).unwrap();
        whole.then(|| image::load_from_memory(&jpeg).unwrap().to_rgb8())
    }

    fn flat(format: &FrameFormat, samples: [u8; 3]) -> Vec<u8> {
        if format.layout == Layout::Rgb {
            return samples.repeat(format.size.area());
        }
        let mut frame = vec![0; format.bytes()];
        format.planes_mut(&mut frame).into_iter().zip(samples).for_each(|(plane, v)| plane.fill(v));
        frame
    }

    #[test]
    fn before_is_below_after() {
        for layout in [Layout::Rgb, Layout::Gray, Layout::Yuv420, Layout::Yuv422, Layout::Yuv444] {
            for size in [Size::new(20, 12), Size::new(9, 5)] {
                let (from, to) = (FrameFormat::picture(size, layout), FrameFormat::picture(size.scaled(2), layout));
                let (after, before) = (flat(&to, [200; 3]), flat(&from, [60; 3]));
                let pair = coded(to, &after, Some((from, &before)), 1 << 20).unwrap();
                let (width, height) = (to.size.width as u32, to.size.height);
                assert_eq!(pair.dimensions(), (width, (half(height) + height) as u32));
                let at = |y: usize| pair.get_pixel(width / 2, y as u32).0;
                assert!(at(0) == at(height - 1) && at(0) == at(half(height) - 1), "{layout:?}");
                assert!(at(half(height)) == at(half(height) + height - 1) && at(0) != at(half(height)), "{layout:?}");
                assert_eq!(coded(to, &after, None, 1 << 20).unwrap().dimensions(), (width, height as u32));
                assert!(coded(to, &after, None, 100).is_none(), "no room");
            }
        }
    }

    #[test]
    fn colours_are_those_of_the_frame() {
        let size = Size::new(18, 10);
        for (matrix, range) in
            [Matrix::Bt601, Matrix::Bt709].into_iter().flat_map(|m| [(m, Range::Limited), (m, Range::Full)])
        {
            for layout in [Layout::Gray, Layout::Yuv420, Layout::Yuv422, Layout::Yuv444, Layout::Rgb] {
                for colour in [[200, 60, 30], [20, 90, 220], [240, 240, 240]] {
                    let format = FrameFormat { matrix, range, ..FrameFormat::picture(size, layout) };
                    let (samples, expected) = match layout {
                        Layout::Rgb => (colour, colour),
                        Layout::Gray => {
                            ([colour[0]; 3], Conversion::to_rgb(matrix, range).pixel([colour[0], 128, 128]))
                        }
                        _ => {
                            let samples = Conversion::from_rgb(matrix, range).pixel(colour);
                            (samples, Conversion::to_rgb(matrix, range).pixel(samples))
                        }
                    };
                    let picture = coded(format, &flat(&format, samples), None, 1 << 20).unwrap();
                    let found = picture.get_pixel(7, 5).0;
                    let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 6);
                    assert!(near, "{matrix:?} {range:?} {layout:?}: {found:?}, not {expected:?}");
                }
            }
        }
    }
}
