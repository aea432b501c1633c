//! Which products are added up in 16 bits before they go to the 32-bit sums: see [`short`](super::short).

/// Most sources in a chain.
pub const LONGEST: usize = 5;
/// Instructions of a chain of so many sources, less one, beside its multiplications: two pixels by 12 outputs.
const BESIDES: [u32; LONGEST] = [57, 56, 64, 65, 84];
/// And those of a source that is read in pieces; of chains with one that are not the first, each kind is looked for.
const PIECED: u32 = 8;
const LATE: u32 = 8;
/// Most sources for which the best chains are looked for, among all.
const FEW: usize = 14;

/// How a source is read, in the order in which a chain has them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Sixteen inputs that lie together.
    Whole,
    /// Sixteen as an eight and two fours; at most one in a chain.
    Pieced,
    /// Eight; at most one in all.
    Half,
}

/// Inputs that are read at once, and what they add to each lane of each output at most, in 128ths.
pub struct Source {
    pub kind: Kind,
    pub magnitudes: Vec<u32>,
}

/// All sources in chains: first the one that ends with a half, if there is one; then those without pieces, from the longest
/// to the shortest, and those with some. None if a source does
/// not even fit by itself.
pub fn chains(sources: &[Source]) -> Option<Vec<Vec<usize>>> {
    if !sources.iter().all(|source| fits(&source.magnitudes)) {
        return None;
    }
    // The heaviest are the hardest to place.
    let mut left: Vec<usize> = (0..sources.len()).collect();
    left.sort_by_key(|&source| std::cmp::Reverse(sources[source].magnitudes.iter().max()));
    let mut chains = vec![];
    while left.len() > FEW {
        let mut chain = Partial::new(sources);
        left.retain(|&source| !chain.join(source));
        chains.push(chain.members);
    }
    chains.extend(cheapest(sources, &left));
    let kind = |source: usize| sources[source].kind;
    for chain in &mut chains {
        chain.sort_by_key(|&source| (kind(source), source));
    }
    let half = |chain: &Vec<usize>| chain.iter().any(|&source| kind(source) == Kind::Half);
    let pieced = |chain: &Vec<usize>| chain.iter().any(|&source| kind(source) == Kind::Pieced);
    chains.sort_by_key(|chain| (!half(chain), pieced(chain), std::cmp::Reverse(chain.len())));
    Some(chains)
}

/// Can products of these magnitudes of weights meet in lanes of 16 bits?
fn fits(sums: &[u32]) -> bool {
    sums.iter().all(|&sum| sum <= 255)
}

/// A chain that may yet grow.
#[derive(Clone)]
struct Partial<'a> {
    sources: &'a [Source],
    members: Vec<usize>,
    pieced: bool,
    /// What all of them add to each lane.
    sums: Vec<u32>,
}

impl<'a> Partial<'a> {
    fn new(sources: &'a [Source]) -> Self {
        Self { sources, members: vec![], pieced: false, sums: vec![0; sources[0].magnitudes.len()] }
    }

    /// Takes the source in, if there is room for it.
    fn join(&mut self, source: usize) -> bool {
        let Source { kind, magnitudes } = &self.sources[source];
        let pieced = *kind == Kind::Pieced;
        if self.members.len() == LONGEST || pieced && self.pieced {
            return false;
        }
        let sums: Vec<u32> = self.sums.iter().zip(magnitudes).map(|(sum, magnitude)| sum + magnitude).collect();
        let joins = fits(&sums);
        if joins {
            self.members.push(source);
            self.pieced |= pieced;
            self.sums = sums;
        }
        joins
    }

    fn cost(&self) -> u32 {
        let half = self.members.iter().any(|&source| self.sources[source].kind == Kind::Half);
        BESIDES[self.members.len() - 1]
            + match (self.pieced, half) {
                (false, _) => 0,
                (true, true) => PIECED,
                (true, false) => PIECED + LATE,
            }
    }
}

/// These few sources in chains, so that a strip of 12 outputs takes the fewest instructions. Each must fit by itself.
fn cheapest(sources: &[Source], few: &[usize]) -> Vec<Vec<usize>> {
    /// All that a chain may grow to with sources from `next` on, by its first one: sets of `few`, and what they cost.
    fn grow(chain: &Partial, set: usize, next: usize, few: &[usize], found: &mut [Vec<(usize, u32)>]) {
        for (i, &source) in few.iter().enumerate().skip(next) {
            let mut longer = chain.clone();
            if longer.join(source) {
                let set = set | 1 << i;
                found[set.trailing_zeros() as usize].push((set, longer.cost()));
                grow(&longer, set, i + 1, few, found);
            }
        }
    }
    let mut found = vec![vec![]; few.len()];
    grow(&Partial::new(sources), 0, 0, few, &mut found);
    // Of every set that chains can make, each with the first source that is left: the least cost, and its last chain.
    let all = (1 << few.len()) - 1;
    let mut best = vec![None; all + 1];
    best[0] = Some((0, 0));
    for done in 0..all {
        let Some((cost, _)) = best[done] else { continue };
        for &(chain, more) in &found[done.trailing_ones() as usize] {
            let to = &mut best[done | chain];
            if done & chain == 0 && to.is_none_or(|(least, _)| cost + more < least) {
                *to = Some((cost + more, chain));
            }
        }
    }
    let last = |set: usize| best[set].expect("a source fits by itself").1;
    let sets = std::iter::successors(Some(all), |&set| Some(set ^ last(set))).take_while(|&set| set > 0);
    let members = |set: usize| few.iter().enumerate().filter(move |(i, _)| set >> i & 1 > 0).map(|(_, &source)| source);
    sets.map(|set| members(last(set)).collect()).collect()
}
