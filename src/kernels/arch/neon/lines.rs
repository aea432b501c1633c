//! What [`short`](super::short) reads of a row, and where.

use super::arrange::{self, MOST, Strip, TAPS};
use super::chains::LONGEST;
use crate::kernels::contract::ConvRow;

/// Where inputs of the first pixel lie, and the bytes from pixel to pixel.
pub type Place = (*const u8, usize);

/// What a strip reads in a row, in the order of its chains: sources, and the weights of its outputs for them; see [`Strip`].
pub struct Lines<'a> {
    pub firsts: &'a [*const u8],
    /// Bytes from pixel to pixel there, unless they are the same everywhere.
    pub steps: &'a [usize],
    pub step: usize,
    pub pieces: &'a [[Place; 2]],
    pub eights: bool,
    pub weights: &'a [i8],
    pub first: usize,
    pub pieced: bool,
    pub half: bool,
    pub others: [[usize; LONGEST]; 2],
    pub present: [u8; 2],
}

/// What [`Lines`] refer to. Like the taps it is filled where it stands: kilobytes would be copied for every row.
pub struct Places {
    pub firsts: heapless::Vec<*const u8, MOST>,
    pub steps: heapless::Vec<usize, MOST>,
    pub pieces: heapless::Vec<[Place; 2], MOST>,
}

/// The taps of a row.
pub struct Taps {
    /// Each one's first byte, and the bytes from pixel to pixel.
    pub taps: heapless::Vec<Place, TAPS>,
    /// The latter, if it is the same for all.
    pub step: Option<usize>,
}

impl Taps {
    pub fn fill(&mut self, row: &ConvRow) {
        let step = row.taps[0].step;
        self.step = row.taps.iter().all(|tap| tap.step == step).then_some(step);
        for tap in row.taps {
            // There are no more taps than this takes (see `arrange`).
            let _ = self.taps.push((row.rows[tap.row][tap.offset..].as_ptr(), tap.step));
        }
    }

    fn at(&self, place: arrange::Place) -> Place {
        let (first, step) = self.taps[usize::from(place.tap)];
        (first.wrapping_add(usize::from(place.quad) * 4), step)
    }
}

impl<'a> Lines<'a> {
    /// Those of a strip.
    pub fn new(strip: &'a Strip, taps: &Taps, places: &'a mut Places) -> Self {
        for &place in &strip.firsts {
            // There are no more sources than this takes (see `arrange`).
            let (first, step) = taps.at(place);
            let _ = places.firsts.push(first);
            if taps.step.is_none() {
                let _ = places.steps.push(step);
            }
        }
        for &[four, next] in &strip.pieces {
            let _ = places.pieces.push([taps.at(four), taps.at(next)]);
        }
        let Strip { eights, first, pieced, half, others, present, ref weights, .. } = *strip;
        let (Places { firsts, steps, pieces }, step) = (places, taps.step.unwrap_or(0));
        Lines { firsts, steps, step, pieces, eights, weights, first, pieced, half, others, present }
    }
}
