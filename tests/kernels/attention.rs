//! Attention, and activations packed as weights.

use bifocal::internals::kernels::{Scratch, WindowAttention};
use proptest::prelude::*;
use proptest::sample::select;

use crate::cases::each;
use crate::compare;
use crate::given::{Data, clamp, data};

#[test]
fn packing() {
    let shapes = (select(&[8, 16, 24, 40, 64][..]), select(&[4, 8, 12, 16, 20, 32, 36, 64][..]));
    each(160, (shapes, any::<bool>(), data()), |((outputs, depth), columns, data)| {
        let b = data.draw().bytes(outputs * depth);
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
    });
}

#[test]
fn windows() {
    let shapes = select(
        &[(16, 8, 16), (16, 12, 8), (64, 8, 8), (64, 8, 16), (64, 12, 24), (64, 4, 8), (64, 20, 48), (256, 8, 16)][..],
    );
    let given = (shapes, select(&[0, 128, 131, 255][..]), [clamp(), clamp()], [data(), data()]);
    each(60, given, |((tokens, keys, values), query_zero, [scores, clamp], kinds)| {
        let [mut bytes, mut rest] = kinds.map(Data::draw);
        let (score_multiplier, multiplier) = (rest.multipliers(1, keys)[0], rest.multipliers(1, tokens)[0]);
        let a = WindowAttention { tokens, keys, values, query_zero, score_multiplier, scores, multiplier, clamp };
        let [q, k, v] = [keys, keys, values].map(|each| bytes.bytes(tokens * each));
        compare(&a, tokens * values, |level, out| {
            level.attention_window(&a, &q, &k, &v, &mut Scratch::default(), out);
        });
    });
}
