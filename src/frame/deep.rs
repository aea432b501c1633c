//! More bits a sample than the 8 that the network sees: the source is enlarged with all of them by the bicubic filter, and what the network
//! has made of the picture in 8 bits beyond that filter is added.
//!
//! The network sees and gives 8 bits: up to a level of the difference is what it makes of the steps that rounding leaves in
//! a smooth ramp, and its own rounding. Were that added, the ramp would get the steps of 8 bits. So differences of up to a level
//! are nothing, those from two on count in full, and between the two it rises evenly.

use std::collections::VecDeque;

use super::plane::{Axis, Phase};
use super::window::Window;
use crate::geom::Size;
use crate::kernels::WEIGHT_BITS;

/// Fraction bits of what the filter gives.
const FINE: u32 = 2 * WEIGHT_BITS;

/// The arithmetic: one output row of four source rows and, where there is one, a row of the engine.
#[derive(Debug)]
pub struct DeepFilter {
    channels: usize,
    size: Size,
    across: Vec<Phase>,
    down: Vec<Phase>,
    /// A level of 8 bits in those of the source.
    level: i64,
    /// The largest sample.
    most: i64,
    middle: Vec<[i64; 2]>,
}

impl DeepFilter {
    /// Bytes that [`DeepFilter::new`] allocates.
    pub fn bytes(channels: usize, size: Size, across: Axis, down: Axis) -> usize {
        channels * size.width * size_of::<[i64; 2]>() + (across.factor + down.factor) * size_of::<Phase>()
    }

    /// For planes of `size`, with samples of `bits`.
    pub fn new(channels: usize, size: Size, across: Axis, down: Axis, bits: u32) -> Self {
        // White is all ones with 16 bits, and 8 bits shifted with 10, as video has it.
        let level = if bits == 16 { 257 } else { 1 << (bits - 8) };
        let (across, down) = (Phase::all(across), Phase::all(down));
        Self { channels, size, across, down, level, most: (1 << bits) - 1, middle: vec![[0; 2]; channels * size.width] }
    }

    /// Output row `y`. `source` gives source rows in full depth and as the engine saw them, `made` is the engine's row; without
    /// it what the engine saw does not matter.
    pub fn row<'a>(
        &mut self,
        y: usize,
        source: impl Fn(usize) -> (&'a [u16], &'a [u8]),
        made: Option<&[u8]>,
        out: &mut [u16],
    ) {
        let Phase { first, weights } = self.down[y % self.down.len()];
        let top = (y / self.down.len()) as isize + first;
        let near = [0, 1, 2, 3].map(|k| source((top + k).clamp(0, self.size.height as isize - 1) as usize));
        self.make(near, weights, made, out);
    }

    /// The row that lies between the rows of `near`, which count by `weights`.
    fn make(&mut self, near: [(&[u16], &[u8]); 4], weights: [i16; 4], made: Option<&[u8]>, out: &mut [u16]) {
        let Self { channels, size, across, level, most, middle, .. } = self;
        for (x, sums) in middle.iter_mut().enumerate() {
            *sums = [0; 2];
            for ((deep, seen), weight) in near.iter().zip(weights) {
                sums[0] += i64::from(weight) * i64::from(deep[x]);
                if made.is_some() {
                    sums[1] += i64::from(weight) * i64::from(seen[x]);
                }
            }
        }
        let last = size.width as isize - 1;
        for (x, pixel) in out.chunks_exact_mut(*channels).enumerate() {
            let Phase { first, weights } = across[x % across.len()];
            let near = [0, 1, 2, 3].map(|k| ((x / across.len()) as isize + first + k).clamp(0, last) as usize);
            for (channel, sample) in pixel.iter_mut().enumerate() {
                let [mut deep, mut seen] = [0; 2];
                for (x, weight) in near.iter().zip(weights) {
                    let sums = middle[x * *channels + channel];
                    deep += i64::from(weight) * sums[0];
                    seen += i64::from(weight) * sums[1];
                }
                let added =
                    made.map_or(0, |row| beyond_rounding((i64::from(row[x * *channels + channel]) << FINE) - seen));
                *sample = ((deep + *level * added + (1 << (FINE - 1))) >> FINE).clamp(0, *most) as u16;
            }
        }
    }
}

/// Joins source rows of 16 bits and the engine's rows of 8, as both come.
#[derive(Debug)]
pub struct Deep {
    filter: DeepFilter,
    /// Source rows, each in 16 bits and as the engine saw it.
    window: Window<(Vec<u16>, Vec<u8>)>,
    /// Rows of the engine that wait for source rows.
    waiting: VecDeque<Vec<u8>>,
    out: Vec<u16>,
}

