//! Every level of this processor makes the bytes that `scalar` makes.
//!
//! One body for each kernel runs at all levels, on slices of exactly the size that the contract asks for. What a
//! kernel must not touch is filled with a pattern and compared too.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bifocal::internals::kernels::{
    Add, Attend, Clamp, Depthwise, Gate, Level, Residual, Room, Tap, Taps, Weights, Window,
};

/// Numbers that look random and are the same every time (SplitMix64).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn real(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.below(1 << 20) as f32 / (1 << 20) as f32
    }

    /// Activations: any, extremes often, or nothing but one extreme.
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let kind = self.below(6);
        let sole = self.pick(&[0, 255]);
        let byte = |rng: &mut Self| match kind {
            0 => sole,
            1 => rng.pick(&[0, 255]),
            2 => rng.pick(&[0, 1, 127, 128, 254, 255]),
            _ => rng.next() as u8,
        };
        (0..count).map(|_| byte(self)).collect()
    }

    /// Weights, like [`Rng::bytes`].
    fn weights(&mut self, count: usize) -> Vec<i8> {
        let kind = self.below(6);
        let sole = self.pick(&[-128, -127, 127]);
        let weight = |rng: &mut Self| match kind {
            0 => sole,
            1 => rng.pick(&[-128, 127]),
            2 => rng.pick(&[-128, -127, -1, 0, 1, 127]),
            3 => rng.next() as i8 / 6, // many of their products fit into 16 bits
            _ => rng.next() as i8,
        };
        (0..count).map(|_| weight(self)).collect()
    }

    /// Makes each pair of neighbours fit: |w0| + |w1| <= 128. Pairs on the limit stay on it.
    fn fit(&mut self, weights: &mut [i8]) {
        for pair in weights.chunks_exact_mut(2) {
            let first = self.below(2);
            let room = 128 - i32::from(pair[first]).abs();
            pair[1 - first] = i32::from(pair[1 - first]).clamp(-room, room.min(127)) as i8;
        }
    }

    fn clamp(&mut self) -> Clamp {
        let zero_point = self.pick(&[0, 1, 100, 128, 254, 255]);
        match self.below(3) {
            0 => Clamp { zero_point, low: zero_point, high: 255 },
            1 => Clamp { zero_point, low: 7, high: 201 },
            _ => Clamp { zero_point, low: 0, high: 255 },
        }
    }

    /// Multipliers for sums near `sum`: over the whole range, to exact ties, or far outside it.
    fn multipliers(&mut self, count: usize, sum: f32) -> Vec<f32> {
        let kind = self.below(5);
        let one = |rng: &mut Self| match kind {
            0 => (100.0 / sum).log2().floor().exp2(),
            1 => rng.real(0.5, 20.0),
            _ => rng.real(20.0, 300.0) / sum,
        };
        (0..count).map(|_| one(self)).collect()
    }

    /// A residual whose addend has exactly the bytes that `pixels` pixels of `outputs` bytes need.
    fn addend(&mut self, pixels: usize, outputs: usize) -> Addend {
        let step = outputs + self.pick(&[0, 0, 3, 8]);
        Addend {
            skip: self.bytes((pixels - 1) * step + outputs),
            step,
            zero: self.pick(&[0, 128, 131, 255]),
            ratios: [self.pick(&[0.5, 1.0, 0.731, 1.9]), self.pick(&[0.5, 1.0, 0.333, 2.7])],
            clamp: self.clamp(),
        }
    }
}

/// What a [`Residual`] borrows.
#[derive(Debug)]
struct Addend {
    skip: Vec<u8>,
    step: usize,
    zero: u8,
    ratios: [f32; 2],
    clamp: Clamp,
}

impl Addend {
    fn residual(&self) -> Residual<'_> {
        Residual {
            skip: &self.skip,
            skip_step: self.step,
            skip_zero: self.zero,
            skip_ratio: self.ratios[1],
            value_ratio: self.ratios[0],
            clamp: self.clamp,
        }
    }
}

/// Bytes around the output that a kernel must leave alone.
const MARGIN: usize = 40;

/// What `kernel` writes into a slice of `bytes`, with the margins around it.
fn written(bytes: usize, kernel: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut all: Vec<u8> = (0..bytes + 2 * MARGIN).map(|i| (i * 37 + 11) as u8).collect();
    kernel(&mut all[MARGIN..MARGIN + bytes]);
    all
}

