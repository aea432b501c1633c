//! Weights in the order in which [`conv_row_short`](super::short::conv_row_short) reads them.
//!
//! Each strip of outputs has `[counts][source][place][2]` and then `[chain][output][source]`. A chain reads all of its
//! sixteens together, or all as an eight and two fours. The counts are: outputs; sixteens in the first chain, 1 if they
//! are read together, 1 if an eight follows them; then of the other chains, for lengths of 4, 3, 2 and 1, those that read
//! together, and the rest. A place is a tap and the quads of bytes after its begin. Of the three places of a source the
//! last two mean nothing if all sixteen lie at the first, or if it is an eight.

use crate::kernels::{Tap, Window};

/// Most sixteens of inputs in a chain.
pub const LONGEST: usize = 4;
/// Most sources that an output can have.
pub const MOST: usize = 72;
/// Instructions of a chain of so many sixteens, less one, beside its multiplications: two pixels by 12 outputs.
const BESIDES: [u32; LONGEST] = [59, 60, 78, 81];
/// Most sources for which the best chains are looked for, among all.
const FEW: usize = 12;
/// Counts of a strip.
pub const COUNTS: usize = 4 + 2 * LONGEST;
/// Most taps of a window: their numbers are bytes.
pub const TAPS: usize = 256;
/// Places of a source.
pub const PLACES: usize = 3;

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

    /// Sixteen bytes as an eight and two fours.
    fn split(self) -> [Self; PLACES] {
        [(0, 8), (8, 4), (12, 4)].map(|(at, size)| Self { begin: self.begin + at, size, ..self })
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
    let width = if outputs == 12 || outputs.is_multiple_of(12) && sources.count() > LONGEST { 12 } else { 8 };
    let mut arranged = vec![];
    for strip in lines.chunks(width).take(outputs.div_ceil(width)) {
        let chains = chains(&sources, strip)?;
        let (first, others) = chains.split_first()?;
        arranged.extend([width, first.sources.len() - usize::from(sources.half)].map(|count| count as i8));
        arranged.extend([first.together, sources.half].map(i8::from));
        for length in (1..=LONGEST).rev() {
            let is = |chain: &&Chain, together| chain.sources.len() == length && chain.together == together;
            arranged.extend([true, false].map(|together| others.iter().filter(|c| is(c, together)).count() as i8));
        }
        for chain in &chains {
            for &source in &chain.sources {
                let pieces = &sources.pieces[source];
                let pieces = match pieces[..] {
                    [whole] if whole.size == 16 && !chain.together => whole.split(),
                    _ => std::array::from_fn(|i| pieces[i.min(pieces.len() - 1)]),
                };
                for piece in pieces {
                    arranged.extend(piece.place(window)?);
                }
            }
        }
        for chain in &chains {
            for line in strip {
                for &source in &chain.sources {
                    let size = if sources.half && source + 1 == sources.count() { 8 } else { 16 };
                    arranged.extend(&line[source * 16..][..size]);
                }
            }
        }
    }
    Some(arranged)
}

/// Sources whose products are added up in 16 bits.
#[derive(Clone)]
struct Chain {
    /// Are its sixteens read together?
    together: bool,
    sources: Vec<usize>,
}

/// Can products of these magnitudes of weights meet in lanes of 16 bits?
fn fits(sums: &[u32]) -> bool {
    sums.iter().all(|&sum| sum <= 255)
}