impl Deep {
    /// For pictures of `channels` samples a pixel.
    pub fn new(channels: usize, width: usize, height: usize, scale: usize) -> Self {
        let axis = Axis::centred(scale);
        let filter = DeepFilter::new(channels, Size::new(width, height), axis, axis, 16);
        let (window, waiting) = (Window::new(height, scale), VecDeque::new());
        Self { filter, window, waiting, out: vec![0; channels * width * scale] }
    }

    /// The next source row, before the engine gets it.
    pub fn push(&mut self, deep: &[u16], seen: &[u8]) {
        self.window.push((deep.to_vec(), seen.to_vec()));
    }

    /// The next row of the engine; `emit` gets the output rows that can be made.
    pub fn row<E>(&mut self, row: &[u8], mut emit: impl FnMut(&[u16]) -> Result<(), E>) -> Result<(), E> {
        self.waiting.push_back(row.to_vec());
        let Self { filter, window, waiting, out } = self;
        while let Some((near, weights)) = window.near() {
            let Some(row) = waiting.pop_front() else { break };
            filter.make(near.map(|(deep, seen)| (&deep[..], &seen[..])), weights, Some(&row), out);
            window.advance();
            emit(out)?;
        }
        Ok(())
    }
}

/// Of a difference to a result that was rounded on the way in and out, what is none of rounding.
fn beyond_rounding(difference: i64) -> i64 {
    let (level, size) = (1 << FINE, difference.abs());
    difference.signum() * size.min(2 * (size - level).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that does what the filter does, rounded.
    fn through(rows: &[Vec<u16>], width: usize, scale: usize, delta: i32) -> Vec<u16> {
        let mut all = Vec::new();
        let eight = |v: u16| ((u32::from(v) * 255 + 32_767) / 65_535) as u8;
        let seen: Vec<Vec<u8>> = rows.iter().map(|row| row.iter().map(|v| eight(*v)).collect()).collect();
        // What the filter makes of the bytes, by the same code with bytes in place of 16 bits.
        let mut filtered = Vec::new();
        let mut filter = Deep::new(1, width, rows.len(), scale);
        for row in &seen {
            filter.push(&row.iter().map(|v| u16::from(*v) * 257).collect::<Vec<_>>(), &vec![0; width]);
        }
        for _ in 0..rows.len() * scale {
            let done: Result<(), ()> = filter.row(&vec![0; width * scale], |out| {
                filtered
                    .push(out.iter().map(|v| (i32::from(eight(*v)) + delta).clamp(0, 255) as u8).collect::<Vec<_>>());
                Ok(())
            });
            done.unwrap();
        }
        let (mut deep, mut given) = (Deep::new(1, width, rows.len(), scale), 0);
        for (y, (row, seen)) in rows.iter().zip(&seen).enumerate() {
            deep.push(row, seen);
            // An engine that gives its rows at once: some must wait.
            while given < (y + 1) * scale {
                let done: Result<(), ()> = deep.row(&filtered[given], |out| {
                    all.extend_from_slice(out);
                    Ok(())
                });
                done.unwrap();
                given += 1;
            }
        }
        all
    }

    #[test]
    fn a_ramp_has_no_steps_and_details_are_added() {
        // 40 values of 16 bits in each level of 8.
        let (width, height) = (96, 6);
        let rows: Vec<Vec<u16>> =
            (0..height).map(|y| (0..width).map(|x| 20_000 + 40 * x as u16 + 7 * y as u16).collect()).collect();
        for scale in 2..=4 {
            let made = through(&rows, width, scale, 0);
            assert_eq!(made.len(), width * height * scale * scale);
            for row in made.chunks(width * scale) {
                let inner = &row[2 * scale..(width - 2) * scale];
                let steps: Vec<i32> = inner.windows(2).map(|w| i32::from(w[1]) - i32::from(w[0])).collect();
                let (least, most) = (steps.iter().min().unwrap(), steps.iter().max().unwrap());
                assert!(
                    *least >= 40 / scale as i32 - 12 && *most <= 40 / scale as i32 + 13,
                    "x{scale}: {least}..{most}"
                );
            }
            let brighter = through(&rows, width, scale, 3);
            let far = brighter.iter().zip(&made).map(|(a, b)| i32::from(*a) - i32::from(*b));
            assert!(far.into_iter().all(|d| (d - 3 * 257).abs() <= 257 / 2 + 13), "x{scale}");
        }
    }
}
