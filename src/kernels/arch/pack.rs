//! Activations as the right side of a matrix product, over a few operations on a level's registers. Their zero point is 128, so
//! `x - 128` is a weight.
//!
//! Like the `drivers` it is always inlined into a function that has the level's target features.

/// Quads, four bytes of an output each, side by side.
///
/// The functions may be called only where the level is.
pub trait Quads {
    /// Bytes of an output that [`Quads::columns`] takes at once.
    const DEPTH: usize;
    /// Sums of four outputs on their way.
    type Four: Copy;
    /// Sums of eight outputs.
    type Eight: Copy;

    fn four() -> Self::Four;
    fn eight() -> Self::Eight;

    /// Packs `DEPTH` bytes of four outputs or, unless `WHOLE`, four; a quad and the next of an output are to lie `line` bytes
    /// apart.
    ///
    /// # Safety
    ///
    /// So many bytes may be read at each of `from`, and sixteen be written at `to` and each line behind it.
    unsafe fn columns<const WHOLE: bool>(
        sums: Self::Four,
        from: [*const u8; 4],
        to: *mut i8,
        line: usize,
    ) -> Self::Four;

    /// Writes the sums of `depth` weights of each of four outputs.
    ///
    /// # Safety
    ///
    /// Four sums may be written.
    unsafe fn store_four(sums: Self::Four, depth: usize, to: *mut i32);

    /// Packs a quad of eight outputs, a byte of each from each line.
    ///
    /// # Safety
    ///
    /// Eight bytes may be read at each of `from`, and 32 be written at `to`.
    unsafe fn rows(sums: Self::Eight, from: [*const u8; 4], to: *mut i8) -> Self::Eight;

    /// # Safety
    ///
    /// Eight sums may be written.
    unsafe fn store_eight(sums: Self::Eight, to: *mut i32);
}

/// `b` is `[outputs][depth]` (one output's weights lie together, as keys do): packs to `[depth / 4][outputs][4]`.
/// `sums` receives each output's sum of weights. `outputs` is a multiple of 8, `depth` of 4.
#[inline(always)]
pub fn pack_columns<Q: Quads>(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
    let (b, data, sums, line) = (b.as_ptr(), data.as_mut_ptr(), sums.as_mut_ptr(), outputs * 4);
    for o in (0..outputs).step_by(4) {
        let mut four = Q::four();
        for k in (0..depth).step_by(Q::DEPTH) {
            let at = |i: usize| b.wrapping_add((o + i) * depth + k);
            let (from, to) = ([at(0), at(1), at(2), at(3)], data.wrapping_add((k / 4 * outputs + o) * 4));
            // SAFETY: the contract has checked the lengths: `o..o + 4` are outputs, `DEPTH` bytes of theirs, or else four, are
            // left from `k`, and each line from `k / 4` has 16 bytes for these outputs.
            four = unsafe {
                if depth - k >= Q::DEPTH {
                    Q::columns::<true>(four, from, to, line)
                } else {
                    Q::columns::<false>(four, from, to, line)
                }
            };
        }
        // SAFETY: there are four sums from `o`.
        unsafe { Q::store_four(four, depth, sums.wrapping_add(o)) };
    }
}

/// `b` is `[depth][outputs]` (as values are): packs and sums like [`pack_columns`].
#[inline(always)]
pub fn pack_rows<Q: Quads>(b: &[u8], outputs: usize, depth: usize, data: &mut [i8], sums: &mut [i32]) {
    let (b, data, sums) = (b.as_ptr(), data.as_mut_ptr(), sums.as_mut_ptr());
    for o in (0..outputs).step_by(8) {
        let mut eight = Q::eight();
        for k in (0..depth).step_by(4) {
            let at = |i: usize| b.wrapping_add((k + i) * outputs + o);
            let (from, to) = ([at(0), at(1), at(2), at(3)], data.wrapping_add((k / 4 * outputs + o) * 4));
            // SAFETY: the contract has checked the lengths: each of four rows has eight bytes from `o`, and line `k / 4` has
            // 32 bytes for these outputs.
            eight = unsafe { Q::rows(eight, from, to) };
        }
        // SAFETY: there are eight sums from `o`.
        unsafe { Q::store_eight(eight, sums.wrapping_add(o)) };
    }
}
