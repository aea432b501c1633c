//! Bytes through tables.

use crate::kernels::contract::Table;

/// Each byte of pixels of `channels` bytes through the one table, or through its channel's.
pub fn table_row(tables: &[Table], channels: usize, x: &[u8], out: &mut [u8]) {
    match tables {
        [one] => x.iter().zip(out).for_each(|(x, out)| *out = one[usize::from(*x)]),
        _ => {
            let tables = &tables[..channels];
            for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
                x.iter().zip(tables).zip(out).for_each(|((x, table), out)| *out = table[usize::from(*x)]);
            }
        }
    }
}
