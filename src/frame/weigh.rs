//! Colour weighed by alpha. What is enlarged mixes the colours of neighbours; where these are seen to different degrees, as at the
//! edge of a figure that throws a soft shadow, each must count by its alpha, or the darker one shows as a fringe.
//!
//! The engine's rows are made without regard to alpha. The difference between the bicubic filter with and without weights is added
//! to them; where neighbours have the same alpha there is none, and the rows stay as they are.

use std::collections::VecDeque;

use super::window::Window;
use crate::kernels::WEIGHT_BITS;

/// Fraction bits of what the filter gives.
const FINE: u32 = 2 * WEIGHT_BITS;

/// A sample of 8 or 16 bits.
pub trait Sample: Copy + Into<i64> {
    /// The highest value.
    const HIGHEST: i64;
    /// The nearest that there is to a value.
    fn nearest(value: i64) -> Self;
}

impl Sample for u8 {
    const HIGHEST: i64 = 255;
    fn nearest(value: i64) -> Self {
        value.clamp(0, Self::HIGHEST) as Self
    }
}

impl Sample for u16 {
    const HIGHEST: i64 = 65_535;
    fn nearest(value: i64) -> Self {
        value.clamp(0, Self::HIGHEST) as Self
    }
}

/// A source row, and its alpha where all of it is the same.
#[derive(Debug)]
struct Row<T> {
    samples: Vec<T>,
    even: Option<i64>,
}

/// Mends rows of pixels whose last channel is alpha.
#[derive(Debug)]
pub struct Weigh<T> {
    channels: usize,
    width: usize,
    window: Window<Row<T>>,
    /// Output rows that wait for source rows.
    waiting: VecDeque<Vec<T>>,
}

impl<T: Sample> Weigh<T> {
    /// For pictures of `channels` samples a pixel.
    pub fn new(channels: usize, width: usize, height: usize, scale: usize) -> Self {
        Self { channels, width, window: Window::new(height, scale), waiting: VecDeque::new() }
    }

    /// The next source row, before the engine gets it.
    pub fn push(&mut self, row: &[T]) {
        let alpha = |pixel: &[T]| pixel[self.channels - 1].into();
        let first = alpha(row);
        let even = row.chunks_exact(self.channels).all(|pixel| alpha(pixel) == first).then_some(first);
        self.window.push(Row { samples: row.to_vec(), even });
    }

    /// The next output row; `emit` gets the rows that can be made.
    pub fn row<E>(&mut self, row: &[T], mut emit: impl FnMut(&[T]) -> Result<(), E>) -> Result<(), E> {
        self.waiting.push_back(row.to_vec());
        while let Some((near, weights)) = self.window.near() {
            let Some(mut row) = self.waiting.pop_front() else { break };
            if near[0].even.is_none() || near.iter().any(|row| row.even != near[0].even) {
                self.weigh(near.map(|row| &*row.samples), weights, &mut row);
            }
            self.window.advance();
            emit(&row)?;
        }
        Ok(())
    }