/// Runs `kernel` at every level and compares what it writes with what scalar writes.
fn compare<T: Debug>(case: &T, bytes: usize, mut kernel: impl FnMut(Level, &mut [u8])) {
    let truth = written(bytes, |out| kernel(Level::SCALAR, out));
    for level in Level::all() {
        let made = written(bytes, |out| kernel(level, out));
        if let Some(report) = difference(&truth, &made) {
            panic!("level {} {report}, in {case:?}", level.name());
        }
    }
}

/// How two outputs differ: how often, where first, and where most.
fn difference(truth: &[u8], made: &[u8]) -> Option<String> {
    let wrong: Vec<usize> = (0..truth.len()).filter(|&i| truth[i] != made[i]).collect();
    let worst = *wrong.iter().max_by_key(|&&i| truth[i].abs_diff(made[i]))?;
    let at = |i: usize| format!("byte {} is {} instead of {}", i as isize - MARGIN as isize, made[i], truth[i]);
    Some(format!("has {} of {} bytes wrong; first: {}; worst: {}", wrong.len(), truth.len(), at(wrong[0]), at(worst)))
}

/// Values whose spread is near what `terms` products of a byte and a weight make.
fn spread(terms: usize) -> f32 {
    150.0 * 75.0 * (terms as f32).sqrt()
}

const PIXELS: [usize; 19] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 64];
const OUTPUTS: [usize; 10] = [1, 4, 5, 8, 9, 12, 16, 24, 48, 64];
const RUNS: [usize; 9] = [4, 8, 12, 16, 20, 24, 32, 64, 128];

/// A dense convolution: everything but the data.
#[derive(Debug)]
struct Conv {
    pixels: usize,
    outputs: usize,
    run: usize,
    out_step: usize,
    taps: Vec<Tap>,
    pairs_fit: bool,
    /// Are weights handed over as the level arranges them, too?
    arranged: bool,
    clamp: Clamp,
}

impl Conv {
    fn new(rng: &mut Rng, pixels: usize, outputs: usize, run: usize) -> Self {
        let step = rng.pick(&[run, run, run + 8, 1, 7, 64]);
        // A 1x1, a 3x3 of channels, a 3x3 of rows, a strided matrix product, or anything.
        let taps = match rng.below(5) {
            0 => vec![Tap { row: 0, offset: 0, step }],
            1 => (0..9).map(|t| Tap { row: t / 3, offset: t % 3 * step, step }).collect(),
            2 => (0..3).map(|row| Tap { row, offset: 0, step }).collect(),
            3 => vec![Tap { row: 1, offset: 3, step }, Tap { row: 1, offset: 0, step: step + 5 }],
            _ => {
                let count = 1 + rng.below(4);
                let tap = |_| Tap { row: rng.below(4), offset: rng.below(50), step: step + rng.below(9) };
                (0..count).map(tap).collect()
            }
        };
        let out_step = outputs + rng.pick(&[0, 0, 0, 1, 5, 40]);
        let (pairs_fit, arranged) = (rng.coin(), rng.below(4) > 0);
        Self { pixels, outputs, run, out_step, taps, pairs_fit, arranged, clamp: rng.clamp() }
    }

    fn check(&self, rng: &mut Rng, addend: Option<&Addend>) {
        let (padded, quads) = (self.outputs.next_multiple_of(8), self.run / 4);
        let mut data = rng.weights(self.taps.len() * self.run * padded);
        if self.pairs_fit {
            rng.fit(&mut data);
        }
        // As small as trained weights mostly are: kernels may sum more products before they widen.
        let shift = rng.pick(&[0, 0, 1, 2]);
        data.iter_mut().for_each(|w| *w >>= shift);
        for (i, w) in data.iter_mut().enumerate() {
            if i / 4 % padded >= self.outputs {
                *w = 0;
            }
        }
        let sum_of = |o: usize| -> i32 {
            let quad = |q: usize| data[(q * padded + o) * 4..][..4].iter().map(|&w| i32::from(w)).sum::<i32>();
            (0..self.taps.len() * quads).map(quad).sum()
        };
        let sums: Vec<i32> = (0..padded).map(sum_of).collect();
        let bias: Vec<i32> = (0..padded).map(|_| rng.below(20_000) as i32 - 10_000).collect();
        let multiplier = rng.multipliers(padded, spread(self.taps.len() * self.run));
        let rows: Vec<Vec<u8>> = (0..4).map(|row| rng.bytes(self.bytes_of(row))).collect();
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        let residual = addend.map(Addend::residual);
        let window = Window { taps: &self.taps, run: self.run };
        compare(&(self, addend), (self.pixels - 1) * self.out_step + self.outputs, |level, out| {
            let bias: Vec<i32> = bias.iter().zip(&sums).map(|(&b, &s)| level.bias(b, s)).collect();
            let arranged = level.arrange(&window, self.outputs, &data);
            let weights = Weights {
                data: &data,
                bias: &bias,
                multiplier: &multiplier,
                outputs: self.outputs,
                arranged: if self.arranged { &arranged } else { &[] },
                pairs_fit: self.pairs_fit,
            };
            level.conv_row(&window, &weights, self.clamp, residual.as_ref(), &rows, out, self.out_step, self.pixels);
        });
    }

