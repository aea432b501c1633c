//! Every level of this processor makes the bytes that `scalar` makes.
//!
//! One body for each kernel runs at all levels, on slices of exactly the size that the contract asks for. What a
//! kernel must not touch is filled with a pattern and compared too. `BIFOCAL_REQUIRE_LEVELS=NAME,NAME` fails where one of these
//! levels is not run.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bifocal::internals::kernels::isa::Isa;
use bifocal::internals::kernels::{
    Add, Clamp, Depthwise, Epilogue, FilterPhase, Gate, Level, Output, Pool, Residual, Scratch, Tap, Weights,
    WindowAttention,
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
        Self { pixels, outputs, run, out_step, taps, pairs_fit: rng.coin(), clamp: rng.clamp() }
    }

    fn check(&self, rng: &mut Rng, addend: Option<&Addend>) {
        let padded = self.outputs.next_multiple_of(8);
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
        let bias: Vec<i32> = (0..padded).map(|_| rng.below(20_000) as i32 - 10_000).collect();
        let multiplier = rng.multipliers(padded, spread(self.taps.len() * self.run));
        let rows: Vec<Vec<u8>> = (0..4).map(|row| rng.bytes(self.bytes_of(row))).collect();
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        let residual = addend.map(Addend::residual);
        let Self { ref taps, run, outputs, pixels, out_step, clamp, .. } = *self;
        let weights = Weights { taps, run, outputs, data: &data, bias: &bias, multiplier: &multiplier };
        let epilogue = Epilogue { clamp, residual };
        compare(&(self, addend), (pixels - 1) * out_step + outputs, |level, out| {
            level.pack(&weights).conv_row(&epilogue, &rows, &mut Output { bytes: out, step: out_step, pixels });
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
            let clamp = Clamp { zero_point: 128, low: 0, high: 255 };
            let row = vec![byte; (pixels - 1) * 64 + 2 * 64 + run];
            let (bias, multiplier) = (vec![0; outputs], vec![1.0 / 150_000.0; outputs]);
            let epilogue = Epilogue { clamp, residual: None };
            compare(&(byte, weights), pixels * outputs, |level, out| {
                let weights = Weights { taps: &taps, run, outputs, data: &data, bias: &bias, multiplier: &multiplier };
                let mut output = Output { bytes: out, step: outputs, pixels };
                level.pack(&weights).conv_row(&epilogue, &[&row[..]; 3], &mut output);
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
                    let weights = Depthwise { data: &data, bias: &bias, multiplier: &multiplier, channels };
                    let mut output = Output { bytes: out, step: out_step, pixels };
                    level.pack_depthwise(&weights).row(
                        step,
                        tap_step,
                        &Epilogue { clamp, residual },
                        rows,
                        &mut output,
                    );
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
            let phase = |_| FilterPhase { first: rng.below(2), weights: rng.pick(&WEIGHTS) };
            let phases: Vec<FilterPhase> = (0..factor).map(phase).collect();
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
        compare(&width, width, |level, out| level.round_row(alpha, out));
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
            let bias = -(count as i32) * rng.pick(&[0, 77, 128]);
            let pool = Pool { count, bias, multiplier: 1.0 / count as f32, clamp };
            let x = rng.bytes(channels * count * groups);
            let case = (channels, count, groups, bias, clamp);
            compare(&("columns", case), channels * groups, |level, out| {
                level.pool_columns(&pool, channels, &x, out);
            });
            let rows: Vec<&[u8]> = x.chunks_exact(channels * groups).collect();
            compare(&("rows", case), channels * groups, |level, out| {
                level.pool_rows(&pool, &rows, out);
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

#[test]
fn attention() {
    let mut rng = Rng(10);
    for (tokens, keys, values) in [(64, 8, 16), (64, 12, 24), (64, 4, 8), (64, 20, 48), (16, 8, 16), (256, 8, 16)] {
        for _ in 0..4 {
            let a = WindowAttention {
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
                level.attention_window(&a, &q, &k, &v, &mut Scratch::default(), out);
            });
        }
    }
}

/// Each of `sizes` as it is, then each one shorter by one: only the first is taken, and the others stop before anything outside
/// their slices is touched.
fn only_fitting(what: &dyn Debug, sizes: &[usize], kernel: impl Fn(Level, &[usize])) {
    for level in Level::all() {
        for short in 0..=sizes.len() {
            let mut sizes = sizes.to_vec();
            if let Some(size) = sizes.get_mut(short) {
                *size -= 1;
            }
            let refused = catch_unwind(AssertUnwindSafe(|| kernel(level, &sizes))).is_err();
            assert_eq!(refused, short < sizes.len(), "level {}, {what:?}, slice {short}", level.name());
        }
    }
}

/// A plan with a mistake must stop, at every level and in every kernel that it chooses for the weights.
#[test]
fn slices_that_are_too_short() {
    let clamp = Clamp { zero_point: 0, low: 0, high: 255 };
    fn addend(skip: &[u8], skip_step: usize, clamp: Clamp) -> Residual<'_> {
        Residual { skip, skip_step, skip_zero: 0, skip_ratio: 1.0, value_ratio: 1.0, clamp }
    }
    for outputs in [1, 4, 8, 12, 16, 24, 44, 64_usize] {
        for (pixels, run, weight) in [(16, 16, 1_i8), (16, 20, 1), (17, 64, -128), (5, 4, 100), (1, 24, 1), (2, 8, 127)]
        {
            let data = vec![weight; 3 * run * outputs.next_multiple_of(8)];
            let taps: Vec<Tap> = (0..3).map(|row| Tap { row, offset: row, step: run }).collect();
            let row = |row: usize| pixels * run + row;
            let sizes = [row(0), row(1), row(2), pixels * outputs, data.len(), outputs, outputs, pixels * outputs];
            only_fitting(&(outputs, pixels, run, weight), &sizes, |level, sizes| {
                let rows: Vec<Vec<u8>> = sizes[..3].iter().map(|&size| vec![1; size]).collect();
                let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
                let (data, bias, multiplier) = (&data[..sizes[4]], vec![0; sizes[5]], vec![1.0; sizes[6]]);
                let weights = Weights { taps: &taps, run, outputs, data, bias: &bias, multiplier: &multiplier };
                let (mut out, skip) = (vec![0; sizes[3]], vec![0; sizes[7]]);
                let mut output = Output { bytes: &mut out, step: outputs, pixels };
                let epilogue = Epilogue { clamp, residual: Some(addend(&skip, outputs, clamp)) };
                level.pack(&weights).conv_row(&epilogue, &rows, &mut output);
            });
        }
    }
    for channels in [8, 16, 24, 40] {
        for pixels in [1, 3, 4, 9] {
            let row = (pixels + 2) * channels;
            let sizes = [row, row, row, pixels * channels, 9 * channels, channels, channels, pixels * channels];
            only_fitting(&(channels, pixels), &sizes, |level, sizes| {
                let rows: Vec<Vec<u8>> = sizes[..3].iter().map(|&size| vec![1; size]).collect();
                let (data, bias, multiplier) = (vec![1; sizes[4]], vec![0; sizes[5]], vec![1.0; sizes[6]]);
                let weights = Depthwise { data: &data, bias: &bias, multiplier: &multiplier, channels };
                let (mut out, skip) = (vec![0; sizes[3]], vec![0; sizes[7]]);
                let mut output = Output { bytes: &mut out, step: channels, pixels };
                let epilogue = Epilogue { clamp, residual: Some(addend(&skip, channels, clamp)) };
                let rows = [&rows[0][..], &rows[1], &rows[2]];
                level.pack_depthwise(&weights).row(channels, channels, &epilogue, rows, &mut output);
            });
        }
    }
    for (outputs, depth) in [(8, 4), (16, 12), (64, 8)] {
        let bytes = outputs * depth;
        only_fitting(&(outputs, depth), &[bytes, bytes, outputs], |level, sizes| {
            let (b, mut data, mut sums) = (vec![1; sizes[0]], vec![0; sizes[1]], vec![0; sizes[2]]);
            level.pack_columns(&b, outputs, depth, &mut data, &mut sums);
            level.pack_rows(&b, outputs, depth, &mut data, &mut sums);
        });
    }
    for (tokens, keys, values) in [(64, 8, 16), (16, 12, 8)] {
        let requantised = (0.01, clamp);
        let (score_multiplier, scores) = requantised;
        let (multiplier, query_zero) = (0.01, 0);
        let a = WindowAttention { tokens, keys, values, query_zero, score_multiplier, scores, multiplier, clamp };
        let sizes = [tokens * keys, tokens * keys, tokens * values, tokens * values];
        only_fitting(&a, &sizes, |level, sizes| {
            let [q, k, v, mut out] = [0, 1, 2, 3].map(|i| vec![1; sizes[i]]);
            level.attention_window(&a, &q, &k, &v, &mut Scratch::default(), &mut out);
        });
    }
}

/// All levels that `/proc/cpuinfo` promises, and those that `BIFOCAL_REQUIRE_LEVELS` names, have been compared here.
#[test]
fn the_levels_of_this_processor_are_run() {
    let run: Vec<&str> = Level::all().iter().map(|level| level.name()).collect();
    assert!(run.contains(&"scalar"));
    if let Some(required) = std::env::var("BIFOCAL_REQUIRE_LEVELS").ok().filter(|names| !names.is_empty()) {
        for name in required.split(',') {
            assert!(run.contains(&name), "BIFOCAL_REQUIRE_LEVELS asks for '{name}'; run are {run:?}");
        }
    }
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let features = info.lines().filter_map(|line| line.split_once(':'));
    let features = features.filter(|(key, _)| matches!(key.trim(), "flags" | "Features")).map(|(_, value)| value);
    // An emulator shows the file of the machine that it runs on.
    let own = if cfg!(target_arch = "aarch64") { "asimd" } else { "sse2" };
    let Some(features) = { features }.next().filter(|value| value.split_whitespace().any(|name| name == own)) else {
        assert!(run.len() > 1 || !cfg!(target_arch = "aarch64"), "every such processor has NEON");
        return println!("skipped: /proc/cpuinfo does not describe this processor; run are {run:?}");
    };
    let promised: Vec<&str> = Isa::all_of(features).map(|isa| isa.name).collect();
    assert_eq!(run, promised, "levels that are run, and those that /proc/cpuinfo promises");
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