/// These few sources in chains, so that a strip of 12 outputs takes the fewest instructions. Each must fit by itself.
fn cheapest(magnitudes: &[Vec<u32>], sources: &[usize]) -> Vec<Vec<usize>> {
    let members =
        |set: usize| sources.iter().enumerate().filter(move |(i, _)| set >> i & 1 > 0).map(|(_, &source)| source);
    let chain = |set: &usize| {
        let mut sums = vec![0; magnitudes.first().map_or(0, Vec::len)];
        members(*set).for_each(|source| sums.iter_mut().zip(&magnitudes[source]).for_each(|(sum, m)| *sum += m));
        fits(&sums)
    };
    let sets = 1..1usize << sources.len();
    let chains: Vec<usize> = sets.clone().filter(|set| set.count_ones() as usize <= LONGEST).filter(chain).collect();
    // Of every set of sources: what its chains cost, and the one that has the first of them.
    let mut best = vec![(0, 0)];
    for set in sets {
        let first = set & set.wrapping_neg();
        let among = chains.iter().filter(|&&chain| chain & first > 0 && chain & !set == 0);
        let costs = among.map(|&chain| (best[set ^ chain].0 + BESIDES[chain.count_ones() as usize - 1], chain));
        best.push(costs.min().expect("a source fits by itself"));
    }
    let last = best.len() - 1;
    let sets = std::iter::successors(Some(last), |&set| Some(set ^ best[set].1)).take_while(|&set| set > 0);
    sets.map(|set| members(best[set].1).collect()).collect()
}

/// Sources in chains, for the strip of these outputs' weights. The eight that is left ends the first chain; the others
/// follow, the longest first. None if a source does not even fit by itself.
fn chains(sources: &Sources, strip: &[Vec<i8>]) -> Option<Vec<Chain>> {
    // What a source adds to each lane of each output.
    let magnitudes = |source: usize| -> Vec<u32> {
        let lanes = strip.iter().flat_map(|line| {
            let weights = &line[source * 16..][..16];
            (0..8).map(|lane| u32::from(weights[lane].unsigned_abs()) + u32::from(weights[lane + 8].unsigned_abs()))
        });
        lanes.collect()
    };
    let magnitudes: Vec<_> = (0..sources.count()).map(magnitudes).collect();
    if !magnitudes.iter().all(|m| fits(m)) {
        return None;
    }
    // The heaviest are the hardest to place.
    let heaviest_first = |range: std::ops::Range<usize>| {
        let mut range: Vec<usize> = range.collect();
        range.sort_by_key(|&source| std::cmp::Reverse(magnitudes[source].iter().max()));
        range
    };
    let mut wholes = heaviest_first(0..sources.together);
    let mut others = heaviest_first(sources.together..sources.count() - usize::from(sources.half));
    let grow = |chain: &mut Vec<usize>, left: &mut Vec<usize>| {
        let mut sums = vec![0; magnitudes[0].len()];
        chain.iter().for_each(|&source| sums.iter_mut().zip(&magnitudes[source]).for_each(|(sum, m)| *sum += m));
        left.retain(|&source| {
            let more: Vec<u32> = sums.iter().zip(&magnitudes[source]).map(|(sum, m)| sum + m).collect();
            let joins = chain.len() < LONGEST && fits(&more);
            if joins {
                chain.push(source);
                sums = more;
            }
            !joins
        });
    };
    let last = sources.count() - 1;
    let mut chains = vec![];
    if sources.half {
        let together = others.is_empty();
        let mut chain = vec![last];
        grow(&mut chain, if together { &mut wholes } else { &mut others });
        chains.push(Chain { together, sources: chain });
    }
    for (together, mut left) in [(true, wholes), (false, others)] {
        while left.len() > FEW {
            let mut chain = vec![];
            grow(&mut chain, &mut left);
            chains.push(Chain { together, sources: chain });
        }
        chains.extend(cheapest(&magnitudes, &left).into_iter().map(|sources| Chain { together, sources }));
    }
    // A chain less is worth a few more loads: one or two sixteens that lie together join others that do not.
    let short = |chain: &Chain| chain.together && chain.sources.len() <= 2 && !chain.sources.contains(&last);
    while let Some(i) = chains.iter().position(short) {
        let mut fewer = chains.clone();
        let mut left = fewer.remove(i).sources;
        fewer.iter_mut().filter(|chain| !chain.together).for_each(|chain| grow(&mut chain.sources, &mut left));
        if !left.is_empty() {
            break;
        }
        chains = fewer;
    }
    let (first, others) = chains.split_at_mut(usize::from(sources.half));
    first.iter_mut().for_each(|chain| chain.sources.rotate_left(1));
    others.sort_by_key(|chain| (std::cmp::Reverse(chain.sources.len()), !chain.together));
    Some(chains)
}
