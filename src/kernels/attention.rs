//! A window of attention, made of matrix products: what a level does unless it knows better.

use super::{Attend, Clamp, Level, Room, Tap, Weights, Window};

/// Scores of all queries with all keys, into `room.scores`.
pub(super) fn scores(level: Level, a: &Attend, query: &[u8], keys: &[u8], room: &mut Room) {
    level.pack_columns(keys, a.tokens, a.keys, room.packed, room.sums);
    let right = right(level, room.packed, room.sums, room.multiplier, a.tokens, a.query_zero, a.score_multiplier);
    product(level, query, a.keys, &right, a.scores, room.scores, a.tokens);
}

/// Values, weighted by `room.scores`, into `out`.
pub(super) fn weighted(level: Level, a: &Attend, values: &[u8], room: &mut Room, out: &mut [u8]) {
    level.pack_rows(values, a.values, a.tokens, room.packed, room.sums);
    let right = right(level, room.packed, room.sums, room.multiplier, a.values, a.scores.zero_point, a.multiplier);
    product(level, room.scores, a.tokens, &right, a.clamp, out, a.tokens);
}

/// The right side of a product whose left side has zero point `zero`: makes biases of the sums of weights.
fn right<'a>(
    level: Level,
    data: &'a [i8],
    sums: &'a mut [i32],
    multipliers: &'a mut [f32],
    outputs: usize,
    zero: u8,
    multiplier: f32,
) -> Weights<'a> {
    let (sums, multipliers) = (&mut sums[..outputs], &mut multipliers[..outputs]);
    sums.iter_mut().for_each(|sum| *sum = level.bias(-i32::from(zero) * *sum, *sum));
    multipliers.fill(multiplier);
    Weights { data, bias: sums, multiplier: multipliers, outputs, arranged: &[], pairs_fit: false }
}

/// Rows of `depth` bytes times the right side.
fn product(level: Level, left: &[u8], depth: usize, right: &Weights, clamp: Clamp, out: &mut [u8], rows: usize) {
    let window = Window { taps: &[Tap { row: 0, offset: 0, step: depth }], run: depth };
    level.conv_row(&window, right, clamp, None, &[left], out, right.outputs, rows);
}
