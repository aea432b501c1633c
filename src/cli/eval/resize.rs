//! Bicubic resampling as the field measures it: a = -0.5, antialiased when shrinking (Matlab's `imresize`).
//!
//! The same numbers as `models/ctnet/resize.py`: weights in f64, sums in f32, rows before columns.

use crate::geom::Size;

const A: f64 = -0.5;

fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        (A + 2.0) * x.powi(3) - (A + 3.0) * x.powi(2) + 1.0
    } else if x < 2.0 {
        A * x.powi(3) - 5.0 * A * x.powi(2) + 8.0 * A * x - 4.0 * A
    } else {
        0.0
    }
}

/// Samples and weights of one output sample.
type Taps = Vec<(usize, f32)>;

/// Taps of every output sample; borders are mirrored.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let ratio = to as f64 / from as f64;
    let stretch = (1.0 / ratio).max(1.0);
    let count = (4.0 * stretch).ceil() as i64 + 2;
    (0..to)
        .map(|i| {
            let centre = (i as f64 + 0.5) / ratio - 0.5;
            let first = (centre - 2.0 * stretch).floor() as i64;
            let weights: Vec<f64> = (first..first + count).map(|k| cubic((k as f64 - centre) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            let index = (first..).map(|k| mirror(k, from));
            index.zip(weights).map(|(index, weight)| (index, (weight / sum) as f32)).collect()
        })
        .collect()
}

fn mirror(index: i64, len: usize) -> usize {
    let index = index.rem_euclid(2 * len as i64) as usize;
    if index < len { index } else { 2 * len - 1 - index }
}

/// Interleaved samples of `from` resampled to `to`.
pub(super) fn resize(samples: &[f32], channels: usize, from: Size, to: Size) -> Vec<f32> {
    let row = from.width * channels;
    let mut rows = vec![0.0f32; to.height * row];
    for (out, taps) in rows.chunks_exact_mut(row).zip(taps(from.height, to.height)) {
        for (index, weight) in taps {
            let line = &samples[index * row..(index + 1) * row];
            out.iter_mut().zip(line).for_each(|(sum, sample)| *sum += sample * weight);
        }
    }
    let columns = taps(from.width, to.width);
    let mut result = Vec::with_capacity(to.height * to.width * channels);
    for line in rows.chunks_exact(row) {
        for taps in &columns {
            for channel in 0..channels {
                result.push(
                    taps.iter().fold(0.0, |sum, (index, weight)| sum + line[index * channels + channel] * weight),
                );
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Matlab's `imresize` kernel: half a picture's sample lies between two of the whole.
    #[test]
    fn halving_uses_eight_samples() {
        let weights: Vec<f32> = taps(16, 8)[4].iter().map(|&(_, w)| w).filter(|w| *w != 0.0).collect();
        let expected = [-3.0, -9.0, 29.0, 111.0, 111.0, 29.0, -9.0, -3.0].map(|n: f32| n / 256.0);
        assert_eq!(weights.len(), 8);
        assert!(weights.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7), "{weights:?}");
    }

    #[test]
    fn flat_stays_flat() {
        let flat = vec![77.0; 3 * 9 * 5];
        for to in [Size::new(4, 2), Size::new(18, 10), Size::new(1, 1)] {
            assert!(resize(&flat, 3, Size::new(9, 5), to).iter().all(|v| (v - 77.0).abs() < 1e-3));
        }
    }

    #[test]
    fn mirrors_at_both_ends() {
        assert_eq!([-2, -1, 0, 2, 3, 4, 7].map(|i| mirror(i, 3)), [1, 0, 0, 2, 2, 1, 1]);
    }
}
