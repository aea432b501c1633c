//! Dense and depth-wise convolutions.

use bifocal::internals::kernels::{Clamp, Depthwise, Epilogue, Output, Tap, Weights};
use proptest::prelude::*;
use proptest::sample::select;

use crate::cases::each;
use crate::compare;
use crate::given::{Added, Data, PIXELS, added, clamp, data, widths};

/// A dense convolution.
#[derive(Clone, Debug)]
struct Conv {
    pixels: usize,
    outputs: usize,
    run: usize,
    out_step: usize,
    taps: Vec<Tap>,
    /// Are neighbours' products small?
    pairs_fit: bool,
    /// Bits that weights lack: as small as trained ones mostly are, so that kernels may sum more products before they widen.
    shift: usize,
    clamp: Clamp,
    added: Option<Added>,
    data: [Data; 3],
}

/// A 1x1, a 3x3 of channels, a 3x3 of rows, a strided matrix product, or anything.
fn taps(run: usize) -> impl Strategy<Value = Vec<Tap>> {
    let steps = select(vec![run, run, run + 8, 1, 7, 64]);
    let any = prop::collection::vec((0..4usize, 0..50usize, 0..9usize), 1..=4);
    (0..5, steps, any).prop_map(|(kind, step, any)| match kind {
        0 => vec![Tap { row: 0, offset: 0, step }],
        1 => (0..9).map(|t| Tap { row: t / 3, offset: t % 3 * step, step }).collect(),
        2 => (0..3).map(|row| Tap { row, offset: 0, step }).collect(),
        3 => vec![Tap { row: 1, offset: 3, step }, Tap { row: 1, offset: 0, step: step + 5 }],
        _ => any.into_iter().map(|(row, offset, more)| Tap { row, offset, step: step + more }).collect(),
    })
}

fn convs() -> impl Strategy<Value = Conv> {
    let outputs = select(&[1, 4, 5, 8, 9, 12, 16, 24, 48, 64][..]);
    let runs = select(&[4, 8, 12, 16, 20, 24, 32, 64, 128][..]).prop_flat_map(|run| (Just(run), taps(run)));
    let gaps = select(&[0, 0, 0, 1, 5, 40][..]);
    let weights = (any::<bool>(), select(&[0, 0, 1, 2][..]), [data(), data(), data()]);
    (select(&PIXELS[..]), outputs, runs, gaps, weights, clamp(), added()).prop_map(
        |(pixels, outputs, (run, taps), gap, (pairs_fit, shift, data), clamp, added)| {
            let out_step = outputs + gap;
            Conv { pixels, outputs, run, out_step, taps, pairs_fit, shift, clamp, added, data }
        },
    )
}

