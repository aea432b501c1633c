//! Weights in the order in which [`short`](super::short) reads them.

use super::chains::{self, Kind, LONGEST};
use crate::kernels::contract::Weights;

/// Most sources that an output can have.
pub const MOST: usize = 72;
/// Strips of 12 outputs, not 8, are for those with more sources.
const WIDE: usize = 4;
/// Most taps of a window: their numbers are bytes.
pub const TAPS: usize = 256;

/// Weights of all strips, for two pixels or more.
#[derive(Debug)]
pub struct Chained {
    /// Outputs of a strip: 8 or 12.
    pub width: usize,
    pub strips: Vec<Strip>,
}

/// Where a source begins: a tap, and quads of bytes from where that begins.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub tap: u8,
    pub quad: u8,
}

/// A strip of outputs: what it reads, in the order of its chains, and the weights for that.
#[derive(Debug)]
pub struct Strip {
    /// Where each source begins: all sixteen bytes, or the first eight.
    pub firsts: Vec<Place>,
    /// What follows the eight of a sixteen in pieces, in each chain that has one: two fours.
    pub pieces: Vec<[Place; 2]>,
    /// Do both fours always lie together?
    pub eights: bool,
    /// `[chain][output][source][16]`; those of a half end in zeros.
    pub weights: Vec<i8>,
    /// Sources of the first chain, whether the last sixteen of it is read in pieces, and whether it ends with an eight.
    pub first: usize,
    pub pieced: bool,
    pub half: bool,
    /// Chains after it without pieces, then those that end with some: how many there are of each length, the longest first.
    pub others: [[usize; LONGEST]; 2],
    /// A bit for each of these counts that is not zero; the last is the longest's.
    pub present: [u8; 2],
}

impl Chained {
    /// Nothing if the weights do not suit.
    pub fn new(weights: &Weights) -> Option<Self> {
        let mut made = arranged(weights)?;
        // What is held is counted by its length.
        for strip in &mut made.strips {
            strip.firsts.shrink_to_fit();
            strip.pieces.shrink_to_fit();
            strip.weights.shrink_to_fit();
        }
        made.strips.shrink_to_fit();
        Some(made)
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let places = |strip: &Strip| size_of_val(&*strip.firsts) + size_of_val(&*strip.pieces);
        let strip = |strip: &Strip| places(strip) + strip.weights.len() + size_of::<Strip>();
        self.strips.iter().map(strip).sum()
    }
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
    /// Where it is; none if one of the numbers is no byte.
    fn place(&self, run: usize) -> Option<Place> {
        let (tap, quad) = (self.tap + self.begin / run, self.begin % run / 4);
        Some(Place { tap: tap.try_into().ok()?, quad: quad.try_into().ok()? })
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
    fn of(weights: &Weights) -> Self {
        let (mut wholes, mut eights, mut fours) = (vec![], vec![], vec![]);
        let (mut tap, mut first) = (0, 0);
        for (_, length) in weights.merged() {
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
            (tap, first) = (tap + length / weights.run, first + length);
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

fn arranged(weights: &Weights) -> Option<Chained> {
    let (outputs, padded, run) = (weights.outputs, weights.padded(), weights.run);
    let lengths: Vec<usize> = weights.merged().into_iter().map(|(_, length)| length).collect();
    if weights.taps.len() > TAPS || !lengths.iter().all(|&length| length >= 8 && length.is_multiple_of(4)) {
        return None;
    }
    let sources = Sources::of(weights);
    // Where more than a quarter of what is read is read twice, or too wide, quads of inputs are faster.
    let bytes: usize = lengths.iter().sum();
    if !(1..=MOST).contains(&sources.count()) || sources.count() * 16 * 3 > bytes * 4 {
        return None;
    }
    // Each output's weights, in the order of the sources.
    let mut lines = vec![vec![0; sources.count() * 16]; padded];
    for (source, pieces) in sources.pieces.iter().enumerate() {
        let mut to = source * 16;
        for piece in pieces {
            for byte in piece.new..piece.begin + piece.size {
                for (output, line) in lines.iter_mut().enumerate() {
                    let (quad, i) = ((piece.first + byte) / 4, byte % 4);
                    line[to + byte - piece.begin] = weights.data[(quad * padded + output) * 4 + i];
                }
            }
            to += piece.size;
        }
    }
    // Fewer strips load the activations less often, which tells where there are many.
    let width = if outputs == 12 || outputs.is_multiple_of(12) && sources.count() > WIDE { 12 } else { 8 };
    let strips = lines.chunks(width).take(outputs.div_ceil(width)).map(|lines| {
        let chains = sources.chains(lines)?;
        let pieced = |chain: &[usize]| chain.iter().any(|&source| sources.kind(source) == Kind::Pieced);
        let (first, others) = chains.split_first()?;
        let count = |pieces: usize, length: usize| {
            others.iter().filter(|chain| chain.len() == length && usize::from(pieced(chain)) == pieces).count()
        };
        let others: [[usize; LONGEST]; 2] =
            std::array::from_fn(|pieces| std::array::from_fn(|i| count(pieces, LONGEST - i)));
        let present = others.map(|counts| (0..LONGEST).map(|i| u8::from(counts[i] > 0) << i).sum());
        let pieces = |source: &usize| &sources.pieces[*source][..];
        let place = |piece: &Piece| {
            let place = piece.place(run)?;
            // The contract has each tap's run in the row, and so all of what is merged.
            let end = weights.merged_from(place.tap.into());
            assert!(usize::from(place.quad) * 4 + piece.size <= end, "{} bytes at {place:?} of {end}", piece.size);
            Some(place)
        };
        let firsts =
            chains.iter().flatten().map(|source| place(pieces(source).first()?)).collect::<Option<Vec<_>>>()?;
        let fours = chains.iter().flatten().map(pieces).filter(|pieces| pieces.len() > 1);
        let pieces = fours.map(|pieces| Some([place(&pieces[1])?, place(&pieces[2])?])).collect::<Option<Vec<_>>>()?;
        let at = |place: Place, more: usize| {
            let tap = weights.taps[usize::from(place.tap)];
            (tap.row, tap.step, tap.offset + usize::from(place.quad) * 4 + more)
        };
        Some(Strip {
            firsts,
            eights: pieces.iter().all(|&[four, next]| at(four, 4) == at(next, 0)),
            pieces,
            weights: chains
                .iter()
                .flat_map(|chain| {
                    lines.iter().flat_map(|line| chain.iter().flat_map(|source| &line[source * 16..][..16]))
                })
                .copied()
                .collect(),
            first: first.len(),
            pieced: pieced(first),
            half: sources.half,
            others,
            present,
        })
    });
    Some(Chained { width, strips: strips.collect::<Option<_>>()? })
}
