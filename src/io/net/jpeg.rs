//! Pictures of a stream as JPEG, made row by row: what is shown is never held twice.

use std::cell::RefCell;
use std::io::{self, Write};

use jpeg_encoder::{Encoder, EncodingError, ImageBuffer, JpegColorType, rgb_to_ycbcr};

use crate::frame::{FrameFormat, Layout, Plain};

/// Longest side of a JPEG.
pub(super) const MOST_SIDE: usize = 65_535;
/// Rows of the blocks that a picture with half the chroma is coded in.
const BLOCK: usize = 16;

/// Rows that the upper of two pictures takes, so that no block has rows of both.
pub(super) const fn half(height: usize) -> usize {
    height.next_multiple_of(BLOCK)
}

/// What is to be seen on a picture.
pub(super) struct View<'a> {
    pub(super) format: FrameFormat,
    pub(super) after: &'a [u8],
    /// The source's frame and what enlarges it, for below.
    pub(super) before: Option<(&'a [u8], RefCell<&'a mut Plain>)>,
    /// Room for a row.
    pub(super) row: RefCell<&'a mut Vec<u8>>,
}

impl View<'_> {
    fn row_bytes(&self) -> usize {
        self.format.first_bytes() / self.format.size.height
    }
}

impl ImageBuffer for View<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        if self.format.layout == Layout::Rgb { JpegColorType::Ycbcr } else { JpegColorType::Luma }
    }

    fn width(&self) -> u16 {
        self.format.size.width as u16
    }

    fn height(&self) -> u16 {
        let height = self.format.size.height;
        if self.before.is_some() { (half(height) + height) as u16 } else { height as u16 }
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let (y, height, bytes) = (usize::from(y), self.format.size.height, self.row_bytes());
        let mut made = self.row.borrow_mut();
        let row = match &self.before {
            Some((frame, plain)) if y >= half(height) => {
                made.resize(bytes, 0);
                plain.borrow_mut().row(frame, y - half(height), &mut made);
                &made[..]
            }
            _ => &self.after[y.min(height - 1) * bytes..][..bytes],
        };
        if self.format.layout != Layout::Rgb {
            buffers[0].extend_from_slice(row);
            return;
        }
        let [luma, cb, cr, _] = buffers;
        for pixel in row.chunks_exact(3) {
            let (y, b, r) = rgb_to_ycbcr(pixel[0], pixel[1], pixel[2]);
            luma.push(y);
            cb.push(b);
            cr.push(r);
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

    #[test]
    fn before_is_below_after() {
        for (layout, size) in [(Layout::Rgb, Size::new(40, 24)), (Layout::Gray, Size::new(18, 10))] {
            let format = FrameFormat::picture(size.scaled(2), layout);
            let from = FrameFormat::picture(size, layout);
            let (after, before) = (vec![200; format.bytes()], vec![60; from.bytes()]);
            let (mut plain, mut row, mut jpeg) = (Plain::new(&from, &format), Vec::new(), Vec::new());
            let mut encoded = |with: bool, limit: usize| {
                let before = with.then(|| (&before[..], RefCell::new(&mut plain)));
                let view = View { format, after: &after, before, row: RefCell::new(&mut row) };
                encode(view, 90, limit, &mut jpeg).unwrap().then(|| image::load_from_memory(&jpeg).unwrap().to_luma8())
            };
            let pair = encoded(true, 1 << 20).unwrap();
            let (width, height) = (format.size.width as u32, format.size.height);
            assert_eq!(pair.dimensions(), (width, (half(height) + height) as u32));
            let at = |y: usize| pair.get_pixel(width / 2, y as u32).0[0];
            assert!(at(0).abs_diff(200) < 4 && at(height - 1).abs_diff(200) < 4);
            assert!(at(half(height)).abs_diff(60) < 4 && at(half(height) + height - 1).abs_diff(60) < 4);
            assert_eq!(encoded(false, 1 << 20).unwrap().dimensions(), (width, height as u32));
            assert!(encoded(false, 100).is_none(), "no room");
        }
    }
}
