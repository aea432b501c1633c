//! Weights in the order in which [`conv_row_short`](super::short::conv_row_short) reads them.
//!
//! Each strip of outputs has `[counts]`, `[source][place]`, `[chain with pieces][2][place]` and `[chain][output][source]`,
//! sixteen weights for each source. The counts are: outputs; sources of the first chain, 1 if its last sixteen is read in
//! pieces, 1 if an eight ends it, whose sixteen weights end in zeros; then of the other chains how many there are of each
//! length, from the longest to one, first of those without pieces, then of those that end with some. A place is a tap and
//! the quads of bytes after its begin: of all sixteen, of an eight, or of pieces first the eight, and then both fours.

use super::chains::{self, Kind, LONGEST};
use crate::kernels::{Tap, Window};

/// Most sources that an output can have.
pub const MOST: usize = 72;
/// Strips of 12 outputs, not 8, are for those with more sources.
const WIDE: usize = 4;
/// Counts of a strip.
pub const COUNTS: usize = 4 + 2 * LONGEST;
/// Most taps of a window: their numbers are bytes.
pub const TAPS: usize = 256;

/// Taps that continue each other, as one each: with the bytes that are read there.
fn runs(window: &Window) -> impl Iterator<Item = (Tap, usize)> {
    let follows = move |a: &Tap, b: &Tap| a.row == b.row && a.step == b.step && a.offset + window.run == b.offset;
    window.taps.chunk_by(follows).map(move |taps| (taps[0], taps.len() * window.run))
}

/// Sixteen, eight or four bytes of a run that are read at once, from `begin` in it. Those before `new` are in another
/// piece, and meet zero weights here.
#[derive(Clone, Copy)]
struct Piece {
    /// The run's first tap.
    tap: usize,
    /// Bytes of the runs before it.
    first: usize,
    begin: usize,
    new: usize,
    size: usize,
}

impl Piece {
    /// Its tap and the quads after where that begins; none if one of them is no byte.
    fn place(&self, window: &Window) -> Option<[i8; 2]> {
        let place = [self.tap + self.begin / window.run, self.begin % window.run / 4];
        (place[0] < TAPS && place[1] <= 255).then(|| place.map(|i| i as u8 as i8))
    }

    /// Four bytes as the last of eight.
    fn widened(self) -> Self {
        Self { begin: self.begin - 4, size: 8, ..self }
    }

    /// Eight bytes as two fours.
    fn halves(self) -> [Self; 2] {
        [0, 4].map(|at| Self { begin: self.begin + at, new: self.new.max(self.begin + at), size: 4, ..self })
    }

    /// The same bytes again, for nothing.
    fn blank(self) -> Self {
        Self { new: self.begin + self.size, ..self }
    }
}

/// What an output reads, in this order: sixteens that lie together, others made of an eight and two fours, and perhaps an
/// eight that is left.
struct Sources {
    pieces: Vec<Vec<Piece>>,
    together: usize,
    half: bool,
}

impl Sources {
    /// Of runs of at least eight bytes, whole quads.
    fn of(window: &Window) -> Self {
        let (mut wholes, mut eights, mut fours) = (vec![], vec![], vec![]);
        let (mut tap, mut first) = (0, 0);
        for (_, length) in runs(window) {
            let rest = length % 16;
            let piece = |begin: usize, new: usize, size: usize| Piece { tap, first, begin, new, size };
            let last = |size: usize| piece(length - size, length - rest.min(size), size);
            wholes.extend((0..length - rest).step_by(16).map(|begin| vec![piece(begin, begin, 16)]));
            match rest {
                4 => fours.push(last(4)),
                8 => eights.push(last(8)),
                12 if length > 12 => wholes.push(vec![last(16)]),
                12 => {
                    eights.push(piece(0, 0, 8));
                    fours.push(last(4));
                }
                _ => {}
            }
            (tap, first) = (tap + length / window.run, first + length);
        }
        let (together, mut pieces, mut half) = (wholes.len(), wholes, false);
        while let Some(eight) = eights.pop().or_else(|| fours.pop().map(Piece::widened)) {
            let upper = match (fours.pop(), fours.pop()) {
                (Some(four), other) => Some([four, other.unwrap_or(four.blank())]),
                _ => eights.pop().map(Piece::halves),
            };
            half = upper.is_none();
            pieces.push([eight].into_iter().chain(upper.into_iter().flatten()).collect());
        }
        Self { pieces, together, half }
    }

