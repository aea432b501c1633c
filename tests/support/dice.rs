//! Damage that is the same on every run.

/// xorshift64*, Vigna 2016, "An experimental exploration of Marsaglia's xorshift generators, scrambled".
pub struct Dice(pub u64);

impl Dice {
    /// A number from nought to `sides` - 1.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides
    }
}
