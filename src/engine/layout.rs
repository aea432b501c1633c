//! Where everything lives in the arena, for one size of frame or tile.

use std::ops::Range;

use crate::geom::Size;
use crate::memory::{Arena, Claim, Lifetime, Slot, share};
use crate::plan::{Needs, Plan, Stagger, Strips, simulate};

/// Slots for the buffers, the blank rows and what the engine adds.
///
/// A buffer that carries rows from pass to pass has a slot that all threads share; what lives within a pass has one
/// for each thread.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Rows of a pass.
    pub strips: Strips,
    /// How passes overlap.
    pub stagger: Stagger,
    /// Rows of each buffer's ring.
    pub ring: Vec<usize>,
    /// Zero points that convolutions read outside the frame: a row of each in a slot.
    pub blanks: Vec<u8>,
    /// Shapes of all slots.
    pub slots: Vec<Slot>,
    /// Input rows from the newest to the oldest that an output row stands over.
    pub lag: usize,
    /// The first thread's slot of each buffer.
    slot_of: Vec<usize>,
    /// The first thread's own slots; the next thread's follow.
    own: Range<usize>,
}

impl Layout {
    /// For sub-frames of at most `size`, run in these strips. `heights` are all that occur.
    pub fn new(plan: &Plan, size: Size, heights: &[usize], strips: Strips, stagger: Stagger) -> Self {
        let all: Vec<Needs> = heights.iter().map(|&h| simulate(plan, h, strips, &stagger)).collect();
        let count = plan.buffers.len();
        // A buffer is carried if it is at any height.
        let lifetime = |b: usize| {
            all.iter().map(|n| n.lifetimes[b]).find(|l| *l == Lifetime::Carried).unwrap_or(all[0].lifetimes[b])
        };
        let lifetimes: Vec<Lifetime> = (0..count).map(lifetime).collect();
        let rows = |b: usize| {
            let rows = |n: &Needs| if lifetimes[b] == Lifetime::Carried { n.shared[b] } else { n.alone[b] };
            all.iter().map(rows).max().unwrap_or(1)
        };
        let ring: Vec<usize> = (0..count).map(rows).collect();
        let shape = |b: usize| Slot::new(ring[b], plan.buffers[b].row_bytes(size.width));

        let mut blanks: Vec<u8> = plan.buffers.iter().map(|b| b.zero).collect();
        blanks.sort_unstable();
        blanks.dedup();
        let widest = plan.buffers.iter().map(|b| b.row_bytes(size.width)).max().unwrap_or(0);
        let mut slots = vec![Slot::new(blanks.len(), widest)];

        let (carried, within): (Vec<usize>, Vec<usize>) = (0..count).partition(|b| lifetimes[*b] == Lifetime::Carried);
        let mut slot_of = vec![0; count];
        for b in carried {
            slot_of[b] = slots.len();
            slots.push(shape(b));
        }
        // Borders are written once, so tenants of a slot must have the same.
        let border =
            |b: usize| (plan.buffers[b].stride, plan.buffers[b].left, plan.buffers[b].right, plan.buffers[b].zero);
        let tenancy = share(&within.iter().map(|&b| (shape(b), lifetimes[b], border(b))).collect::<Vec<_>>());
        let own = slots.len()..slots.len() + tenancy.slots.len();
        within.iter().zip(&tenancy.slot_of).for_each(|(&b, slot)| slot_of[b] = own.start + slot);
        (0..stagger.passes).for_each(|_| slots.extend(&tenancy.slots));

        let lag = all.iter().map(|n| n.lag).max().unwrap_or(0);
        Self { strips, stagger, ring, blanks, slots, lag, slot_of, own }
    }

    /// Slot of a buffer, for the thread of this number.
    pub fn slot(&self, thread: usize, buffer: usize) -> usize {
        let slot = self.slot_of[buffer];
        if self.own.contains(&slot) { slot + thread * self.own.len() } else { slot }
    }

    /// Rows of a buffer, for the thread of this number to hold.
    pub fn claim(&self, thread: usize, buffer: usize, rows: Range<usize>) -> Claim {
        Claim { slot: self.slot(thread, buffer), ring: self.ring[buffer], rows }
    }

    /// All blank rows; the row of a zero point has its place in `blanks`.
    pub fn blank(&self) -> Claim {
        Claim { slot: 0, ring: self.blanks.len(), rows: 0..self.blanks.len() }
    }

    /// Bytes of the arena.
    pub fn bytes(&self) -> usize {
        Arena::bytes(&self.slots, self.stagger.passes)
    }
}
