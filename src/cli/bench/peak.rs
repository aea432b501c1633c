//! The arithmetic peak of a level: what its instructions reach when nothing else is in the way.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::kernels::{Clamp, Epilogue, Level, Output, Tap, Weights};

/// Outputs and run of the products that are tried. Which suits best is up to the level: it depends on how its sums
/// and weights fill the registers. Weights (`outputs * run` bytes) and inputs stay within 20 KiB: the first-level cache.
const SHAPES: [(usize, usize); 5] = [(4, 512), (8, 512), (16, 256), (16, 1024), (32, 512)];
/// A multiple of every level's block of pixels.
const PIXELS: usize = 96;
/// Bytes between pixels. Neighbours share most of their run, so that the inputs fit the cache, too.
const STEP: usize = 32;
/// How long a shape runs before its time is taken; the best of [`TRIES`] counts, which leaves out interruptions.
const SLICE: Duration = Duration::from_micros(1500);
const TRIES: usize = 6;

/// Multiply-adds a second that `level` reaches with `threads` threads at once, in 10^9.
///
/// This is the level's own matrix product, on operands that stay in the first-level cache and are so long that
/// neither loads nor requantisation count: the peak that these instructions can reach, not that of the processor. A convolution
/// that is computed with fewer multiply-adds than it has may be above it.
pub(super) fn gmacs_per_s(level: Level, threads: usize) -> f64 {
    let shapes = SHAPES.map(|(outputs, run)| {
        let each = || rate(level, outputs, run);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(each)).collect();
            each() + others.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum::<f64>()
        })
    });
    shapes.into_iter().fold(0.0, f64::max)
}

fn rate(level: Level, outputs: usize, run: usize) -> f64 {
    let padded = outputs.next_multiple_of(8);
    let data: Vec<i8> = (0..run * padded).map(|i| (i % 15) as i8 - 7).collect();
    let input: Vec<u8> = (0..PIXELS * STEP + run).map(|i| (i * 37 % 251) as u8).collect();
    let (bias, multiplier) = (vec![0; padded], vec![1.0 / 4096.0; padded]);
    let taps = [Tap { row: 0, offset: 0, step: STEP }];
    let (bias, multiplier) = (&bias[..], &multiplier[..]);
    let weights = level.pack(&Weights { taps: &taps, run, outputs, data: &data, bias, multiplier });
    let epilogue = Epilogue { clamp: Clamp { zero_point: 128, low: 0, high: 255 }, residual: None };
    let mut out = vec![0; PIXELS * outputs];
    let mut best = 0.0_f64;
    for _ in 0..TRIES {
        let (begin, mut rows) = (Instant::now(), 0);
        while begin.elapsed() < SLICE {
            let mut output = Output { bytes: &mut out, step: outputs, pixels: PIXELS };
            weights.conv_row(&epilogue, &[black_box(&input[..])], &mut output);
            black_box(&mut out);
            rows += 1;
        }
        best = best.max((rows * PIXELS * outputs * run) as f64 / begin.elapsed().as_secs_f64());
    }
    best / 1e9
}
