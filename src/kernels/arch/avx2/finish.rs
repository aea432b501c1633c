//! From sums to bytes: the rounding rule in registers.

use std::arch::x86_64::*;

use crate::kernels::contract::{Clamp, ConvRow, Epilogue};

/// [`Clamp`] in registers.
#[derive(Clone, Copy)]
pub struct Rule {
    zero: __m256i,
    low: __m256i,
    high: __m256i,
}

impl Rule {
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn new(clamp: Clamp) -> Self {
        Self {
            zero: _mm256_set1_epi16(i16::from(clamp.zero_point)),
            low: _mm256_set1_epi8(clamp.low as i8),
            high: _mm256_set1_epi8(clamp.high as i8),
        }
    }

    /// The contract's `quantise` for four vectors of values. Packing works within 128-bit halves: of each half of the bytes, four
    /// are those of the same half of each vector.
    ///
    /// Adding the zero point in saturating 16 bits is as good as in 32: what saturates is far beyond 0..=255 on the same side,
    /// before and after.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn quantise(&self, values: [__m256; 4]) -> __m256i {
        // The processor's default rounding, to the nearest even, is the only one that Rust programs run with.
        let ab = _mm256_packs_epi32(_mm256_cvtps_epi32(values[0]), _mm256_cvtps_epi32(values[1]));
        let cd = _mm256_packs_epi32(_mm256_cvtps_epi32(values[2]), _mm256_cvtps_epi32(values[3]));
        let bytes = _mm256_packus_epi16(_mm256_adds_epi16(ab, self.zero), _mm256_adds_epi16(cd, self.zero));
        _mm256_min_epu8(_mm256_max_epu8(bytes, self.low), self.high)
    }

    /// [`Rule::quantise`] with the bytes of each vector together.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn quantise_in_order(&self, values: [__m256; 4]) -> __m256i {
        _mm256_permutevar8x32_epi32(self.quantise(values), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
    }
}

/// A residual in registers: see [`Epilogue`].
#[derive(Clone, Copy)]
pub struct Addend {
    low: __m256,
    high: __m256,
    value_ratio: __m256,
    skip_zero: __m256i,
    skip_ratio: __m256,
}

impl Addend {
    /// Of the epilogue's residual; without one it means nothing.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn new(Epilogue { clamp, residual }: &Epilogue) -> Self {
        let from_zero = |bound: u8| _mm256_set1_ps(f32::from(bound) - f32::from(clamp.zero_point));
        let (zero, skip_ratio, value_ratio) =
            residual.as_ref().map_or((0, 0.0, 0.0), |r| (r.skip_zero, r.skip_ratio, r.value_ratio));
        Self {
            low: from_zero(clamp.low),
            high: from_zero(clamp.high),
            value_ratio: _mm256_set1_ps(value_ratio),
            skip_zero: _mm256_set1_epi32(zero.into()),
            skip_ratio: _mm256_set1_ps(skip_ratio),
        }
    }

    /// What the residual's formula rounds: the value and eight bytes of the other addend, in 32 bits.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn add(&self, value: __m256, skip: __m256i) -> __m256 {
        // Bounds are whole numbers, so that it makes no difference whether rounding comes first; clamping the distance from the
        // zero point saves adding and subtracting it.
        let value = _mm256_min_ps(_mm256_max_ps(value, self.low), self.high);
        let value = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(value);
        _mm256_add_ps(_mm256_mul_ps(value, self.value_ratio), scaled(skip, self.skip_zero, self.skip_ratio))
    }
}

/// `(x - zero) * ratio` for eight bytes in 32 bits, whose distances floats hold exactly.
#[target_feature(enable = "avx2")]
#[inline]
pub fn scaled(x: __m256i, zero: __m256i, ratio: __m256) -> __m256 {
    _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(x, zero)), ratio)
}

/// What becomes of a row's sums, made once for all of them.
pub struct Ending {
    pub rule: Rule,
    pub addend: Addend,
    /// The other addend, if there is one.
    skip: *const u8,
    skip_step: usize,
    pub out: *mut u8,
}

impl Ending {
    /// `out` is what the row has lent.
    #[target_feature(enable = "avx2")]
    pub fn new(epilogue: &Epilogue, out: *mut u8) -> Self {
        let (skip, skip_step) = epilogue.residual.map_or((std::ptr::null(), 0), |r| (r.skip.as_ptr(), r.skip_step));
        Self { rule: Rule::new(epilogue.last_clamp()), addend: Addend::new(epilogue), skip, skip_step, out }
    }

