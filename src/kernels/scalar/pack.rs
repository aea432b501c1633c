//! Activations as the right side of a matrix product. Their zero point is 128, so `x - 128` is a weight.

/// `b` is `[outputs][depth]` (one output's weights lie together, as keys do): packs to `[depth / 4][outputs][4]`.
/// `sums` receives each output's sum of weights. `outputs` is a multiple of 8, `depth` of 4.
pub fn pack_columns(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
    for o in 0..outputs {
        let mut sum = 0;
        for k in 0..depth {
            let w = (b[o * depth + k] ^ 0x80) as i8;
            data[(k / 4 * outputs + o) * 4 + k % 4] = w;
            sum += i32::from(w);
        }
        sums[o] = sum;
    }
}

/// `b` is `[depth][outputs]` (as values are): packs and sums like [`pack_columns`].
pub fn pack_rows(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
    sums[..outputs].fill(0);
    for k in 0..depth {
        for o in 0..outputs {
            let w = (b[k * outputs + o] ^ 0x80) as i8;
            data[(k / 4 * outputs + o) * 4 + k % 4] = w;
            sums[o] += i32::from(w);
        }
    }
}
