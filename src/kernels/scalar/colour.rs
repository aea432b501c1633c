//! Rows of the bicubic filter, and colour from luma. The loops run over neighbours in memory, so that a compiler that
//! may use wider vectors does: the levels' own are these.

use crate::kernels::contract::{FINE_BITS, FilterPhase, WEIGHT_BITS, luma, round_sample};

/// Samples that are enlarged at once.
const BLOCK: usize = 16;

#[inline(always)]
pub fn split_row(channels: usize, row: &[u8], planes: &mut [u8]) {
    match channels {
        2 => split::<2>(row, planes),
        3 => split::<3>(row, planes),
        4 => split::<4>(row, planes),
        _ => panic!("pixels of {channels} channels"),
    }
}

#[inline(always)]
fn split<const C: usize>(row: &[u8], planes: &mut [u8]) {
    let (pixels, _) = row.as_chunks::<C>();
    for (channel, plane) in planes.chunks_exact_mut(pixels.len().max(1)).enumerate() {
        plane.iter_mut().zip(pixels).for_each(|(sample, pixel)| *sample = pixel[channel]);
    }
}

#[inline(always)]
pub fn luma_row(planes: [&[u8]; 3], out: &mut [u8]) {
    let planes = planes.map(|plane| &plane[..out.len()]);
    out.iter_mut().enumerate().for_each(|(x, out)| *out = luma(planes.map(|plane| plane[x])));
}

#[inline(always)]
pub fn blend_rows(weights: [i16; 4], rows: [&[u8]; 4], out: &mut [i16]) {
    const BITS: u32 = WEIGHT_BITS - FINE_BITS;
    let rows = rows.map(|row| &row[..out.len()]);
    for (x, out) in out.iter_mut().enumerate() {
        let product = |k: usize| i32::from(weights[k]) * i32::from(rows[k][x]);
        *out = ((product(0) + product(1) + product(2) + product(3) + (1 << (BITS - 1))) >> BITS) as i16;
    }
}

#[inline(always)]
pub fn enlarge_row(phases: &[FilterPhase], row: &[i16], out: &mut [i16]) {
    match *phases {
        [a, b] => enlarge_by([a, b], row, out),
        [a, b, c] => enlarge_by([a, b, c], row, out),
        [a, b, c, d] => enlarge_by([a, b, c, d], row, out),
        _ => {
            for (p, phase) in phases.iter().enumerate() {
                let samples = out.iter_mut().skip(p).step_by(phases.len());
                samples.zip(row[phase.first..].windows(4)).for_each(|(out, v)| *out = phase.sum(v));
            }
        }
    }
}

/// [`enlarge_row`] by a factor that is known when it is compiled, as the size of a block is: a loop of any length would
/// leave up to two blocks to single steps.
#[inline(always)]
fn enlarge_by<const N: usize>(phases: [FilterPhase; N], row: &[i16], out: &mut [i16]) {
    let (out, _) = out.as_chunks_mut::<N>();
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    let done = blocks.len() * BLOCK;
    for (i, block) in blocks.iter_mut().enumerate() {
        let neighbours = |phase: FilterPhase| row[i * BLOCK + phase.first..].first_chunk::<{ BLOCK + 3 }>();
        let rows = phases.map(|phase| neighbours(phase).expect("four neighbours of every sample"));
        for x in 0..BLOCK {
            for p in 0..N {
                block[x][p] = phases[p].sum(&rows[p][x..x + 4]);
            }
        }
    }
    for (x, out) in rest.iter_mut().enumerate() {
        for p in 0..N {
            out[p] = phases[p].sum(&row[done + x + phases[p].first..][..4]);
        }
    }
}

impl FilterPhase {
    #[inline(always)]
    fn sum(&self, v: &[i16]) -> i16 {
        let product = |k: usize| i32::from(self.weights[k]) * i32::from(v[k]);
        ((product(0) + product(1) + product(2) + product(3) + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS) as i16
    }
}

#[inline(always)]
pub fn round_row(fine: &[i16], out: &mut [u8]) {
    out.iter_mut().zip(fine).for_each(|(out, v)| *out = round_sample(i32::from(*v)));
}

#[inline(always)]
pub fn shade_row(luma: &[u8], fine: [&[i16]; 4], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<3>();
    let (luma, fine) = (&luma[..out.len()], fine.map(|row| &row[..out.len()]));
    for (x, out) in out.iter_mut().enumerate() {
        *out = shade(luma[x], fine.map(|row| i32::from(row[x])));
    }
}

#[inline(always)]
pub fn shade_alpha_row(luma: &[u8], fine: [&[i16]; 5], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<4>();
    let (luma, fine) = (&luma[..out.len()], fine.map(|row| &row[..out.len()]));
    for (x, out) in out.iter_mut().enumerate() {
        let [r, g, b, alpha, soft] = fine.map(|row| i32::from(row[x]));
        let [r, g, b] = shade(luma[x], [r, g, b, soft]);
        *out = [r, g, b, round_sample(alpha)];
    }
}

/// Red, green and blue moved by as much as takes `soft` to `luma`.
#[inline(always)]
fn shade(luma: u8, [r, g, b, soft]: [i32; 4]) -> [u8; 3] {
    let shift = (i32::from(luma) << FINE_BITS) - soft;
    [r, g, b].map(|v| round_sample(v + shift))
}
