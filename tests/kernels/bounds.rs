//! A plan with a mistake must not reach past its slices.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bifocal::internals::kernels::{
    Clamp, Depthwise, Epilogue, Level, Output, Residual, Scratch, Tap, Weights, WindowAttention,
};

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
    for (pixels, inputs, outputs) in [(12, 16, 16), (13, 24, 24), (30, 64, 16)] {
        let data = vec![1; 9 * inputs * outputs];
        let taps: Vec<Tap> = (0..9).map(|t| Tap { row: t / 3, offset: t % 3 * inputs, step: inputs }).collect();
        let row = (pixels + 2) * inputs;
        let sizes = [row, row, row, row, pixels * outputs, pixels * outputs];
        only_fitting(&("two rows", pixels, inputs, outputs), &sizes, |level, sizes| {
            let rows: Vec<Vec<u8>> = sizes[..4].iter().map(|&size| vec![1; size]).collect();
            let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
            let (bias, multiplier) = (vec![0; outputs], vec![1.0; outputs]);
            let weights =
                Weights { taps: &taps, run: inputs, outputs, data: &data, bias: &bias, multiplier: &multiplier };
            let [mut above, mut below] = [4, 5].map(|out| vec![0; sizes[out]]);
            let mut above = Output { bytes: &mut above, step: outputs, pixels };
            let mut below = Output { bytes: &mut below, step: outputs, pixels };
            let epilogues = [Epilogue { clamp, residual: None }; 2];
            level.pack(&weights).conv_two_rows(&epilogues, [&rows[..3], &rows[1..]], [&mut above, &mut below]);
        });
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