    /// Bytes of a row that the taps reach; none of a row without taps.
    fn bytes_of(&self, row: usize) -> usize {
        let ends = self.taps.iter().filter(|t| t.row == row);
        ends.map(|t| (self.pixels - 1) * t.step + t.offset + self.run).max().unwrap_or(0)
    }
}

#[test]
fn dense_convolution() {
    let mut rng = Rng(1);
    for round in 0..12 {
        for outputs in OUTPUTS {
            for pixels in PIXELS {
                let run = rng.pick(&RUNS);
                let conv = Conv::new(&mut rng, pixels, outputs, run);
                let addend = (round % 2 == 1).then(|| rng.addend(pixels, outputs));
                conv.check(&mut rng, addend.as_ref());
            }
        }
        for run in RUNS {
            for outputs in OUTPUTS {
                let pixels = 1 + rng.below(17);
                let conv = Conv::new(&mut rng, pixels, outputs, run);
                conv.check(&mut rng, None);
            }
        }
    }
}

/// The largest sums there are: nothing may saturate or wrap on the way to 32 bits.
#[test]
fn dense_convolution_of_extremes() {
    let taps: Vec<Tap> = (0..9).map(|t| Tap { row: t / 3, offset: t % 3 * 64, step: 64 }).collect();
    let (pixels, outputs, run) = (13, 24, 64);
    for byte in [0, 255] {
        for weights in
            [[-128, -128], [127, 127], [-127, -127], [127, -128], [-128, 0], [64, 64], [-64, -64], [127, 1], [63, 63]]
        {
            let data: Vec<i8> = weights.iter().copied().cycle().take(taps.len() * run * outputs).collect();
            let pairs_fit = i32::from(weights[0]).abs() + i32::from(weights[1]).abs() <= 128;
            let sum = weights.iter().map(|&w| i32::from(w)).sum::<i32>() * (taps.len() * run / 2) as i32;
            let window = Window { taps: &taps, run };
            let clamp = Clamp { zero_point: 128, low: 0, high: 255 };
            let row = vec![byte; (pixels - 1) * 64 + 2 * 64 + run];
            compare(&(byte, weights), pixels * outputs, |level, out| {
                let bias = vec![level.bias(0, sum); outputs];
                let multiplier = vec![1.0 / 150_000.0; outputs];
                let arranged = level.arrange(&window, outputs, &data);
                let weights = Weights {
                    data: &data,
                    bias: &bias,
                    multiplier: &multiplier,
                    outputs,
                    arranged: &arranged,
                    pairs_fit,
                };
                level.conv_row(&window, &weights, clamp, None, &[&row[..]; 3], out, outputs, pixels);
            });
        }
    }
}

#[test]
fn depthwise_convolution() {
    let mut rng = Rng(2);
    for channels in [8, 16, 24, 40] {
        for pixels in PIXELS {
            for with_addend in [false, true] {
                let step = channels + rng.pick(&[0, 0, 8, 1]);
                let tap_step = step * rng.pick(&[1, 1, 2, 4]);
                let out_step = channels + rng.pick(&[0, 0, 3, 24]);
                let clamp = rng.clamp();
                let addend = with_addend.then(|| rng.addend(pixels, channels));
                let data = rng.weights(9 * channels);
                let bias: Vec<i32> = (0..channels).map(|_| rng.below(20_000) as i32 - 10_000).collect();
                let multiplier = rng.multipliers(channels, spread(9));
                let rows = [(); 3].map(|()| rng.bytes((pixels - 1) * step + 2 * tap_step + channels));
                let rows = [&rows[0][..], &rows[1], &rows[2]];
                let residual = addend.as_ref().map(Addend::residual);
                let case = (channels, pixels, step, tap_step, out_step, clamp, &addend);
                compare(&case, (pixels - 1) * out_step + channels, |level, out| {
                    let sum = |c: usize| data.iter().skip(c).step_by(channels).map(|&w| i32::from(w)).sum();
                    let bias: Vec<i32> = bias.iter().enumerate().map(|(c, &b)| level.bias(b, sum(c))).collect();
                    let weights =
                        Depthwise { data: &data, bias: &bias, multiplier: &multiplier, channels, tap_step, step };
                    level.depthwise_row(&weights, clamp, residual.as_ref(), rows, out, out_step, pixels);
                });
            }
        }
    }
}

