//! Sums, shuffles, gates and means of rows.

use bifocal::internals::kernels::{Add, Gate, Pool};
use proptest::prelude::*;
use proptest::sample::select;

use crate::cases::each;
use crate::compare;
use crate::given::{PIXELS, clamp, data, widths};

/// Every byte with every byte.
fn all() -> (Vec<u8>, Vec<u8>) {
    (0..1 << 16).map(|i: u32| (i as u8, (i >> 8) as u8)).unzip()
}

fn adds() -> impl Strategy<Value = Add> {
    let ratios = select(&[[0.5, 0.5], [0.731, 1.9], [1.1, 40.0]][..]);
    (any::<[u8; 2]>(), ratios, clamp()).prop_map(|(zeros, ratios, clamp)| Add { zeros, ratios, clamp })
}

#[test]
fn sums_of_rows() {
    let (a, b) = all();
    each(4, adds(), |add| compare(&add, a.len(), |level, out| level.add_row(&add, &a, &b, out)));
    each(200, (prop_oneof![9 => 0..70usize, 1 => Just(511)], adds(), data()), |(length, add, data)| {
        let mut data = data.draw();
        let (a, b) = (data.bytes(length), data.bytes(length));
        compare(&(length, add), length, |level, out| level.add_row(&add, &a, &b, out));
    });
}

#[test]
fn sums_with_a_shared_byte() {
    each(400, (select(&[1, 3, 4, 9, 16][..]), widths(), adds(), data()), |(repeat, pixels, add, data)| {
        let mut data = data.draw();
        let (a, b) = (data.bytes(pixels * repeat), data.bytes(pixels));
        compare(&(repeat, pixels, add), a.len(), |level, out| level.add_spread_row(&add, repeat, &a, &b, out));
    });
}

#[test]
fn shuffles() {
    each(200, (1..=4usize, widths(), data()), |(n, pixels, data)| {
        let x = data.draw().bytes(pixels * n * n);
        for y in 0..n {
            compare(&(n, y, pixels), pixels * n, |level, out| level.shuffle_row(n, y, &x, out));
        }
    });
}

fn gates_of(repeats: &'static [usize]) -> impl Strategy<Value = Gate> {
    let multipliers = select(&[1.0 / 64.0, 1.0 / 128.0, 0.003_1, 9.0][..]);
    let of = |(zeros, multiplier, clamp, repeat)| Gate { zeros, multiplier, clamp, repeat };
    (any::<[u8; 2]>(), multipliers, clamp(), select(repeats)).prop_map(of)
}

#[test]
fn gates() {
    let (x, g) = all();
    each(4, gates_of(&[1]), |gate| compare(&gate, x.len(), |level, out| level.gate_row(&gate, 256, &x, &g, out)));
    let given = (select(&[1, 4, 8, 12, 24, 64][..]), select(&PIXELS[..]), gates_of(&[1, 2, 3, 5, 8, 16]), data());
    each(400, given, |(channels, pixels, gate, data)| {
        let mut data = data.draw();
        let (x, g) = (data.bytes(pixels * channels), data.bytes(pixels.div_ceil(gate.repeat) * channels));
        compare(&(channels, pixels, gate), x.len(), |level, out| level.gate_row(&gate, channels, &x, &g, out));
    });
}

#[test]
fn means() {
    let groups = select(&[(1, 3), (2, 5), (3, 1), (8, 2), (16, 4)][..]);
    let given = (select(&[1, 4, 8, 12, 24, 64][..]), groups, select(&[0, 77, 128][..]), clamp(), data());
    each(200, given, |(channels, (count, groups), zero, clamp, data)| {
        let pool = Pool { count, bias: -(count as i32) * zero, multiplier: 1.0 / count as f32, clamp };
        let x = data.draw().bytes(channels * count * groups);
        compare(&("columns", channels, pool), channels * groups, |level, out| {
            level.pool_columns(&pool, channels, &x, out);
        });
        let rows: Vec<&[u8]> = x.chunks_exact(channels * groups).collect();
        compare(&("rows", channels, pool), channels * groups, |level, out| level.pool_rows(&pool, &rows, out));
    });
}