    /// Where the other addend of pixel `x` begins, if there is one.
    #[inline]
    pub fn skip(&self, x: usize) -> *const u8 {
        self.skip.wrapping_add(x * self.skip_step)
    }
}

/// Reads `count` bytes, at most eight, into the low half.
///
/// # Safety
///
/// `count` bytes at `from` may be read.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn load(from: *const u8, count: usize) -> __m128i {
    if count >= 8 {
        // SAFETY: eight bytes may be read, and the instruction asks for no alignment.
        unsafe { _mm_loadl_epi64(from.cast()) }
    } else {
        let mut bytes = [0u8; 8];
        // SAFETY: `count` < 8 bytes may be read, and fit into the array.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), count) };
        _mm_cvtsi64_si128(i64::from_le_bytes(bytes))
    }
}

/// Writes the first `count` bytes of the low half, at most eight.
///
/// # Safety
///
/// `count` bytes at `to` may be written.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn store(bytes: __m128i, to: *mut u8, count: usize) {
    match count {
        // SAFETY: eight bytes may be written, and the instruction asks for no alignment.
        8.. => unsafe { _mm_storel_epi64(to.cast(), bytes) },
        // The last layer has as many outputs as the square of the scale: 4 is the common one.
        // SAFETY: four bytes may be written, and the instruction asks for no alignment.
        4 => unsafe { _mm_storeu_si32(to, bytes) },
        _ => {
            let bytes = _mm_cvtsi128_si64(bytes).to_le_bytes();
            // SAFETY: `count` < 8 bytes may be written, and the array has as many.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, count) }
        }
    }
}

/// The four groups of [`Rule::quantise_in_order`], each in the low half.
#[target_feature(enable = "avx2")]
#[inline]
pub fn groups(bytes: __m256i) -> [__m128i; 4] {
    let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
    [low, _mm_unpackhi_epi64(low, low), high, _mm_unpackhi_epi64(high, high)]
}

/// Requantises the sums of `V * 8` outputs of `P` pixels from `x`, adds the residual and writes the bytes. `R`: there is a
/// residual. `F`: the outputs are all real.
///
/// # Safety
///
/// `x + P` is at most the row's pixels, `output + V * 8` at most the padded number of outputs; the ending is the row's.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn block<const R: bool, const F: bool, const V: usize, const P: usize>(
    row: &ConvRow,
    ending: &Ending,
    sums: &[[__m256i; V]; P],
    output: usize,
    x: usize,
) {
    // How many of the 8 outputs from `first` are real.
    let count = |first: usize| if F { 8 } else { row.outputs.saturating_sub(first).min(8) };
    // Groups of 8 outputs, four of them at a time; past the end the last one again, which is not stored.
    let groups = V * P;
    // SAFETY: `multiplier` has the padded number of outputs.
    let multiplier: [_; V] =
        std::array::from_fn(|v| unsafe { _mm256_loadu_ps(row.multiplier.as_ptr().add(output + v * 8)) });
    for group in (0..groups).step_by(4) {
        let value = |i: usize| {
            let i = (group + i).min(groups - 1);
            let (p, v) = (i / V, i % V);
            let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[p][v]), multiplier[v]);
            if !R {
                return value;
            }
            let first = output + v * 8;
            // SAFETY: the addend has `outputs` bytes at every pixel, and `count` stays within them.
            let skip = unsafe { load(ending.skip(x + p).wrapping_add(first), count(first)) };
            ending.addend.add(value, _mm256_cvtepu8_epi32(skip))
        };
        let bytes = ending.rule.quantise_in_order([value(0), value(1), value(2), value(3)]);
        let halves = [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes)];
        for (half, bytes) in halves.into_iter().enumerate() {
            let (first, second) = (group + half * 2, group + half * 2 + 1);
            let to = |i: usize| ending.out.wrapping_add((x + i / V) * row.out_step + output + i % V * 8);
            if first >= groups {
                break;
            }
            // SAFETY: groups below `groups` belong to pixels of the row, where `out` has `outputs` bytes: all
            // that the strip has when it is full, and else `count` of each group.
            unsafe {
                if F && V == 2 {
                    _mm_storeu_si128(to(first).cast(), bytes);
                } else {
                    let count = |i: usize| count(output + i % V * 8);
                    store(bytes, to(first), count(first));
                    if second < groups {
                        store(_mm_unpackhi_epi64(bytes, bytes), to(second), count(second));
                    }
                }
            }
        }
    }
}