/// Every byte with every byte, then odd lengths.
#[test]
fn sums_of_rows() {
    let mut rng = Rng(3);
    let all: (Vec<u8>, Vec<u8>) = (0..1 << 16).map(|i: u32| (i as u8, (i >> 8) as u8)).unzip();
    for ratios in [[0.5, 0.5], [0.731, 1.9]] {
        let add = Add { zeros: [rng.pick(&[0, 128]), rng.pick(&[131, 255])], ratios, clamp: rng.clamp() };
        compare(&add, all.0.len(), |level, out| level.add_row(&add, &all.0, &all.1, out));
    }
    for length in (0..70).chain([511]) {
        let add = Add { zeros: [3, 200], ratios: [1.1, 40.0], clamp: rng.clamp() };
        let (a, b) = (rng.bytes(length), rng.bytes(length));
        compare(&(length, add), length, |level, out| level.add_row(&add, &a, &b, out));
    }
}

#[test]
fn sums_with_a_shared_byte() {
    let mut rng = Rng(8);
    for repeat in [1, 3, 4, 9, 16] {
        for pixels in PIXELS.into_iter().chain([100]) {
            let add = Add { zeros: [rng.next() as u8, rng.next() as u8], ratios: [0.731, 1.9], clamp: rng.clamp() };
            let (a, b) = (rng.bytes(pixels * repeat), rng.bytes(pixels));
            compare(&(repeat, pixels, add), a.len(), |level, out| level.add_spread_row(&add, repeat, &a, &b, out));
        }
    }
}

#[test]
fn shuffles() {
    let mut rng = Rng(9);
    for n in [1, 2, 3, 4] {
        for pixels in PIXELS.into_iter().chain([100]) {
            let x: Vec<u8> = (0..pixels * n * n).map(|_| rng.next() as u8).collect();
            for y in 0..n {
                compare(&(n, y, pixels), pixels * n, |level, out| level.shuffle_row(n, y, &x, out));
            }
        }
    }
}

/// Samples in 1/64, overshoot and all.
fn fine(rng: &mut Rng, count: usize) -> Vec<i16> {
    let kind = rng.below(4);
    let sample = |rng: &mut Rng| match kind {
        0 => rng.pick(&[0, 255 << 6]),
        1 => rng.pick(&[-4000, 20_400]),
        _ => (rng.below(20_400 + 4000) as i16) - 4000,
    };
    (0..count).map(|_| sample(rng)).collect()
}

/// Four weights of the bicubic filter, in 1/16384.
const WEIGHTS: [[i16; 4]; 3] = [[-1152, 14_208, 3712, -384], [-1024, 9216, 9216, -1024], [0, 16_384, 0, 0]];

/// [`compare`] for a kernel that writes samples in 1/64.
fn compare_fine<T: Debug>(case: &T, len: usize, kernel: impl Fn(Level, &mut [i16])) {
    compare(case, 2 * len, |level, out| {
        let mut samples = vec![0x5a5a; len];
        kernel(level, &mut samples);
        out.chunks_exact_mut(2).zip(&samples).for_each(|(out, v)| out.copy_from_slice(&v.to_le_bytes()));
    });
}

#[test]
fn rows_of_the_filter() {
    let mut rng = Rng(11);
    for width in PIXELS.into_iter().chain([100]) {
        let rows: [Vec<u8>; 4] = std::array::from_fn(|_| rng.bytes(width));
        let weights = rng.pick(&WEIGHTS);
        let blend = |level: Level, out: &mut [i16]| level.blend_rows(weights, rows.each_ref().map(|r| &r[..]), out);
        compare_fine(&(width, weights), width, blend);
        for factor in 1..=8 {
            let taps = |_| Taps { first: rng.below(2), weights: rng.pick(&WEIGHTS) };
            let phases: Vec<Taps> = (0..factor).map(taps).collect();
            let row = fine(&mut rng, width + 4);
            compare_fine(&(&phases, width), factor * width, |level, out| level.enlarge_row(&phases, &row, out));
        }
    }
}