    fn count(&self) -> usize {
        self.pieces.len()
    }

    fn kind(&self, source: usize) -> Kind {
        if source < self.together {
            Kind::Whole
        } else if self.half && source + 1 == self.count() {
            Kind::Half
        } else {
            Kind::Pieced
        }
    }

    /// For the weights of a strip of outputs.
    fn chains(&self, strip: &[Vec<i8>]) -> Option<Vec<Vec<usize>>> {
        let source = |source: usize| {
            let lanes = strip.iter().flat_map(|line| {
                let weights = &line[source * 16..][..16];
                (0..8).map(|lane| u32::from(weights[lane].unsigned_abs()) + u32::from(weights[lane + 8].unsigned_abs()))
            });
            chains::Source { kind: self.kind(source), magnitudes: lanes.collect() }
        };
        chains::chains(&(0..self.count()).map(source).collect::<Vec<_>>())
    }
}

/// What the module describes, or nothing if the weights do not suit. `data` is as [`crate::kernels::Weights`] has it.
pub fn arrange(window: &Window, outputs: usize, data: &[i8]) -> Vec<i8> {
    arranged(window, outputs, data).unwrap_or_default()
}

fn arranged(window: &Window, outputs: usize, data: &[i8]) -> Option<Vec<i8>> {
    let suits = |length: usize| length >= 8 && length.is_multiple_of(4);
    if !runs(window).all(|(_, length)| suits(length)) {
        return None;
    }
    let sources = Sources::of(window);
    // Where more than a quarter of what is read is read twice, or too wide, quads of inputs are faster.
    let bytes: usize = runs(window).map(|(_, length)| length).sum();
    if !(1..=MOST).contains(&sources.count()) || sources.count() * 16 * 3 > bytes * 4 {
        return None;
    }
    // Each output's weights, in the order of the sources.
    let padded = outputs.next_multiple_of(8);
    let mut lines = vec![vec![0; sources.count() * 16]; padded];
    for (source, pieces) in sources.pieces.iter().enumerate() {
        let mut to = source * 16;
        for piece in pieces {
            for byte in piece.new..piece.begin + piece.size {
                for (output, line) in lines.iter_mut().enumerate() {
                    let (quad, i) = ((piece.first + byte) / 4, byte % 4);
                    line[to + byte - piece.begin] = data[(quad * padded + output) * 4 + i];
                }
            }
            to += piece.size;
        }
    }
    // Fewer strips load the activations less often, which tells where there are many.
    let width = if outputs == 12 || outputs.is_multiple_of(12) && sources.count() > WIDE { 12 } else { 8 };
    let mut arranged = vec![];
    for strip in lines.chunks(width).take(outputs.div_ceil(width)) {
        let chains = sources.chains(strip)?;
        let pieced = |chain: &[usize]| chain.iter().any(|&source| sources.kind(source) == Kind::Pieced);
        let (first, others) = chains.split_first()?;
        arranged.extend([width, first.len()].map(|count| count as i8));
        arranged.extend([pieced(first), sources.half].map(i8::from));
        for pieces in [false, true] {
            for length in (1..=LONGEST).rev() {
                let is = |chain: &&Vec<usize>| chain.len() == length && pieced(chain) == pieces;
                arranged.push(others.iter().filter(is).count() as i8);
            }
        }
        let pieces = |source: &usize| sources.pieces[*source].iter();
        for first in chains.iter().flatten().filter_map(|source| pieces(source).next()) {
            arranged.extend(first.place(window)?);
        }
        for four in chains.iter().flatten().flat_map(|source| pieces(source).skip(1)) {
            arranged.extend(four.place(window)?);
        }
        for chain in &chains {
            for line in strip {
                chain.iter().for_each(|source| arranged.extend(&line[source * 16..][..16]));
            }
        }
    }
    Some(arranged)
}
