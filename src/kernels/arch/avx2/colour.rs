//! Rows of colour: the plain loops compiled for AVX2, and pixels of three bytes put together and taken apart by shuffles.

use std::arch::x86_64::*;

use crate::kernels::contract::{FINE_BITS, FilterPhase, WEIGHT_BITS};
use crate::kernels::scalar;

/// [`scalar::enlarge_row`], compiled for the level.
#[target_feature(enable = "avx2")]
fn enlarge_rest(phases: &[FilterPhase], row: &[i16], out: &mut [i16]) {
    scalar::enlarge_row(phases, row, out);
}

/// [`scalar::split_row`], compiled for the level.
#[target_feature(enable = "avx2")]
fn split_rest(channels: usize, row: &[u8], planes: &mut [u8]) {
    scalar::split_row(channels, row, planes);
}

/// Pixels at once.
const BLOCK: usize = 16;

/// Two 16-bit weights for products with neighbours that are added.
#[inline]
#[target_feature(enable = "avx2")]
fn pair(a: i32, b: i32) -> __m256i {
    _mm256_set1_epi32(b << 16 | a & 0xffff)
}

/// Bits 14 to 29 of each 32-bit sum: those of `even` in the lower half of 32 bits, those of `odd` in the upper.
#[inline]
#[target_feature(enable = "avx2")]
fn woven(even: __m256i, odd: __m256i) -> __m256i {
    _mm256_blend_epi16::<0b1010_1010>(_mm256_srli_epi32::<14>(even), _mm256_slli_epi32::<2>(odd))
}

/// A row enlarged by the number of phases.
pub fn enlarge_row(phases: &[FilterPhase], row: &[i16], out: &mut [i16]) {
    let [a, b] = *phases else {
        // SAFETY: the level is there (see `arch`).
        return unsafe { enlarge_rest(phases, row, out) };
    };
    // Samples of the row from which a block of each phase is made: 16 from each of 4 places.
    let most = row.len().saturating_sub(a.first.max(b.first) + 3) / BLOCK;
    let (blocks, _) = out.as_chunks_mut::<{ 2 * BLOCK }>();
    let blocks = blocks.len().min(most);
    // SAFETY: the level is there (see `arch`).
    unsafe {
        double_blocks([a, b], row, &mut out[..2 * BLOCK * blocks]);
        enlarge_rest(phases, &row[blocks * BLOCK..], &mut out[2 * BLOCK * blocks..]);
    }
}

/// [`enlarge_row`] by two for whole blocks: `row` has the neighbours of all samples.
#[target_feature(enable = "avx2")]
fn double_blocks(phases: [FilterPhase; 2], row: &[i16], out: &mut [i16]) {
    let weights = phases.map(|phase| {
        let [w0, w1, w2, w3] = phase.weights.map(i32::from);
        [pair(w0, w1), pair(w2, w3)]
    });
    let half = _mm256_set1_epi32(1 << (WEIGHT_BITS - 1));
    let (out, _) = out.as_chunks_mut::<{ 2 * BLOCK }>();
    for (i, out) in out.iter_mut().enumerate() {
        // Sums of every second sample of a phase, from sample 0 or 1 of the block.
        let sums = |phase: usize, from: usize| {
            let first = i * BLOCK + phases[phase].first + from;
            let near = |k: usize| many(row[first + k..].first_chunk().expect("sixteen neighbours"));
            let [w01, w23] = weights[phase];
            let two = _mm256_add_epi32(_mm256_madd_epi16(near(0), w01), half);
            _mm256_add_epi32(two, _mm256_madd_epi16(near(2), w23))
        };
        let even = woven(sums(0, 0), sums(1, 0));
        let odd = woven(sums(0, 1), sums(1, 1));
        let (low, high) = (_mm256_unpacklo_epi32(even, odd), _mm256_unpackhi_epi32(even, odd));
        let (first, second) = out.split_at_mut(BLOCK);
        put_many(_mm256_permute2x128_si256::<0x20>(low, high), first);
        put_many(_mm256_permute2x128_si256::<0x31>(low, high), second);
    }
}

/// Sixteen pixels of three bytes are three thirds of sixteen bytes. At place `j` of the `k`-th lies channel `(k + j) % 3`,
/// so that the samples of a channel take each place once in all thirds together, and one shuffle gets all of them there.
///
/// `SPREAD[c][j]`: the pixel whose channel `c` is at place `j`, in whichever third.
const SPREAD: [[u8; BLOCK]; 3] = {
    let mut places = [[0; BLOCK]; 3];
    let mut byte = 0;
    while byte < 3 * BLOCK {
        places[byte % 3][byte % BLOCK] = (byte / 3) as u8;
        byte += 1;
    }
    places
};

/// The other way round: `GATHER[c][p]` is the place of pixel `p`'s channel `c`.
const GATHER: [[u8; BLOCK]; 3] = {
    let mut places = [[0; BLOCK]; 3];
    let mut byte = 0;
    while byte < 3 * BLOCK {
        places[byte % 3][byte / 3] = (byte % BLOCK) as u8;
        byte += 1;
    }
    places
};

/// `EVERY_THIRD[r]` has all bits of the places `j` with `j % 3 == r`.
const EVERY_THIRD: [[u8; BLOCK]; 3] = {
    let mut masks = [[0; BLOCK]; 3];
    let mut place = 0;
    while place < BLOCK {
        masks[place % 3][place] = 0xff;
        place += 1;
    }
    masks
};