#[test]
fn planes() {
    let mut rng = Rng(13);
    for width in PIXELS.into_iter().chain([100]) {
        for channels in 2..=4 {
            let row = rng.bytes(channels * width);
            compare(&(width, channels), row.len(), |level, out| level.split_row(channels, &row, out));
        }
        let planes: [Vec<u8>; 3] = std::array::from_fn(|_| rng.bytes(width));
        compare(&width, width, |level, out| level.luma_row(planes.each_ref().map(|plane| &plane[..]), out));
    }
}

#[test]
fn shading() {
    let mut rng = Rng(12);
    for width in PIXELS.into_iter().chain([100]) {
        let luma = rng.bytes(width);
        let planes: [Vec<i16>; 5] = std::array::from_fn(|_| fine(&mut rng, width));
        let [r, g, b, alpha, soft] = planes.each_ref().map(|plane| &plane[..]);
        compare(&width, width, |level, out| level.whole_row(alpha, out));
        compare(&width, 3 * width, |level, out| level.shade_row(&luma, [r, g, b, soft], out));
        compare(&width, 4 * width, |level, out| level.shade_alpha_row(&luma, [r, g, b, alpha, soft], out));
    }
}

#[test]
fn gates() {
    let mut rng = Rng(4);
    let all: (Vec<u8>, Vec<u8>) = (0..1 << 16).map(|i: u32| (i as u8, (i >> 8) as u8)).unzip();
    for multiplier in [1.0 / 128.0, 0.003_1] {
        let zeros = [rng.pick(&[0, 128]), rng.pick(&[0, 255])];
        let gate = Gate { zeros, multiplier, clamp: rng.clamp(), repeat: 1 };
        compare(&gate, all.0.len(), |level, out| level.gate_row(&gate, 256, &all.0, &all.1, out));
    }
    for channels in [1, 4, 8, 12, 24, 64] {
        for pixels in PIXELS {
            let repeat = rng.pick(&[1, 2, 3, 5, 8, 16]);
            let (zeros, multiplier) = ([rng.next() as u8, rng.next() as u8], rng.pick(&[1.0 / 64.0, 0.004_7, 9.0]));
            let gate = Gate { zeros, multiplier, clamp: rng.clamp(), repeat };
            let (x, g) = (rng.bytes(pixels * channels), rng.bytes(pixels.div_ceil(repeat) * channels));
            compare(&(channels, pixels, gate), x.len(), |level, out| level.gate_row(&gate, channels, &x, &g, out));
        }
    }
}

#[test]
fn means() {
    let mut rng = Rng(5);
    for channels in [1, 4, 8, 12, 24, 64] {
        for (count, groups) in [(1, 3), (2, 5), (3, 1), (8, 2), (16, 4)] {
            let clamp = rng.clamp();
            let (bias, multiplier) = (-(count as i32) * rng.pick(&[0, 77, 128]), 1.0 / count as f32);
            let x = rng.bytes(channels * count * groups);
            let case = (channels, count, groups, bias, clamp);
            compare(&("columns", case), channels * groups, |level, out| {
                level.pool_columns(channels, count, bias, multiplier, clamp, &x, out);
            });
            let rows: Vec<&[u8]> = x.chunks_exact(channels * groups).collect();
            compare(&("rows", case), channels * groups, |level, out| {
                level.pool_rows(bias, multiplier, clamp, &rows, out);
            });
        }
    }
}

#[test]
fn packing() {
    let mut rng = Rng(6);
    for outputs in [8, 16, 24, 40, 64] {
        for depth in [4, 8, 12, 16, 20, 32, 36, 64] {
            let b = rng.bytes(outputs * depth);
            for columns in [true, false] {
                // The sums' bytes follow the weights in one buffer, so that the margins guard both.
                compare(&(outputs, depth, columns), outputs * depth + outputs * 4, |level, out| {
                    let (mut data, mut sums) = (vec![0; outputs * depth], vec![7; outputs]);
                    if columns {
                        level.pack_columns(&b, outputs, depth, &mut data, &mut sums);
                    } else {
                        level.pack_rows(&b, outputs, depth, &mut data, &mut sums);
                    }
                    let bytes = data.iter().map(|&w| w as u8).chain(sums.iter().flat_map(|s| s.to_le_bytes()));
                    out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = byte);
                });
            }
        }
    }
}