    /// Moves the colours of an output row by what the weights of alpha change.
    fn weigh(&self, near: [&[T]; 4], down: [i16; 4], row: &mut [T]) {
        let last = self.channels - 1;
        for (x, pixel) in row.chunks_exact_mut(self.channels).enumerate() {
            let (columns, across) = self.window.columns(x, self.width);
            let mut taps = [(0, 0i64, 0, 0); 16];
            for (i, tap) in taps.iter_mut().enumerate() {
                let (row, at) = (i / 4, columns[i % 4] * self.channels);
                *tap = (row, i64::from(down[row]) * i64::from(across[i % 4]), at, near[row][at + last].into());
            }
            let seen: i64 = taps.iter().map(|(_, weight, _, alpha)| weight * alpha).sum();
            if seen <= 0 || taps.iter().all(|tap| tap.3 == taps[0].3) {
                continue;
            }
            for (channel, sample) in pixel[..last].iter_mut().enumerate() {
                let (mut plain, mut weighed) = (0, 0i128);
                for (row, weight, at, alpha) in &taps {
                    let part = weight * near[*row][at + channel].into();
                    plain += part;
                    weighed += i128::from(part * alpha);
                }
                let highest = i128::from(T::HIGHEST << FINE);
                let weighed = ((weighed << FINE) / i128::from(seen)).clamp(0, highest) as i64;
                let moved = (weighed - plain + (1 << (FINE - 1))) >> FINE;
                *sample = T::nearest((*sample).into() + moved);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of grey and alpha through an engine that does nothing but the filter.
    fn through(rows: &[Vec<u8>], scale: usize, weighed: bool) -> Vec<Vec<u8>> {
        let (width, height) = (rows[0].len() / 2, rows.len());
        let mut colour = super::super::Colour::new(
            crate::frame::PixelFormat::Rgba8,
            width,
            height,
            scale,
            height,
            crate::kernels::Level::best(),
        );
        let mut weigh = Weigh::new(4, width, height, scale);
        let wide = |row: &[u8]| row.chunks(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect::<Vec<_>>();
        for row in rows {
            colour.push(&wide(row));
            weigh.push(&wide(row));
        }
        let mut luma =
            crate::frame::Enlarger::new(1, crate::geom::Size::new(width, height), scale, crate::kernels::Level::best());
        let (mut all, mut y, mut fine, mut out) = (vec![], 0, vec![0; width * scale], vec![0; 4 * width * scale]);
        for row in rows {
            luma.push(&row.iter().step_by(2).copied().collect::<Vec<_>>());
            while luma.next(&mut fine) {
                colour.row(y, &fine, &mut out);
                let mut keep = |row: &[u8]| {
                    all.push(row.chunks(4).flat_map(|p| [p[0], p[3]]).collect());
                    Ok(())
                };
                let done: Result<(), ()> = if weighed { weigh.row(&out, keep) } else { keep(&out) };
                done.unwrap();
                y += 1;
            }
        }
        all
    }

    /// Of what is laid over a background: the same as if it had been laid there before.
    #[test]
    fn laid_over_a_background_before_or_after() {
        // Something bright that throws a dark shadow of half its alpha, which ends softly.
        let pixel = |x: usize| match x {
            0..4 => [240, 255],
            4..8 => [10, 120],
            8..10 => [10, 40],
            _ => [10, 0],
        };
        let rows: Vec<Vec<u8>> = (0..9).map(|y| (0..12).flat_map(|x| pixel(x.max(y))).collect()).collect();
        for scale in 2..=4 {
            let [made, plain] = [true, false].map(|weighed| through(&rows, scale, weighed));
            assert_eq!(made.len(), 9 * scale);
            let mut all: [f64; 2] = [0.0; 2];
            for back in [0.0, 128.0, 255.0] {
                let over = |p: &[u8]| (f64::from(p[0]) - back) * f64::from(p[1]) / 255.0 + back;
                let flat: Vec<Vec<u8>> =
                    rows.iter().map(|row| row.chunks(2).flat_map(|p| [over(p).round() as u8, 255]).collect()).collect();
                let flat = through(&flat, scale, false);
                for (made, most) in [&made, &plain].into_iter().zip(&mut all) {
                    let pairs =
                        made.iter().flat_map(|row| row.chunks(2)).zip(flat.iter().flat_map(|row| row.chunks(2)));
                    *most = pairs.map(|(made, flat)| (over(made) - f64::from(flat[0])).abs()).fold(*most, f64::max);
                }
            }
            // Where the filter overshoots, colours end at black and white, and alpha at 255.
            assert!(all[0] < 22.0 && all[1] > 1.3 * all[0], "x{scale}: {} levels, without weights {}", all[0], all[1]);
        }
    }

    #[test]
    fn even_alpha_changes_nothing() {
        let rows: Vec<Vec<u8>> = (0..5u8).map(|y| (0..7u8).flat_map(|x| [x * 30 + y * 9, 90]).collect()).collect();
        let opaque: Vec<Vec<u8>> = rows.iter().map(|row| row.chunks(2).flat_map(|p| [p[0], 255]).collect()).collect();
        for (a, b) in through(&rows, 3, true).iter().flatten().zip(through(&opaque, 3, false).iter().flatten()) {
            assert!(a == b || (*a, *b) == (90, 255));
        }
    }
}
