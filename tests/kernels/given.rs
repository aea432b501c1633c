//! What kernels are given: shapes, and data that is told by its kind and a seed, so that a failure is told in a line.

use bifocal::internals::kernels::{Clamp, Residual};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestRng};

pub const PIXELS: [usize; 19] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 64];

/// Rows of these numbers of pixels, and of one longer.
pub fn widths() -> impl Strategy<Value = usize> {
    prop_oneof![19 => select(&PIXELS[..]), 1 => Just(100)]
}

/// How numbers are spread, and what they are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Data {
    kind: u8,
    seed: u64,
}

pub fn data() -> impl Strategy<Value = Data> {
    (0..6u8, 0..1u64 << 32).prop_map(|(kind, seed)| Data { kind, seed })
}

/// Numbers of one kind.
pub struct Draw {
    kind: u8,
    rng: TestRng,
}

impl Draw {
    pub fn below(&mut self, end: usize) -> usize {
        ((u64::from(self.rng.next_u32()) * end as u64) >> 32) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn real(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.below(1 << 20) as f32 / (1 << 20) as f32
    }

    fn of<T>(&mut self, count: usize, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| one(self)).collect()
    }

    /// Activations: any, extremes often, or nothing but one extreme.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let sole = self.pick(&[0, 255]);
        match self.kind {
            0 => vec![sole; count],
            1 => self.of(count, |draw| draw.pick(&[0, 255])),
            2 => self.of(count, |draw| draw.pick(&[0, 1, 127, 128, 254, 255])),
            _ => self.of(count, |draw| draw.below(256) as u8),
        }
    }

    /// Weights, like [`Draw::bytes`].
    pub fn weights(&mut self, count: usize) -> Vec<i8> {
        let sole = self.pick(&[-128, -127, 127]);
        match self.kind {
            0 => vec![sole; count],
            1 => self.of(count, |draw| draw.pick(&[-128, 127])),
            2 => self.of(count, |draw| draw.pick(&[-128, -127, -1, 0, 1, 127])),
            // Many of their products fit into 16 bits.
            3 => self.of(count, |draw| draw.below(256) as u8 as i8 / 6),
            _ => self.of(count, |draw| draw.below(256) as u8 as i8),
        }
    }

    /// Makes each pair of neighbours fit: |w0| + |w1| <= 128. Pairs on the limit stay on it.
    pub fn fit(&mut self, weights: &mut [i8]) {
        for pair in weights.chunks_exact_mut(2) {
            let first = self.below(2);
            let room = 128 - i32::from(pair[first]).abs();
            pair[1 - first] = i32::from(pair[1 - first]).clamp(-room, room.min(127)) as i8;
        }
    }

    pub fn biases(&mut self, count: usize) -> Vec<i32> {
        self.of(count, |draw| draw.below(20_000) as i32 - 10_000)
    }

    /// Multipliers for sums of so many products: over the whole range, to exact ties, or far outside it.
    pub fn multipliers(&mut self, count: usize, products: usize) -> Vec<f32> {
        // What so many products of a byte and a weight spread over.
        let sum = 150.0 * 75.0 * (products as f32).sqrt();
        match self.kind {
            0 => vec![(100.0 / sum).log2().floor().exp2(); count],
            1 => self.of(count, |draw| draw.real(0.5, 20.0)),
            _ => self.of(count, |draw| draw.real(20.0, 300.0) / sum),
        }
    }

    /// Samples in 1/64, overshoot and all.
    pub fn fine(&mut self, count: usize) -> Vec<i16> {
        match self.kind {
            0 => self.of(count, |draw| draw.pick(&[0, 255 << 6])),
            1 => self.of(count, |draw| draw.pick(&[-4000, 20_400])),
            _ => self.of(count, |draw| (draw.below(20_400 + 4000) as i16) - 4000),
        }
    }
}

impl Data {
    pub fn draw(self) -> Draw {
        let seed: Vec<u8> = self.seed.to_le_bytes().repeat(4);
        Draw { kind: self.kind, rng: TestRng::from_seed(RngAlgorithm::ChaCha, &seed) }
    }
}

pub fn clamp() -> impl Strategy<Value = Clamp> {
    (select(&[0, 1, 100, 128, 254, 255][..]), 0..3).prop_map(|(zero_point, kind)| match kind {
        0 => Clamp { zero_point, low: 0, high: 255 },
        1 => Clamp { zero_point, low: 7, high: 201 },
        _ => Clamp { zero_point, low: zero_point, high: 255 },
    })
}

/// A residual, but for its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Added {
    /// Bytes between pixels.
    gap: usize,
    zero: u8,
    ratios: [f32; 2],
    clamp: Clamp,
}

/// None, or one.
pub fn added() -> impl Strategy<Value = Option<Added>> {
    let ratios = (select(&[1.0, 0.5, 0.731, 1.9][..]), select(&[1.0, 0.5, 0.333, 2.7][..]));
    let of = |(gap, zero, (skip, value), clamp)| Added { gap, zero, ratios: [value, skip], clamp };
    prop::option::of((select(&[0, 0, 3, 8][..]), select(&[0, 128, 131, 255][..]), ratios, clamp()).prop_map(of))
}

impl Added {
    /// Exactly the bytes that `pixels` pixels of `outputs` bytes need.
    pub fn bytes(&self, draw: &mut Draw, pixels: usize, outputs: usize) -> Vec<u8> {
        draw.bytes((pixels - 1) * (outputs + self.gap) + outputs)
    }

    pub fn residual<'a>(&self, skip: &'a [u8], outputs: usize) -> Residual<'a> {
        Residual {
            skip,
            skip_step: outputs + self.gap,
            skip_zero: self.zero,
            skip_ratio: self.ratios[1],
            value_ratio: self.ratios[0],
            clamp: self.clamp,
        }
    }
}
