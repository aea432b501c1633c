//! Weights as PREPARE has them.

use super::shapes::Tap;

/// Weights of a dense convolution or a matrix product, for `Level::pack`.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Where the inputs of an output pixel are read, in the order of the weights.
    pub taps: &'a [Tap],
    /// Bytes read at each tap: a multiple of 4. Bytes past the real channels meet zero weights.
    pub run: usize,
    /// Outputs that are written.
    pub outputs: usize,
    /// `[tap][run / 4][outputs padded to 8][4]`: four neighbouring input bytes of one output lie together. Padding is
    /// zero.
    pub data: &'a [i8],
    /// What the sum starts from, one for each output.
    pub bias: &'a [i32],
    /// Requantisation, one for each output.
    pub multiplier: &'a [f32],
}

impl Weights<'_> {
    /// Outputs rounded up to a multiple of 8.
    pub(in crate::kernels) fn padded(&self) -> usize {
        self.outputs.next_multiple_of(8)
    }

    /// Panics unless the weights have the size that their shape says, and at least one tap and output.
    pub(super) fn assert_shape(&self) {
        let Weights { taps, run, outputs, data, bias, multiplier } = *self;
        assert!(run.is_multiple_of(4) && run > 0, "a run of {run} bytes is not a multiple of 4");
        assert!(!taps.is_empty() && outputs > 0, "{} taps and {outputs} outputs", taps.len());
        let want = taps.len().saturating_mul(run).saturating_mul(self.padded());
        assert!(data.len() == want, "{} weights instead of {want}", data.len());
        assert!(bias.len() >= outputs && multiplier.len() >= outputs, "fewer than {outputs} outputs");
    }

    /// Sum of an output's weights.
    pub(super) fn sum(&self, output: usize) -> i32 {
        self.data.chunks_exact(4).skip(output).step_by(self.padded()).flatten().map(|&w| i32::from(w)).sum()
    }

    /// May each aligned pair of neighbours be multiplied and added in 16 bits ([`pairs_fit`])?
    #[cfg(target_arch = "x86_64")]
    pub(in crate::kernels) fn pairs_fit(&self) -> bool {
        pairs_fit(self.data.as_chunks::<2>().0.iter().copied())
    }

    /// Taps whose bytes follow one another, as one tap each, with the bytes of all.
    pub(in crate::kernels) fn merged(&self) -> Vec<(Tap, usize)> {
        let run = self.run;
        let adjoin = |a: &Tap, b: &Tap| (a.row, a.step, a.offset + run) == (b.row, b.step, b.offset);
        self.taps.chunk_by(adjoin).map(|taps| (taps[0], taps.len() * run)).collect()
    }

    /// Bytes from where a tap begins to where the merged tap that it is part of ends.
    #[cfg(target_arch = "aarch64")]
    pub(in crate::kernels) fn merged_from(&self, tap: usize) -> usize {
        let taps = self.merged().into_iter().map(|(_, length)| length / self.run);
        let end = taps.scan(0, |end, taps| Some(std::mem::replace(end, *end + taps) + taps)).find(|&end| end > tap);
        (end.unwrap_or(tap) - tap) * self.run
    }
}

/// Weights of a depth-wise 3x3 convolution, for `Level::pack_depthwise`.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise<'a> {
    /// `[9][channels]`, row-major taps.
    pub data: &'a [i8],
    /// What the sum starts from, one for each channel.
    pub bias: &'a [i32],
    /// Requantisation, one for each channel.
    pub multiplier: &'a [f32],
    /// Channels: a multiple of 8.
    pub channels: usize,
}

#[cfg(target_arch = "x86_64")]
impl Depthwise<'_> {
    /// May taps 0 and 1, 2 and 3, and so on be multiplied and added in 16 bits ([`pairs_fit`])?
    pub(in crate::kernels) fn pairs_fit(&self) -> bool {
        let mut lines = self.data[..8 * self.channels].chunks_exact(2 * self.channels);
        lines.all(|two| {
            let (first, second) = two.split_at(self.channels);
            pairs_fit(first.iter().zip(second).map(|(&a, &b)| [a, b]))
        })
    }
}

/// Is |w0| + |w1| <= 128 for each pair? Then an 8-bit multiply-add (u8 x s8, pairs summed in 16 bits) cannot saturate.
#[cfg(target_arch = "x86_64")]
fn pairs_fit(mut pairs: impl Iterator<Item = [i8; 2]>) -> bool {
    pairs.all(|pair| pair.iter().map(|&w| i32::from(w).abs()).sum::<i32>() <= 128)
}
