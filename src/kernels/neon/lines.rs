//! What [`conv_row_short`](super::short::conv_row_short) reads of a row, where, and in which order.

use super::arrange::{COUNTS, MOST, TAPS};
use super::chains::LONGEST;
use super::conv::Row;
use crate::kernels::dispatch::reach;

/// Where inputs of the first pixel lie, and the bytes from pixel to pixel.
pub type Place = (*const u8, usize);

/// What a strip reads, in the order of its chains: sources, and the weights of its outputs for them.
pub struct Lines<'a> {
    /// Where each source begins: all sixteen, or the first eight.
    pub firsts: &'a [*const u8],
    /// Bytes from pixel to pixel there, unless they are the same everywhere.
    pub steps: &'a [usize],
    pub step: usize,
    /// What follows the eight of a sixteen in pieces, in each chain that has one: an eight, or two fours.
    pub pieces: &'a [[Place; 2]],
    pub eights: bool,
    pub weights: &'a [i8],
    /// Sources of the first chain, whether the last sixteen of it is read in pieces, and whether it ends with an eight.
    pub first: usize,
    pub pieced: bool,
    pub half: bool,
    /// Chains after it without pieces, then those that end with some: how many there are of each length, the longest first.
    pub others: [[usize; LONGEST]; 2],
    /// A bit for each of these counts that is not nought; the last is the longest's.
    pub present: [u8; 2],
}

/// Room for what [`Lines`] refer to. Like the taps it is filled where it stands: kilobytes would be copied for every row.
pub struct Places {
    pub firsts: heapless::Vec<*const u8, MOST>,
    pub steps: heapless::Vec<usize, MOST>,
    pub pieces: heapless::Vec<[Place; 2], MOST>,
}

/// The taps of a row.
pub struct Taps {
    /// Each one's first byte, how many are there for all pixels from there on, and the bytes from pixel to pixel.
    pub taps: heapless::Vec<(*const u8, usize, usize), TAPS>,
    /// The last of these, if it is the same for all.
    pub step: Option<usize>,
}

impl Taps {
    pub fn fill(&mut self, row: &Row) {
        let step = row.window.taps[0].step;
        self.step = row.window.taps.iter().all(|tap| tap.step == step).then_some(step);
        for tap in row.window.taps.iter().take(TAPS) {
            let bytes = &row.rows[tap.row][tap.offset..];
            let room = (bytes.len() + 1).saturating_sub(reach(row.pixels, tap.step, 0, 1));
            let _ = self.taps.push((bytes.as_ptr(), room, tap.step));
        }
    }

    /// Where `size` bytes lie. `place`: see [`arrange`](super::arrange).
    ///
    /// Panics when they are not there for all pixels.
    fn at(&self, place: &[i8], size: usize) -> Place {
        let (first, room, step) = self.taps[usize::from(place[0] as u8)];
        let begin = usize::from(place[1] as u8) * 4;
        assert!(room >= begin + size, "{size} bytes from {begin} on of {room}");
        (first.wrapping_add(begin), step)
    }
}

impl<'a> Lines<'a> {
    /// Those of a strip of `width` outputs, as [`arrange`](super::arrange::arrange) has left it.
    ///
    /// Panics when its parts do not go together, or reach past the rows.
    pub fn read(strip: &'a [i8], width: usize, taps: &Taps, room: &'a mut Places) -> Self {
        let (counts, strip) = strip.split_at(COUNTS);
        let count = |i: usize| usize::from(counts[i] as u8);
        let (first, pieced, half) = (count(1), count(2) > 0, count(3) > 0);
        let others: [[usize; LONGEST]; 2] =
            std::array::from_fn(|pieces| std::array::from_fn(|i| count(4 + pieces * LONGEST + i)));
        let lengths = |counts: [usize; LONGEST]| counts.into_iter().enumerate().map(|(i, count)| (LONGEST - i, count));
        let total = first + others.into_iter().flat_map(lengths).map(|(length, count)| length * count).sum::<usize>();
        let in_pieces = usize::from(pieced) + others[1].iter().sum::<usize>();
        let (mut firsts, strip) = strip.split_at(total * 2);
        let (pieces, weights) = strip.split_at(in_pieces * 4);
        assert!(total <= MOST && (1..=LONGEST).contains(&first), "{total} sources, {first} in the first chain");
        assert!(usize::from(pieced) + usize::from(half) <= first, "pieces and a half of {first} sources");
        assert!(weights.len() == total * 16 * width, "{} weights", weights.len());
        let mut chain = |length: usize, eights: usize| {
            let (places, rest) = firsts.split_at(length * 2);
            let (wholes, eights) = places.split_at((length - eights) * 2);
            for (places, size) in [(wholes, 16), (eights, 8)] {
                for place in places.chunks_exact(2) {
                    let (first, step) = taps.at(place, size);
                    let _ = room.firsts.push(first);
                    if taps.step.is_none() {
                        let _ = room.steps.push(step);
                    }
                }
            }
            firsts = rest;
        };
        chain(first, usize::from(pieced) + usize::from(half));
        for (pieces, counts) in others.into_iter().enumerate() {
            for (length, count) in lengths(counts) {
                (0..count).for_each(|_| chain(length, pieces));
            }
        }
        let mut eights = true;
        for places in pieces.chunks_exact(4) {
            let [four, next] = [taps.at(&places[..2], 4), taps.at(&places[2..], 4)];
            eights &= next == (four.0.wrapping_add(4), four.1);
            let _ = room.pieces.push([four, next]);
        }
        let present = others.map(|counts| {
            let bits = counts.iter().enumerate().map(|(i, &count)| u8::from(count > 0) << i);
            bits.sum()
        });
        let (Places { firsts, steps, pieces }, step) = (room, taps.step.unwrap_or(0));
        Lines { firsts, steps, step, pieces, eights, weights, first, pieced, half, others, present }
    }
}