/// Planes of a row of pixels, one after the other.
pub fn split_row(channels: usize, row: &[u8], planes: &mut [u8]) {
    if channels != 3 {
        // SAFETY: the level is there (see `arch`).
        return unsafe { split_rest(channels, row, planes) };
    }
    let (blocks, _) = row.as_chunks::<{ 3 * BLOCK }>();
    let pixels = row.len() / 3;
    let (red, rest) = planes.split_at_mut(pixels);
    let (green, blue) = rest.split_at_mut(pixels);
    // SAFETY: the level is there (see `arch`).
    unsafe { split_blocks(blocks, [&mut *red, &mut *green, &mut *blue]) };
    for x in blocks.len() * BLOCK..pixels {
        [red[x], green[x], blue[x]] = [row[3 * x], row[3 * x + 1], row[3 * x + 2]];
    }
}

/// [`split_row`] for the pixels of the blocks.
#[target_feature(enable = "avx2")]
fn split_blocks(blocks: &[[u8; 3 * BLOCK]], planes: [&mut [u8]; 3]) {
    for (c, plane) in planes.into_iter().enumerate() {
        let (gather, masks) = (sixteen(&GATHER[c]), EVERY_THIRD.each_ref().map(|mask| sixteen(mask)));
        let (plane, _) = plane.as_chunks_mut::<BLOCK>();
        for (block, out) in blocks.iter().zip(plane) {
            let (thirds, _) = block.as_chunks::<BLOCK>();
            let part = |k: usize| _mm_and_si128(sixteen(&thirds[k]), masks[(c + 3 - k) % 3]);
            let samples = _mm_or_si128(_mm_or_si128(part(0), part(1)), part(2));
            put(_mm_shuffle_epi8(samples, gather), out);
        }
    }
}

/// Red, green and blue moved by as much as takes the fourth plane to `luma`. Samples are hardly beyond 0..=255, so that shifts fit
/// 16 bits, and a moved sample that does not is white.
pub fn shade_row(luma: &[u8], fine: [&[i16]; 4], out: &mut [u8]) {
    let (blocks, _) = out.as_chunks_mut::<{ 6 * BLOCK }>();
    let pixels = blocks.len() * 2 * BLOCK;
    // SAFETY: the level is there (see `arch`).
    unsafe { shade_blocks(&luma[..pixels], fine.map(|plane| &plane[..pixels]), blocks) };
    scalar::shade_row(&luma[pixels..], fine.map(|plane| &plane[pixels..]), &mut out[3 * pixels..]);
}

/// [`shade_row`] for as many luma and colour samples as the blocks have pixels.
#[target_feature(enable = "avx2")]
fn shade_blocks(luma: &[u8], fine: [&[i16]; 4], out: &mut [[u8; 6 * BLOCK]]) {
    let half = _mm256_set1_epi16(1 << (FINE_BITS - 1));
    let twice = |places: &[u8; BLOCK]| _mm256_broadcastsi128_si256(sixteen(places));
    let (spread, every_third) = (SPREAD.each_ref().map(twice), EVERY_THIRD.each_ref().map(twice));
    let (luma, _) = luma.as_chunks::<BLOCK>();
    let planes = fine.map(|plane| plane.as_chunks::<BLOCK>().0);
    // Sixteen pixels' red, green and blue.
    let shaded = |i: usize| {
        let [r, g, b, soft] = planes.map(|plane| many(&plane[i]));
        let wanted = _mm256_slli_epi16::<{ FINE_BITS as i32 }>(_mm256_cvtepu8_epi16(sixteen(&luma[i])));
        let shift = _mm256_add_epi16(_mm256_sub_epi16(wanted, soft), half);
        [r, g, b].map(|v| _mm256_srai_epi16::<{ FINE_BITS as i32 }>(_mm256_adds_epi16(v, shift)))
    };
    for (i, out) in out.iter_mut().enumerate() {
        let (left, right) = (shaded(2 * i), shaded(2 * i + 1));
        let bytes: [__m256i; 3] = std::array::from_fn(|c| {
            // Packing works within halves: put the quarters side by side again.
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(left[c], right[c]));
            _mm256_shuffle_epi8(packed, spread[c])
        });
        let (thirds, _) = out.as_chunks_mut::<BLOCK>();
        for k in 0..3 {
            let part = |c: usize| _mm256_and_si256(bytes[c], every_third[(c + 3 - k) % 3]);
            let both = _mm256_or_si256(_mm256_or_si256(part(0), part(1)), part(2));
            put(_mm256_castsi256_si128(both), &mut thirds[k]);
            put(_mm256_extracti128_si256::<1>(both), &mut thirds[3 + k]);
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sixteen(bytes: &[u8; BLOCK]) -> __m128i {
    // SAFETY: sixteen bytes.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn put(v: __m128i, out: &mut [u8; BLOCK]) {
    // SAFETY: sixteen bytes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), v) };
}

#[inline]
#[target_feature(enable = "avx2")]
fn many(samples: &[i16; BLOCK]) -> __m256i {
    // SAFETY: sixteen samples.
    unsafe { _mm256_loadu_si256(samples.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn put_many(v: __m256i, out: &mut [i16]) {
    let out: &mut [i16; BLOCK] = out.first_chunk_mut().expect("room for sixteen samples");
    // SAFETY: sixteen samples.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), v) };
}
