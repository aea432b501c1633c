//! Where everything lives in the arena, for one size of frame or tile.

use std::ops::Range;

use crate::geom::Size;
use crate::memory::{Arena, LiveRange, RingRows, Slot, assign_slots};
use crate::plan::{Buffer, Plan, RowNeeds, Strips, Wavefront, simulate};

/// Slots for the buffers and the padding rows.
///
/// A buffer that carries rows from pass to pass has a slot that all threads share; what lives within a pass has one
/// for each thread.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Rows of a pass.
    pub strips: Strips,
    /// How passes overlap.
    pub wavefront: Wavefront,
    /// Rows of each buffer's ring.
    pub ring: Vec<usize>,
    /// Zero points that convolutions read outside the frame: slot 0 has a row of each.
    pub padding_values: Vec<u8>,
    /// Shapes of all slots.
    pub slots: Vec<Slot>,
    /// Input rows from the newest to the oldest that an output row corresponds to.
    pub lag: usize,
    /// The first thread's slot of each buffer.
    slot_of: Vec<usize>,
    /// The first thread's own slots; the next thread's follow.
    own: Range<usize>,
}

impl Layout {
    /// For sub-frames of at most `size`, run in these strips. `heights` are all that occur.
    pub fn new(plan: &Plan, size: Size, heights: &[usize], strips: Strips, wavefront: Wavefront) -> Self {
        let all: Vec<RowNeeds> = heights.iter().map(|&h| simulate(plan, h, strips, &wavefront)).collect();
        let count = plan.buffers.len();
        // A buffer is carried if it is at any height.
        let range =
            |b: usize| all.iter().map(|n| n.ranges[b]).find(|r| *r == LiveRange::Carried).unwrap_or(all[0].ranges[b]);
        let ranges: Vec<LiveRange> = (0..count).map(range).collect();
        let rows = |b: usize| {
            let rows = |n: &RowNeeds| if ranges[b] == LiveRange::Carried { n.shared[b] } else { n.private[b] };
            all.iter().map(rows).max().unwrap_or(1)
        };
        let ring: Vec<usize> = (0..count).map(rows).collect();
        let shape = |b: usize| Slot::new(ring[b], plan.buffers[b].row_bytes(size.width));

        let mut padding: Vec<u8> = plan.buffers.iter().map(|b| b.zero).collect();
        padding.sort_unstable();
        padding.dedup();
        let widest = plan.buffers.iter().map(|b| b.row_bytes(size.width)).max().unwrap_or(0);
        let mut slots = vec![Slot::new(padding.len(), widest)];

        let (carried, within): (Vec<usize>, Vec<usize>) = (0..count).partition(|b| ranges[*b] == LiveRange::Carried);
        let mut slot_of = vec![0; count];
        for b in carried {
            slot_of[b] = slots.len();
            slots.push(shape(b));
        }
        // Borders are written once, so buffers that share a slot must have the same.
        let border = |b: usize| {
            let Buffer { stride, left, right, zero, border, .. } = plan.buffers[b];
            (stride, left, right, zero, border)
        };
        let shared = assign_slots(&within.iter().map(|&b| (shape(b), ranges[b], border(b))).collect::<Vec<_>>());
        let own = slots.len()..slots.len() + shared.slots.len();
        within.iter().zip(&shared.slot_of).for_each(|(&b, slot)| slot_of[b] = own.start + slot);
        (0..wavefront.passes).for_each(|_| slots.extend(&shared.slots));

        let lag = all.iter().map(|n| n.lag).max().unwrap_or(0);
        Self { strips, wavefront, ring, padding_values: padding, slots, lag, slot_of, own }
    }

    /// Slot of a buffer, for the thread of this number.
    pub fn slot(&self, thread: usize, buffer: usize) -> usize {
        let slot = self.slot_of[buffer];
        if self.own.contains(&slot) { slot + thread * self.own.len() } else { slot }
    }

    /// Rows of a buffer, for the thread of this number to borrow.
    pub fn ring_rows(&self, thread: usize, buffer: usize, rows: Range<usize>) -> RingRows {
        RingRows { slot: self.slot(thread, buffer), ring: self.ring[buffer], rows }
    }

    /// All padding rows, in the order of `padding_values`.
    pub fn padding(&self) -> RingRows {
        let rows = self.padding_values.len();
        RingRows { slot: 0, ring: rows, rows: 0..rows }
    }

    /// Bytes of the arena.
    pub fn bytes(&self) -> usize {
        Arena::bytes(&self.slots, self.wavefront.passes)
    }
}
