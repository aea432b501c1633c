//! 16 bits a sample out of a network that sees 8: the source is enlarged in 16 bits by the bicubic filter, and what the network
//! has made of the picture in 8 bits beyond that filter is added.
//!
//! The network sees and gives 8 bits: up to a level of the difference is what it makes of the steps that rounding leaves in
//! a smooth ramp, and its own rounding. Were that added, the ramp would get the steps of 8 bits. So differences of up to a level
//! are nothing, those from two on count in full, and between the two it rises evenly.

use std::collections::VecDeque;

use super::window::Window;
use crate::kernels::WEIGHT_BITS;

/// A level of 8 bits in 16, and in the fine fraction of both.
const LEVEL: i64 = 257;
/// Fraction bits of what the filter gives.
const FINE: u32 = 2 * WEIGHT_BITS;

/// Joins source rows of 16 bits and the engine's rows of 8.
#[derive(Debug)]
pub struct Deep {
    channels: usize,
    width: usize,
    /// Source rows, each in 16 bits and as the engine saw it.
    window: Window<(Vec<u16>, Vec<u8>)>,
    /// Rows of the engine that wait for source rows.
    waiting: VecDeque<Vec<u8>>,
    middle: Vec<[i64; 2]>,
    out: Vec<u16>,
}

impl Deep {
    /// For pictures of `channels` samples a pixel.
    pub fn new(channels: usize, width: usize, height: usize, scale: usize) -> Self {
        let (middle, out) = (vec![[0; 2]; channels * width], vec![0; channels * width * scale]);
        Self { channels, width, window: Window::new(height, scale), waiting: VecDeque::new(), middle, out }
    }

    /// The next source row, before the engine gets it.
    pub fn push(&mut self, deep: &[u16], seen: &[u8]) {
        self.window.push((deep.to_vec(), seen.to_vec()));
    }

    /// The next row of the engine; `emit` gets the output rows that can be made.
    pub fn row<E>(&mut self, row: &[u8], mut emit: impl FnMut(&[u16]) -> Result<(), E>) -> Result<(), E> {
        self.waiting.push_back(row.to_vec());
        while self.window.near().is_some() {
            let Some(row) = self.waiting.pop_front() else { break };
            self.make(&row);
            self.window.advance();
            emit(&self.out)?;
        }
        Ok(())
    }

    fn make(&mut self, row: &[u8]) {
        let Self { channels, width, window, middle, out, .. } = self;
        let Some((near, weights)) = window.near() else { return };
        for (x, sums) in middle.iter_mut().enumerate() {
            *sums = [0; 2];
            for ((deep, seen), weight) in near.iter().zip(weights) {
                sums[0] += i64::from(weight) * i64::from(deep[x]);
                sums[1] += i64::from(weight) * i64::from(seen[x]);
            }
        }
        for (x, pixel) in out.chunks_exact_mut(*channels).enumerate() {
            let (near, weights) = window.columns(x, *width);
            for (channel, sample) in pixel.iter_mut().enumerate() {
                let [mut deep, mut seen] = [0; 2];
                for (x, weight) in near.iter().zip(weights) {
                    let sums = middle[x * *channels + channel];
                    deep += i64::from(weight) * sums[0];
                    seen += i64::from(weight) * sums[1];
                }
                let made = i64::from(row[x * *channels + channel]) << FINE;
                let exact = deep + LEVEL * beyond_rounding(made - seen);
                *sample = ((exact + (1 << (FINE - 1))) >> FINE).clamp(0, 65_535) as u16;
            }
        }
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