impl Conv {
    fn check(&self) {
        let &Self { pixels, outputs, run, out_step, ref taps, clamp, .. } = self;
        let [mut weights, mut rest, mut bytes] = self.data.map(Data::draw);
        let padded = outputs.next_multiple_of(8);
        let mut data = weights.weights(taps.len() * run * padded);
        if self.pairs_fit {
            weights.fit(&mut data);
        }
        for (i, w) in data.iter_mut().enumerate() {
            *w = if i / 4 % padded < outputs { *w >> self.shift } else { 0 };
        }
        let (bias, multiplier) = (rest.biases(padded), rest.multipliers(padded, taps.len() * run));
        let rows: Vec<Vec<u8>> = (0..4).map(|row| bytes.bytes(self.bytes_of(row))).collect();
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        let skip = self.added.map_or(vec![], |added| added.bytes(&mut bytes, pixels, outputs));
        let residual = self.added.map(|added| added.residual(&skip, outputs));
        let weights = Weights { taps, run, outputs, data: &data, bias: &bias, multiplier: &multiplier };
        let epilogue = Epilogue { clamp, residual };
        compare(self, (pixels - 1) * out_step + outputs, |level, out| {
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
    each(4000, convs(), |conv| conv.check());
}

/// A row and the one below it, together: a level may make them out of the same products.
#[test]
fn dense_convolution_of_two_rows() {
    // Inputs, bytes between pixels, where the first tap begins, and whether three pixels are one tap.
    let inputs =
        (select(&[8_usize, 12, 16, 20, 24, 40, 64, 72][..]), select(&[0, 0, 8, 5][..]), 0..20usize, any::<bool>());
    let shapes = (inputs, select(&[8_usize, 12, 16, 24, 40][..]), widths(), select(&[0, 0, 3][..]));
    let kinds = (any::<bool>(), select(&[0, 1, 2][..]), [data(), data(), data()]);
    let ends = ([clamp(), clamp()], [added(), added()]);
    each(600, (shapes, kinds, ends, 0..4usize), |(shapes, (pairs_fit, shift, kinds), (clamps, added), apart)| {
        let ((inputs, between, offset, joined), outputs, pixels, gap) = shapes;
        let step = inputs + between;
        let (taps, run): (Vec<Tap>, usize) = match joined && between == 0 {
            true => ((0..3).map(|row| Tap { row, offset, step }).collect(), 3 * inputs),
            false => ((0..9).map(|t| Tap { row: t / 3, offset: offset + t % 3 * step, step }).collect(), inputs),
        };
        let [mut weights, mut rest, mut bytes] = kinds.map(Data::draw);
        let padded = outputs.next_multiple_of(8);
        let mut data = weights.weights(9 * inputs * padded);
        if pairs_fit {
            weights.fit(&mut data);
        }
        for (i, w) in data.iter_mut().enumerate() {
            *w = if i / 4 % padded < outputs { *w >> shift } else { 0 };
        }
        let (bias, multiplier) = (rest.biases(padded), rest.multipliers(padded, 9 * inputs));
        let rows = [(); 5].map(|()| bytes.bytes((pixels - 1) * step + offset + 2 * step + inputs));
        let rows = rows.each_ref().map(Vec::as_slice);
        // A row that does not follow the one above it, once in a while.
        let (upper, mut lower) = ([rows[0], rows[1], rows[2]], [rows[1], rows[2], rows[3]]);
        if apart < 2 {
            lower[apart] = rows[4];
        }
        let skips = added.map(|added| added.map_or(vec![], |added| added.bytes(&mut bytes, pixels, outputs)));
        let out_step = outputs + gap;
        let length = (pixels - 1) * out_step + outputs;
        compare(&shapes, 2 * length, |level, out| {
            let (above, below) = out.split_at_mut(length);
            let [mut above, mut below] = [above, below].map(|bytes| Output { bytes, step: out_step, pixels });
            let epilogues = [0, 1].map(|row| {
                let residual = added[row].map(|added| added.residual(&skips[row], outputs));
                Epilogue { clamp: clamps[row], residual }
            });
            let weights = Weights { taps: &taps, run, outputs, data: &data, bias: &bias, multiplier: &multiplier };
            level.pack(&weights).conv_two_rows(&epilogues, [&upper, &lower], [&mut above, &mut below]);
        });
    });
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
            compare(&(byte, weights), 2 * pixels * outputs, |level, out| {
                let weights = Weights { taps: &taps, run, outputs, data: &data, bias: &bias, multiplier: &multiplier };
                let (above, below) = out.split_at_mut(pixels * outputs);
                let [mut above, mut below] = [above, below].map(|bytes| Output { bytes, step: outputs, pixels });
                let rows = [&row[..]; 3];
                level.pack(&weights).conv_two_rows(&[epilogue; 2], [&rows; 2], [&mut above, &mut below]);
            });
        }
    }
}

#[test]
fn depthwise_convolution() {
    let steps = (select(&[0, 0, 8, 1][..]), select(&[1, 1, 2, 4][..]), select(&[0, 0, 3, 24][..]));
    let shapes = (select(&[8, 16, 24, 40][..]), select(&PIXELS[..]), steps);
    let given = (shapes, clamp(), added(), [data(), data(), data()]);
    each(400, given, |(shape, clamp, added, kinds)| {
        let (channels, pixels, (gap, dilation, out_gap)) = shape;
        let (step, out_step) = (channels + gap, channels + out_gap);
        let tap_step = step * dilation;
        let [mut weights, mut rest, mut bytes] = kinds.map(Data::draw);
        let data = weights.weights(9 * channels);
        let (bias, multiplier) = (rest.biases(channels), rest.multipliers(channels, 9));
        let rows = [(); 3].map(|()| bytes.bytes((pixels - 1) * step + 2 * tap_step + channels));
        let rows = [&rows[0][..], &rows[1], &rows[2]];
        let skip = added.map_or(vec![], |added| added.bytes(&mut bytes, pixels, channels));
        let residual = added.map(|added| added.residual(&skip, channels));
        compare(&shape, (pixels - 1) * out_step + channels, |level, out| {
            let weights = Depthwise { data: &data, bias: &bias, multiplier: &multiplier, channels };
            let (epilogue, mut output) = (Epilogue { clamp, residual }, Output { bytes: out, step: out_step, pixels });
            level.pack_depthwise(&weights).row(step, tap_step, &epilogue, rows, &mut output);
        });
    });
}
