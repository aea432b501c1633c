//! `test://bars`: moving colour bars with a frame counter that a program can read back.
//!
//! The counter is a strip of squares at the upper left: white, black, then the 16 bits of the frame's number, the
//! highest first, then the sum of its four nibbles as 4 bits. White stands for 1.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Arrival, Clip, FrameSource};
use crate::frame::{Conversion, FrameFormat, Layout};
use crate::geom::Size;
use crate::io::error::ReadError;

/// Squares of the counter.
const CELLS: usize = 22;
/// Smallest picture that the counter fits in: squares of two pixels.
pub(in crate::io) const SMALLEST: Size = Size::new(2 * CELLS, 4);
/// Colour of each bar.
const BARS: [[u8; 3]; 8] =
    [[255, 255, 255], [255, 255, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [255, 0, 0], [0, 0, 255], [32, 32, 32]];
/// Pixels that the bars move with each frame.
const STEP: usize = 2;

/// Side of a square of the counter, in pixels.
fn cell(size: Size) -> usize {
    (size.width / CELLS).min(size.height / 2)
}

fn bits(number: u16) -> u32 {
    let sum = (0..4).map(|nibble| (number >> (4 * nibble)) & 15).sum::<u16>() & 15;
    (0b10 << 20) | (u32::from(number) << 4) | u32::from(sum)
}

/// The number on a picture of [`TestSource`] that was `size` pixels and has been upscaled `scale` times; `None`
/// where there is no readable counter. `luma` is the upscaled picture's.
pub fn read_counter(luma: &[u8], size: Size, scale: usize) -> Option<u16> {
    let (side, width) = (scale * cell(size), scale * size.width);
    let mean = |index: usize| {
        // The middle half: borders between squares are no sharper than the upscaler makes them.
        let middle = side / 4..side - side / 4;
        let rows = middle.clone().map(|y| luma.get(y * width + index * side..)?.get(middle.clone()));
        let sum = rows.map(|row| Some(row?.iter().map(|v| u32::from(*v)).sum::<u32>())).sum::<Option<u32>>()?;
        Some(sum / (middle.len() * middle.len()) as u32)
    };
    let (white, black) = (mean(0)?, mean(1)?);
    if white < black + 64 {
        return None;
    }
    let read = (0..CELLS).try_fold(0, |read, i| Some(read << 1 | u32::from(mean(i)? > (white + black) / 2)))?;
    let number = (read >> 4) as u16;
    (bits(number) == read).then_some(number)
}

/// Draws frames, at a pace or as fast as they are taken.
#[derive(Debug)]
pub struct TestSource {
    clip: Clip,
    period: Duration,
    due: Option<Instant>,
    frames: u64,
    drawn: u64,
    colours: [[u8; 3]; 8],
}

impl TestSource {
    /// `clip.rate.frames` of 0 is no pace; `frames` are given, if there is a number.
    pub(in crate::io) fn new(clip: Clip, frames: Option<u64>) -> Self {
        let format = clip.format;
        let conversion = Conversion::from_rgb(format.matrix, format.range);
        let rgb = format.layout == Layout::Rgb;
        let colours = BARS.map(|colour| if rgb { colour } else { conversion.pixel(colour) });
        let pace = clip.rate.frames.max(1);
        let period = Duration::from_secs(clip.rate.seconds.into()) / pace;
        Self { clip, period, due: None, frames: frames.unwrap_or(u64::MAX), drawn: 0, colours }
    }

    /// Waits for the next frame's time. Like a camera it makes up for no frame that nobody took.
    fn wait(&mut self) {
        let now = Instant::now();
        let due = self.due.unwrap_or(now);
        if due > now {
            sleep(due - now);
        }
        self.due = Some(due.max(now.checked_sub(self.period).unwrap_or(now)) + self.period);
    }

    fn draw(&self, frame: &mut [u8]) {
        let FrameFormat { size, layout, .. } = self.clip.format;
        let shift = self.drawn as usize * STEP;
        let bar = |x: usize| &self.colours[(x + shift) * 8 / size.width % 8];
        let [first, cb, cr] = self.clip.format.planes_mut(frame);
        let channels = if layout == Layout::Rgb { 3 } else { 1 };
        let grain = self.clip.format.range.to_full()[36];
        for (y, row) in first.chunks_exact_mut(size.width * channels).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
                // Slanted lines give the network something to see.
                let dark = if (x + y + shift / 2).is_multiple_of(11) { grain } else { 0 };
                pixel.iter_mut().zip(bar(x)).for_each(|(p, v)| *p = v.saturating_sub(dark).max(16));
            }
        }
        let chroma = self.clip.format.chroma().width.max(1);
        let across = layout.subsampling().0;
        for (plane, channel) in [(cb, 1), (cr, 2)] {
            for row in plane.chunks_exact_mut(chroma) {
                row.iter_mut().enumerate().for_each(|(x, v)| *v = bar(across * x)[channel]);
            }
        }
        self.draw_counter(first, channels);
    }

    fn draw_counter(&self, first: &mut [u8], channels: usize) {
        let FrameFormat { size, .. } = self.clip.format;
        let (side, bits) = (cell(size), bits(self.drawn as u16));
        for row in first.chunks_exact_mut(size.width * channels).take(side) {
            for (i, square) in row.chunks_exact_mut(side * channels).take(CELLS).enumerate() {
                square.fill(if bits >> (CELLS - 1 - i) & 1 == 1 { 235 } else { 16 });
            }
        }
    }
}

impl FrameSource for TestSource {
    fn clip(&self) -> &Clip {
        &self.clip
    }

    fn read(&mut self, frame: &mut [u8]) -> Result<Arrival, ReadError> {
        if self.drawn == self.frames {
            return Ok(Arrival::End);
        }
        if self.clip.live {
            self.wait();
        }
        self.draw(frame);
        self.drawn += 1;
        Ok(Arrival::Frame(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Rate;

    #[test]
    fn the_counter_can_be_read() {
        for (size, layout) in [(SMALLEST, Layout::Gray), (Size::new(161, 90), Layout::Yuv420)] {
            let format = FrameFormat::picture(size, layout);
            let clip = Clip { format, rate: Rate::USUAL, aspect: (1, 1), live: false };
            let mut source = TestSource::new(clip, Some(70_000));
            let mut frame = vec![0; format.bytes()];
            for number in [0, 1, 2, 65_535, 65_537] {
                source.drawn = number;
                assert!(source.read(&mut frame).unwrap().is_frame());
                assert_eq!(read_counter(&frame, size, 1), Some(number as u16));
            }
            source.drawn = 70_000;
            assert_eq!(source.read(&mut frame).unwrap(), Arrival::End);
        }
        assert_eq!(read_counter(&[0; 400], Size::new(100, 4), 1), None);
        assert_eq!(read_counter(&[], SMALLEST, 2), None);
    }
}
