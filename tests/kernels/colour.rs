//! Colour: planes, the bicubic filter, pixels moved to a new luma.

use std::fmt::Debug;

use bifocal::internals::kernels::{FilterPhase, Level};
use proptest::prelude::*;
use proptest::sample::select;

use crate::cases::each;
use crate::compare;
use crate::given::{data, widths};

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
    each(100, (widths(), select(&WEIGHTS[..]), data()), |(width, weights, data)| {
        let mut data = data.draw();
        let rows: [Vec<u8>; 4] = std::array::from_fn(|_| data.bytes(width));
        let blend = |level: Level, out: &mut [i16]| level.blend_rows(weights, rows.each_ref().map(|r| &r[..]), out);
        compare_fine(&(width, weights), width, blend);
    });
    let phase = (0..2usize, select(&WEIGHTS[..])).prop_map(|(first, weights)| FilterPhase { first, weights });
    each(300, (widths(), prop::collection::vec(phase, 1..=8), data()), |(width, phases, data)| {
        let row = data.draw().fine(width + 4);
        let enlarge = |level: Level, out: &mut [i16]| level.enlarge_row(&phases, &row, out);
        compare_fine(&(&phases, width), phases.len() * width, enlarge);
    });
}

#[test]
fn planes() {
    each(100, (widths(), data()), |(width, data)| {
        let mut data = data.draw();
        for channels in 2..=4 {
            let row = data.bytes(channels * width);
            compare(&(width, channels), row.len(), |level, out| level.split_row(channels, &row, out));
        }
        let planes: [Vec<u8>; 3] = std::array::from_fn(|_| data.bytes(width));
        compare(&width, width, |level, out| level.luma_row(planes.each_ref().map(|plane| &plane[..]), out));
    });
}

#[test]
fn shading() {
    each(100, (widths(), data()), |(width, data)| {
        let mut data = data.draw();
        let luma = data.bytes(width);
        let planes: [Vec<i16>; 5] = std::array::from_fn(|_| data.fine(width));
        let [r, g, b, alpha, soft] = planes.each_ref().map(|plane| &plane[..]);
        compare(&width, width, |level, out| level.round_row(alpha, out));
        compare(&width, 3 * width, |level, out| level.shade_row(&luma, [r, g, b, soft], out));
        compare(&width, 4 * width, |level, out| level.shade_alpha_row(&luma, [r, g, b, alpha, soft], out));
    });
}
