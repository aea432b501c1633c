//! A picture's rows enlarged by the bicubic filter as they come, for networks that are given an enlarged picture.

use super::plane::{Axis, Bicubic};
use crate::geom::Size;
use crate::kernels::{Level, round_sample};

/// Source rows that an output row is made of.
const TAPS: usize = 4;

/// Takes rows, gives enlarged rows.
#[derive(Debug)]
pub struct Enlarger {
    channels: usize,
    size: Size,
    scale: usize,
    /// Ring of source rows, channel by channel.
    rows: Vec<u8>,
    pushed: usize,
    made: usize,
    bicubic: Bicubic,
    /// An output row of one channel, in 1/64.
    fine: Vec<i16>,
}

impl Enlarger {
    /// Bytes that [`Enlarger::new`] allocates.
    pub fn bytes(channels: usize, size: Size, scale: usize) -> usize {
        let axis = Axis::centred(scale);
        let fine = size_of::<i16>() * scale * size.width;
        TAPS * channels * size.width + fine + Bicubic::bytes(size.width, axis, axis)
    }

    /// For pictures of `size`, `channels` bytes a pixel.
    pub fn new(channels: usize, size: Size, scale: usize, level: Level) -> Self {
        let axis = Axis::centred(scale);
        Self {
            channels,
            size,
            scale,
            rows: vec![0; TAPS * channels * size.width],
            pushed: 0,
            made: 0,
            bicubic: Bicubic::new(size.width, axis, axis, level),
            fine: vec![0; scale * size.width],
        }
    }

    /// The next picture begins.
    pub fn reset(&mut self) {
        (self.pushed, self.made) = (0, 0);
    }

    /// Takes a row; [`Enlarger::next`] comes after each until it gives none.
    pub fn push(&mut self, row: &[u8]) {
        let Self { channels, size: Size { width, .. }, .. } = *self;
        let kept = &mut self.rows[self.pushed % TAPS * channels * width..][..channels * width];
        for (x, pixel) in row.chunks_exact(channels).enumerate() {
            pixel.iter().enumerate().for_each(|(channel, v)| kept[channel * width + x] = *v);
        }
        self.pushed += 1;
    }

    /// Writes the next enlarged row, if the rows that it is made of are there.
    pub fn next(&mut self, out: &mut [u8]) -> bool {
        let Self { channels, size: Size { width, height }, scale, rows, pushed, made, bicubic, fine } = self;
        let last = (bicubic.top(*made) + TAPS as isize - 1).clamp(0, *height as isize - 1) as usize;
        if *made == *scale * *height || last >= *pushed {
            return false;
        }
        for channel in 0..*channels {
            let source = |y: isize| {
                let y = y.clamp(0, *height as isize - 1) as usize;
                &rows[(y % TAPS * *channels + channel) * *width..][..*width]
            };
            bicubic.filter(*made, source, fine);
            let samples = out[channel..].iter_mut().step_by(*channels).zip(fine.iter());
            samples.for_each(|(out, v)| *out = round_sample((*v).into()));
        }
        *made += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_come_once_and_flat_stays_flat() {
        for (height, scale) in [(1, 3), (2, 2), (9, 4)] {
            let size = Size::new(5, height);
            let mut enlarger = Enlarger::new(3, size, scale, Level::best());
            let (mut rows, mut out) = (0, vec![0; 3 * 5 * scale]);
            for _ in 0..height {
                enlarger.push(&[7, 80, 255].repeat(5));
                while enlarger.next(&mut out) {
                    assert_eq!(out, [7, 80, 255].repeat(5 * scale));
                    rows += 1;
                }
            }
            assert_eq!(rows, scale * height);
        }
    }
}