/// Packed activations go through the matrix product, as window attention does it: weights of -128 included.
#[test]
fn products_of_activations() {
    let mut rng = Rng(7);
    for (tokens, depth) in [(64, 8), (16, 12), (64, 16), (64, 64)] {
        let (a, b) = (rng.bytes(tokens * depth), rng.bytes(tokens * depth));
        let clamp = Clamp { zero_point: 128, low: 0, high: 255 };
        let multiplier = vec![1.0 / (depth as f32 * 90.0); tokens];
        let window = Window { taps: &[Tap { row: 0, offset: 0, step: depth }], run: depth };
        compare(&(tokens, depth), tokens * tokens, |level, out| {
            let (mut data, mut sums) = (vec![0; tokens * depth], vec![0; tokens]);
            level.pack_columns(&b, tokens, depth, &mut data, &mut sums);
            let bias: Vec<i32> = sums.iter().map(|&s| level.bias(-128 * s, s)).collect();
            let weights = Weights {
                data: &data,
                bias: &bias,
                multiplier: &multiplier,
                outputs: tokens,
                arranged: &[],
                pairs_fit: false,
            };
            level.conv_row(&window, &weights, clamp, None, &[&a], out, tokens, tokens);
        });
    }
}

#[test]
fn attention() {
    let mut rng = Rng(10);
    for (tokens, keys, values) in [(64, 8, 16), (64, 12, 24), (64, 4, 8), (64, 20, 48), (16, 8, 16), (256, 8, 16)] {
        for _ in 0..4 {
            let a = Attend {
                tokens,
                keys,
                values,
                query_zero: rng.pick(&[0, 128, 131, 255]),
                score_multiplier: rng.multipliers(1, spread(keys))[0],
                scores: rng.clamp(),
                multiplier: rng.multipliers(1, spread(tokens))[0],
                clamp: rng.clamp(),
            };
            let [q, k, v] = [keys, keys, values].map(|each| rng.bytes(tokens * each));
            compare(&a, tokens * values, |level, out| {
                let (mut packed, mut scores) = (vec![1; tokens * keys.max(values)], vec![2; tokens * tokens]);
                let (mut sums, mut multiplier) = (vec![3; tokens.max(values)], vec![4.0; tokens.max(values)]);
                let mut room =
                    Room { packed: &mut packed, sums: &mut sums, multiplier: &mut multiplier, scores: &mut scores };
                level.attention_window(&a, &q, &k, &v, &mut room, out);
            });
        }
    }
}

/// A plan with a mistake must stop, at every level, before anything outside the slices is touched.
#[test]
fn slices_that_are_too_short() {
    let (pixels, outputs, run) = (16, 16, 16);
    // Row, output, weights, bias, multiplier, addend: the sizes that fit, then each one short by one.
    let fitting = [pixels * run, pixels * outputs, run * outputs, outputs, outputs, pixels * outputs];
    for level in Level::all() {
        for short in 0..=fitting.len() {
            let mut sizes = fitting;
            if let Some(size) = sizes.get_mut(short) {
                *size -= 1;
            }
            let [row, out, data, bias, multiplier, skip] = sizes;
            let (row, mut out, data) = (vec![1; row], vec![0; out], vec![1; data]);
            let (bias, multiplier, skip) = (vec![0; bias], vec![1.0; multiplier], vec![0; skip]);
            let clamp = Clamp { zero_point: 0, low: 0, high: 255 };
            let residual =
                Residual { skip: &skip, skip_step: outputs, skip_zero: 0, skip_ratio: 1.0, value_ratio: 1.0, clamp };
            let window = Window { taps: &[Tap { row: 0, offset: 0, step: run }], run };
            let weights =
                Weights { data: &data, bias: &bias, multiplier: &multiplier, outputs, arranged: &[], pairs_fit: true };
            let run = AssertUnwindSafe(|| {
                level.conv_row(&window, &weights, clamp, Some(&residual), &[&row], &mut out, outputs, pixels);
            });
            assert_eq!(catch_unwind(run).is_err(), short < fitting.len(), "level {}, slice {short}", level.name());
        }
    }
}

/// The comparison itself: it sees one wrong byte, inside and in the margins.
#[test]
fn comparison_sees_one_byte() {
    let truth = written(10, |out| out.fill(3));
    assert_eq!(difference(&truth, &truth), None);
    for at in [0, MARGIN, MARGIN + 9, MARGIN + 10] {
        let mut made = truth.clone();
        made[at] ^= 1;
        assert!(difference(&truth, &made).is_some_and(|report| report.contains("has 1 of")));
    }
}
